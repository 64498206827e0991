package server_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// drawOrganization writes an organization document with rules, stops, lists, domains and claims at random.
func drawOrganization(t *rapid.T, id string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "organization: %s\nsites: [{id: wiki}, {id: shop, trusts_account_email: true}]\n", id)
	b.WriteString("connections: [{id: google, kind: social}, {id: okta, kind: sso, protocol: oidc}]\n")
	some := func(label string, all ...string) []string {
		var out []string
		for _, s := range all {
			if rapid.IntRange(0, 2).Draw(t, label+" "+s) == 0 {
				out = append(out, s)
			}
		}
		return out
	}
	if d := some("domain", "own-postern-demo.com", "{domain: wide-postern-demo.com, include_subdomains: true}"); len(d) > 0 {
		fmt.Fprintf(&b, "domains: [%s]\n", strings.Join(d, ", "))
	}
	if rapid.Bool().Draw(t, "claims") {
		b.WriteString("claims: {accounts: [a1], addresses: [board@gmail.com]}\n")
	}
	b.WriteString("policy:\n  rules:\n")
	n := rapid.IntRange(0, 4).Draw(t, "rules")
	for i := range n {
		var match []string
		for _, c := range some(fmt.Sprint("match", i), "domains: [partner-postern-demo.com]", "domains: [gmail.com, {domain: wide-postern-demo.com, include_subdomains: true}]",
			"accounts: [a2]", "account_lists: [vips]", "sites: [shop]", "networks: [203.0.113.0/24]", "connections: [okta]", "kinds: [service]") {
			if key, _, _ := strings.Cut(c, ":"); !slices.ContainsFunc(match, func(m string) bool { return strings.HasPrefix(m, key+":") }) {
				match = append(match, c)
			}
		}
		demand := rapid.SampledFrom([]string{"methods: [passkey, sso]", "sso: okta, evidence: asserted", "mfa: {factors: [TOTP, WEBAUTHN]}", "reverification: 1h", "block: true",
			"mfa: {max_age: 8h}, session_length: 4h"}).Draw(t, fmt.Sprint("demand", i))
		mode := rapid.SampledFrom([]string{"enforce", "enforce", "report_only"}).Draw(t, fmt.Sprint("mode", i))
		fmt.Fprintf(&b, "    - {id: r%d, match: {%s}, demands: {%s}, mode: %s}\n", i, strings.Join(match, ", "), demand, mode)
	}
	if n == 0 {
		b.Reset()
		return drawOrganization(t, id)
	}
	b.WriteString("  account_lists: [{name: vips, accounts: [a3, {account: a4, expires_at: 2020-01-01T00:00:00Z}]}]\n")
	if s := some("stop", "domains: [gmail.com]", "networks: [203.0.113.0/28]"); len(s) > 0 {
		fmt.Fprintf(&b, "  stops: {%s}\n", strings.Join(s, ", "))
	}
	return b.String()
}

// asDecided is what an explanation and a sign-in must have in common: everything but what was shown.
func asDecided(d *posternv1.Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "class %v by %v; %s %s; methods %v; demands", d.GetClass(), d.GetClassBasis(), d.GetSource(), d.GetRule(), d.GetAllowedMethods())
	for _, demand := range d.GetDemands() {
		one := proto.CloneOf(demand)
		one.Met, one.Reason, one.MetByStep, one.MetByProof = false, "", 0, nil
		fmt.Fprintf(&b, " {%s}", one)
	}
	return b.String()
}

