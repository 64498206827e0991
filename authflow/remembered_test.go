package authflow

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

func demandOf(d audit.Decision, kind string) audit.Demand {
	for _, one := range d.Demands {
		if one.Kind == kind {
			return one
		}
	}
	return audit.Demand{}
}

func TestWhatWasProvenAnHourAgoIsRememberedUntilItIsTooOld(t *testing.T) {
	c := newClinic(t, strictMFA)
	key := c.enrolled(alice)
	first := c.bound(alice)
	if _, err := c.totp(first, "t", codeAt(t, key, c.clock())); err != nil {
		t.Fatal(err)
	}
	proven := c.clock()
	c.setNow(proven.Add(time.Hour))
	flow := c.start(c.request()).Flow
	var a Answer
	trips := c.tripsOf(func() { a = c.step(flow, c.request(), reports(audit.TypePasswordVerified, alice)) })
	met := demandOf(a.Decision, policy.DemandMFA)
	if a.Verdict != audit.VerdictAllow || trips != 2 || met.MetByProof == nil || met.MetByProof.Flow != first.String() || !met.MetByProof.Time.Equal(proven) {
		t.Fatalf("%+v in %d trips", a, trips)
	}
	c.setNow(proven.Add(12*time.Hour + time.Second))
	flow = c.start(c.request()).Flow
	if a = c.step(flow, c.request(), reports(audit.TypePasswordVerified, alice)); a.Verdict != audit.VerdictContinue || a.Decision.Reason != audit.ReasonMFARequired {
		t.Fatalf("%+v", a)
	}
	flow = c.start(c.request()).Flow
	if a = c.step(flow, c.request(), reports(audit.TypePasswordVerified, mallory)); a.Verdict != audit.VerdictContinue {
		t.Fatalf("somebody else's proof counted: %+v", a)
	}
}

