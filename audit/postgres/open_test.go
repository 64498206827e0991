package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
)

func TestAnArchiveOfANewerBinaryIsRefused(t *testing.T) {
	o := postgres.Options{URL: pgtest.Start(t, "fsync=off").Schema(), Now: clock}
	a := open(t, o)
	if err := a.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`); err != nil {
		t.Fatal(err)
	}
	_, err := postgres.Open(t.Context(), o)
	if errs.KindOf(err) != errs.FailedPrecondition || !errs.Is(err, "ARCHIVE_NEWER") {
		t.Errorf("got %v", err)
	}
}

func TestSeveralProcessesMayOpenANewArchiveAtOnce(t *testing.T) {
	o := postgres.Options{URL: pgtest.Start(t, "fsync=off").Schema(), Now: clock}
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		wg.Go(func() {
			a, err := postgres.Open(t.Context(), o)
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

// TestARoleThatMayOnlyReadOpensAndReads is the api component of an installation that trusts it with no more.
func TestARoleThatMayOnlyReadOpensAndReads(t *testing.T) {
	server := pgtest.Start(t, "fsync=off")
	owner := server.Database()
	a := open(t, postgres.Options{URL: owner})
	server.Exec(owner, `CREATE ROLE reader LOGIN`, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader`,
		`ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader`)
	fill(t, a, 20) // its shelf is made after that
	r := open(t, postgres.Options{URL: server.URLAt(owner, server.Addr(), "reader")})
	if events, err := r.Events(t.Context(), audit.Query{OrganizationUID: "org", Limit: 100, Match: audit.Match{Sites: []string{"site-1"}}}); err != nil || len(events) == 0 {
		t.Errorf("%d events, %v", len(events), err)
	}
	_, err := r.Take(t.Context(), 0, "reader")
	if e := errs.As(err); e == nil || e.Kind != errs.Unavailable || strings.Contains(strings.ToLower(e.Public), "permission") {
		t.Errorf("a reader takes a partition: %v", err)
	}
}

func TestWhatCannotBeOpenedSaysSoWithoutTheDriversWords(t *testing.T) {
	server := pgtest.Start(t, "fsync=off")
	good := server.Database()
	other := strings.Replace(good, "/test", "/nothing", 1)
	for name, c := range map[string]struct{ url, reason string }{
		"no server":   {"postgres://tops3cret@127.0.0.1:1/x", "ARCHIVE_UNAVAILABLE"},
		"no database": {other, "ARCHIVE_UNAVAILABLE"},
		"no user":     {server.URLAt(good, server.Addr(), "tops3cret"), "ARCHIVE_UNAVAILABLE"},
		"no url":      {"", "ARCHIVE_URL_INVALID"},
		"garbage":     {"postgres://tops3cret:tops3cret@[::1/%zz", "ARCHIVE_URL_INVALID"},
		"port":        {"postgres://u:tops3cret@h:99999/x", "ARCHIVE_URL_INVALID"},
	} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: c.url, Now: clock})
		e := errs.As(err)
		if e == nil || e.Reason != c.reason {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, word := range []string{"tops3cret", "pgx", "sqlstate", "failed to connect", "127.0.0.1"} {
			if strings.Contains(strings.ToLower(e.Public), word) {
				t.Errorf("%s: the caller reads %q", name, e.Public)
			}
		}
		if c.reason == "ARCHIVE_URL_INVALID" && strings.Contains(err.Error(), "tops3cret") {
			t.Errorf("%s: the log reads %v", name, err)
		}
	}
}

func TestAServerThatDoesNotKeepWhatItTakesIsFound(t *testing.T) {
	server := pgtest.Start(t, "fsync=off", "full_page_writes=off")
	server.Exec("postgres", `CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0`)
	found := map[string]bool{}
	a := open(t, postgres.Options{URL: server.Database() + "&synchronous_commit=off"})
	check := func(a *postgres.Archive) {
		problems, err := a.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			found[string(p.Code)] = p.Durability()
		}
	}
	check(a.Archive)
	ascii, err := postgres.Connect(t.Context(), postgres.Options{URL: strings.Replace(server.Database(), "/test2", "/ascii", 1), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer ascii.Close()
	check(ascii)
	for code, durability := range map[string]bool{"FSYNC_OFF": true, "FULL_PAGE_WRITES_OFF": true, "SYNCHRONOUS_COMMIT_OFF": true, "ENCODING_NOT_UTF8": false} {
		if got, ok := found[code]; !ok || got != durability {
			t.Errorf("%s: found %v, of durability %v", code, ok, got)
		}
	}
	if problems, err := open(t, postgres.Options{URL: pgtest.Start(t).Database()}).Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("a server as it is installed has %v, %v", problems, err)
	}
}

// TestTheNextHostIsTriedWhenOneIsGone is a fail-over as the driver sees it.
func TestTheNextHostIsTriedWhenOneIsGone(t *testing.T) {
	server := pgtest.Start(t, "fsync=off")
	good := server.Database()
	u, err := url.Parse(server.URLAt(good, server.Addr(), "postern"))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = "127.0.0.1:1," + u.Host
	a := open(t, postgres.Options{URL: u.String()})
	fill(t, a, 5)
}

// TestTransactionsThatWriteSayHowLongTheyMayTake: locks of a process that was stopped in the middle of one do not hold up the next
// one for ever. The story of an archiver that sleeps shows the rest.
func TestTransactionsThatWriteSayHowLongTheyMayTake(t *testing.T) {
	server := pgtest.Start(t, "fsync=off")
	var at seen
	a, err := postgres.OpenTraced(t.Context(), postgres.Options{URL: server.Schema(), Now: clock}, &at)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Take(t.Context(), 0, "x"); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(at.texts, "\n")
	for _, want := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is not set in\n%s", want, all)
		}
	}
}

// seen keeps the text of every statement.
type seen struct{ texts []string }

func (s *seen) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	s.texts = append(s.texts, d.SQL)
	return ctx
}
func (s *seen) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
