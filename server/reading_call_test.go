package server_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
)

// read waits until so many reads are on the record, and returns them.
func (w *world) read(t *testing.T, n int) []audit.Event {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx := testContext(t); ; {
		w.outbox.mu.Lock()
		got := slices.Clone(w.outbox.reads)
		w.outbox.mu.Unlock()
		if len(got) >= n || ctx.Err() != nil {
			if len(got) != n {
				t.Fatalf("%d reads are on the record, want %d", len(got), n)
			}
			return got
		}
		<-tick.C
	}
}

// Whom a search was for is found by erasure, and by nothing that searches.
func TestAReadSaysForErasureWhomItWasFor(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.Query.Indexer = alike{} })
	m := &posternv1.EventMatch{Emails: []string{"mia@acme-postern-demo.com"}}
	_, err := posternv1.NewEventServiceClient(w.dial(t)).CountEvents(testContext(t), &posternv1.CountEventsRequest{Parent: acme, Filter: &posternv1.EventFilter{
		Include: m, Exclude: &posternv1.EventMatch{AccountIds: []string{"ann"}}}})
	if err != nil {
		t.Fatal(err)
	}
	var want []audit.Index
	for purpose, value := range map[audit.Purpose]string{audit.IndexEmail: "mia@acme-postern-demo.com", audit.IndexAccount: "ann"} {
		of, err := alike{}.Indexes(acmeUID, purpose, value)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, audit.Sought(of)...)
	}
	e := w.read(t, 1)[0]
	if len(e.Sought) != 2 || len(want) != 2 {
		t.Fatalf("sought %v, want %v", e.Sought, want)
	}
	for _, x := range want {
		if !slices.ContainsFunc(e.Sought, func(y audit.Index) bool { return x.Purpose == y.Purpose && string(x.Value) == string(y.Value) }) {
			t.Errorf("sought %v, want %v", e.Sought, want)
		}
	}
}

func TestReadingTheRecordLeavesATraceOnIt(t *testing.T) {
	w := newWorld(t, nil)
	w.archive.add(audit.TypePasswordVerified)
	events := posternv1.NewEventServiceClient(w.dial(t))
	filter := &posternv1.EventFilter{Include: &posternv1.EventMatch{Emails: []string{"mia@acme-postern-demo.com"}}}
	page, err := events.ListEvents(testContext(t), &posternv1.ListEventsRequest{Parent: acme, Filter: filter, PageSize: 7})
	if err != nil {
		t.Fatal(err)
	}
	e := w.read(t, 1)[0]
	if e.Type != audit.TypeLogSearched || e.OrganizationUID != acmeUID || e.Organization != "acme" || !strings.HasPrefix(e.Caller, "unix:") || e.Uses != 1 ||
		e.Target.ID != "EventService/ListEvents" || e.Personal.Detail != `{"filter":{"include":{"emails":["mia@acme-postern-demo.com"]}}}` {
		t.Errorf("on the record as %+v", e)
	}
	if len(e.Indexes) > 0 || e.Personal.Email+e.Personal.TypedAddress != "" {
		t.Error("whoever looks for that person would find the search")
	}
	// A stream counts once, and a call of another kind for itself.
	stream, err := events.WatchEvents(testContext(t), &posternv1.WatchEventsRequest{Parent: acme})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if _, err := events.ListEvents(testContext(t), &posternv1.ListEventsRequest{Parent: acme, PageToken: page.GetNextPageToken()}); err != nil {
			t.Fatal(err)
		}
	}
	if e := w.read(t, 2)[1]; e.Target.ID != "EventService/WatchEvents" || e.Personal.Detail != "" {
		t.Errorf("on the record as %+v", e)
	}
	// What was counted is written when the server stops.
	w.stop(t)
	if last := w.read(t, 3)[2]; last.Uses != 3 || last.Target.ID != "EventService/ListEvents" {
		t.Errorf("on the record as %+v", last)
	}
}

func TestWhatShowsNothingOfTheRecordLeavesNoTrace(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(t)
	events, flows := posternv1.NewEventServiceClient(c), posternv1.NewFlowServiceClient(c)
	if _, err := flows.GetFlow(testContext(t), &posternv1.GetFlowRequest{Name: acme + "/flows/" + flowID}); err != nil { // under way
		t.Fatal(err)
	}
	if _, err := events.ListEventTypes(testContext(t), &posternv1.ListEventTypesRequest{}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*posternv1.ListEventsRequest{{Parent: "organizations/nobody"}, {Parent: acme, PageToken: "x"}} {
		if _, err := events.ListEvents(testContext(t), r); err == nil {
			t.Fatal("not refused")
		}
	}
	w.stop(t)
	w.read(t, 0)
}

func TestAReadNeitherFailsNorWaitsWhenItCannotBeRecorded(t *testing.T) {
	w := newWorld(t, nil)
	w.archive.add(audit.TypePasswordVerified)
	w.outbox.setFail(errs.New(errs.Unavailable, "NOT_RECORDED", "away"))
	events := posternv1.NewEventServiceClient(w.dial(t))
	for range 50 {
		if _, err := events.ListEvents(testContext(t), &posternv1.ListEventsRequest{Parent: acme}); err != nil {
			t.Fatal(err)
		}
	}
	w.outbox.setFail(nil)
	w.stop(t)
	var reads int64
	for _, e := range w.read(t, 2) {
		reads += e.Uses
	}
	if reads != 50 {
		t.Errorf("%d reads are on the record", reads)
	}
}
