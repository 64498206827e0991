package serve

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/postern-audit/postern/examples"
	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/config"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settings are those of a process on a directory of its own, with a path short enough for its socket.
func settings(t *testing.T) config.Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "ps")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := config.Default()
	c.DataDir, c.HTTP.Address = filepath.Join(dir, "data"), "127.0.0.1:0"
	return c
}

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAProcessServesAndLeavesNothingBehind(t *testing.T) {
	c := settings(t)
	c.Development.Reflection = true
	ctx, stop := context.WithCancel(t.Context())
	var log lines
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, c, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now, Version: "test"})
	}()
	conn, err := client.Dial("unix:" + c.SocketPath())
	if err != nil {
		t.Fatal(err)
	}
	bounded, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		r, err := conn.Health.Check(bounded, &healthpb.HealthCheckRequest{Service: "postern.v1.SignInService"})
		if err == nil && r.GetStatus() == healthpb.HealthCheckResponse_SERVING {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v\n%s", err, log.String())
		case <-bounded.Done():
			t.Fatalf("it does not serve: %v\n%s", err, log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	if _, err := conn.Directory.ApplyOrganization(bounded, &posternv1.ApplyOrganizationRequest{
		Name: "organizations/acme", Document: string(examples.Acme()), RequestId: "r1"}); err != nil {
		t.Errorf("apply: %v", err)
	}
	w, err := conn.Events.WatchEvents(bounded, &posternv1.WatchEventsRequest{Parent: "organizations/acme"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Recv(); err != nil {
		t.Errorf("watch: %v", err)
	}
	stop() // with a stream open: it is told to come back elsewhere
	if err := <-ended; err != nil {
		t.Errorf("Run() = %v\n%s", err, log.String())
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"archive.db", "embedded.snapshot", "http.key", "keysets/master.json", "keysets/hash.json"} {
		info, err := os.Stat(filepath.Join(c.DataDir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	for _, name := range []string{runningMark, "postern.sock"} {
		if _, err := os.Stat(filepath.Join(c.DataDir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}

func TestAStartThatFailsClosesWhatItHadOpened(t *testing.T) {
	c := settings(t)
	c.HTTP.Address = ""
	if err := os.MkdirAll(c.SocketPath(), 0o700); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler), Now: time.Now, Version: "test"})
	var wrong *ConfigError
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "listen.socket") {
		t.Fatalf("Run() = %v", err)
	}
	if err := os.Remove(c.SocketPath()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := Run(ctx, c, Options{Log: slog.New(slog.DiscardHandler), Now: time.Now, Version: "test"}); err == nil || !strings.Contains(err.Error(), "interrupted while starting") {
		t.Errorf("Run() after an interrupt = %v", err)
	}
}
