// Package redistest starts real redis-server processes for tests.
//
// Invariant: every test that asks gets a server of its own, on a free loopback port and a unix socket, with its data in the
// test's own directory; it is dead, and waited for, before the test's directory is removed. The default is the set-up that
// Postern's promises need: append-only file, fsync on every write, nothing evicted.
//
// It must never skip: a machine without redis-server fails the test and says how to get it (`make test` installs it). It must
// never touch a server it did not start, and never reach the binary. Read Start first.
package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	upWithin   = 30 * time.Second // generous: a loaded machine replays an append-only file slowly
	pollEvery  = 5 * time.Millisecond
	portsTried = 10
)

// Server is one redis-server process and what is needed to stop it, break it and start it again. Its methods fail the test
// instead of returning errors. They may be called from any goroutine, but Kill, Restart, Pause and Resume only one at a time.
type Server struct {
	t    testing.TB
	conf config
	bin  string
	dir  string // data and log
	sock string // outside dir: the path of a unix socket is limited to about 100 bytes
	port int

	mu     sync.Mutex
	cmd    *exec.Cmd // nil while the server is down
	exited chan struct{}
}

// Start runs a redis-server and returns once it answers PING. It is killed when the test ends.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	sockDir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		t.Fatalf("redistest: directory for the socket: %v", err)
	}
	s := &Server{
		t: t, conf: newConfig(opts), bin: binary(t),
		dir: t.TempDir(), sock: filepath.Join(sockDir, "redis.sock"),
	}
	t.Cleanup(func() {
		s.kill()
		if err := os.RemoveAll(sockDir); err != nil {
			t.Errorf("redistest: remove the socket's directory: %v", err)
		}
	})
	// Between choosing a free port and binding it another process may take it: then choose again.
	for range portsTried {
		s.port = freePort(t)
		if err = s.run(); err == nil {
			return s
		}
		s.kill()
		if !s.lostPort() {
			break
		}
	}
	s.t.Fatalf("redistest: redis-server did not start: %v\n%s", err, s.Log())
	return nil
}

// binary finds redis-server, or ends the test: a test that silently did not run against Redis has proved nothing.
func binary(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		const how = "`make test` installs it; by hand: apt-get install redis-server, or brew install redis"
		if os.Getenv("REQUIRE_BACKENDS") == "1" {
			t.Fatalf("REQUIRE_BACKENDS=1, but there is no redis-server on PATH (%v): %s", err, how)
		}
		t.Fatalf("this test runs against a real redis-server and there is none on PATH (%v): %s", err, how)
	}
	return path
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("redistest: find a free port: %v", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// run starts the process on the chosen port and waits until it answers.
func (s *Server) run() error {
	// A killed server leaves its socket file; with it there, "the socket answers" could mean the wrong thing.
	if err := os.Remove(s.sock); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the old socket: %w", err)
	}
	cmd := exec.Command(s.bin, s.conf.args(s.port, s.sock, s.dir)...)
	cmd.Dir = s.dir
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.bin, err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // how it ended is in its log
	}()
	s.mu.Lock()
	s.cmd, s.exited = cmd, exited
	s.mu.Unlock()
	return s.awaitPing(cmd.Process.Pid, exited)
}

// awaitPing waits until the server with this pid answers on its TCP port. The pid is compared because another server could
// have taken the port first, and a test must never talk to that one.
func (s *Server) awaitPing(pid int, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), upWithin)
	defer cancel()
	client := redis.NewClient(s.options())
	defer func() { _ = client.Close() }()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last error
	for {
		if last = ready(ctx, client, pid); last == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("the process ended: %w", last)
		case <-ctx.Done():
			return fmt.Errorf("no answer within %v: %w", upWithin, last)
		case <-tick.C:
		}
	}
}

func ready(ctx context.Context, client *redis.Client, pid int) error {
	if err := client.Ping(ctx).Err(); err != nil { // also refuses while the append-only file is being loaded
		return err
	}
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return err
	}
	if !bytes.Contains([]byte(info), []byte("process_id:"+strconv.Itoa(pid)+"\r\n")) {
		return errors.New("another redis-server answers on this port")
	}
	return nil
}

func (s *Server) options() *redis.Options {
	return &redis.Options{Addr: s.Addr(), MaxRetries: -1, DialTimeout: time.Second, ContextTimeoutEnabled: true}
}

// lostPort says whether the last start failed because the port was taken.
func (s *Server) lostPort() bool {
	return bytes.Contains([]byte(s.Log()), []byte("bind: Address already in use"))
}

// kill ends the process if it runs and waits until it is gone. SIGKILL also ends a stopped process.
func (s *Server) kill() {
	s.mu.Lock()
	cmd, exited := s.cmd, s.exited
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill() // fails only when it is gone already
	<-exited
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		s.t.Fatalf("redistest: %v to a server that is down", sig)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("redistest: %v: %v", sig, err)
	}
}
