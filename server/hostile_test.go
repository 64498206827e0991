package server_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/status"
)

const system = "organizations/system"

// TestHostileCallsChangeNothingAndAreRecorded plays calls that must be refused against a whole process: each has its documented
// code and reason, the flow stays as it was, and the refusal is in the archive of the organization it belongs to.
func TestHostileCallsChangeNothingAndAreRecorded(t *testing.T) {
	s := newSidecar(t)
	flow := s.start("start-1").GetFlow()
	before := s.flow(flow)
	inAcme, inSystem := s.refusals(acme), s.refusals(system)
	for name, tt := range s.hostileCalls(flow) {
		t.Run(name, func(t *testing.T) {
			err := tt.call()
			id := failed(t, err, status.CodeName(tt.code), tt.reason)
			where := inAcme
			if tt.system {
				where = inSystem
			}
			e := where.find(id)
			if d := e.GetDenial(); d.GetReason() != tt.reason || d.GetCode() != status.CodeName(tt.code) || d.GetCount() != 1 || !strings.HasPrefix(e.GetCaller(), "unix:") {
				t.Errorf("recorded as %v", e)
			}
			if e.GetPersonal() != nil && proto.Size(e.GetPersonal()) > 0 || e.GetFlow() != "" {
				t.Errorf("the refusal says who it was about: %v", e)
			}
			if after := s.flow(flow); !proto.Equal(before, after) {
				t.Errorf("the flow has changed from\n%v\nto\n%v", before, after)
			}
		})
	}
}

type hostileCall struct {
	call   func() error
	code   codes.Code
	reason string
	system bool // recorded there
}

