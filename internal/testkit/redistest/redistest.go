// Package redistest gives a test a real redis-server of its own.
//
// Invariant: the server is dead, and waited for, before the test's directory is removed. It must never skip: a machine without
// redis-server fails the test and says how to get it. It must never reach the binary. Read Start first; how the process is run
// is in package redisproc, with the options.
package redistest

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/internal/testkit/redisproc"
)

// Option changes one thing about a server before it starts.
type Option = redisproc.Option

// Set gives one redis-server setting by its name in redis.conf.
func Set(name, value string) Option { return redisproc.Set(name, value) }

// FsyncEverySecond makes the append-only file reach the disk once a second.
func FsyncEverySecond() Option { return redisproc.FsyncEverySecond() }

// NoPersistence switches the append-only file off: nothing survives Kill.
func NoPersistence() Option { return redisproc.NoPersistence() }

// Server is a redis-server that lives as long as its test. Its methods fail the test instead of returning errors.
type Server struct {
	t testing.TB
	p *redisproc.Process
}

// Start runs a redis-server and returns once it answers PING: append-only file, fsync on every write, nothing evicted, unless
// an option says otherwise. A few tens of milliseconds; every test takes its own.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	p, err := redisproc.Start(t.TempDir(), opts...)
	if err != nil { // also without a redis-server: a test that did not run against Redis has proved nothing
		t.Fatalf("redistest: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("redistest: stop: %v", err)
		}
	})
	return &Server{t: t, p: p}
}

// Addr is the TCP address, 127.0.0.1:port. It stays the same over Restart.
func (s *Server) Addr() string { return s.p.Addr() }

// Socket is the path of the unix socket. It stays the same over Restart.
func (s *Server) Socket() string { return s.p.Socket() }

// URL is the address as a redis:// URL, database 0.
func (s *Server) URL() string { return s.p.URL() }

// Pid is the running process, 0 while the server is down.
func (s *Server) Pid() int { return s.p.Pid() }

// Log is what the server has logged so far, for messages of failed tests.
func (s *Server) Log() string { return s.p.Log() }

// Client is a new client without retries, so that a test sees each failure once. It is closed when the test ends.
func (s *Server) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1, DialTimeout: time.Second, ContextTimeoutEnabled: true})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Kill ends the server as a crash would (SIGKILL) and returns when the process is gone. Data that reached the disk stays.
func (s *Server) Kill() {
	s.t.Helper()
	if s.Pid() == 0 {
		s.t.Fatal("redistest: Kill of a server that is down")
	}
	s.p.Kill()
}

// Restart starts the server again on the same port, socket and data, and returns once it answers; a running one is killed
// first.
func (s *Server) Restart() { s.t.Helper(); s.must("restart", s.p.Restart()) }

// Pause stops the process (SIGSTOP): it keeps its connections and answers nothing until Resume.
func (s *Server) Pause() { s.t.Helper(); s.must("pause", s.p.Pause()) }

// Resume lets a paused process go on (SIGCONT).
func (s *Server) Resume() { s.t.Helper(); s.must("resume", s.p.Resume()) }

func (s *Server) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("redistest: %s: %v", what, err)
	}
}
