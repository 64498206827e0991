package test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func TestGuestsAreListedFromSQLite(t *testing.T) {
	t.Parallel()
	guestsAll(t, newRig(t))
}

func TestGuestsAreListedFromPostgreSQL(t *testing.T) {
	t.Parallel()
	guestsAll(t, newPostgresRig(t))
}

// guestsAll has people sign in and others pretend to be them, and holds the lists of people and of flows to the record, event by event,
// before and after a kill -9.
func guestsAll(t *testing.T, r *rig) {
	p := r.start("all", "signin", "archiver", "api")
	s := &searchStory{ward: ward{t: t}, p: p, events: posternv1.NewEventServiceClient(p.conn)}
	p.apply(library, libraryDocument)
	p.apply(museum, museumDocument)
	for i, site := range []string{"desk", "stacks", "desk"} {
		for j := range 3 {
			s.reader([]string{"reader-0", "reader-1", "reader-2"}[j], site, i+j)
		}
	}
	s.pretender("reader-0")
	s.pretender("never-there")
	s.archived(11)
	s.guests()
	s.tenants()
	s.flows()
	p.kill()
	p.run()
	p.awaitServing()
	s.reader("reader-1", "desk", 0)
	s.archived(12)
	s.guests()
}

// pretender claims an account and an address and never shows a right password.
func (s *searchStory) pretender(account string) {
	s.t.Helper()
	who := &posternv1.Subject{AccountId: account, Email: account + "@reads-postern-demo.com"}
	_, err := s.p.signIn().StartFlow(s.ctx(), &posternv1.StartFlowRequest{Parent: library + "/sites/desk", RequestId: s.id(), Subject: who,
		Steps:   []*posternv1.StepReport{{Type: "password.rejected", Reason: "BAD_CREDENTIALS", Subject: who}},
		Finish:  &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE},
		Context: &posternv1.Context{Ip: "198.51.100.7"}})
	if err != nil {
		s.t.Fatal(err)
	}
}

// guests compares each person, at the organization and at its sites, with their events.
func (s *searchStory) guests() {
	s.t.Helper()
	for _, site := range []string{"", "desk", "stacks"} {
		parent := library
		if site != "" {
			parent += "/sites/" + site
		}
		var got []*posternv1.Person
		for r := (&posternv1.ListSubjectsRequest{Parent: parent, PageSize: 2}); ; {
			page, err := s.events.ListSubjects(s.ctx(), r)
			if err != nil {
				s.t.Fatal(err)
			}
			got = append(got, page.GetSubjects()...)
			if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
				break
			}
		}
		if len(got) != 3 || !slices.IsSortedFunc(got, func(a, b *posternv1.Person) int {
			return b.GetLastSeenTime().AsTime().Compare(a.GetLastSeenTime().AsTime())
		}) {
			s.t.Fatalf("at %q: %v", site, got)
		}
		for _, p := range got {
			s.guest(p, site)
		}
	}
	found, err := s.events.ListSubjects(s.ctx(), &posternv1.ListSubjectsRequest{Parent: library, Filter: &posternv1.SubjectFilter{Emails: []string{"Reader-1@reads-postern-demo.com"}}})
	if err != nil || len(found.GetSubjects()) != 1 || found.GetSubjects()[0].GetPersonal().GetAccountId() != "reader-1" {
		s.t.Fatalf("by address: %v, %v", found, err)
	}
	whole, err := s.events.GetSubject(s.ctx(), &posternv1.GetSubjectRequest{Name: found.GetSubjects()[0].GetName()})
	if err != nil || len(whole.GetSites()) != 2 || whole.GetSites()[0].GetSite() != "desk" {
		s.t.Errorf("one person: %v, %v", whole, err)
	}
	for name, f := range map[string]*posternv1.SubjectFilter{
		"who pretended":   {Emails: []string{"never-there@reads-postern-demo.com"}},
		"nobody's id":     {AccountIds: []string{"never-there"}},
		"not seen lately": {SeenBefore: timestamppb.New(time.Now().Add(-time.Hour))},
		"managed":         {Classes: []posternv1.Class{posternv1.Class_CLASS_MANAGED}},
	} {
		if none, err := s.events.ListSubjects(s.ctx(), &posternv1.ListSubjectsRequest{Parent: library, Filter: f}); err != nil || len(none.GetSubjects()) != 0 {
			s.t.Errorf("%s: %v, %v", name, none, err)
		}
	}
}

// guest compares one row with the events of the account.
func (s *searchStory) guest(p *posternv1.Person, site string) {
	s.t.Helper()
	account := p.GetPersonal().GetAccountId()
	var signIns int64
	var first, last time.Time
	for _, e := range s.record {
		if e.GetPersonal().GetAccountId() != account || site != "" && e.GetSite() != site {
			continue
		}
		at := e.GetTime().AsTime()
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
		if e.GetType() == "sign_in.succeeded" {
			signIns++
		}
	}
	if p.GetSignIns() != signIns || !p.GetFirstSeenTime().AsTime().Equal(first) || !p.GetLastSeenTime().AsTime().Equal(last) || p.GetRefusals() != 0 ||
		p.GetClass() != posternv1.Class_CLASS_EXTERNAL || p.GetPersonal().GetEmail() != account+"@reads-postern-demo.com" || p.GetSite() != site {
		s.t.Errorf("%v\nbut the record has %d sign-ins from %v to %v", p, signIns, first, last)
	}
}

