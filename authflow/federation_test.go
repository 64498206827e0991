package authflow

import (
	"fmt"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

func TestASignInElsewhereFromItsBeginningToItsAccount(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	b := p.begin("okta")
	if b.Redirect.URL == "" || b.BrowserToken == "" || b.Verdict != audit.VerdictContinue || b.Step != 2 {
		t.Fatalf("begun: %+v", b.Outcome)
	}
	var c Completed
	trips := p.tripsOf(func() { c = p.complete(p.came(b, "s1", "bob@partner.example.com")) })
	if trips != 3 { // the code's claim, what bears on the identity, the commit
		t.Errorf("%d round trips", trips)
	}
	if c.Verdict != audit.VerdictContinue || c.Decision.Reason != audit.ReasonNoSubject || c.Identity == nil || c.Identity.SubjectID != "s1" || c.Identity.AccountID != "" {
		t.Fatalf("completed: %+v %+v", c.Outcome, c.Identity)
	}
	s := p.state()
	if e := s.Steps[2].Event; e.Type != audit.TypeSSOVerified || e.Evidence != audit.EvidenceVerified || e.Personal.Issuer != "https://okta.example" ||
		!e.AuthenticatedAt.Equal(noon.Add(-time.Minute)) || e.Personal.ACR != "mfa" {
		t.Fatalf("event: %+v", e)
	}
	if s.Pending.Seed != nil {
		t.Fatal("the seed outlives its use")
	}
	a, err := p.link("bob")
	if err != nil || a.Verdict != audit.VerdictAllow {
		t.Fatalf("linked: %+v %v", a.Outcome, err)
	}
	p.again()
	b = p.begin("okta")
	c = p.complete(p.came(b, "s1", "bob@partner.example.com"))
	p.again()
	b = p.begin("okta")
	if trips := p.tripsOf(func() { c = p.complete(p.came(b, "s1", "bob@partner.example.com")) }); trips != 3 {
		t.Errorf("%d round trips once the owner is known", trips)
	}
	if c.Verdict != audit.VerdictAllow || c.Identity.AccountID != "bob" || p.state().Bound.AccountID != "bob" {
		t.Fatalf("the second time the link names the account: %+v %+v", c.Outcome, c.Identity)
	}
}

func TestACompletedSignInElsewhereIsAReplayAndAnUnknownStateAMismatch(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	b := p.begin("okta")
	in := p.came(b, "s1", "")
	for _, c := range []struct {
		name   string
		change func(*CompleteInput)
		want   string
	}{
		{"another state", func(in *CompleteInput) { in.Callback = &Callback{State: "x", Code: in.Callback.Code} }, audit.ReasonStateMismatch},
		{"another browser", func(in *CompleteInput) { in.BrowserToken = "x" }, audit.ReasonStateMismatch},
		{"another issuer", func(in *CompleteInput) {
			in.Callback = &Callback{State: in.Callback.State, Code: in.Callback.Code, Issuer: "https://evil.example"}
		}, audit.ReasonIssuerMismatch},
	} {
		wrong := in
		wrong.RequestID = p.request()
		c.change(&wrong)
		if got := p.complete(wrong); got.Reason != c.want || got.Identity != nil {
			t.Errorf("%s: %q", c.name, got.Reason)
		}
	}
	if len(p.idp.sent) != 0 {
		t.Fatal("a code left the process")
	}
	b = p.begin("okta") // the wrong issuer has used it up
	in = p.came(b, "s1", "")
	first := p.complete(in)
	again := p.complete(in)
	if !again.Repeated || again.Step != first.Step || again.Identity == nil || again.Identity.SubjectID != "s1" {
		t.Fatalf("the same request id: %+v %+v", again.Outcome, again.Identity)
	}
	in.RequestID = p.request()
	if got := p.complete(in); got.Reason != audit.ReasonReplayed {
		t.Fatalf("another request id: %q", got.Reason)
	}
	if len(p.idp.sent) != 1 {
		t.Fatalf("the code left %d times", len(p.idp.sent))
	}
}

func TestABegunFederationIsAnsweredTheSameUntilItIsUsedUp(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	in := BeginInput{Organization: "acme", Flow: p.flow, RequestID: "begin", Connection: "okta"}
	first, err := p.flows.BeginFederation(t.Context(), caller, in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.flows.BeginFederation(t.Context(), caller, in)
	if err != nil || again.Redirect.URL != first.Redirect.URL || again.BrowserToken != first.BrowserToken || !again.Repeated {
		t.Fatalf("%v %+v", err, again)
	}
	p.complete(p.came(first, "s1", ""))
	if _, err := p.flows.BeginFederation(t.Context(), caller, in); errReason(err) != ErrRedirectUsed {
		t.Fatalf("after its use: %v", err)
	}
}

func TestACodeIsSentOnceWhateverBecomesOfTheCall(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	b := p.begin("okta")
	in := p.came(b, "s1", "")
	// The process dies between exchange and commit: nothing of the commit arrives.
	p.idp.during = func() { p.store.down = errs.New(errs.Unavailable, "NOT_RECORDED", "gone") }
	if _, err := p.flows.CompleteFederation(t.Context(), caller, in); err == nil {
		t.Fatal("it was recorded")
	}
	p.store.down, p.idp.during = nil, nil
	p.setNow(noon.Add(30 * time.Second))
	got := p.complete(in)
	if got.Reason != audit.ReasonCodeExchangeFailed || len(p.idp.sent) != 1 {
		t.Fatalf("%q, sent %d times", got.Reason, len(p.idp.sent))
	}
	other := in
	other.RequestID = p.request()
	if got := p.complete(other); got.Reason != audit.ReasonReplayed {
		t.Fatalf("by another call: %q", got.Reason)
	}
}

func TestAnotherCallWithACodeThatIsOnItsWayTakesNothingFromIt(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	in := p.came(p.begin("okta"), "s1", "")
	other := in
	other.RequestID = p.request()
	p.idp.during = func() {
		if got := p.complete(other); got.Reason != audit.ReasonReplayed {
			t.Errorf("the other call: %+v", got.Outcome)
		}
	}
	if got := p.complete(in); got.Identity == nil || got.Reason != "" {
		t.Fatalf("the call that sent the code: %+v", got.Outcome)
	}
}

func TestEvidenceCountsOnceAcrossFlows(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	expect := &Expectations{Nonce: "their-own-nonce-1234"}
	in := CompleteInput{Organization: "acme", Connection: "okta", Expectations: expect, Token: &TokenResponse{IDToken: "s1||their-own-nonce-1234"}}
	accepted := 0
	for i := range 5 {
		in.Flow, in.RequestID = p.start(fmt.Sprintf("racer-%d", i)).Flow, p.request()
		switch got := p.complete(in); {
		case got.Reason == "" && got.Identity != nil:
			accepted++
			p.flow = in.Flow
			if e := p.state().Steps[1].Event; e.Expectations != audit.ExpectationsCaller {
				t.Errorf("the event does not say whose expectations: %+v", e)
			}
		case got.Reason != audit.ReasonReplayed:
			t.Errorf("%q", got.Reason)
		}
	}
	if accepted != 1 {
		t.Errorf("%d accepted", accepted)
	}
}

func TestAnAccountThatIsKnownWantsAProof(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	p.step(p.flow, "pw", with(reports(audit.TypePasswordVerified, ""), func(r *Reported) { r.Subject.AccountID = "bob" }))
	p.again()
	p.complete(p.came(p.begin("okta"), "s1", ""))
	if _, err := p.link("bob"); errReason(err) != ErrLinkProof {
		t.Fatalf("a known account is linked on a word: %v", err)
	}
	a := p.step(p.flow, "pw2", with(reports(audit.TypePasswordVerified, ""), func(r *Reported) { r.Subject.AccountID = "bob" }))
	if a.Verdict != audit.VerdictAllow {
		t.Fatalf("a proof of it: %+v", a.Outcome)
	}
	p.again()
	if c := p.complete(p.came(p.begin("okta"), "s1", "")); c.Identity.AccountID != "bob" {
		t.Fatalf("it is linked: %+v", c.Identity)
	}
}

func TestTheBoundAccountIsGivenAnIdentityOnlyWhenItIsAskedTo(t *testing.T) {
	for _, links := range []bool{false, true} {
		p := newPartners(t, federated(noDemands))
		p.step(p.flow, "pw", with(reports(audit.TypePasswordVerified, ""), func(r *Reported) { r.Subject.AccountID = "bob" }))
		c := p.complete(p.came(p.begin("okta", func(in *BeginInput) { in.Links = links }), "s1", ""))
		if linked := c.Identity != nil; linked != links || !links && c.Reason != audit.ReasonSubjectMismatch {
			t.Errorf("links %v: %+v", links, c.Outcome)
		}
	}
}

func TestLinkingByVerifiedEmail(t *testing.T) {
	mail := func(s string) func(*LinkInput) {
		return func(in *LinkInput) { in.NewAccount, in.Address = false, address(t, s) }
	}
	for _, c := range []struct {
		name               string
		permitted, checked bool
		email              string
		ok                 bool
	}{
		{"permitted, verified and equal", true, true, "Bob@partner.example.com", true},
		{"not permitted", false, true, "bob@partner.example.com", false},
		{"not verified", true, false, "bob@partner.example.com", false},
		{"another", true, true, "eve@partner.example.com", false},
	} {
		p := newPartners(t, federated(noDemands, func(o *policy.Organization) { o.Connections[0].LinksByEmail = c.permitted }))
		p.idp.verified = c.checked
		p.complete(p.came(p.begin("okta"), "s1", "bob@partner.example.com"))
		if _, err := p.link("bob", mail(c.email)); (err == nil) != c.ok || err != nil && errReason(err) != ErrLinkProof {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAProviderThatIsAwayIsARejectionWithItsReason(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	p.idp.down = true
	if b := p.begin("okta"); b.Reason != audit.ReasonIDPUnreachable || b.Redirect.URL != "" || b.BrowserToken != "" {
		t.Fatalf("%+v", b)
	}
}

func TestAResponseNobodyAskedForOpensAFlow(t *testing.T) {
	p := newPartners(t, federated(noDemands, func(o *policy.Organization) { o.Connections[1].SAML.AllowsUnsolicited = true }))
	in := CompleteInput{Organization: "acme", Site: "portal", Connection: "entra", RequestID: "idp-1", SAML: &SAMLResponse{Response: "s1|bob@partner.example.com|"}}
	var c Completed
	if trips := p.tripsOf(func() { c = p.complete(in) }); trips != 2 {
		t.Errorf("%d round trips", trips)
	}
	p.flow = c.Flow
	s := p.state()
	if c.Identity == nil || s.Phase != PhaseBound || s.Steps[0].Event.InitiatedBy != audit.InitiatedByIDP {
		t.Fatalf("%+v %+v", c.Outcome, s.Steps[0].Event)
	}
	if again := p.complete(in); !again.Repeated || again.Flow != c.Flow || again.Identity == nil {
		t.Fatalf("the same request id: %+v", again.Outcome)
	}
	in.RequestID = "idp-2"
	got := p.complete(in)
	if got.Ending != audit.EndingFailed || got.Reason != audit.ReasonReplayed || got.Flow == c.Flow {
		t.Fatalf("again: %+v", got.Outcome)
	}
	in.RequestID, in.SAML = "idp-3", &SAMLResponse{Response: "garbage"}
	if got := p.complete(in); got.Ending != audit.EndingFailed || got.Reason != audit.ReasonMalformed {
		t.Fatalf("garbage: %+v", got.Outcome)
	}
	in.Connection, in.RequestID = "okta", "idp-4"
	if _, err := p.flows.CompleteFederation(t.Context(), caller, in); errReason(err) != ErrEvidenceKind {
		t.Fatalf("an OIDC connection: %v", err)
	}
	p = newPartners(t, federated(noDemands))
	in.Connection = "entra"
	if _, err := p.flows.CompleteFederation(t.Context(), caller, in); errReason(err) != ErrUnsolicited {
		t.Fatalf("a connection that takes none: %v", err)
	}
}

func TestAnIdentityIsTakenFromItsAccount(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	p.complete(p.came(p.begin("okta"), "s1", "bob@partner.example.com"))
	if _, err := p.link("bob"); err != nil {
		t.Fatal(err)
	}
	ids, err := NewIdentities(p.flows, p.store)
	if err != nil {
		t.Fatal(err)
	}
	links, _, err := ids.List(t.Context(), caller, "acme", "bob", "", 10)
	if err != nil || len(links) != 1 || links[0].Connection != "okta" || links[0].SubjectID != "s1" || links[0].By != LinkedNew {
		t.Fatalf("%+v %v", links, err)
	}
	in := UnlinkInput{Organization: "acme", Identity: links[0].Identity, RequestID: "u1"}
	if err := ids.Unlink(t.Context(), caller, in); errReason(err) != ErrReasonRequired {
		t.Fatalf("without a reason: %v", err)
	}
	in.Reason = "left the partner"
	for range 2 { // the second is a retry
		if err := ids.Unlink(t.Context(), caller, in); err != nil {
			t.Fatal(err)
		}
	}
	in.RequestID = "u2"
	if err := ids.Unlink(t.Context(), caller, in); errReason(err) != ErrIdentityNotFound {
		t.Fatalf("again: %v", err)
	}
	p.again()
	if c := p.complete(p.came(p.begin("okta"), "s1", "new@partner.example.com")); c.Identity.AccountID != "" {
		t.Fatalf("its next use is a first use: %+v", c.Identity)
	}
}

func TestAChangedEmailOfALinkedIdentityIsAnEvent(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	p.complete(p.came(p.begin("okta"), "s1", "bob@partner.example.com"))
	if _, err := p.link("bob"); err != nil {
		t.Fatal(err)
	}
	changes := func() (n int) {
		for _, e := range p.store.outbox {
			if e.Type == audit.TypeAccountEmailChanged && e.Personal.PreviousEmail == "bob@partner.example.com" && e.Personal.Email == "robert@partner.example.com" {
				n++
			}
		}
		return n
	}
	for i, email := range []string{"bob@partner.example.com", "robert@partner.example.com", "robert@partner.example.com"} {
		p.again()
		if c := p.complete(p.came(p.begin("okta"), "s1", email)); c.Identity.AccountID != "bob" {
			t.Fatalf("%+v", c.Identity)
		}
		if want := min(i, 1); changes() != want {
			t.Fatalf("%d events after sign-in %d, want %d", changes(), i, want)
		}
	}
}

func TestKeysOfAProviderAreRecordedOnce(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	other, _ := p.process()
	uid := p.store.org.UID
	ends := []ExpiringCertificate{{Fingerprint: "c1", NotAfter: noon.Add(time.Hour)}}
	for _, k := range []ProviderKeys{
		{uid, "uid-okta", "one", nil}, {uid, "uid-okta", "one", nil}, {uid, "uid-okta", "two", nil}, {uid, "uid-entra", "one", ends}, {uid, "uid-entra", "one", ends}, {uid, "gone", "one", nil},
	} {
		for _, f := range []*Flows{p.flows, other} {
			if err := f.RecordKeys(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
	}
	found := map[audit.Type]int{}
	for _, e := range p.store.outbox {
		found[e.Type]++
	}
	if found[audit.TypeConnectionKeysChanged] != 3 || found[audit.TypeConnectionCertificateExpiring] != 1 {
		t.Errorf("%v", found)
	}
}

// Evidence that was judged for a connection as this process last saw it counts for nothing once the connection is another.
func TestAChangedConnectionHasItsEvidenceJudgedAgain(t *testing.T) {
	move := func(p *partners) {
		org := changed(p.store.org, func(o *policy.Organization) {
			okta := *o.Connections[0].OIDC
			okta.Issuer = "https://new.example"
			o.Connections[0].OIDC = &okta
		})
		org.PolicyStamp, org.Revision = stampOf(77), org.Revision+1
		p.store.org = org
	}
	p := newPartners(t, federated(noDemands))
	in := CompleteInput{Organization: "acme", Flow: p.flow, Connection: "okta", RequestID: "r1", Expectations: &Expectations{Nonce: "their-own-nonce-1234"},
		Token: &TokenResponse{IDToken: "s1||their-own-nonce-1234"}}
	move(p)
	if c := p.complete(in); c.Identity == nil || c.Identity.Issuer != "https://new.example" {
		t.Fatalf("judged for what the connection was: %+v %+v", c.Outcome, c.Identity)
	}
	p = newPartners(t, federated(noDemands))
	b := p.begin("okta")
	p.idp.during = func() { move(p) }
	if c := p.complete(p.came(b, "s1", "")); c.Identity != nil || c.Reason != audit.ReasonVerifierError {
		t.Fatalf("a code that was exchanged meanwhile: %+v", c.Outcome)
	}
}

func TestASessionEndsWhenTheProviderWantsItTo(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	p.idp.ends = noon.Add(time.Hour)
	if c := p.complete(p.came(p.begin("okta"), "s1", "")); !c.Identity.SessionEnds.Equal(p.idp.ends) {
		t.Fatalf("%+v", c.Identity)
	}
	handle := []byte("a-session-handle-of-the-site")
	if _, err := p.flows.RecordSession(t.Context(), caller, SessionInput{Organization: "acme", Site: "portal", RequestID: "s", Event: SessionStarted, Handle: handle, Flow: p.flow}); err != nil {
		t.Fatal(err)
	}
	if s := p.store.sessions[(hashNamer{}).SessionHandle(p.store.org.UID, handle)]; !s.Expires.Equal(p.idp.ends) {
		t.Errorf("the session ends %v", s.Expires)
	}
}