func (s *sidecar) hostileCalls(flow string) map[string]hostileCall {
	start := func(change func(*posternv1.StartFlowRequest)) func() error {
		return func() error {
			r := &posternv1.StartFlowRequest{Parent: acme + "/sites/wiki", RequestId: "h-1"}
			change(r)
			_, err := s.signIn.StartFlow(s.ctx(), r)
			return err
		}
	}
	step := func(change func(*posternv1.ReportStepRequest)) func() error {
		return func() error {
			r := &posternv1.ReportStepRequest{Flow: flow, RequestId: "h-2", Step: &posternv1.StepReport{
				Type: "password.verified", Subject: &posternv1.Subject{AccountId: "a-1"}}}
			change(r)
			_, err := s.signIn.ReportStep(s.ctx(), r)
			return err
		}
	}
	finish := func(change func(*posternv1.FinishFlowRequest)) func() error {
		return func() error {
			r := &posternv1.FinishFlowRequest{Flow: flow, RequestId: "h-3", Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}}
			change(r)
			_, err := s.signIn.FinishFlow(s.ctx(), r)
			return err
		}
	}
	session := func(change func(*posternv1.RecordSessionRequest)) func() error {
		return func() error {
			r := &posternv1.RecordSessionRequest{
				Parent: acme + "/sites/wiki", RequestId: "h-4", Event: posternv1.RecordSessionRequest_EVENT_STARTED, Flow: flow, SessionHandle: make([]byte, 32),
			}
			change(r)
			_, err := s.signIn.RecordSession(s.ctx(), r)
			return err
		}
	}
	apply := func(change func(*posternv1.ApplyOrganizationRequest)) func() error {
		return func() error {
			r := &posternv1.ApplyOrganizationRequest{Name: acme, RequestId: "h-5", Document: acmeDocument}
			change(r)
			_, err := s.dir.ApplyOrganization(s.ctx(), r)
			return err
		}
	}
	long := strings.Repeat("x", 600)
	const missing = "organizations/acme/flows/019365a0-0000-7000-8000-000000000001"
	invalid := codes.InvalidArgument
	return map[string]hostileCall{
		"start: unknown organization": {start(func(r *posternv1.StartFlowRequest) { r.Parent = "organizations/nobody/sites/wiki" }), codes.NotFound, "ORGANIZATION_NOT_FOUND", true},
		"start: unknown site":         {start(func(r *posternv1.StartFlowRequest) { r.Parent = acme + "/sites/nothing" }), codes.NotFound, "SITE_NOT_FOUND", false},
		"start: malformed parent":     {start(func(r *posternv1.StartFlowRequest) { r.Parent = "acme/wiki" }), invalid, "NAME_INVALID", true},
		"start: no request id":        {start(func(r *posternv1.StartFlowRequest) { r.RequestId = "" }), invalid, "FIELD_REQUIRED", false},
		"start: oversized agent":      {start(func(r *posternv1.StartFlowRequest) { r.Context = &posternv1.Context{UserAgent: long} }), invalid, "FIELD_INVALID", false},
		"start: NUL in the address":   {start(func(r *posternv1.StartFlowRequest) { r.Subject = &posternv1.Subject{Email: "a\x00@b.com"} }), invalid, "FIELD_INVALID", false},
		"start: unknown client":       {start(func(r *posternv1.StartFlowRequest) { r.Context = &posternv1.Context{Client: 99} }), invalid, "FIELD_INVALID", false},
		"start: lives a day":          {start(func(r *posternv1.StartFlowRequest) { r.Lifetime = durationpb.New(24 * time.Hour) }), invalid, "FIELD_INVALID", false},
		"start: lives a second":       {start(func(r *posternv1.StartFlowRequest) { r.Lifetime = durationpb.New(time.Second) }), invalid, "LIFETIME_INVALID", false},
		"start: began tomorrow":       {start(func(r *posternv1.StartFlowRequest) { r.OccurredAt = timestamppb.New(time.Now().Add(24 * time.Hour)) }), invalid, "OCCURRED_AT_AHEAD", false},
		"start: began last year": {start(func(r *posternv1.StartFlowRequest) {
			r.OccurredAt = timestamppb.New(time.Now().Add(-365 * 24 * time.Hour))
		}), invalid, "OCCURRED_AT_TOO_OLD", false},
		"start: id of another request": {start(func(r *posternv1.StartFlowRequest) { r.RequestId = "start-1" }), codes.AlreadyExists, "REQUEST_ID_REUSED", false},
		"step: unknown flow":           {step(func(r *posternv1.ReportStepRequest) { r.Flow = missing }), codes.NotFound, "FLOW_NOT_FOUND", true},
		"step: unknown organization":   {step(func(r *posternv1.ReportStepRequest) { r.Flow = strings.Replace(flow, "acme", "nobody", 1) }), codes.NotFound, "ORGANIZATION_NOT_FOUND", true},
		"step: malformed flow":         {step(func(r *posternv1.ReportStepRequest) { r.Flow = acme + "/flows/1" }), invalid, "FLOW_ID_INVALID", true},
		"step: none":                   {step(func(r *posternv1.ReportStepRequest) { r.Step = nil }), invalid, "FIELD_REQUIRED", false},
		"step: unknown type":           {step(func(r *posternv1.ReportStepRequest) { r.Step.Type = "password.guessed" }), invalid, "STEP_TYPE_UNKNOWN", false},
		"step: type of ours":           {step(func(r *posternv1.ReportStepRequest) { r.Step.Type = "sign_in.succeeded" }), invalid, "STEP_TYPE_UNKNOWN", false},
		"step: nobody proven":          {step(func(r *posternv1.ReportStepRequest) { r.Step.Subject = nil }), invalid, "ACCOUNT_ID_REQUIRED", false},
		"step: reason out of place":    {step(func(r *posternv1.ReportStepRequest) { r.Step.Reason = "BAD_CREDENTIALS" }), invalid, "REASON_INVALID", false},
		"step: no reason":              {step(func(r *posternv1.ReportStepRequest) { r.Step.Type = "password.rejected" }), invalid, "REASON_INVALID", false},
		"step: method out of place":    {step(func(r *posternv1.ReportStepRequest) { r.Step.Method = "passkey" }), invalid, "METHOD_INVALID", false},
		"step: sso without connection": {step(func(r *posternv1.ReportStepRequest) { r.Step.Type = "sso.verified" }), invalid, "CONNECTION_REQUIRED", false},
		"step: unknown connection":     {step(func(r *posternv1.ReportStepRequest) { r.Step.Type, r.Step.Connection = "sso.verified", "nothing" }), invalid, "CONNECTION_UNKNOWN", false},
		"step: factor before a person": {step(func(r *posternv1.ReportStepRequest) {
			r.Step = &posternv1.StepReport{Type: "mfa.verified", Factor: "TOTP"}
		}), codes.FailedPrecondition, "NOT_BOUND", false},
		"step: before the start":      {step(func(r *posternv1.ReportStepRequest) { r.Step.OccurredAt = timestamppb.New(time.Now().Add(-time.Hour)) }), invalid, "OCCURRED_AT_ORDER", false},
		"finish: no action":           {finish(func(r *posternv1.FinishFlowRequest) { r.Finish.Action = 0 }), invalid, "FIELD_REQUIRED", false},
		"finish: unknown action":      {finish(func(r *posternv1.FinishFlowRequest) { r.Finish.Action = 9 }), invalid, "FIELD_INVALID", false},
		"finish: refused for nothing": {finish(func(r *posternv1.FinishFlowRequest) { r.Finish.Action = posternv1.Finish_ACTION_REFUSE }), invalid, "REASON_INVALID", false},
		"finish: unknown flow":        {finish(func(r *posternv1.FinishFlowRequest) { r.Flow = missing }), codes.NotFound, "FLOW_NOT_FOUND", true},
		"session: short handle":       {session(func(r *posternv1.RecordSessionRequest) { r.SessionHandle = []byte("short") }), invalid, "FIELD_INVALID", false},
		"session: unknown site":       {session(func(r *posternv1.RecordSessionRequest) { r.Parent = acme + "/sites/nothing" }), codes.NotFound, "SITE_NOT_FOUND", false},
		"session: another site":       {session(func(r *posternv1.RecordSessionRequest) { r.Parent = acme + "/sites/closed" }), invalid, "SESSION_FLOW_INVALID", false},
		"session: none to end": {session(func(r *posternv1.RecordSessionRequest) {
			r.Event, r.Flow = posternv1.RecordSessionRequest_EVENT_ENDED, ""
		}), codes.NotFound, "SESSION_NOT_FOUND", false},
		"apply: reserved":         {apply(func(r *posternv1.ApplyOrganizationRequest) { r.Name = system }), codes.PermissionDenied, "ORGANIZATION_RESERVED", true},
		"apply: not a document":   {apply(func(r *posternv1.ApplyOrganizationRequest) { r.Document = "{[" }), invalid, "DOCUMENT_INVALID", false},
		"apply: unknown key":      {apply(func(r *posternv1.ApplyOrganizationRequest) { r.Document += "\nsurprise: 1\n" }), invalid, "DOCUMENT_INVALID", false},
		"apply: without the etag": {apply(func(*posternv1.ApplyOrganizationRequest) {}), invalid, "ETAG_REQUIRED", false},
		"get: unknown organization": {func() error {
			_, err := s.dir.GetOrganization(s.ctx(), &posternv1.GetOrganizationRequest{Name: "organizations/nobody"})
			return err
		}, codes.NotFound, "ORGANIZATION_NOT_FOUND", true},
		"event: unknown": {func() error {
			_, err := s.events.GetEvent(s.ctx(), &posternv1.GetEventRequest{Name: acme + "/events/019365a0-0000-7000-8000-000000000001"})
			return err
		}, codes.NotFound, "EVENT_NOT_FOUND", false},
		"events: negative page": {func() error {
			_, err := s.events.ListEvents(s.ctx(), &posternv1.ListEventsRequest{Parent: acme, PageSize: -1})
			return err
		}, invalid, "FIELD_INVALID", false},
		"explain: unknown site": {func() error {
			_, err := s.explain.Explain(s.ctx(), &posternv1.ExplainRequest{Site: acme + "/sites/nothing"})
			return err
		}, codes.NotFound, "SITE_NOT_FOUND", false},
	}
}

