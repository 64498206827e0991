package postgres_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
)

func forgettable(n int) []audit.Index {
	return []audit.Index{{Purpose: audit.IndexAccount, Value: fmt.Appendf(nil, "person-%d", n)}}
}

// signInOf is the sign-in of one person, with an event that does not name anybody, and a commit of a directory.
func signInOf(t *testing.T, n int) []audit.Entry {
	t.Helper()
	var out []audit.Entry
	for i, kind := range []audit.Type{audit.TypeSignInStarted, audit.TypePasswordVerified, audit.TypeSignInSucceeded} {
		e := audit.Event{ID: eventID(clock(), i, n), Type: kind, Time: clock(), Organization: "org", OrganizationUID: "org", Flow: eventID(clock(), 9, n), Step: i + 1,
			Directory: &audit.DirectoryWrite{Organization: []byte("record")},
			Sealed:    &audit.Sealed{Salt: make([]byte, 16), Data: make([]byte, 200), Digest: make([]byte, 32)}}
		if i > 0 {
			e.Indexes = forgettable(n)
		}
		raw, err := codec.New(nil).Encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, audit.Entry{OutboxID: "1-0", RecordedTime: clock(), Event: e, Raw: raw})
	}
	return out
}

// forgotten reports whether a person is forgotten; anything in between fails.
func forgotten(t *testing.T, a *postgres.Archive, n int) bool {
	t.Helper()
	events, err := a.Events(t.Context(), audit.Query{OrganizationUID: "org", After: int64(3 * n), UpTo: int64(3*n + 3), Limit: 3})
	if err != nil || len(events) != 3 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	left, kept := 0, 0
	for i := range events {
		if len(events[i].Sealed.Data) > 0 {
			left++
		}
		v, err := a.OrganizationAt(t.Context(), "org", audit.DirectoryCommit{Sequence: events[i].Sequence})
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Event.Sealed.Data) > 0 {
			kept++
		}
	}
	found, err := a.Events(t.Context(), audit.Query{OrganizationUID: "org", Limit: 10, Match: audit.Match{Subjects: forgettable(n)}})
	flows, errFlows := a.Flows(t.Context(), audit.FlowQuery{OrganizationUID: "org", Limit: 10, FlowMatch: audit.FlowMatch{Subjects: forgettable(n)}})
	if err := errors.Join(err, errFlows); err != nil {
		t.Fatal(err)
	}
	gone := left+kept+len(found)+len(flows) == 0
	if whole := left == 3 && kept == 3 && len(found) == 2 && len(flows) == 1; gone == whole {
		t.Fatalf("person %d is half forgotten: %d parts, %d in the history, found in %d events and %d flows", n, left, kept, len(found), len(flows))
	}
	return gone
}

// TestAnErasureBrokenBetweenAnyTwoStatements cuts the connection at every moment of an erasure: all of it happened, or nothing.
func TestAnErasureBrokenBetweenAnyTwoStatements(t *testing.T) {
	server := pgtest.Start(t, "fsync=off")
	var at breaker
	a, err := postgres.OpenTraced(t.Context(), postgres.Options{URL: server.Database(), Now: clock}, &at)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	epoch, err := a.Take(t.Context(), 0, "one")
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		if _, err := a.Append(t.Context(), audit.Batch{Epoch: epoch, Entries: signInOf(t, n)}); err != nil {
			t.Fatal(err)
		}
		e := audit.Erasure{OrganizationUID: "org", Subjects: forgettable(n), UpTo: 1 << 30, Limit: 1}
		at.arm(n+1, func(c *pgx.Conn) { _ = c.PgConn().Conn().Close() })
		erased, _, err := a.Erase(t.Context(), e)
		fired := at.fired()
		pgtest.Within(t, time.Minute, func() error { // the pool finds out that the connection is gone
			_, _, err := a.Position(t.Context(), "org")
			return err
		})
		if gone := forgotten(t, a, n); err == nil && (!gone || erased != 3) {
			t.Fatalf("break %d: the call says that it erased %d, and it did not", n+1, erased)
		}
		for range 2 { // whoever calls again goes on
			if _, _, err := a.Erase(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if !forgotten(t, a, n) {
			t.Fatalf("break %d: calling again did not go on", n+1)
		}
		if !fired {
			if n < 10 {
				t.Errorf("only %d moments", n)
			}
			return
		}
	}
}
