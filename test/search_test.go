package test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	library         = "organizations/library"
	libraryDocument = `
organization: library
sites: [{id: desk}, {id: stacks}]
connections: [{id: google, kind: SOCIAL}]
`
	museum         = "organizations/museum"
	museumDocument = `
organization: museum
sites: [{id: hall}]
`
)

// searchStory is a record that is asked in many ways, and the answers it must give by looking at every event of it.
type searchStory struct {
	ward
	p      *process
	events posternv1.EventServiceClient
	record []*posternv1.Event
}

func TestTheRecordIsSearchedInSQLite(t *testing.T) {
	t.Parallel()
	searchAll(t, newRig(t))
}

func TestTheRecordIsSearchedInPostgreSQL(t *testing.T) {
	t.Parallel()
	searchAll(t, newPostgresRig(t))
}

func searchAll(t *testing.T, r *rig) {
	p := r.start("all", "signin", "archiver", "api")
	s := &searchStory{ward: ward{t: t}, p: p, events: posternv1.NewEventServiceClient(p.conn)}
	p.apply(library, libraryDocument)
	p.apply(museum, museumDocument)
	for i, site := range []string{"desk", "stacks", "desk"} {
		for j := range 4 {
			s.reader(fmt.Sprintf("reader-%d", j), site, i+j)
		}
	}
	s.archived(12)
	for name, c := range searches() {
		t.Run(name, func(t *testing.T) { s.ask(t, c) })
	}
	s.savedSurvives()
	s.apart()
}

