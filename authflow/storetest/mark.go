package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

var policyCases = map[string]func(*testing.T, *Harness){
	"a commit on a moved policy is refused and brings the new one": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		l := must(t, h.Store, opened(t, h, o))
		now := h.MovePolicy(t, o)
		for name, s := range map[string]authflow.Store{"same": h.Store, "other": h.Second} {
			var conflict *authflow.Conflict
			_, err := s.Commit(t.Context(), stepped(h, o, l))
			if !errors.As(err, &conflict) || conflict.Flow != nil || conflict.Gone {
				t.Fatalf("%s process: %v", name, err)
			}
			if conflict.Organization == nil || conflict.Organization.PolicyStamp != now.PolicyStamp || conflict.Organization.UID != o.UID {
				t.Errorf("%s process: %+v", name, conflict.Organization)
			}
		}
		must(t, h.Store, stepped(h, now, l))
	},
	"flow and policy that both moved come in one answer": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		l := must(t, h.Store, opened(t, h, o))
		must(t, h.Store, stepped(h, o, l))
		h.MovePolicy(t, o)
		var conflict *authflow.Conflict
		if _, err := h.Store.Commit(t.Context(), stepped(h, o, l)); !errors.As(err, &conflict) || conflict.Flow == nil || conflict.Organization == nil {
			t.Errorf("%v", err)
		}
	},
	"a claim or a domain moves no sign-in's policy": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		l := must(t, h.Store, opened(t, h, o))
		h.Claim(t, o, policy.ClaimRecord{Key: policy.AccountKey{1}, Kind: policy.ClaimAccount, Origin: audit.OriginDocument})
		must(t, h.Store, stepped(h, o, l))
	},
}

// superseding starts a flow with an index entry, and returns it with the start of one that takes its place.
func superseding(t *testing.T, h *Harness, o *policy.Organization) (*authflow.Loaded, *authflow.Commit) {
	t.Helper()
	key := authflow.LastKey{SiteUID: siteUID, Subject: policy.AccountKey{9}, DeviceID: "device-1"}
	first := opened(t, h, o)
	first.Last = &authflow.LastWrite{Key: key, Next: first.Flow.State.ID, Until: first.Flow.State.Deadline}
	old := must(t, h.Store, first)
	next := opened(t, h, o)
	next.Last = &authflow.LastWrite{Key: key, Expect: old.State.ID, Next: next.Flow.State.ID, Until: next.Flow.State.Deadline}
	return old, next
}

// beside is a partition among others.
func beside(p int) []int {
	if p == 0 {
		return []int{1, 0}
	}
	return []int{p - 1, p}
}

