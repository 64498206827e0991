package policy_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

func TestWhoCouldGetInSomehowIsAdmitted(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	address, err := policy.ParseAddress("ann@partner-x.com")
	if err != nil {
		t.Fatal(err)
	}
	person := policy.Person{Address: address, AddressKey: policy.AccountKey{7}}
	managed := person
	managed.Records.Domain = &policy.DomainRecord{Domain: address.Domain()}
	claimed := person
	claimed.Records.AddressClaim = &policy.ClaimRecord{Key: policy.AccountKey{7}}
	verified := policy.Connection{ID: "okta", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC, OIDC: &policy.OIDC{}}
	asserted := policy.Connection{ID: "own", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC}
	disabled := verified
	disabled.Disabled = true
	office := netip.MustParsePrefix("192.0.2.0/24")
	block, open := policy.Demands{Block: true}, policy.Demands{Methods: []string{"password"}}
	rule := func(d policy.Demands, m policy.Match) policy.Rule {
		return policy.Rule{ID: "r", Mode: policy.ModeEnforce, Demands: d, Match: m}
	}
	for name, c := range map[string]struct {
		change func(o *policy.Organization)
		who    policy.Person
		want   bool
	}{
		"no policy":                         {func(*policy.Organization) {}, person, true},
		"a block":                           {func(o *policy.Organization) { o.Policy.Default = block }, person, false},
		"a block of others":                 {func(o *policy.Organization) { o.Policy.Default = block }, managed, true},
		"a claimed address":                 {func(o *policy.Organization) { o.Policy.Default = block }, claimed, true},
		"a block of the organization":       {func(o *policy.Organization) { o.Disabled = true }, managed, false},
		"a site that is disabled":           {func(o *policy.Organization) { o.Sites[0].Disabled = true }, person, false},
		"another site":                      {func(o *policy.Organization) { o.Sites[0].ID = "shop" }, person, false},
		"a policy nobody can read":          {func(o *policy.Organization) { o.Unreadable = true }, person, false},
		"a policy nobody can read, allowed": {func(o *policy.Organization) { o.Unreadable, o.AllowUnreadable = true, true }, person, true},
		"a suspension":                      {func(o *policy.Organization) { o.Policy.Default, o.SuspendedUntil = block, now.Add(time.Hour) }, person, true},
		"a suspension that is over":         {func(o *policy.Organization) { o.Policy.Default, o.SuspendedUntil = block, now }, person, false},
		"a stop of everybody from outside":  {func(o *policy.Organization) { o.Policy.Stops.External = true }, person, false},
		"a stop of the domain": {func(o *policy.Organization) {
			o.Policy.Stops.Domains = []policy.DomainMatch{{Domain: address.Domain()}}
		}, person, false},
		"a stop of a domain, managed": {func(o *policy.Organization) {
			o.Policy.Stops.Domains = []policy.DomainMatch{{Domain: address.Domain()}}
		}, managed, true},
		"a stop of every network": {func(o *policy.Organization) {
			o.Policy.Stops.Networks = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
		}, managed, false},
		"sessions and tokens alone": {func(o *policy.Organization) { o.Policy.Default = policy.Demands{Methods: []string{"session", "token"}} }, person, false},
		"sign-on verified here": {func(o *policy.Organization) {
			o.Connections, o.Policy.Default = []policy.Connection{verified}, policy.Demands{SSOConnection: "okta"}
		}, person, true},
		"sign-on that is disabled": {func(o *policy.Organization) {
			o.Connections, o.Policy.Default = []policy.Connection{disabled}, policy.Demands{SSOConnection: "okta"}
		}, person, false},
		"sign-on that is only asserted": {func(o *policy.Organization) {
			o.Connections, o.Policy.Default = []policy.Connection{asserted}, policy.Demands{SSOConnection: "own"}
		}, person, false},
		"sign-on, asserted is enough": {func(o *policy.Organization) {
			o.Connections, o.Policy.Default = []policy.Connection{asserted}, policy.Demands{SSOConnection: "own", SSOEvidence: audit.EvidenceAsserted}
		}, person, true},
		"any second factor": {func(o *policy.Organization) {
			o.Policy.Default = policy.Demands{MFA: &policy.MFADemand{MaxAge: time.Minute}, Reverify: time.Minute}
		}, person, true},
		"a factor with evidence nobody has": {func(o *policy.Organization) {
			o.Policy.Default = policy.Demands{MFA: &policy.MFADemand{Factors: []string{audit.FactorSMS}, Evidence: audit.EvidenceVerified}}
		}, person, false},
		"the partner's own factor": {func(o *policy.Organization) {
			o.Connections, o.Policy.Default = []policy.Connection{verified}, policy.Demands{SSOConnection: "okta", MFA: &policy.MFADemand{Factors: []string{audit.FactorSMS}, Evidence: audit.EvidenceVerified, AcceptPartner: true}}
		}, person, true},
		"a rule for those from the office": {func(o *policy.Organization) {
			o.Policy.Rules, o.Policy.Default = []policy.Rule{rule(open, policy.Match{Networks: []netip.Prefix{office}})}, block
		}, person, true},
		"a rule for those through a connection": {func(o *policy.Organization) {
			o.Connections, o.Policy.Rules, o.Policy.Default = []policy.Connection{verified}, []policy.Rule{rule(policy.Demands{Methods: []string{"sso"}}, policy.Match{Connections: []string{"okta"}})}, block
		}, person, true},
		"a rule for another domain": {func(o *policy.Organization) {
			d, _ := policy.ParseDomain("other-x.com")
			o.Policy.Rules, o.Policy.Default = []policy.Rule{rule(open, policy.Match{Domains: []policy.DomainMatch{{Domain: d}}})}, block
		}, person, false},
		"a rule that names the address": {func(o *policy.Organization) {
			o.Policy.Rules, o.Policy.Default = []policy.Rule{rule(open, policy.Match{Accounts: []policy.AccountKey{{7}}})}, block
		}, person, true},
		"a rule for machines": {func(o *policy.Organization) {
			o.Policy.Rules = []policy.Rule{rule(block, policy.Match{Kinds: []audit.SubjectKind{audit.SubjectService}})}
		}, person, true},
	} {
		o := &policy.Organization{ID: "acme", Sites: []policy.Site{{ID: "wiki"}}}
		c.change(o)
		if got := o.Admits(c.who, "wiki", now); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestWhatSomebodyLosesIsWhereTheyCouldGetInBefore(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	address, err := policy.ParseAddress("ann@partner-x.com")
	if err != nil {
		t.Fatal(err)
	}
	who := policy.Person{Address: address}
	before := &policy.Organization{ID: "acme", Sites: []policy.Site{{ID: "a"}, {ID: "b"}, {ID: "c", Disabled: true}, {ID: "d"}}}
	after := &policy.Organization{ID: "acme", Sites: []policy.Site{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d", Disabled: true}, {ID: "new"}}}
	later := now.Add(48 * time.Hour)
	after.Policy.Rules = []policy.Rule{
		{ID: "now", Mode: policy.ModeEnforce, Match: policy.Match{Sites: []string{"a", "c", "d", "new"}}, Demands: policy.Demands{Block: true}},
		{ID: "then", Mode: policy.ModeEnforce, EnforceFrom: later, Demands: policy.Demands{Block: true}},
	}
	got := policy.Loses(before, after, who, who, now)
	if len(got) != 2 || got[0] != (policy.Lost{Site: "a", From: now}) || got[1] != (policy.Lost{Site: "b", From: later}) {
		t.Errorf("%v", got)
	}
	if got := policy.Loses(after, after, who, who, now); len(got) != 0 { // what comes anyway is no loss of this change
		t.Errorf("nothing changed: %v", got)
	}
	if got := policy.Loses(before, before, who, who, now); len(got) != 0 {
		t.Errorf("nothing changed: %v", got)
	}
	if policy.Loses(nil, after, who, who, now) != nil || policy.Loses(before, nil, who, who, now) != nil {
		t.Error("of nothing")
	}
}
