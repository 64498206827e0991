package authflow

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

const tokenHandle = "handle-of-an-api-token"

func (c *clinic) access(f *Flows, kind, h string, from ...string) Access {
	c.t.Helper()
	in := AccessInput{Organization: "acme", Site: "portal", Kind: kind, Handle: []byte(h)}
	if len(from) > 0 {
		in.Context.IP = netip.MustParseAddr(from[0])
	}
	a, err := f.CheckAccess(c.t.Context(), caller, in)
	if err != nil {
		c.t.Fatal(err)
	}
	if (a.Verdict == audit.VerdictAllow) != (a.Reason == "") || a.Verdict != a.Decision.Verdict || a.Message.Key == "" || a.ValidUntil.After(c.clock().Add(AccessValid)) {
		c.t.Fatalf("%+v", a)
	}
	return a
}

// uses lists events outside of flows of these types, oldest first.
func (c *clinic) usesOf(types ...audit.Type) []audit.Event {
	var out []audit.Event
	for _, e := range c.store.outbox {
		for _, t := range types {
			if e.Type == t && e.Step == 0 {
				out = append(out, e)
			}
		}
	}
	return out
}

func TestATokenIsCheckedOnceAndThenRemembered(t *testing.T) {
	c := newClinic(t, noDemands)
	flow := c.opened(alice, tokenHandle, KindOfToken)
	if e := c.usesOf(audit.TypeTokenCreated); len(e) != 1 || e[0].Personal.AccountID != alice {
		t.Fatalf("%+v", e)
	}
	var a Access
	if trips := c.tripsOf(func() { a = c.access(c.flows, KindOfToken, tokenHandle) }); trips != 3 || a.Verdict != audit.VerdictAllow || a.Flow != flow {
		t.Fatalf("%+v in %d trips", a, trips) // whose it is, what is kept of them, the first use
	}
	if !a.ValidUntil.Equal(c.clock().Add(AccessValid)) || len(a.Session) != 64 {
		t.Fatalf("%+v", a)
	}
	if trips := c.tripsOf(func() { c.access(c.flows, KindOfToken, tokenHandle) }); trips != 0 {
		t.Fatalf("%d trips for an answer that is known", trips)
	}
	c.setNow(c.clock().Add(AccessRecheck))
	if trips := c.tripsOf(func() { c.access(c.flows, KindOfToken, tokenHandle) }); trips != 1 {
		t.Fatalf("%d trips to look again", trips)
	}
	e := c.usesOf(audit.TypeTokenUsed)
	if len(e) != 1 || e[0].Flow != flow.String() || e[0].Method != audit.MethodToken || e[0].Evidence != audit.EvidenceVerified || e[0].Personal.AccountID != alice {
		t.Fatalf("%+v", e)
	}
}

