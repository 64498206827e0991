package policy_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

func TestASiteIsClosedWhenNobodyFromOutsideMayEnter(t *testing.T) {
	block := policy.Demands{Block: true}
	wiki := policy.Match{Sites: []string{"wiki"}}
	at := func(r policy.Rule, from, until time.Duration) policy.Rule {
		if from != 0 {
			r.EnforceFrom = now.Add(from)
		}
		if until != 0 {
			r.ExpiresAt = now.Add(until)
		}
		return r
	}
	sms := policy.Demands{MFA: &policy.MFADemand{Factors: []string{"SMS"}, Evidence: audit.EvidenceVerified}}
	graced := at(rule("sms", wiki, sms), -time.Hour, 0)
	graced.EnrolmentGrace = 3 * time.Hour
	trial := rule("trial", wiki, block)
	trial.Mode = policy.ModeReportOnly
	for name, c := range map[string]struct {
		rules  []policy.Rule
		change func(*policy.Organization)
		want   string // site path, "" for none
	}{
		"nothing blocks":     {},
		"the default blocks": {change: func(o *policy.Organization) { o.Policy.Default = block }, want: "wiki policy.default, shop policy.default"},
		"the stop":           {change: func(o *policy.Organization) { o.Policy.Stops.External = true }, want: "wiki policy.stops.external, shop policy.stops.external"},
		"the stop of a network of all": {change: func(o *policy.Organization) {
			o.Policy.Stops.Networks = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
		}, want: "wiki policy.stops.networks[0], shop policy.stops.networks[0]"},
		"the stop of a network of some": {change: func(o *policy.Organization) {
			o.Policy.Stops.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}},
		"a rule blocks one site":                {rules: []policy.Rule{rule("all", wiki, block)}, want: "wiki policy.rules[all]"},
		"a rule on trial blocks":                {rules: []policy.Rule{trial}},
		"a partner may still enter":             {rules: []policy.Rule{rule("p", policy.Match{Domains: domainsOf("p-x.com")}, policy.Demands{}), rule("all", wiki, block)}},
		"a partner may enter elsewhere":         {rules: []policy.Rule{rule("p", policy.Match{Sites: []string{"shop"}, Domains: domainsOf("p-x.com")}, policy.Demands{}), rule("all", wiki, block)}, want: "wiki policy.rules[all]"},
		"the partner is blocked as well":        {rules: []policy.Rule{rule("p", policy.Match{Domains: domainsOf("p-x.com")}, block), rule("all", wiki, block)}, want: "wiki policy.rules[all]"},
		"the partner's rule is never reached":   {rules: []policy.Rule{rule("p", policy.Match{Domains: domainsOf("p-x.com")}, block), rule("q", policy.Match{Domains: domainsOf("p-x.com")}, policy.Demands{}), rule("all", wiki, block)}, want: "wiki policy.rules[all]"},
		"only machines may enter":               {rules: []policy.Rule{rule("bots", policy.Match{Kinds: []audit.SubjectKind{audit.SubjectApp}}, policy.Demands{}), rule("all", wiki, block)}, want: "wiki policy.rules[all]"},
		"the partner's rule is over":            {rules: []policy.Rule{at(rule("p", policy.Match{Domains: domainsOf("p-x.com")}, policy.Demands{}), 0, -time.Hour), rule("all", wiki, block)}, want: "wiki policy.rules[all]"},
		"the partner's rule will be over":       {rules: []policy.Rule{at(rule("p", policy.Match{Domains: domainsOf("p-x.com")}, policy.Demands{}), 0, time.Hour), rule("all", wiki, block)}, want: "wiki policy.rules[all] from 2027-06-01T13:00:00Z on"},
		"it is closed from tomorrow on":         {rules: []policy.Rule{at(rule("all", wiki, block), 24*time.Hour, 0)}, want: "wiki policy.rules[all] from 2027-06-02T12:00:00Z on"},
		"sso that cannot be verified":           {rules: []policy.Rule{rule("all", wiki, policy.Demands{SSOConnection: "okta"})}, want: "wiki policy.rules[all]"},
		"sso through a disabled connection":     {rules: []policy.Rule{rule("all", wiki, policy.Demands{SSOConnection: "corp"})}, change: func(o *policy.Organization) { o.Connections[1].Disabled = true }, want: "wiki policy.rules[all]"},
		"sso that can":                          {rules: []policy.Rule{rule("all", wiki, policy.Demands{SSOConnection: "corp"})}},
		"a factor nobody can prove, but grace":  {rules: []policy.Rule{graced}, want: "wiki policy.rules[sms] from 2027-06-01T14:00:00Z on"},
		"a disabled site is closed to all":      {rules: []policy.Rule{rule("all", wiki, block)}, change: func(o *policy.Organization) { o.Sites[0].Disabled = true }},
		"a disabled organization is closed too": {rules: []policy.Rule{rule("all", wiki, block)}, change: func(o *policy.Organization) { o.Disabled = true }},
	} {
		o := plain()
		o.Policy.Rules = c.rules
		if c.change != nil {
			c.change(o)
		}
		var got []string
		for _, f := range o.Closed(now) {
			got = append(got, f.Site+" "+f.Path+f.When(now))
			if f.Why == "" {
				t.Errorf("%s: no why: %+v", name, f)
			}
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: %q, want %q", name, s, c.want)
		}
	}
}

