package server_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// drawChange writes another document for an organization: what it owns, which sites are open, whom it knows and what it demands.
func drawChange(t *rapid.T, id string) string {
	one := func(label string, all ...string) string { return rapid.SampledFrom(all).Draw(t, label) }
	var b strings.Builder
	fmt.Fprintf(&b, "organization: %s\nconnections: [{id: google, kind: social}, {id: okta, kind: sso, protocol: oidc}]\n", id)
	fmt.Fprintf(&b, "sites: [{id: wiki%s}, {id: shop%s}]\n", one("wiki", "", "", ", disabled: true"), one("shop", "", ", trusts_account_email: true"))
	fmt.Fprintf(&b, "domains: [%s]\n", one("domains", "", "own-"+id+".example-postern.com", "{domain: "+id+".example-postern.com, include_subdomains: true}"))
	if rapid.Bool().Draw(t, "claims") {
		fmt.Fprintf(&b, "claims: {accounts: [%s-a1], addresses: [%s@gmail.com]}\n", id, id)
	}
	b.WriteString("policy:\n  rules:\n    - {id: last, demands: {session_length: 4h}}\n")
	for i := range rapid.IntRange(0, 3).Draw(t, "rules") {
		fmt.Fprintf(&b, "    - {id: r%d, match: {%s}, demands: {%s}, mode: %s}\n", i,
			one("match", "domains: [gmail.com]", "sites: [shop]", "accounts: ["+id+"-a2]", "account_lists: [vips]", "networks: [203.0.113.0/24]", "connections: [okta]"),
			one("demand", "methods: [passkey, sso]", "sso: okta, evidence: asserted", "mfa: {factors: [TOTP]}", "reverification: 1h", "block: true"),
			one("mode", "enforce", "enforce", "report_only"))
	}
	text := b.String() // rules in the other order: the one for everybody last
	head, rules, _ := strings.Cut(text, "  rules:\n")
	lines := strings.SplitAfter(strings.TrimSuffix(rules, "\n"), "\n")
	text = head + "  rules:\n" + strings.Join(append(lines[1:], "\n", lines[0]), "") + "\n"
	return text + "  account_lists: [{name: vips, accounts: [" + one("vip", id+"-a1", id+"-a2") + "]}]\n" +
		"  stops: {networks: [" + one("stop", "203.0.113.0/28", "198.51.100.0/24") + "]}\n"
}

// askedLater is a sign-in that is over, and the question that has to be answered as it was decided.
type askedLater struct {
	ask     *posternv1.ExplainRequest
	bound   *posternv1.FlowAnswer
	said    *posternv1.Decision // while it was so
	context string
}

// settle waits until the millisecond that is now is over, and returns it: what follows is later by the clock of the record.
func settle() *timestamppb.Timestamp {
	at := time.Now().Truncate(time.Millisecond)
	for time.Since(at) <= time.Millisecond { // a millisecond at most
	}
	return timestamppb.New(at)
}

// TestWhatFlowsFrozeIsWhatThePastExplains changes an organization at random, signs people in after each change, and asks about
// each of those sign-ins when everything is over: at the moment that its binding step was recorded, what it froze is explained.
func TestWhatFlowsFrozeIsWhatThePastExplains(t *testing.T) {
	s := newSidecar(t)
	var ids atomic.Int64
	id := func() string { return fmt.Sprintf("p%d", ids.Add(1)) }
	compared, changed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		organization := id()
		name := "organizations/" + organization
		var all []askedLater
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			s.alter(t, organization, id)
			settle()
			for range rapid.IntRange(1, 3).Draw(t, "sign-ins") {
				all = append(all, s.signedIn(t, organization, id))
			}
		}
		s.archivedNow(t, name+"/policy")
		for _, a := range all {
			s.bindingMoment(t, &a)
			answer, err := s.explain.Explain(s.ctx(), a.ask)
			if err != nil {
				t.Fatalf("%v\n%s", err, a.context)
			}
			got, want := answer.GetDecision(), a.bound.GetDecision()
			if got.GetSource() == "STOP" || want.GetSource() == "STOP" {
				if a.bound.GetEnding() != posternv1.Ending_ENDING_DENIED || a.bound.GetReason() != got.GetReason() {
					t.Fatalf("ended %v for %q, explained as stopped for %q\n%s", a.bound.GetEnding(), a.bound.GetReason(), got.GetReason(), a.context)
				}
				continue
			}
			compared++
			if asDecided(got) != asDecided(want) || got.GetPolicyRevision() != want.GetPolicyRevision() {
				t.Fatalf("frozen    %s at revision %d\nexplained %s at revision %d\n%s", asDecided(want), want.GetPolicyRevision(), asDecided(got), got.GetPolicyRevision(), a.context)
			}
			if !proto.Equal(got, a.said) {
				t.Fatalf("explained then as\n%v\nand later as\n%v\n%s", a.said, got, a.context)
			}
			now := proto.CloneOf(a.ask)
			now.Time = nil
			if present, err := s.explain.Explain(s.ctx(), now); err != nil || asDecided(present.GetDecision()) != asDecided(got) {
				changed++
			}
		}
	})
	if compared == 0 || changed == 0 {
		t.Errorf("%d were compared and %d are otherwise by now: nothing was shown", compared, changed)
	}
}

