package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/simulate"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
	"github.com/postern-audit/postern/server/convert"
)

// simulations tells progress three times and then answers.
type simulations struct {
	asked []string
	fail  error
	each  func(ctx context.Context) // at each word of progress
}

func (s *simulations) scan(ctx context.Context, tell simulate.Tell) error {
	for done := range int64(3) {
		if s.each != nil {
			s.each(ctx)
		}
		if err := tell(done, 2); err != nil {
			return err
		}
	}
	return errors.Join(ctx.Err(), s.fail)
}

func (s *simulations) Simulate(ctx context.Context, in convert.Simulation, tell simulate.Tell) (*simulate.Result, error) {
	s.asked = append(s.asked, fmt.Sprintf("%s %q %q %s %s %v %d", in.Draft.Organization, in.Draft.Policy, in.Draft.Document, in.Start.Format(time.DateTime),
		in.End.Format(time.DateTime), in.Sites, in.Samples))
	if err := s.scan(ctx, tell); err != nil {
		return nil, err
	}
	some := simulate.People{Count: 70_000, Approximate: true}
	return &simulate.Result{Flows: 9, Undecided: 1, Unreadable: 2, Unchanged: 3, Changes: []simulate.Change{
		{Kind: simulate.Kind{Ending: audit.EndingSucceeded, WouldBe: "MFA_REQUIRED"}, Flows: 2, People: some, Samples: []string{"f-1"}},
		{Kind: simulate.Kind{Ending: audit.EndingDenied, Reason: "SSO_REQUIRED", Allowed: true, ClassChanges: true}, Flows: 1},
	}, Domains: []simulate.Count{{Key: "a.com", Flows: 3}}, Sites: []simulate.Count{{Key: "wiki", Flows: 3}}, Rules: []simulate.Count{{Flows: 2, People: some}},
		People: some, NeedsEnrolment: simulate.People{Count: 4}, Revision: 8}, nil
}

func (s *simulations) Impact(ctx context.Context, in convert.Impact, tell simulate.Tell) ([]simulate.RuleImpact, error) {
	s.asked = append(s.asked, fmt.Sprintf("%s %v %t %s %d", in.Organization, in.Rules, in.Start.IsZero(), in.End.Format(time.DateTime), in.Samples))
	if err := s.scan(ctx, tell); err != nil {
		return nil, err
	}
	return []simulate.RuleImpact{{Rule: &policy.Rule{ID: "r", Mode: policy.ModeReportOnly}, Since: time.Unix(60, 0), WouldDecide: 5, WouldDeny: 4,
		People: simulate.People{Count: 3}, NeedsEnrolment: simulate.People{Count: 2}, Samples: []string{"f-2"}}}, nil
}

func simulating(t *testing.T, s *simulations) posternv1.PolicyServiceClient {
	t.Helper()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, func(c *server.Config) { c.Query.Simulations, c.Now = s, func() time.Time { return now } })
	return posternv1.NewPolicyServiceClient(w.dial(t))
}

