package test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	tideOrganization = "organizations/tide"
	tideSite         = tideOrganization + "/sites/quay"
	tidePolicy       = tideOrganization + "/policy"
	tideDocument     = `
organization: tide
sites: [{id: quay}]
policy:
  rules:
    - {id: first, match: {domains: [guest-tide.com]}, demands: {methods: [password, passkey]}, mode: ENFORCE}
`
)

// tide is one organization served by two processes: changes are made through the one, sign-ins go through the other.
type tide struct {
	t      *testing.T
	change *process
	signs  *process
	ids    atomic.Int64
}

func newTide(t *testing.T, env ...string) *tide {
	r := newRig(t, env...)
	w := &tide{t: t, change: r.start("change", "signin", "archiver", "api"), signs: r.start("signs", "signin", "api")}
	w.change.apply(tideOrganization, tideDocument)
	return w
}

func (w *tide) id() string { return fmt.Sprintf("t-%d", w.ids.Add(1)) }

func (w *tide) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	w.t.Cleanup(cancel)
	return ctx
}

// must fails the test unless the call went well.
func must[M any](t *testing.T, err error, m M) M {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// policy replaces the policy through the one process.
func (w *tide) policy(document string) *posternv1.ChangePolicyResponse {
	w.t.Helper()
	c := posternv1.NewPolicyServiceClient(w.change.conn)
	now, err := c.GetPolicy(w.ctx(), &posternv1.GetPolicyRequest{Name: tidePolicy})
	must(w.t, err, now)
	a, err := c.UpdatePolicy(w.ctx(), &posternv1.UpdatePolicyRequest{Name: tidePolicy, Etag: now.GetEtag(), Document: document, RequestId: w.id(), Force: true})
	return must(w.t, err, a)
}

// open opens a flow through the other process; nobody is bound.
func (w *tide) open(account string) *posternv1.FlowAnswer {
	w.t.Helper()
	a, err := w.signs.signIn().StartFlow(w.ctx(), &posternv1.StartFlowRequest{Parent: tideSite, RequestId: w.id(),
		Subject: &posternv1.Subject{Email: account + "@guest-tide.com"}, Context: &posternv1.Context{DeviceId: w.id()}})
	return must(w.t, err, a)
}

// bind proves the account's password, and with it the address.
func (w *tide) bind(flow, account string) *posternv1.FlowAnswer {
	w.t.Helper()
	a, err := w.signs.signIn().ReportStep(w.ctx(), &posternv1.ReportStepRequest{Flow: flow, RequestId: w.id(), Step: &posternv1.StepReport{Type: "password.verified",
		Subject: &posternv1.Subject{AccountId: account, Email: account + "@guest-tide.com", EmailVerified: new(true)}}})
	return must(w.t, err, a)
}

func (w *tide) complete(flow string) *posternv1.FlowAnswer {
	w.t.Helper()
	a, err := w.signs.signIn().FinishFlow(w.ctx(), &posternv1.FinishFlowRequest{Flow: flow, RequestId: w.id(),
		Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}})
	return must(w.t, err, a)
}

func TestAPolicyChangeBindsFromTheNextCallOnTheOtherReplica(t *testing.T) {
	w := newTide(t)
	w.bind(w.open("warm").GetFlow(), "warm") // the other process has the policy in memory
	for i := range 25 {
		account, rule := fmt.Sprintf("a%d", i), fmt.Sprintf("r%d", i)
		flow := w.open(account).GetFlow()
		changed := w.policy("rules: [{id: " + rule + ", match: {domains: [guest-tide.com]}, demands: {methods: [password]}, mode: ENFORCE}]")
		a := w.bind(flow, account)
		if d := a.GetDecision(); d.GetRule() != rule || d.GetPolicyRevision() < changed.GetState().GetRevision() {
			t.Fatalf("bound by rule %q of revision %d after rule %q of revision %d was acknowledged", d.GetRule(), d.GetPolicyRevision(), rule, changed.GetState().GetRevision())
		}
	}
}

