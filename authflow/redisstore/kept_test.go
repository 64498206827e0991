package redisstore_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// asStored compares states; the indexes of events that were released are not stored with the flow.
var asStored = cmp.Options{
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Indexes" }, cmp.Ignore()),
	cmp.AllowUnexported(authflow.FlowID{}, policy.Address{}, policy.Domain{}), cmpopts.EquateEmpty(),
}

// another is a commit that adds a step to a flow and builds on what the store kept with it.
func another(o *policy.Organization, l *authflow.Loaded, change func(*authflow.State)) *authflow.Commit {
	s := *l.State
	e := *s.Steps[len(s.Steps)-1].Event
	e.ID, e.Step, e.Sealed, e.Indexes = uuid.Must(uuid.NewV7()).String(), len(s.Steps)+1, nil, nil
	s.Steps = append(s.Steps[:len(s.Steps):len(s.Steps)], authflow.Step{Event: &e, Released: true})
	if change != nil {
		change(&s)
	}
	return &authflow.Commit{OrganizationUID: o.UID, PolicyStamp: o.PolicyStamp, Events: []audit.Event{e},
		Flow: &authflow.FlowWrite{State: &s, From: l.Stamp, Kept: l.Kept}}
}

func TestWhatIsKeptOfAFlowNeverChangesWhatIsStored(t *testing.T) {
	r := newRig(t, embeddedServer(t))
	o := r.organization(t, "acme")
	l, _ := boundFlow(t, r, o)
	check := func(what string, st *authflow.State) {
		t.Helper()
		got, err := r.store.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Flow: st.ID})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(st, got.Flow.State, asStored); d != "" {
			t.Fatalf("%s: %s", what, d)
		}
	}
	write := func(what string, c *authflow.Commit) {
		t.Helper()
		done := commit(t, r.store, c)
		l = &authflow.Loaded{State: c.Flow.State, Stamp: done.Stamp, Kept: done.Kept}
		check(what, l.State)
	}
	write("a step", another(o, l, nil))
	write("a step more", another(o, l, nil))

	refused := another(o, l, nil)
	refused.PolicyStamp = policy.Stamp{1}
	if _, err := r.store.Commit(t.Context(), refused); err == nil {
		t.Fatal("a commit with another policy was taken")
	}
	write("after a commit in vain", another(o, l, nil))
	write("steps held back and let go", another(o, l, func(s *authflow.State) { s.Steps[len(s.Steps)-1].Released = false }))
	write("and let go", another(o, l, func(s *authflow.State) { s.Steps[len(s.Steps)-2].Released = true }))
	write("somebody else's device", another(o, l, func(s *authflow.State) { s.DeviceID = "another" }))
	write("frozen again", another(o, l, func(s *authflow.State) { f := *s.Frozen; f.WouldBeRule = "r"; s.Frozen = &f }))
	write("fewer steps", another(o, l, func(s *authflow.State) { s.Steps = s.Steps[:3] }))
	write("without it", &authflow.Commit{OrganizationUID: o.UID, PolicyStamp: o.PolicyStamp, Flow: &authflow.FlowWrite{State: l.State, From: l.Stamp}})

	for range 8 { // two that build on the same: one of them wins, with its own step
		var wg sync.WaitGroup
		commits := [2]*authflow.Commit{another(o, l, nil), another(o, l, nil)}
		var done [2]*authflow.Committed
		var errs [2]error
		for i := range commits {
			wg.Go(func() { done[i], errs[i] = r.store.Commit(t.Context(), commits[i]) })
		}
		wg.Wait()
		won := 0
		if errs[0] != nil {
			won = 1
		}
		var conflict *authflow.Conflict
		if errs[won] != nil || !errors.As(errs[1-won], &conflict) {
			t.Fatalf("%v, %v", errs[0], errs[1])
		}
		l = &authflow.Loaded{State: commits[won].Flow.State, Stamp: done[won].Stamp, Kept: done[won].Kept}
		check("after a race", l.State)
	}
}
