package sqlite_test

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/postern-audit/postern/audit"
)

// state is what readers and keepers see of an archive.
func state(t *testing.T, a backend) (out []any) {
	t.Helper()
	shelves, err1 := a.Shelves(t.Context())
	untold, err2 := a.Untold(t.Context(), 100)
	events, err3 := a.Events(t.Context(), audit.Query{OrganizationUID: "org", Limit: 10_000})
	flows, err4 := a.Flows(t.Context(), audit.FlowQuery{OrganizationUID: "org", Limit: 10_000})
	last, _, err5 := a.Position(t.Context(), "org")
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return []any{shelves, untold, events, flows, last, a.Tables(t.Context())}
}

// TestCutOffAtAnyStatementADropIsNone lets each table that a drop writes to refuse.
func TestCutOffAtAnyStatementADropIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	a := open(t, path)
	fill(t, a, 100)
	before := state(t, a)
	shelves, err := a.Shelves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, goes := shelves[0].Shelf, shelves[0].End.AddDate(1, 0, 0)
	for _, event := range []string{"INSERT ON pruned", "DELETE ON shelf_content", "UPDATE ON shelf", "UPDATE ON shelf_version"} {
		change(t, path, `CREATE TRIGGER stop AFTER `+event+` BEGIN SELECT RAISE(ABORT, 'cut off'); END`)
		if _, ok, err := a.Drop(t.Context(), s, goes); err == nil || ok {
			t.Errorf("%s: dropped %v, %v", event, ok, err)
		}
		change(t, path, `DROP TRIGGER stop`)
		if after := state(t, a); !reflect.DeepEqual(after, before) {
			t.Errorf("%s left something:\n%v\nbefore\n%v", event, after, before)
		}
	}
	if gone, ok, err := a.Drop(t.Context(), s, goes); err != nil || !ok || len(gone) != 1 || gone[0].Parts[0].Events != 100 {
		t.Errorf("%+v, %v, %v", gone, ok, err)
	}
}

// TestCutOffAtAnyStatementAnAppendMakesNoShelf lets each table refuse that an append to a new shelf writes to.
func TestCutOffAtAnyStatementAnAppendMakesNoShelf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	a := open(t, path)
	fill(t, a, 10)
	epoch, err := a.Take(t.Context(), 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	before := state(t, a)
	later := entries(t, 10, 10)
	for i := range later { // another shelf
		e := &later[i].Event
		e.Time = e.Time.AddDate(0, 0, 30)
		e.ID = audit.FirstID(e.Time) + e.ID[13:]
		later[i].RecordedTime, later[i].Raw = e.Time, encoded(t, e)
	}
	b := audit.Batch{Epoch: epoch, Entries: later}
	for _, event := range []string{"INSERT ON shelf", "UPDATE ON shelf_version", "INSERT ON shelf_content", "UPDATE ON organization_sequence"} {
		change(t, path, `CREATE TRIGGER stop AFTER `+event+` BEGIN SELECT RAISE(ABORT, 'cut off'); END`)
		if _, err := a.Append(t.Context(), b); err == nil {
			t.Errorf("%s: appended", event)
		}
		change(t, path, `DROP TRIGGER stop`)
		if after := state(t, a); !reflect.DeepEqual(after, before) {
			t.Errorf("%s left something:\n%v\nbefore\n%v", event, after, before)
		}
	}
	if err := a.Ahead(t.Context(), someday().AddDate(0, 0, 60)); err != nil { // takes the number the append would have had
		t.Fatal(err)
	}
	if done, err := a.Append(t.Context(), b); err != nil || done.Inserted != len(later) {
		t.Fatalf("%+v, %v", done, err)
	}
	other := open(t, path)
	if got, err := other.Events(t.Context(), audit.Query{OrganizationUID: "org", Limit: 100}); err != nil || len(got) != 20 {
		t.Errorf("%d events, %v", len(got), err)
	}
}
