package directorytest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// revise commits a policy that blocks or demands a session length, and returns the organization after it.
func revise(t *testing.T, h *Harness, o *policy.Organization, why string, change func(o *policy.Organization)) *policy.Organization {
	t.Helper()
	next := *o
	change(&next)
	e := event(o, audit.TypePolicyUpdated)
	e.Caller, e.Personal.Detail = "unix:7", "secret "+why
	e.Changes = []audit.Change{{Field: "default.session_length", After: why}}
	must(t, h, policy.Change{Organization: &next, WritePolicy: true, Events: []audit.Event{event(o, audit.TypeSiteCreated), e}})
	return current(t, h.Directory, o.UID)
}

func numbers(list []policy.Revision) (all []int64) {
	for _, r := range list {
		all = append(all, r.Number)
	}
	return all
}

func listed(t *testing.T, h *Harness, uid string, before int64, limit int) []policy.Revision {
	t.Helper()
	list, err := h.Second.PolicyRevisions(t.Context(), uid, before, limit)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var historyCases = map[string]func(*testing.T, *Harness){
	"each policy is found at the revisions it was in force at, by another process": func(t *testing.T, h *Harness) {
		o := prepared(t, h) // revisions 1 and 2, the first of which is of the policy
		until := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		o = revise(t, h, o, "three", func(o *policy.Organization) { *o = *rich(t, o) })
		want := o.Policy
		must(t, h, policy.Change{Organization: o, AddClaims: []policy.ClaimRecord{claim(1)}, Events: []audit.Event{event(o, audit.TypeAccountClaimed)}})
		o = current(t, h.Directory, o.UID)
		o = revise(t, h, o, "five", func(o *policy.Organization) {
			o.Policy, o.SuspendedUntil = policy.Policy{Default: policy.Demands{Block: true}}, until
		})
		if o.Revision != 5 || !o.SuspendedUntil.Equal(until) || !current(t, h.Second, o.UID).SuspendedUntil.Equal(until) {
			t.Fatalf("%+v", o)
		}
		for at, number := range map[int64]int64{1: 1, 2: 1, 3: 3, 4: 3, 5: 5} {
			r, err := h.Second.PolicyRevision(t.Context(), o.UID, at)
			if err != nil || r.Number != number {
				t.Fatalf("at %d: %+v, %v", at, r, err)
			}
			if number == 3 {
				if d := cmp.Diff(want, r.Policy, same); d != "" || !r.AllowUnreadable {
					t.Errorf("at %d: %s", at, d)
				}
			}
			if number == 5 && (!r.Policy.Default.Block || !r.SuspendedUntil.Equal(until)) {
				t.Errorf("%+v", r)
			}
		}
		for _, at := range []int64{0, 6, 1 << 40} {
			if _, err := h.Directory.PolicyRevision(t.Context(), o.UID, at); !errs.Is(err, policy.ReasonRevisionNotFound) || errs.KindOf(err) != errs.NotFound {
				t.Errorf("at %d: %v", at, err)
			}
		}
	},
	"revisions say who, when, why and what, newest first and in pages": func(t *testing.T, h *Harness) {
		o := created(t, h, "acme")
		for n := range 25 {
			o = revise(t, h, o, fmt.Sprint("why ", n), func(o *policy.Organization) { o.Policy.Default.SessionLength = time.Duration(n+1) * time.Hour })
		}
		all := listed(t, h, o.UID, 0, 100)
		if len(all) != 26 || !slices.IsSortedFunc(all, func(a, b policy.Revision) int { return int(b.Number - a.Number) }) {
			t.Fatal(numbers(all))
		}
		e := all[0].Event
		if e.Type != audit.TypePolicyUpdated || e.Caller != "unix:7" || e.Personal.Detail != "secret why 24" || e.Revision != all[0].Number || len(e.Changes) != 1 || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
		if e := all[25].Event; e.Type != audit.TypeOrganizationCreated {
			t.Errorf("%+v", e)
		}
		if e.Sealed == nil || strings.Contains(h.Dump(t), "secret why") {
			t.Error("a reason is not sealed")
		}
		if d := cmp.Diff(numbers(all)[3:10], numbers(listed(t, h, o.UID, all[2].Number, 7))); d != "" {
			t.Error(d)
		}
		if rest := listed(t, h, o.UID, 1, 7); len(rest) != 0 {
			t.Error(numbers(rest))
		}
	},
	"a refused change and one of something else leave no revision": func(t *testing.T, h *Harness) {
		o := prepared(t, h)
		stale := *o
		stale.Stamp[15]++
		if _, _, err := h.Directory.Commit(t.Context(), policy.Change{Organization: &stale, WritePolicy: true, Events: []audit.Event{event(o, audit.TypePolicyUpdated)}}); err == nil {
			t.Fatal("committed")
		}
		must(t, h, policy.Change{Organization: o, WritePolicy: true, Events: []audit.Event{event(o, audit.TypeSiteUpdated)}})
		o = current(t, h.Directory, o.UID)
		must(t, h, policy.Change{Organization: o, Events: []audit.Event{event(o, audit.TypePolicyUpdated)}})
		if got := numbers(listed(t, h, o.UID, 0, 10)); !slices.Equal(got, []int64{1}) {
			t.Error(got)
		}
	},
	"organizations have their own history": func(t *testing.T, h *Harness) {
		a, b := created(t, h, "a"), created(t, h, "b")
		revise(t, h, a, "of a", func(o *policy.Organization) { o.Policy.Default.Block = true })
		if got := numbers(listed(t, h, b.UID, 0, 10)); !slices.Equal(got, []int64{1}) {
			t.Error(got)
		}
		if _, err := h.Directory.PolicyRevisions(t.Context(), newID(), 0, 10); errs.KindOf(err) != errs.NotFound {
			t.Errorf("of nobody: %v", err)
		}
	},
	"the newest are kept": func(t *testing.T, h *Harness) {
		o := created(t, h, "acme")
		const most = policy.KeptRevisions
		for n := range most + 3 {
			o = revise(t, h, o, "again", func(o *policy.Organization) { o.Policy.Default.SessionLength = time.Duration(n+1) * time.Second })
		}
		all := listed(t, h, o.UID, 0, 2*most)
		if len(all) != most || all[0].Number != most+4 || all[most-1].Number != 5 {
			t.Fatalf("%d from %d to %d", len(all), all[0].Number, all[len(all)-1].Number)
		}
		if _, err := h.Directory.PolicyRevision(t.Context(), o.UID, 4); !errs.Is(err, policy.ReasonRevisionNotFound) {
			t.Errorf("%v", err)
		}
	},
	"large policies are kept for less long, and the newest always": func(t *testing.T, h *Harness) {
		o := created(t, h, "acme")
		long := strings.Repeat("many words ", 15_000)
		for n := range 240 {
			o = revise(t, h, o, "again", func(o *policy.Organization) {
				o.Policy.Rules = []policy.Rule{{ID: "a", Mode: policy.ModeEnforce, Origin: audit.OriginDocument, Description: long[n:]}}
			})
		}
		all := listed(t, h, o.UID, 0, 1000)
		if len(all) < 10 || len(all) > 230 || all[0].Number != o.Revision {
			t.Errorf("%d are kept, the newest is %d of %d", len(all), all[0].Number, o.Revision)
		}
		if n := len(h.Dump(t)); n > 200<<20 {
			t.Errorf("%d bytes", n)
		}
	},
}
