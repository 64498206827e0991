package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/postern-audit/postern/internal/client"
)

// Sidecar is a running `postern serve` with everything it keeps in one directory.
type Sidecar struct {
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // how it ended; valid once exited is closed
}

const (
	startWithin = 30 * time.Second
	stopWithin  = 20 * time.Second
	pollEvery   = 20 * time.Millisecond
)

// Launch starts the sidecar on a new directory, with settings as `--set` takes them, and waits until it takes calls.
func Launch(ctx context.Context, binary string, settings ...string) (*Sidecar, *client.Client, error) {
	dir, err := os.MkdirTemp("", "postern-demo-")
	if err != nil {
		return nil, nil, fmt.Errorf("directory for the demo: %w", err)
	}
	s := &Sidecar{dir: dir, exited: make(chan struct{})}
	c, err := s.start(ctx, binary, settings)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start the sidecar: %w%s", err, s.lastLines()), s.Stop(), s.Remove())
	}
	return s, c, nil
}

func (s *Sidecar) start(ctx context.Context, binary string, settings []string) (*client.Client, error) {
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	// Not bound to ctx: it is stopped by hand, so that it can end in order, or left running.
	args := []string{"serve", "--data-dir", s.dir, "--set", "http.address=127.0.0.1:0", "--set", "signin.min_lifetime=1s"}
	for _, set := range settings {
		args = append(args, "--set", set)
	}
	s.cmd = exec.Command(binary, args...) //nolint:gosec,noctx // this binary itself
	s.cmd.Env = withoutSettings(os.Environ())
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C here ends the demo, and the demo ends the sidecar
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return nil, err
	}
	go func() {
		defer close(s.exited)
		s.err = s.cmd.Wait()
	}()
	c, err := client.Dial(s.address())
	if err != nil {
		return nil, err
	}
	if err := s.awaitHealthy(ctx, c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// withoutSettings removes POSTERN_ variables: the demo is the same everywhere.
func withoutSettings(environ []string) []string {
	var out []string
	for _, e := range environ {
		if !strings.HasPrefix(e, "POSTERN_") {
			out = append(out, e)
		}
	}
	return out
}

func (s *Sidecar) awaitHealthy(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		r, err := c.Health.Check(ctx, &healthpb.HealthCheckRequest{})
		if err == nil && r.GetStatus() == healthpb.HealthCheckResponse_SERVING {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("it ended: %w", s.err)
		case <-ctx.Done():
			return fmt.Errorf("it takes no calls: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

func (s *Sidecar) address() string { return "unix:" + filepath.Join(s.dir, "postern.sock") }
func (s *Sidecar) logPath() string { return filepath.Join(s.dir, "serve.log") }

// lastLines is the end of the sidecar's log, for a message.
func (s *Sidecar) lastLines() string {
	b, err := os.ReadFile(s.logPath())
	if err != nil || len(b) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return "; its log ends with:\n" + strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// Stop ends the sidecar in order and returns what it said about that.
func (s *Sidecar) Stop() error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the sidecar: %w", err)
	}
	t := time.NewTimer(stopWithin)
	defer t.Stop()
	select {
	case <-s.exited:
	case <-t.C:
		_ = s.cmd.Process.Kill() // the error below says so
		<-s.exited
		return errors.New("the sidecar did not stop in time and was killed" + s.lastLines())
	}
	if s.err != nil {
		return fmt.Errorf("the sidecar stopped badly: %w%s", s.err, s.lastLines())
	}
	return nil
}

// Remove removes everything it kept.
func (s *Sidecar) Remove() error { return os.RemoveAll(s.dir) }
