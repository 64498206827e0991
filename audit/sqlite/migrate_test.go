package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/internal/errs"
)

func TestAnArchiveOfANewerBinaryIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	a := open(t, path)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`)
	_, err := sqlite.Open(t.Context(), path, someday)
	if errs.KindOf(err) != errs.FailedPrecondition || !errs.Is(err, "ARCHIVE_NEWER") {
		t.Errorf("got %v", err)
	}
}

// change runs a statement behind the archive's back.
func change(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestSeveralProcessesMayOpenANewArchiveAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		wg.Go(func() {
			a, err := sqlite.Open(t.Context(), path, someday)
			if err == nil {
				_, err = a.Take(t.Context(), 0, "x")
				err = errors.Join(err, a.Close())
			}
			results <- err
		})
	}
	wg.Wait()
	close(results)
	for err := range results {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestThePathIsTakenAsItStands(t *testing.T) {
	for _, name := range []string{"a b.db", "a?mode=memory", "a#b", "a%20b", "ä'\"$;.db", "file:x"} {
		path := filepath.Join(t.TempDir(), name)
		open(t, path)
		if info, err := os.Stat(path); err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
			t.Errorf("%q: %v, %v", name, info, err)
		}
		for _, suffix := range []string{"-wal", "-shm"} {
			if info, err := os.Stat(path + suffix); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%q%s: %v, %v", name, suffix, info, err)
			}
		}
	}
}

func TestWhatCannotBeOpenedSaysSoWithoutTheDriversWords(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no archive ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, reason := range map[string]string{
		garbage:                               "ARCHIVE_DAMAGED",
		dir:                                   "ARCHIVE_UNAVAILABLE",
		filepath.Join(dir, "missing", "x.db"): "ARCHIVE_UNAVAILABLE",
	} {
		_, err := sqlite.Open(t.Context(), path, someday)
		e := errs.As(err)
		if e == nil || e.Reason != reason {
			t.Errorf("%s: %v", path, err)
			continue
		}
		for _, word := range []string{"sqlite", "goose", "database", dir} {
			if strings.Contains(strings.ToLower(e.Public), word) {
				t.Errorf("%s: the caller reads %q", path, e.Public)
			}
		}
	}
}

func TestCommitsAreSynced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	a := open(t, path)
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "5000"} {
		if got := a.Pragma(context.Background(), pragma); got != want {
			t.Errorf("%s is %q on the writing connection, want %q", pragma, got, want)
		}
	}
}