func TestWhatIsRevokedBitesAtTheNextCallOfEveryProcess(t *testing.T) {
	for name, in := range map[string]RevokeInput{"account": {AccountID: alice}, "site": {Site: "portal"}, "organization": {Whole: true}} {
		c := newClinic(t, strictMFA)
		key := c.enrolled(alice)
		if _, err := c.totp(c.bound(alice), "t", codeAt(t, key, c.clock())); err != nil {
			t.Fatal(err)
		}
		c.setNow(c.clock().Add(time.Hour))
		granted := c.bound(alice) // by memory
		other, _ := c.process()
		in.Organization, in.RequestID, in.Reason = "acme", "revoke", "phone stolen"
		first, err := c.administration(other).RevokeProofs(t.Context(), caller, in)
		if err != nil || !first.NotBefore.Equal(c.clock()) {
			t.Fatalf("%s: %+v %v", name, first, err)
		}
		a, err := c.finish(granted, "f", ActionComplete)
		if err != nil || a.Ending != audit.EndingDenied || a.Reason != audit.ReasonMFARequired {
			t.Errorf("%s: %+v %v", name, a, err)
		}
		c.setNow(c.clock().Add(time.Minute))
		again, err := c.auth.RevokeProofs(t.Context(), caller, in)
		if err != nil || again != first {
			t.Errorf("%s: a repeated call got %+v %v", name, again, err)
		}
		flow := c.bound(alice)
		if a, err = c.totp(flow, "anew", codeAt(t, key, c.clock())); err != nil || a.Verdict != audit.VerdictAllow {
			t.Errorf("%s: what is proven since does not count: %+v %v", name, a, err)
		}
		e := c.store.outbox[len(c.store.outbox)-1]
		for _, ev := range c.store.outbox {
			if ev.Type == audit.TypeProofsRevoked {
				e = ev
			}
		}
		if e.ID != first.Event || e.Personal.Detail != "phone stolen" || e.Step != 0 || (name == "account") != (e.Personal.AccountID == alice) {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestARevocationBetweenReadingAndCommittingIsNotMissed(t *testing.T) {
	c := newClinic(t, strictMFA)
	key := c.enrolled(alice)
	if _, err := c.totp(c.bound(alice), "t", codeAt(t, key, c.clock())); err != nil {
		t.Fatal(err)
	}
	flow := c.start("s").Flow
	done := false
	c.store.before = func(commit *Commit) error {
		if commit.Flow != nil && !done { // what RevokeProofs would have committed
			done = true
			s := c.store.subjects[c.key(alice)]
			s.Person, s.PersonStamp = &Person{NotBefore: c.clock().Add(time.Nanosecond)}, stampOf(201)
			c.store.subjects[c.key(alice)] = s
		}
		return nil
	}
	a := c.step(flow, "p", reports(audit.TypePasswordVerified, alice))
	if a.Verdict != audit.VerdictContinue || a.Decision.Reason != audit.ReasonMFARequired || !done {
		t.Fatalf("%+v", a)
	}
}

func TestAProofIsOfItsDevice(t *testing.T) {
	c := newClinic(t, strictMFA)
	key := c.enrolled(alice)
	on := func(flow FlowID, device string) Answer {
		in := reports(audit.TypePasswordVerified, alice)
		in.Step.Context = &Context{DeviceID: device}
		return c.step(flow, c.request(), in)
	}
	flow := c.start(c.request()).Flow
	on(flow, "laptop")
	if _, err := c.totp(flow, "t", codeAt(t, key, c.clock())); err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string]audit.Verdict{"laptop": audit.VerdictAllow, "": audit.VerdictAllow, "phone": audit.VerdictContinue} {
		if a := on(c.start(c.request()).Flow, device); a.Verdict != want {
			t.Errorf("on %q: %v", device, a.Verdict)
		}
	}
}

// history is a random life of one account, and what its answers may rest on.
type history struct {
	*clinic
	t               *rapid.T
	key             string
	proven, revoked time.Time
}

func (h *history) prove() {
	now := h.clock()
	if a, err := h.totp(h.bound(alice), "t", codeAt(h.clinic.t, h.key, now)); err != nil || a.Verdict != audit.VerdictAllow {
		h.t.Fatalf("%+v %v", a, err)
	}
	h.proven = now
}

func (h *history) revoke() {
	in := RevokeInput{Organization: "acme", RequestID: h.request(), Reason: "x", AccountID: alice}
	switch rapid.IntRange(0, 2).Draw(h.t, "scope") {
	case 1:
		in.AccountID, in.Site = "", "portal"
	case 2:
		in.AccountID, in.Whole = "", true
	}
	if _, err := h.auth.RevokeProofs(h.clinic.t.Context(), caller, in); err != nil {
		h.t.Fatal(err)
	}
	h.revoked = h.clock()
}

// tell reports a sign-in of long ago: it proves nothing younger than it was.
func (h *history) tell() {
	in := h.startInput(h.request())
	in.OccurredAt = h.clock().Add(-time.Duration(rapid.IntRange(0, 6*24).Draw(h.t, "hours ago")) * time.Hour)
	first, second := reports(audit.TypePasswordVerified, alice).Step.StepReport, reports(audit.TypeMFAVerified, "").Step.StepReport
	first.OccurredAt, second.OccurredAt = in.OccurredAt, in.OccurredAt
	in.Steps = []StepReport{first, second}
	if _, err := h.flows.Start(h.clinic.t.Context(), caller, in); err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) signIn() {
	now := h.clock()
	a := h.step(h.start(h.request()).Flow, h.request(), reports(audit.TypePasswordVerified, alice))
	fresh := !h.proven.IsZero() && now.Sub(h.proven) <= 12*time.Hour && !h.proven.Before(h.revoked)
	if (a.Verdict == audit.VerdictAllow) != fresh {
		h.t.Fatalf("%v, proven %v ago, revoked %v ago", a.Verdict, now.Sub(h.proven), now.Sub(h.revoked))
	}
}

func TestMemoryNeverLetsMoreIn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newClinic(t, strictMFA)
		h := &history{clinic: c, t: rt, key: c.enrolled(alice)}
		for range rapid.IntRange(1, 30).Draw(rt, "calls") {
			c.setNow(c.clock().Add(time.Duration(rapid.IntRange(30, 4*3600).Draw(rt, "seconds")) * time.Second))
			rapid.SampledFrom([]func(){h.prove, h.revoke, h.tell, h.signIn, h.signIn}).Draw(rt, "call")()
		}
		if p := c.store.subjects[c.key(alice)].Person; p != nil {
			for _, one := range p.Proofs {
				if one.At.After(c.clock()) {
					rt.Fatalf("a proof from the future: %+v", one)
				}
			}
		}
	})
}

