package authflow

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

func provesBob(p *partners) Answer {
	p.t.Helper()
	return p.step(p.flow, p.request(), with(reports(audit.TypePasswordVerified, ""), func(r *Reported) {
		r.Subject.AccountID, r.Subject.Address = "bob", address(p.t, "bob@home.example.com")
	}))
}

// A rule that names an account holds for it, however the flow came to know of the account.
func TestRulesThatNameAnAccountHoldForAnIdentityThatIsGivenIt(t *testing.T) {
	names := func(d policy.Demands) policy.Policy {
		return policy.Policy{Rules: []policy.Rule{{ID: "bob", Match: policy.Match{Accounts: []policy.AccountKey{(hashNamer{}).AccountKey(orgUID, "bob")}}, Demands: d}}}
	}
	p := newPartners(t, federated(names(policy.Demands{Block: true})))
	p.complete(p.came(p.begin("okta"), "s1", "bob@partner.example.com"))
	if a := provesBob(p); a.Verdict != audit.VerdictDeny || a.Decision.Rule != "bob" {
		t.Errorf("by a proof of it: %+v", a.Outcome)
	}
	p = newPartners(t, federated(names(policy.Demands{MFA: &policy.MFADemand{Evidence: audit.EvidenceAsserted}})))
	p.complete(p.came(p.begin("okta"), "s1", "bob@partner.example.com"))
	if a, err := p.link("bob"); err != nil || a.Verdict != audit.VerdictContinue || a.Decision.Reason != audit.ReasonMFARequired {
		t.Errorf("by the login service: %+v %v", a.Outcome, err)
	}
	p.again()
	p.complete(p.came(p.begin("okta"), "s2", "eve@partner.example.com"))
	if a, err := p.link("eve"); err != nil || a.Verdict != audit.VerdictAllow {
		t.Errorf("another account: %+v %v", a.Outcome, err)
	}
}

func TestAnAccountThatTheOrganizationClaimsIsNotNew(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	p.store.records[p.flows.keys(orgUID, "boss", policy.Address{})] = policy.Records{AccountClaim: &policy.ClaimRecord{}}
	p.complete(p.came(p.begin("okta"), "s1", ""))
	if _, err := p.link("boss"); errReason(err) != ErrLinkProof {
		t.Errorf("a claimed account is linked on a word: %v", err)
	}
	if _, err := p.link("bob"); err != nil {
		t.Errorf("a new one: %v", err)
	}
}

// What a link keeps is the provider's e-mail: never the account's own, which stands in the flow when the provider gives none.
func TestALinkKeepsNoEmailOfTheAccount(t *testing.T) {
	for _, linked := range []bool{true, false} {
		p := newPartners(t, federated(noDemands))
		want := ""
		if linked {
			want = "bob@partner.example.com"
			p.complete(p.came(p.begin("okta"), "s1", want))
			if _, err := p.link("bob"); err != nil {
				t.Fatal(err)
			}
			p.again()
		}
		provesBob(p)
		if c := p.complete(p.came(p.begin("okta", func(in *BeginInput) { in.Links = true }), "s1", "")); c.Reason != "" {
			t.Fatalf("%+v", c.Outcome)
		}
		for _, l := range p.store.links {
			if l.Email != want {
				t.Errorf("linked before %v: %q", linked, l.Email)
			}
		}
		for _, e := range p.store.outbox {
			if e.Type == audit.TypeAccountEmailChanged {
				t.Errorf("linked before %v: the e-mail is said to have changed to %q", linked, e.Personal.Email)
			}
		}
	}
}

func TestAResponseNobodyAskedForArrivesAtAnAddressOfItsConnection(t *testing.T) {
	p := newPartners(t, federated(noDemands, func(o *policy.Organization) { o.Connections[1].SAML.AllowsUnsolicited = true }))
	in := CompleteInput{Organization: "acme", Site: "portal", Connection: "entra", RequestID: "idp-1", SAML: &SAMLResponse{Response: "s1||"},
		Expectations: &Expectations{CallbackURL: "https://evil.example/acs"}}
	if _, err := p.flows.CompleteFederation(t.Context(), caller, in); errReason(err) != ErrCallbackURL {
		t.Errorf("anywhere: %v", err)
	}
	in.Expectations.CallbackURL = "https://login.example/acs"
	if c := p.complete(in); c.Identity == nil {
		t.Errorf("where it belongs: %+v", c.Outcome)
	}
}

