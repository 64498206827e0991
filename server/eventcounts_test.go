package server_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// counter answers what it was told to, and keeps what it was asked.
type counter struct {
	mu      sync.Mutex
	asked   []audit.Query
	bounds  []time.Time
	fields  []audit.Field
	limit   int
	counted audit.Counted
	facets  []audit.Facet
	groups  []audit.Group
	next    int64
}

func (c *counter) ask(q audit.Query) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, q)
}

func (c *counter) last() audit.Query {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[len(c.asked)-1]
}

func (c *counter) Facets(_ context.Context, q audit.Query, fields []audit.Field, limit int) (audit.Facets, error) {
	c.ask(q)
	c.fields, c.limit = fields, limit
	return audit.Facets{Counted: c.counted, Total: 42, Fields: c.facets}, nil
}

func (c *counter) Histogram(_ context.Context, q audit.Query, bounds []time.Time) (audit.Histogram, error) {
	c.ask(q)
	c.bounds = bounds
	counts := make([]int64, len(bounds)-1)
	for i := range counts {
		counts[i] = int64(i)
	}
	return audit.Histogram{Counted: c.counted, Counts: counts}, nil
}

func (c *counter) Groups(_ context.Context, q audit.Query, by audit.GroupBy) (audit.Groups, error) {
	c.ask(q)
	if by < audit.GroupByFlow || by > audit.GroupByIPReason {
		return audit.Groups{}, errors.New("no such way to fold")
	}
	next := c.next
	if len(c.groups) > q.Limit {
		next = c.groups[q.Limit-1].Newest.Sequence
	}
	return audit.Groups{Groups: c.groups[:min(q.Limit, len(c.groups))], Next: next}, nil
}

