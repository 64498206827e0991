package policy_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// severity orders verdicts: what lets fewer people in is higher.
func severity(v audit.Verdict) int {
	return map[audit.Verdict]int{audit.VerdictAllow: 0, audit.VerdictContinue: 1, audit.VerdictDeny: 2}[v]
}

var (
	now         = time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	someDomains = []string{"acme-x.com", "partner-x.com", "lab.partner-x.com", "gmail.com"}
	connections = []string{"okta", "adfs", "google"}
	networks    = []string{"192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"}
	tokens      = []string{"password", "passkey", "magic_link", "email_code", "social", "sso", "session", "token", "sso:okta", "social:google"}
	factors     = []string{"TOTP", "SMS", "WEBAUTHN"}
)

func mustDomain(s string) policy.Domain {
	d, err := policy.ParseDomain(s)
	if err != nil {
		panic(err)
	}
	return d
}

// subset draws nil or a non-empty selection.
func subset[T any](t *rapid.T, label string, values []T) []T {
	var out []T
	for i, v := range values {
		if rapid.IntRange(0, 3).Draw(t, fmt.Sprintf("%s %d", label, i)) == 0 {
			out = append(out, v)
		}
	}
	return out
}

func drawMatch(t *rapid.T, label string) policy.Match {
	var m policy.Match
	for _, d := range subset(t, label+" domains", someDomains) {
		m.Domains = append(m.Domains, policy.DomainMatch{Domain: mustDomain(d), Subdomains: rapid.Bool().Draw(t, label+" sub")})
	}
	for _, n := range subset(t, label+" networks", networks) {
		m.Networks = append(m.Networks, netip.MustParsePrefix(n))
	}
	m.Sites = subset(t, label+" sites", []string{"wiki", "tracker"})
	m.Connections = subset(t, label+" connections", connections)
	m.Kinds = subset(t, label+" kinds", []audit.SubjectKind{audit.SubjectPerson, audit.SubjectService})
	if rapid.IntRange(0, 4).Draw(t, label+" accounts") == 0 {
		m.Accounts = []policy.AccountKey{namer{}.AccountKey("u", "a1")}
	}
	m.AccountLists = subset(t, label+" lists", []string{"vips"})
	return m
}

func drawEvidence(t *rapid.T, label string) audit.Evidence {
	return rapid.SampledFrom([]audit.Evidence{audit.EvidenceUnspecified, audit.EvidenceAsserted, audit.EvidenceVerified}).Draw(t, label)
}

func drawDemands(t *rapid.T, label string) policy.Demands {
	d := policy.Demands{Methods: subset(t, label+" methods", tokens), SSOEvidence: drawEvidence(t, label+" evidence")}
	if rapid.IntRange(0, 2).Draw(t, label+" sso") == 0 {
		d.SSOConnection = "okta"
	}
	if rapid.Bool().Draw(t, label+" mfa") {
		d.MFA = &policy.MFADemand{Factors: subset(t, label+" factors", factors), AcceptPartner: rapid.Bool().Draw(t, label+" partner"),
			Evidence: drawEvidence(t, label+" mfa evidence")}
		d.MFA.MaxAge = rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, label+" max age")
	}
	d.Reverify = rapid.SampledFrom([]time.Duration{0, 0, time.Hour}).Draw(t, label+" reverify")
	d.SessionLength = rapid.SampledFrom([]time.Duration{0, 0, time.Hour}).Draw(t, label+" session")
	d.Block = rapid.IntRange(0, 9).Draw(t, label+" block") == 0
	return d
}

func drawRule(t *rapid.T, id string) policy.Rule {
	instants := []time.Time{{}, {}, now.Add(-time.Hour), now, now.Add(time.Hour)}
	return policy.Rule{ID: id, Match: drawMatch(t, id), Demands: drawDemands(t, id),
		Mode:        rapid.SampledFrom([]policy.Mode{policy.ModeEnforce, policy.ModeReportOnly}).Draw(t, id+" mode"),
		EnforceFrom: rapid.SampledFrom(instants).Draw(t, id+" from"), ExpiresAt: rapid.SampledFrom(instants).Draw(t, id+" until"),
		EnrolmentGrace: rapid.SampledFrom([]time.Duration{0, 30 * time.Minute, 2 * time.Hour}).Draw(t, id+" grace")}
}

