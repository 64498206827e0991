package recovery_test

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
)

func TestAnHourThatWasClosedAfterTheSnapshotIsOneEvent(t *testing.T) {
	w := newWorld(t)
	o := w.apply(acme)
	for _, email := range []string{"a@guest-firm.com", "b@acme-corp.com"} {
		if err := w.cancel(w.open(email)); err != nil {
			t.Fatal(err)
		}
	}
	w.flush()
	w.save() // what follows is in no snapshot
	w.tally()
	w.killed()
	w.tally()
	var hours int
	var opened int64
	events, err := w.archive.Events(t.Context(), audit.Query{OrganizationUID: o.UID, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		if events[i].Type == audit.TypeSiteTallied {
			hours++
			opened += events[i].Tally["opened"]
		}
	}
	if hours == 0 || opened != 2 {
		t.Errorf("%d events of tallies say that %d flows were opened, want 2", hours, opened)
	}
}

// tally closes every hour there is, as the sweeper does later, and archives the events.
func (w *world) tally() {
	w.t.Helper()
	due, err := w.live.DueTallies(w.t.Context(), []int{0, 1, 2, 3}, time.Now().Add(3*time.Hour), 10)
	if err != nil || len(due) == 0 {
		w.t.Fatalf("%d hours are due, %v", len(due), err)
	}
	for _, d := range due {
		o, err := w.directory.Organization(w.t.Context(), d.OrganizationUID)
		if err != nil {
			w.t.Fatal(err)
		}
		id := d.EventID
		if id == "" {
			id = newID()
		}
		if err := w.live.CloseTally(w.t.Context(), d, audit.Event{ID: id, Type: audit.TypeSiteTallied, Time: time.Now(), Organization: o.ID,
			OrganizationUID: o.UID, Site: d.Site, SiteUID: d.SiteUID, Tally: d.Counts, TallyHour: d.Hour}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.flush()
}
