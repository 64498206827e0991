package policy

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
)

// validation checks a policy against what the organization has.
type validation struct {
	*problems
	sites       map[string]bool
	connections map[string]*Connection
	lists       map[string]bool
}

func (v *validation) accountLists(lists []AccountList) {
	v.most("policy.account_lists", len(lists), MaxAccountLists)
	for i := range lists {
		path := "policy.account_lists[" + lists[i].Name + "]"
		if !ValidID(lists[i].Name) {
			v.add(path+".name", "not a name", idFix)
		}
		if v.lists[lists[i].Name] {
			v.add(path+".name", "this name is there already", "give each list its own name")
		}
		v.lists[lists[i].Name] = true
		v.most(path, len(lists[i].Accounts), MaxListAccounts)
		if len(lists[i].Accounts) == 0 {
			v.add(path, "an empty list matches nobody", "name accounts or addresses, or remove the list and its uses")
		}
		v.expiries(path, &lists[i])
	}
}

// expiries checks what AccountList.Expires relies on.
func (v *validation) expiries(path string, l *AccountList) {
	for i, e := range l.Expiries {
		if e.At.IsZero() || !slices.Contains(l.Accounts, e.Account) || i > 0 && bytes.Compare(l.Expiries[i-1].Account[:], e.Account[:]) >= 0 {
			v.add(path, "an entry's expiry is not in order", "give each entry one expires_at")
			return
		}
	}
}

func (v *validation) rules(rules []Rule) {
	v.most("policy.rules", len(rules), MaxRules)
	seen := map[string]bool{}
	for i := range rules {
		r := &rules[i]
		path := "policy.rules[" + r.ID + "]"
		v.id(path, r.ID, seen)
		v.text(path+".description", r.Description)
		v.text(path+".message", r.Message)
		v.help(path+".help_url", r.HelpURL)
		v.times(path, r)
		v.match(path+".match", &r.Match)
		v.demands(path+".demands", &r.Demands)
	}
}

func (v *validation) help(path, link string) {
	v.text(path, link)
	if link == "" {
		return
	}
	if u, err := url.Parse(link); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		v.add(path, "not a web address", "write an https:// address")
	}
}

func (v *validation) times(path string, r *Rule) {
	if r.Mode != ModeEnforce && r.Mode != ModeReportOnly {
		v.add(path+".mode", "unknown mode", "write ENFORCE or REPORT_ONLY")
	}
	if !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(r.EnforceFrom) {
		v.add(path+".expires_at", "the rule ends before it starts", "set expires_at after enforce_from")
	}
	if r.EnrolmentGrace == 0 {
		return
	}
	v.duration(path+".enrolment_grace", r.EnrolmentGrace)
	if r.EnforceFrom.IsZero() {
		v.add(path+".enrolment_grace", "grace runs from enforce_from, which is missing", "set enforce_from")
	}
	if r.Demands.MFA == nil {
		v.add(path+".enrolment_grace", "grace excuses a second factor, and none is demanded", "leave it out or demand mfa")
	}
}

func (v *validation) match(path string, m *Match) {
	v.domains(path+".domains", m.Domains)
	v.networks(path+".networks", m.Networks)
	v.most(path+".accounts", len(m.Accounts), MaxMatchValues)
	v.known(path+".sites", "site", m.Sites, func(s string) bool { return v.sites[s] })
	v.known(path+".account_lists", "account list", m.AccountLists, func(s string) bool { return v.lists[s] })
	v.known(path+".connections", "connection", m.Connections, func(s string) bool { return v.connections[s] != nil })
	if m.Domains != nil && len(m.Domains) == 0 || m.Accounts != nil && len(m.Accounts) == 0 || m.Kinds != nil && len(m.Kinds) == 0 {
		v.add(path, "an empty list", "name at least one value, or leave the condition out")
	}
	for i, k := range m.Kinds {
		if k < audit.SubjectPerson || k > audit.SubjectApp {
			v.add(fmt.Sprintf("%s.kinds[%d]", path, i), "unknown kind", "write PERSON, SERVICE or APP")
		}
	}
}

// known checks that every value names something the organization has, once.
func (v *validation) known(path, what string, values []string, has func(string) bool) {
	if values != nil && len(values) == 0 {
		v.add(path, "an empty list", "name at least one "+what+", or leave the condition out")
	}
	v.most(path, len(values), MaxMatchValues)
	for i, s := range values {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !has(s) {
			v.add(at, "there is no "+what+" "+quote(s), "name one that the organization has")
		}
		if slices.Contains(values[:i], s) {
			v.add(at, quote(s)+" stands there twice", "name it once")
		}
	}
}

func (p *problems) domains(path string, list []DomainMatch) {
	p.most(path, len(list), MaxMatchValues)
	for i, m := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if m.Domain.IsZero() {
			p.add(at, "no domain", "write a domain such as partner.com")
		}
		if slices.ContainsFunc(list[:i], func(o DomainMatch) bool { return o.Domain == m.Domain }) {
			p.add(at, m.Domain.s+" stands there twice", "name it once")
		}
	}
}

