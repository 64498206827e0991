package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/interceptor"
)

// shelf takes reads, or does not; its clock stands still until a test moves it.
type shelf struct {
	mu     sync.Mutex
	now    time.Time
	fail   error
	events []audit.Event
	lost   int64
	ids    int
	refuse string // id of an event that cannot be written
}

func (s *shelf) Append(_ context.Context, _ string, events ...audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		if e.ID == s.refuse {
			return errors.New("cannot be encoded")
		}
	}
	if s.fail == nil {
		s.events = append(s.events, events...)
	}
	return s.fail
}

func (s *shelf) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *shelf) pass(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(by)
}

func (s *shelf) setFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *shelf) lose(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += n
}

// all are the events so far, and how many reads they stand for.
func (s *shelf) all() ([]audit.Event, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var reads int64
	for _, e := range s.events {
		reads += e.Uses
	}
	return slices.Clone(s.events), reads
}

// newShelf starts to put reads on a shelf, from ten o'clock on. Nothing is written before settle.
func newShelf(t *testing.T) (*shelf, *Readings) {
	t.Helper()
	s := &shelf{now: time.Date(2026, 3, 29, 10, 0, 0, 0, time.UTC)}
	id := func() string { s.ids++; return fmt.Sprint("id-", s.ids) }
	r := newReadings(s, s.clock, id, s.lose, slog.New(slog.DiscardHandler))
	r.stop() // the test does what the goroutine does
	<-r.done
	return s, r
}

func settle(t *testing.T, r *Readings) {
	t.Helper()
	r.turnAll(false)
	r.write(t.Context())
}

func poll(text string) Reading {
	return Reading{Organization: "acme", OrganizationUID: "u-acme", Caller: "apikey:1", Call: "orgevents/events", Text: text}
}

func TestThePollsOfAnHourAreOneEvent(t *testing.T) {
	s, r := newShelf(t)
	for hour := range 3 {
		for range 60 {
			r.Note(poll("site=wiki"))
			s.pass(time.Minute)
		}
		settle(t, r)
		events, reads := s.all()
		// The first hour has the first poll as well, which was written at once.
		if len(events) != hour+2 || reads != int64(60*(hour+1)) {
			t.Fatalf("after %d hours %d events tell of %d reads", hour+1, len(events), reads)
		}
		if last := events[len(events)-1]; last.Time != s.clock().Add(-time.Minute) || last.Type != audit.TypeLogSearched || last.Caller != "apikey:1" ||
			last.Target.ID != "orgevents/events" || last.OrganizationUID != "u-acme" || last.Outcome != audit.OutcomeInfo {
			t.Errorf("folded as %+v", last)
		}
	}
	// Nobody came back for an hour: the next poll is a first one again.
	s.pass(time.Hour)
	settle(t, r)
	s.pass(time.Hour)
	settle(t, r)
	if len(r.held) != 0 {
		t.Errorf("%d readers are still remembered", len(r.held))
	}
	r.Note(poll("site=wiki"))
	r.write(t.Context())
	if events, reads := s.all(); len(events) != 5 || reads != 181 {
		t.Errorf("%d events tell of %d reads, want 5 of 181", len(events), reads)
	}
}

func TestTheFirstReadIsWrittenAtOnceWithWhatItLookedFor(t *testing.T) {
	s, r := newShelf(t)
	for i := range 20 {
		r.Note(poll(fmt.Sprint("mail=", i, "@example.org")))
	}
	r.write(t.Context())
	events, _ := s.all()
	if len(events) != 1 || events[0].Personal.Detail != "mail=0@example.org" || events[0].Uses != 1 {
		t.Fatalf("at once: %+v", events)
	}
	s.pass(time.Hour)
	settle(t, r)
	events, reads := s.all()
	if last := events[len(events)-1]; len(events) != 2 || reads != 20 || len(last.Personal.Items) != readingTexts-1 || last.Personal.Items[0] != "mail=1@example.org" {
		t.Errorf("%d events of %d reads, the last with %q", len(events), reads, events[len(events)-1].Personal.Items)
	}
	// Something else in the next hour is a first one again.
	r.Note(poll("mail=other@example.org"))
	r.write(t.Context())
	if events, _ = s.all(); len(events) != 3 || events[2].Personal.Detail != "mail=other@example.org" {
		t.Errorf("in the next hour: %d events", len(events))
	}
}

func TestNothingOfWhatWasLookedForStandsInSystem(t *testing.T) {
	s, r := newShelf(t)
	r.Note(Reading{Organization: audit.SystemID, OrganizationUID: audit.SystemUID, Caller: "unix:0", Call: "EventService/ListEvents", Text: "secret@example.org"})
	r.write(t.Context())
	if events, _ := s.all(); len(events) != 1 || events[0].Personal.Detail != "" {
		t.Errorf("got %+v", events)
	}
}