// TestAnExplanationIsWhatASignInGets asks Explain about somebody, then signs them in: class, its basis, the rule, what is allowed and
// what is demanded are the same, before anything is proven and once a method has bound them.
func TestAnExplanationIsWhatASignInGets(t *testing.T) {
	s := newSidecar(t)
	var ids atomic.Int64
	id := func() string { return fmt.Sprintf("x%d", ids.Add(1)) }
	stopped, ruled := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		organization := id()
		document := drawOrganization(t, organization)
		name := "organizations/" + organization
		if _, err := s.dir.ApplyOrganization(s.ctx(), &posternv1.ApplyOrganizationRequest{Name: name, RequestId: "apply", Document: document, Force: true}); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		// An account belongs to one organization at a time: the next one may want them.
		defer func() {
			if _, err := s.dir.BatchDeleteAccounts(s.ctx(), &posternv1.BatchDeleteAccountsRequest{Parent: name, RequestId: "release",
				Names: []string{name + "/accounts/id:a1", name + "/accounts/email:board@gmail.com"}}); err != nil {
				t.Fatal(err)
			}
		}()
		for range 4 {
			site := name + "/sites/" + rapid.SampledFrom([]string{"wiki", "shop"}).Draw(t, "site")
			account := rapid.SampledFrom([]string{"a1", "a2", "a3", "a4", "a5"}).Draw(t, "account")
			email := rapid.SampledFrom([]string{"", "x@own-postern-demo.com", "x@sub.wide-postern-demo.com", "x@partner-postern-demo.com", "x@gmail.com", "board@gmail.com", "x@elsewhere-postern-demo.com"}).Draw(t, "email")
			context := &posternv1.Context{Ip: rapid.SampledFrom([]string{"", "203.0.113.7", "203.0.113.200", "2001:db8::1"}).Draw(t, "ip"), DeviceId: id()}
			step := rapid.SampledFrom([]*posternv1.StepReport{{Type: "password.verified"}, {Type: "sso.verified", Connection: "okta"}, {Type: "social.verified", Connection: "google"},
				{Type: "passwordless.verified", Method: "passkey"}}).Draw(t, "step")
			method := map[string]string{"password.verified": "password", "sso.verified": "sso:okta", "social.verified": "social:google", "passwordless.verified": "passkey"}[step.GetType()]
			ask := func(account, method string) *posternv1.Decision {
				a, err := s.explain.Explain(s.ctx(), &posternv1.ExplainRequest{Site: site, Email: email, AccountId: account, Kind: posternv1.SubjectKind_SUBJECT_KIND_PERSON, Context: context, Method: method})
				if err != nil {
					t.Fatal(err)
				}
				return a.GetDecision()
			}
			said, saidBefore := ask(account, method), ask("", "")
			opened, err := s.signIn.StartFlow(s.ctx(), &posternv1.StartFlowRequest{Parent: site, RequestId: id(), Context: context, Subject: &posternv1.Subject{Email: email}})
			if err != nil {
				t.Fatal(err)
			}
			if opened.GetEnding() == posternv1.Ending_ENDING_UNSPECIFIED && email != "" {
				if got, want := opened.GetDecision().GetClass(), saidBefore.GetClass(); got != want {
					t.Fatalf("%q is %v, and was said to be %v\n%s", email, got, want, document)
				}
			}
			step = proto.CloneOf(step)
			step.Subject = &posternv1.Subject{AccountId: account, Email: email, EmailVerified: new(true), Kind: posternv1.SubjectKind_SUBJECT_KIND_PERSON}
			if email == "" {
				step.Subject.EmailVerified = nil
			}
			got := opened
			if opened.GetEnding() == posternv1.Ending_ENDING_UNSPECIFIED {
				if got, err = s.signIn.ReportStep(s.ctx(), &posternv1.ReportStepRequest{Flow: opened.GetFlow(), RequestId: id(), Step: step}); err != nil {
					t.Fatal(err)
				}
			}
			if said.GetSource() == "STOP" || got.GetDecision().GetSource() == "STOP" {
				stopped++
				if got.GetEnding() != posternv1.Ending_ENDING_DENIED || got.GetReason() != said.GetReason() {
					t.Fatalf("said to be stopped for %s, and got %v for %q\n%s", said.GetReason(), got.GetEnding(), got.GetReason(), document)
				}
				continue
			}
			if said.GetRule() != "" {
				ruled++
			}
			if got, want := asDecided(got.GetDecision()), asDecided(said); got != want {
				t.Fatalf("%s %q by %s was said to get\n%s\nand got\n%s\n%s", account, email, method, want, got, document)
			}
		}
	})
	if stopped == 0 || ruled == 0 {
		t.Errorf("%d were stopped and %d rules decided: nothing was compared", stopped, ruled)
	}
}