func TestTheSameAgainIsNotWrittenAnewUnlessItCountsForMore(t *testing.T) {
	c := newClinic(t, policy.Policy{Default: policy.Demands{MFA: &policy.MFADemand{MaxAge: time.Hour}}})
	prove := func() *Person {
		flow := c.bound(alice)
		if a := c.step(flow, c.request(), reports(audit.TypeMFAVerified, "")); a.Verdict != audit.VerdictAllow {
			t.Fatalf("%+v", a)
		}
		return c.store.subjects[c.key(alice)].Person
	}
	first := prove()
	c.setNow(c.clock().Add(refreshAfter))
	if again := prove(); again != first {
		t.Error("written anew within moments")
	}
	if _, err := c.auth.RevokeProofs(t.Context(), caller, RevokeInput{Organization: "acme", RequestID: "r", Whole: true, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	c.setNow(c.clock().Add(time.Millisecond))
	prove()
	if a := c.step(c.start(c.request()).Flow, c.request(), reports(audit.TypePasswordVerified, alice)); a.Verdict != audit.VerdictAllow {
		t.Errorf("what was revoked took the place of what was proven since: %+v", a)
	}
	before := c.store.subjects[c.key(alice)].Person
	c.setNow(c.clock().Add(refreshAfter + time.Millisecond))
	if prove() == before {
		t.Error("not written anew although it is older")
	}
}

func TestAFlowOfSomebodyManagedIsNotRemembered(t *testing.T) {
	c := newClinic(t, strictMFA)
	c.store.records[c.flows.lookup(orgUID, &Subject{AccountID: alice, Address: address(t, "alice@acme.example.net")})] = acmeDomain(t)
	yes := true
	in := reports(audit.TypePasswordVerified, alice)
	in.Step.Subject.Address, in.Step.Subject.EmailVerified = address(t, "alice@acme.example.net"), &yes
	if a := c.step(c.start("s").Flow, "p", in); a.Verdict != audit.VerdictAllow || a.Decision.Class != audit.ClassManaged {
		t.Fatalf("%+v", a)
	}
	if s, ok := c.store.subjects[c.key(alice)]; ok && s.Person != nil {
		t.Fatalf("%+v", s)
	}
}

func TestAStoreThatTellsNoNewStampsCostsATripAndNothingElse(t *testing.T) {
	c := newClinic(t, strictMFA)
	c.store.untold = true
	key := c.enrolled(alice)
	flow := c.bound(alice)
	for i := range 3 {
		c.setNow(c.clock().Add(30 * time.Second))
		if a, err := c.totp(flow, fmt.Sprint(i), codeAt(t, key, c.clock())); err != nil || a.Verdict != audit.VerdictAllow {
			t.Fatalf("%+v %v", a, err)
		}
	}
}

// A session that was recorded here, and one that was not.

func (c *clinic) opened(account, h string, kind string) FlowID {
	c.t.Helper()
	flow := c.bound(account)
	in := SessionInput{Organization: "acme", Site: "portal", RequestID: c.request(), Event: SessionStarted, Handle: []byte(h), Flow: flow, Kind: kind}
	if _, err := c.record(in); err != nil {
		c.t.Fatal(err)
	}
	return flow
}

func reuses(account, h string, at time.Time) Input {
	in := reports(audit.TypeSessionReused, account)
	in.Step.SessionHandle, in.Step.AuthenticatedAt = []byte(h), at
	return in
}

func TestASessionThatWasRecordedIsVerified(t *testing.T) {
	const h = "handle-of-a-session-0"
	c := newClinic(t, policy.Policy{Default: policy.Demands{SessionLength: 8 * time.Hour}})
	c.opened(alice, h, KindOfSession)
	since := c.clock()
	c.setNow(since.Add(7 * time.Hour))
	flow := c.start("s").Flow
	var a Answer
	trips := c.tripsOf(func() { a = c.step(flow, "r", reuses(alice, h, time.Time{})) })
	e := c.last(flow)
	if a.Verdict != audit.VerdictAllow || trips != 2 || e.Evidence != audit.EvidenceVerified || e.Personal.AccountID != alice ||
		!e.AuthenticatedAt.Equal(since) || len(e.Session) != 64 {
		t.Fatalf("%+v in %d trips: %+v", a, trips, e)
	}
	a = c.step(c.start("h").Flow, "r", reuses("", h, time.Time{})) // the handle alone says who it is
	if a.Verdict != audit.VerdictAllow {
		t.Fatalf("%+v", a)
	}
	a = c.step(c.start("o").Flow, "r", reuses(alice, h, since.Add(-2*time.Hour))) // asserted older: older it is
	if a.Verdict != audit.VerdictContinue || a.Decision.Reason != audit.ReasonReverificationRequired {
		t.Fatalf("%+v", a)
	}
	a = c.step(c.start("y").Flow, "r", reuses(alice, h, c.clock())) // asserted younger: it is not
	if e := c.last(a.Flow); !e.AuthenticatedAt.Equal(since) {
		t.Fatalf("%+v", e)
	}
	in := c.startInput("whole")
	in.Steps = []StepReport{reuses("", h, time.Time{}).Step.StepReport}
	if a, err := c.flows.Start(t.Context(), caller, in); err != nil || a.Verdict != audit.VerdictAllow {
		t.Fatalf("%+v %v", a, err)
	}
	in.RequestID, in.Steps = "two", append(in.Steps, reuses("", "another-handle-0000", time.Time{}).Step.StepReport)
	_, err := c.flows.Start(t.Context(), caller, in)
	wantReason(t, err, ErrSessionHandle)
	_, err = c.flows.Step(t.Context(), caller, stepInput(flow, "odd", with(reports(audit.TypePasswordVerified, alice), func(r *Reported) { r.SessionHandle = []byte(h) })))
	wantReason(t, err, ErrSessionHandle)
}

func TestASessionThatDoesNotHoldIsARejection(t *testing.T) {
	const h = "handle-of-a-session-1"
	for name, x := range map[string]struct {
		do      func(c *clinic)
		account string
		reason  string
		asserts bool
	}{
		"over":             {func(c *clinic) { c.setNow(c.clock().Add(DefaultSession)) }, alice, audit.ReasonSessionExpired, true},
		"ended":            {func(c *clinic) { _, _ = c.record(session2(h, SessionEnded)) }, alice, audit.ReasonSessionExpired, true},
		"somebody else's":  {func(*clinic) {}, mallory, audit.ReasonSubjectMismatch, true},
		"never recorded":   {func(c *clinic) { clear(c.store.sessions) }, "", audit.ReasonSessionUnknown, false},
		"nobody's word":    {func(c *clinic) { clear(c.store.sessions) }, alice, audit.ReasonSessionUnknown, false},
		"the word of some": {func(c *clinic) { clear(c.store.sessions) }, alice, "", true},
	} {
		c := newClinic(t, noDemands)
		c.opened(alice, h, KindOfSession)
		x.do(c)
		var at time.Time
		if x.asserts {
			at = noon
		}
		a, err := c.flows.Step(t.Context(), caller, stepInput(c.start("s").Flow, "r", reuses(x.account, h, at)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		e := c.last(a.Flow)
		if a.Reason != x.reason || (x.reason != "") != (e.Type == audit.TypeSessionRejected) || x.reason == "" && e.Evidence != audit.EvidenceAsserted {
			t.Errorf("%s: %+v, %+v", name, a, e)
		}
		if problem := c.store.recordProblem(); problem != "" {
			t.Error(problem)
		}
	}
	c := newClinic(t, noDemands)
	c.opened(alice, h, KindOfToken)
	a := c.step(c.start("s").Flow, "r", reuses(alice, h, noon))
	if a.Reason != audit.ReasonSessionUnknown {
		t.Errorf("a token passes for a session: %+v", a)
	}
}

func session2(h string, e SessionEvent) SessionInput {
	return SessionInput{Organization: "acme", Site: "portal", RequestID: "end-" + h, Event: e, Handle: []byte(h)}
}
