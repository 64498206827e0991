package storetest

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

const racers = 8

var contentionCases = map[string]func(*testing.T, *Harness){
	"of racing steps one wins, the others get the winner's state": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		l := must(t, h.Store, opened(t, h, o))
		commits := make([]*authflow.Commit, racers)
		for i := range commits {
			commits[i] = stepped(h, o, l)
		}
		var wait sync.WaitGroup
		errsOf := make([]error, racers)
		for i, c := range commits {
			s := h.Store
			if i%2 == 1 {
				s = h.Second
			}
			wait.Go(func() { _, errsOf[i] = s.Commit(t.Context(), c) })
		}
		wait.Wait()
		winner := -1
		for i, err := range errsOf {
			if err == nil {
				if winner >= 0 {
					t.Fatal("two commits from one stamp won")
				}
				winner = i
			}
		}
		if winner < 0 {
			t.Fatalf("nobody won: %v", errsOf[0])
		}
		for i, err := range errsOf {
			var conflict *authflow.Conflict
			if i == winner {
				continue
			}
			if !errors.As(err, &conflict) || conflict.Flow == nil || conflict.Gone || conflict.Organization != nil {
				t.Errorf("racer %d: %v", i, err)
				continue
			}
			if d := cmp.Diff(commits[winner].Flow.State, conflict.Flow.State, same); d != "" {
				t.Errorf("racer %d was given another state than the winner's:\n%s", i, d)
			}
		}
		if got := outboxIDs(t, h, o); len(got) != 2 || got[1] != commits[winner].Events[0].ID {
			t.Errorf("the outbox holds %v", got)
		}
	},
	"of racing starts with one request id one happens": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		key, request := authflow.CommitKey(random32()), authflow.Digest(random32())
		var wait sync.WaitGroup
		answers := make([]authflow.FlowID, racers)
		for i := range racers {
			c := opened(t, h, o)
			c.Key, c.Request = key, request
			wait.Go(func() {
				done, err := h.Store.Commit(t.Context(), c)
				switch {
				case err != nil:
					t.Errorf("racer %d: %v", i, err)
				case done.Repeated != nil:
					answers[i] = done.Repeated.Flow
				default:
					answers[i] = c.Flow.State.ID
				}
			})
		}
		wait.Wait()
		for _, a := range answers {
			if a != answers[0] || a.IsZero() {
				t.Fatalf("the same request opened several flows: %v", answers)
			}
		}
		if n := len(outboxIDs(t, h, o)); n != 1 {
			t.Errorf("%d events for one start", n)
		}
	},
	"the same counter with other bytes is another version": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		l := must(t, h.Store, opened(t, h, o))
		forged := *l
		forged.Stamp[15] ^= 1
		var conflict *authflow.Conflict
		if _, err := h.Store.Commit(t.Context(), stepped(h, o, &forged)); !errors.As(err, &conflict) || conflict.Flow == nil || conflict.Flow.Stamp != l.Stamp {
			t.Errorf("a stamp with other random bytes: %v", err)
		}
	},
	"a flow that exists is not started again, one that is gone is not stepped": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		first := opened(t, h, o)
		must(t, h.Store, first)
		second := opened(t, h, o)
		second.Flow.State.ID = first.Flow.State.ID
		var conflict *authflow.Conflict
		if _, err := h.Store.Commit(t.Context(), second); !errors.As(err, &conflict) || conflict.Flow == nil {
			t.Errorf("a second start under one id: %v", err)
		}
		ghost := &authflow.Loaded{State: opened(t, h, o).Flow.State, Stamp: policy.Stamp{1, 2, 3}}
		if _, err := h.Store.Commit(t.Context(), stepped(h, o, ghost)); !errors.As(err, &conflict) || !conflict.Gone {
			t.Errorf("a step of a flow that is not there: %v", err)
		}
	},
	"a stamp never comes again": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		seen := map[policy.Stamp]bool{}
		for range 20 {
			l := must(t, h.Store, opened(t, h, o))
			if seen[l.Stamp] || l.Stamp.IsZero() {
				t.Fatal("a stamp came twice, or is zero")
			}
			seen[l.Stamp] = true
		}
	},
}