// reader signs in after some wrong passwords, or gives up.
func (s *searchStory) reader(account, site string, wrong int) {
	s.t.Helper()
	email := account + "@reads-postern-demo.com"
	steps := slices.Repeat([]*posternv1.StepReport{{Type: "password.rejected", Reason: "BAD_CREDENTIALS"}}, wrong)
	method := &posternv1.StepReport{Type: "password.verified"}
	if wrong%2 == 1 {
		method = &posternv1.StepReport{Type: "social.verified", Connection: "google"}
	}
	method.Subject = &posternv1.Subject{AccountId: account, Email: email, EmailVerified: proto.Bool(true), DisplayName: "The " + account}
	finish := &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}
	if wrong == 3 {
		finish.Action = posternv1.Finish_ACTION_CANCEL
	}
	_, err := s.p.signIn().StartFlow(s.ctx(), &posternv1.StartFlowRequest{
		Parent: library + "/sites/" + site, RequestId: s.id(), Subject: &posternv1.Subject{Email: email}, Steps: append(steps, method), Finish: finish,
		Context: &posternv1.Context{Ip: fmt.Sprintf("203.0.113.%d", wrong), DeviceId: "device of " + account + site},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// archived waits until so many sign-ins have ended on the record, and keeps it without what is written by the reading of it.
func (s *searchStory) archived(endings int) {
	s.t.Helper()
	err := eventually(30*time.Second, func(_ context.Context) error {
		all, err := s.p.record(library)
		s.record = slices.DeleteFunc(all, func(e *posternv1.Event) bool { return e.GetType() == "log.searched" })
		if n := len(s.chosen(func(e *posternv1.Event) bool { return e.GetEnding() != 0 })); err == nil && n < endings {
			return fmt.Errorf("%d endings", n)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *searchStory) chosen(fits func(*posternv1.Event) bool) (out []*posternv1.Event) {
	for _, e := range s.record {
		if fits(e) {
			out = append(out, e)
		}
	}
	return out
}

// search is a filter, and what it means.
type search struct {
	filter *posternv1.EventFilter
	fits   func(*posternv1.Event) bool
}

func searches() map[string]search {
	include := func(m *posternv1.EventMatch) *posternv1.EventFilter { return &posternv1.EventFilter{Include: m} }
	return map[string]search{
		"everything but the reading of it": {&posternv1.EventFilter{Exclude: &posternv1.EventMatch{Types: []string{"log.*"}}},
			func(*posternv1.Event) bool { return true }},
		"a reason": {include(&posternv1.EventMatch{Reasons: []string{"BAD_CREDENTIALS"}}),
			func(e *posternv1.Event) bool { return e.GetReason() == "BAD_CREDENTIALS" }},
		"a site, not a method": {&posternv1.EventFilter{Include: &posternv1.EventMatch{Sites: []string{"desk"}}, Exclude: &posternv1.EventMatch{Methods: []string{"password"}}},
			func(e *posternv1.Event) bool { return e.GetSite() == "desk" && e.GetMethod() != "password" }},
		"a connection": {include(&posternv1.EventMatch{Connections: []string{"google"}, Evidences: []posternv1.Evidence{posternv1.Evidence_EVIDENCE_ASSERTED}}),
			func(e *posternv1.Event) bool {
				return e.GetConnection() == "google" && e.GetEvidence() == posternv1.Evidence_EVIDENCE_ASSERTED
			}},
		"somebody, not at an address": {&posternv1.EventFilter{Include: &posternv1.EventMatch{AccountIds: []string{"reader-1"}}, Exclude: &posternv1.EventMatch{Networks: []string{"203.0.113.1"}}},
			func(e *posternv1.Event) bool {
				return e.GetPersonal().GetAccountId() == "reader-1" && e.GetPersonal().GetIp() != "203.0.113.1"
			}},
		"a name": {include(&posternv1.EventMatch{DisplayNames: []string{"the READER-2"}}),
			func(e *posternv1.Event) bool { return e.GetPersonal().GetDisplayName() == "The reader-2" }},
		"objects, whoever": {include(&posternv1.EventMatch{TargetTypes: []string{"site"}, Callers: []string{"nobody"}}),
			func(*posternv1.Event) bool { return false }},
		"words": {&posternv1.EventFilter{Text: "rej DESK"},
			func(e *posternv1.Event) bool {
				return strings.HasSuffix(e.GetType(), ".rejected") && e.GetSite() == "desk"
			}},
		"outcomes and classes": {&posternv1.EventFilter{
			Include: &posternv1.EventMatch{Outcomes: []posternv1.Outcome{posternv1.Outcome_OUTCOME_SUCCESS}, Classes: []posternv1.Class{posternv1.Class_CLASS_EXTERNAL}},
			Last:    durationpb.New(time.Hour)},
			func(e *posternv1.Event) bool {
				return e.GetOutcome() == posternv1.Outcome_OUTCOME_SUCCESS && e.GetClass() == posternv1.Class_CLASS_EXTERNAL
			}},
	}
}

// ask has the filter listed, counted, drawn and folded: all of it must be what the record says event by event.
func (s *searchStory) ask(t *testing.T, c search) {
	want := s.chosen(c.fits)
	var got []*posternv1.Event
	for r := (&posternv1.ListEventsRequest{Parent: library, Filter: c.filter, Order: posternv1.ListEventsRequest_ORDER_OLDEST_FIRST, PageSize: 7}); ; {
		page, err := s.events.ListEvents(s.ctx(), r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.GetEvents()...)
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
	}
	if !slices.EqualFunc(got, want, func(a, b *posternv1.Event) bool { return a.GetId() == b.GetId() }) {
		t.Errorf("listed %d events, want %d", len(got), len(want))
	}

	counts, err := s.events.CountEvents(s.ctx(), &posternv1.CountEventsRequest{Parent: library, Filter: c.filter, Limit: 100,
		Fields: []posternv1.EventField{posternv1.EventField_EVENT_FIELD_TYPE, posternv1.EventField_EVENT_FIELD_SITE}})
	if err != nil || counts.GetTotal() != int64(len(want)) || !counts.GetComplete() {
		t.Fatalf("counted %v, want %d, %v", counts, len(want), err)
	}
	for i, of := range []func(*posternv1.Event) string{(*posternv1.Event).GetType, (*posternv1.Event).GetSite} {
		tally := map[string]int64{}
		for _, e := range want {
			tally[of(e)]++
		}
		delete(tally, "")
		for _, v := range counts.GetFields()[i].GetValues() {
			if tally[v.GetValue()] != v.GetCount() {
				t.Errorf("%s: %d, want %d", v.GetValue(), v.GetCount(), tally[v.GetValue()])
			}
			delete(tally, v.GetValue())
		}
		if len(tally) > 0 {
			t.Errorf("not counted: %v", tally)
		}
	}

	drawn := proto.CloneOf(c.filter)
	drawn.Last = durationpb.New(2 * time.Hour)
	h, err := s.events.GetEventHistogram(s.ctx(), &posternv1.GetEventHistogramRequest{Parent: library, Filter: drawn,
		Step: posternv1.GetEventHistogramRequest_STEP_HOUR, TimeZone: "Asia/Kathmandu"})
	if err != nil || h.GetTotal() != int64(len(want)) || len(h.GetIntervals()) < 3 {
		t.Errorf("drawn %v, want %d, %v", h, len(want), err)
	}
	s.fold(t, c.filter, want)
}

// fold adds up the groups of all pages.
func (s *searchStory) fold(t *testing.T, filter *posternv1.EventFilter, want []*posternv1.Event) {
	flows := map[string]int64{}
	for _, e := range want {
		if e.GetFlow() != "" {
			flows[e.GetFlow()]++
		}
	}
	for r := (&posternv1.GroupEventsRequest{Parent: library, Filter: filter, GroupBy: posternv1.GroupEventsRequest_GROUP_BY_FLOW, PageSize: 5}); ; {
		page, err := s.events.GroupEvents(s.ctx(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range page.GetGroups() {
			flows[g.GetFlow()] -= g.GetCount()
			if g.GetNewest().GetFlow() != g.GetFlow() || g.GetCount() < 1 {
				t.Errorf("group %v", g)
			}
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
	}
	for flow, left := range flows {
		if left != 0 {
			t.Errorf("flow %s: %d too few", flow, left)
		}
	}
}

// savedSurvives: what was saved, and a page token that rests on it, outlive a kill -9.
func (s *searchStory) savedSurvives() {
	s.t.Helper()
	filter := &posternv1.EventFilter{Include: &posternv1.EventMatch{Emails: []string{"reader-2@reads-postern-demo.com"}, Types: []string{"password.*"}}, Last: durationpb.New(time.Hour)}
	create := &posternv1.CreateSavedFilterRequest{Parent: library, SavedFilterId: "two", RequestId: s.id(), SavedFilter: &posternv1.SavedFilter{DisplayName: "reader-2", Filter: filter}}
	made, err := s.events.CreateSavedFilter(s.ctx(), create)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &posternv1.ListEventsRequest{Parent: library, PageSize: 2, Filter: &posternv1.EventFilter{SavedFilter: made.GetName()}}
	first, err := s.events.ListEvents(s.ctx(), r)
	if err != nil || first.GetNextPageToken() == "" {
		s.t.Fatalf("%v, %v", first, err)
	}
	s.p.kill()
	s.p.run()
	s.p.awaitServing()
	if again, err := s.events.CreateSavedFilter(s.ctx(), create); err != nil || !proto.Equal(again, made) {
		s.t.Errorf("asked again: %v, %v", again, err)
	}
	r.PageToken, r.PageSize = first.GetNextPageToken(), 1000
	rest, err := s.events.ListEvents(s.ctx(), r)
	want := len(s.chosen(func(e *posternv1.Event) bool {
		mail := "reader-2@reads-postern-demo.com"
		return strings.HasPrefix(e.GetType(), "password.") && (e.GetPersonal().GetEmail() == mail || e.GetPersonal().GetTypedAddress() == mail)
	}))
	if err != nil || 2+len(rest.GetEvents()) != want {
		s.t.Errorf("2 and %d events, want %d, %v", len(rest.GetEvents()), want, err)
	}
	for _, key := range s.p.rig.redis.Client().Keys(s.t.Context(), "*savedfilters*").Val() {
		if dump := s.p.rig.redis.Client().Dump(s.t.Context(), key).Val(); form([]byte(dump), "reader-2") != "" {
			s.t.Errorf("who is looked for stands in Redis under %s", key)
		}
	}
}

// apart: one organization's filters and tokens are nothing to another one.
func (s *searchStory) apart() {
	s.t.Helper()
	page, err := s.events.GroupEvents(s.ctx(), &posternv1.GroupEventsRequest{Parent: library, GroupBy: posternv1.GroupEventsRequest_GROUP_BY_FLOW, PageSize: 1})
	if err != nil || page.GetNextPageToken() == "" {
		s.t.Fatalf("%v, %v", page, err)
	}
	_, err = s.events.GroupEvents(s.ctx(), &posternv1.GroupEventsRequest{Parent: museum, GroupBy: posternv1.GroupEventsRequest_GROUP_BY_FLOW, PageToken: page.GetNextPageToken()})
	if reason(err) != "TOKEN_INVALID" {
		s.t.Errorf("another organization's token: %v", err)
	}
	_, err = s.events.GetSavedFilter(s.ctx(), &posternv1.GetSavedFilterRequest{Name: museum + "/savedFilters/two"})
	if reason(err) != "SAVED_FILTER_NOT_FOUND" {
		s.t.Errorf("another organization's filter: %v", err)
	}
	_, err = s.events.CountEvents(s.ctx(), &posternv1.CountEventsRequest{Parent: museum, Filter: &posternv1.EventFilter{SavedFilter: library + "/savedFilters/two"}})
	if reason(err) != "FIELD_INVALID" {
		s.t.Errorf("another organization's filter: %v", err)
	}
	c, err := s.events.CountEvents(s.ctx(), &posternv1.CountEventsRequest{Parent: museum, Filter: &posternv1.EventFilter{Include: &posternv1.EventMatch{AccountIds: []string{"reader-1"}}}})
	if err != nil || c.GetTotal() != 0 {
		s.t.Errorf("another organization's reader: %v, %v", c, err)
	}
}