// tenants: another organization's people and tokens are nothing to this one.
func (s *searchStory) tenants() {
	s.t.Helper()
	page, err := s.events.ListSubjects(s.ctx(), &posternv1.ListSubjectsRequest{Parent: library, PageSize: 1})
	if err != nil || page.GetNextPageToken() == "" {
		s.t.Fatal(page, err)
	}
	if _, err = s.events.ListSubjects(s.ctx(), &posternv1.ListSubjectsRequest{Parent: museum, PageToken: page.GetNextPageToken()}); reason(err) != "TOKEN_INVALID" {
		s.t.Errorf("another organization's token: %v", err)
	}
	name := strings.Replace(page.GetSubjects()[0].GetName(), library, museum, 1)
	if _, err = s.events.GetSubject(s.ctx(), &posternv1.GetSubjectRequest{Name: name}); reason(err) != "SUBJECT_NOT_FOUND" {
		s.t.Errorf("another organization's person: %v", err)
	}
	if none, err := s.events.ListSubjects(s.ctx(), &posternv1.ListSubjectsRequest{Parent: museum}); err != nil || len(none.GetSubjects()) != 0 {
		s.t.Errorf("the museum has %v, %v", none, err)
	}
}

// flows compares lists of flows with the steps that each flow shows.
func (s *searchStory) flows() {
	s.t.Helper()
	flows := posternv1.NewFlowServiceClient(s.p.conn)
	list := func(f *posternv1.FlowFilter) []string {
		s.t.Helper()
		var names []string
		for r := (&posternv1.ListFlowsRequest{Parent: library, Filter: f, PageSize: 3}); ; {
			page, err := flows.ListFlows(s.ctx(), r)
			if err != nil {
				s.t.Fatal(err)
			}
			for _, f := range page.GetFlows() {
				names = append(names, f.GetName())
			}
			if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
				return names
			}
		}
	}
	all := list(nil)
	var whole []*posternv1.Flow
	for _, name := range all {
		f, err := flows.GetFlow(s.ctx(), &posternv1.GetFlowRequest{Name: name})
		if err != nil || len(f.GetSteps()) < 2 || f.GetEnding() == 0 {
			s.t.Fatalf("%v, %v", f, err)
		}
		for i, e := range f.GetSteps()[:len(f.GetSteps())-1] {
			if e.GetStep() != int32(i+1) {
				s.t.Errorf("%s: step %d is number %d", name, i, e.GetStep())
			}
		}
		whole = append(whole, f)
	}
	step := func(fits func(*posternv1.Event) bool) func(*posternv1.Flow) bool {
		return func(f *posternv1.Flow) bool { return slices.ContainsFunc(f.GetSteps(), fits) }
	}
	for name, c := range map[string]struct {
		m    *posternv1.FlowMatch
		fits func(*posternv1.Flow) bool
	}{
		"method":     {&posternv1.FlowMatch{Methods: []string{"social"}}, step(func(e *posternv1.Event) bool { return e.GetMethod() == "social" })},
		"connection": {&posternv1.FlowMatch{Connections: []string{"google"}}, step(func(e *posternv1.Event) bool { return e.GetConnection() == "google" })},
		"network":    {&posternv1.FlowMatch{Networks: []string{"203.0.113.2"}}, step(func(e *posternv1.Event) bool { return e.GetPersonal().GetIp() == "203.0.113.2" })},
		"name":       {&posternv1.FlowMatch{DisplayNames: []string{"THE reader-1"}}, step(func(e *posternv1.Event) bool { return e.GetPersonal().GetDisplayName() == "The reader-1" })},
		"ending":     {&posternv1.FlowMatch{Endings: []posternv1.Ending{posternv1.Ending_ENDING_CANCELLED, posternv1.Ending_ENDING_FAILED}}, func(f *posternv1.Flow) bool { return f.GetEnding() != posternv1.Ending_ENDING_SUCCEEDED }},
		"class":      {&posternv1.FlowMatch{Classes: []posternv1.Class{posternv1.Class_CLASS_EXTERNAL}}, func(f *posternv1.Flow) bool { return f.GetClass() == posternv1.Class_CLASS_EXTERNAL }},
		"reason":     {&posternv1.FlowMatch{Reasons: []string{"BAD_CREDENTIALS"}}, func(f *posternv1.Flow) bool { return f.GetReason() == "BAD_CREDENTIALS" }},
		"evidence":   {&posternv1.FlowMatch{Evidences: []posternv1.Evidence{posternv1.Evidence_EVIDENCE_VERIFIED}}, step(func(e *posternv1.Event) bool { return e.GetEvidence() == posternv1.Evidence_EVIDENCE_VERIFIED })},
	} {
		var with, without []string
		for _, f := range whole {
			if c.fits(f) {
				with = append(with, f.GetName())
			} else {
				without = append(without, f.GetName())
			}
		}
		if got := list(&posternv1.FlowFilter{Include: proto.CloneOf(c.m)}); !slices.Equal(got, with) {
			s.t.Errorf("with %s: %d flows, want %d", name, len(got), len(with))
		}
		if got := list(&posternv1.FlowFilter{Exclude: c.m}); !slices.Equal(got, without) {
			s.t.Errorf("without %s: %d flows, want %d", name, len(got), len(without))
		}
	}
	_, err := flows.ListFlows(s.ctx(), &posternv1.ListFlowsRequest{Parent: library, Filter: &posternv1.FlowFilter{Sites: []string{"desk"}, Include: &posternv1.FlowMatch{Sites: []string{"desk"}}}})
	if reason(err) != "FIELD_UNEXPECTED" {
		s.t.Errorf("a list given twice: %v", err)
	}
}
