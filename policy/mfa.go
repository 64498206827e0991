package policy

import (
	"slices"

	"github.com/postern-audit/postern/audit"
)

// partnerAMR are the values of a partner's amr claim (RFC 8176) that prove a second factor: several factors (mfa), several
// channels (mca), a one-time code (otp), a key held in hardware or software (hwk, swk), a smart card (sc). Values that name
// a single weak or ambient thing do not count: pwd, pin, kba, user, sms, tel, geo, rba, wia, vbm, and biometrics alone.
var partnerAMR = []string{"mfa", "mca", "otp", "hwk", "swk", "sc"}

// partnerProves reports whether what a partner said proves a second factor in the eyes of this demand.
func (m *MFADemand) partnerProves(s *Shown) bool {
	if s.PartnerACR != "" && slices.Contains(m.PartnerACR, s.PartnerACR) {
		return true
	}
	return slices.ContainsFunc(s.PartnerAMR, func(v string) bool { return slices.Contains(partnerAMR, v) })
}

func (m *MFADemand) takes(factor string) bool {
	return m.Factors == nil || slices.Contains(m.Factors, factor)
}

// need returns the least evidence that counts for a factor.
func (m *MFADemand) need(factor string) audit.Evidence {
	switch {
	case m.Evidence != audit.EvidenceUnspecified:
		return m.Evidence
	case factor == audit.FactorTOTP:
		return audit.EvidenceVerified
	}
	return audit.EvidenceAsserted
}

// secondFactor reports whether a step is a second factor that the demand asks for, and whether its evidence is enough.
//
// A factor is taken when it is listed or none is. A passkey with user verification is WEBAUTHN. The partner's own second
// factor is taken only where the demand accepts it, with proof in amr or acr, when the step came through the demanded SSO
// connection (any, when none is demanded) or was reported as factor PARTNER; it needs the evidence that SSO needs. A session
// is none.
func (d *Demands) secondFactor(s *Shown) (taken, enough bool) {
	m := d.MFA
	if m == nil {
		return false, false
	}
	switch {
	case s.Method == audit.MethodPasskey && s.UserVerified && m.takes(audit.FactorWebAuthn):
		return true, s.Evidence >= m.need(audit.FactorWebAuthn)
	case s.Method == audit.MethodSSO && (d.SSOConnection == "" || d.SSOConnection == s.Connection), s.Factor == audit.FactorPartner:
		if !m.AcceptPartner || !m.partnerProves(s) {
			return false, false
		}
		return true, s.Evidence >= max(d.ssoEvidence(), m.Evidence)
	case s.Method == "" && s.Factor != "" && m.takes(s.Factor):
		return true, s.Evidence >= m.need(s.Factor)
	}
	return false, false
}

func measureMFA(d *Demands, in *Input) audit.Demand {
	m := d.MFA
	demand := audit.Demand{Kind: DemandMFA, Factors: m.Factors, MaxAge: m.MaxAge, Evidence: m.Evidence, AcceptPartner: m.AcceptPartner,
		Reason: audit.ReasonMFARequired}
	for i := range in.Shown {
		s := &in.Shown[i]
		taken, enough := d.secondFactor(s)
		switch {
		case !taken || m.MaxAge > 0 && !fresh(s.At, m.MaxAge, in.Now):
		case enough:
			demand.Met, demand.MetByStep, demand.Reason = true, s.Step, ""
			return demand
		default:
			demand.Reason = audit.ReasonEvidenceTooWeak
		}
	}
	if m.MaxAge <= 0 {
		return demand // no age: within this flow
	}
	weak := false
	p := in.newest(m.MaxAge, func(s *Shown) bool {
		taken, enough := d.secondFactor(s)
		weak = weak || taken && !enough
		return taken && enough
	})
	if weak {
		demand.Reason = audit.ReasonEvidenceTooWeak
	}
	return metByProof(demand, p)
}

// countsFactor is Counts for a second factor.
func (d *Demands) countsFactor(s *Shown) (bool, string) {
	if d.MFA == nil {
		return true, ""
	}
	taken, enough := d.secondFactor(s)
	switch {
	case !taken:
		return false, audit.ReasonMFARequired
	case !enough:
		return false, audit.ReasonEvidenceTooWeak
	}
	return true, ""
}

// enrolled reports whether the subject is known to have a factor the demand takes.
func enrolled(m *MFADemand, e Enrolment) bool {
	return e.Known && slices.ContainsFunc(e.Factors, m.takes)
}
