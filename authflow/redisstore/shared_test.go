package redisstore_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	"github.com/postern-audit/postern/policy"
)

// steps is what one caller did to its flow, with deadlines too short for a server that pauses.
type steps struct {
	flow    *authflow.Loaded
	ended   map[string]string          // reason by event id, "" when acknowledged
	sent    map[string]*authflow.State // as it was to be after that event
	unknown int
}

// step commits one more step. After an unknown outcome it goes on from what it knew, which the store compares.
func (s *steps) step(t *testing.T, r *rig, o *policy.Organization, patience time.Duration) {
	t.Helper()
	c := another(o, s.flow, nil)
	id := c.Events[0].ID
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s.sent[id] = c.Flow.State
	done, err := r.store.Commit(ctx, c)
	var conflict *authflow.Conflict
	switch {
	case err == nil:
		s.ended[id] = ""
		s.flow = &authflow.Loaded{State: c.Flow.State, Stamp: done.Stamp, Kept: done.Kept}
	case errors.As(err, &conflict):
		s.ended[id] = "NOT_RECORDED"
		s.flow = conflict.Flow
	case errs.Is(err, "OUTCOME_UNKNOWN"), errs.Is(err, "NOT_RECORDED"):
		s.ended[id] = errs.As(err).Reason
		s.unknown++
	default:
		t.Error(err)
	}
}

// A call that is over leaves its commit to a trip: neither the next commit of the process nor the next of the flow may write over it.
func TestWhatIsStillUnderWayIsNotWrittenOver(t *testing.T) {
	const callers, pauses = 24, 6
	server := redistest.Start(t)
	r := newRig(t, realServer(server))
	o := r.organization(t, "acme")
	var all [callers]steps
	var done atomic.Int64
	var over atomic.Bool
	var wait sync.WaitGroup
	for i := range all {
		s := &all[i]
		s.flow, _ = boundFlow(t, r, o)
		s.ended, s.sent = map[string]string{}, map[string]*authflow.State{}
	}
	for i := range all {
		wait.Go(func() {
			for k := i; !over.Load(); k++ {
				all[i].step(t, r, o, time.Duration(1+k%12)*time.Millisecond)
				done.Add(1)
			}
		})
	}
	bound, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	more := func(n int64) {
		for at := done.Load(); done.Load() < at+n; {
			if bound.Err() != nil {
				t.Fatal("the callers do not get anywhere")
			}
		}
	}
	for range pauses {
		more(300)
		server.Pause()
		more(20)
		server.Resume()
	}
	over.Store(true)
	wait.Wait()
	if err := r.store.Drain(bound); err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	for _, m := range r.client.XRange(t.Context(), r.store.FlowKey(o.UID, "")[:len("postern:{00}:")]+"outbox", "-", "+").Val() {
		raw, _ := m.Values["e"].(string)
		e, err := r.codec.Decode([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if recorded[e.ID] {
			t.Errorf("event %s is there twice", e.ID)
		}
		recorded[e.ID] = true
	}
	unknown := 0
	for i := range all {
		all[i].hold(t, r, o, recorded)
		unknown += all[i].unknown
	}
	if unknown == 0 {
		t.Error("nobody's call was over before its commit")
	}
}

// hold compares what was said with what is there.
func (s *steps) hold(t *testing.T, r *rig, o *policy.Organization, recorded map[string]bool) {
	t.Helper()
	last := map[authflow.FlowID]string{}
	for id, reason := range s.ended {
		if reason == "" && !recorded[id] || reason == "NOT_RECORDED" && recorded[id] {
			t.Errorf("event %s (%q): recorded %t", id, reason, recorded[id])
		}
		if st := s.sent[id]; recorded[id] && id > last[st.ID] {
			last[st.ID] = id
		}
	}
	for flow, id := range last {
		got, err := r.store.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Flow: flow})
		if err != nil || got.Flow == nil {
			t.Fatalf("flow %s: %v", flow, err)
		}
		if d := cmp.Diff(s.sent[id], got.Flow.State, asStored); d != "" {
			t.Errorf("flow %s is not as event %s left it: %s", flow, id, d)
		}
	}
}