// Whoever a policy lets in with everything shown proves that the site is not closed.
func TestNobodyEntersAClosedSite(t *testing.T) {
	methods := []string{"password", "passkey", "session", "sso:okta", "sso:corp", "social:google"}
	rapid.Check(t, func(t *rapid.T) {
		o := plain()
		o.Policy.Rules = nil
		demands := func(label string) policy.Demands {
			switch rapid.IntRange(0, 5).Draw(t, label) {
			case 0:
				return policy.Demands{}
			case 1:
				return policy.Demands{SSOConnection: rapid.SampledFrom([]string{"okta", "corp"}).Draw(t, "connection")}
			case 2:
				return policy.Demands{Methods: []string{rapid.SampledFrom(methods).Draw(t, "method")}}
			case 3:
				return policy.Demands{MFA: &policy.MFADemand{Factors: []string{rapid.SampledFrom([]string{"SMS", "TOTP"}).Draw(t, "factor")}, Evidence: audit.EvidenceVerified}}
			}
			return policy.Demands{Block: true}
		}
		for i := range rapid.IntRange(0, 4).Draw(t, "rules") {
			var m policy.Match
			if rapid.Bool().Draw(t, "by domain") {
				m.Domains = domainsOf(rapid.SampledFrom([]string{"a-x.com", "b-x.com"}).Draw(t, "domain"))
			}
			if rapid.Bool().Draw(t, "by site") {
				m.Sites = []string{rapid.SampledFrom([]string{"wiki", "shop"}).Draw(t, "site")}
			}
			o.Policy.Rules = append(o.Policy.Rules, rule(string(rune('a'+i)), m, demands("demands")))
		}
		o.Policy.Default = demands("default")
		o.Connections[1].Disabled = rapid.Bool().Draw(t, "disabled")
		closed := map[string]bool{}
		for _, c := range o.Closed(now) {
			closed[c.Site] = true
		}
		for i := range o.Sites {
			if entered := anybodyEnters(o, &o.Sites[i]); entered == closed[o.Sites[i].ID] {
				t.Fatalf("site %s: somebody enters %t, closed %t: %+v", o.Sites[i].ID, entered, closed[o.Sites[i].ID], o.Policy)
			}
		}
	})
}

// anybodyEnters tries an address of each domain that rules name, and another, with everything anybody could show.
func anybodyEnters(o *policy.Organization, s *policy.Site) bool {
	shown := []policy.Shown{
		{Method: "password", Evidence: audit.EvidenceAsserted, At: now}, {Method: "passkey", Evidence: audit.EvidenceAsserted, At: now},
		{Method: "session", Evidence: audit.EvidenceVerified, At: now},
		{Method: "social", Connection: "google", Evidence: audit.EvidenceAsserted, At: now},
		{Method: "sso", Connection: "okta", Evidence: audit.EvidenceAsserted, At: now}, {Factor: "SMS", Evidence: audit.EvidenceAsserted, At: now},
		{Factor: "TOTP", Evidence: audit.EvidenceVerified, At: now},
	}
	if !o.Connections[1].Disabled {
		shown = append(shown, policy.Shown{Method: "sso", Connection: "corp", Evidence: audit.EvidenceVerified, At: now})
	}
	for i := range shown {
		shown[i].Step = i + 2
	}
	for _, email := range []string{"x@a-x.com", "x@b-x.com", "x@c-x.com"} {
		in := policy.Input{Organization: o, Site: s, Shown: shown, Now: now,
			Subject: policy.Subject{AccountID: "x", Address: policy.ParseIdentifier(email).Address(), EmailVerified: true}}
		if policy.Decide(in).Decision.Verdict == audit.VerdictAllow {
			return true
		}
	}
	return false
}
