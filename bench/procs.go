package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/postern-audit/postern/internal/redisx"
)

// redisClient is the product's own, so that the floor differs in nothing but what it does.
func redisClient(addr string) (redis.UniversalClient, error) {
	return redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{addr}})
}

type process struct {
	cmd    *exec.Cmd
	target *target
}

func (p *process) stop() {
	p.target.close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // by pid; gone already is fine
	_ = p.cmd.Wait()
}

func build(ctx context.Context, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/postern") //nolint:gosec // G204: a path in a directory made here
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// startOurs runs a sidecar with these components. Archiving is asynchronous and has a case of its own.
func startOurs(ctx context.Context, binary, dir, redisAddr, components string, weak bool) (*process, error) {
	web, err := freeAddr()
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, strings.ReplaceAll(components, ",", "-")+".sock")
	cmd := exec.Command(binary, "serve")
	cmd.Env = append(os.Environ(), "POSTERN_DATA_DIR="+filepath.Join(dir, "data"), "POSTERN_REDIS_MODE=standalone", "POSTERN_REDIS_ADDRESSES="+redisAddr,
		"POSTERN_HTTP_ADDRESS="+web, "POSTERN_LISTEN_SOCKET="+socket, "POSTERN_COMPONENTS="+components, "POSTERN_LOG_LEVEL=error",
		"POSTERN_REDIS_INSECURE_NO_PERSISTENCE="+strconv.FormatBool(weak),
		"POSTERN_OUTBOUND_ALLOWED_NETWORKS=127.0.0.0/8", "POSTERN_OUTBOUND_INSECURE_ALLOW_HTTP=true") // the providers are in the benchmark
	return start(ctx, cmd, "postern", socket, "http://"+web+"/metrics", redisAddr)
}

func startFloor(ctx context.Context, dir, redisAddr string) (*process, error) {
	web, err := freeAddr()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "floor.sock")
	cmd := exec.Command(self, "floor", "--redis", redisAddr, "--socket", socket, "--http", web, //nolint:gosec // G204: this program itself
		"--state", filepath.Join(dir, "state"), "--event", filepath.Join(dir, "event"), "--answer", filepath.Join(dir, "answer"),
		"--access", filepath.Join(dir, "access"))
	return start(ctx, cmd, "floor", socket, "http://"+web+"/metrics", redisAddr)
}

// start runs a server and waits until it answers on its socket and at /metrics.
func start(ctx context.Context, cmd *exec.Cmd, name, socket, metrics, redisAddr string) (*process, error) {
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	t, err := dial(name, socket, metrics, redisAddr)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, target: t}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if up(ctx, t) {
			return p, nil
		}
		select {
		case <-ctx.Done():
			p.stop()
			return nil, fmt.Errorf("%s did not come up: %w", name, ctx.Err())
		case <-tick.C:
		}
	}
}

// up reports whether the server answers: ours says SERVING, the floor has no health service and says so.
func up(ctx context.Context, t *target) bool {
	a, err := healthpb.NewHealthClient(t.conns[0]).Check(ctx, &healthpb.HealthCheckRequest{})
	if t.name == "postern" && (err != nil || a.GetStatus() != healthpb.HealthCheckResponse_SERVING) {
		return false
	}
	if err != nil && !strings.Contains(err.Error(), "Unimplemented") {
		return false
	}
	_, err = scrape(ctx, t)
	return err == nil
}

// counters are what a server and its Redis have used so far.
type counters struct {
	trips, mallocs float64
	cpu, redisCPU  float64 // seconds of processor time of the server and of Redis
}

// scrape reads what the server counts of itself, and what Redis has used.
func scrape(ctx context.Context, t *target) (c counters, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.metrics, http.NoBody)
	if err != nil {
		return c, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return c, fmt.Errorf("%s answers %s", t.metrics, resp.Status)
	}
	lines := bufio.NewScanner(io.LimitReader(resp.Body, 4<<20))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			continue
		}
		switch {
		case name == "go_memstats_mallocs_total":
			c.mallocs = number(value)
		case name == "process_cpu_seconds_total":
			c.cpu = number(value)
		case strings.HasPrefix(name, "postern_redis_round_trips_total") && strings.Contains(name, `client="signin"`):
			c.trips = number(value)
		}
	}
	if err := lines.Err(); err != nil {
		return c, err
	}
	info, err := t.redis.Info(ctx, "cpu").Result()
	if err != nil {
		return c, fmt.Errorf("ask Redis what it used: %w", err)
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			c.redisCPU += number(value)
		}
	}
	return c, nil
}

// number reads a sample; what is none counts nothing.
func number(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return v
}
