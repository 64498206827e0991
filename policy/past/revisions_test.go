package past_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/past"
)

// pages lists all revisions, a page at a time.
func (w *world) pages(t *testing.T, h policy.History, uid string, size int) (all []int64) {
	t.Helper()
	for before := int64(0); ; {
		list, err := h.PolicyRevisions(w.ctx, uid, before, size)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if want := fmt.Sprint("why ", r.Number); r.Number > 1 && r.Event.Type == audit.TypePolicyUpdated && r.Event.Personal.Detail != want {
				t.Errorf("revision %d says %q", r.Number, r.Event.Personal.Detail)
			}
			all = append(all, r.Number)
		}
		if len(list) < size {
			return all
		}
		before = list[len(list)-1].Number
	}
}

// downFrom counts down to 1.
func downFrom(n int64) (all []int64) {
	for ; n > 0; n-- {
		all = append(all, n)
	}
	return all
}

func (w *world) revised(t *testing.T, o *policy.Organization, upTo int64) *policy.Organization {
	t.Helper()
	for o.Revision < upTo {
		n := o.Revision + 1
		o = w.revise(t, o, fmt.Sprint("why ", n), func(o *policy.Organization) {
			o.Policy = policy.Policy{Default: policy.Demands{SessionLength: time.Duration(n) * time.Minute}}
			o.AllowUnreadable, o.SuspendedUntil, o.ProofsNotBefore = n%2 == 0, time.Unix(n, 0).UTC(), time.Unix(2*n, 0).UTC()
		})
	}
	return o
}