// TestCallsInTheWrongOrder plays repeated and reordered calls, and calls on a flow that has ended.
func TestCallsInTheWrongOrder(t *testing.T) {
	s := newSidecar(t)
	first := s.start("o-1")
	if again := s.start("o-1"); !again.GetRepeatedAnswer() || again.GetFlow() != first.GetFlow() || again.GetStep() != first.GetStep() {
		t.Errorf("the same start again: %v", again)
	}
	step := &posternv1.ReportStepRequest{Flow: first.GetFlow(), RequestId: "o-2", Step: &posternv1.StepReport{
		Type: "password.verified", Subject: &posternv1.Subject{AccountId: "a-1"}}}
	verified, err := s.signIn.ReportStep(s.ctx(), step)
	if err != nil || verified.GetStep() != 2 || verified.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
		t.Fatal(verified, err)
	}
	again, err := s.signIn.ReportStep(s.ctx(), step)
	if err != nil || again.GetStep() != 2 || !again.GetRepeatedAnswer() {
		t.Errorf("the same step again: %v, %v", again, err)
	}
	done, err := s.signIn.FinishFlow(s.ctx(), &posternv1.FinishFlowRequest{Flow: first.GetFlow(), RequestId: "o-3", Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}})
	if err != nil || done.GetEnding() != posternv1.Ending_ENDING_SUCCEEDED {
		t.Fatal(done, err)
	}
	before := s.flow(first.GetFlow())
	inAcme := s.refusals(acme)
	late := proto.Clone(step).(*posternv1.ReportStepRequest)
	late.RequestId = "o-4"
	_, err = s.signIn.ReportStep(s.ctx(), late)
	inAcme.find(failed(t, err, "FAILED_PRECONDITION", "FLOW_ENDED"))
	step.Step.Subject.AccountId = "a-2"
	_, err = s.signIn.ReportStep(s.ctx(), step)
	inAcme.find(failed(t, err, "ALREADY_EXISTS", "REQUEST_ID_REUSED"))
	after := s.flow(first.GetFlow())
	before.Archived, after.Archived, before.Deadline, after.Deadline = false, false, nil, nil // it may have moved meanwhile
	if len(before.GetSteps()) != len(after.GetSteps()) || before.GetEnding() != after.GetEnding() || len(after.GetSteps()) != 3 {
		t.Errorf("the flow has changed from\n%v\nto\n%v", before, after)
	}
}

