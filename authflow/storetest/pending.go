package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// begun is a sign-in elsewhere with something in every field that one has before it is used up.
func begun(h *Harness) *authflow.Pending {
	return &authflow.Pending{
		Connection: "okta", ConnectionUID: newID(), Protocol: policy.ProtocolSAML, Issuer: "https://idp.example/entity",
		CallbackURL: "https://login.example/callback?x=1", MaxAge: time.Hour + 5*time.Nanosecond, Began: instant(h), Links: true, Seed: []byte(theirSeed),
	}
}

// spent is p once it was used up.
func spent(p *authflow.Pending) *authflow.Pending {
	next := *p
	next.Seed, next.Used = nil, random32()
	return &next
}

// pending changes what a flow has begun and nothing else of it.
func pending(h *Harness, o *policy.Organization, l *authflow.Loaded, p *authflow.Pending) *authflow.Commit {
	st := *l.State
	st.Pending = p
	e := audit.Event{ID: newID(), Type: audit.TypeAccessDenied, Time: h.Now(), Organization: o.ID, OrganizationUID: o.UID}
	return &authflow.Commit{OrganizationUID: o.UID, PolicyStamp: o.PolicyStamp, Key: random32(), Request: random32(), Outcome: outcome(&st),
		Flow: &authflow.FlowWrite{State: &st, From: l.Stamp}, Events: []audit.Event{e}}
}

var pendingCases = map[string]func(*testing.T, *Harness){
	"what a flow has begun elsewhere is what it began last, in every process": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		first, second := begun(h), begun(h)
		second.Seed, second.MaxAge, second.Protocol, second.Links = []byte{0, 255, 1}, 0, policy.ProtocolOIDC, false
		other := *second
		other.Seed = []byte{0, 255, 2} // and nothing else
		l := must(t, h.Store, opened(t, h, o))
		for _, p := range []*authflow.Pending{first, second, &other, spent(&other), {Began: instant(h)}, nil, first, spent(first)} {
			l = must(t, h.Store, pending(h, o, l, p))
			for process, s := range map[string]authflow.Store{"same": h.Store, "other": h.Second} {
				if d := cmp.Diff(l.State, flow(t, s, o, l.State.ID).State, same); d != "" {
					t.Errorf("%s process (-committed +read):\n%s", process, d)
				}
			}
		}
	},
	"it stays through steps of the flow, whichever process takes them": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		l := must(t, h.Store, opened(t, h, o))
		p := begun(h)
		must(t, h.Store, pending(h, o, l, p))
		must(t, h.Second, stepped(h, o, flow(t, h.Second, o, l.State.ID)))
		l = must(t, h.Store, stepped(h, o, flow(t, h.Store, o, l.State.ID)))
		if d := cmp.Diff(p, flow(t, h.Second, o, l.State.ID).State.Pending, same); d != "" {
			t.Errorf("(-begun +read):\n%s", d)
		}
		used := spent(p)
		l = must(t, h.Second, pending(h, o, flow(t, h.Second, o, l.State.ID), used))
		must(t, h.Second, stepped(h, o, l))
		if got := flow(t, h.Store, o, l.State.ID).State.Pending; got.Seed != nil || got.Used != used.Used {
			t.Errorf("used up, it is read as %+v", got)
		}
	},
	"its seed is not stored in the clear": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		must(t, h.Store, pending(h, o, must(t, h.Store, opened(t, h, o)), begun(h)))
		dump := h.Dump(t)
		if strings.Contains(dump, theirSeed) {
			t.Error("the seed is stored in the clear")
		}
		if !strings.Contains(dump, "https://idp.example/entity") { // the search would find something
			t.Error("what was begun is not where it belongs")
		}
	},
	"a repeated beginning begins nothing": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		l := must(t, h.Store, opened(t, h, o))
		c := pending(h, o, l, begun(h))
		c.Outcome.Sealed = []byte{1, 2}
		must(t, h.Store, c)
		again := *c
		again.Flow = pending(h, o, l, begun(h)).Flow // minted anew by the caller
		before := h.Dump(t)
		done, err := h.Second.Commit(t.Context(), &again)
		if err != nil || done.Repeated == nil || string(done.Repeated.Sealed) != "\x01\x02" || h.Dump(t) != before {
			t.Errorf("%+v, %v", done, err)
		}
	},
}