// Two processes with clocks that differ by minutes, or a commit that comes late, do not take the same evidence twice.
func TestWhatEvidenceUsesUpIsKeptLongerThanTheEvidence(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	p.complete(p.came(p.begin("okta"), "s1", ""))
	found := false
	for _, c := range p.store.claims {
		if c.Kind == claimEvidence {
			found = true
			if longer := c.Until.Sub(noon.Add(10 * time.Minute)); longer < 10*time.Minute { // the evidence's own end
				t.Errorf("only %v longer", longer)
			}
		}
	}
	if !found {
		t.Error("nothing is used up")
	}
}

// A connection of the same name that was made anew is another one: what the old one let in goes no further.
func TestAConnectionThatWasMadeAnewIsNotTheOneThatBound(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	p.complete(p.came(p.begin("okta"), "s1", ""))
	org := changed(p.store.org, func(o *policy.Organization) { o.Connections[0].UID = "uid-another" })
	org.PolicyStamp, org.Revision = stampOf(77), org.Revision+1
	p.store.org = org
	a, err := p.link("bob")
	if err != nil || a.Ending != audit.EndingDenied || a.Reason != audit.ReasonConnectionDisabled || len(p.store.links) != 0 {
		t.Errorf("%+v %v", a.Outcome, err)
	}
}

// A repeated call gets what it began, never what another one has begun since, however quickly they follow.
func TestARepeatedBeginningGetsNoneOfAnother(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	in := BeginInput{Organization: "acme", Flow: p.flow, RequestID: "begin", Connection: "okta"}
	if _, err := p.flows.BeginFederation(t.Context(), caller, in); err != nil {
		t.Fatal(err)
	}
	second := p.begin("okta")
	if again, err := p.flows.BeginFederation(t.Context(), caller, in); errReason(err) != ErrRedirectUsed {
		t.Errorf("%v, the other's: %v", err, again.BrowserToken == second.BrowserToken)
	}
}

// What an identity shows does nothing for an account whose own proofs do not suffice, and it is not linked to it, in whatever order
// they come: a stolen password and an identity of one's own are not somebody else's single sign-on.
func TestAnIdentityOfOnesOwnIsNoSecondFactorOfAStolenPassword(t *testing.T) {
	partnersMFA := policy.Policy{Default: policy.Demands{MFA: &policy.MFADemand{AcceptPartner: true, PartnerACR: []string{"mfa"}, Evidence: audit.EvidenceVerified}}}
	onlySSO := policy.Policy{Default: policy.Demands{SSOConnection: "okta"}}
	password := func(p *partners) Answer {
		return p.step(p.flow, p.request(), with(reports(audit.TypePasswordVerified, ""), func(r *Reported) { r.Subject.AccountID = "bob" }))
	}
	for name, c := range map[string]policy.Policy{"partner MFA": partnersMFA, "single sign-on": onlySSO} {
		p := newPartners(t, federated(c))
		p.complete(p.came(p.begin("okta"), "mallory", ""))
		if a := password(p); a.Verdict == audit.VerdictAllow {
			t.Errorf("%s, identity first: let in", name)
		}
		p.again()
		password(p)
		if done := p.complete(p.came(p.begin("okta", func(in *BeginInput) { in.Links = true }), "mallory", "")); done.Verdict == audit.VerdictAllow || done.Identity == nil || done.Identity.AccountID != "" {
			t.Errorf("%s, password first: let in, or told to be linked: %+v", name, done.Identity)
		}
		if a, _ := p.finish(p.flow, p.request(), ActionComplete); a.Ending != audit.EndingDenied {
			t.Errorf("%s: ended %v", name, a.Ending)
		}
		if len(p.store.links) > 0 {
			t.Errorf("%s: linked", name)
		}
		for _, s := range p.store.subjects {
			for i := range s.Person.Proofs {
				if s.Person.Proofs[i].Method == audit.MethodSSO {
					t.Errorf("%s: remembered of the account", name)
				}
			}
		}
	}
}

func TestASessionThatGoesOnLinksNothing(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	p.complete(p.came(p.begin("okta"), "s1", ""))
	a := p.step(p.flow, p.request(), with(reports(audit.TypeSessionReused, ""), func(r *Reported) {
		r.Subject.AccountID, r.AuthenticatedAt = "bob", noon.Add(-time.Hour)
	}))
	if a.Verdict != audit.VerdictAllow || len(p.store.links) > 0 {
		t.Errorf("%+v, %d links", a.Outcome, len(p.store.links))
	}
}
