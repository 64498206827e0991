package simulate

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// partnerMFA takes the partner's own second factor, of the last day.
var partnerMFA = policy.Demands{MFA: &policy.MFADemand{AcceptPartner: true, MaxAge: 24 * time.Hour}}

// remembering is a flow that was let in by what an earlier one had proven at the partner, and that earlier one.
func remembering(t *testing.T, earlier bool) *world {
	w := newWorld(t, acme(policy.Policy{Default: partnerMFA}))
	proof := policy.Proof{Method: audit.MethodSSO, Connection: "okta", ConnectionUID: "uid-okta", At: noon.Add(-time.Hour), Evidence: audit.EvidenceVerified,
		PartnerAMR: []string{"mfa"}, Flow: "elsewhere", Step: 2}
	if earlier {
		proof.Flow = w.signIn(came{account: "pia", at: noon.Add(-time.Hour), steps: []did{sso("mfa")}})
	}
	w.signIn(came{account: "pia", at: noon, steps: []did{password()}, proofs: []policy.Proof{proof}})
	return w
}

func TestAProofIsWhatTheFlowItComesFromSays(t *testing.T) {
	w := remembering(t, true)
	counts(t, w.try(w.draft(policy.Policy{Default: partnerMFA}, moved)), 2, 0, 0)
	stricter := partnerMFA
	stricter.SSOConnection = "entra"
	r := w.try(w.draft(policy.Policy{Default: stricter}, moved))
	counts(t, r, 0, 0, 0)
	for _, c := range r.Changes {
		if c.Allowed || c.WouldBe != audit.ReasonSSORequired {
			t.Errorf("%+v", c)
		}
	}
	short := policy.Demands{MFA: &policy.MFADemand{AcceptPartner: true, MaxAge: time.Minute}}
	if c := only(t, w.try(w.draft(policy.Policy{Default: short}))); c.Flows != 1 || c.WouldBe != audit.ReasonMFARequired {
		t.Errorf("%+v", c)
	}
}

// moved makes an organization one at another revision, so that nothing is taken from the record without being looked at.
func moved(o *policy.Organization) { o.PolicyStamp[0]++ }

func TestAProofThatNothingTellsMoreOfIsNotGuessed(t *testing.T) {
	w := remembering(t, false)
	w.org = acme(w.org.Policy, moved)
	counts(t, w.try(Draft{}), 0, 0, 1)
	counts(t, w.try(w.draft(policy.Policy{})), 1, 0, 0)
	if c := only(t, w.try(w.draft(policy.Policy{Default: block}))); c.Flows != 1 || c.Allowed {
		t.Errorf("%+v", c)
	}
}

func TestUnderTheRevisionThatDecidedTheRecordIsBelieved(t *testing.T) {
	w := remembering(t, false)
	counts(t, w.try(Draft{}), 1, 0, 0)
	counts(t, w.try(w.draft(policy.Policy{Default: partnerMFA, Rules: []policy.Rule{{ID: "others", Mode: policy.ModeEnforce, Demands: block,
		Match: policy.Match{Sites: []string{"hall"}}}}})), 1, 0, 0)
	counts(t, w.try(w.draft(policy.Policy{Default: policy.Demands{MFA: &policy.MFADemand{AcceptPartner: true, MaxAge: 23 * time.Hour}}})), 0, 0, 1)
}

func TestGraceIsKnownFromWhatWasExcused(t *testing.T) {
	rule := func(d policy.Demands) policy.Policy {
		return policy.Policy{Rules: []policy.Rule{{ID: "mfa", Mode: policy.ModeEnforce, Demands: d, EnforceFrom: noon.Add(-time.Hour), EnrolmentGrace: 24 * time.Hour}}}
	}
	totp := policy.Demands{MFA: &policy.MFADemand{Factors: []string{audit.FactorTOTP}}}
	texts := policy.Demands{MFA: &policy.MFADemand{Factors: []string{audit.FactorSMS}}}
	for name, c := range map[string]struct {
		live       policy.Policy
		enrolled   []string
		steps      []did
		draft      policy.Policy
		unchanged  int64
		unreadable int64
	}{
		"excused then, excused now":           {rule(totp), nil, []did{password()}, rule(totp), 1, 0},
		"excused for any, excused for one":    {rule(anyMFA), nil, []did{password()}, rule(totp), 1, 0},
		"excused for one, asked for any":      {rule(totp), nil, []did{password()}, rule(anyMFA), 0, 1},
		"never asked: nobody knows":           {policy.Policy{}, nil, []did{password()}, rule(totp), 0, 1},
		"never asked, and none is kept here":  {policy.Policy{}, nil, []did{password()}, rule(texts), 1, 0},
		"denied, so it was there":             {rule(totp), []string{audit.FactorTOTP}, []did{password()}, rule(totp), 0, 1},
		"shown in the flow, of another proof": {policy.Policy{}, []string{audit.FactorTOTP}, []did{password(), {Type: audit.TypeMFAVerified, factor: audit.FactorTOTP}}, rule(totp), 0, 0},
	} {
		w := newWorld(t, acme(c.live, moved))
		w.signIn(came{account: "pia", enrolled: c.enrolled, steps: c.steps})
		w.org = acme(w.org.Policy)
		r := w.try(w.draft(c.draft))
		t.Run(name, func(t *testing.T) { counts(t, r, c.unchanged, 0, c.unreadable) })
	}
}

func TestWhatWasRevokedLaterCountedThen(t *testing.T) {
	length := policy.Demands{SessionLength: 8 * time.Hour}
	session := did{Type: audit.TypeSessionReused, method: audit.MethodSession}
	for name, change := range map[string]func(*policy.Organization){
		"in the organization": func(o *policy.Organization) { o.ProofsNotBefore = noon.Add(time.Hour) },
		"at the site":         func(o *policy.Organization) { o.Sites[0].ProofsNotBefore = noon.Add(time.Hour) },
	} {
		w := newWorld(t, acme(policy.Policy{Default: length}))
		w.signIn(came{account: "pia", steps: []did{session}})
		w.org = acme(w.org.Policy, moved, change)
		r := w.try(Draft{})
		t.Run(name, func(t *testing.T) { counts(t, r, 1, 0, 0) })
	}
	w := newWorld(t, acme(policy.Policy{Default: length}, func(o *policy.Organization) { o.ProofsNotBefore = noon.Add(-time.Hour) }))
	w.signIn(came{account: "pia", steps: []did{session}})
	w.org = acme(w.org.Policy, moved, func(o *policy.Organization) { o.ProofsNotBefore = noon.Add(-time.Hour) })
	counts(t, w.try(Draft{}), 1, 0, 0)
}

func TestAnIdentityWithoutAnAccountStaysOut(t *testing.T) {
	w := newWorld(t, acme(policy.Policy{Default: block}))
	w.signIn(came{email: "pia@partner.com", steps: []did{{Type: audit.TypeSSOVerified, method: audit.MethodSSO, connection: "okta", evidence: audit.EvidenceVerified, issuer: "https://okta.example"}},
		change: func(f *audit.FlowRecord) {
			e := &f.Events[len(f.Events)-1]
			e.Reason, e.Decision.Reason = audit.ReasonNoSubject, audit.ReasonNoSubject
		}})
	r := w.try(w.draft(policy.Policy{}))
	counts(t, r, 1, 0, 0)
	if r.NeedsEnrolment.Count != 0 || w.asked != 0 {
		t.Errorf("an account was asked about: %+v", r)
	}
}
