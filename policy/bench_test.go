package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// benchInput is a partner's sign-on in an organization with many rules: the last one decides.
func benchInput(b *testing.B, rules int) policy.Input {
	b.Helper()
	var doc strings.Builder
	doc.WriteString("organization: acme\nsites: [{id: wiki}]\nconnections: [{id: okta, kind: sso, protocol: oidc}]\npolicy:\n  rules:\n")
	for i := range rules - 2 {
		fmt.Fprintf(&doc, "    - {id: r%d, match: {domains: [d%d-x.com, {domain: e%d-x.com, include_subdomains: true}]}, demands: {block: true}}\n", i, i, i)
	}
	doc.WriteString("    - {id: trial, mode: report_only, match: {domains: [partner-x.com]}, demands: {mfa: {factors: [WEBAUTHN]}}}\n")
	doc.WriteString("    - {id: last, match: {domains: [partner-x.com]}, demands: {sso: okta, evidence: asserted, mfa: {factors: [TOTP], max_age: 12h}, reverification: 8h}}\n")
	d := apply(b, []byte(doc.String()))
	c := aCase{Subject: &subject{Account: "a1", Email: "a@partner-x.com", Verified: true},
		Shown: []shown{{Method: "sso", Connection: "okta"}, {Factor: "TOTP"}}}
	return c.input(b, d)
}

func BenchmarkEvaluate(b *testing.B) {
	in := benchInput(b, 20)
	f := policy.Bind(in)
	if f.Decision.Verdict != audit.VerdictAllow {
		b.Fatalf("%+v", f.Decision)
	}
	b.ReportAllocs()
	for b.Loop() {
		policy.Evaluate(f, in)
	}
}

func BenchmarkEvaluateUnmet(b *testing.B) {
	in := benchInput(b, 20)
	in.Shown = in.Shown[:1]
	f := policy.Bind(in)
	b.ReportAllocs()
	for b.Loop() {
		policy.Evaluate(f, in)
	}
}

func BenchmarkStopped(b *testing.B) {
	in := benchInput(b, 20)
	b.ReportAllocs()
	for b.Loop() {
		policy.Stopped(in, true, audit.ClassExternal)
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, rules := range []int{2, 20, 200} {
		in := benchInput(b, rules)
		b.Run(fmt.Sprintf("%d_rules", rules), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				policy.Decide(in)
			}
		})
	}
}

func BenchmarkAdvise(b *testing.B) {
	in := benchInput(b, 20)
	in.Subject.Typed = true
	b.ReportAllocs()
	for b.Loop() {
		policy.Advise(in)
	}
}

func BenchmarkParseAddress(b *testing.B) {
	for name, s := range map[string]string{"ascii": "Ann.Example@mail.partner-x.com", "idn": "ann@bücher.münchen-x.de"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = policy.ParseUsableAddress(s)
			}
		})
	}
}
