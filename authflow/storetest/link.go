package storetest

import (
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// onlyLinkMoved tells a conflict about the link alone.
func onlyLinkMoved(f *authflow.Conflict) bool {
	return cmp.Equal(&authflow.Conflict{LinkMoved: true}, f, same)
}

var linkCases = map[string]func(*testing.T, *Harness){
	"a link comes back as it was committed, of its organization alone": func(t *testing.T, h *Harness) {
		o, other := h.Organization(t, "acme"), h.Organization(t, "zeta")
		bare := link(h)
		bare.Email, bare.Flow, bare.By = "", "", authflow.LinkedNew
		for name, l := range map[string]authflow.Link{"whole": link(h), "bare": bare} {
			if got := linkOf(t, h.Store, o, l.Identity); got != nil {
				t.Errorf("%s, before it is made: %+v", name, got)
			}
			must(t, h.Store, linking(inFlow(t, h, o), nil, l))
			for process, s := range map[string]authflow.Store{"same": h.Store, "other": h.Second} {
				got := linkOf(t, s, o, l.Identity)
				if d := cmp.Diff(&l, got, same, linkApart); d != "" || got.Stored == "" {
					t.Errorf("%s, %s process (-committed +read):\n%s", name, process, d)
				}
			}
			if linkOf(t, h.Store, other, l.Identity) != nil {
				t.Errorf("%s: read through another organization", name)
			}
		}
	},
	"one read brings a link with everything around it": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		was, subject := joined(t, h, o, link(h)), fresh(t, h, o)
		c := opened(t, h, o)
		l := must(t, h.Store, c)
		h.Claim(t, o, policy.ClaimRecord{Key: policy.AccountKey{8}, Kind: policy.ClaimAddress})
		got := read(t, h.Second, authflow.Read{OrganizationUID: o.UID, Organization: true, Flow: l.State.ID, Identity: was.Identity,
			Subject: &subject.Key, Lookups: []policy.LookupKeys{{Account: subject.Key, Address: policy.AccountKey{8}}}})
		if got.Link == nil || got.Link.AccountKey != was.AccountKey || got.Flow == nil || got.Organization == nil || got.Subject.Person == nil {
			t.Fatalf("%+v", got)
		}
		if len(got.Records) != 1 || got.Records[0].AddressClaim == nil || got.Records[0].AccountClaim != nil {
			t.Errorf("records: %+v", got.Records)
		}
	},
	"every kind of commit with a link works where nothing is wrong": func(t *testing.T, h *Harness) {
		for name, kind := range linkKinds {
			o := h.Organization(t, "org-"+newID()[24:])
			c := kind(t, h, o)
			before := linkOf(t, h.Store, o, c.Link.Identity)
			planned := len(outboxIDs(t, h, o))
			must(t, h.Store, c)
			if n := len(outboxIDs(t, h, o)); n != planned+len(c.Events) {
				t.Errorf("%s: %d events, want %d", name, n, planned+len(c.Events))
			}
			want := c.Link.Next
			if want == nil && !c.Link.Remove {
				want = before
			}
			if d := cmp.Diff(want, linkOf(t, h.Second, o, c.Link.Identity), same, linkApart); d != "" {
				t.Errorf("%s (-want +got):\n%s", name, d)
			}
			wantListed := 0
			if want != nil {
				wantListed = 1
			}
			if all := listed(t, h, o, policy.AccountKey{}, 10); len(all) != wantListed {
				t.Errorf("%s: %d are listed, want %d", name, len(all), wantListed)
			}
		}
	},
	"a record of the wrong type at any place stops the whole commit": func(t *testing.T, h *Harness) {
		for name, kind := range linkKinds {
			for i := range h.Touched(kind(t, h, h.Organization(t, "org-"+newID()[24:]))) {
				spoiled(t, h, kind, name, i)
			}
		}
	},
	"a refused commit writes nothing": func(t *testing.T, h *Harness) {
		for name, kind := range linkKinds {
			o := h.Organization(t, "org-"+newID()[24:])
			c := kind(t, h, o)
			c.PolicyStamp[15] ^= 1
			refused(t, h, name, c, func(f *authflow.Conflict) bool { return f.Organization != nil && !f.LinkMoved })
		}
	},
	"a link that is not as it was read stops the commit, which writes nothing": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		for name, stale := range map[string]func(c *authflow.Commit, was *authflow.Link) *authflow.Commit{
			"made, and it is there": func(c *authflow.Commit, was *authflow.Link) *authflow.Commit { return linking(c, nil, *was) },
			"replaced as it was":    func(c *authflow.Commit, was *authflow.Link) *authflow.Commit { return linking(c, was, *was) },
			"removed as it was":     unlinking,
			"looked at as it was":   looking,
			"looked for, and was there": func(c *authflow.Commit, was *authflow.Link) *authflow.Commit {
				return looking(c, &authflow.Link{Identity: was.Identity})
			},
		} {
			was := joined(t, h, o, link(h))
			next := *was
			next.Email = "somebody@else.example"
			must(t, h.Second, linking(apart(h, o), was, next))
			refused(t, h, name, stale(inFlow(t, h, o), was), onlyLinkMoved)
			now := linkOf(t, h.Store, o, was.Identity)
			must(t, h.Store, looking(inFlow(t, h, o), now)) // as it is now it does not
			must(t, h.Store, unlinking(apart(h, o), now))
			if name != "made, and it is there" && name != "looked for, and was there" {
				refused(t, h, name+" and it is gone", stale(inFlow(t, h, o), was), onlyLinkMoved)
			}
		}
	},
	"the bytes of one link stand for no other": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		was, other := joined(t, h, o, link(h)), joined(t, h, o, link(h))
		c := looking(inFlow(t, h, o), was)
		c.Link.From = other.Stored
		refused(t, h, "with the bytes of another", c, onlyLinkMoved)
	},
	"flow, policy and link that moved come in one answer": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		l, was := must(t, h.Store, opened(t, h, o)), joined(t, h, o, link(h))
		must(t, h.Second, unlinking(stepped(h, o, l), was))
		h.MovePolicy(t, o)
		refused(t, h, "all of it", looking(stepped(h, o, l), was), func(f *authflow.Conflict) bool {
			return f.LinkMoved && f.Flow != nil && f.Organization != nil
		})
	},
	"what was removed can be made again, for another account": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		was := joined(t, h, o, link(h))
		must(t, h.Second, unlinking(apart(h, o), was))
		again := link(h)
		again.Identity = was.Identity
		if got := joined(t, h, o, again); got.AccountKey != again.AccountKey || got.Stored == was.Stored {
			t.Errorf("%+v", got)
		}
		if all := listed(t, h, o, was.AccountKey, 10); len(all) != 0 {
			t.Errorf("the account it was taken from still has %d", len(all))
		}
	},
	"of racing links of one identity one is made": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		identity := authflow.IdentityKey(random32())
		var wait sync.WaitGroup
		won := make([]bool, racers)
		accounts := make([]policy.AccountKey, racers)
		for i := range racers {
			l := link(h)
			l.Identity, accounts[i] = identity, l.AccountKey
			c, s := linking(inFlow(t, h, o), nil, l), h.Store
			if i%2 == 1 {
				s = h.Second
			}
			wait.Go(func() {
				_, err := s.Commit(t.Context(), c)
				var conflict *authflow.Conflict
				won[i] = err == nil
				if err != nil && (!errors.As(err, &conflict) || !onlyLinkMoved(conflict)) {
					t.Errorf("%v: %+v", err, conflict)
				}
			})
		}
		wait.Wait()
		all := listed(t, h, o, policy.AccountKey{}, racers)
		if len(all) != 1 || len(outboxIDs(t, h, o)) != racers+1 {
			t.Fatalf("%d links, %d events", len(all), len(outboxIDs(t, h, o)))
		}
		for i := range racers {
			if won[i] != (accounts[i] == all[0].AccountKey) {
				t.Errorf("racer %d: told that it won: %t", i, won[i])
			}
		}
	},
	"the same request gets the first answer and writes nothing, also when the first reply was lost": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		s, lose := h.Lossy(t)
		must(t, s, opened(t, h, o)) // whatever a first use needs is there
		for name, kind := range linkKinds {
			c := kind(t, h, o)
			lose(true)
			if _, err := s.Commit(t.Context(), c); !errs.Is(err, "OUTCOME_UNKNOWN") {
				t.Fatalf("%s: a reply was lost: %v", name, err)
			}
			lose(false)
			before := h.Dump(t)
			for process, s := range map[string]authflow.Store{"same": s, "other": h.Second} {
				if done, err := s.Commit(t.Context(), c); err != nil || done.Repeated == nil {
					t.Errorf("%s, %s process: %+v, %v", name, process, done, err)
				}
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
	"nothing that tells who it is stands in what is stored": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		was := joined(t, h, o, link(h))
		next := *was
		next.Flow = newID()
		must(t, h.Store, linking(inFlow(t, h, o), was, next))
		dump := h.Dump(t)
		for _, s := range []string{somebody, theirMail, theirIssuer, theirSubject} {
			if strings.Contains(dump, s) || strings.Contains(dump, strings.ToUpper(s)) || strings.Contains(dump, hex.EncodeToString([]byte(s))) {
				t.Errorf("%q is stored in the clear", s)
			}
		}
		if !strings.Contains(dump, was.ConnectionUID) || !strings.Contains(dump, hex.EncodeToString(was.Identity[:])) { // it would be found
			t.Error("the link is not where it belongs")
		}
	},
	"what is no whole link, or no write of one, is refused": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		was := joined(t, h, o, link(h))
		for name, spoil := range map[string]func(w *authflow.LinkWrite){
			"no identity": func(w *authflow.LinkWrite) {
				w.Identity, w.Next.Identity = authflow.IdentityKey{}, authflow.IdentityKey{}
			},
			"another identity":   func(w *authflow.LinkWrite) { w.Next.Identity[0] ^= 1 },
			"another account":    func(w *authflow.LinkWrite) { w.Account[0] ^= 1 },
			"no account":         func(w *authflow.LinkWrite) { w.Account, w.Next.AccountKey = policy.AccountKey{}, policy.AccountKey{} },
			"no account id":      func(w *authflow.LinkWrite) { w.Next.AccountID = "" },
			"no issuer":          func(w *authflow.LinkWrite) { w.Next.Issuer = "" },
			"no subject":         func(w *authflow.LinkWrite) { w.Next.SubjectID = "" },
			"no connection":      func(w *authflow.LinkWrite) { w.Next.ConnectionUID = "" },
			"made in no way":     func(w *authflow.LinkWrite) { w.Next.By = "SOMEHOW" },
			"made and removed":   func(w *authflow.LinkWrite) { w.Remove = true },
			"nothing removed":    func(w *authflow.LinkWrite) { w.Next, w.Remove, w.From = nil, true, "" },
			"removed of another": func(w *authflow.LinkWrite) { w.Next, w.Remove = nil, true; w.Account[0] ^= 1 },
		} {
			c := linking(apart(h, o), was, *was)
			spoil(c.Link)
			before := h.Dump(t)
			if _, err := h.Store.Commit(t.Context(), c); !errs.Is(err, "LINK_WRITE") || errs.KindOf(err) != errs.Internal {
				t.Errorf("%s: %v", name, err)
			}
			if h.Dump(t) != before {
				t.Errorf("%s: something was written", name)
			}
		}
	},
}
