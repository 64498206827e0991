package postgres_test

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit/archivetest"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
)

// backend is an archive that knows its database.
type backend struct {
	*postgres.Archive
	options postgres.Options
}

func (b backend) Another(t testing.TB) archivetest.Backend { return open(t, b.options) }

// clock is a moment at which everything the tests store is still to be kept.
func clock() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

func open(t testing.TB, o postgres.Options) backend {
	t.Helper()
	if o.Now == nil {
		o.Now = clock
	}
	a, err := postgres.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() }) //nolint:errcheck // a test may have closed it
	return backend{a, o}
}

func TestConformance(t *testing.T) {
	server := pgtest.Start(t, "fsync=off") // what survives a power cut is not asked here
	archivetest.Run(t, func(t testing.TB, now func() time.Time) archivetest.Backend {
		return open(t, postgres.Options{URL: server.Schema(), Connections: 4, Now: now})
	})
}
