package policy_test

import (
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

func wiki() (*policy.Organization, *policy.Site) {
	o := &policy.Organization{ID: "acme", UID: "u", Sites: []policy.Site{{ID: "wiki"}},
		Connections: []policy.Connection{{ID: "okta", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC}}}
	return o, &o.Sites[0]
}

func demanding(d policy.Demands, shown ...policy.Shown) policy.Input {
	org, site := wiki()
	org.Policy.Rules = []policy.Rule{{ID: "r", Mode: policy.ModeEnforce, Demands: d}}
	for i := range shown {
		shown[i].Step, shown[i].At, shown[i].Evidence = i+2, now, audit.EvidenceAsserted
	}
	return policy.Input{Organization: org, Site: site, Now: now, Shown: shown}
}

func TestAnAllowedStepAndAnotherDemandedOneDoNotAddUp(t *testing.T) {
	in := demanding(policy.Demands{Methods: []string{"password"}, SSOConnection: "okta", SSOEvidence: audit.EvidenceAsserted},
		policy.Shown{Method: "password"}, policy.Shown{Method: "sso", Connection: "okta"})
	if d := policy.Decide(in).Decision; d.Verdict != audit.VerdictContinue || d.Demands[0].Met {
		t.Errorf("%v %+v", d.Verdict, d.Demands)
	}
}

func TestAPasskeyThatMayNotOpenTheDoorMayBeTheSecondFactor(t *testing.T) {
	in := demanding(policy.Demands{Methods: []string{"password"}, MFA: &policy.MFADemand{Factors: []string{"WEBAUTHN"}}},
		policy.Shown{Method: "password"}, policy.Shown{Method: "passkey", UserVerified: true})
	r := policy.Decide(in)
	if r.Decision.Verdict != audit.VerdictAllow {
		t.Errorf("%+v", r.Decision)
	}
	if ok, reason := policy.Counts(r.Frozen, in.Shown[1]); !ok {
		t.Errorf("it met a demand and does not count: %s", reason)
	}
}

func TestRecordsOfSomebodyElseMakeNobodyAMember(t *testing.T) {
	org, site := wiki()
	a, _ := policy.ParseAddress("bob@partner-x.com")
	subject := policy.Subject{Address: a, EmailVerified: true}
	for name, records := range map[string]policy.Records{
		"a claim of an account that is not named": {AccountClaim: &policy.ClaimRecord{}},
		"a domain that does not cover":            {Domain: &policy.DomainRecord{Domain: mustDomain("acme-x.com"), Subdomains: true}},
		"a domain without its subdomains":         {Domain: &policy.DomainRecord{Domain: mustDomain("x.com")}},
	} {
		if class, basis, _ := policy.Classify(org, site, subject, records); class != audit.ClassExternal {
			t.Errorf("%s: %v %+v", name, class, basis)
		}
	}
	subject.EmailVerified = false
	if class, _, _ := policy.Classify(org, nil, subject, policy.Records{AddressClaim: &policy.ClaimRecord{}}); class != audit.ClassExternal {
		t.Errorf("an unverified address is claimed: %v", class)
	}
}

func TestBindingNeverTakesASubjectAsTyped(t *testing.T) {
	org, site := wiki()
	a, _ := policy.ParseAddress("ann@acme-x.com")
	in := policy.Input{Organization: org, Site: site, Now: now, Subject: policy.Subject{AccountID: "a", Address: a, Typed: true},
		Records: policy.Records{Domain: &policy.DomainRecord{Domain: mustDomain("acme-x.com")}}}
	if d, _ := policy.Advise(in); d.Class != audit.ClassManaged {
		t.Errorf("advised as %v", d.Class)
	}
	if f := policy.Bind(in); f.SubjectClass != audit.ClassExternal || f.Decision.Class != audit.ClassExternal {
		t.Errorf("bound as %v", f.SubjectClass)
	}
}

func TestADecisionCarriesThePolicyItRestsOn(t *testing.T) {
	org, site := wiki()
	org.PolicyStamp = policy.Stamp{6: 1, 7: 2, 9: 5}
	f := policy.Bind(policy.Input{Organization: org, Site: site, Now: now})
	if f.PolicyStamp != org.PolicyStamp || f.Decision.PolicyRevision != 258 {
		t.Errorf("stamp %v, revision %d", f.PolicyStamp, f.Decision.PolicyRevision)
	}
}

func TestManyRulesDoNotMakeALongDecision(t *testing.T) {
	in := demanding(policy.Demands{}, policy.Shown{Method: "password"})
	for range 150 {
		in.Organization.Policy.Rules = append([]policy.Rule{{ID: "x", Mode: policy.ModeEnforce, Match: policy.Match{Sites: []string{"other"}}}},
			in.Organization.Policy.Rules...)
	}
	d := policy.Decide(in).Decision
	if len(d.Conditions) > 12 || d.Rule != "r" || d.Conditions[len(d.Conditions)-1].Detail != "142 more rules did not match" {
		t.Errorf("rule %s, %d conditions, last %+v", d.Rule, len(d.Conditions), d.Conditions[len(d.Conditions)-1])
	}
}
