package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// wantExpiry checks that a flow is forgotten after 15 minutes, or stays.
func wantExpiry(t *testing.T, h *Harness, o *policy.Organization, id authflow.FlowID, expires bool) {
	t.Helper()
	got := h.Expires(t, o.UID, id)
	if expires && (got <= 14*time.Minute || got > 15*time.Minute) || !expires && got != 0 {
		t.Errorf("the flow expires in %v, want an expiry: %t", got, expires)
	}
}

var expiryCases = map[string]func(*testing.T, *Harness){
	"a live flow stays, an unrecorded ending expires by its own commit": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		l := must(t, h.Store, opened(t, h, o))
		wantExpiry(t, h, o, l.State.ID, false)
		l = must(t, h.Store, stepped(h, o, l))
		wantExpiry(t, h, o, l.State.ID, false)
		c := ended(h, o, l, audit.EndingCancelled, audit.TypeSignInCancelled)
		c.Flow.State.Recorded, c.Events = false, nil
		must(t, h.Store, c)
		wantExpiry(t, h, o, l.State.ID, true)
	},
	"a recorded ending expires once it is archived": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		l := must(t, h.Store, ended(h, o, must(t, h.Store, opened(t, h, o)), audit.EndingDenied, audit.TypeSignInDenied))
		live := must(t, h.Store, opened(t, h, o))
		wantExpiry(t, h, o, l.State.ID, false)
		p := h.Partition(o.UID)
		raw, err := h.Source.Read(t.Context(), []int{p}, 100, 1<<20)
		if err != nil || len(raw[p]) != 3 {
			t.Fatalf("%d entries, %v", len(raw[p]), err)
		}
		flows := []audit.EndedFlow{{OrganizationUID: o.UID, Flow: l.State.ID.String()}, {OrganizationUID: o.UID, Flow: live.State.ID.String()}}
		for range 2 { // calling it again is harmless
			if err := h.Source.Done(t.Context(), p, raw[p][1].ID, flows); err != nil {
				t.Fatal(err)
			}
		}
		wantExpiry(t, h, o, l.State.ID, true)
		wantExpiry(t, h, o, live.State.ID, false) // said to be over, and is not
		left, err := h.Source.Read(t.Context(), []int{p}, 100, 1<<20)
		if err != nil || len(left[p]) != 1 || left[p][0].ID != raw[p][2].ID {
			t.Errorf("left in the outbox: %v, %v", left[p], err)
		}
	},
	"a flow that started and ended in one commit is never due": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := opened(t, h, o)
		c.Flow.State.Phase, c.Flow.State.Ending = authflow.PhaseEnded, audit.EndingFailed
		must(t, h.Store, c)
		if ids := due(t, h, o, h.Now().Add(time.Hour)); len(ids) != 0 {
			t.Errorf("due: %v", ids)
		}
	},
}