func TestRevisionsBeyondTheKeptOnesComeFromTheArchive(t *testing.T) {
	w := newWorld(t)
	o := w.revised(t, w.create(t, "acme"), policy.KeptRevisions+7)
	h := w.past.Revisions()
	w.flush(t)
	if got := w.pages(t, w.directory, o.UID, 300); len(got) != policy.KeptRevisions {
		t.Fatalf("the live store keeps %d", len(got))
	}
	if got := w.pages(t, h, o.UID, 300); !slices.Equal(got, downFrom(o.Revision)) {
		t.Errorf("%d revisions, from %d to %d", len(got), got[0], got[len(got)-1])
	}
	w.process(t)
	h = w.past.Revisions()
	for _, n := range []int64{1, 2, 5, 8, 900, o.Revision} {
		r, err := h.PolicyRevision(w.ctx, o.UID, n)
		if err != nil || r.Number != n {
			t.Fatalf("%d: %+v, %v", n, r, err)
		}
		if n == 1 {
			continue
		}
		if r.Policy.Default.SessionLength != time.Duration(n)*time.Minute || r.AllowUnreadable != (n%2 == 0) || !r.SuspendedUntil.Equal(time.Unix(n, 0)) ||
			!r.ProofsNotBefore.Equal(time.Unix(2*n, 0)) || r.Event.Personal.Detail != fmt.Sprint("why ", n) {
			t.Errorf("%d: %+v", n, r)
		}
	}
	for _, n := range []int64{0, -1, o.Revision + 1, 1 << 62} {
		if _, err := h.PolicyRevision(w.ctx, o.UID, n); !errs.Is(err, policy.ReasonRevisionNotFound) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

// TestWhatAStoreThatWasSetBackLostComesFromTheArchive puts an organization back to revision 3, counts on above the archive as
// recovery does, and changes its policy again.
func TestWhatAStoreThatWasSetBackLostComesFromTheArchive(t *testing.T) {
	w := newWorld(t)
	o := w.revised(t, w.create(t, "acme"), 3)
	claimed := policy.LookupKeys{Account: policy.AccountKey{7}}
	keep := w.keep(t, o.UID, claimed.Account)
	o = w.revised(t, o, 5)
	w.commit(t, policy.Change{Organization: o, AddClaims: []policy.ClaimRecord{{Key: claimed.Account, Kind: policy.ClaimAccount}}, Events: []audit.Event{event(o, audit.TypeAccountClaimed)}})
	w.flush(t)
	lost := w.see(t, o.UID)
	lost.records[claimed] = w.read(t, o.UID, claimed)
	keep()
	if err := w.directory.RaiseRevision(w.ctx, o.UID, 6, event(o, audit.TypeOrganizationSetBack)); err != nil {
		t.Fatal(err)
	}
	w.process(t)
	back := w.see(t, o.UID)
	back.records[claimed] = w.read(t, o.UID, claimed)
	h := w.past.Revisions()
	if got := w.current(t, o.UID); got.Revision != 7 || got.Policy.Default.SessionLength != 3*time.Minute {
		t.Fatalf("%+v", got)
	}
	w.revised(t, w.current(t, o.UID), 9)
	w.flush(t)
	for _, size := range []int{1, 2, 3, 100} {
		if got := w.pages(t, h, o.UID, size); !slices.Equal(got, []int64{9, 8, 7, 5, 4, 3, 2, 1}) {
			t.Errorf("pages of %d: %v", size, got)
		}
	}
	for at, want := range map[int64][2]int64{3: {3, 3}, 4: {4, 4}, 5: {5, 5}, 6: {5, 5}, 7: {7, 3}, 8: {8, 8}, 9: {9, 9}} {
		r, err := h.PolicyRevision(w.ctx, o.UID, at)
		if err != nil || r.Number != want[0] || r.Policy.Default.SessionLength != time.Duration(want[1])*time.Minute {
			t.Errorf("at %d: %+v, %v", at, r, err)
		}
	}
	for what, s := range map[string]seen{"before": lost, "after": back} {
		m, err := w.past.At(w.ctx, o.UID, s.at)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.organization, m.Organization, same); diff != "" {
			t.Errorf("%s (-live +history):\n%s", what, diff)
		}
		for keys, want := range s.records {
			if got, err := w.past.Records(w.ctx, m, keys); err != nil || cmp.Diff(want, got, same) != "" {
				t.Errorf("%s: %+v, %v; was %+v", what, got, err, want)
			}
		}
	}
	if lost.records[claimed].AccountClaim == nil || back.records[claimed].AccountClaim != nil {
		t.Error("the claim was not lost")
	}
}

// keep remembers an organization's records and returns what puts them back.
func (w *world) keep(t *testing.T, uid string, claim policy.AccountKey) func() {
	t.Helper()
	keys, err := redisx.NewKeys(2)
	if err != nil {
		t.Fatal(err)
	}
	space, dumps := keys.Of(uid), map[string]string{}
	for _, k := range []string{space.Organization(uid), space.PolicyHistory(uid), space.PolicyRevisions(uid), space.Claim(uid, claim)} {
		if dumps[k], err = w.client.Dump(w.ctx, k).Result(); err != nil && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
	}
	return func() {
		for k, v := range dumps {
			if v == "" {
				w.client.Del(w.ctx, k)
				continue
			}
			if err := w.client.RestoreReplace(w.ctx, k, 0, v).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// broken is an archive that cannot be used.
type broken struct{ audit.HistoryReader }

var errBroken = errors.New("broken")

func (broken) Versions(context.Context, audit.VersionQuery) ([]audit.OrganizationVersion, error) {
	return nil, errBroken
}

func TestWithoutTheArchiveNothingIsLeftOutUnsaid(t *testing.T) {
	w := newWorld(t)
	o := w.revised(t, w.create(t, "acme"), 3)
	c := w.past.Config
	c.Archive = broken{}
	p, err := past.New(c)
	if err != nil {
		t.Fatal(err)
	}
	h := p.Revisions()
	if _, err := h.PolicyRevisions(w.ctx, o.UID, 0, 10); !errors.Is(err, errBroken) {
		t.Errorf("a list: %v", err)
	}
	r, err := h.PolicyRevision(w.ctx, o.UID, 2) // the live store has exactly that one
	want, err2 := w.directory.PolicyRevision(w.ctx, o.UID, 2)
	if err != nil || err2 != nil || cmp.Diff(want, r, same, cmp.AllowUnexported(policy.Address{})) != "" {
		t.Errorf("%+v, %v, %v", r, err, err2)
	}
	w.commit(t, policy.Change{Organization: o, AddClaims: []policy.ClaimRecord{{Key: policy.AccountKey{7}, Kind: policy.ClaimAccount}}, Events: []audit.Event{event(o, audit.TypeAccountClaimed)}})
	if _, err := h.PolicyRevision(w.ctx, o.UID, 4); !errors.Is(err, errBroken) {
		t.Errorf("one that is between: %v", err)
	}
}
