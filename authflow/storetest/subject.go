package storetest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

var subjectCases = map[string]func(*testing.T, *Harness){
	"what is not there is absent, and never nil": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		key := subjectKey()
		want := &authflow.SubjectRecords{Key: key}
		if d := cmp.Diff(want, subject(t, h.Store, o, key), same); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	},
	"both records come back as they were committed, from this process and from another": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		want := fresh(t, h, o)
		for name, s := range map[string]authflow.Store{"same": h.Store, "other": h.Second} {
			if d := cmp.Diff(want, subject(t, s, o, want.Key), same); d != "" {
				t.Errorf("%s process (-committed +read):\n%s", name, d)
			}
		}
		one := read(t, h.Second, authflow.Read{OrganizationUID: o.UID, Organization: true, Subject: &want.Key, Lookups: []policy.LookupKeys{{Account: want.Key}}})
		if one.Subject.Authenticator == nil || one.Organization == nil || len(one.Records) != 1 {
			t.Errorf("with other things in one read: %+v", one)
		}
	},
	"every state of an authenticator survives": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		at := instant(h)
		pending := enrolled(h)
		pending.State, pending.Active = factor.Pending, factor.Credential{}
		disabled := enrolled(h)
		disabled.State, disabled.Disabled, disabled.LockUntil, disabled.Failures = factor.Disabled, at, time.Time{}, factor.FailuresToDisable
		for name, a := range map[string]*factor.Authenticator{"pending": pending, "disabled": disabled, "reset": {AccountID: somebody}} {
			c := kept(h, o, &authflow.SubjectRecords{Key: subjectKey()})
			c.Authenticator.Next = a
			was := keep(t, h.Store, c)
			if d := cmp.Diff(a, subject(t, h.Second, o, was.Key).Authenticator, same); d != "" {
				t.Errorf("%s (-committed +read):\n%s", name, d)
			}
		}
	},
	"an authenticator that is not whole is not written": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := kept(h, o, &authflow.SubjectRecords{Key: subjectKey()})
		c.Authenticator.Next = &factor.Authenticator{State: factor.Active}
		before := h.Dump(t)
		if _, err := h.Store.Commit(t.Context(), c); !errs.Is(err, "AUTHENTICATOR_INVALID") {
			t.Errorf("%v", err)
		}
		if h.Dump(t) != before {
			t.Error("something was written")
		}
	},
	"records of another organization are not read": func(t *testing.T, h *Harness) {
		o, other := h.Organization(t, "acme"), h.Organization(t, "zeta")
		was := fresh(t, h, o)
		if got := subject(t, h.Store, other, was.Key); got.Authenticator != nil || got.Person != nil || !got.AuthenticatorStamp.IsZero() || !got.PersonStamp.IsZero() {
			t.Errorf("%+v", got)
		}
	},
	"a commit is about one subject": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := kept(h, o, &authflow.SubjectRecords{Key: subjectKey()})
		c.Person.Subject = subjectKey()
		if _, err := h.Store.Commit(t.Context(), c); errs.KindOf(err) != errs.Internal {
			t.Errorf("%v", err)
		}
	},
	"nothing that tells who it is stands in what is stored": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		key := subjectKey()
		keep(t, h.Store, kept(h, o, &authflow.SubjectRecords{Key: key}))
		c := kinds["session"](t, h, o)
		c.Session.Session.Subject = authflow.SessionSubject{AccountID: somebody, Email: address(t, theirMail)}
		must(t, h.Store, c)
		dump := h.Dump(t)
		for _, s := range []string{somebody, theirMail, strings.ToUpper(theirMail), hex.EncodeToString([]byte(somebody))} {
			if strings.Contains(dump, s) {
				t.Errorf("%q is stored in the clear", s)
			}
		}
		if !strings.Contains(dump, sealedOnce) { // the search would find something
			t.Error("the ciphertext of the secret is not where it belongs")
		}
	},
	"a record of the wrong type at any place stops the whole commit": func(t *testing.T, h *Harness) {
		for name, kind := range subjectKinds {
			for i := range h.Touched(kind(t, h, h.Organization(t, "org-"+newID()[24:]))) {
				spoiled(t, h, kind, name, i)
			}
		}
	},
	"a refused commit writes nothing": func(t *testing.T, h *Harness) {
		for name, kind := range subjectKinds {
			o := h.Organization(t, "org-"+newID()[24:])
			c := kind(t, h, o)
			c.PolicyStamp = o.PolicyStamp
			c.PolicyStamp[15] ^= 1
			refused(t, h, name, c, func(f *authflow.Conflict) bool { return f.Organization != nil && f.Subject == nil })
		}
	},
	"a stale stamp of either record stops the commit and brings both": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		for name, spoil := range map[string]func(*authflow.Commit){
			"authenticator replaced": func(c *authflow.Commit) { c.Authenticator.From[15] ^= 1 },
			"authenticator compared": func(c *authflow.Commit) { c.Authenticator.From[0] ^= 1; c.Authenticator.Next = nil },
			"authenticator made":     func(c *authflow.Commit) { c.Authenticator.From = policy.Stamp{} },
			"alone":                  func(c *authflow.Commit) { c.Authenticator.From = policy.Stamp{}; c.Person = nil },
			"person replaced":        func(c *authflow.Commit) { c.Person.From[15] ^= 1 },
			"person compared":        func(c *authflow.Commit) { c.Person.From[0] ^= 1; c.Person.Next = nil },
			"person made":            func(c *authflow.Commit) { c.Person.From = policy.Stamp{}; c.Authenticator = nil },
			"both":                   func(c *authflow.Commit) { c.Person.From, c.Authenticator.From = policy.Stamp{1}, policy.Stamp{2} },
		} {
			was := fresh(t, h, o)
			flow := must(t, h.Store, opened(t, h, o))
			c := about(h, stepped(h, o, flow), was, true, true)
			spoil(c)
			refused(t, h, name, c, func(f *authflow.Conflict) bool {
				return f.Flow == nil && !f.Gone && f.Organization == nil && cmp.Equal(was, f.Subject, same)
			})
			must(t, h.Store, about(h, stepped(h, o, flow), was, true, true)) // with what the conflict brought it works
		}
	},
	"flow and subject that both moved come in one answer": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		was, flow := fresh(t, h, o), must(t, h.Store, opened(t, h, o))
		must(t, h.Second, about(h, stepped(h, o, flow), was, true, true))
		refused(t, h, "both", about(h, stepped(h, o, flow), was, true, true), func(f *authflow.Conflict) bool {
			return f.Flow != nil && f.Subject != nil && f.Subject.AuthenticatorStamp != was.AuthenticatorStamp && f.Subject.PersonStamp != was.PersonStamp
		})
	},
	"what is gone is told from what is there": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := kept(h, o, &authflow.SubjectRecords{Key: subjectKey(), AuthenticatorStamp: policy.Stamp{1}, PersonStamp: policy.Stamp{2}})
		want := &authflow.SubjectRecords{Key: c.Person.Subject}
		refused(t, h, "gone", c, func(f *authflow.Conflict) bool { return cmp.Equal(want, f.Subject, same) })
	},
	"what was only compared stays as it is": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		was := fresh(t, h, o)
		must(t, h.Store, about(h, stepped(h, o, must(t, h.Store, opened(t, h, o))), was, false, false))
		if d := cmp.Diff(was, subject(t, h.Second, o, was.Key), same); d != "" {
			t.Errorf("(-before +after):\n%s", d)
		}
		// Nothing there, and nothing there afterwards.
		none := &authflow.SubjectRecords{Key: subjectKey()}
		must(t, h.Store, about(h, stepped(h, o, must(t, h.Store, opened(t, h, o))), none, false, false))
		if got := subject(t, h.Store, o, none.Key); got.Authenticator != nil || got.Person != nil {
			t.Errorf("%+v", got)
		}
	},
	"what is remembered goes when it said, an authenticator stays": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		was := fresh(t, h, o)
		later := kept(h, o, was)
		later.Person.Until = h.Now().Add(authflow.MaxProofAge)
		was = keep(t, h.Store, later)
		if d := h.PersonExpires(t, o.UID, was.Key); (d - authflow.MaxProofAge).Abs() > time.Minute {
			t.Errorf("it goes in %v", d)
		}
		over := kept(h, o, was)
		over.Person.Until = h.Now().Add(-time.Second)
		keep(t, h.Store, over)
		gone := func() bool { return subject(t, h.Store, o, was.Key).Person == nil }
		for until := time.Now().Add(time.Minute); !gone(); {
			if time.Now().After(until) {
				t.Fatal("it does not go")
			}
		}
		got := subject(t, h.Store, o, was.Key)
		if !got.PersonStamp.IsZero() || got.Authenticator == nil {
			t.Errorf("%+v", got)
		}
		keep(t, h.Store, kept(h, o, got)) // and what is gone can be made again
	},
	"of racing attempts at one authenticator from many flows one wins at a time": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		was := fresh(t, h, o)
		var wait sync.WaitGroup
		var mu sync.Mutex
		won, lost := 0, 0
		for i := range racers {
			c := about(h, stepped(h, o, must(t, h.Store, opened(t, h, o))), was, true, false)
			c.Person = nil
			s := h.Store
			if i%2 == 1 {
				s = h.Second
			}
			wait.Go(func() {
				_, err := s.Commit(t.Context(), c)
				mu.Lock()
				defer mu.Unlock()
				var conflict *authflow.Conflict
				switch {
				case err == nil:
					won++
				case errors.As(err, &conflict) && conflict.Subject != nil && conflict.Subject.Person != nil:
					lost++
				default:
					t.Errorf("%v", err)
				}
			})
		}
		wait.Wait()
		if won != 1 || lost != racers-1 {
			t.Errorf("%d won, %d lost", won, lost)
		}
	},
	"the same request gets the first answer, with what was sealed for it, and writes nothing": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		for name, c := range map[string]*authflow.Commit{
			"without a flow": kept(h, o, &authflow.SubjectRecords{Key: subjectKey()}),
			"with a flow":    about(h, stepped(h, o, must(t, h.Store, opened(t, h, o))), fresh(t, h, o), true, true),
		} {
			keep(t, h.Store, c)
			before := h.Dump(t)
			again := *c
			again.Authenticator = &authflow.AuthenticatorWrite{Subject: c.Person.Subject, Next: enrolled(h)} // minted anew
			done, err := h.Second.Commit(t.Context(), &again)
			if err != nil || done.Repeated == nil || !bytes.Equal(done.Repeated.Sealed, c.Outcome.Sealed) || !done.AuthenticatorStamp.IsZero() {
				t.Errorf("%s: %+v, %v", name, done, err)
			}
			other := *c
			other.Request[0] ^= 1
			if _, err := h.Second.Commit(t.Context(), &other); !errs.Is(err, "REQUEST_ID_REUSED") {
				t.Errorf("%s: another request: %v", name, err)
			}
			if h.Dump(t) != before {
				t.Errorf("%s: something was written", name)
			}
		}
	},
	"a first answer is kept as long as it says": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := kept(h, o, &authflow.SubjectRecords{Key: subjectKey()})
		c.KeepKey = time.Millisecond
		keep(t, h.Store, c)
		ask := authflow.Read{OrganizationUID: o.UID, Key: c.Key, Request: c.Request}
		for until := time.Now().Add(time.Minute); read(t, h.Store, ask).Outcome != nil; {
			if time.Now().After(until) {
				t.Fatal("it is kept for longer")
			}
		}
	},
	"authenticators are listed in the order of their keys, in pages, of their organization alone": func(t *testing.T, h *Harness) {
		o, other := h.Organization(t, "acme"), h.Organization(t, "zeta")
		list := h.Second.(authflow.SubjectStore)
		if got, err := list.Authenticators(t.Context(), o.UID, policy.AccountKey{}, 10); err != nil || len(got) != 0 {
			t.Errorf("of nobody: %v, %v", got, err)
		}
		want := map[policy.AccountKey]policy.Stamp{}
		for range 7 {
			was := fresh(t, h, o)
			want[was.Key] = keep(t, h.Store, kept(h, o, was)).AuthenticatorStamp // listed once, however often it is written
		}
		fresh(t, h, other)
		only := kept(h, o, &authflow.SubjectRecords{Key: subjectKey()})
		only.Authenticator = nil
		keep(t, h.Store, only)
		var keys []policy.AccountKey
		after := policy.AccountKey{}
		for {
			page, err := list.Authenticators(t.Context(), o.UID, after, 3)
			if err != nil || len(page) > 3 {
				t.Fatalf("%d, %v", len(page), err)
			}
			for _, s := range page {
				if s.AuthenticatorStamp != want[s.Key] || s.Authenticator == nil || s.Authenticator.AccountID != somebody || s.Person != nil || !s.PersonStamp.IsZero() {
					t.Errorf("%+v", s)
				}
				keys, after = append(keys, s.Key), s.Key
			}
			if len(page) < 3 {
				break
			}
		}
		if len(keys) != len(want) || !slices.IsSortedFunc(keys, func(a, b policy.AccountKey) int { return bytes.Compare(a[:], b[:]) }) {
			t.Errorf("%d of %d, in this order: %x", len(keys), len(want), keys)
		}
	},
}
