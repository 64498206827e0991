package redisproc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Addr is the TCP address, 127.0.0.1:port.
func (p *Process) Addr() string { return "127.0.0.1:" + strconv.Itoa(p.port) }

// Socket is the path of the unix socket.
func (p *Process) Socket() string { return filepath.Join(p.sockDir, "redis.sock") }

// URL is the TCP address as a redis:// URL, database 0.
func (p *Process) URL() string { return "redis://" + p.Addr() + "/0" }

// Pid is the running process, 0 while the server is down.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Kill ends the server as a crash would (SIGKILL, which also ends a paused one) and returns when the process is gone; a server
// that is down stays down. What reached the disk stays.
func (p *Process) Kill() {
	p.mu.Lock()
	cmd, exited := p.cmd, p.exited
	p.cmd = nil
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill() // fails only when it is gone already
	<-exited
}

// Restart kills the server if it runs and starts it again on the same port, socket and data.
func (p *Process) Restart() error {
	p.Kill()
	if err := p.run(); err != nil {
		return fmt.Errorf("restart redis-server: %w; its log:\n%s", err, p.Log())
	}
	return nil
}

// Pause stops the process (SIGSTOP): it keeps its connections and answers nothing until Resume.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on (SIGCONT).
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
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return errors.New("the server is down")
	}
	return p.cmd.Process.Signal(sig)
}
