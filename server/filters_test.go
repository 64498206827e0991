package server_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/savedfilter"
	"github.com/postern-audit/postern/server"
)

// savedFilters keeps filters by organization and id.
type savedFilters struct {
	mu   sync.Mutex
	kept map[string]savedfilter.Filter
	puts []savedfilter.Input
}

func (s *savedFilters) Create(_ context.Context, caller string, in savedfilter.Input) (savedfilter.Filter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts = append(s.puts, in)
	f := savedfilter.Filter{
		OrganizationUID: in.Organization.UID, ID: in.ID, DisplayName: in.DisplayName, Content: in.Content, Created: time.Unix(10, 0), Updated: time.Unix(10, 0),
		Creator: caller, Version: string(in.Content),
	}
	if s.kept == nil {
		s.kept = map[string]savedfilter.Filter{}
	}
	s.kept[in.Organization.UID+"/"+in.ID] = f
	return f, nil
}

func (s *savedFilters) Update(ctx context.Context, caller string, in savedfilter.Input) (savedfilter.Filter, error) {
	return s.Create(ctx, caller, in)
}

func (s *savedFilters) Delete(_ context.Context, _ string, in savedfilter.Removal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, in.Organization.UID+"/"+in.ID)
	return nil
}

func (s *savedFilters) Get(_ context.Context, uid, id string) (savedfilter.Filter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.kept[uid+"/"+id]; ok {
		return f, nil
	}
	return savedfilter.Filter{}, errs.New(errs.NotFound, "SAVED_FILTER_NOT_FOUND", "the organization has no such saved filter")
}

func (s *savedFilters) List(_ context.Context, uid, after string, limit int) ([]savedfilter.Filter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []savedfilter.Filter
	for _, f := range s.kept {
		if f.OrganizationUID == uid && f.ID > after {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b savedfilter.Filter) int { return strings.Compare(a.ID, b.ID) })
	return out[:min(limit, len(out))], nil
}

