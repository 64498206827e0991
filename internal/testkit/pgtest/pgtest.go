// Package pgtest gives a test a real PostgreSQL server of its own, and as many empty databases as it likes.
//
// Invariant: the server is dead, and waited for, before the test's directory is removed. It must never skip: a machine without
// PostgreSQL fails the test and says how to get it. It must never reach the binary. Read Start first; how the server is run is
// in package pgproc.
package pgtest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/internal/testkit/pgproc"
)

// Server is a PostgreSQL server that lives as long as its test. Its methods fail the test instead of returning errors.
type Server struct {
	t     testing.TB
	p     *pgproc.Process
	count atomic.Int64
}

// Start runs a server and returns once it answers: a second or two, so subtests share one and take a Database each. settings
// are lines of postgresql.conf.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	p, err := pgproc.Start(t.TempDir(), settings...)
	if err != nil { // also without PostgreSQL: a test that did not run against it has proved nothing
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("pgtest: stop: %v", err)
		}
	})
	return &Server{t: t, p: p}
}

// Database makes an empty database and returns its URL.
func (s *Server) Database() string {
	s.t.Helper()
	name := fmt.Sprintf("test%d", s.count.Add(1))
	s.Exec("postgres", "CREATE DATABASE "+name+" TEMPLATE template0")
	return s.p.URL(name)
}

// Schema makes an empty schema in a database they all share and returns the URL of a session that lives in it. It takes a
// fraction of the time a Database takes.
func (s *Server) Schema() string {
	s.t.Helper()
	name := fmt.Sprintf("test%d", s.count.Add(1))
	s.Exec("postgres", "CREATE SCHEMA "+name)
	return s.p.URL("postgres") + "&search_path=" + name
}

// Exec runs statements, as the superuser, in a database given by name or URL.
func (s *Server) Exec(database string, statements ...string) {
	s.t.Helper()
	url := database
	if !strings.Contains(database, "://") {
		url = s.p.URL(database)
	}
	conn, err := pgx.Connect(s.t.Context(), url)
	if err != nil {
		s.t.Fatalf("pgtest: %v", err)
	}
	defer func() { _ = conn.Close(s.t.Context()) }()
	for _, statement := range statements {
		if _, err := conn.Exec(s.t.Context(), statement); err != nil {
			s.t.Fatalf("pgtest: %s: %v", statement, err)
		}
	}
}

// URLAt is a database's URL (as Database gave it) over TCP at another address, such as a proxy's, as this user.
func (s *Server) URLAt(database, address, user string) string {
	s.t.Helper()
	c, err := pgx.ParseConfig(database)
	if err != nil {
		s.t.Fatalf("pgtest: %v", err)
	}
	return s.p.URLAt(address, user, c.Database)
}

// Addr is the TCP address, 127.0.0.1:port. It stays the same over Restart.
func (s *Server) Addr() string { return s.p.Addr() }

// Log is what the server has logged so far, for messages of failed tests.
func (s *Server) Log() string { return s.p.Log() }

// Kill ends all processes of the server as a crash would (SIGKILL) and returns when they are gone. Data that reached the disk
// stays.
func (s *Server) Kill() {
	s.t.Helper()
	if s.p.Pid() == 0 {
		s.t.Fatal("pgtest: Kill of a server that is down")
	}
	s.p.Kill()
}

// Restart starts the server again on the same port, socket and data, and returns once it answers; a running one is killed first.
func (s *Server) Restart() { s.t.Helper(); s.must("restart", s.p.Restart()) }

// Pause stops the server's processes (SIGSTOP): it keeps its connections and answers nothing until Resume.
func (s *Server) Pause() { s.t.Helper(); s.must("pause", s.p.Pause()) }

// Resume lets a paused server go on (SIGCONT).
func (s *Server) Resume() { s.t.Helper(); s.must("resume", s.p.Resume()) }

func (s *Server) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("pgtest: %s: %v", what, err)
	}
}

// Within calls f until it returns nil and fails the test with its last error after so long.
func Within(t testing.TB, limit time.Duration, f func() error) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("after %v: %v", limit, err)
		case <-tick.C:
		}
	}
}
