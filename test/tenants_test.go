package test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// TestOneOrganizationNeverReachesIntoAnother: two organizations share a partition, so that their keys in Redis differ in
// nothing but what they name. Whatever belongs to one is unknown under the other's name, to a process that has never seen it
// as much as to one that has.
func TestOneOrganizationNeverReachesIntoAnother(t *testing.T) {
	r := newRig(t, "POSTERN_PARTITIONS=1")
	p := r.start("all", "signin", "archiver", "api")
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for _, id := range []string{"one", "two"} {
		p.apply("organizations/"+id, "organization: "+id+"\ndisplay_name: "+id+"\nsites: [{id: door}]\n")
	}
	handle := []byte("a-session-of-organization-one")
	a, err := p.signIn().StartFlow(ctx, &posternv1.StartFlowRequest{
		Parent: "organizations/one/sites/door", RequestId: "r-1", Subject: &posternv1.Subject{AccountId: "guest", Email: "guest@gmail.com"}})
	p.must2(err)
	_, err = p.signIn().RecordSession(ctx, &posternv1.RecordSessionRequest{Parent: "organizations/one/sites/door", RequestId: "r-2",
		Event: posternv1.RecordSessionRequest_EVENT_STARTED, SessionHandle: handle, Flow: a.GetFlow()})
	p.must2(err)
	var events []*posternv1.Event
	p.must2(eventually(30*time.Second, func(context.Context) (err error) {
		if events, err = p.record("organizations/one"); err == nil && len(events) < 4 {
			err = fmt.Errorf("%d events", len(events))
		}
		return err
	}))
	page, err := posternv1.NewEventServiceClient(p.conn).ListEvents(ctx, &posternv1.ListEventsRequest{Parent: "organizations/one", PageSize: 1})
	p.must2(err)
	w, err := posternv1.NewEventServiceClient(p.conn).WatchEvents(ctx, &posternv1.WatchEventsRequest{Parent: "organizations/one"})
	p.must2(err)
	first, err := w.Recv()
	p.must2(err)

	for _, when := range []string{"warm", "cold"} {
		if when == "cold" {
			p.must2(p.terminate())
			p.run()
			p.awaitServing()
		}
		stolen := strings.Replace(a.GetFlow(), "/one/", "/two/", 1)
		step := &posternv1.StepReport{Type: "password.verified", Subject: &posternv1.Subject{AccountId: "guest"}}
		for what, try := range map[string]func() (any, error){
			"NotFound report": func() (any, error) {
				return p.signIn().ReportStep(ctx, &posternv1.ReportStepRequest{Flow: stolen, RequestId: "x-1" + when, Step: step})
			},
			"NotFound finish": func() (any, error) {
				return p.signIn().FinishFlow(ctx, &posternv1.FinishFlowRequest{Flow: stolen, RequestId: "x-2" + when, Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_CANCEL}})
			},
			"NotFound session started": func() (any, error) {
				return p.signIn().RecordSession(ctx, &posternv1.RecordSessionRequest{Parent: "organizations/two/sites/door", RequestId: "x-3" + when,
					Event: posternv1.RecordSessionRequest_EVENT_STARTED, SessionHandle: []byte("another-session-handle"), Flow: stolen})
			},
			"InvalidArgument session of both": func() (any, error) {
				return p.signIn().RecordSession(ctx, &posternv1.RecordSessionRequest{Parent: "organizations/two/sites/door", RequestId: "x-4" + when,
					Event: posternv1.RecordSessionRequest_EVENT_STARTED, SessionHandle: []byte("another-session-handle"), Flow: a.GetFlow()})
			},
			"NotFound session ended": func() (any, error) {
				return p.signIn().RecordSession(ctx, &posternv1.RecordSessionRequest{Parent: "organizations/two/sites/door", RequestId: "x-5" + when,
					Event: posternv1.RecordSessionRequest_EVENT_ENDED, SessionHandle: handle})
			},
			"NotFound flow": func() (any, error) {
				return posternv1.NewFlowServiceClient(p.conn).GetFlow(ctx, &posternv1.GetFlowRequest{Name: stolen})
			},
			"NotFound support code": func() (any, error) {
				return posternv1.NewFlowServiceClient(p.conn).GetFlow(ctx, &posternv1.GetFlowRequest{Name: "organizations/two/flows/" + a.GetSupportCode()})
			},
			"NotFound watched flow": func() (any, error) {
				s, err := posternv1.NewFlowServiceClient(p.conn).WatchFlow(ctx, &posternv1.WatchFlowRequest{Name: stolen})
				if err != nil {
					return nil, err
				}
				return s.Recv()
			},
			"NotFound event": func() (any, error) {
				return posternv1.NewEventServiceClient(p.conn).GetEvent(ctx, &posternv1.GetEventRequest{Name: "organizations/two/events/" + events[0].GetId()})
			},
			"InvalidArgument page token": func() (any, error) {
				return posternv1.NewEventServiceClient(p.conn).ListEvents(ctx, &posternv1.ListEventsRequest{Parent: "organizations/two", PageSize: 1, PageToken: page.GetNextPageToken()})
			},
			"InvalidArgument cursor": func() (any, error) {
				s, err := posternv1.NewEventServiceClient(p.conn).WatchEvents(ctx, &posternv1.WatchEventsRequest{Parent: "organizations/two", Cursor: first.GetCursor()})
				if err != nil {
					return nil, err
				}
				return s.Recv()
			},
		} {
			got, err := try()
			if want, _, _ := strings.Cut(what, " "); status.Code(err).String() != want {
				t.Errorf("%s, %s: %v, %v", when, what, got, err)
			}
		}
		list, err := posternv1.NewEventServiceClient(p.conn).ListEvents(ctx, &posternv1.ListEventsRequest{Parent: "organizations/two",
			Filter: &posternv1.EventFilter{Include: &posternv1.EventMatch{Emails: []string{"guest@gmail.com"}}}})
		if err != nil || len(list.GetEvents()) != 0 {
			t.Errorf("%s: a guest of one organization found in the other: %v, %v", when, list, err)
		}
	}
	f, err := posternv1.NewFlowServiceClient(p.conn).GetFlow(ctx, &posternv1.GetFlowRequest{Name: a.GetFlow()})
	if err != nil || f.GetPhase() != posternv1.Phase_PHASE_OPEN || status.Code(err) != codes.OK {
		t.Errorf("the flow itself: %v, %v", f, err)
	}
}
