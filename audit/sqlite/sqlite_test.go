package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit/archivetest"
	"github.com/postern-audit/postern/audit/sqlite"
)

// backend is an archive that knows its file and its clock.
type backend struct {
	*sqlite.Archive
	path string
	now  func() time.Time
}

func (b backend) Another(t testing.TB) archivetest.Backend { return openAt(t, b.path, b.now) }

// someday is when tests happen that do not care.
func someday() time.Time { return time.UnixMilli(1_700_000_000_000).UTC() }

func open(t testing.TB, path string) backend {
	t.Helper()
	return openAt(t, path, someday)
}

func openAt(t testing.TB, path string, now func() time.Time) backend {
	t.Helper()
	a, err := sqlite.Open(t.Context(), path, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() }) //nolint:errcheck // a test may have closed it
	return backend{a, path, now}
}

func TestConformance(t *testing.T) {
	archivetest.Run(t, func(t testing.TB, now func() time.Time) archivetest.Backend {
		return openAt(t, filepath.Join(t.TempDir(), "postern.db"), now)
	})
}
