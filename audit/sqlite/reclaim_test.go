package sqlite_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
)

// dropAll drops everything there is and gives its space back, with an append after each piece.
func dropAll(t *testing.T, a *backend, between func(piece int)) {
	t.Helper()
	states, err := a.Shelves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range states {
		if _, ok, err := a.Drop(t.Context(), states[i].Shelf, states[i].End.AddDate(1, 0, 0)); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	for n, more := 0, true; more; n++ {
		if more, err = a.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
		between(n)
	}
}

// young makes one event a year after the others.
func young(t *testing.T, n int) audit.Entry {
	t.Helper()
	at := someday().AddDate(1, 0, 0)
	e := audit.Event{ID: fmt.Sprintf("%s-7000-8000-%012d", audit.FirstID(at), n), Type: audit.TypePolicyUpdated, Time: at, Organization: "acme", OrganizationUID: "org"}
	return audit.Entry{OutboxID: "1-0", RecordedTime: at, Event: e, Raw: encoded(t, &e)}
}

func TestSpaceComesBackInPiecesWhileTheRecordGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	now := someday()
	a := openAt(t, path, func() time.Time { return now })
	const events = 6000
	fill(t, a, events)
	pages := number(t, a, "page_count")
	epoch, err := a.Take(t.Context(), 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	pieces := 0
	dropAll(t, &a, func(n int) {
		if done, err := a.Append(t.Context(), audit.Batch{Epoch: epoch, Entries: []audit.Entry{young(t, n)}}); err != nil || done.Inserted != 1 {
			t.Fatal(done, err)
		}
		if n%5 == 2 { // whoever comes next goes on
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			a = openAt(t, path, func() time.Time { return now })
		}
		pieces++
	})
	if pieces < events*7/2000 {
		t.Errorf("%d pieces", pieces)
	}
	now = now.AddDate(1, 0, 0)
	left, err := a.Events(t.Context(), audit.Query{OrganizationUID: "org", Limit: 100})
	if err != nil || len(left) != pieces || left[0].Sequence != events+1 || left[len(left)-1].Sequence != int64(events+pieces) {
		t.Errorf("%d left, want %d, %v", len(left), pieces, err)
	}
	if free := number(t, a, "freelist_count"); free < pages*8/10 {
		t.Errorf("%d of %d pages are free", free, pages)
	}
	fill(t, a, events) // the same ids again: nothing knows them any more
	if again := number(t, a, "page_count"); again > pages*11/10 {
		t.Errorf("%d pages after %d: what was free is not used again", again, pages)
	}
}

func number(t *testing.T, a backend, pragma string) int {
	t.Helper()
	n, err := strconv.Atoi(a.Pragma(t.Context(), pragma))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhatWentIsNotInTheFileAnyMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	a := open(t, path)
	fill(t, a, 5000)
	marks := [][]byte{[]byte("site-3"), []byte("00000-00321"), []byte("unix:1000"), fmt.Appendf(nil, "%017d", 77)}
	find := func() (found []string) {
		if err := a.Close(); err != nil { // moves everything into the file itself
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range marks {
			if bytes.Contains(content, m) {
				found = append(found, string(m))
			}
		}
		a = open(t, path)
		return found
	}
	if found := find(); len(found) != len(marks) {
		t.Fatalf("the test looks for the wrong things: %v", found)
	}
	dropAll(t, &a, func(int) {})
	if found := find(); len(found) != 0 {
		t.Errorf("the file still holds %v", found)
	}
}

func TestMoreShelvesThanStatementsAreKeptFor(t *testing.T) {
	a := open(t, filepath.Join(t.TempDir(), "postern.db"))
	epoch, err := a.Take(t.Context(), 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.SetRetention(t.Context(), "org", audit.Retention{SignIn: 30, Administration: 30, Activity: 30, Hold: true}); err != nil {
		t.Fatal(err)
	}
	const shelves, rounds = 40, 3
	for round := range rounds {
		b := audit.Batch{Epoch: epoch}
		for day := range shelves {
			e := young(t, round).Event
			e.Time = someday().AddDate(0, 0, -day)
			e.ID = fmt.Sprintf("%s-7000-8000-%012d", audit.FirstID(e.Time), round)
			b.Entries = append(b.Entries, audit.Entry{OutboxID: "1-0", RecordedTime: e.Time, Event: e, Raw: encoded(t, &e)})
		}
		if done, err := a.Append(t.Context(), b); err != nil || done.Inserted != shelves {
			t.Fatal(done, err)
		}
		if n := a.KeptShelves(); n > 24 {
			t.Errorf("statements of %d shelves are prepared", n)
		}
	}
	got, err := a.Events(t.Context(), audit.Query{OrganizationUID: "org", Limit: 1000})
	if err != nil || len(got) != shelves*rounds {
		t.Fatalf("%d events, %v", len(got), err)
	}
	for i := range got {
		if got[i].Sequence != int64(i+1) {
			t.Fatalf("event %d has sequence %d", i+1, got[i].Sequence)
		}
	}
}
