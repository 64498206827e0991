package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/testkit/redistest"
)

func TestAClockThatIsFarFromRedisMakesAProcessNotReady(t *testing.T) {
	server := redistest.Start(t)
	c := settings(t)
	c.HTTP.Address, c.Redis.Mode, c.Redis.Addresses = "", "standalone", []string{server.Addr()}
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	ctx, stop := context.WithCancel(t.Context())
	var log lines
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, c, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Now: now, Version: "test"})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v\n%s", err, log.String())
		}
	}()
	conn, err := client.Dial("unix:" + c.SocketPath())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// health waits until the process says so, and fails when it says the opposite for as long.
	health := func(when string, want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for got := errors.New("no answer yet"); got != nil; {
			a, err := conn.Health.Check(bounded, &healthpb.HealthCheckRequest{Service: "postern.v1.SignInService"})
			if got = err; err == nil && a.GetStatus() != want {
				got = fmt.Errorf("health is %s", a.GetStatus())
			}
			select {
			case <-bounded.Done():
				t.Fatalf("%s: %v\n%s", when, got, log.String())
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	health("at first", healthpb.HealthCheckResponse_SERVING)
	ahead.Store(int64(1500 * time.Millisecond))
	health("1.5 s ahead", healthpb.HealthCheckResponse_NOT_SERVING)
	ahead.Store(int64(500 * time.Millisecond))
	health("0.5 s ahead", healthpb.HealthCheckResponse_SERVING)
	ahead.Store(int64(-1500 * time.Millisecond))
	health("1.5 s behind", healthpb.HealthCheckResponse_NOT_SERVING)
	ahead.Store(0)
	health("set right", healthpb.HealthCheckResponse_SERVING)
}
