package directorytest

import (
	"crypto/rand"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

func requestKey() (k policy.ApplyKey) {
	_, _ = rand.Read(k.Key[:]) // never fails
	_, _ = rand.Read(k.Digest[:])
	return k
}

// changes are all kinds of changes, on an organization that has a domain.
var changes = map[string]func(t *testing.T, h *Harness, o *policy.Organization) policy.Change{
	"creation": func(t *testing.T, h *Harness, o *policy.Organization) policy.Change {
		fresh := &policy.Organization{ID: "new", UID: newID(), DisplayName: "New"}
		fresh.Key = h.Mint(t, fresh.UID)
		return policy.Change{Organization: fresh, WritePolicy: true, Events: []audit.Event{event(fresh, audit.TypeOrganizationCreated)}}
	},
	"policy": func(t *testing.T, _ *Harness, o *policy.Organization) policy.Change {
		return policy.Change{Organization: rich(t, o), WritePolicy: true, Events: []audit.Event{event(o, audit.TypeSiteCreated), event(o, audit.TypePolicyUpdated)}}
	},
	"additions": func(t *testing.T, _ *Harness, o *policy.Organization) policy.Change {
		return policy.Change{Organization: o, AddDomains: []policy.DomainRecord{record(t, "a.example.org"), record(t, "b.example.org")},
			AddClaims: []policy.ClaimRecord{claim(1)}, Events: []audit.Event{event(o, audit.TypeDomainVerified)}}
	},
	"a challenge": func(t *testing.T, _ *Harness, o *policy.Organization) policy.Change {
		return policy.Change{Organization: o, Challenges: []policy.ChallengeChange{{After: challenge(t, "asked.example.org")}}, Events: []audit.Event{event(o, audit.TypeDomainCreated)}}
	},
	"removals": func(t *testing.T, _ *Harness, o *policy.Organization) policy.Change {
		return policy.Change{Organization: o, DropDomains: []policy.Domain{domain(t, "first.example.org")}, DropClaims: []policy.AccountKey{claim(3).Key}, Events: []audit.Event{event(o, audit.TypeDomainRemoved)}}
	},
}

// prepared is an organization with a domain.
func prepared(t *testing.T, h *Harness) *policy.Organization {
	t.Helper()
	o := created(t, h, "org-"+newID()[24:])
	must(t, h, policy.Change{Organization: o, AddDomains: []policy.DomainRecord{record(t, "first.example.org")}, AddClaims: []policy.ClaimRecord{claim(3)}})
	return current(t, h.Directory, o.UID)
}

var atomicCases = map[string]func(*testing.T, *Harness){
	"every kind of change works and brings its events, with the revision it made": func(t *testing.T, h *Harness) {
		for name, change := range changes {
			o := prepared(t, h)
			c := change(t, h, o)
			c.Request = requestKey()
			before := len(h.Events(t, c.Organization.UID))
			a := must(t, h, c)
			events := h.Events(t, c.Organization.UID)[before:]
			if len(events) != len(c.Events) || len(a.Events) != len(events) {
				t.Fatalf("%s: %d events for %d", name, len(events), len(c.Events))
			}
			for i, e := range events {
				if e.ID != c.Events[i].ID || a.Events[i] != e.ID || e.Revision != a.Revision {
					t.Errorf("%s: event %d: %+v", name, i, e)
				}
			}
		}
	},
	"what a change lists is sealed and opens again": func(t *testing.T, h *Harness) {
		o := prepared(t, h)
		c := changes["additions"](t, h, o)
		c.Events[0].Personal = audit.Personal{Items: []string{"a.example.org", "b.example.org"}, Detail: "because"}
		must(t, h, c)
		all := h.Events(t, o.UID)
		e := all[len(all)-1]
		if e.Sealed == nil || len(e.Personal.Items) != 2 || e.Personal.Detail != "because" {
			t.Errorf("%+v", e)
		}
	},
	"a record of the wrong type at any place stops the whole change": func(t *testing.T, h *Harness) {
		for name, change := range changes {
			for i := 0; ; i++ {
				o := prepared(t, h)
				c := change(t, h, o)
				c.Request = requestKey()
				places := h.Touched(c)
				if i >= len(places) {
					break
				}
				undo := h.Spoil(t, places[i])
				before := h.Dump(t)
				if _, _, err := h.Directory.Commit(t.Context(), c); !errs.Is(err, "NOT_RECORDED") {
					t.Errorf("%s, place %d (%s): %v", name, i, places[i], err)
				}
				if after := h.Dump(t); after != before {
					t.Errorf("%s, place %d (%s): something was written\nbefore\n%s\nafter\n%s", name, i, places[i], before, after)
				}
				undo()
			}
		}
	},
	"a change of too many keys is refused whole": func(t *testing.T, h *Harness) {
		o := prepared(t, h)
		c := policy.Change{Organization: o}
		for i := range 501 {
			c.AddClaims = append(c.AddClaims, policy.ClaimRecord{Key: policy.AccountKey{byte(i), byte(i >> 8)}, Kind: policy.ClaimAccount})
		}
		before := h.Dump(t)
		if _, _, err := h.Directory.Commit(t.Context(), c); err == nil {
			t.Error("501 keys in one commit")
		}
		if h.Dump(t) != before {
			t.Error("something was written")
		}
		c.AddClaims = c.AddClaims[:500]
		must(t, h, c)
	},
}

var progressCases = map[string]func(*testing.T, *Harness){
	"progress is found again, by the same request only": func(t *testing.T, h *Harness) {
		o := prepared(t, h)
		key := requestKey()
		if p, err := h.Directory.Progress(t.Context(), o.UID, key); err != nil || p != nil {
			t.Errorf("of a new call: %+v, %v", p, err)
		}
		first := changes["additions"](t, h, o)
		first.Request = key
		done := []policy.Applied{must(t, h, first)}
		o = current(t, h.Directory, o.UID)
		p, err := h.Second.Progress(t.Context(), o.UID, key)
		if d := cmp.Diff(&policy.Progress{Stamp: o.Stamp, Commits: done}, p, same); err != nil || d != "" {
			t.Errorf("%v\n%s", err, d)
		}
		last := changes["policy"](t, h, o)
		last.Request, last.Progress, last.Done = key, done, true
		done = append(done, must(t, h, last))
		p, err = h.Second.Progress(t.Context(), o.UID, key)
		if err != nil || !p.Done || cmp.Diff(done, p.Commits, same) != "" || p.Stamp != current(t, h.Second, o.UID).Stamp {
			t.Errorf("%+v, %v", p, err)
		}
		other := key
		other.Digest[0] ^= 1
		if _, err := h.Second.Progress(t.Context(), o.UID, other); !errs.Is(err, "REQUEST_ID_REUSED") {
			t.Errorf("another request under the same id: %v", err)
		}
	},
	"the answer of a call that changed nothing is found again, and gives way to none": func(t *testing.T, h *Harness) {
		o := prepared(t, h)
		key := requestKey()
		want := policy.Progress{Stamp: o.Stamp, Commits: []policy.Applied{{Kind: "NOTHING", Revision: o.Revision}}, Done: true}
		if err := h.Directory.Answered(t.Context(), o.UID, key, want); err != nil {
			t.Fatal(err)
		}
		p, err := h.Second.Progress(t.Context(), o.UID, key)
		if d := cmp.Diff(&want, p, same); err != nil || d != "" {
			t.Errorf("%v\n%s", err, d)
		}
		if err := h.Second.Answered(t.Context(), o.UID, key, want); err != nil {
			t.Errorf("answered again: %v", err)
		}
		other := key
		other.Digest[0] ^= 1
		if err := h.Second.Answered(t.Context(), o.UID, other, want); !errs.Is(err, "REQUEST_ID_REUSED") {
			t.Errorf("another request under the same id: %v", err)
		}
		if now := current(t, h.Second, o.UID); now.Stamp != o.Stamp || now.Revision != o.Revision {
			t.Error("an answer is no change")
		}
	},
	"a refused change leaves no progress": func(t *testing.T, h *Harness) {
		o := prepared(t, h)
		c := changes["additions"](t, h, o)
		c.Request = requestKey()
		stale := *o
		stale.Stamp[15] ^= 1
		c.Organization = &stale
		if _, _, err := h.Directory.Commit(t.Context(), c); !errs.Is(err, "ETAG_MISMATCH") || errs.KindOf(err) != errs.Conflict {
			t.Fatalf("%v", err)
		}
		if p, err := h.Directory.Progress(t.Context(), o.UID, c.Request); err != nil || p != nil {
			t.Errorf("%+v, %v", p, err)
		}
	},
}

var raceCases = map[string]func(*testing.T, *Harness){
	"of racing changes of one version one wins": func(t *testing.T, h *Harness) {
		for name, change := range changes {
			o := prepared(t, h)
			c := change(t, h, o)
			var wait sync.WaitGroup
			var mu sync.Mutex
			won := 0
			for i := range 6 {
				d := h.Directory
				if i%2 == 1 {
					d = h.Second
				}
				mine := c
				if name == "creation" { // each with a key of its own
					fresh := *c.Organization
					fresh.Key = h.Mint(t, fresh.UID)
					mine.Organization = &fresh
				}
				wait.Go(func() {
					_, _, err := d.Commit(t.Context(), mine)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						won++
					case !errs.Is(err, "ETAG_MISMATCH"):
						t.Errorf("%s: %v", name, err)
					}
				})
			}
			wait.Wait()
			if won != 1 {
				t.Errorf("%s: %d won", name, won)
			}
			// Both processes can use the key of whoever won.
			for _, d := range []Both{h.Directory, h.Second} {
				now := current(t, d, c.Organization.UID)
				e := event(now, audit.TypeDomainVerified)
				e.Personal.Items = []string{"x"}
				if _, _, err := d.Commit(t.Context(), policy.Change{Organization: now, AddClaims: []policy.ClaimRecord{claim(7)}, Events: []audit.Event{e}}); err != nil {
					t.Errorf("%s: afterwards: %v", name, err)
				}
			}
		}
	},
}