var requestCases = map[string]func(*testing.T, *Harness){
	"the same request gets the first answer and writes nothing": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		start := opened(t, h, o)
		l := must(t, h.Store, start)
		step := stepped(h, o, l)
		must(t, h.Store, step)
		before := h.Dump(t)
		for name, c := range map[string]*authflow.Commit{"start": start, "step": step} {
			again := *c
			if name == "start" { // minted anew by the caller
				again.Flow = opened(t, h, o).Flow
			}
			done, err := h.Second.Commit(t.Context(), &again)
			if err != nil || done.Repeated == nil {
				t.Fatalf("%s: %v", name, err)
			}
			if d := cmp.Diff(c.Outcome, done.Repeated, same); d != "" {
				t.Errorf("%s: another answer than the first:\n%s", name, d)
			}
		}
		if after := h.Dump(t); after != before {
			t.Error("a repeated request wrote something")
		}
		got := read(t, h.Second, authflow.Read{OrganizationUID: o.UID, Flow: l.State.ID, Key: step.Key, Request: step.Request})
		if d := cmp.Diff(step.Outcome, got.Outcome, same); d != "" {
			t.Errorf("read: another answer than the first:\n%s", d)
		}
	},
	"the first answer stands although everything else has moved": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		l := must(t, h.Store, opened(t, h, o))
		step := stepped(h, o, l)
		must(t, h.Store, ended(h, o, must(t, h.Store, step), audit.EndingDenied, audit.TypeSignInDenied))
		h.MovePolicy(t, o)
		done, err := h.Store.Commit(t.Context(), step)
		if err != nil || done.Repeated == nil || done.Repeated.Ending != audit.EndingNone {
			t.Errorf("%+v, %v", done, err)
		}
	},
	"the same id with another request is refused": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		start := opened(t, h, o)
		l := must(t, h.Store, start)
		step := stepped(h, o, l)
		must(t, h.Store, step)
		for name, c := range map[string]*authflow.Commit{"start": start, "step": step} {
			other := *c
			other.Request[0] ^= 1
			if _, err := h.Store.Commit(t.Context(), &other); !errs.Is(err, "REQUEST_ID_REUSED") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := h.Store.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Key: start.Key}); !errs.Is(err, "REQUEST_ID_REUSED") {
			t.Errorf("read: %v", err)
		}
	},
	"a conflict stores no answer": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		l := must(t, h.Store, opened(t, h, o))
		must(t, h.Store, stepped(h, o, l))
		late := stepped(h, o, l)
		if _, err := h.Store.Commit(t.Context(), late); err == nil {
			t.Fatal("a stale commit was taken")
		}
		retry := stepped(h, o, flow(t, h.Store, o, l.State.ID))
		retry.Key, retry.Request = late.Key, late.Request
		must(t, h.Store, retry)
	},
	"an answer with everything in it stays within bounds and comes back": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := opened(t, h, o)
		for range 60 {
			c.Outcome.Decision.AllowedMethods = append(c.Outcome.Decision.AllowedMethods, "sso:a-connection-with-quite-a-long-name")
			c.Outcome.Next = append(c.Outcome.Next, policy.Next{Method: "sso", Connection: "a-connection-with-quite-a-long-name"})
		}
		must(t, h.Store, c)
		got := read(t, h.Store, authflow.Read{OrganizationUID: o.UID, Key: c.Key, Request: c.Request}).Outcome
		if got == nil || got.Flow != c.Outcome.Flow || got.Verdict != c.Outcome.Verdict || got.Decision.Class != c.Outcome.Decision.Class {
			t.Errorf("%+v", got)
		}
	},
}
