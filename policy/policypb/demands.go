package policypb

import (
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// FromDemands converts demands.
func FromDemands(d *policy.Demands) *posternv1.Demands {
	m := &posternv1.Demands{AllowedMethods: d.Methods, SsoConnection: d.SSOConnection, SsoEvidence: posternv1.Evidence(d.SSOEvidence),
		Reverification: fromDuration(d.Reverify), SessionLength: fromDuration(d.SessionLength), Block: d.Block}
	if d.MFA != nil {
		m.Mfa = &posternv1.MfaDemand{Factors: d.MFA.Factors, MaxAge: fromDuration(d.MFA.MaxAge), AcceptPartner: d.MFA.AcceptPartner,
			Evidence: posternv1.Evidence(d.MFA.Evidence), PartnerAcr: d.MFA.PartnerACR}
	}
	return m
}

// ToDemands is the reverse of FromDemands. No message is no demands.
func ToDemands(m *posternv1.Demands) (policy.Demands, error) {
	d := policy.Demands{SSOConnection: m.GetSsoConnection(), Block: m.GetBlock()}
	for _, token := range m.GetAllowedMethods() {
		if _, err := audit.ParseMethod(token); err != nil {
			return d, unreadable("a method")
		}
		d.Methods = append(d.Methods, token)
	}
	var err error
	if d.SSOEvidence, err = toEvidence(m.GetSsoEvidence()); err != nil {
		return d, err
	}
	if d.Reverify, err = toDuration(m.GetReverification()); err != nil {
		return d, err
	}
	if d.SessionLength, err = toDuration(m.GetSessionLength()); err != nil {
		return d, err
	}
	if m.GetMfa() == nil {
		return d, nil
	}
	d.MFA, err = toMFA(m.GetMfa())
	return d, err
}

func toMFA(m *posternv1.MfaDemand) (*policy.MFADemand, error) {
	d := &policy.MFADemand{AcceptPartner: m.GetAcceptPartner(), PartnerACR: m.GetPartnerAcr()}
	for _, f := range m.GetFactors() {
		if !audit.IsFactor(f) {
			return nil, unreadable("a factor")
		}
		d.Factors = append(d.Factors, f)
	}
	var err error
	if d.Evidence, err = toEvidence(m.GetEvidence()); err != nil {
		return nil, err
	}
	d.MaxAge, err = toDuration(m.GetMaxAge())
	return d, err
}

func toEvidence(e posternv1.Evidence) (audit.Evidence, error) {
	if e < posternv1.Evidence_EVIDENCE_UNSPECIFIED || e > posternv1.Evidence_EVIDENCE_VERIFIED {
		return 0, unreadable("a kind of evidence")
	}
	return audit.Evidence(e), nil
}
