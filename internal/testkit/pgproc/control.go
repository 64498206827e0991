package pgproc

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// URL names a database over the unix socket, as the cluster's superuser.
func (p *Process) URL(database string) string {
	q := url.Values{"host": {p.sockDir}, "port": {strconv.Itoa(p.port)}}
	return (&url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database, RawQuery: q.Encode()}).String()
}

// URLAt names a database over TCP at another address, as of a proxy in between, as another user.
func (p *Process) URLAt(address, user, database string) string {
	return (&url.URL{Scheme: "postgres", User: url.User(user), Host: address, Path: "/" + database, RawQuery: "sslmode=disable"}).String()
}

// Addr is the TCP address, 127.0.0.1:port.
func (p *Process) Addr() string { return "127.0.0.1:" + strconv.Itoa(p.port) }

// Pid is the running server's first process, 0 while it is down.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Kill ends all processes of the server as a crash would (SIGKILL, which also ends paused ones) and returns when they are gone;
// a server that is down stays down. What reached the disk stays.
func (p *Process) Kill() {
	p.mu.Lock()
	cmd, exited := p.cmd, p.exited
	p.cmd = nil
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	pid := cmd.Process.Pid
	workers := children(pid)
	_ = cmd.Process.Kill() // fails only when it is gone already
	for _, w := range append(workers, children(pid)...) {
		_ = syscall.Kill(w, syscall.SIGKILL)
	}
	<-exited
}

// Restart kills the server if it runs and starts it again on the same port, socket and data.
func (p *Process) Restart() error {
	p.Kill()
	// A worker that was born while its server was killed still holds the shared memory for a moment.
	deadline := time.Now().Add(upWithin)
	for {
		before := len(p.Log())
		err := p.run()
		if err == nil {
			return nil
		}
		p.Kill()
		if !strings.Contains(p.Log()[before:], "still in use") || time.Now().After(deadline) {
			return fmt.Errorf("restart PostgreSQL: %w; its log:\n%s", err, p.Log())
		}
	}
}

// Pause stops all processes of the server (SIGSTOP): it keeps its connections and answers nothing until Resume.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on (SIGCONT).
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

// Stop kills the server and removes its socket. The data directory is the caller's.
func (p *Process) Stop() error {
	p.Kill()
	return os.RemoveAll(p.sockDir)
}

// Log is what the server has logged over all its starts, for messages about failures.
func (p *Process) Log() string {
	b, err := os.ReadFile(filepath.Join(p.dir, logName))
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	return string(b)
}

func (p *Process) signal(sig syscall.Signal) error {
	pid := p.Pid()
	if pid == 0 {
		return errors.New("the server is down")
	}
	problem := syscall.Kill(pid, sig) // the first one first: it makes no new worker then
	for _, w := range children(pid) {
		if err := syscall.Kill(w, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			problem = errors.Join(problem, err)
		}
	}
	return problem
}
