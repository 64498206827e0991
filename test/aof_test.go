package test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// What promise 1 rests on is looked at all the time: somebody who turns it off while the process runs makes it not ready, and
// who turns it on again makes it ready, without a restart.
func TestARedisThatIsMadeWeakWhileItRunsMakesTheProcessNotReady(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", "signin", "archiver", "api")
	redis := r.redis.Client()
	set := func(name, value string) {
		t.Helper()
		if err := redis.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	// within is the interval of the checks with time to spare for a busy machine.
	within := func(want healthpb.HealthCheckResponse_ServingStatus, reason string) {
		t.Helper()
		if err := eventually(40*time.Second, func(ctx context.Context) error {
			a, err := healthpb.NewHealthClient(p.conn).Check(ctx, &healthpb.HealthCheckRequest{})
			if err != nil || a.GetStatus() != want {
				return fmt.Errorf("health is %s, %w", a.GetStatus(), err)
			}
			if reason != "" && len(p.logged(reason)) == 0 {
				return errors.New("the log does not say " + reason)
			}
			return nil
		}); err != nil {
			t.Fatalf("want %s: %v", want, err)
		}
	}
	set("appendonly", "no")
	within(healthpb.HealthCheckResponse_NOT_SERVING, "REDIS_NO_APPENDONLY")
	set("appendonly", "yes")
	set("maxmemory-policy", "allkeys-lru")
	within(healthpb.HealthCheckResponse_NOT_SERVING, "REDIS_EVICTING")
	set("maxmemory-policy", "noeviction")
	within(healthpb.HealthCheckResponse_SERVING, "")
}