// alter applies another document, or suspends what there is.
func (s *sidecar) alter(t *rapid.T, organization string, id func() string) {
	name := "organizations/" + organization
	have, err := s.dir.GetOrganization(s.ctx(), &posternv1.GetOrganizationRequest{Name: name})
	if err == nil && rapid.IntRange(0, 3).Draw(t, "suspended") == 0 {
		if _, err := s.explain.SuspendPolicy(s.ctx(), &posternv1.SuspendPolicyRequest{Name: name + "/policy", Duration: durationpb.New(time.Hour), RequestId: id(), Reason: "r"}); err != nil {
			t.Fatal(err)
		}
		return
	}
	document := drawChange(t, organization)
	if _, err := s.dir.ApplyOrganization(s.ctx(), &posternv1.ApplyOrganizationRequest{Name: name, RequestId: id(), Document: document, Etag: have.GetEtag(), Force: true}); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
}

// signedIn signs somebody in as far as the step that binds, and asks Explain at once.
func (s *sidecar) signedIn(t *rapid.T, organization string, id func() string) askedLater {
	one := func(label string, all ...string) string { return rapid.SampledFrom(all).Draw(t, label) }
	site := "organizations/" + organization + "/sites/" + one("site", "wiki", "shop")
	account := organization + "-" + one("account", "a1", "a2", "a3")
	email := one("email", "x@own-"+organization+".example-postern.com", "x@sub."+organization+".example-postern.com", organization+"@gmail.com", "y@gmail.com", "x@else.example-postern.com")
	where := &posternv1.Context{Ip: one("ip", "", "203.0.113.7", "203.0.113.200", "198.51.100.1"), DeviceId: id()}
	step := &posternv1.StepReport{Type: "password.verified"}
	a := askedLater{ask: &posternv1.ExplainRequest{Site: site, Email: email, AccountId: account, Kind: posternv1.SubjectKind_SUBJECT_KIND_PERSON, Context: where, Method: "password"}}
	if rapid.Bool().Draw(t, "by SSO") {
		step, a.ask.Method = &posternv1.StepReport{Type: "sso.verified", Connection: "okta"}, "sso:okta"
	}
	said, err := s.explain.Explain(s.ctx(), a.ask)
	if err != nil {
		t.Fatal(err)
	}
	a.said = said.GetDecision()
	if a.bound, err = s.signIn.StartFlow(s.ctx(), &posternv1.StartFlowRequest{Parent: site, RequestId: id(), Context: where, Subject: &posternv1.Subject{Email: email}}); err != nil {
		t.Fatal(err)
	}
	if a.bound.GetEnding() == posternv1.Ending_ENDING_UNSPECIFIED {
		step.Subject = &posternv1.Subject{AccountId: account, Email: email, EmailVerified: new(true), Kind: posternv1.SubjectKind_SUBJECT_KIND_PERSON}
		if a.bound, err = s.signIn.ReportStep(s.ctx(), &posternv1.ReportStepRequest{Flow: a.bound.GetFlow(), RequestId: id(), Step: step}); err != nil {
			t.Fatal(err)
		}
	}
	a.ask.Time = settle()
	a.context = fmt.Sprintf("%v\nflow %s", a.ask, a.bound.GetFlow())
	return a
}

// bindingMoment asks about the moment that the binding step was recorded, where it was: a sign-in that is off the record was
// bound before the moment that is asked about already, and after every change before it.
func (s *sidecar) bindingMoment(t *rapid.T, a *askedLater) {
	organization, _, _ := strings.Cut(a.ask.GetSite(), "/sites/")
	flow := a.bound.GetFlow()[strings.LastIndex(a.bound.GetFlow(), "/")+1:]
	list, err := s.events.ListEvents(s.ctx(), &posternv1.ListEventsRequest{Parent: organization, Filter: &posternv1.EventFilter{Include: &posternv1.EventMatch{
		Flows: []string{flow}, Types: []string{"password.verified", "sso.verified"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.GetEvents()) > 0 {
		a.ask.Time = list.GetEvents()[0].GetRecordedTime()
	}
}

// archivedNow waits until the history reaches the present.
func (s *sidecar) archivedNow(t *rapid.T, policy string) {
	at := settle()
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := s.explain.GetPolicy(s.ctx(), &posternv1.GetPolicyRequest{Name: policy, Time: at})
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "archived until") || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
