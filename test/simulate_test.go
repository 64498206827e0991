package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// simulated tries a draft through a process and returns the result.
func (w *ward) simulated(p *process, r *posternv1.SimulateRequest) *posternv1.Simulation {
	w.t.Helper()
	r.Name = clinic + "/policy"
	stream, err := posternv1.NewPolicyServiceClient(p.conn).Simulate(w.ctx(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	var last *posternv1.SimulateResponse
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return last.GetResult()
		}
		if err != nil {
			w.t.Fatal(err)
		}
		last = m
	}
}

// impact asks what the rules did.
func (w *ward) impact(p *process) []*posternv1.RuleImpact {
	w.t.Helper()
	stream, err := posternv1.NewPolicyServiceClient(p.conn).GetPolicyImpact(w.ctx(), &posternv1.GetPolicyImpactRequest{Name: clinic + "/policy"})
	if err != nil {
		w.t.Fatal(err)
	}
	var last *posternv1.GetPolicyImpactResponse
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return last.GetRules()
		}
		if err != nil {
			w.t.Fatal(err)
		}
		last = m
	}
}

// completed ends a flow and returns how.
func (w *ward) completed(p *process, flow string) posternv1.Ending {
	w.t.Helper()
	a, err := p.signIn().FinishFlow(w.ctx(), &posternv1.FinishFlowRequest{Flow: flow, RequestId: w.id(), Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}})
	if err != nil {
		w.t.Fatal(err)
	}
	return a.GetEnding()
}

// stranger is a sign-in of somebody of no domain that a rule names.
func (w *ward) stranger(p *process, account string) string {
	w.t.Helper()
	email := account + "@elsewhere-postern-demo.com"
	a, err := p.signIn().StartFlow(w.ctx(), &posternv1.StartFlowRequest{Parent: clinic + "/sites/desk", RequestId: w.id(), Subject: &posternv1.Subject{Email: email},
		Steps: []*posternv1.StepReport{{Type: "password.verified", Subject: &posternv1.Subject{AccountId: account, Email: email, EmailVerified: proto.Bool(true)}}}})
	if err != nil {
		w.t.Fatal(err)
	}
	return a.GetFlow()
}

// A draft is tried on what real sign-ins left behind, through whichever process, and leaves nothing behind itself.
func TestADraftIsTriedOnTheRecord(t *testing.T) {
	r, w := newRig(t), &ward{t: t}
	p, other := r.start("first", "signin", "archiver", "api"), r.start("second", "api")
	apply := &posternv1.ApplyOrganizationRequest{Name: clinic, Document: clinicDocument, RequestId: w.id(), Reason: "story"}
	if _, err := posternv1.NewDirectoryServiceClient(p.conn).ApplyOrganization(w.ctx(), apply); err != nil {
		t.Fatal(err)
	}
	_, secret, step := w.enrolled(p, "ann")
	flow := w.bound(p, "ann", "laptop").GetFlow()
	if _, err := w.verify(p, flow, oathtool(t, secret, step+1)); err != nil {
		t.Fatal(err)
	}
	w.completed(p, flow)
	again := w.bound(p, "ann", "laptop").GetFlow() // by memory
	if e := w.completed(p, again); e != posternv1.Ending_ENDING_SUCCEEDED {
		t.Fatalf("what was proven before is not remembered: %v", e)
	}
	w.completed(p, w.bound(p, "bob", "phone").GetFlow())
	eve := w.stranger(p, "eve")
	w.completed(p, eve)
	events := w.archivedFlows(p, 4)

	for _, through := range []*process{p, other} {
		if s := w.simulated(through, &posternv1.SimulateRequest{}); s.GetFlows() != 4 || s.GetUnchanged() != 4 || len(s.GetChanges()) != 0 || s.GetRevision() == 0 {
			t.Errorf("nothing was tried: %v", s)
		}
		s := w.simulated(through, &posternv1.SimulateRequest{Draft: &posternv1.SimulateRequest_Policy{Policy: "default: {mfa: {factors: [TOTP], max_age: 12h}}"}})
		if s.GetUnchanged() != 3 || len(s.GetChanges()) != 1 || s.GetChanges()[0].GetWouldBeReason() != "MFA_REQUIRED" || s.GetChanges()[0].GetSamples()[0] != eve ||
			s.GetNeedsEnrolment().GetCount() != 2 || s.GetPeople().GetCount() != 1 || s.GetDomains()[0].GetKey() != "elsewhere-postern-demo.com" {
			t.Errorf("a second factor for everybody: %v", s)
		}
		s = w.simulated(through, &posternv1.SimulateRequest{Draft: &posternv1.SimulateRequest_Policy{Policy: "default: {mfa: {factors: [TOTP]}}"}})
		if s.GetUnchanged() != 2 || len(s.GetChanges()) != 1 || s.GetChanges()[0].GetFlows() != 2 {
			t.Errorf("in each sign-in anew: %v", s)
		}
		s = w.simulated(through, &posternv1.SimulateRequest{Draft: &posternv1.SimulateRequest_OrganizationDocument{
			OrganizationDocument: "organization: clinic\ndomains: [{domain: clinic-postern-demo.com}]\nclaims: {accounts: [eve]}"}})
		changed := int64(0)
		for _, c := range s.GetChanges() {
			if changed += c.GetFlows(); !c.GetClassChanges() || c.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
				t.Errorf("a domain and a claim: %v", c)
			}
		}
		if changed != 4 || s.GetUnchanged() != 0 {
			t.Errorf("a domain and a claim: %v", s)
		}
		rules := w.impact(through)
		if len(rules) != 1 || rules[0].GetDecided() != 3 || rules[0].GetDenied() != 1 || rules[0].GetPeople().GetCount() != 2 || rules[0].GetNeedsEnrolment().GetCount() != 1 {
			t.Errorf("what the rule did: %v", rules)
		}
	}
	if now := w.archivedFlows(p, 4); now != events {
		t.Errorf("%d events were recorded by looking", now-events)
	}
}

// archivedFlows waits until so many flows have their ending in the archive, and returns how many events there are.
func (w *ward) archivedFlows(p *process, want int) int64 {
	w.t.Helper()
	var last int64
	err := eventually(30*time.Second, func(ctx context.Context) error {
		list, err := posternv1.NewFlowServiceClient(p.conn).ListFlows(ctx, &posternv1.ListFlowsRequest{Parent: clinic, PageSize: 100})
		if err != nil {
			return err
		}
		ended := 0
		for _, f := range list.GetFlows() {
			if f.GetEnding() != posternv1.Ending_ENDING_UNSPECIFIED {
				ended++
			}
		}
		if ended != want {
			return fmt.Errorf("%d of %d flows have ended in the archive", ended, want)
		}
		events, err := posternv1.NewEventServiceClient(p.conn).ListEvents(ctx, &posternv1.ListEventsRequest{Parent: clinic, PageSize: 1000,
			Filter: &posternv1.EventFilter{Exclude: &posternv1.EventMatch{Types: []string{"log.searched"}}}}) // which the questions here leave
		if err != nil {
			return err
		}
		last = int64(len(events.GetEvents()))
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return last
}
