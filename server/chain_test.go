package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/interceptor"
)

func TestACallOfTheSocketsOwnerIsServedAsItsUser(t *testing.T) {
	w := newWorld(t, nil)
	answer, err := posternv1.NewSignInServiceClient(w.dial(t)).ReportStep(testContext(t), stepRequest())
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetFlow() != "organizations/acme/flows/"+flowID || answer.GetVerdict() != posternv1.Verdict_VERDICT_CONTINUE {
		t.Errorf("got %v", answer)
	}
	if len(w.flows.calls) != 1 || !strings.HasPrefix(w.flows.calls[0].Principal, "unix:") {
		t.Errorf("callers %v", w.flows.calls)
	}
	if refusals := w.outbox.take(); len(refusals) != 0 {
		t.Errorf("refusals %v", refusals)
	}
}

func TestAnotherUserIsRefusedAndRecordedInSystem(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.UIDs = []uint32{4_000_000} })
	_, err := posternv1.NewSignInServiceClient(w.dial(t)).ReportStep(testContext(t), stepRequest())
	id := failed(t, err, "PERMISSION_DENIED", "PERMISSION_DENIED")
	e := w.one(t)
	if e.OrganizationUID != audit.SystemUID || !strings.HasPrefix(e.Caller, "unix:") || e.Denial.CallID != id || e.Denial.Count != 1 {
		t.Errorf("got %+v", e)
	}
	if len(w.flows.calls) != 0 {
		t.Error("the handler was reached")
	}
}

func TestWhoMayNotCallLearnsNothingAboutTheRequest(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.UIDs = []uint32{4_000_000} })
	conn := w.dial(t, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	err := conn.Invoke(testContext(t), "/postern.v1.SignInService/StartFlow", []byte{0xff}, &[]byte{})
	failed(t, err, "PERMISSION_DENIED", "PERMISSION_DENIED")
	w.one(t)
}

func TestEachListenerProvesItsOwnKindOfCaller(t *testing.T) {
	w := &world{outbox: newOutbox(), flows: newFlows(), archive: &archive{}, factors: &factors{}, log: &syncBuffer{}, served: make(chan error, 1)}
	var err error
	if w.server, err = server.New(w.config()); err != nil {
		t.Fatal(err)
	}
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	open, wrong := listen(), listen()
	go func() { w.served <- w.server.Serve(server.Listeners{Open: open, Socket: wrong}) }()
	t.Cleanup(func() { w.stop(t) })
	call := func(l net.Listener) error {
		conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, err = posternv1.NewSignInServiceClient(conn).ReportStep(testContext(t), stepRequest())
		return err
	}
	if err := call(open); err != nil || w.flows.calls[0].Principal != "tcp:open" {
		t.Errorf("open listener: %v, %v", err, w.flows.calls)
	}
	if err := call(wrong); grpcstatus.Code(err) != codes.Unavailable || len(w.flows.calls) != 1 {
		t.Errorf("a TCP connection on the listener for sockets: %v", err)
	}
}

func TestMetadataCannotClaimAnIdentity(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.UIDs = []uint32{4_000_000} })
	ctx := metadata.AppendToOutgoingContext(testContext(t), interceptor.PrincipalKey, interceptor.PrincipalKeyLocal, "authorization", "Bearer x")
	_, err := posternv1.NewSignInServiceClient(w.dial(t)).ReportStep(ctx, stepRequest())
	failed(t, err, "PERMISSION_DENIED", "PERMISSION_DENIED")
	if e := w.one(t); !strings.HasPrefix(e.Caller, "unix:") {
		t.Errorf("recorded as %q", e.Caller)
	}
	// An allowed peer stays itself whatever it says.
	w = newWorld(t, nil)
	if _, err := posternv1.NewSignInServiceClient(w.dial(t)).ReportStep(ctx, stepRequest()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(w.flows.calls[0].Principal, "unix:") {
		t.Errorf("callers %v", w.flows.calls)
	}
}

func TestRefusalsAreRecordedWhereTheyBelong(t *testing.T) {
	w := newWorld(t, nil)
	const archived = "019365a0-0000-7000-8000-00000000000a"
	w.archive.rows = append(w.archive.rows, audit.FlowRow{ID: archived, OrganizationUID: acmeUID})
	client := posternv1.NewSignInServiceClient(w.dial(t))
	start := func(parent string) error {
		_, err := client.StartFlow(testContext(t), &posternv1.StartFlowRequest{Parent: parent})
		return err
	}
	step := func(flow string) error {
		r := stepRequest()
		r.Flow, r.RequestId = flow, ""
		_, err := client.ReportStep(testContext(t), r)
		return err
	}
	for name, tt := range map[string]struct {
		err error
		uid string
	}{
		"a known organization":       {start("organizations/acme/sites/wiki"), acmeUID},
		"an unknown organization":    {start("organizations/other/sites/wiki"), audit.SystemUID},
		"no organization":            {start("nonsense"), audit.SystemUID},
		"a recorded flow":            {step("organizations/acme/flows/" + flowID), acmeUID},
		"a flow in the archive":      {step("organizations/acme/flows/" + archived), acmeUID},
		"a flow that is not on file": {step("organizations/acme/flows/" + hidden), audit.SystemUID},
		"a flow nobody knows":        {step("organizations/acme/flows/019365a0-0000-7000-8000-000000000009"), audit.SystemUID},
	} {
		if tt.err == nil {
			t.Fatalf("%s: not refused", name)
		}
		found := false
		for _, e := range w.outbox.events {
			if _, id := reasonOf(tt.err); e.Denial.CallID == id {
				found = true
				if e.OrganizationUID != tt.uid || e.Flow != "" || e.Personal.Email != "" {
					t.Errorf("%s: recorded as %+v", name, e)
				}
			}
		}
		if !found {
			t.Errorf("%s: not recorded", name)
		}
	}
}

