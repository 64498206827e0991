package redisstore_test

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	"github.com/postern-audit/postern/policy"
)

// started is a commit that opens a flow.
func started(t *testing.T, o *policy.Organization) *authflow.Commit {
	t.Helper()
	id, err := authflow.ParseFlowID(uuid.Must(uuid.NewV7()).String())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	e := audit.Event{ID: uuid.Must(uuid.NewV7()).String(), Type: audit.TypeSignInStarted, Time: now, Organization: o.ID, OrganizationUID: o.UID,
		Flow: id.String(), Step: 1, Personal: audit.Personal{AccountID: "acct-1"}}
	st := &authflow.State{ID: id, Organization: o.ID, OrganizationUID: o.UID, Phase: authflow.PhaseOpen, Started: now, Deadline: now.Add(time.Hour),
		Hour: now.Truncate(time.Hour), Recorded: true, Steps: []authflow.Step{{Event: &e, Released: true}}}
	c := &authflow.Commit{OrganizationUID: o.UID, PolicyStamp: o.PolicyStamp, OwnKey: true, Outcome: &authflow.Outcome{Flow: id},
		Flow: &authflow.FlowWrite{State: st}, Events: []audit.Event{e}}
	_, _ = rand.Read(c.Key[:]) // never fails
	return c
}

func TestNothingAcknowledgedIsLostWhenRedisIsKilledAndStateAndEventGoTogether(t *testing.T) {
	const writers, enough = 8, 300
	server := redistest.Start(t)
	r := newRig(t, realServer(server))
	o := r.organization(t, "acme")

	var mu sync.Mutex
	attempts := map[authflow.FlowID]string{} // flow → reason of its error, "" when acknowledged
	var acknowledged atomic.Int64
	killed := make(chan struct{})
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for {
				c := started(t, o)
				_, err := r.store.Commit(t.Context(), c)
				reason := ""
				if err == nil {
					acknowledged.Add(1)
				} else if reason = errs.As(err).Reason; reason != "OUTCOME_UNKNOWN" && reason != "NOT_RECORDED" {
					t.Errorf("%v", err)
				}
				mu.Lock()
				attempts[c.Flow.State.ID] = reason
				mu.Unlock()
				if err != nil {
					<-killed // the server is gone: no more
					return
				}
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for acknowledged.Load() < enough {
		if ctx.Err() != nil {
			t.Fatal("the writers do not get anywhere")
		}
	}
	server.Kill()
	close(killed)
	wait.Wait()
	server.Restart()

	recorded := map[string]bool{}
	for _, m := range r.client.XRange(t.Context(), r.store.FlowKey(o.UID, "")[:len("postern:{00}:")]+"outbox", "-", "+").Val() {
		raw, _ := m.Values["e"].(string)
		e, err := r.codec.Decode([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if recorded[e.Flow] {
			t.Errorf("flow %s has two events", e.Flow)
		}
		recorded[e.Flow] = true
	}
	for id, reason := range attempts {
		got, err := r.store.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Flow: id})
		if err != nil {
			t.Fatal(err)
		}
		stands := got.Flow != nil
		switch {
		case stands != recorded[id.String()]:
			t.Errorf("flow %s (%q): state %t, event %t", id, reason, stands, recorded[id.String()])
		case reason == "" && !stands:
			t.Errorf("flow %s was acknowledged and is gone", id)
		case reason == "NOT_RECORDED" && stands:
			t.Errorf("flow %s was said not to be recorded, and is", id)
		}
	}
}