// TestWhatIsTypedIntoTheAddressFieldIsNowhere types a password where an address belongs and looks for it everywhere.
func TestWhatIsTypedIntoTheAddressFieldIsNowhere(t *testing.T) {
	s := newSidecar(t)
	const typed = "Tr0ub4dor&3-hunter2"
	a, err := s.signIn.StartFlow(s.ctx(), &posternv1.StartFlowRequest{
		Parent: acme + "/sites/wiki", RequestId: "t-1", Subject: &posternv1.Subject{Email: typed},
		Steps: []*posternv1.StepReport{{Type: "password.rejected", Reason: "USER_NOT_FOUND", Subject: &posternv1.Subject{Email: typed}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.signIn.StartFlow(s.ctx(), &posternv1.StartFlowRequest{Parent: acme + "/sites/nothing", RequestId: "t-2", Subject: &posternv1.Subject{Email: typed}})
	failed(t, err, "NOT_FOUND", "SITE_NOT_FOUND")
	if _, err := s.signIn.FinishFlow(s.ctx(), &posternv1.FinishFlowRequest{Flow: a.GetFlow(), RequestId: "t-3", Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_CANCEL}}); err != nil {
		t.Fatal(err)
	}
	flow := s.flow(a.GetFlow())
	if strings.Contains(flow.String(), typed) || strings.Contains(a.String(), typed) || strings.Contains(s.log.String(), typed) {
		t.Errorf("the typed text is in an answer or the log: %v", flow)
	}
	if len(flow.GetSteps()) == 0 || flow.GetSteps()[0].GetIdentifierHash() == "" {
		t.Errorf("no keyed hash of it either: %v", flow)
	}
	for name, content := range s.files() {
		if bytes.Contains(content, []byte(typed)) {
			t.Errorf("the typed text is in %s", name)
		}
	}
}

// TestPersonalFieldsAreSealedOnDisk looks for a guest's address in everything the process keeps.
func TestPersonalFieldsAreSealedOnDisk(t *testing.T) {
	s := newSidecar(t)
	flow := s.start("p-1").GetFlow()
	if _, err := s.signIn.FinishFlow(s.ctx(), &posternv1.FinishFlowRequest{Flow: flow, RequestId: "p-2", Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_CANCEL}}); err != nil {
		t.Fatal(err)
	}
	stream, err := s.events.WatchEvents(s.ctx(), &posternv1.WatchEventsRequest{Parent: acme, Filter: &posternv1.EventFilter{
		Include: &posternv1.EventMatch{Types: []string{"sign_in.started"}, Emails: []string{"guest@partner-postern-demo.com"}}}})
	if err != nil {
		t.Fatal(err)
	}
	var found *posternv1.Event
	for found == nil { // archived by then
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		found = m.GetEvent()
	}
	if found.GetPersonal().GetTypedAddress() != "guest@partner-postern-demo.com" {
		t.Errorf("opened as %v", found.GetPersonal())
	}
	for name, content := range s.files() {
		if bytes.Contains(content, []byte("guest@partner")) || bytes.Contains(content, []byte("partner-postern-demo.com")) {
			t.Errorf("the guest's address is in %s", name)
		}
	}
}
