package sqlite_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/sqlite"
)

// oldArchive unpacks the archive of schema 1.
func oldArchive(t testing.TB) string {
	t.Helper()
	return unpacked(t, "schema1.db.gz")
}

// unpacked is a file of testdata to work on.
func unpacked(t testing.TB, name string) string {
	t.Helper()
	packed, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "postern.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// oldOrganizations are those of oldRecord.
var oldOrganizations = []string{"0189aaaa-0000-7000-8000-00000000000a", "0189aaaa-0000-7000-8000-00000000000b", audit.SystemUID}

// oldLast is when the record of oldRecord ends.
func oldLast() time.Time { return oldBegan.Add(200 * 24 * time.Hour) }

// sameRecord fails unless the archive holds the entries, and everything that finds them does.
func sameRecord(t *testing.T, a backend, entries []audit.Entry) {
	t.Helper()
	for _, uid := range oldOrganizations {
		if err := a.SetRetention(t.Context(), uid, audit.Retention{SignIn: 1, Administration: 1, Activity: 1, Hold: true}); err != nil {
			t.Fatal(err)
		}
		var want []audit.Event
		flows := map[string]*audit.FlowRow{}
		for i := range entries {
			if e := entries[i].Event; e.OrganizationUID == uid {
				e.RecordedTime, e.Sequence = entries[i].RecordedTime, int64(len(want)+1)
				want = append(want, e)
				if flows[e.Flow] == nil {
					flows[e.Flow] = &audit.FlowRow{}
				}
				flows[e.Flow].Apply(&e)
			}
		}
		delete(flows, "")
		got, err := a.Events(t.Context(), audit.Query{OrganizationUID: uid, Limit: 1000})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %d events, want %d, %v", uid, len(got), len(want), err)
		}
		for i := range want {
			if e, err := a.Event(t.Context(), uid, want[i].ID); err != nil || !reflect.DeepEqual(e, want[i]) {
				t.Errorf("%s: %+v, %v", want[i].ID, e, err)
			}
		}
		sameFlows(t, a, uid, flows)
	}
}

func sameFlows(t *testing.T, a backend, uid string, want map[string]*audit.FlowRow) {
	t.Helper()
	got, err := a.Flows(t.Context(), audit.FlowQuery{OrganizationUID: uid, Limit: 1000})
	if err != nil || len(got) != len(want) {
		t.Fatalf("%s: %d flows, want %d, %v", uid, len(got), len(want), err)
	}
	for i := range got {
		if !reflect.DeepEqual(&got[i], want[got[i].ID]) {
			t.Errorf("flow %+v\nwant %+v", got[i], want[got[i].ID])
		}
		if row, events, err := a.Flow(t.Context(), uid, got[i].SupportCode); err != nil || row.ID != got[i].ID || len(events) != row.LastStep {
			t.Errorf("flow %s by its code: %s with %d events, %v", got[i].ID, row.ID, len(events), err)
		}
	}
}

func TestAnArchiveOfSchema1IsTakenOverWhole(t *testing.T) {
	entries := oldRecord(t)
	now := oldLast()
	a := openAt(t, oldArchive(t), func() time.Time { return now })
	epoch, err := a.Take(t.Context(), 0, "new")
	if err != nil {
		t.Fatal(err)
	}
	if done, err := a.Append(t.Context(), audit.Batch{Epoch: epoch, Entries: entries}); err != nil || done != (audit.Appended{Duplicates: len(entries)}) {
		t.Errorf("the same record again: %+v, %v", done, err)
	}
	states, err := a.Shelves(t.Context())
	if err != nil || len(states) != 1 || states[0].Keep != audit.DefaultRetention || states[0].Start.After(oldBegan) || states[0].End.Before(oldLast().Add(-48*time.Hour)) {
		t.Fatalf("shelves %+v, %v", states, err)
	}
	// What is past the standard retention is not shown from the start.
	shown, err := a.Events(t.Context(), audit.Query{OrganizationUID: oldOrganizations[0], Limit: 1000})
	edge := now.Add(-audit.DefaultRetention * 24 * time.Hour)
	if err != nil || len(shown) == 0 || slices.ContainsFunc(shown, func(e audit.Event) bool { return e.Time.Before(edge) }) {
		t.Errorf("%d events shown, %v", len(shown), err)
	}
	sameRecord(t, a, entries)
	if open, err := a.OpenFlows(t.Context(), 0, "", 100); err != nil || len(open) != 20 {
		t.Errorf("%d open flows, %v", len(open), err)
	}
	if r, err := a.Revisions(t.Context()); err != nil || r[oldOrganizations[0]] != 197 {
		t.Errorf("revisions %v, %v", r, err)
	}
	goesOn(t, a, epoch, entries, states[0])
}