func TestAFloodOfReadersStaysBoundedAndIsCounted(t *testing.T) {
	s, r := newShelf(t)
	const readers = maxReadings + 5000
	for range 2 {
		for i := range readers {
			in := poll("")
			in.Caller = fmt.Sprint("apikey:", i)
			r.Note(in)
		}
	}
	if len(r.held) > maxReadings+1 || len(r.waiting) > maxReadings {
		t.Errorf("%d readers and %d events are held", len(r.held), len(r.waiting))
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	events, reads := s.all()
	if reads != 2*readers || s.lost != 0 {
		t.Errorf("%d events tell of %d reads and %d are lost, want all %d told", len(events), reads, s.lost, 2*readers)
	}
	if !slices.ContainsFunc(events, func(e audit.Event) bool {
		return e.OrganizationUID == audit.SystemUID && e.Caller == everybody && e.Uses >= 5000
	}) {
		t.Error("nobody counted those that were one too many")
	}
}

func TestReadsWhileTheStoreIsAwayAreWrittenOnceItIsBack(t *testing.T) {
	s, r := newShelf(t)
	s.setFail(errs.New(errs.Unavailable, "OUTCOME_UNKNOWN", "away"))
	r.Note(poll("a"))
	r.write(t.Context())
	first := r.waiting[0].ID
	r.Note(poll("b"))
	s.pass(time.Hour)
	settle(t, r)
	s.setFail(nil)
	settle(t, r)
	if events, reads := s.all(); len(events) != 2 || reads != 2 || events[0].ID != first {
		t.Errorf("%d events of %d reads, the first with id %s instead of %s: another id would be kept twice", len(events), reads, events[0].ID, first)
	}
}

func TestReadsThatNobodyWillTakeAreCountedAsLost(t *testing.T) {
	s, r := newShelf(t)
	s.setFail(errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "gone"))
	r.Note(poll(""))
	r.write(t.Context())
	if len(r.waiting) != 0 || s.lost != 1 {
		t.Errorf("%d wait and %d are lost", len(r.waiting), s.lost)
	}
	s.setFail(errs.New(errs.Unavailable, "NOT_RECORDED", "away"))
	for range 3 {
		r.Note(poll(""))
	}
	if err := r.Close(t.Context()); !errs.Is(err, "NOT_RECORDED") || s.lost != 4 {
		t.Errorf("closed with %v, %d lost in all", err, s.lost)
	}
}

func TestAReadThatCannotBeWrittenKeepsNoOtherFromBeing(t *testing.T) {
	s, r := newShelf(t)
	s.refuse = "id-2"
	for i := range 4 {
		in := poll("")
		in.Caller = fmt.Sprint("apikey:", i)
		r.Note(in)
	}
	r.write(t.Context())
	if events, _ := s.all(); len(events) != 3 || len(r.waiting) != 0 || s.lost != 1 {
		t.Errorf("%d events are written, %d wait, %d are lost", len(events), len(r.waiting), s.lost)
	}
}

func TestAClockThatStepsBackDoesNotEndAnHour(t *testing.T) {
	s, r := newShelf(t)
	r.Note(poll(""))
	s.pass(-2 * time.Hour)
	r.Note(poll(""))
	settle(t, r)
	s.pass(3 * time.Hour)
	settle(t, r)
	if events, reads := s.all(); len(events) != 2 || reads != 2 {
		t.Errorf("%d events tell of %d reads", len(events), reads)
	}
}

// showNothing are the methods that change nothing and show no record of people, with what they show.
var showNothing = map[string]string{
	"ListEventTypes": "the catalogue", "GetAuthenticator": "a factor as it is", "ListAuthenticators": "factors as they are",
	"ListIdentities": "links as they are", "GetKey": "a key", "ListKeys": "keys", "ExportOrganization": "the directory", "GetOrganization": "the directory",
	"ListOrganizations": "the directory", "GetConnection": "the directory", "ListConnections": "the directory", "TestConnection": "a provider's answer",
	"GetDomain": "the directory", "ListDomains": "the directory", "GetSite": "the directory", "ListSites": "the directory", "GetAccount": "the directory",
	"ListAccounts": "the directory", "Simulate": "counts", "GetPolicyImpact": "counts", "Explain": "the policy", "GetPolicy": "the policy",
	"ListPolicyRevisions": "the policy",
	"GetExport":           "how far an export is", "ListExports": "how far exports are", "GetErasure": "how far an erasure is", "ListErasures": "how far erasures are",
	"GetSavedFilter": "a filter", "ListSavedFilters": "filters",
}

func TestEveryMethodThatShowsTheRecordLeavesATrace(t *testing.T) {
	tables := []map[string]interceptor.Rule{
		signInRules(), authenticatorRules(), identityRules(), flowRules(), eventRules(), keyRules(), directoryRules(), policyRules(),
	}
	for _, rules := range tables {
		for method, rule := range rules {
			_, nothing := showNothing[method]
			switch {
			case rule.AuditRequired && rule.Reads:
				t.Errorf("%s changes something, which is an event of its own", method)
			case !rule.AuditRequired && rule.Reads == nothing:
				t.Errorf("%s changes nothing: its rule must say that it Reads, or showNothing what it shows instead of the record", method)
			}
		}
	}
}