var claimCases = map[string]func(*testing.T, *Harness){
	"a name is taken once, and again by the same": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		a := opened(t, h, o)
		must(t, h.Store, a)
		b := opened(t, h, o)
		b.Claims = append(b.Claims, authflow.Claim{Kind: "code", Name: a.Flow.State.SupportCode, Value: b.Flow.State.ID.String(), Until: h.Now().Add(time.Hour)})
		var conflict *authflow.Conflict
		if _, err := h.Store.Commit(t.Context(), b); !errors.As(err, &conflict) || conflict.Claimed == nil || conflict.Claimed.Name != a.Flow.State.SupportCode ||
			conflict.Holder != a.Flow.State.ID.String() {
			t.Fatalf("%v", err)
		}
		second := opened(t, h, o)
		second.Claims = append(second.Claims,
			authflow.Claim{Kind: "assertion", Name: "n", Value: second.Flow.State.ID.String(), Until: h.Now().Add(time.Hour)})
		must(t, h.Store, second)
		b.Claims[len(b.Claims)-1] = authflow.Claim{Kind: "assertion", Name: "n", Value: b.Flow.State.ID.String(), Until: h.Now().Add(time.Hour)}
		if _, err := h.Store.Commit(t.Context(), b); !errors.As(err, &conflict) || conflict.Claimed == nil || conflict.Claimed.Kind != "assertion" ||
			conflict.Holder != second.Flow.State.ID.String() {
			t.Fatalf("%v", err)
		}
		if read(t, h.Store, authflow.Read{OrganizationUID: o.UID, Flow: b.Flow.State.ID}).Flow != nil {
			t.Error("the flow exists although a name was taken")
		}
		again := stepped(h, o, flow(t, h.Store, o, a.Flow.State.ID))
		again.Claims = a.Claims
		must(t, h.Store, again)
	},
	"kinds and organizations do not share names": func(t *testing.T, h *Harness) {
		o, other := h.Organization(t, "acme"), h.Organization(t, "zeta")
		for i, in := range []struct {
			o    *policy.Organization
			kind string
		}{{o, "totp"}, {o, "assertion"}, {other, "totp"}} {
			c := opened(t, h, in.o)
			c.Claims = append(c.Claims, authflow.Claim{Kind: in.kind, Name: "n", Value: c.Flow.State.ID.String(), Until: h.Now().Add(time.Hour)})
			if _, err := h.Store.Commit(t.Context(), c); err != nil {
				t.Errorf("claim %d: %v", i, err)
			}
		}
	},
}

var tallyCases = map[string]func(*testing.T, *Harness){
	"counters are raised with their commits and go with their event": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		hour := h.Now().UTC().Truncate(time.Hour)
		for i := range 3 {
			l := must(t, h.Store, opened(t, h, o))
			if i > 0 {
				must(t, h.Store, ended(h, o, l, audit.EndingDenied, audit.TypeSignInDenied))
			}
		}
		p := beside(h.Partition(o.UID))
		if early, err := h.Store.DueTallies(t.Context(), p, hour.Add(time.Hour-time.Millisecond), 10); err != nil || len(early) != 0 {
			t.Errorf("before the hour has closed: %v, %v", early, err)
		}
		got, err := h.Second.DueTallies(t.Context(), p, hour.Add(time.Hour), 10)
		want := []authflow.DueTally{{OrganizationUID: o.UID, SiteUID: siteUID, Site: siteID, Hour: hour,
			Counts: map[string]int64{"opened": 3, "EXTERNAL:DENIED:true": 2}}}
		if len(got) == 1 {
			want[0].EventID = got[0].EventID
			again, err := h.Store.DueTallies(t.Context(), p, hour.Add(time.Hour), 10)
			if id, errID := authflow.ParseFlowID(got[0].EventID); err != nil || errID != nil || len(again) != 1 || again[0].EventID != id.String() {
				t.Errorf("the id of their event is %q, then %+v: %v", got[0].EventID, again, err)
			}
		}
		if d := cmp.Diff(want, got, same); d != "" || err != nil {
			t.Fatalf("%v\n%s", err, d)
		}
		e := audit.Event{ID: newID(), Type: audit.TypeSiteTallied, Time: h.Now(), Organization: o.ID, OrganizationUID: o.UID, Tally: got[0].Counts, TallyHour: hour}
		stale := got[0]
		stale.Counts = map[string]int64{"opened": 2, "EXTERNAL:DENIED:true": 2}
		var conflict *authflow.Conflict
		if err := h.Store.CloseTally(t.Context(), stale, e); !errors.As(err, &conflict) {
			t.Errorf("counters that moved: %v", err)
		}
		before := len(outboxIDs(t, h, o))
		if err := h.Store.CloseTally(t.Context(), got[0], e); err != nil {
			t.Fatal(err)
		}
		if err := h.Store.CloseTally(t.Context(), got[0], e); !errors.As(err, &conflict) {
			t.Errorf("a second time: %v", err)
		}
		if ids := outboxIDs(t, h, o); len(ids) != before+1 || ids[before] != e.ID {
			t.Errorf("the outbox holds %d events, %d before", len(ids), before)
		}
		if left, err := h.Store.DueTallies(t.Context(), p, hour.Add(time.Hour), 10); err != nil || len(left) != 0 {
			t.Errorf("left: %v, %v", left, err)
		}
		must(t, h.Store, opened(t, h, o)) // it comes late
		late, err := h.Store.DueTallies(t.Context(), p, hour.Add(time.Hour), 10)
		if err != nil || len(late) != 1 || late[0].EventID == got[0].EventID {
			t.Errorf("counters that come late are another event: %+v, %v", late, err)
		}
	},
	"a lease has one holder": func(t *testing.T, h *Harness) {
		for _, step := range []struct {
			what, holder string
			want         bool
		}{{"sweeper", "a", true}, {"sweeper", "b", false}, {"sweeper", "a", true}, {"archiver", "b", true}} {
			if got, err := h.Store.Lease(t.Context(), []int{3}, step.what, step.holder); err != nil || !slices.Equal(got, []bool{step.want}) {
				t.Errorf("%s for %s: %t, %v", step.what, step.holder, got, err)
			}
		}
		if got, err := h.Second.Lease(t.Context(), []int{2, 3, 1}, "sweeper", "b"); err != nil || !slices.Equal(got, []bool{true, false, true}) {
			t.Errorf("what is free, what is not: %t, %v", got, err)
		}
		if got, err := h.Store.Lease(t.Context(), []int{1, 3}, "sweeper", "a"); err != nil || !slices.Equal(got, []bool{false, true}) {
			t.Errorf("from the other side: %t, %v", got, err)
		}
	},
}

