package redistest

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Addr is the TCP address, 127.0.0.1:port. It stays the same over Restart.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// Socket is the path of the unix socket. It stays the same over Restart.
func (s *Server) Socket() string { return s.sock }

// URL is the address as a redis:// URL, database 0.
func (s *Server) URL() string { return "redis://" + s.Addr() + "/0" }

// Pid is the running process, 0 while the server is down.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// Client is a new client of this server, without retries, so that a test sees each failure once. It is closed when the test
// ends.
func (s *Server) Client() *redis.Client {
	c := redis.NewClient(s.options())
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Kill ends the server as a crash would (SIGKILL) and returns when the process is gone. Data that reached the disk stays.
func (s *Server) Kill() {
	s.t.Helper()
	if s.Pid() == 0 {
		s.t.Fatal("redistest: Kill of a server that is down")
	}
	s.kill()
}

// Restart starts the server again on the same port, socket and data, and returns once it answers; a running one is killed
// first.
func (s *Server) Restart() {
	s.t.Helper()
	s.kill()
	if err := s.run(); err != nil {
		s.t.Fatalf("redistest: restart: %v\n%s", err, s.Log())
	}
}

// Pause stops the process (SIGSTOP): it keeps its connections and answers nothing until Resume.
func (s *Server) Pause() { s.t.Helper(); s.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on (SIGCONT).
func (s *Server) Resume() { s.t.Helper(); s.signal(syscall.SIGCONT) }

// Log is what the server has logged so far, over all its starts, for messages of failed tests.
func (s *Server) Log() string {
	b, err := os.ReadFile(filepath.Join(s.dir, logName))
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	return string(b)
}
