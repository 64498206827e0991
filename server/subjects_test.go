package server_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
)

// Subjects and SubjectSites make the fake an archive of people.
func (a *archive) Subjects(_ context.Context, q audit.SubjectQuery) ([]audit.SubjectRow, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []audit.SubjectRow
	for i := range a.people {
		if r := a.people[i]; q.Fits(&r) && q.Behind(&r) && len(out) < q.Limit {
			out = append(out, r)
		}
	}
	return out, a.away
}

func (a *archive) SubjectSites(_ context.Context, _ string, x audit.Index) ([]audit.SubjectRow, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []audit.SubjectRow
	for _, r := range a.people {
		if r.Site != "" && bytes.Equal(r.Subject.Value, x.Value) {
			out = append(out, r)
		}
	}
	return out, a.away
}

// addPeople puts people on the fake's record, the last seen first, each with a row of site "portal".
func (w *world) addPeople(n int) {
	for i := range n {
		r := audit.SubjectRow{OrganizationUID: acmeUID, Subject: audit.Index{Purpose: audit.IndexAccount, Value: fmt.Appendf([]byte{0xfb, 0xff, 0xff}, "person-%02d", i)},
			Class: audit.Class(i%2) + audit.ClassExternal, First: time.Unix(1, 0), Last: time.Unix(int64(1000-i), 7), SignIns: int64(i), Methods: []string{"password"},
			Enrolled: time.Unix(5, 0), NewestEventID: fmt.Sprint("event-", i), Newest: int64(i + 1)}
		at := r
		at.Site, at.SiteUID, at.Enrolled = "portal", "uid-of-portal", time.Time{}
		w.archive.people = append(w.archive.people, r, at)
		w.archive.events = append(w.archive.events, audit.Event{ID: r.NewestEventID, Type: audit.TypeSignInSucceeded, OrganizationUID: acmeUID, Sequence: r.Newest,
			Named: true, Indexes: []audit.Index{r.Subject}, Personal: audit.Personal{AccountID: fmt.Sprint("account-", i), Email: fmt.Sprintf("p%d@partner.com", i), IP: "192.0.2.1"}})
	}
}

// shown shows who it is, and where from.
func shown(c *server.Config) {
	c.Forms.Personal = func(p *audit.Personal) *posternv1.Personal {
		return &posternv1.Personal{AccountId: p.AccountID, Email: p.Email, Ip: p.IP}
	}
}

func TestPagesOfPeople(t *testing.T) {
	w := newWorld(t, shown)
	w.addPeople(7)
	client := posternv1.NewEventServiceClient(w.dial(t))
	for _, parent := range []string{acme, acme + "/sites/portal"} {
		r := &posternv1.ListSubjectsRequest{Parent: parent, PageSize: 3}
		var who []string
		for {
			page, err := client.ListSubjects(testContext(t), r)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range page.GetSubjects() {
				who = append(who, p.GetPersonal().GetAccountId())
				if p.GetPersonal().GetIp() != "" || p.GetEnrolledTime() == nil || p.GetSite() != strings.TrimPrefix(strings.TrimPrefix(parent, acme), "/sites/") {
					t.Errorf("shown %v", p)
				}
			}
			if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
				break
			}
		}
		if got := strings.Join(who, " "); got != "account-0 account-1 account-2 account-3 account-4 account-5 account-6" {
			t.Errorf("%s: %s", parent, got)
		}
	}
}

