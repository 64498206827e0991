package authflow

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/policy"
)

// An account that has a second factor has no grace to get one, whichever way a flow came to know of the account.
func TestAnIdentityIsGivenNoGraceThatItsAccountHasNot(t *testing.T) {
	rules := policy.Policy{Rules: []policy.Rule{{ID: "mfa", EnforceFrom: noon.Add(-time.Hour), EnrolmentGrace: 48 * time.Hour,
		Demands: policy.Demands{MFA: &policy.MFADemand{Evidence: audit.EvidenceAsserted}}}}}
	enrolled := func() *partners {
		p := newPartners(t, federated(rules))
		key := (hashNamer{}).AccountKey(orgUID, "bob")
		p.store.subjects[key] = SubjectRecords{Key: key, AuthenticatorStamp: stampOf(9), Authenticator: &factor.Authenticator{State: factor.Active, AccountID: "bob",
			Active: factor.Credential{UID: "c1", Algorithm: factor.SHA1, Digits: 6}}}
		return p
	}
	p := enrolled()
	if a := provesBob(p); a.Verdict != audit.VerdictContinue || a.Decision.Reason != audit.ReasonMFARequired {
		t.Fatalf("by its password: %+v", a.Outcome)
	}
	p = enrolled()
	p.complete(p.came(p.begin("okta"), "s1", ""))
	if a := provesBob(p); a.Verdict != audit.VerdictContinue || a.Decision.Reason != audit.ReasonMFARequired {
		t.Errorf("as the account of an identity: %+v", a.Outcome)
	}
	if p.store.subjects[(hashNamer{}).AccountKey(orgUID, "bob")].Person == nil {
		t.Error("its proof is not remembered")
	}
	p.again() // what is kept of the account says nothing of an identity that is not its own
	p.complete(p.came(p.begin("okta"), "s2", ""))
	if c := p.complete(p.came(p.begin("okta"), "s1", "")); c.Reason != audit.ReasonSubjectMismatch || c.Decision.GraceUntil.IsZero() {
		t.Errorf("another identity: %+v", c.Outcome)
	}
	p = enrolled()
	first := p.flow
	p.complete(p.came(p.begin("okta"), "s1", ""))
	p.again()
	p.complete(p.came(p.begin("okta"), "s1", ""))
	provesBob(p)
	p.step(p.flow, p.request(), reports(audit.TypeMFAVerified, "")) // links the identity
	p.flow = first
	if c := p.complete(p.came(p.begin("okta"), "s1", "")); c.Verdict != audit.VerdictContinue || c.Decision.Reason != audit.ReasonMFARequired {
		t.Errorf("linked meanwhile: %+v", c.Outcome)
	}
}

// What came when a flow's time was up proves nobody, though somebody was proven in that flow before.
func TestWhatCameTooLateProvesNobody(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	p.complete(p.came(p.begin("okta"), "s1", ""))
	p.setNow(noon.Add(2 * time.Hour))
	in := CompleteInput{Organization: "acme", Flow: p.flow, Connection: "okta", RequestID: p.request(), Expectations: &Expectations{Nonce: "their-own-nonce-1234"},
		Token: &TokenResponse{IDToken: "s1||their-own-nonce-1234"}}
	for range 2 { // the second is a retry
		if c := p.complete(in); c.Ending != audit.EndingAbandoned || c.Identity != nil {
			t.Errorf("%+v %+v", c.Outcome, c.Identity)
		}
	}
}
