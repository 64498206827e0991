package directorytest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// challenge is one with every field set.
func challenge(t *testing.T, s string) *policy.DomainChallenge {
	t.Helper()
	at := func(h int) time.Time { return moment.Add(time.Duration(h) * time.Hour) }
	return &policy.DomainChallenge{Domain: domain(t, s), Subdomains: true, Token: policy.ChallengeToken{1, 2, 3}, Expires: at(1), State: policy.DomainFailing,
		LapseAfter: 8 * 24 * time.Hour, Created: at(2), Verified: at(3), Failing: at(4), DNSSEC: true, Checked: at(5), Outcome: "ABSENT", Detail: "NODATA",
		Due: at(6), Negatives: 3, FirstNegative: at(7), LastNegative: at(8), Warnings: 2, LastWarning: at(9)}
}

func stored(t *testing.T, d policy.Challenges, uid, s string) *policy.DomainChallenge {
	t.Helper()
	c, err := d.Challenge(t.Context(), uid, domain(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func dueNames(t *testing.T, h *Harness, uid string, now time.Time, limit int) []string {
	t.Helper()
	list, err := h.Second.DueChecks(t.Context(), h.Partition(uid), now, limit)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range list {
		if d.OrganizationUID != uid {
			t.Errorf("due: %+v", d)
		}
		out = append(out, d.Domain.String())
	}
	return out
}

var challengeCases = map[string]func(*testing.T, *Harness){
	"what was committed is read, changed and taken away, each time with its event": func(t *testing.T, h *Harness) {
		o := prepared(t, h)
		if c := stored(t, h.Second, o.UID, "asked.example.org"); c != nil {
			t.Errorf("before: %+v", c)
		}
		want := challenge(t, "asked.example.org")
		a := must(t, h, policy.Change{Organization: o, Challenges: []policy.ChallengeChange{{After: want}}, Events: []audit.Event{event(o, audit.TypeDomainCreated)}})
		got := stored(t, h.Second, o.UID, "asked.example.org")
		want.Revision, want.Version = a.Revision, got.Version
		if d := cmp.Diff(want, got, same); d != "" || got.Version == "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		o = current(t, h.Second, o.UID)
		next := *got
		next.State, next.Due = policy.DomainLapsed, time.Time{}
		must(t, h, policy.Change{Organization: o, Challenges: []policy.ChallengeChange{{Before: got, After: &next}}})
		if got = stored(t, h.Directory, o.UID, "asked.example.org"); got.State != policy.DomainLapsed || !got.Due.IsZero() {
			t.Errorf("%+v", got)
		}
		if due := dueNames(t, h, o.UID, moment.Add(9999*time.Hour), 10); len(due) != 0 {
			t.Errorf("due: %v", due)
		}
		must(t, h, policy.Change{Organization: current(t, h.Directory, o.UID), Challenges: []policy.ChallengeChange{{Before: got}}})
		if c := stored(t, h.Second, o.UID, "asked.example.org"); c != nil {
			t.Errorf("afterwards: %+v", c)
		}
		if list, err := h.Second.Challenges(t.Context(), o.UID, policy.Domain{}, 10); err != nil || len(list) != 0 {
			t.Errorf("%v, %v", list, err)
		}
	},
	"a challenge that is not as it was read stops the whole commit": func(t *testing.T, h *Harness) {
		o := prepared(t, h)
		must(t, h, policy.Change{Organization: o, Challenges: []policy.ChallengeChange{{After: challenge(t, "asked.example.org")}}})
		o = current(t, h.Directory, o.UID)
		got := stored(t, h.Directory, o.UID, "asked.example.org")
		noted := *got
		noted.Checked = noted.Checked.Add(time.Hour)
		if err := h.Second.NoteCheck(t.Context(), o.UID, got, &noted); err != nil {
			t.Fatal(err)
		}
		if now := current(t, h.Directory, o.UID); now.Stamp != o.Stamp || now.Revision != o.Revision {
			t.Error("a note is no change of the directory")
		}
		before := h.Dump(t)
		for name, ch := range map[string]policy.ChallengeChange{"changed": {Before: got, After: &noted}, "new": {After: got}, "gone": {Before: got}} {
			c := policy.Change{Organization: o, AddDomains: []policy.DomainRecord{record(t, "a.example.org")}, Challenges: []policy.ChallengeChange{ch}, Events: []audit.Event{event(o, audit.TypeDomainVerified)}}
			if _, _, err := h.Directory.Commit(t.Context(), c); !errs.Is(err, "ETAG_MISMATCH") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := h.Directory.NoteCheck(t.Context(), o.UID, got, &noted); !errs.Is(err, "CHALLENGE_MOVED") || errs.KindOf(err) != errs.Conflict {
			t.Errorf("noted twice: %v", err)
		}
		lapsed := noted
		lapsed.State = policy.DomainLapsed
		if err := h.Directory.NoteCheck(t.Context(), o.UID, &noted, &lapsed); errs.KindOf(err) != errs.Internal || err == nil {
			t.Errorf("a change of state without a commit: %v", err)
		}
		if h.Dump(t) != before {
			t.Error("something was written")
		}
	},
	"of racing notes one counts": func(t *testing.T, h *Harness) {
		o := prepared(t, h)
		must(t, h, policy.Change{Organization: o, Challenges: []policy.ChallengeChange{{After: challenge(t, "asked.example.org")}}})
		var won atomic.Int32
		var wait sync.WaitGroup
		first := stored(t, h.Directory, o.UID, "asked.example.org")
		for i := range 6 {
			d := h.Directory
			if i%2 == 1 {
				d = h.Second
			}
			wait.Go(func() {
				next := *first
				next.Negatives++
				switch err := d.NoteCheck(t.Context(), o.UID, first, &next); {
				case err == nil:
					won.Add(1)
				case !errs.Is(err, "CHALLENGE_MOVED"):
					t.Errorf("%v", err)
				}
			})
		}
		wait.Wait()
		if c := stored(t, h.Second, o.UID, "asked.example.org"); won.Load() != 1 || c.Negatives != first.Negatives+1 {
			t.Errorf("%d won, %d negatives", won.Load(), c.Negatives)
		}
	},
	"pages are in order and what is due comes oldest first": func(t *testing.T, h *Harness) {
		o := prepared(t, h)
		for i, s := range []string{"c.example.org", "a.example.org", "d.example.org", "b.example.org"} {
			c := challenge(t, s)
			c.Due = moment.Add(time.Duration(i) * time.Hour)
			must(t, h, policy.Change{Organization: current(t, h.Directory, o.UID), Challenges: []policy.ChallengeChange{{After: c}}})
		}
		var names []string
		for after := (policy.Domain{}); ; {
			page, err := h.Second.Challenges(t.Context(), o.UID, after, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page {
				names = append(names, c.Domain.String())
				after = c.Domain
			}
			if len(page) < 3 {
				break
			}
		}
		if d := cmp.Diff([]string{"a.example.org", "b.example.org", "c.example.org", "d.example.org"}, names); d != "" {
			t.Error(d)
		}
		for now, want := range map[time.Time][]string{
			moment.Add(-time.Millisecond): nil, moment: {"c.example.org"}, moment.Add(2 * time.Hour): {"c.example.org", "a.example.org", "d.example.org"},
		} {
			if d := cmp.Diff(want, dueNames(t, h, o.UID, now, 10)); d != "" {
				t.Errorf("%v: %s", now, d)
			}
		}
		if d := cmp.Diff([]string{"c.example.org", "a.example.org"}, dueNames(t, h, o.UID, moment.Add(9*time.Hour), 2)); d != "" {
			t.Error(d)
		}
		// A look moves it, whether it is a note or a commit.
		c := stored(t, h.Directory, o.UID, "c.example.org")
		next := *c
		next.Due = moment.Add(50 * time.Hour)
		if err := h.Directory.NoteCheck(t.Context(), o.UID, c, &next); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"a.example.org", "d.example.org", "b.example.org", "c.example.org"}, dueNames(t, h, o.UID, moment.Add(99*time.Hour), 10)); d != "" {
			t.Error(d)
		}
	},
	"one organization at a time has a domain, and what was read cannot come back": func(t *testing.T, h *Harness) {
		d := domain(t, "asked.example.org")
		none, err := h.Second.DomainOwner(t.Context(), d)
		if err != nil || none != (policy.DomainOwner{}) {
			t.Fatalf("%+v, %v", none, err)
		}
		var won atomic.Int32
		var wait sync.WaitGroup
		for range 6 {
			wait.Go(func() {
				_, ok, err := h.Directory.SwapDomainOwner(t.Context(), d, none, policy.DomainOwner{OrganizationUID: newID(), Taken: moment})
				if err != nil {
					t.Error(err)
				} else if ok {
					won.Add(1)
				}
			})
		}
		wait.Wait()
		first, err := h.Second.DomainOwner(t.Context(), d)
		if err != nil || won.Load() != 1 || first.OrganizationUID == "" || !first.Taken.Equal(moment) || first.Confirmed {
			t.Fatalf("%d won: %+v, %v", won.Load(), first, err)
		}
		again, ok, err := h.Directory.SwapDomainOwner(t.Context(), d, first, policy.DomainOwner{OrganizationUID: first.OrganizationUID, Taken: moment})
		if err != nil || !ok || again.Version == first.Version {
			t.Errorf("%+v, %v, %v", again, ok, err)
		}
		if _, ok, err := h.Second.SwapDomainOwner(t.Context(), d, first, policy.DomainOwner{OrganizationUID: newID(), Taken: moment}); ok || err != nil {
			t.Errorf("with what was read before: %v, %v", ok, err)
		}
		confirmed := again
		confirmed.Confirmed = true
		if confirmed, ok, err = h.Second.SwapDomainOwner(t.Context(), d, again, confirmed); !ok || err != nil {
			t.Errorf("confirmed: %v, %v", ok, err)
		}
		if got, err := h.Directory.DomainOwner(t.Context(), d); err != nil || got.Version != confirmed.Version || !got.Confirmed {
			t.Errorf("%+v, %v", got, err)
		}
		if _, ok, err := h.Second.SwapDomainOwner(t.Context(), d, confirmed, policy.DomainOwner{}); !ok || err != nil {
			t.Errorf("given up: %v, %v", ok, err)
		}
		if got, err := h.Directory.DomainOwner(t.Context(), d); err != nil || got != none {
			t.Errorf("%+v, %v", got, err)
		}
	},
}