// goesOn lets an open flow of the old record end, and then the old record go.
func goesOn(t *testing.T, a backend, epoch audit.Epoch, entries []audit.Entry, old audit.ShelfState) {
	t.Helper()
	start := entries[0].Event
	for i := range entries {
		if e := entries[i].Event; e.Type == audit.TypeSignInStarted && (i+1 == len(entries) || entries[i+1].Event.Flow != e.Flow) {
			start = e
		}
	}
	last := entries[0]
	last.Event = start
	last.Event.ID, last.Event.Step, last.Event.Type, last.Event.Time = oldID(start.Time, 99_999), 2, audit.TypeSignInAbandoned, start.Time.Add(time.Hour)
	forked := last
	forked.Event.ID, forked.Event.Step, forked.Event.Type = oldID(start.Time, 99_998), 1, audit.TypePasswordRejected
	batch := audit.Batch{Epoch: epoch}
	for _, e := range []audit.Entry{last, forked} {
		e.RecordedTime, e.Raw = start.Time.Add(2*time.Hour), encoded(t, &e.Event)
		batch.Entries = append(batch.Entries, e)
	}
	if done, err := a.Append(t.Context(), batch); err != nil || done != (audit.Appended{Inserted: 2, Forked: 1}) {
		t.Fatalf("%+v, %v", done, err)
	}
	row, events, err := a.Flow(t.Context(), start.OrganizationUID, start.Flow)
	if err != nil || row.Ending != audit.EndingAbandoned || len(events) != 3 {
		t.Errorf("%+v with %d events, %v", row, len(events), err)
	}
	for _, uid := range oldOrganizations {
		if err := a.SetRetention(t.Context(), uid, audit.StandardRetention()); err != nil {
			t.Fatal(err)
		}
	}
	goes := old.End.Add(audit.DefaultRetention * 24 * time.Hour)
	if _, ok, err := a.Drop(t.Context(), old.Shelf, goes.Add(-time.Millisecond)); err != nil || ok {
		t.Errorf("dropped too early: %v, %v", ok, err)
	}
	gone, ok, err := a.Drop(t.Context(), old.Shelf, goes)
	if err != nil || !ok || len(gone) != 3 || gone[0].Organization != "acme" || gone[1].Organization != "bolt" || gone[2].Organization != audit.SystemID {
		t.Fatalf("%+v, %v, %v", gone, ok, err)
	}
	for more := true; more; {
		if more, err = a.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if tables := a.Tables(t.Context()); slices.Contains(tables, "event") || slices.Contains(tables, "flow_index") {
		t.Errorf("tables left: %v", tables)
	}
	if got, err := a.Events(t.Context(), audit.Query{OrganizationUID: start.OrganizationUID, Limit: 10}); err != nil || len(got) != 2 {
		t.Errorf("%d events left to see, want the two that came later, %v", len(got), err)
	}
}

func TestAnArchiveWhoseMigrationWasCutOffIsAsItWas(t *testing.T) {
	path := oldArchive(t)
	change(t, path, `CREATE TRIGGER stop BEFORE UPDATE OF flags ON event BEGIN SELECT RAISE(ABORT, 'cut off'); END`)
	for range 2 {
		if a, err := sqlite.Open(t.Context(), path, oldLast); err == nil {
			a.Close() //nolint:errcheck // it should not be open at all
			t.Fatal("a migration that cannot end was taken for done")
		}
	}
	change(t, path, `DROP TRIGGER stop`)
	sameRecord(t, openAt(t, path, oldLast), oldRecord(t))
}