var outboxCases = map[string]func(*testing.T, *Harness){
	"events come out in the order they went in, with a time that never goes back": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		var want []string
		for i := range 20 {
			events := make([]audit.Event, 1+i%3)
			for j := range events {
				events[j] = audit.Event{ID: newID(), Type: audit.TypeAccessDenied, Time: h.Now(), Organization: o.ID, OrganizationUID: o.UID,
					Personal: audit.Personal{IP: "192.0.2.1"}}
				want = append(want, events[j].ID)
			}
			if err := h.Outbox.Append(t.Context(), o.UID, events...); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(want, outboxIDs(t, h, o)); d != "" {
			t.Error(d)
		}
		p := h.Partition(o.UID)
		n, oldest, err := h.Source.Backlog(t.Context(), []int{p})
		if err != nil || n != int64(len(want)) || h.Now().Sub(oldest).Abs() > time.Minute {
			t.Errorf("backlog %d since %v, %v", n, oldest, err)
		}
		until, err := h.Source.ArchivedUntil(t.Context(), o.UID)
		if err != nil || !until.Equal(oldest) {
			t.Errorf("archived until %v, the oldest is of %v, %v", until, oldest, err)
		}
		raw, err := h.Source.Read(t.Context(), []int{p}, 1000, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Source.Done(t.Context(), p, raw[p][len(raw[p])-1].ID, nil); err != nil {
			t.Fatal(err)
		}
		if n, oldest, err := h.Source.Backlog(t.Context(), []int{p}); err != nil || n != 0 || !oldest.IsZero() {
			t.Errorf("after archiving: %d since %v, %v", n, oldest, err)
		}
		if after, err := h.Source.ArchivedUntil(t.Context(), o.UID); err != nil || after.Before(until) {
			t.Errorf("after archiving: %v, %v", after, err)
		}
	},
	"reading takes nothing away and respects its limit": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		for range 3 {
			must(t, h.Store, opened(t, h, o))
		}
		p := h.Partition(o.UID)
		for range 2 {
			got, err := h.Source.Read(t.Context(), []int{p, (p + 1) % 2}, 2, 1<<20)
			if err != nil || len(got[p]) != 2 {
				t.Fatalf("%d, %v", len(got[p]), err)
			}
		}
		if n := len(outboxIDs(t, h, o)); n != 3 {
			t.Errorf("%d left", n)
		}
	},
	"reading respects a size, but never comes back with nothing": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		for range 70 {
			must(t, h.Store, opened(t, h, o))
		}
		p := h.Partition(o.UID)
		all, err := h.Source.Read(t.Context(), []int{p}, 1000, 1<<20)
		if err != nil || len(all[p]) != 70 {
			t.Fatalf("%d, %v", len(all[p]), err)
		}
		for _, n := range []int{1, 2, 32, 33, 64, 69} {
			size := 0
			for _, e := range all[p][:n] {
				size += len(e.Data)
			}
			got, err := h.Source.Read(t.Context(), []int{p}, 1000, size)
			if d := cmp.Diff(all[p][:n], got[p]); d != "" || err != nil {
				t.Errorf("%d bytes: %d entries of %d, %v", size, len(got[p]), n, err)
			}
			if got, err := h.Source.Read(t.Context(), []int{p}, n, 1<<20); len(got[p]) != n || err != nil {
				t.Errorf("%d entries of %d, %v", len(got[p]), n, err)
			}
		}
		if got, err := h.Source.Read(t.Context(), []int{p}, 1000, 1); len(got[p]) != 1 || err != nil {
			t.Errorf("%d entries of one byte, %v", len(got[p]), err)
		}
	},
	"an append is all or nothing, and stays in its organization": func(t *testing.T, h *Harness) {
		o, other := h.Organization(t, "acme"), h.Organization(t, "zeta")
		mine := audit.Event{ID: newID(), Type: audit.TypeAccessDenied, Time: h.Now(), Organization: o.ID, OrganizationUID: o.UID}
		theirs := mine
		theirs.OrganizationUID = other.UID
		if err := h.Outbox.Append(t.Context(), o.UID, mine, theirs); err == nil {
			t.Error("an event of another organization was taken")
		}
		if err := h.Outbox.Append(t.Context(), newID(), mine); err == nil {
			t.Error("an organization that does not exist took an event")
		}
		if ids := outboxIDs(t, h, o); len(ids) != 0 {
			t.Errorf("%d events were written", len(ids))
		}
	},
	"the wrapped key is there for the archive": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		key, err := h.Source.WrappedKey(t.Context(), o.UID)
		if err != nil || key.OrganizationUID != o.UID || string(key.Wrapped) != string(o.Key.Wrapped) {
			t.Errorf("%v", err)
		}
		if _, err := h.Source.WrappedKey(t.Context(), newID()); errs.KindOf(err) != errs.NotFound {
			t.Errorf("of nobody: %v", err)
		}
	},
}

