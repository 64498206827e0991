package policy_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// plain is an organization that nothing is to be said about; each case below makes it odd in one way.
func plain() *policy.Organization {
	return &policy.Organization{
		ID: "acme", Sites: []policy.Site{{ID: "wiki"}, {ID: "shop"}},
		Connections: []policy.Connection{
			{ID: "okta", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC},
			{ID: "corp", Domains: domainsOf("partner-x.com"), Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC, OIDC: &policy.OIDC{
				Issuer: "https://id.corp-x.com", ClientID: "c", RedirectURIs: []string{"https://login.acme-x.com/callback"}}},
			{ID: "google", Kind: policy.ConnectionSocial},
		},
		Policy: policy.Policy{
			AccountLists: []policy.AccountList{{Name: "vips", Accounts: []policy.AccountKey{{1}, {2}}}},
			Rules: []policy.Rule{
				{ID: "partner", Mode: policy.ModeEnforce, Match: policy.Match{Domains: domainsOf("partner-x.com")}, Demands: policy.Demands{SSOConnection: "corp"}},
				{ID: "vips", Mode: policy.ModeEnforce, Match: policy.Match{AccountLists: []string{"vips"}}},
				{ID: "trial", Mode: policy.ModeReportOnly, Demands: policy.Demands{MFA: &policy.MFADemand{Factors: []string{"TOTP"}}}},
			},
		},
	}
}

func domainsOf(names ...string) (list []policy.DomainMatch) {
	for _, n := range names {
		list = append(list, policy.DomainMatch{Domain: mustDomain(n)})
	}
	return list
}

func rule(id string, m policy.Match, d policy.Demands) policy.Rule {
	return policy.Rule{ID: id, Mode: policy.ModeEnforce, Match: m, Demands: d}
}

