package policy

import (
	"testing"

	"github.com/postern-audit/postern/audit"
)

func TestWhoHoldsADemandedFactor(t *testing.T) {
	totp := Enrolment{Known: true, Factors: []string{audit.FactorTOTP}}
	none := Enrolment{Known: true}
	sms := []Proof{{Factor: audit.FactorSMS}}
	key := []Proof{{Method: audit.MethodPasskey, UserVerified: true}}
	partner := []Proof{{Method: audit.MethodSSO, Connection: "okta", PartnerAMR: []string{"mfa"}}}
	for name, c := range map[string]struct {
		d      Demands
		e      Enrolment
		proofs []Proof
		want   bool
	}{
		"nothing is asked for":             {Demands{}, none, nil, true},
		"an app, and any factor does":      {Demands{MFA: &MFADemand{}}, totp, nil, true},
		"an app, and text messages do":     {Demands{MFA: &MFADemand{Factors: []string{audit.FactorSMS}}}, totp, nil, false},
		"text messages were used":          {Demands{MFA: &MFADemand{Factors: []string{audit.FactorSMS}}}, none, sms, true},
		"text messages, and an app does":   {Demands{MFA: &MFADemand{Factors: []string{audit.FactorTOTP}}}, none, sms, false},
		"a passkey that knows its person":  {Demands{MFA: &MFADemand{Factors: []string{audit.FactorWebAuthn}}}, none, key, true},
		"the partner's own, accepted":      {Demands{MFA: &MFADemand{AcceptPartner: true}}, none, partner, true},
		"the partner's own, not accepted":  {Demands{MFA: &MFADemand{}}, none, partner, false},
		"nothing is known":                 {Demands{MFA: &MFADemand{}}, Enrolment{}, nil, false},
		"a password is no second factor":   {Demands{MFA: &MFADemand{}}, none, []Proof{{Method: audit.MethodPassword}}, false},
		"the partner's, by another way in": {Demands{SSOConnection: "entra", MFA: &MFADemand{AcceptPartner: true}}, none, partner, false},
	} {
		if got := c.d.Holds(c.e, c.proofs); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
