package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/postern-audit/postern/audit/archivetest"
	"github.com/postern-audit/postern/audit/sqlite"
)

// backend is an archive that knows its file.
type backend struct {
	*sqlite.Archive
	path string
}

func (b backend) Another(t testing.TB) archivetest.Backend { return open(t, b.path) }

func open(t testing.TB, path string) backend {
	t.Helper()
	a, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() }) //nolint:errcheck // a test may have closed it
	return backend{a, path}
}

func TestConformance(t *testing.T) {
	archivetest.Run(t, func(t testing.TB) archivetest.Backend { return open(t, filepath.Join(t.TempDir(), "postern.db")) })
}