func TestCountsAreAnsweredByFieldAndValue(t *testing.T) {
	w := newWorld(t, nil)
	w.archive.add(audit.TypePasswordVerified, audit.TypePasswordRejected)
	w.counter.counted = audit.Counted{From: 2}
	w.counter.facets = []audit.Facet{
		{Field: audit.FieldReason, Values: []audit.ValueCount{{Value: "WRONG_CODE", Count: 3}}, More: true},
		{Field: audit.FieldOutcome, Values: []audit.ValueCount{{Value: "3", Count: 40}}},
	}
	c := posternv1.NewEventServiceClient(w.dial(t))
	got, err := c.CountEvents(testContext(t), &posternv1.CountEventsRequest{
		Parent: acme, Fields: []posternv1.EventField{posternv1.EventField_EVENT_FIELD_REASON, posternv1.EventField_EVENT_FIELD_OUTCOME}, Limit: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.counter.limit != 100 || len(w.counter.fields) != 2 || w.counter.fields[1] != audit.FieldOutcome {
		t.Errorf("asked for %v, %d of each", w.counter.fields, w.counter.limit)
	}
	f := got.GetFields()
	if got.GetTotal() != 42 || len(f) != 2 || !f[0].GetMore() || f[0].GetValues()[0].GetValue() != "WRONG_CODE" || f[1].GetValues()[0].GetValue() != "OUTCOME_FAILURE" {
		t.Errorf("%v", got)
	}
	if got.GetComplete() || got.GetCountedFromTime() == nil {
		t.Errorf("says complete %v, from %v", got.GetComplete(), got.GetCountedFromTime())
	}
	w.counter.counted = audit.Counted{Complete: true}
	if got, err = c.CountEvents(testContext(t), &posternv1.CountEventsRequest{Parent: acme}); err != nil || !got.GetComplete() || got.CountedFromTime != nil || w.counter.limit != 10 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestAHistogramHasTheStretchesOfItsCalendar(t *testing.T) {
	w := newWorld(t, nil)
	w.counter.counted = audit.Counted{Complete: true}
	c := posternv1.NewEventServiceClient(w.dial(t))
	h, err := c.GetEventHistogram(testContext(t), &posternv1.GetEventHistogramRequest{
		Parent: acme, Step: posternv1.GetEventHistogramRequest_STEP_DAY, TimeZone: "Europe/Berlin",
		Filter: &posternv1.EventFilter{StartTime: timestamppb.New(day("2026-03-28T12:00:00Z")), EndTime: timestamppb.New(day("2026-03-30T12:00:00Z"))},
	})
	if err != nil {
		t.Fatal(err)
	}
	var lengths []time.Duration
	for _, i := range h.GetIntervals() {
		lengths = append(lengths, i.GetEndTime().AsTime().Sub(i.GetStartTime().AsTime()))
	}
	if len(lengths) != 3 || lengths[0] != 24*time.Hour || lengths[1] != 23*time.Hour || h.GetTotal() != 3 || !h.GetComplete() {
		t.Errorf("%v: %v", lengths, h)
	}
	if q := w.counter.last(); !q.Start.Equal(day("2026-03-28T12:00:00Z")) {
		t.Errorf("the filter's own start is %v", q.Start)
	}
}

func day(text string) time.Time {
	t, _ := time.Parse(time.RFC3339, text)
	return t
}

func TestAGroupTokenIsGoodForItsQueryOnly(t *testing.T) {
	w := newWorld(t, nil)
	w.counter.next = 7
	c := posternv1.NewEventServiceClient(w.dial(t))
	by := posternv1.GroupEventsRequest_GROUP_BY_IP_REASON
	filter := &posternv1.EventFilter{Text: "okta", Exclude: &posternv1.EventMatch{Sites: []string{"wiki"}}}
	page, err := c.GroupEvents(testContext(t), &posternv1.GroupEventsRequest{Parent: acme, GroupBy: by, Filter: filter})
	if err != nil || page.GetNextPageToken() == "" {
		t.Fatal(page, err)
	}
	if _, err = c.GroupEvents(testContext(t), &posternv1.GroupEventsRequest{Parent: acme, GroupBy: by, Filter: filter, PageSize: 3, PageToken: page.GetNextPageToken()}); err != nil {
		t.Errorf("the same query: %v", err)
	}
	for name, r := range map[string]*posternv1.GroupEventsRequest{
		"other folding":      {GroupBy: posternv1.GroupEventsRequest_GROUP_BY_FLOW, Filter: filter},
		"other words":        {GroupBy: by, Filter: &posternv1.EventFilter{Text: "azure", Exclude: filter.GetExclude()}},
		"nothing excluded":   {GroupBy: by, Filter: &posternv1.EventFilter{Text: "okta"}},
		"relative start":     {GroupBy: by, Filter: &posternv1.EventFilter{Text: "okta", Exclude: filter.GetExclude(), Last: durationpb.New(time.Hour)}},
		"other organization": {GroupBy: by, Filter: filter, Parent: "organizations/system"},
	} {
		if r.Parent == "" {
			r.Parent = acme
		}
		r.PageToken = page.GetNextPageToken()
		_, err := c.GroupEvents(testContext(t), r)
		if reason, _ := reasonOf(err); reason != "TOKEN_INVALID" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = c.ListEvents(testContext(t), &posternv1.ListEventsRequest{Parent: acme, Filter: filter, PageToken: page.GetNextPageToken()})
	failed(t, err, "INVALID_ARGUMENT", "TOKEN_INVALID")
}

func TestGroupsThatDoNotFitAnAnswerComeOnTheNextPage(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 4 {
		e := audit.Event{Type: audit.Type(strings.Repeat("a", 1<<20)), Sequence: int64(100 - i), OrganizationUID: acmeUID}
		w.counter.groups = append(w.counter.groups, audit.Group{Flow: "f", Count: 1, Newest: e})
	}
	c := posternv1.NewEventServiceClient(w.dial(t))
	page, err := c.GroupEvents(testContext(t), &posternv1.GroupEventsRequest{Parent: acme, GroupBy: posternv1.GroupEventsRequest_GROUP_BY_FLOW})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(page.GetGroups()); n == 0 || n == 4 || page.GetNextPageToken() == "" || w.counter.last().Limit != n {
		t.Errorf("%d groups, token %q, asked for %d", n, page.GetNextPageToken(), w.counter.last().Limit)
	}
}

func TestCountsThatCannotBeAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewEventServiceClient(w.dial(t))
	count := func(f ...posternv1.EventField) error {
		_, err := c.CountEvents(testContext(t), &posternv1.CountEventsRequest{Parent: acme, Fields: f})
		return err
	}
	failed(t, count(0), "INVALID_ARGUMENT", "FIELD_INVALID")
	failed(t, count(99), "INVALID_ARGUMENT", "FIELD_INVALID")
	failed(t, count(1, 1), "INVALID_ARGUMENT", "FIELD_INVALID")
	_, err := c.GroupEvents(testContext(t), &posternv1.GroupEventsRequest{Parent: acme})
	failed(t, err, "INVALID_ARGUMENT", "FIELD_REQUIRED")
	_, err = c.GroupEvents(testContext(t), &posternv1.GroupEventsRequest{Parent: acme, GroupBy: 9})
	failed(t, err, "INVALID_ARGUMENT", "FIELD_INVALID")
	_, err = c.CountEvents(testContext(t), &posternv1.CountEventsRequest{Parent: "organizations/nobody"})
	failed(t, err, "NOT_FOUND", "ORGANIZATION_NOT_FOUND")
	if n := len(w.counter.asked); n != 0 {
		t.Errorf("the archive was asked %d times", n)
	}
}