func TestAPanicIsOneFailedCall(t *testing.T) {
	w := newWorld(t, nil)
	w.flows.step = func(context.Context, authflow.StepInput) (authflow.Answer, error) {
		panic("the password was hunter2")
	}
	client := posternv1.NewSignInServiceClient(w.dial(t))
	_, err := client.ReportStep(testContext(t), stepRequest())
	id := failed(t, err, "INTERNAL", "INTERNAL")
	if e := w.one(t); e.Denial.Reason != "PANIC" || e.Denial.Code != "INTERNAL" || e.Denial.CallID != id || e.OrganizationUID != acmeUID {
		t.Errorf("recorded as %+v", e.Denial)
	}
	log := w.log.String()
	if strings.Contains(log, "hunter2") || strings.Contains(err.Error(), "hunter2") || !strings.Contains(log, id) || !strings.Contains(log, "chain_test.go") {
		t.Errorf("log: %s", log)
	}
	w.flows.mu.Lock()
	w.flows.step = nil
	w.flows.mu.Unlock()
	if _, err := client.ReportStep(testContext(t), stepRequest()); err != nil {
		t.Errorf("after a panic: %v", err)
	}
}

func TestADriversTextStaysInTheLog(t *testing.T) {
	w := newWorld(t, nil)
	w.flows.step = func(context.Context, authflow.StepInput) (authflow.Answer, error) {
		return authflow.Answer{}, fmt.Errorf("redis: %w", errors.New("WRONGTYPE of key postern:{07}"))
	}
	_, err := posternv1.NewSignInServiceClient(w.dial(t)).ReportStep(testContext(t), stepRequest())
	failed(t, err, "INTERNAL", "INTERNAL")
	if strings.Contains(grpcstatus.Convert(err).Proto().String(), "WRONGTYPE") || strings.Count(w.log.String(), "WRONGTYPE") != 1 {
		t.Errorf("%v; log %s", err, w.log.String())
	}
}

func TestAChangeWhoseRefusalCannotBeRecordedIsNotRecorded(t *testing.T) {
	w := newWorld(t, nil)
	w.outbox.setFail(errs.New(errs.Unavailable, "NOT_RECORDED", "away"))
	conn := w.dial(t)
	_, err := posternv1.NewSignInServiceClient(conn).StartFlow(testContext(t), &posternv1.StartFlowRequest{})
	failed(t, err, "UNAVAILABLE", "NOT_RECORDED")
	_, err = posternv1.NewFlowServiceClient(conn).GetFlow(testContext(t), &posternv1.GetFlowRequest{Name: "x"})
	failed(t, err, "INVALID_ARGUMENT", "NAME_INVALID") // a read says what is wrong all the same
	w.outbox.setFail(nil)
	w.stop(t) // what could not be written is written now
	events := w.outbox.take()
	if len(events) != 2 {
		t.Errorf("%d refusals recorded in the end, want 2: %+v", len(events), events)
	}
}

func TestAnUnknownOutcomeIsNotReplaced(t *testing.T) {
	w := newWorld(t, nil)
	w.outbox.setFail(errors.New("away"))
	w.flows.step = func(context.Context, authflow.StepInput) (authflow.Answer, error) {
		return authflow.Answer{}, errs.New(errs.Unavailable, "OUTCOME_UNKNOWN", "the answer never came")
	}
	_, err := posternv1.NewSignInServiceClient(w.dial(t)).ReportStep(testContext(t), stepRequest())
	failed(t, err, "UNAVAILABLE", "OUTCOME_UNKNOWN")
	w.outbox.setFail(nil)
	w.stop(t)
	if e := w.one(t); e.Denial.Reason != "OUTCOME_UNKNOWN" || e.OrganizationUID != audit.SystemUID {
		t.Errorf("recorded as %+v", e)
	}
}