// save keeps a filter through the API.
func save(t *testing.T, c posternv1.EventServiceClient, id string, f *posternv1.EventFilter) *posternv1.SavedFilter {
	t.Helper()
	kept, err := c.CreateSavedFilter(testContext(t), &posternv1.CreateSavedFilterRequest{
		Parent: acme, SavedFilterId: id, SavedFilter: &posternv1.SavedFilter{DisplayName: "what " + id + " is for", Filter: f}, RequestId: "r-" + id,
	})
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestASavedFilterIsAnsweredAsItWasGiven(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewEventServiceClient(w.dial(t))
	f := &posternv1.EventFilter{
		Include: &posternv1.EventMatch{Emails: []string{"guest@partner.com"}, Classes: []posternv1.Class{posternv1.Class_CLASS_EXTERNAL}},
		Exclude: &posternv1.EventMatch{Sites: []string{"wiki"}}, Text: "okta", Last: durationpb.New(24 * time.Hour),
	}
	made := save(t, c, "b", f)
	if made.GetName() != acme+"/savedFilters/b" || made.GetDisplayName() != "what b is for" || !proto.Equal(made.GetFilter(), f) || made.GetEtag() == "" {
		t.Errorf("%v", made)
	}
	save(t, c, "a", nil)
	save(t, c, "c", nil)
	var ids []string
	for r := (&posternv1.ListSavedFiltersRequest{Parent: acme, PageSize: 2}); ; {
		page, err := c.ListSavedFilters(testContext(t), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page.GetSavedFilters() {
			ids = append(ids, x.GetName())
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
	}
	if want := []string{acme + "/savedFilters/a", acme + "/savedFilters/b", acme + "/savedFilters/c"}; !slices.Equal(ids, want) {
		t.Errorf("listed %v", ids)
	}
	if _, err := c.DeleteSavedFilter(testContext(t), &posternv1.DeleteSavedFilterRequest{Name: made.GetName(), RequestId: "r"}); err != nil {
		t.Fatal(err)
	}
	_, err := c.GetSavedFilter(testContext(t), &posternv1.GetSavedFilterRequest{Name: made.GetName()})
	failed(t, err, "NOT_FOUND", "SAVED_FILTER_NOT_FOUND")
}

func TestAFilterThatCannotBeSearchedByIsNotSaved(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewEventServiceClient(w.dial(t))
	for name, tt := range map[string]struct {
		filter *posternv1.SavedFilter
		reason string
	}{
		"names another":     {&posternv1.SavedFilter{DisplayName: "x", Filter: &posternv1.EventFilter{SavedFilter: acme + "/savedFilters/a"}}, "FIELD_UNEXPECTED"},
		"no name":           {&posternv1.SavedFilter{}, "FIELD_REQUIRED"},
		"etag at creation":  {&posternv1.SavedFilter{DisplayName: "x", Etag: "e"}, "FIELD_UNEXPECTED"},
		"two starts":        {&posternv1.SavedFilter{DisplayName: "x", Filter: &posternv1.EventFilter{StartTime: timestamppb.Now(), Last: durationpb.New(time.Hour)}}, "FIELD_UNEXPECTED"},
		"unknown type":      {&posternv1.SavedFilter{DisplayName: "x", Filter: &posternv1.EventFilter{Exclude: &posternv1.EventMatch{Types: []string{"no.such"}}}}, "FIELD_INVALID"},
		"control character": {&posternv1.SavedFilter{DisplayName: "x", Filter: &posternv1.EventFilter{Text: "a\x00"}}, "FIELD_INVALID"},
	} {
		_, err := c.CreateSavedFilter(testContext(t), &posternv1.CreateSavedFilterRequest{Parent: acme, SavedFilterId: "f", SavedFilter: tt.filter, RequestId: "r"})
		if reason, _ := reasonOf(err); reason != tt.reason {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.filters.puts) != 0 {
		t.Errorf("reached the use case: %+v", w.filters.puts)
	}
}

func TestASavedFilterIsSearchedByUnlessTheCallSaysOtherwise(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewEventServiceClient(w.dial(t))
	save(t, c, "f", &posternv1.EventFilter{
		Include: &posternv1.EventMatch{Sites: []string{"wiki"}, Reasons: []string{"WRONG_CODE"}}, Text: "okta", StartTime: timestamppb.New(time.Unix(5, 0)),
		Sandbox: posternv1.EventFilter_SANDBOX_EXCLUDE,
	})
	_, err := c.CountEvents(testContext(t), &posternv1.CountEventsRequest{Parent: acme, Filter: &posternv1.EventFilter{
		SavedFilter: acme + "/savedFilters/f", Include: &posternv1.EventMatch{Sites: []string{"chat"}}, EndTime: timestamppb.New(time.Unix(9, 0)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	q := w.counter.last()
	if !slices.Equal(q.Sites, []string{"chat"}) || !slices.Equal(q.Reasons, []string{"WRONG_CODE"}) || !slices.Equal(q.Text, []string{"okta"}) ||
		!q.Start.IsZero() || !q.End.Equal(time.Unix(9, 0)) || !q.NoSandbox || q.OrganizationUID != acmeUID {
		t.Errorf("%+v", q)
	}
}

func TestASavedFilterOfNobodyIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewEventServiceClient(w.dial(t))
	for name, tt := range map[string]struct{ saved, code, reason string }{
		"unknown":              {acme + "/savedFilters/nothing", "NOT_FOUND", "SAVED_FILTER_NOT_FOUND"},
		"another organization": {"organizations/globex/savedFilters/f", "INVALID_ARGUMENT", "FIELD_INVALID"},
		"no name":              {"f", "INVALID_ARGUMENT", "NAME_INVALID"},
		"another kind":         {acme + "/keys/f", "INVALID_ARGUMENT", "NAME_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &posternv1.EventFilter{SavedFilter: tt.saved}
			_, err := c.ListEvents(testContext(t), &posternv1.ListEventsRequest{Parent: acme, Filter: f})
			failed(t, err, tt.code, tt.reason)
			_, err = c.CountEvents(testContext(t), &posternv1.CountEventsRequest{Parent: acme, Filter: f})
			failed(t, err, tt.code, tt.reason)
			stream, err := c.WatchEvents(testContext(t), &posternv1.WatchEventsRequest{Parent: acme, Filter: f})
			if err == nil {
				_, err = stream.Recv()
			}
			failed(t, err, tt.code, tt.reason)
		})
	}
}

func TestAPageTokenDiesWithTheSavedFilterItWasGivenFor(t *testing.T) {
	w := newWorld(t, nil)
	w.archive.add(audit.TypePasswordVerified, audit.TypePasswordVerified)
	c := posternv1.NewEventServiceClient(w.dial(t))
	save(t, c, "f", &posternv1.EventFilter{Text: "okta"})
	r := &posternv1.ListEventsRequest{Parent: acme, PageSize: 1, Filter: &posternv1.EventFilter{SavedFilter: acme + "/savedFilters/f"}}
	page, err := c.ListEvents(testContext(t), r)
	if err != nil || page.GetNextPageToken() == "" {
		t.Fatal(page, err)
	}
	r.PageToken = page.GetNextPageToken()
	if _, err = c.ListEvents(testContext(t), r); err != nil {
		t.Errorf("the same filter: %v", err)
	}
	save(t, c, "f", &posternv1.EventFilter{Text: "azure"})
	_, err = c.ListEvents(testContext(t), r)
	failed(t, err, "INVALID_ARGUMENT", "TOKEN_INVALID")
}

func TestARelativeStartStaysWherePagesBegan(t *testing.T) {
	var mu sync.Mutex
	now := time.Unix(100_000, 0)
	w := newWorld(t, func(c *server.Config) {
		c.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
	})
	c := posternv1.NewEventServiceClient(w.dial(t))
	w.counter.next = 7
	r := &posternv1.GroupEventsRequest{Parent: acme, GroupBy: posternv1.GroupEventsRequest_GROUP_BY_FLOW, Filter: &posternv1.EventFilter{Last: durationpb.New(time.Hour)}}
	page, err := c.GroupEvents(testContext(t), r)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	now = now.Add(time.Minute)
	mu.Unlock()
	r.PageToken = page.GetNextPageToken()
	if _, err = c.GroupEvents(testContext(t), r); err != nil {
		t.Fatal(err)
	}
	if q := w.counter.last(); !q.Start.Equal(time.Unix(100_000-3600, 0)) || q.After != 7 {
		t.Errorf("the second page begins at %v, after %d", q.Start, q.After)
	}
}