func TestNothingIsSaidOfAPlainPolicy(t *testing.T) {
	if got := plain().Lint(now); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestWhatIsProbablyNotMeantIsWarnedAbout(t *testing.T) {
	type org = policy.Organization
	verified, asserted := audit.EvidenceVerified, audit.EvidenceAsserted
	mfa := func(m policy.MFADemand) policy.Demands { return policy.Demands{MFA: &m} }
	add := func(o *org, r ...policy.Rule) { o.Policy.Rules = append(o.Policy.Rules, r...) }
	front := func(o *org, r policy.Rule) { o.Policy.Rules = append([]policy.Rule{r}, o.Policy.Rules...) }
	sub := []policy.DomainMatch{{Domain: mustDomain("partner-x.com"), Subdomains: true}}
	networks := func(all ...string) (out []netip.Prefix) {
		for _, s := range all {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	for name, c := range map[string]struct {
		spoil      func(*org)
		code, path string
	}{
		"behind a rule without conditions": {func(o *org) { front(o, rule("all", policy.Match{}, policy.Demands{})) }, "RULE_UNREACHABLE", "policy.rules[partner]"},
		"behind the same conditions": {func(o *org) {
			add(o, rule("again", policy.Match{Domains: domainsOf("partner-x.com")}, policy.Demands{}))
		}, "RULE_UNREACHABLE", "policy.rules[again]"},
		"behind a wider domain": {func(o *org) {
			front(o, rule("wide", policy.Match{Domains: sub}, policy.Demands{}))
		}, "RULE_UNREACHABLE", "policy.rules[partner]"},
		"behind a domain, narrowed further": {func(o *org) {
			add(o, rule("narrow", policy.Match{Domains: domainsOf("partner-x.com"), Sites: []string{"wiki"}}, policy.Demands{}))
		}, "RULE_UNREACHABLE", "policy.rules[narrow]"},
		"behind a wider network": {func(o *org) {
			add(o, rule("net", policy.Match{Networks: networks("192.0.2.0/24")}, policy.Demands{}), rule("host", policy.Match{Networks: networks("192.0.2.7/32")}, policy.Demands{}))
		}, "RULE_UNREACHABLE", "policy.rules[host]"},
		"accounts of a list before": {func(o *org) {
			add(o, rule("one", policy.Match{Accounts: []policy.AccountKey{{2}}}, policy.Demands{}))
		}, "RULE_UNREACHABLE", "policy.rules[one]"},
		"behind every kind": {func(o *org) {
			front(o, rule("kinds", policy.Match{Kinds: []audit.SubjectKind{audit.SubjectApp, audit.SubjectPerson, audit.SubjectService}}, policy.Demands{}))
		}, "RULE_UNREACHABLE", "policy.rules[vips]"},
		"a rule that starts no later": {func(o *org) {
			a, b := rule("a", policy.Match{Sites: []string{"wiki"}}, policy.Demands{}), rule("b", policy.Match{Sites: []string{"wiki"}}, policy.Demands{})
			a.EnforceFrom, b.EnforceFrom = now.Add(time.Hour), now.Add(time.Hour)
			add(o, a, b)
		}, "RULE_UNREACHABLE", "policy.rules[b]"},
		"a rule that is over":       {func(o *org) { o.Policy.Rules[1].ExpiresAt = now }, "RULE_EXPIRED", "policy.rules[vips].expires_at"},
		"on trial behind everybody": {func(o *org) { front(o, rule("all", policy.Match{}, policy.Demands{})) }, "REPORT_UNSEEN", "policy.rules[trial]"},
		"on trial behind a trial": {func(o *org) {
			r := rule("second", policy.Match{Sites: []string{"wiki"}}, policy.Demands{})
			r.Mode = policy.ModeReportOnly
			add(o, r)
		}, "REPORT_UNSEEN", "policy.rules[second]"},
		"on trial, like the default": {func(o *org) { o.Policy.Rules[2].Demands = policy.Demands{} }, "REPORT_SAME", "policy.rules[trial]"},
		"sso verified through what is not": {func(o *org) {
			o.Policy.Rules[0].Demands = policy.Demands{SSOConnection: "okta"}
		}, "DEMAND_UNMEETABLE", "policy.rules[partner].demands.sso"},
		"only sso through what is not verified": {func(o *org) {
			o.Policy.Default = policy.Demands{Methods: []string{"sso:okta"}}
		}, "DEMAND_UNMEETABLE", "policy.default.methods"},
		"social, and each is disabled": {func(o *org) {
			o.Connections[2].Disabled, o.Policy.Default = true, policy.Demands{Methods: []string{"social"}}
		}, "DEMAND_UNMEETABLE", "policy.default.methods"},
		"verified SMS": {func(o *org) {
			o.Policy.Default = mfa(policy.MFADemand{Factors: []string{"SMS", "PUSH"}, Evidence: verified})
		}, "DEMAND_UNMEETABLE", "policy.default.mfa"},
		"fresh by session alone": {func(o *org) {
			o.Policy.Default = policy.Demands{Methods: []string{"session"}, Reverify: time.Hour}
		}, "DEMAND_UNMEETABLE", "policy.default.reverification"},
		"one factor too weak": {func(o *org) {
			o.Policy.Default = mfa(policy.MFADemand{Factors: []string{"TOTP", "SMS"}, Evidence: verified})
		}, "FACTOR_UNCOUNTED", "policy.default.mfa.factors"},
		"recovery codes alone": {func(o *org) {
			o.Policy.Default = mfa(policy.MFADemand{Factors: []string{"RECOVERY_CODE"}})
		}, "RECOVERY_ONLY", "policy.default.mfa.factors"},
		"a factor of machines": {func(o *org) {
			front(o, rule("bots", policy.Match{Kinds: []audit.SubjectKind{audit.SubjectApp}}, mfa(policy.MFADemand{})))
		}, "MACHINE_MFA", "policy.rules[bots].demands.mfa"},
		"evidence of nothing": {func(o *org) { o.Policy.Default = policy.Demands{SSOEvidence: asserted} }, "EVIDENCE_UNUSED", "policy.default.evidence"},
		"a subdomain beside its parent": {func(o *org) {
			o.Policy.Rules[0].Match.Domains = append(domainsOf("eu.partner-x.com"), sub...)
		}, "DOMAIN_TWICE", "policy.rules[partner].match.domains[0]"},
		"a network twice":     {func(o *org) { o.Policy.Stops.Networks = networks("192.0.2.0/24", "192.0.2.0/24") }, "NETWORK_TWICE", "policy.stops.networks[1]"},
		"a network within":    {func(o *org) { o.Policy.Stops.Networks = networks("192.0.2.0/25", "192.0.2.0/24") }, "NETWORK_TWICE", "policy.stops.networks[0]"},
		"everybody's network": {func(o *org) { o.Policy.Stops.Networks = networks("0.0.0.0/0") }, "NETWORK_EVERYBODY", "policy.stops.networks[0]"},
		"a list nobody names": {func(o *org) { o.Policy.Rules[1].Match = policy.Match{Sites: []string{"shop"}} }, "ACCOUNT_LIST_UNUSED", "policy.account_lists[vips]"},
		"a list that is half over": {func(o *org) {
			o.Policy.AccountLists[0].Expiries = []policy.AccountExpiry{{Account: policy.AccountKey{1}, At: now}}
		},
			"ACCOUNT_LIST_EXPIRED", "policy.account_lists[vips]"},
		"a closed site": {func(o *org) {
			o.Policy.Stops.External = true
		}, "SITE_CLOSED", "policy.stops.external"},
		"a disabled connection":      {func(o *org) { o.Connections[1].Disabled = true }, "CONNECTION_DISABLED", "policy.rules[partner].demands.sso"},
		"nowhere to come back to":    {func(o *org) { o.Connections[1].OIDC.RedirectURIs = nil }, "CONNECTION_UNREACHABLE", "connections[corp].oidc.redirect_uris"},
		"a provider without domains": {func(o *org) { o.Connections[1].Domains, o.Connections[1].TrustsEmail = nil, false }, "CONNECTION_BOUNDLESS", "connections[corp].domains"},
		"settings for nothing":       {func(o *org) { o.Connections[0].LinksByEmail = true }, "CONNECTION_UNVERIFIED", "connections[okta]"},
	} {
		o := plain()
		c.spoil(o)
		found := false
		for _, p := range o.Lint(now) {
			found = found || p.Code == c.code && p.Path == c.path
			if !p.Warning || p.Text == "" || p.Fix == "" || !slices.Contains(policy.Codes(), p.Code) {
				t.Errorf("%s: %+v", name, p)
			}
		}
		if !found {
			t.Errorf("%s: no %s at %s in %+v", name, c.code, c.path, o.Lint(now))
		}
	}
}

func TestWhatMayBeMeantIsNotWarnedAbout(t *testing.T) {
	for name, spoil := range map[string]func(*policy.Organization){
		"a rule before that is on trial": func(o *policy.Organization) {
			r := rule("all", policy.Match{}, policy.Demands{Block: true})
			r.Mode = policy.ModeReportOnly
			o.Policy.Rules = append([]policy.Rule{r}, o.Policy.Rules[:2]...)
		},
		"a rule before that ends first": func(o *policy.Organization) {
			r := rule("all", policy.Match{}, policy.Demands{})
			r.ExpiresAt = now.Add(time.Hour)
			o.Policy.Rules = append([]policy.Rule{r}, o.Policy.Rules...)
		},
		"a rule before that starts later": func(o *policy.Organization) {
			r := rule("all", policy.Match{}, policy.Demands{})
			r.EnforceFrom = now.Add(time.Hour)
			o.Policy.Rules = append([]policy.Rule{r}, o.Policy.Rules[:2]...)
		},
		"a narrower rule before": func(o *policy.Organization) {
			o.Policy.Rules = append([]policy.Rule{rule("wiki", policy.Match{Sites: []string{"wiki"}, Domains: domainsOf("partner-x.com")}, policy.Demands{})}, o.Policy.Rules...)
		},
		"an exact domain before its subdomains": func(o *policy.Organization) {
			o.Policy.Rules = append(o.Policy.Rules, rule("wide", policy.Match{Domains: []policy.DomainMatch{{Domain: mustDomain("partner-x.com"), Subdomains: true}}}, policy.Demands{}))
		},
		"asserted sso through what is not verified": func(o *policy.Organization) {
			o.Policy.Rules[0].Demands = policy.Demands{SSOConnection: "okta", SSOEvidence: audit.EvidenceAsserted}
		},
		"the partner's factor, verified": func(o *policy.Organization) {
			o.Policy.Rules[0].Demands.MFA = &policy.MFADemand{Factors: []string{"SMS"}, AcceptPartner: true, Evidence: audit.EvidenceVerified}
		},
		"everybody blocked but some": func(o *policy.Organization) { o.Policy.Default.Block = true },
	} {
		o := plain()
		spoil(o)
		for _, p := range o.Lint(now) {
			if p.Code != policy.CodeFactorUncounted && p.Code != policy.CodeReportUnseen {
				t.Errorf("%s: %+v", name, p)
			}
		}
	}
}

func TestWhatIsRefusedIsNotLinted(t *testing.T) {
	o := plain()
	o.Policy.Rules[0].Match.Sites = []string{"nowhere"}
	if got := o.Lint(now); got != nil {
		t.Errorf("%+v", got)
	}
}