var faultCases = map[string]func(*testing.T, *Harness){
	"a lost reply is an unknown outcome, and the same request then gets the first answer": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		s, lose := h.Lossy(t)
		must(t, s, opened(t, h, o)) // whatever a first use needs is there
		start := opened(t, h, o)
		lose(true)
		if _, err := s.Commit(t.Context(), start); !errs.Is(err, "OUTCOME_UNKNOWN") || errs.KindOf(err) != errs.Unavailable {
			t.Fatalf("a start whose reply was lost: %v", err)
		}
		lose(false)
		done, err := s.Commit(t.Context(), start)
		if err != nil || done.Repeated == nil || done.Repeated.Flow != start.Flow.State.ID {
			t.Fatalf("the same again: %+v, %v", done, err)
		}
		step := stepped(h, o, flow(t, h.Store, o, start.Flow.State.ID))
		lose(true)
		if _, err := s.Commit(t.Context(), step); !errs.Is(err, "OUTCOME_UNKNOWN") {
			t.Fatalf("a step whose reply was lost: %v", err)
		}
		lose(false)
		if done, err := s.Commit(t.Context(), step); err != nil || done.Repeated == nil {
			t.Fatalf("the same again: %+v, %v", done, err)
		}
		if n := len(outboxIDs(t, h, o)); n != 3 {
			t.Errorf("%d events for three commits", n)
		}
	},
	"a store that cannot be reached records nothing": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		s := h.Unreachable(t)
		c := opened(t, h, o)
		if _, err := s.Commit(t.Context(), c); !errs.Is(err, "NOT_RECORDED") || errs.KindOf(err) != errs.Unavailable {
			t.Errorf("commit: %v", err)
		}
		if _, err := s.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Flow: c.Flow.State.ID}); !errs.Is(err, "NOT_RECORDED") {
			t.Errorf("read: %v", err)
		}
	},
}