func TestABoundFlowKeepsItsRuleAndOnlyStopsBite(t *testing.T) {
	w := newTide(t)
	kept, stopped := w.open("kept").GetFlow(), w.open("stopped").GetFlow()
	before := w.bind(kept, "kept")
	w.bind(stopped, "stopped")
	if before.GetDecision().GetRule() != "first" || before.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
		t.Fatalf("bound as %v", before.GetDecision())
	}
	w.policy("rules: [{id: second, demands: {block: true}, mode: ENFORCE}]")
	after := w.complete(kept)
	if after.GetEnding() != posternv1.Ending_ENDING_SUCCEEDED || after.GetDecision().GetRule() != "first" ||
		after.GetDecision().GetClass() != before.GetDecision().GetClass() || after.GetDecision().GetPolicyRevision() != before.GetDecision().GetPolicyRevision() {
		t.Errorf("a policy written after binding changed it to %v", after)
	}
	fresh := w.bind(w.open("fresh").GetFlow(), "fresh")
	if fresh.GetVerdict() != posternv1.Verdict_VERDICT_DENY || fresh.GetDecision().GetRule() != "second" {
		t.Errorf("a flow bound after it: %v", fresh)
	}
	w.policy("stops: {external: true}")
	if a := w.complete(stopped); a.GetEnding() != posternv1.Ending_ENDING_DENIED || a.GetReason() != "ORGANIZATION_BLOCKS_EXTERNAL" {
		t.Errorf("a stop met a bound flow and it ended %v, %s", a.GetEnding(), a.GetReason())
	}
}

func TestASuspensionAndItsEndBindAtOnce(t *testing.T) {
	w := newTide(t)
	w.policy("rules: [{id: shut, demands: {block: true}, mode: ENFORCE}]")
	c := posternv1.NewPolicyServiceClient(w.change.conn)
	for i := range 5 {
		account := fmt.Sprintf("a%d", i)
		if a := w.bind(w.open(account).GetFlow(), account); a.GetVerdict() != posternv1.Verdict_VERDICT_DENY {
			t.Fatalf("round %d, before: %v", i, a)
		}
		flow := w.open(account + "s").GetFlow()
		must(t, call2(c.SuspendPolicy(w.ctx(), &posternv1.SuspendPolicyRequest{Name: tidePolicy, Duration: durationpb.New(time.Hour), RequestId: w.id(), Reason: "drill"})), 0)
		if a := w.bind(flow, account+"s"); a.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
			t.Fatalf("round %d, suspended: %v", i, a)
		}
		must(t, call2(c.ResumePolicy(w.ctx(), &posternv1.ResumePolicyRequest{Name: tidePolicy, RequestId: w.id()})), 0)
	}
}

func TestAClaimMadeMidFlowDoesNotChangeTheFrozenClass(t *testing.T) {
	w := newTide(t)
	d := posternv1.NewDirectoryServiceClient(w.change.conn)
	external, early := w.open("c1").GetFlow(), w.open("c1").GetFlow()
	if a := w.bind(external, "c1"); a.GetDecision().GetClass() != posternv1.Class_CLASS_EXTERNAL {
		t.Fatalf("%v", a)
	}
	claimed, err := d.CreateAccount(w.ctx(), &posternv1.CreateAccountRequest{Parent: tideOrganization, RequestId: w.id(), Account: &posternv1.Account{AccountId: "c1"}})
	must(t, err, claimed)
	if a := w.complete(external); a.GetDecision().GetClass() != posternv1.Class_CLASS_EXTERNAL || a.GetEnding() != posternv1.Ending_ENDING_SUCCEEDED || !a.GetRecorded() {
		t.Errorf("a claim made mid-flow changed what was bound: %v", a)
	}
	own := w.bind(early, "c1") // opened before the claim, bound after it
	if own.GetDecision().GetClass() != posternv1.Class_CLASS_CLAIMED {
		t.Errorf("bound after the claim: %v", own.GetDecision())
	}
	must(t, call2(d.DeleteAccount(w.ctx(), &posternv1.DeleteAccountRequest{Name: claimed.GetName(), RequestId: w.id()})), 0)
	if a := w.complete(early); a.GetDecision().GetClass() != posternv1.Class_CLASS_CLAIMED {
		t.Errorf("a claim revoked mid-flow changed what was bound: %v", a)
	}
	if a := w.bind(w.open("c1").GetFlow(), "c1"); a.GetDecision().GetClass() != posternv1.Class_CLASS_EXTERNAL {
		t.Errorf("bound after the claim was revoked: %v", a.GetDecision())
	}
}
