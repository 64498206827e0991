package past_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
			if want := fmt.Sprint("why ", r.Number); r.Number > 1 && r.Event.Personal.Detail != want {
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
	keep := w.keep(t, o.UID)
	w.revised(t, o, 6)
	w.flush(t)
	keep()
	if err := w.directory.RaiseRevision(w.ctx, o.UID, 6); err != nil {
		t.Fatal(err)
	}
	w.process(t)
	h := w.past.Revisions()
	if got := w.current(t, o.UID); got.Revision != 7 || got.Policy.Default.SessionLength != 3*time.Minute {
		t.Fatalf("%+v", got)
	}
	w.revised(t, w.current(t, o.UID), 9)
	for _, archived := range []bool{false, true} {
		if archived {
			w.flush(t)
		}
		for _, size := range []int{1, 2, 3, 100} {
			if got := w.pages(t, h, o.UID, size); !slices.Equal(got, []int64{9, 8, 6, 5, 4, 3, 2, 1}) {
				t.Errorf("archived %t, pages of %d: %v", archived, size, got)
			}
		}
		for at, want := range map[int64]int64{1: 1, 3: 3, 4: 4, 5: 5, 6: 6, 7: 6, 8: 8, 9: 9} {
			r, err := h.PolicyRevision(w.ctx, o.UID, at)
			if err != nil || r.Number != want || at > 1 && r.Policy.Default.SessionLength != time.Duration(want)*time.Minute {
				t.Errorf("archived %t, at %d: %+v, %v", archived, at, r, err)
			}
		}
	}
}

// keep remembers an organization's records and returns what puts them back.
func (w *world) keep(t *testing.T, uid string) func() {
	t.Helper()
	keys, err := redisx.NewKeys(2)
	if err != nil {
		t.Fatal(err)
	}
	space, dumps := keys.Of(uid), map[string]string{}
	for _, k := range []string{space.Organization(uid), space.PolicyHistory(uid), space.PolicyRevisions(uid)} {
		if dumps[k], err = w.client.Dump(w.ctx, k).Result(); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for k, v := range dumps {
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
