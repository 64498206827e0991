package policy_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// sound is an organization without problems; each case below spoils one thing.
func sound() *policy.Organization {
	return &policy.Organization{
		ID: "acme", Sites: []policy.Site{{ID: "wiki", Hostnames: []string{"wiki.acme-x.com"}}},
		Connections: []policy.Connection{{ID: "okta", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC}, {ID: "google", Kind: policy.ConnectionSocial}},
		Policy: policy.Policy{
			AccountLists: []policy.AccountList{{Name: "vips", Accounts: []policy.AccountKey{{1}}}},
			Rules: []policy.Rule{{ID: "r", Mode: policy.ModeEnforce, EnforceFrom: now, EnrolmentGrace: time.Hour, HelpURL: "https://help.acme-x.com",
				Match: policy.Match{Sites: []string{"wiki"}, Connections: []string{"okta"}, AccountLists: []string{"vips"}, Kinds: []audit.SubjectKind{audit.SubjectApp},
					Domains: []policy.DomainMatch{{Domain: mustDomain("partner-x.com")}}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
				Demands: policy.Demands{Methods: []string{"sso", "social:google"}, SSOConnection: "okta", Reverify: time.Hour,
					MFA: &policy.MFADemand{Factors: []string{"TOTP"}, AcceptPartner: true, PartnerACR: []string{"x"}}}}},
			RecordClasses: []audit.Class{audit.ClassManaged},
		},
	}
}

func TestASoundOrganizationHasNoProblems(t *testing.T) {
	if got := sound().Validate(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestEachProblemIsFoundWithItsPathAndAFix(t *testing.T) {
	type org = policy.Organization
	rule := func(o *org) *policy.Rule { return &o.Policy.Rules[0] }
	long := strings.Repeat("x", 513)
	for path, spoil := range map[string]func(*org){
		"organization|reserved":                                   func(o *org) { o.ID = audit.SystemID },
		"organization|not an id":                                  func(o *org) { o.ID = "Acme" },
		"display_name|longer":                                     func(o *org) { o.DisplayName = long },
		"sites[wiki].id|there already":                            func(o *org) { o.Sites = append(o.Sites, policy.Site{ID: "wiki"}) },
		"sites[-x].id|not an id":                                  func(o *org) { o.Sites = append(o.Sites, policy.Site{ID: "-x"}) },
		"sites[wiki].display_name|control":                        func(o *org) { o.Sites[0].DisplayName = "a\x1bb" },
		"sites[wiki].hostnames[0]|not a host":                     func(o *org) { o.Sites[0].Hostnames[0] = "https://wiki" },
		"sites[b].hostnames[0]|site wiki":                         func(o *org) { o.Sites = append(o.Sites, policy.Site{ID: "b", Hostnames: o.Sites[0].Hostnames}) },
		"connections[okta].kind|has a kind":                       func(o *org) { o.Connections[0].Kind = 0 },
		"connections[okta].protocol|has a protocol":               func(o *org) { o.Connections[0].Protocol = 0 },
		"policy.rules[r].id|there already":                        func(o *org) { o.Policy.Rules = append(o.Policy.Rules, *rule(o)) },
		"policy.rules|at most":                                    func(o *org) { o.Policy.Rules = make([]policy.Rule, 201) },
		"policy.rules[r].mode|unknown mode":                       func(o *org) { rule(o).Mode = 0 },
		"policy.rules[r].message|longer":                          func(o *org) { rule(o).Message = long },
		"policy.rules[r].help_url|web address":                    func(o *org) { rule(o).HelpURL = "javascript:alert(1)" },
		"policy.rules[r].expires_at|ends before":                  func(o *org) { rule(o).ExpiresAt = now },
		"policy.rules[r].enrolment_grace|enforce_from":            func(o *org) { rule(o).EnforceFrom = time.Time{} },
		"policy.rules[r].enrolment_grace|second factor":           func(o *org) { rule(o).Demands.MFA = nil },
		"policy.rules[r].match.sites[0]|no site":                  func(o *org) { rule(o).Match.Sites[0] = "shop" },
		"policy.rules[r].match.sites|empty list":                  func(o *org) { rule(o).Match.Sites = []string{} },
		"policy.rules[r].match.sites[1]|twice":                    func(o *org) { rule(o).Match.Sites = []string{"wiki", "wiki"} },
		"policy.rules[r].match.connections[0]|no connection":      func(o *org) { rule(o).Match.Connections[0] = "x" },
		"policy.rules[r].match.account_lists[0]|no account list":  func(o *org) { o.Policy.AccountLists = nil },
		"policy.rules[r].match.kinds[0]|unknown kind":             func(o *org) { rule(o).Match.Kinds[0] = 9 },
		"policy.rules[r].match.networks[0]|not a network":         func(o *org) { rule(o).Match.Networks[0] = netip.MustParsePrefix("192.0.2.1/24") },
		"policy.rules[r].match.domains[0]|no domain":              func(o *org) { rule(o).Match.Domains[0] = policy.DomainMatch{} },
		"policy.rules[r].demands.methods|no method":               func(o *org) { rule(o).Demands.Methods = []string{} },
		"policy.rules[r].demands.methods[0]|unknown method":       func(o *org) { rule(o).Demands.Methods[0] = "passwordless" },
		"policy.rules[r].demands.methods[1]|not of kind social":   func(o *org) { rule(o).Demands.Methods[1] = "social:okta" },
		"policy.rules[r].demands.methods|not allowed":             func(o *org) { rule(o).Demands.Methods = []string{"password"} },
		"policy.rules[r].demands.sso|not of kind sso":             func(o *org) { rule(o).Demands.SSOConnection = "google" },
		"policy.rules[r].demands.sso|no connection":               func(o *org) { rule(o).Demands.SSOConnection = "nope" },
		"policy.rules[r].demands.reverification|a duration":       func(o *org) { rule(o).Demands.Reverify = -1 },
		"policy.rules[r].demands.session_length|a duration":       func(o *org) { rule(o).Demands.SessionLength = 401 * 24 * time.Hour },
		"policy.rules[r].demands.block|whatever else":             func(o *org) { rule(o).Demands.Block = true },
		"policy.rules[r].demands.mfa.factors[0]|unknown factor":   func(o *org) { rule(o).Demands.MFA.Factors[0] = "totp" },
		"policy.rules[r].demands.mfa.factors[0]|PARTNER":          func(o *org) { rule(o).Demands.MFA.Factors[0] = "PARTNER" },
		"policy.rules[r].demands.mfa.factors|no factor":           func(o *org) { rule(o).Demands.MFA.Factors = []string{} },
		"policy.rules[r].demands.mfa.max_age|a duration":          func(o *org) { rule(o).Demands.MFA.MaxAge = -1 },
		"policy.rules[r].demands.mfa.partner_acr|is not accepted": func(o *org) { rule(o).Demands.MFA.AcceptPartner = false },
		"policy.default.methods[0]|unknown method":                func(o *org) { o.Policy.Default.Methods = []string{"x"} },
		"policy.stops.networks[0]|not a network":                  func(o *org) { o.Policy.Stops.Networks = []netip.Prefix{{}} },
		"policy.account_lists[vips]|empty list":                   func(o *org) { o.Policy.AccountLists[0].Accounts = nil },
		"policy.record[0]|always recorded":                        func(o *org) { o.Policy.RecordClasses[0] = audit.ClassExternal },
	} {
		o := sound()
		spoil(o)
		where, text, _ := strings.Cut(path, "|")
		found := false
		for _, p := range o.Validate() {
			found = found || !p.Warning && p.Path == where && strings.Contains(p.Text, text)
			if p.Fix == "" {
				t.Errorf("%s: no fix for %q", p.Path, p.Text)
			}
		}
		if !found {
			t.Errorf("%s is not found in %+v", path, o.Validate())
		}
	}
}

func TestWarningsDoNotRefuse(t *testing.T) {
	o := sound()
	o.Connections[0].Disabled = true
	found := false
	for _, p := range o.Validate() {
		if !p.Warning || p.Code == "" {
			t.Errorf("refused, or without a code: %+v", p)
		}
		found = found || p.Path == "policy.rules[r].demands.sso" && p.Code == policy.CodeConnectionDisabled && p.Rule == "r"
	}
	if !found {
		t.Errorf("the disabled connection is not warned about: %+v", o.Validate())
	}
}
