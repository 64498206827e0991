package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
)

const acme = "organizations/acme"

func TestPagesOfEventsJoinWithoutGapOrRepeat(t *testing.T) {
	w := newWorld(t, nil)
	for range 25 {
		w.archive.add(audit.TypePasswordVerified)
	}
	client := posternv1.NewEventServiceClient(w.dial(t))
	for order, first := range map[posternv1.ListEventsRequest_Order]int64{
		posternv1.ListEventsRequest_ORDER_OLDEST_FIRST: 1, posternv1.ListEventsRequest_ORDER_UNSPECIFIED: 25,
	} {
		r := &posternv1.ListEventsRequest{Parent: acme, PageSize: 10, Order: order}
		var got []int64
		for {
			page, err := client.ListEvents(testContext(t), r)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.GetEvents() {
				got = append(got, e.GetSequence())
			}
			if page.GetArchivedUntil().AsTime() != time.Unix(50, 0).UTC() {
				t.Errorf("archived until %v", page.GetArchivedUntil())
			}
			if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
				break
			}
		}
		if len(got) != 25 || got[0] != first || got[0]+got[24] != 26 {
			t.Errorf("%v: %v", order, got)
		}
	}
}

func TestAPageTokenIsGoodForItsQueryOnly(t *testing.T) {
	w := newWorld(t, nil)
	w.archive.add(audit.TypePasswordVerified, audit.TypePasswordVerified)
	client := posternv1.NewEventServiceClient(w.dial(t))
	page, err := client.ListEvents(testContext(t), &posternv1.ListEventsRequest{Parent: acme, PageSize: 1})
	if err != nil || page.GetNextPageToken() == "" {
		t.Fatal(page, err)
	}
	for name, r := range map[string]*posternv1.ListEventsRequest{
		"other order":        {Order: posternv1.ListEventsRequest_ORDER_OLDEST_FIRST},
		"other filter":       {Filter: &posternv1.EventFilter{StartTime: timestamppb.New(time.Unix(1, 0))}},
		"empty filter":       {Filter: &posternv1.EventFilter{Include: &posternv1.EventMatch{}}},
		"other organization": {Parent: "organizations/system"},
	} {
		if r.Parent == "" {
			r.Parent = acme
		}
		r.PageToken = page.GetNextPageToken()
		_, err := client.ListEvents(testContext(t), r)
		if reason, _ := reasonOf(err); reason != "TOKEN_INVALID" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = posternv1.NewFlowServiceClient(w.dial(t)).ListFlows(testContext(t), &posternv1.ListFlowsRequest{Parent: acme, PageToken: page.GetNextPageToken()})
	failed(t, err, "INVALID_ARGUMENT", "TOKEN_INVALID")
	if _, err = client.ListEvents(testContext(t), &posternv1.ListEventsRequest{Parent: acme, PageSize: 7, PageToken: page.GetNextPageToken()}); err != nil {
		t.Errorf("another page size: %v", err)
	}
}

func TestPagesOfFlowsAndOrganizations(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 5 {
		w.archive.rows = append(w.archive.rows, audit.FlowRow{
			ID: fmt.Sprintf("f-%d", 9-i), Organization: "acme", OrganizationUID: acmeUID, Started: time.Unix(int64(100-i), 5),
		})
	}
	conn := w.dial(t)
	r := &posternv1.ListFlowsRequest{Parent: acme, PageSize: 2}
	var ids []string
	for {
		page, err := posternv1.NewFlowServiceClient(conn).ListFlows(testContext(t), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.GetFlows() {
			ids = append(ids, f.GetId())
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
	}
	if got := strings.Join(ids, " "); got != "f-9 f-8 f-7 f-6 f-5" {
		t.Errorf("flows %s", got)
	}
	o := &posternv1.ListOrganizationsRequest{PageSize: 2}
	var names []string
	for {
		page, err := posternv1.NewDirectoryServiceClient(conn).ListOrganizations(testContext(t), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page.GetOrganizations() {
			names = append(names, x.GetName())
		}
		if o.PageToken = page.GetNextPageToken(); o.PageToken == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "organizations/acme organizations/beta organizations/gamma" {
		t.Errorf("organizations %s", got)
	}
}

func TestAFlowIsFoundLiveArchivedOrLiveAgain(t *testing.T) {
	w := newWorld(t, nil)
	client := posternv1.NewFlowServiceClient(w.dial(t))
	get := func(id string) (*posternv1.Flow, error) {
		return client.GetFlow(testContext(t), &posternv1.GetFlowRequest{Name: acme + "/flows/" + id})
	}
	if f, err := get(flowID); err != nil || f.GetArchived() || f.GetPhase() != posternv1.Phase_PHASE_OPEN {
		t.Errorf("live: %v, %v", f, err)
	}
	const old = "019365a0-0000-7000-8000-00000000000a"
	w.archive.rows = []audit.FlowRow{{ID: old, Organization: "acme", Ending: audit.EndingDenied}}
	if f, err := get(old); err != nil || !f.GetArchived() || f.GetPhase() != posternv1.Phase_PHASE_ENDED {
		t.Errorf("archived: %v, %v", f, err)
	}
	_, err := get("019365a0-0000-7000-8000-00000000000b")
	failed(t, err, "NOT_FOUND", "FLOW_NOT_FOUND")
	w.archive.setAway(errs.New(errs.Unavailable, "ARCHIVE_UNAVAILABLE", "away"))
	_, err = get(old)
	failed(t, err, "UNAVAILABLE", "ARCHIVE_UNAVAILABLE")
	if f, err := get(flowID); err != nil || f.GetArchived() {
		t.Errorf("live without an archive: %v, %v", f, err)
	}
}

func TestWatchFlowSendsEveryChangeAndEndsWithTheFlow(t *testing.T) {
	w := newWorld(t, nil)
	stream, err := posternv1.NewFlowServiceClient(w.dial(t)).WatchFlow(testContext(t), &posternv1.WatchFlowRequest{Name: acme + "/flows/" + flowID})
	if err != nil {
		t.Fatal(err)
	}
	if f, err := stream.Recv(); err != nil || f.GetPhase() != posternv1.Phase_PHASE_OPEN {
		t.Fatal(f, err)
	}
	parsed, err := authflow.ParseFlowID(flowID)
	if err != nil {
		t.Fatal(err)
	}
	w.flows.set(flowID, &authflow.Loaded{Stamp: policy.Stamp{2}, State: &authflow.State{ID: parsed, Organization: "acme", Phase: authflow.PhaseEnded}})
	if f, err := stream.Recv(); err != nil || f.GetPhase() != posternv1.Phase_PHASE_ENDED {
		t.Fatal(f, err)
	}
	if _, err := stream.Recv(); err == nil || err.Error() != "EOF" {
		t.Errorf("after the end: %v", err)
	}
}

func TestExplainAndTheCatalogue(t *testing.T) {
	w := newWorld(t, nil)
	conn := w.dial(t)
	answer, err := posternv1.NewPolicyServiceClient(conn).Explain(testContext(t), &posternv1.ExplainRequest{Site: acme + "/sites/wiki", Email: "Guest@Partner.com"})
	if err != nil || answer.GetAddress() != "Guest@partner.com" {
		t.Errorf("%v, %v", answer, err)
	}
	_, err = posternv1.NewPolicyServiceClient(conn).Explain(testContext(t), &posternv1.ExplainRequest{Site: acme + "/sites/other"})
	failed(t, err, "NOT_FOUND", "SITE_NOT_FOUND")
	types, err := posternv1.NewEventServiceClient(conn).ListEventTypes(testContext(t), &posternv1.ListEventTypesRequest{})
	if err != nil || len(types.GetEventTypes()) != len(audit.Types()) {
		t.Errorf("%d types, %v", len(types.GetEventTypes()), err)
	}
}

func TestHealthSaysWhatItWasTold(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.UIDs = nil }) // a probe needs no rights
	client := healthv1.NewHealthClient(w.dial(t))
	for _, ok := range []bool{true, false} {
		w.server.SetServing(ok)
		for _, name := range []string{"", "postern.v1.SignInService", "postern.v1.EventService"} {
			got, err := client.Check(testContext(t), &healthv1.HealthCheckRequest{Service: name})
			if err != nil || (got.GetStatus() == healthv1.HealthCheckResponse_SERVING) != ok {
				t.Errorf("%q: %v, %v", name, got, err)
			}
		}
	}
	_, err := client.Check(testContext(t), &healthv1.HealthCheckRequest{Service: "nothing"})
	failed(t, err, "NOT_FOUND", "SERVICE_UNKNOWN")
}

func TestReflectionIsServedOnlyWhenAsked(t *testing.T) {
	for _, on := range []bool{false, true} {
		w := newWorld(t, func(c *server.Config) { c.Reflection = on })
		stream, err := reflectionv1.NewServerReflectionClient(w.dial(t)).ServerReflectionInfo(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil && on {
			t.Fatal(err)
		}
		got, err := stream.Recv()
		if on && (err != nil || len(got.GetListServicesResponse().GetService()) < 5) {
			t.Errorf("on: %v, %v", got, err)
		}
		if !on {
			failed(t, err, "UNIMPLEMENTED", "METHOD_UNKNOWN_HERE")
		}
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
	}
}

func TestAnIncompleteConfigDoesNotStart(t *testing.T) {
	w := &world{outbox: newOutbox(), flows: newFlows(), archive: &archive{}, log: &syncBuffer{}}
	for name, spoil := range map[string]func(*server.Config){
		"Outbox": func(c *server.Config) { c.Outbox = nil }, "Live": func(c *server.Config) { c.Live = nil },
		"Forms": func(c *server.Config) { c.Forms.Event = nil }, "Query.MAC": func(c *server.Config) { c.Query.MAC = nil },
		"SignIn.Flows": func(c *server.Config) { c.SignIn.Flows = nil },
	} {
		c := w.config()
		spoil(&c)
		if _, err := server.New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestAHealthWatcherDoesNotHoldUpTheStop(t *testing.T) {
	w := newWorld(t, nil)
	w.server.SetServing(true)
	stream, err := healthv1.NewHealthClient(w.dial(t)).Watch(testContext(t), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || m.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatal(m, err)
	}
	w.stop(t)
	for err == nil { // NOT_SERVING may still come
		_, err = stream.Recv()
	}
	failed(t, err, "UNAVAILABLE", "SHUTTING_DOWN")
}
