package policy

import (
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
)

// checkedHere are the factors that are verified here: of the others there is the login service's word (ASSERTED) alone.
var checkedHere = []string{audit.FactorTOTP, audit.FactorRecoveryCode}

// fieldMFA is the field of demands that an enrolment grace excuses.
const fieldMFA = ".mfa"

// unmeetable says which of d's demands nobody can meet, at which field, why, and what would help; empty when there is none.
// The second factor comes last: an enrolment grace excuses it and nothing else.
func (o *Organization) unmeetable(d *Demands) (field, why, fix string) {
	if d.SSOConnection != "" {
		if why, fix := o.unusable(d.SSOConnection, d.ssoEvidence()); why != "" {
			return ".sso", why, fix
		}
	}
	if len(d.Methods) > 0 && !slices.ContainsFunc(d.Methods, func(token string) bool { return o.usable(token, d.ssoEvidence()) }) {
		return ".methods", "no method of the list can be used", "enable a connection, or allow another method"
	}
	if d.MFA != nil && !o.provable(d) {
		return fieldMFA, "verified evidence is demanded of factors that only the login service checks",
			"take TOTP or RECOVERY_CODE, which are checked here, or write evidence: asserted"
	}
	return "", "", ""
}

// unusable says why single sign-on through a connection can never have that evidence.
func (o *Organization) unusable(id string, need audit.Evidence) (why, fix string) {
	c := o.Connection(id)
	switch {
	case c == nil:
		return "there is no connection " + quote(id), "name one of the organization's connections"
	case c.Disabled:
		return "connection " + quote(id) + " is disabled", "enable it, or name another one"
	case need >= audit.EvidenceVerified && c.OIDC == nil && c.SAML == nil:
		return "verified evidence is demanded, and connection " + quote(id) + " is not verified here: it has neither oidc nor saml",
			"add oidc or saml to the connection, or write evidence: asserted"
	}
	return "", ""
}

// usable reports whether a method of a list can lead in.
func (o *Organization) usable(token string, evidence audit.Evidence) bool {
	method, connection := splitToken(token)
	switch {
	case method == audit.MethodSSO && connection != "":
		why, _ := o.unusable(connection, evidence)
		return why == ""
	case method == audit.MethodSocial && connection != "":
		why, _ := o.unusable(connection, audit.EvidenceAsserted)
		return why == ""
	case method == audit.MethodSSO || method == audit.MethodSocial:
		return !o.allDisabled(method)
	}
	return true
}

// allDisabled reports whether there are connections for a method and each is disabled.
func (o *Organization) allDisabled(method string) bool {
	kind := ConnectionSocial
	if method == audit.MethodSSO {
		kind = ConnectionSSO
	}
	some := false
	for i := range o.Connections {
		if c := &o.Connections[i]; c.Kind == kind {
			if !c.Disabled {
				return false
			}
			some = true
		}
	}
	return some
}

// provable reports whether any second factor could have the evidence that d demands.
func (o *Organization) provable(d *Demands) bool {
	m := d.MFA
	if m.Evidence < audit.EvidenceVerified || m.Factors == nil {
		return true
	}
	if slices.ContainsFunc(m.Factors, func(f string) bool { return slices.Contains(checkedHere, f) }) {
		return true
	}
	if !m.AcceptPartner {
		return false
	}
	return slices.ContainsFunc(o.Connections, func(c Connection) bool { // the partner's own factor, told of by a sign-in verified here
		return c.Kind == ConnectionSSO && (d.SSOConnection == "" || d.SSOConnection == c.ID) && !c.Disabled && (c.OIDC != nil || c.SAML != nil)
	})
}

func (l *lint) demands(path string, d *Demands) {
	if field, why, fix := l.org.unmeetable(d); why != "" {
		l.warn(CodeDemandUnmeetable, path+field, "nobody can meet this: "+why, fix)
	}
	only := func(tokens ...string) bool {
		return len(d.Methods) > 0 && !slices.ContainsFunc(d.Methods, func(m string) bool { return !slices.Contains(tokens, m) })
	}
	if only(audit.MethodSession, audit.MethodToken) && d.Reverify > 0 && d.MFA == nil {
		l.warn(CodeDemandUnmeetable, path+".reverification", "a session or token is no fresh credential, and nothing else is allowed", "allow a method people sign in with, or leave it out")
	}
	if m := d.MFA; m != nil {
		l.mfa(path+".mfa", m)
	}
}

func (l *lint) mfa(path string, m *MFADemand) {
	if len(m.Factors) == 1 && m.Factors[0] == audit.FactorRecoveryCode && !m.AcceptPartner {
		l.warn(CodeRecoveryOnly, path+".factors", "recovery codes are made beside another factor, and each is good for once", "take TOTP as well")
	}
	var weak []string
	for _, f := range m.Factors {
		if m.Evidence >= audit.EvidenceVerified && !slices.Contains(checkedHere, f) {
			weak = append(weak, f)
		}
	}
	if len(weak) > 0 && len(weak) < len(m.Factors) {
		l.warn(CodeFactorUncounted, path+".factors", "verified evidence is demanded, and of "+strings.Join(weak, ", ")+" there is the login service's word alone: it never counts",
			"remove it, or write evidence: asserted")
	}
}

// machines warns of a second factor that is demanded of services and apps alone: they come by token and have none to show.
func (l *lint) machines(path string, r *Rule) {
	if r.Demands.MFA != nil && len(r.Match.Kinds) > 0 && !slices.Contains(r.Match.Kinds, audit.SubjectPerson) {
		l.warn(CodeMachineMFA, path+".demands.mfa", "a service or an app has no second factor to show", "leave mfa out, or match kind PERSON")
	}
}