func TestACallWithoutDeadlineGetsOne(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.CallTimeout = 50 * time.Millisecond })
	w.flows.step = func(ctx context.Context, _ authflow.StepInput) (authflow.Answer, error) {
		<-ctx.Done()
		return authflow.Answer{}, ctx.Err()
	}
	_, err := posternv1.NewSignInServiceClient(w.dial(t)).ReportStep(context.Background(), stepRequest())
	failed(t, err, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
}

func TestWhatItsCallerCancelsIsNoRefusal(t *testing.T) {
	w := newWorld(t, nil)
	entered, left := make(chan struct{}), make(chan struct{})
	w.flows.step = func(ctx context.Context, _ authflow.StepInput) (authflow.Answer, error) {
		close(entered)
		<-ctx.Done()
		close(left)
		return authflow.Answer{}, ctx.Err()
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-entered; cancel() }()
	if _, err := posternv1.NewSignInServiceClient(w.dial(t)).ReportStep(ctx, stepRequest()); grpcstatus.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	<-left
	w.stop(t)
	if events := w.outbox.take(); len(events) != 0 {
		t.Errorf("recorded %+v", events)
	}
}

func TestTooManyCallsAtOnceAreRefused(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.MaxCalls = 1 })
	entered, leave := make(chan struct{}), make(chan struct{})
	w.flows.step = func(context.Context, authflow.StepInput) (authflow.Answer, error) {
		close(entered)
		<-leave
		return w.flows.answer(authflow.Caller{})
	}
	client := posternv1.NewSignInServiceClient(w.dial(t))
	first := make(chan error, 1)
	go func() {
		_, err := client.ReportStep(context.Background(), stepRequest())
		first <- err
	}()
	<-entered
	_, err := client.StartFlow(testContext(t), &posternv1.StartFlowRequest{})
	failed(t, err, "RESOURCE_EXHAUSTED", "OVERLOADED")
	if !strings.Contains(fmt.Sprint(grpcstatus.Convert(err).Details()), "retry_delay") {
		t.Errorf("no RetryInfo in %v", err)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Error(err)
	}
	w.one(t)
}

func TestRequestsNobodyCanReadAreRefusedAndRecorded(t *testing.T) {
	w := newWorld(t, nil)
	conn := w.dial(t, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	long := func(n int) []byte {
		b, err := proto.Marshal(&posternv1.StartFlowRequest{Parent: strings.Repeat("a", n)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const start = "/postern.v1.SignInService/StartFlow"
	for name, tt := range map[string]struct {
		method, code, reason, recorded string
		body                           []byte
	}{
		"not protobuf":     {start, "INVALID_ARGUMENT", "REQUEST_MALFORMED", "REQUEST_MALFORMED", []byte{0xff, 0xff}},
		"not UTF-8":        {start, "INVALID_ARGUMENT", "REQUEST_MALFORMED", "REQUEST_MALFORMED", []byte{10, 2, 0xff, 0xfe}},
		"empty":            {start, "INVALID_ARGUMENT", "FIELD_REQUIRED", "FIELD_REQUIRED", nil},
		"300 KiB":          {start, "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE", "MESSAGE_TOO_LARGE", long(300 << 10)},
		"2 MiB":            {start, "RESOURCE_EXHAUSTED", "", "MESSAGE_TOO_LARGE", long(2 << 20)},
		"unknown method":   {"/postern.v1.SignInService/Nothing", "UNIMPLEMENTED", "METHOD_UNKNOWN_HERE", "METHOD_UNKNOWN_HERE", nil},
		"unknown service":  {"/other.Service/StartFlow", "UNIMPLEMENTED", "METHOD_UNKNOWN_HERE", "METHOD_UNKNOWN_HERE", nil},
		"another spelling": {"//postern.v1.SignInService/StartFlow", "UNIMPLEMENTED", "METHOD_UNKNOWN_HERE", "METHOD_UNKNOWN_HERE", nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := conn.Invoke(testContext(t), tt.method, tt.body, &[]byte{})
			failed(t, err, tt.code, tt.reason)
			e := w.soon(t)
			if e.Denial.Reason != tt.recorded || e.Denial.Code != tt.code {
				t.Errorf("recorded as %+v", e.Denial)
			}
			if tt.code == "UNIMPLEMENTED" && e.Denial.Method != interceptor.UnknownMethod {
				t.Errorf("the caller's text is on the record: %q", e.Denial.Method)
			}
		})
	}
	if len(w.flows.calls) != 0 {
		t.Error("a handler was reached")
	}
}

func TestADocumentOfOneMiBPasses(t *testing.T) {
	w, got := newWorld(t, nil), 0
	w.applied = func(in convert.Apply) (server.Applied, error) { got = len(in.Document); return server.Applied{}, nil }
	_, err := posternv1.NewDirectoryServiceClient(w.dial(t)).ApplyOrganization(testContext(t), &posternv1.ApplyOrganizationRequest{
		Name: "organizations/acme", RequestId: "r", Document: strings.Repeat("#", 1<<20),
	})
	if err != nil || got != 1<<20 {
		t.Errorf("%d bytes, %v", got, err)
	}
}