func TestARevocationReachesEveryProcessInTime(t *testing.T) {
	end := func(c *clinic, f *Flows) error {
		in := session2(tokenHandle, SessionEnded)
		in.Kind, in.EndCause = KindOfToken, EndRevoked
		_, err := f.RecordSession(t.Context(), caller, in)
		return err
	}
	proofs := func(in RevokeInput) func(c *clinic, f *Flows) error {
		return func(c *clinic, f *Flows) error {
			in.Organization, in.RequestID, in.Reason = "acme", "revoke", "x"
			c.setNow(c.clock().Add(time.Millisecond))
			_, err := c.administration(f).RevokeProofs(t.Context(), caller, in)
			return err
		}
	}
	changes := func(change func(*policy.Organization)) func(c *clinic, f *Flows) error {
		return func(c *clinic, _ *Flows) error {
			c.store.org = changed(c.store.org, func(o *policy.Organization) { change(o); o.PolicyStamp = stampOf(77) })
			return nil
		}
	}
	for name, x := range map[string]struct {
		do     func(c *clinic, f *Flows) error
		reason string
		own    bool // counts in the process that did it at once
	}{
		"the token":        {end, audit.ReasonTokenRevoked, true},
		"the account":      {proofs(RevokeInput{AccountID: alice}), audit.ReasonMFARequired, true},
		"the site":         {proofs(RevokeInput{Site: "portal"}), audit.ReasonMFARequired, true},
		"the organization": {proofs(RevokeInput{Whole: true}), audit.ReasonMFARequired, true},
		"a stop":           {changes(func(o *policy.Organization) { o.Policy.Stops.External = true }), audit.ReasonOrganizationBlocksExternal, false},
		"the policy":       {changes(func(o *policy.Organization) { o.Policy.Default.Methods = []string{audit.MethodPassword} }), audit.ReasonMethodNotAllowed, false},
	} {
		c := newClinic(t, policy.Policy{Default: policy.Demands{MFA: &policy.MFADemand{Factors: []string{audit.FactorTOTP}}}})
		key := c.enrolled(alice)
		flow := c.bound(alice)
		if _, err := c.totp(flow, "t", codeAt(t, key, c.clock())); err != nil {
			t.Fatal(err)
		}
		in := SessionInput{Organization: "acme", Site: "portal", RequestID: c.request(), Event: SessionStarted, Handle: []byte(tokenHandle), Flow: flow, Kind: KindOfToken}
		if _, err := c.record(in); err != nil {
			t.Fatal(err)
		}
		other, _ := c.process()
		for _, f := range []*Flows{c.flows, other} {
			if a := c.access(f, KindOfToken, tokenHandle); a.Verdict != audit.VerdictAllow {
				t.Fatalf("%s: %+v", name, a)
			}
		}
		if err := x.do(c, c.flows); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if a := c.access(c.flows, KindOfToken, tokenHandle); x.own && a.Reason != x.reason {
			t.Errorf("%s: still %v in the process that did it", name, a.Verdict)
		}
		c.setNow(c.clock().Add(AccessRecheck))
		for i, f := range []*Flows{c.flows, other} {
			if a := c.access(f, KindOfToken, tokenHandle); a.Reason != x.reason {
				t.Errorf("%s: process %d answers %v %s", name, i, a.Verdict, a.Reason)
			}
		}
		if e := c.usesOf(audit.TypeTokenBlocked); len(e) != 1 || e[0].Reason != x.reason || !reasonFits(&e[0]) {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestAnswersAboutAccess(t *testing.T) {
	age := func(d time.Duration) policy.Policy { return policy.Policy{Default: policy.Demands{Reverify: d}} }
	sso := func(d time.Duration) policy.Policy {
		return policy.Policy{Default: policy.Demands{SSOConnection: "okta", SSOEvidence: audit.EvidenceAsserted, Reverify: d}}
	}
	for name, x := range map[string]struct {
		policy policy.Policy
		kind   string
		by     audit.Type
		after  time.Duration
		reason string
	}{
		"a session without demands":              {noDemands, KindOfSession, audit.TypePasswordVerified, time.Hour, ""},
		"a session held to single sign-on":       {sso(0), KindOfSession, audit.TypePasswordVerified, 0, audit.ReasonSSORequired},
		"a token held to single sign-on":         {sso(0), KindOfToken, audit.TypePasswordVerified, 0, audit.ReasonSSORequired},
		"a session that came by single sign-on":  {sso(0), KindOfSession, audit.TypeSSOVerified, time.Hour, ""},
		"the same, asked too late":               {sso(time.Hour), KindOfSession, audit.TypeSSOVerified, 2 * time.Hour, audit.ReasonReverificationRequired},
		"a fresh credential":                     {age(time.Hour), KindOfSession, audit.TypePasswordVerified, 30 * time.Minute, ""},
		"a credential that is too old":           {age(time.Hour), KindOfToken, audit.TypePasswordVerified, 61 * time.Minute, audit.ReasonReverificationRequired},
		"a session that has run out":             {noDemands, KindOfSession, audit.TypePasswordVerified, DefaultSession, audit.ReasonSessionExpired},
		"a token that has run out":               {noDemands, KindOfToken, audit.TypePasswordVerified, DefaultSession, audit.ReasonTokenExpired},
		"a token where only single sign-on goes": {policy.Policy{Default: policy.Demands{Methods: []string{"sso:okta"}}}, KindOfToken, audit.TypeSSOVerified, 0, audit.ReasonMethodNotAllowed},
		"a session whose length is up": {policy.Policy{Default: policy.Demands{SessionLength: time.Hour}}, KindOfSession, audit.TypePasswordVerified, 61 * time.Minute,
			audit.ReasonReverificationRequired},
		"everybody is blocked": {policy.Policy{Default: policy.Demands{Block: true}}, KindOfSession, audit.TypePasswordVerified, 0, audit.ReasonOrganizationBlocksExternal},
	} {
		c := newClinic(t, x.policy)
		flow := c.start("s").Flow
		c.step(flow, "b", reports(x.by, alice))
		if _, err := c.record(SessionInput{Organization: "acme", Site: "portal", RequestID: "r", Event: SessionStarted, Handle: []byte(tokenHandle), Flow: flow, Kind: x.kind}); err != nil {
			t.Fatal(err)
		}
		c.setNow(c.clock().Add(x.after))
		if a := c.access(c.flows, x.kind, tokenHandle); a.Reason != x.reason {
			t.Errorf("%s: %v %q", name, a.Verdict, a.Reason)
		}
	}
}

func TestAnAnswerHoldsNoLongerThanItIsTrue(t *testing.T) {
	c := newClinic(t, policy.Policy{Default: policy.Demands{Reverify: time.Hour}})
	c.opened(alice, tokenHandle, KindOfToken)
	proven := c.clock()
	c.setNow(proven.Add(time.Hour - 20*time.Second))
	a := c.access(c.flows, KindOfToken, tokenHandle)
	if a.Verdict != audit.VerdictAllow || a.ValidUntil.After(proven.Add(time.Hour+time.Second)) || a.ValidUntil.Before(proven.Add(time.Hour)) {
		t.Fatalf("%+v", a)
	}
}

func TestHandlesNobodyKnowsAreCountedAndNotNamed(t *testing.T) {
	c := newClinic(t, noDemands)
	c.opened(alice, tokenHandle, KindOfToken)
	if a := c.access(c.flows, KindOfSession, tokenHandle); a.Reason != audit.ReasonSessionUnknown || !a.Flow.IsZero() {
		t.Fatalf("a token passes for a session: %+v", a)
	}
	for i := range 5 {
		if a := c.access(c.flows, KindOfToken, fmt.Sprint("made-up-handle-", i)); a.Reason != audit.ReasonTokenUnknown || a.Verdict != audit.VerdictDeny {
			t.Fatalf("%+v", a)
		}
	}
	NewUseFolder(c.flows).write(t.Context(), true)
	e := c.usesOf(audit.TypeTokenBlocked)
	if len(e) != 1 || e[0].Uses != 5 || e[0].Session != "" || e[0].Personal.AccountID != "" || e[0].Personal.IP != "" {
		t.Fatalf("%+v", e)
	}
	_, err := c.flows.CheckAccess(t.Context(), caller, AccessInput{Organization: "acme", Site: "portal", Kind: "COOKIE", Handle: []byte(tokenHandle)})
	wantReason(t, err, ErrSessionKind)
	_, err = c.flows.CheckAccess(t.Context(), caller, AccessInput{Organization: "acme", Site: "nowhere", Kind: KindOfToken, Handle: []byte(tokenHandle)})
	wantReason(t, err, ErrSiteNotFound)
}

func TestUsesAreRecordedOnceAndThenFolded(t *testing.T) {
	c := newClinic(t, noDemands)
	c.opened(alice, tokenHandle, KindOfSession)
	folder := NewUseFolder(c.flows)
	folder.Start()
	for range 10 {
		c.access(c.flows, KindOfSession, tokenHandle, "192.0.2.7")
		c.setNow(c.clock().Add(time.Second))
	}
	if e := c.usesOf(audit.TypeSessionReused); len(e) != 1 || e[0].Uses != 0 || e[0].AuthenticatedAt.IsZero() {
		t.Fatalf("%+v", e)
	}
	c.access(c.flows, KindOfSession, tokenHandle, "192.0.2.8") // from elsewhere
	if e := c.usesOf(audit.TypeSessionReused); len(e) != 2 || e[1].Personal.IP != "192.0.2.8" {
		t.Fatalf("%+v", e)
	}
	c.setNow(noon.Add(time.Hour)) // another hour
	c.access(c.flows, KindOfSession, tokenHandle, "192.0.2.8")
	folder.write(t.Context(), false)
	e := c.usesOf(audit.TypeSessionReused)
	if len(e) != 3 || e[2].Uses != 9 || e[2].Time.After(noon.Add(time.Minute)) || e[2].Personal.IP != "192.0.2.7" {
		t.Fatalf("%+v", e)
	}
	c.store.down = errs.New(errs.Unavailable, "NOT_RECORDED", "away")
	folder.write(t.Context(), true)
	c.store.down = nil
	folder.Stop()
	if e := c.usesOf(audit.TypeSessionReused); len(e) != 4 || e[3].Uses != 1 {
		t.Fatalf("%+v", e)
	}
	NewUseFolder(c.flows).Stop() // never started
}

func TestAUseThatLosesARaceLooksAgain(t *testing.T) {
	c := newClinic(t, noDemands)
	c.opened(alice, tokenHandle, KindOfToken)
	n := 0
	c.store.before = func(commit *Commit) error {
		if commit.Session == nil {
			return nil
		}
		if n++; n == 1 { // another process ended it a moment ago
			for k, s := range c.store.sessions {
				s.Ended, s.EndCause, s.Stored = c.clock(), EndRevoked, "moved"
				c.store.sessions[k] = s
			}
		}
		return nil
	}
	if a := c.access(c.flows, KindOfToken, tokenHandle); a.Reason != audit.ReasonTokenRevoked {
		t.Fatalf("%+v", a)
	}
	c.store.before = func(*Commit) error { return &Conflict{SessionTaken: true} }
	_, err := c.flows.CheckAccess(t.Context(), caller, AccessInput{Organization: "acme", Site: "portal", Kind: KindOfToken, Handle: []byte(tokenHandle),
		Context: Context{IP: netip.MustParseAddr("192.0.2.9")}})
	wantReason(t, err, ErrConflict)
	c.store.before, c.store.down = nil, errors.New("away")
	if _, err := c.flows.CheckAccess(t.Context(), caller, AccessInput{Organization: "acme", Site: "portal", Kind: KindOfToken, Handle: []byte(tokenHandle),
		Context: Context{IP: netip.MustParseAddr("192.0.2.10")}}); err == nil {
		t.Fatal("allowed without looking")
	}
}

func TestTheEndOfATokenSaysWhy(t *testing.T) {
	c := newClinic(t, noDemands)
	c.opened(alice, tokenHandle, KindOfToken)
	in := session2(tokenHandle, SessionEnded)
	in.Kind = KindOfSession
	_, err := c.record(in)
	wantReason(t, err, ErrSessionNotFound)
	in.Kind, in.EndCause = KindOfToken, "BORED"
	_, err = c.record(in)
	wantReason(t, err, ErrEndCause)
	in.EndCause = EndExpired
	if _, err = c.record(in); err != nil {
		t.Fatal(err)
	}
	e := c.usesOf(audit.TypeTokenRevoked)
	if len(e) != 1 || e[0].EndCause != EndExpired || e[0].Personal.AccountID != alice || e[0].Class != audit.ClassExternal {
		t.Fatalf("%+v", e)
	}
	if a := c.access(c.flows, KindOfToken, tokenHandle); a.Reason != audit.ReasonTokenExpired {
		t.Fatalf("%+v", a)
	}
	start := session2("another-handle-1", SessionStarted)
	start.EndCause = EndLogout
	_, err = c.record(start)
	wantReason(t, err, ErrEndCause)
}

func TestTheAnswersKeptAreBounded(t *testing.T) {
	cache := newAccessCache(4)
	stamp, until := stampOf(1), noon.Add(time.Minute)
	kept := decided{checked: noon, policy: stamp, answer: Access{ValidUntil: until}}
	for i := range byte(10) {
		for n := range maxPlaces + 4 {
			cache.put([32]byte{i}, place{site: fmt.Sprint(n)}, cache.mark(), kept)
		}
	}
	if len(cache.byHandle) != 4 || cache.order.Len() != 4 {
		t.Fatalf("%d handles", len(cache.byHandle))
	}
	for el := cache.order.Front(); el != nil; el = el.Next() {
		if n := len(answersOf(el).answers); n > maxPlaces {
			t.Fatalf("%d answers for one handle", n)
		}
	}
	mark := cache.mark()
	cache.forgetHandle([32]byte{9})
	cache.put([32]byte{9}, place{}, mark, kept) // read before it was forgotten
	if _, ok := cache.get([32]byte{9}, place{}, stamp, noon); ok {
		t.Error("an answer that was forgotten came back")
	}
	cache.put([32]byte{9}, place{}, cache.mark(), kept)
	for _, now := range []time.Time{noon.Add(AccessRecheck), noon.Add(-time.Second)} {
		if _, ok := cache.get([32]byte{9}, place{}, stamp, now); ok {
			t.Errorf("good at %v", now)
		}
	}
	if _, ok := cache.get([32]byte{9}, place{}, stampOf(2), noon); ok {
		t.Error("good under another policy")
	}
}
