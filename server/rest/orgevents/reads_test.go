package orgevents_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/server/rest/orgevents"
)

func TestEveryAnswerThatShowsTheRecordIsARead(t *testing.T) {
	r := newRig(t)
	r.archive.add(uidA, audit.Event{Type: audit.TypeSignInSucceeded}, audit.Event{Type: audit.TypeSignInSucceeded})
	r.list("/acme/events?action=user_login&limit=20&q=mia%40guest.org", "flows")
	page := r.list("/acme/events-stream", "steps")
	r.get("/acme/events/"+page.Data[0].ID, "flows")
	// Neither shows anything of the record.
	r.get("/acme/event-actions", "flows")
	r.get("/acme/events?limit=no", "flows")
	r.get("/acme/events", "weak")
	r.get("/acme/events", "other")
	r.get("/acme/events", "nobody")
	var got []string
	for _, read := range r.reads {
		if read.Organization != "acme" || read.OrganizationUID != uidA || !strings.HasPrefix(read.Caller, "apikey:") {
			t.Errorf("read %+v", read)
		}
		got = append(got, read.Call+" "+read.Text)
	}
	want := []string{`orgevents/events {"action":["user_login"],"q":["mia@guest.org"]}`, "orgevents/events-stream ", "orgevents/event " + page.Data[0].ID}
	if !slices.Equal(got, want) {
		t.Errorf("reads %q, want %q", got, want)
	}
	if first, second := r.reads[0], r.reads[1]; first.Caller == second.Caller {
		t.Error("two keys are one reader")
	}
}

func TestWhereAPollerGoesOnIsNothingItLookedFor(t *testing.T) {
	r := newRig(t)
	for range 25 {
		r.archive.add(uidA, audit.Event{Type: audit.TypeSignInSucceeded})
	}
	page := r.list("/acme/events-stream?limit=20", "flows")
	_, cursor, ok := strings.Cut(page.Links.Next, "cursor=")
	if !ok {
		t.Fatalf("no cursor in %q", page.Links.Next)
	}
	r.list("/acme/events-stream?cursor="+cursor, "flows")
	if want := (orgevents.Read{Text: ""}); len(r.reads) != 2 || r.reads[1].Text != want.Text {
		t.Errorf("reads %+v", r.reads)
	}
}
