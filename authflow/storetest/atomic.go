package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// kinds are all kinds of commits, each on a store that is prepared for it.
var kinds = map[string]func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit{
	"start": opened,
	"start that supersedes": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		_, next := superseding(t, h, o)
		return next
	},
	"bind": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		return stepped(h, o, must(t, h.Store, opened(t, h, o)))
	},
	"step": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		return stepped(h, o, must(t, h.Store, stepped(h, o, must(t, h.Store, opened(t, h, o)))))
	},
	"held step": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		c := stepped(h, o, must(t, h.Store, opened(t, h, o)))
		c.Events = nil
		return c
	},
	"ending": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		return ended(h, o, must(t, h.Store, opened(t, h, o)), audit.EndingDenied, audit.TypeSignInDenied)
	},
	"unrecorded ending": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		c := ended(h, o, must(t, h.Store, opened(t, h, o)), audit.EndingCancelled, audit.TypeSignInCancelled)
		c.Flow.State.Recorded, c.Events = false, nil
		return c
	},
	"session": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		l := must(t, h.Store, opened(t, h, o))
		e := event(l.State, audit.TypeSessionStarted, h.Now())
		e.Step = 0
		return &authflow.Commit{OrganizationUID: o.UID, PolicyStamp: o.PolicyStamp, Key: random32(), Request: random32(), OwnKey: true,
			Outcome: outcome(l.State), Events: []audit.Event{e},
			Session: &authflow.SessionWrite{Handle: random32(), IsNew: true, Session: authflow.Session{Flow: l.State.ID, SiteUID: siteUID, Started: h.Now(), Expires: h.Now().Add(time.Hour)}},
			Claims:  []authflow.Claim{{Kind: "ended", Name: "x", Value: "y", Until: h.Now().Add(time.Hour)}}}
	},
}

var atomicCases = map[string]func(*testing.T, *Harness){
	"every kind of commit works where nothing is wrong": func(t *testing.T, h *Harness) {
		for name, kind := range kinds {
			o := h.Organization(t, "org-"+newID()[24:])
			before := len(outboxIDs(t, h, o))
			c := kind(t, h, o)
			planned := len(outboxIDs(t, h, o))
			must(t, h.Store, c)
			if got := len(outboxIDs(t, h, o)); got != planned+len(c.Events) || got < before {
				t.Errorf("%s: %d events in the outbox, want %d", name, got, planned+len(c.Events))
			}
		}
	},
	"a record of the wrong type at any place stops the whole commit": func(t *testing.T, h *Harness) {
		for name, kind := range kinds {
			places := len(h.Touched(kind(t, h, h.Organization(t, "org-"+newID()[24:]))))
			if places < 3 {
				t.Fatalf("%s touches %d records", name, places)
			}
			for i := range places {
				spoiled(t, h, kinds[name], name, i)
			}
		}
	},
	"a refused commit writes nothing": func(t *testing.T, h *Harness) {
		for name, kind := range kinds {
			o := h.Organization(t, "org-"+newID()[24:])
			c := kind(t, h, o)
			c.PolicyStamp[15] ^= 1
			before := h.Dump(t)
			var conflict *authflow.Conflict
			if _, err := h.Store.Commit(t.Context(), c); !errors.As(err, &conflict) || conflict.Organization == nil {
				t.Errorf("%s: %v", name, err)
			}
			if after := h.Dump(t); after != before {
				t.Errorf("%s: something was written\nbefore\n%s\nafter\n%s", name, before, after)
			}
		}
	},
}

// spoiled makes a commit of a kind with the record at one place spoiled.
func spoiled(t *testing.T, h *Harness, make func(*testing.T, *Harness, *policy.Organization) *authflow.Commit, kind string, place int) {
	t.Helper()
	o := h.Organization(t, "org-"+newID()[24:])
	c := make(t, h, o)
	name := h.Touched(c)[place]
	defer h.Spoil(t, name)()
	before := h.Dump(t)
	_, err := h.Store.Commit(t.Context(), c)
	switch {
	case err == nil && optional(c, place):
		return
	case !errs.Is(err, "NOT_RECORDED") || errs.KindOf(err) != errs.Unavailable:
		t.Errorf("%s, place %d (%s): %v", kind, place, name, err)
	}
	if after := h.Dump(t); after != before {
		t.Errorf("%s, place %d (%s): something was written\nbefore\n%s\nafter\n%s", kind, place, name, before, after)
	}
}

// optional tells places that a commit without events never writes: its outbox, the second place of every commit.
func optional(c *authflow.Commit, place int) bool { return len(c.Events) == 0 && place == 1 }
