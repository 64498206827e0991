//go:build unix

package sqlite_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/postern-audit/postern/audit"
)

// TestWhatIsErasedIsInNoFile looks for what was erased in the file and its journal, while somebody's read keeps the journal in use
// and after.
func TestWhatIsErasedIsInNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	a := open(t, path)
	epoch, err := a.Take(t.Context(), 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	entries := erasable(t, 1)
	canary := []byte("a canary that is not in any other part of the file")
	for i := range entries {
		entries[i].Event.Sealed.Data = append([]byte{byte(i)}, canary...)
	}
	if _, err := a.Append(t.Context(), audit.Batch{Epoch: epoch, Entries: append(entries, erasable(t, 2)...)}); err != nil {
		t.Fatal(err)
	}
	if !stands(t, path, canary) {
		t.Fatal("the search does not see the archive")
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	reading, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reading.QueryRow(`SELECT count(*) FROM shelf`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	e := audit.Erasure{OrganizationUID: "org", Subjects: erasedIndex(1), UpTo: 1 << 30, Limit: 10}
	if erased, more, err := a.Erase(t.Context(), e); erased != erasedEvents || !more || err != nil {
		t.Errorf("beside a reader: %d erased, more %v, %v", erased, more, err)
	}
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	if erased, more, err := a.Erase(t.Context(), e); erased != 0 || more || err != nil {
		t.Errorf("afterwards: %d erased, more %v, %v", erased, more, err)
	}
	if stands(t, path, canary) || stands(t, path, erasedIndex(1)[0].Value) {
		t.Error("what was erased is in a file")
	}
	if !stands(t, path, erasedIndex(2)[0].Value) {
		t.Error("somebody else is not")
	}
}

// stands reports whether bytes are in the archive's file or its journal.
func stands(t *testing.T, path string, what []byte) bool {
	t.Helper()
	for _, name := range []string{path, path + "-wal"} {
		b, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if bytes.Contains(b, what) {
			return true
		}
	}
	return false
}