func due(t *testing.T, h *Harness, o *policy.Organization, at time.Time) []authflow.FlowID {
	t.Helper()
	got, err := h.Store.Due(t.Context(), beside(h.Partition(o.UID)), at, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var ids []authflow.FlowID
	for _, d := range got {
		if d.OrganizationUID != o.UID {
			t.Errorf("due of %s", d.OrganizationUID)
		}
		ids = append(ids, d.Flow)
	}
	return ids
}

var markCases = map[string]func(*testing.T, *Harness){
	"a new flow marks the one it replaces and makes it due": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		old, next := superseding(t, h, o)
		must(t, h.Store, next)
		got := flow(t, h.Second, o, old.State.ID)
		if got.SupersededBy != next.Flow.State.ID || got.Stamp != old.Stamp {
			t.Errorf("mark %v, stamp moved: %t", got.SupersededBy, got.Stamp != old.Stamp)
		}
		// The mark says "now" on the store's clock, which may be a little ahead.
		if ids := due(t, h, o, h.Now().Add(2*time.Second)); len(ids) != 1 || ids[0] != old.State.ID {
			t.Errorf("due: %v", ids)
		}
		last := read(t, h.Store, authflow.Read{OrganizationUID: o.UID, Last: &next.Last.Key}).Last
		if last != next.Flow.State.ID {
			t.Errorf("the index names %v", last)
		}
	},
	"a marked flow takes no commit but its ending": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		old, next := superseding(t, h, o)
		must(t, h.Store, next)
		var conflict *authflow.Conflict
		if _, err := h.Store.Commit(t.Context(), stepped(h, o, old)); !errors.As(err, &conflict) || conflict.Flow == nil || conflict.Flow.SupersededBy != next.Flow.State.ID {
			t.Fatalf("a step on a marked flow: %v", err)
		}
		must(t, h.Store, ended(h, o, conflict.Flow, audit.EndingSuperseded, audit.TypeSignInSuperseded))
		if ids := due(t, h, o, h.Now().Add(time.Minute)); len(ids) != 0 {
			t.Errorf("still due: %v", ids)
		}
	},
	"an unmarked flow is not ended as a marked one": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := ended(h, o, must(t, h.Store, opened(t, h, o)), audit.EndingSuperseded, audit.TypeSignInSuperseded)
		c.Flow.EndsMarked = true
		var conflict *authflow.Conflict
		if _, err := h.Store.Commit(t.Context(), c); !errors.As(err, &conflict) || conflict.Flow == nil {
			t.Errorf("%v", err)
		}
	},
	"an index that moved stops the start": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		old, next := superseding(t, h, o)
		must(t, h.Store, next)
		stale := opened(t, h, o)
		stale.Last = &authflow.LastWrite{Key: next.Last.Key, Expect: old.State.ID, Next: stale.Flow.State.ID, Until: h.Now().Add(time.Hour)}
		var conflict *authflow.Conflict
		if _, err := h.Store.Commit(t.Context(), stale); !errors.As(err, &conflict) || !conflict.LastMoved {
			t.Errorf("an index with another flow: %v", err)
		}
		stale.Last.Expect = authflow.FlowID{}
		if _, err := h.Store.Commit(t.Context(), stale); !errors.As(err, &conflict) || !conflict.LastMoved {
			t.Errorf("an index thought empty: %v", err)
		}
	},
	"a flow that has ended, or is gone, is not marked": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		old, next := superseding(t, h, o)
		over := must(t, h.Store, ended(h, o, old, audit.EndingDenied, audit.TypeSignInDenied))
		must(t, h.Store, next)
		if got := flow(t, h.Store, o, old.State.ID); !got.SupersededBy.IsZero() || got.Stamp != over.Stamp {
			t.Error("an ended flow was marked")
		}
		if ids := due(t, h, o, h.Now().Add(time.Minute)); len(ids) != 0 {
			t.Errorf("due: %v", ids)
		}
	},
	"the deadline of a marked flow that was due already stays": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		key := authflow.LastKey{SiteUID: siteUID, DeviceID: "d"}
		first := opened(t, h, o)
		first.Flow.State.Deadline = h.Now().Add(-time.Hour)
		first.Last = &authflow.LastWrite{Key: key, Next: first.Flow.State.ID, Until: h.Now().Add(time.Hour)}
		must(t, h.Store, first)
		next := opened(t, h, o)
		next.Last = &authflow.LastWrite{Key: key, Expect: first.Flow.State.ID, Next: next.Flow.State.ID, Until: h.Now().Add(time.Hour)}
		must(t, h.Store, next)
		if ids := due(t, h, o, h.Now().Add(-30*time.Minute)); len(ids) != 1 {
			t.Errorf("due: %v", ids)
		}
	},
	"flows are due in the order of their deadlines, up to the limit": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		var want []authflow.FlowID
		for i := range 4 {
			c := opened(t, h, o)
			c.Flow.State.Deadline = h.Now().Add(time.Duration(i-3) * time.Minute)
			want = append(want, must(t, h.Store, c).State.ID)
		}
		got, err := h.Store.Due(t.Context(), beside(h.Partition(o.UID)), h.Now().Add(-30*time.Second), 2)
		if err != nil || len(got) != 2 || got[0].Flow != want[0] || got[1].Flow != want[1] {
			t.Errorf("%v, %v", got, err)
		}
		if ids := due(t, h, o, h.Now().Add(-30*time.Second)); len(ids) != 3 {
			t.Errorf("%d due", len(ids))
		}
	},
}