func (v *validation) networks(path string, list []netip.Prefix) {
	v.most(path, len(list), MaxMatchValues)
	if list != nil && len(list) == 0 {
		v.add(path, "an empty list", "name at least one network, or leave it out")
	}
	for i, p := range list {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			v.add(fmt.Sprintf("%s[%d]", path, i), "not a network", "write it as 192.0.2.0/24 or 2001:db8::/32")
		}
	}
}

func (v *validation) demands(path string, d *Demands) {
	if d.Methods != nil {
		v.methods(path+".methods", d)
	}
	if d.SSOConnection != "" {
		v.connection(path+".sso", audit.MethodSSO, d.SSOConnection)
	}
	if d.SSOEvidence != audit.EvidenceUnspecified && d.SSOConnection == "" && !d.namesSSO() && d.MFA == nil {
		v.warn(CodeEvidenceUnused, path+".evidence", "nothing here needs evidence", "leave it out")
	}
	if d.MFA != nil {
		v.mfa(path+".mfa", d.MFA)
	}
	v.duration(path+".reverification", d.Reverify)
	v.duration(path+".session_length", d.SessionLength)
	if d.Block && (d.Methods != nil || d.SSOConnection != "" || d.MFA != nil || d.Reverify != 0 || d.SessionLength != 0) {
		v.add(path+".block", "a block refuses whatever else is met", "demand either the block or the rest")
	}
}

func (d *Demands) namesSSO() bool {
	return slices.ContainsFunc(d.Methods, func(s string) bool { return strings.HasPrefix(s, audit.MethodSSO+":") })
}

func (v *validation) methods(path string, d *Demands) {
	if len(d.Methods) == 0 {
		v.add(path, "no method is allowed", "name methods, leave the list out to allow all, or write block: true")
	}
	takesSSO := false
	for i, token := range d.Methods {
		at := fmt.Sprintf("%s[%d]", path, i)
		m, err := audit.ParseMethod(token)
		if err != nil {
			v.add(at, "unknown method "+quote(token), methodFix)
			continue
		}
		if m.Connection != "" {
			v.connection(at, m.Token, m.Connection)
		}
		if slices.Contains(d.Methods[:i], token) {
			v.add(at, quote(token)+" stands there twice", "name it once")
		}
		takesSSO = takesSSO || m.Covers(audit.MethodSSO, d.SSOConnection)
	}
	if d.SSOConnection != "" && !takesSSO {
		v.add(path, "sso through "+quote(d.SSOConnection)+" is demanded but not allowed", "add sso, or leave the methods out")
	}
}

var methodFix = "write one of " + strings.Join(audit.Methods(), ", ") + ", passwordless, sso:CONNECTION or social:CONNECTION"

func (v *validation) connection(path, method, id string) {
	c := v.connections[id]
	switch {
	case c == nil:
		v.add(path, "there is no connection "+quote(id), "name one of the organization's connections")
	case method == audit.MethodSSO && c.Kind != ConnectionSSO:
		v.add(path, "connection "+quote(id)+" is not of kind sso", "name a connection of kind sso, or write social:"+id)
	case method == audit.MethodSocial && c.Kind != ConnectionSocial:
		v.add(path, "connection "+quote(id)+" is not of kind social", "name a connection of kind social, or write sso:"+id)
	case c.Disabled:
		v.warn(CodeConnectionDisabled, path, "connection "+quote(id)+" is disabled: nobody can use it", "enable it or name another one")
	}
}

func (v *validation) mfa(path string, m *MFADemand) {
	if m.Factors != nil && len(m.Factors) == 0 {
		v.add(path+".factors", "no factor would do", "name factors, or leave the list out to take any")
	}
	for i, f := range m.Factors {
		at := fmt.Sprintf("%s.factors[%d]", path, i)
		switch {
		case f == audit.FactorPartner:
			v.add(at, "PARTNER is not listed", "write accept_partner: true")
		case !audit.IsFactor(f):
			v.add(at, "unknown factor "+quote(f), "write one of "+strings.Join(ownFactors, ", "))
		case slices.Contains(m.Factors[:i], f):
			v.add(at, quote(f)+" stands there twice", "name it once")
		}
	}
	v.duration(path+".max_age", m.MaxAge)
	v.most(path+".partner_acr", len(m.PartnerACR), MaxPartnerACR)
	if len(m.PartnerACR) > 0 && !m.AcceptPartner {
		v.add(path+".partner_acr", "the partner's second factor is not accepted", "write accept_partner: true, or leave partner_acr out")
	}
	for i, acr := range m.PartnerACR {
		if acr == "" || len(acr) > MaxText {
			v.add(fmt.Sprintf("%s.partner_acr[%d]", path, i), "not an acr value", "write the value the partner sends")
		}
	}
}

// quote shows a value of a document, shortened: documents are written by operators, and a slip must not flood an answer.
func quote(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}