func drawShown(t *rapid.T, step int) policy.Shown {
	label := fmt.Sprintf("shown %d", step)
	s := policy.Shown{Step: step, Evidence: drawEvidence(t, label+" evidence"), UserVerified: rapid.Bool().Draw(t, label+" uv"),
		At: now.Add(-rapid.SampledFrom([]time.Duration{0, 30 * time.Minute, 3 * time.Hour, -time.Hour}).Draw(t, label+" ago"))}
	if rapid.Bool().Draw(t, label+" factor") {
		s.Factor = rapid.SampledFrom(append([]string{"PARTNER"}, factors...)).Draw(t, label+" which")
	} else {
		s.Method = rapid.SampledFrom(tokens[:8]).Draw(t, label+" method")
	}
	if s.Method == "sso" || s.Method == "social" {
		s.Connection = rapid.SampledFrom(connections).Draw(t, label+" connection")
	}
	s.PartnerAMR = subset(t, label+" amr", []string{"mfa", "pwd"})
	return s
}

func drawInput(t *rapid.T) policy.Input {
	org := &policy.Organization{ID: "acme", UID: "u", Sites: []policy.Site{{ID: "wiki"}, {ID: "tracker", TrustsAccountEmail: true}},
		Connections: []policy.Connection{{ID: "okta", Kind: policy.ConnectionSSO}, {ID: "adfs", Kind: policy.ConnectionSSO,
			Disabled: rapid.Bool().Draw(t, "adfs disabled")}, {ID: "google", Kind: policy.ConnectionSocial}},
		Unreadable: rapid.IntRange(0, 19).Draw(t, "unreadable") == 0, AllowUnreadable: rapid.Bool().Draw(t, "allow unreadable")}
	n := rapid.IntRange(0, 4).Draw(t, "rules")
	for i := range n {
		org.Policy.Rules = append(org.Policy.Rules, drawRule(t, fmt.Sprintf("r%d", i)))
	}
	org.Policy.Default = drawDemands(t, "default")
	vip := namer{}.AccountKey("u", "a2")
	org.Policy.AccountLists = []policy.AccountList{{Name: "vips", Accounts: []policy.AccountKey{vip}}}
	if rapid.Bool().Draw(t, "a list for a time") {
		at := now.Add(time.Duration(rapid.IntRange(-1, 2).Draw(t, "hours on the list")) * time.Hour)
		org.Policy.AccountLists[0].Expiries = []policy.AccountExpiry{{Account: vip, At: at}}
	}
	in := policy.Input{Organization: org, Site: &org.Sites[rapid.IntRange(0, 1).Draw(t, "site")], Now: now}
	account := rapid.SampledFrom([]string{"", "a1", "a2", "a3"}).Draw(t, "account")
	email := rapid.SampledFrom([]string{"", "x@acme-x.com", "x@partner-x.com", "x@a.lab.partner-x.com", "x@gmail.com"}).Draw(t, "email")
	in.Subject = directory{org: org}.subject(account, email)
	in.Subject.EmailVerified = rapid.Bool().Draw(t, "verified")
	in.Subject.Kind = rapid.SampledFrom([]audit.SubjectKind{audit.SubjectUnspecified, audit.SubjectPerson, audit.SubjectService}).Draw(t, "kind")
	in.Subject.Typed = rapid.Bool().Draw(t, "typed")
	if rapid.IntRange(0, 4).Draw(t, "managed") == 0 {
		in.Records.Domain = &policy.DomainRecord{Domain: mustDomain("acme-x.com")}
	}
	in.Context = policy.Context{SiteID: in.Site.ID, Connection: rapid.SampledFrom(append([]string{""}, connections...)).Draw(t, "connection")}
	if rapid.Bool().Draw(t, "has ip") {
		in.Context.IP = netip.MustParseAddr(rapid.SampledFrom([]string{"192.0.2.5", "198.51.100.5", "2001:db8::5", "203.0.113.5"}).Draw(t, "ip"))
	}
	steps := rapid.IntRange(0, 3).Draw(t, "steps")
	for i := range steps {
		in.Shown = append(in.Shown, drawShown(t, i+2))
	}
	in.Enrolment = policy.Enrolment{Known: rapid.Bool().Draw(t, "enrolment known"), Factors: subset(t, "enrolled", factors)}
	return in
}

func TestDecisionsAreTotalAndHoldTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		r, again := policy.Decide(in), policy.Decide(in)
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("two decisions on the same input differ")
		}
		d := r.Decision
		if (d.Verdict != audit.VerdictContinue) && len(r.Next) != 0 {
			t.Fatalf("%v with next %v", d.Verdict, r.Next)
		}
		if d.Verdict == audit.VerdictAllow && d.Reason != "" || d.Verdict == audit.VerdictDeny && d.Reason == "" {
			t.Fatalf("%v with reason %q", d.Verdict, d.Reason)
		}
		if d.Advisory && d.Verdict == audit.VerdictAllow {
			t.Fatal("ALLOW before anybody is bound")
		}
		if (d.Rule != "") != (d.Source == policy.SourceRule) {
			t.Fatalf("rule %q with source %s", d.Rule, d.Source)
		}
		excused := !d.GraceUntil.IsZero()
		for _, demand := range d.Demands {
			if d.Verdict == audit.VerdictAllow && !demand.Met && !(excused && demand.Kind == policy.DemandMFA) {
				t.Fatalf("ALLOW with %s unmet", demand.Kind)
			}
			if demand.Met && demand.Reason != "" {
				t.Fatalf("%s is met and has reason %s", demand.Kind, demand.Reason)
			}
		}
		if d.Class == audit.ClassManaged && d.Source != policy.SourceInternal && d.Source != policy.SourceStop && d.Source != policy.SourceUnreadable {
			t.Fatalf("a rule ran for a managed subject: %s", d.Source)
		}
		// A step that does not count meets nothing but what its reason allows: without any counting step nobody enters.
		if len(in.Shown) > 0 && d.Verdict == audit.VerdictAllow && len(d.Demands) > 0 && !excused && !slices.ContainsFunc(in.Shown, func(s policy.Shown) bool {
			ok, _ := policy.Counts(r.Frozen, s)
			return ok
		}) {
			t.Fatal("ALLOW without a step that counts")
		}
	})
}

func TestEvaluateAgreesWithTheDecisionAtBinding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		f := policy.Bind(in)
		d, _ := policy.Evaluate(f, in)
		if !reflect.DeepEqual(d, f.Decision) {
			t.Fatalf("frozen %+v\nnow %+v", f.Decision, d)
		}
		// What was frozen holds whatever becomes of the policy.
		other := in
		org := *in.Organization
		org.Policy = policy.Policy{Default: policy.Demands{Block: true}}
		other.Organization = &org
		if later, _ := policy.Evaluate(f, other); !reflect.DeepEqual(later, d) {
			t.Fatal("a changed policy changed a frozen decision")
		}
	})
}

func TestAddingADemandNeverLoosensAVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Subject.Typed, in.Records = false, policy.Records{}
		in.Organization.Policy.Rules = []policy.Rule{{ID: "r", Mode: policy.ModeEnforce, Demands: drawDemands(t, "d")}}
		before := policy.Decide(in).Decision
		d := &in.Organization.Policy.Rules[0].Demands
		switch rapid.IntRange(0, 8).Draw(t, "which") {
		case 0:
			if d.Methods == nil {
				d.Methods = []string{"password"}
			} else if len(d.Methods) > 1 {
				d.Methods = d.Methods[1:]
			}
		case 1:
			d.SSOConnection = "okta"
		case 2:
			d.SSOEvidence = audit.EvidenceVerified
		case 3:
			if d.MFA == nil {
				d.MFA = &policy.MFADemand{AcceptPartner: true, Evidence: audit.EvidenceAsserted}
			} else {
				m := *d.MFA
				m.Evidence, m.MaxAge = audit.EvidenceVerified, time.Minute
				d.MFA = &m
			}
		case 4:
			if d.MFA != nil {
				m := *d.MFA
				m.AcceptPartner = false
				if m.Factors == nil {
					m.Factors = factors[:1]
				}
				d.MFA = &m
			}
		case 5:
			d.Reverify = time.Minute
		case 6:
			d.SessionLength = time.Minute
		case 7:
			d.Block = true
		case 8:
			in.Organization.Policy.Stops.External = true
		}
		if after := policy.Decide(in).Decision; severity(after.Verdict) < severity(before.Verdict) {
			t.Fatalf("%v became %v", before.Verdict, after.Verdict)
		}
	})
}

