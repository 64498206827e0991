package document

import (
	"net/netip"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Parse reads a document. With problems that are not warnings the document is nil.
//
// Grammar: a YAML 1.2 or JSON table with the keys organization (required), display_name, disabled, sandbox, retention, privacy,
// sites, connections, domains, claims and policy; examples/acme.yaml shows most keys with comments. Words such as ENFORCE
// are read in any case. SAML metadata is refused: ParseWith reads it.
func Parse(b []byte) (*Document, Problems) { return ParseWith(b, nil) }

// ParseWith is Parse with what reads the SAML metadata that stands in a document.
func ParseWith(b []byte, metadata MetadataReader) (*Document, Problems) {
	root, p := scan(b)
	if p != nil {
		return nil, Problems{*p}
	}
	r := &reader{places: map[string]place{}, readMetadata: metadata}
	d := &Document{places: r.places}
	r.table(root, "", fields{
		"organization": func(n *node, path string) { d.ID = r.id(n, path) },
		"display_name": func(n *node, path string) { d.DisplayName = ptr(r.text(n, path)) },
		"disabled":     func(n *node, path string) { d.Disabled = ptr(r.boolean(n, path)) },
		"sandbox":      func(n *node, path string) { d.Sandbox = ptr(r.boolean(n, path)) },
		"retention":    func(n *node, path string) { d.Retention = ptr(r.retention(n, path)) },
		"privacy":      func(n *node, path string) { d.Privacy = ptr(r.privacy(n, path)) },
		"sites":        func(n *node, path string) { d.Sites = ptr(r.sites(n, path)) },
		"connections":  func(n *node, path string) { d.Connections = ptr(r.connections(n, path)) },
		"domains":      func(n *node, path string) { d.Domains = ptr(r.domains(n, path)) },
		"claims": func(n *node, path string) {
			d.Claims = &Accounts{}
			r.table(n, path, r.accounts(d.Claims))
		},
		"policy": func(n *node, path string) { d.Policy = r.policy(n, path) },
	})
	if root.kind == isTable && root.find("organization") == nil {
		r.problem(root.place, "organization", "the document does not say whose it is", "begin with organization: ID")
	}
	if len(r.problems) > 0 {
		return nil, r.problems.sorted()
	}
	return d, nil
}

func ptr[T any](v T) *T { return &v }

// named is the path of an item of a list of objects: by its id, so that it is the same in every version of the list.
func named(r *reader, n *node, list, path, key string) string {
	if n.kind == isTable {
		if id := n.find(key); id != nil && id.kind == isText {
			path = list + "[" + id.text + "]"
		} else {
			r.problem(n.place, path, "no "+key, "add "+key+": NAME")
		}
	}
	return path
}

func (r *reader) sites(n *node, list string) []policy.Site {
	var out []policy.Site
	r.list(n, list, func(n *node, path string) {
		s := policy.Site{Origin: audit.OriginDocument}
		r.table(n, named(r, n, list, path, "id"), fields{
			"id":                   func(n *node, path string) { s.ID = r.id(n, path) },
			"display_name":         func(n *node, path string) { s.DisplayName = r.text(n, path) },
			"hostnames":            r.texts(&s.Hostnames),
			"disabled":             func(n *node, path string) { s.Disabled = r.boolean(n, path) },
			"trusts_account_email": func(n *node, path string) { s.TrustsAccountEmail = r.boolean(n, path) },
			"privacy":              func(n *node, path string) { s.Privacy = r.privacy(n, path) },
			"region":               func(n *node, path string) { s.Region = r.text(n, path) },
		})
		out = append(out, s)
	})
	return out
}

func (r *reader) domains(n *node, list string) []policy.DomainRecord {
	var out []policy.DomainRecord
	seen := map[string]bool{}
	r.list(n, list, func(n *node, path string) {
		m := r.domainMatch(n, path, policy.ParseOwnedDomain)
		if m.Domain.IsZero() || r.twice(n, path, seen, m.Domain.String()) {
			return
		}
		r.places[domainPath(m.Domain)] = n.place
		out = append(out, policy.DomainRecord{Domain: m.Domain, Subdomains: m.Subdomains, VerifiedBy: policy.VerifiedByOperator,
			Origin: audit.OriginDocument})
	})
	return out
}

func domainPath(d policy.Domain) string { return "domains[" + d.String() + "]" }

func (r *reader) policy(n *node, path string) *Policy {
	p := &Policy{}
	r.table(n, path, fields{
		"rules":         func(n *node, path string) { p.Rules = ptr(r.rules(n, path)) },
		"default":       func(n *node, path string) { p.Default = ptr(r.demands(n, path)) },
		"stops":         func(n *node, path string) { p.Stops = ptr(r.stops(n, path)) },
		"account_lists": func(n *node, path string) { p.AccountLists = ptr(r.accountLists(n, path)) },
		"record": func(n *node, path string) {
			classes := []audit.Class{}
			r.list(n, path, func(n *node, path string) {
				c := choice(r, n, path, []string{"MANAGED", "CLAIMED"}, []audit.Class{audit.ClassManaged, audit.ClassClaimed})
				if c != audit.ClassUnspecified && !slices.Contains(classes, c) {
					classes = append(classes, c)
				}
			})
			p.Record = &classes
		},
		"on_unreadable": func(n *node, path string) {
			p.AllowUnreadable = ptr(choice(r, n, path, []string{"DENY", "ALLOW"}, []bool{false, true}))
		},
	})
	return p
}

func (r *reader) rules(n *node, list string) []Rule {
	var out []Rule
	r.list(n, list, func(n *node, path string) {
		rule := Rule{Rule: policy.Rule{Mode: policy.ModeEnforce, Origin: audit.OriginDocument}}
		r.table(n, named(r, n, list, path, "id"), fields{
			"id":          func(n *node, path string) { rule.ID = r.id(n, path) },
			"description": func(n *node, path string) { rule.Description = r.text(n, path) },
			"match":       func(n *node, path string) { r.match(n, path, &rule) },
			"demands":     func(n *node, path string) { rule.Demands = r.demands(n, path) },
			"mode": func(n *node, path string) {
				rule.Mode = choice(r, n, path, []string{"ENFORCE", "REPORT_ONLY"}, []policy.Mode{policy.ModeEnforce, policy.ModeReportOnly})
			},
			"enforce_from":    func(n *node, path string) { rule.EnforceFrom = r.time(n, path) },
			"expires_at":      func(n *node, path string) { rule.ExpiresAt = r.time(n, path) },
			"enrolment_grace": func(n *node, path string) { rule.EnrolmentGrace = r.duration(n, path) },
			"message":         func(n *node, path string) { rule.Message = r.text(n, path) },
			"help_url":        func(n *node, path string) { rule.HelpURL = r.text(n, path) },
		})
		out = append(out, rule)
	})
	return out
}

func (r *reader) match(n *node, path string, rule *Rule) {
	m := &rule.Match
	f := r.listed(&rule.Accounts)
	f["domains"] = r.matchDomains(&m.Domains)
	f["account_lists"] = r.texts(&m.AccountLists)
	f["sites"] = r.texts(&m.Sites)
	f["networks"] = r.networks(&m.Networks)
	f["connections"] = r.texts(&m.Connections)
	f["kinds"] = func(n *node, path string) {
		r.some(n, path, func(n *node, path string) {
			m.Kinds = append(m.Kinds, choice(r, n, path, []string{"PERSON", "SERVICE", "APP"},
				[]audit.SubjectKind{audit.SubjectPerson, audit.SubjectService, audit.SubjectApp}))
		})
	}
	r.table(n, path, f)
}

func (r *reader) demands(n *node, path string) policy.Demands {
	var d policy.Demands
	r.table(n, path, fields{
		"methods": func(n *node, path string) {
			var tokens []string
			r.texts(&tokens)(n, path)
			d.Methods = audit.ExpandMethods(tokens)
			for i, t := range tokens {
				if _, err := audit.ParseMethod(t); err != nil && t != audit.MethodPasswordless && t != "" {
					r.refused(n.items[i], path, err, "passwordless stands for passkey, magic_link and email_code")
				}
			}
		},
		"sso":            func(n *node, path string) { d.SSOConnection = r.id(n, path) },
		"evidence":       r.evidence(&d.SSOEvidence),
		"mfa":            func(n *node, path string) { d.MFA = r.mfa(n, path) },
		"reverification": func(n *node, path string) { d.Reverify = r.duration(n, path) },
		"session_length": func(n *node, path string) { d.SessionLength = r.duration(n, path) },
		"block":          func(n *node, path string) { d.Block = r.boolean(n, path) },
	})
	if d.MFA != nil && d.MFA.Evidence == audit.EvidenceUnspecified {
		d.MFA.Evidence = d.SSOEvidence // what a rule says of evidence holds for all it demands
	}
	return d
}

func (r *reader) mfa(n *node, path string) *policy.MFADemand {
	var m policy.MFADemand
	r.table(n, path, fields{
		"factors":        r.texts(&m.Factors),
		"max_age":        func(n *node, path string) { m.MaxAge = r.duration(n, path) },
		"accept_partner": func(n *node, path string) { m.AcceptPartner = r.boolean(n, path) },
		"partner_acr":    r.texts(&m.PartnerACR),
		"evidence":       r.evidence(&m.Evidence),
	})
	return &m
}

func (r *reader) stops(n *node, path string) policy.Stops {
	var s policy.Stops
	r.table(n, path, fields{
		"external": func(n *node, path string) { s.External = r.boolean(n, path) },
		"domains":  r.matchDomains(&s.Domains),
		"networks": r.networks(&s.Networks),
	})
	return s
}

func (r *reader) matchDomains(into *[]policy.DomainMatch) func(n *node, path string) {
	return func(n *node, path string) {
		r.some(n, path, func(n *node, path string) { *into = append(*into, r.domainMatch(n, path, policy.ParseDomain)) })
	}
}

func (r *reader) networks(into *[]netip.Prefix) func(n *node, path string) {
	return func(n *node, path string) {
		r.some(n, path, func(n *node, path string) { *into = append(*into, r.network(n, path)) })
	}
}

func (r *reader) accountLists(n *node, list string) []AccountList {
	var out []AccountList
	r.list(n, list, func(n *node, path string) {
		var l AccountList
		f := r.timed(&l)
		f["name"] = func(n *node, path string) { l.Name = r.id(n, path) }
		r.table(n, named(r, n, list, path, "name"), f)
		out = append(out, l)
	})
	return out
}