// received takes a stream to its end.
func received[M any](t *testing.T, receive func() (M, error)) (all []M, err error) {
	t.Helper()
	for {
		m, err := receive()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
}

func TestASimulationIsToldAsItGoesAndThenInFull(t *testing.T) {
	s := &simulations{}
	c := simulating(t, s)
	for name, x := range map[string]struct {
		r    *posternv1.SimulateRequest
		want string
	}{
		"nothing": {&posternv1.SimulateRequest{Name: "organizations/acme/policy"}, `acme "" "" 2026-10-21 12:00:00 2026-11-20 12:00:00 [] 10`},
		"a policy": {&posternv1.SimulateRequest{Name: "organizations/acme/policy", Draft: &posternv1.SimulateRequest_Policy{Policy: "rules: []"}, Sites: []string{"wiki"}, SampleSize: 3},
			`acme "rules: []" "" 2026-10-21 12:00:00 2026-11-20 12:00:00 [wiki] 3`},
		"a document": {&posternv1.SimulateRequest{Name: "organizations/acme/policy", Draft: &posternv1.SimulateRequest_OrganizationDocument{OrganizationDocument: "organization: acme"},
			StartTime: timestamppb.New(time.Unix(0, 0)), EndTime: timestamppb.New(time.Unix(60, 0)), SampleSize: 1 << 30},
			`acme "" "organization: acme" 1970-01-01 00:00:00 1970-01-01 00:01:00 [] 100`},
	} {
		s.asked = nil
		stream, err := c.Simulate(testContext(t), x.r)
		if err != nil {
			t.Fatal(err)
		}
		all, err := received(t, stream.Recv)
		if err != nil || len(all) != 4 || len(s.asked) != 1 || s.asked[0] != x.want {
			t.Fatalf("%s: %d messages, asked %q, %v", name, len(all), s.asked, err)
		}
		for i, m := range all[:3] {
			if m.GetProgress().GetDone() != int64(i) || m.GetProgress().GetTotal() != 2 || m.GetResult() != nil {
				t.Errorf("%v", m)
			}
		}
		r := all[3].GetResult()
		first, second := r.GetChanges()[0], r.GetChanges()[1]
		if r.GetFlows() != 9 || r.GetUndecided() != 1 || r.GetUnreadable() != 2 || r.GetUnchanged() != 3 || r.GetRevision() != 8 || r.GetNeedsEnrolment().GetCount() != 4 ||
			!r.GetPeople().GetApproximate() || r.GetDomains()[0].GetKey() != "a.com" || r.GetSites()[0].GetKey() != "wiki" || r.GetRules()[0].GetFlows() != 2 {
			t.Errorf("%v", r)
		}
		if first.GetVerdict() != posternv1.Verdict_VERDICT_DENY || first.GetWouldBeReason() != "MFA_REQUIRED" || first.GetSamples()[0] != "organizations/acme/flows/f-1" ||
			first.GetEnding() != posternv1.Ending_ENDING_SUCCEEDED || first.GetPeople().GetCount() != 70_000 {
			t.Errorf("%v", first)
		}
		if second.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW || !second.GetClassChanges() || second.GetReason() != "SSO_REQUIRED" {
			t.Errorf("%v", second)
		}
	}
}

func TestAnImpactIsToldAsItGoesAndThenInFull(t *testing.T) {
	s := &simulations{}
	c := simulating(t, s)
	stream, err := c.GetPolicyImpact(testContext(t), &posternv1.GetPolicyImpactRequest{Name: "organizations/acme/policy", Rules: []string{"r"}})
	if err != nil {
		t.Fatal(err)
	}
	all, err := received(t, stream.Recv)
	if err != nil || len(all) != 4 || s.asked[0] != "acme [r] true 2026-11-20 12:00:00 10" {
		t.Fatalf("%v, asked %q, %v", all, s.asked, err)
	}
	r := all[3].GetRules()[0]
	if r.GetRule() != "r" || r.GetMode() != posternv1.Mode_MODE_REPORT_ONLY || r.GetSince().GetSeconds() != 60 || r.GetWouldDecide() != 5 || r.GetWouldDeny() != 4 ||
		r.GetPeople().GetCount() != 3 || r.GetNeedsEnrolment().GetCount() != 2 || r.GetSamples()[0] != "organizations/acme/flows/f-2" {
		t.Errorf("%v", r)
	}
}

func TestSimulationsThatAreRefused(t *testing.T) {
	s := &simulations{}
	c := simulating(t, s)
	name, now := "organizations/acme/policy", timestamppb.New(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	for what, x := range map[string]struct {
		r      *posternv1.SimulateRequest
		code   string
		reason string
	}{
		"no name":            {&posternv1.SimulateRequest{}, "INVALID_ARGUMENT", "NAME_INVALID"},
		"no organization":    {&posternv1.SimulateRequest{Name: "organizations/nobody/policy"}, "NOT_FOUND", "ORGANIZATION_NOT_FOUND"},
		"an empty policy":    {&posternv1.SimulateRequest{Name: name, Draft: &posternv1.SimulateRequest_Policy{}}, "INVALID_ARGUMENT", "FIELD_REQUIRED"},
		"an empty document":  {&posternv1.SimulateRequest{Name: name, Draft: &posternv1.SimulateRequest_OrganizationDocument{}}, "INVALID_ARGUMENT", "FIELD_REQUIRED"},
		"an end before":      {&posternv1.SimulateRequest{Name: name, StartTime: now}, "INVALID_ARGUMENT", "FIELD_INVALID"},
		"a control in it":    {&posternv1.SimulateRequest{Name: name, Draft: &posternv1.SimulateRequest_Policy{Policy: "a\x00b"}}, "INVALID_ARGUMENT", "FIELD_INVALID"},
		"a site of no shape": {&posternv1.SimulateRequest{Name: name, Sites: []string{"Wiki"}}, "INVALID_ARGUMENT", "FIELD_INVALID"},
	} {
		stream, err := c.Simulate(testContext(t), x.r)
		if err == nil {
			_, err = stream.Recv()
		}
		t.Run(what, func(t *testing.T) { failed(t, err, x.code, x.reason) })
	}
	if len(s.asked) != 0 {
		t.Errorf("asked %q", s.asked)
	}
	s.fail = errs.New(errs.ResourceExhausted, simulate.ReasonBusy, "busy")
	stream, err := c.GetPolicyImpact(testContext(t), &posternv1.GetPolicyImpactRequest{Name: name})
	if err == nil {
		_, err = received(t, stream.Recv)
	}
	failed(t, err, "RESOURCE_EXHAUSTED", simulate.ReasonBusy)
	w := newWorld(t, nil)
	none, err := posternv1.NewPolicyServiceClient(w.dial(t)).Simulate(testContext(t), &posternv1.SimulateRequest{Name: name})
	if err == nil {
		_, err = none.Recv()
	}
	failed(t, err, "UNIMPLEMENTED", "METHOD_UNKNOWN_HERE")
}

func TestWhoeverGoesAwayEndsTheSimulation(t *testing.T) {
	gone := make(chan struct{})
	s := &simulations{}
	c := simulating(t, s)
	ctx, cancel := context.WithCancel(testContext(t))
	s.each = func(inner context.Context) {
		cancel()
		select {
		case <-inner.Done():
			close(gone)
		case <-testContext(t).Done():
		}
		s.each = nil
	}
	stream, err := c.Simulate(ctx, &posternv1.SimulateRequest{Name: "organizations/acme/policy"})
	if err == nil {
		_, err = received(t, stream.Recv)
	}
	if grpcstatus.Code(err) != codes.Canceled {
		t.Error(err)
	}
	select {
	case <-gone:
	case <-testContext(t).Done():
		t.Error("the simulation goes on for nobody")
	}
}