func TestAddingAMatchConditionNeverWidensARule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Records = policy.Records{}
		in.Organization.Unreadable = false
		rule := policy.Rule{ID: "r", Mode: policy.ModeEnforce, Match: drawMatch(t, "m")}
		matches := func() bool {
			in.Organization.Policy.Rules = []policy.Rule{rule}
			return policy.Decide(in).Decision.Rule == "r"
		}
		before := matches()
		extra := drawMatch(t, "extra")
		m := &rule.Match
		switch rapid.IntRange(0, 6).Draw(t, "which") {
		case 0:
			if m.Domains == nil {
				m.Domains = extra.Domains
			}
		case 1:
			if m.Networks == nil {
				m.Networks = extra.Networks
			}
		case 2:
			if m.Sites == nil {
				m.Sites = extra.Sites
			}
		case 3:
			if m.Kinds == nil {
				m.Kinds = extra.Kinds
			}
		case 4:
			if m.Accounts == nil {
				m.Accounts = extra.Accounts
			}
		case 5:
			if m.Connections == nil {
				m.Connections = extra.Connections
			}
		case 6:
			if m.AccountLists == nil {
				m.AccountLists = extra.AccountLists
			}
		}
		if !before && matches() {
			t.Fatal("a further condition made the rule match")
		}
	})
}

func TestReportOnlyRulesNeverChangeAVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		with := policy.Decide(in)
		all := in.Organization.Policy.Rules
		added := drawRule(t, "added")
		added.Mode = policy.ModeReportOnly
		in.Organization.Policy.Rules = slices.Insert(slices.Clone(all), rapid.IntRange(0, len(all)).Draw(t, "where"), added)
		more := policy.Decide(in)
		in.Organization.Policy.Rules = slices.DeleteFunc(slices.Clone(all), func(r policy.Rule) bool { return r.Mode == policy.ModeReportOnly })
		less := policy.Decide(in)
		for _, other := range []policy.Result{more, less} {
			a, b := with.Decision, other.Decision
			if a.Verdict != b.Verdict || a.Reason != b.Reason || a.Rule != b.Rule || !reflect.DeepEqual(a.Demands, b.Demands) || !reflect.DeepEqual(with.Next, other.Next) {
				t.Fatalf("%+v\nbecame %+v", a, b)
			}
		}
	})
}

func TestMissingInputDenies(t *testing.T) {
	site := &policy.Site{ID: "wiki"}
	org := &policy.Organization{ID: "acme", Sites: []policy.Site{*site}}
	shown := []policy.Shown{{Step: 2, Method: "password", At: now}}
	for name, in := range map[string]policy.Input{
		"nothing":         {},
		"no organization": {Site: site, Now: now, Shown: shown},
		"no site":         {Organization: org, Now: now, Shown: shown},
		"no time":         {Organization: org, Site: site, Shown: shown},
	} {
		if f := policy.Bind(in); f.Decision.Verdict != audit.VerdictDeny {
			t.Errorf("%s: %v", name, f.Decision.Verdict)
		}
		if len(in.Shown) > 0 {
			if r := policy.Decide(in); r.Decision.Verdict != audit.VerdictDeny || r.Next != nil {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if d, _ := policy.Advise(in); d.Verdict != audit.VerdictContinue || !d.Advisory {
			t.Errorf("%s: advised %v", name, d.Verdict)
		}
		if s := policy.Stopped(in, true, audit.ClassExternal); (s == nil) != (in.Organization != nil && in.Site != nil) {
			t.Errorf("%s: stop %v", name, s)
		}
	}
	if d, next := policy.Evaluate(policy.Frozen{}, policy.Input{Organization: org, Site: site, Now: now, Shown: shown}); d.Verdict != audit.VerdictDeny || next != nil {
		t.Errorf("an empty frozen decision gives %v", d.Verdict)
	}
	if ok, reason := policy.Counts(policy.Frozen{}, shown[0]); ok || reason != audit.ReasonPolicyUnreadable {
		t.Errorf("an empty frozen decision counts: %v %s", ok, reason)
	}
}