func TestTokensOfPeopleAreGoodForTheirListOnly(t *testing.T) {
	w := newWorld(t, nil)
	w.addPeople(5)
	client := posternv1.NewEventServiceClient(w.dial(t))
	page, err := client.ListSubjects(testContext(t), &posternv1.ListSubjectsRequest{Parent: acme, PageSize: 2})
	if err != nil || page.GetNextPageToken() == "" {
		t.Fatal(page, err)
	}
	for name, r := range map[string]*posternv1.ListSubjectsRequest{
		"a site":             {Parent: acme + "/sites/portal"},
		"other organization": {Parent: "organizations/system"},
		"other filter":       {Parent: acme, Filter: &posternv1.SubjectFilter{Classes: []posternv1.Class{posternv1.Class_CLASS_EXTERNAL}}},
		"other moment":       {Parent: acme, Filter: &posternv1.SubjectFilter{SeenBefore: timestamppb.New(time.Unix(1, 0))}},
	} {
		r.PageToken = page.GetNextPageToken()
		_, err := client.ListSubjects(testContext(t), r)
		if reason, _ := reasonOf(err); reason != "TOKEN_INVALID" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = client.ListEvents(testContext(t), &posternv1.ListEventsRequest{Parent: acme, PageToken: page.GetNextPageToken()})
	failed(t, err, "INVALID_ARGUMENT", "TOKEN_INVALID")
}

func TestOnePersonWithTheirSites(t *testing.T) {
	w := newWorld(t, shown)
	w.addPeople(3)
	client := posternv1.NewEventServiceClient(w.dial(t))
	page, err := client.ListSubjects(testContext(t), &posternv1.ListSubjectsRequest{Parent: acme, PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	name := page.GetSubjects()[0].GetName()
	p, err := client.GetSubject(testContext(t), &posternv1.GetSubjectRequest{Name: name})
	if err != nil || p.GetPersonal().GetEmail() != "p0@partner.com" || len(p.GetSites()) != 1 || p.GetSites()[0].GetSite() != "portal" || p.GetNewestEvent() != acme+"/events/event-0" {
		t.Errorf("person %v, %v", p, err)
	}
	w.archive.events = nil
	if p, err = client.GetSubject(testContext(t), &posternv1.GetSubjectRequest{Name: name}); err != nil || p.GetPersonalState() != "GONE" || p.GetPersonal() != nil {
		t.Errorf("without events: %v, %v", p, err)
	}
	_, err = client.GetSubject(testContext(t), &posternv1.GetSubjectRequest{Name: acme + "/subjects/bm9ib2R5"})
	failed(t, err, "NOT_FOUND", "SUBJECT_NOT_FOUND")
	for _, bad := range []string{"", "x", acme, acme + "/subjects/", acme + "/subjects/a", acme + "/subjects/YQ==", acme + "/subjects/YR", acme + "/subjects/Y Q", acme + "/subjects/YQ/x", name + "\n"} {
		_, err = client.GetSubject(testContext(t), &posternv1.GetSubjectRequest{Name: bad})
		if reason, _ := reasonOf(err); reason != "NAME_INVALID" && reason != "FIELD_REQUIRED" && reason != "FIELD_INVALID" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// alike indexes every value alike.
type alike struct{}

func (alike) Indexes(_ string, p audit.Purpose, _ string) ([]audit.Index, error) {
	return []audit.Index{{Purpose: p, Value: []byte("i")}}, nil
}

func TestPeopleAreFoundByTheAddressTheyProved(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { shown(c); c.Query.Indexer = alike{} })
	w.addPeople(3)
	for i := range w.archive.events {
		w.archive.events[i].Type = audit.TypePasswordVerified
		w.archive.events[i].Indexes = append(w.archive.events[i].Indexes, audit.Index{Purpose: audit.IndexEmail, Value: []byte("i")})
	}
	w.archive.events[1].Named = false
	w.archive.events[2].Personal.Email = ""
	client := posternv1.NewEventServiceClient(w.dial(t))
	page, err := client.ListSubjects(testContext(t), &posternv1.ListSubjectsRequest{Parent: acme, Filter: &posternv1.SubjectFilter{Emails: []string{"p0@partner.com"}}})
	if err != nil || len(page.GetSubjects()) != 1 || page.GetSubjects()[0].GetPersonal().GetAccountId() != "account-0" {
		t.Errorf("found %v, %v", page, err)
	}
	page, err = client.ListSubjects(testContext(t), &posternv1.ListSubjectsRequest{Parent: acme, Filter: &posternv1.SubjectFilter{AccountIds: []string{"nobody"}}})
	if err != nil || len(page.GetSubjects()) != 0 {
		t.Errorf("found %v, %v", page, err)
	}
	_, err = client.ListSubjects(testContext(t), &posternv1.ListSubjectsRequest{Parent: acme, Filter: &posternv1.SubjectFilter{AccountIds: []string{"a"}, Emails: []string{"a@b.example"}}})
	failed(t, err, "INVALID_ARGUMENT", "FIELD_UNEXPECTED")
}
