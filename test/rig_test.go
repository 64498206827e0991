package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/postern-audit/postern/internal/testkit/pgtest"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "postern-story")
	if err != nil {
		panic(err) // there is no test yet that could fail
	}
	buildDir = dir
	m.Run()
	_ = os.RemoveAll(dir)
}

// binary builds the product once per run.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "postern")
	cmd := exec.Command("go", "build", "-o", path, "../cmd/postern")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// rig is one installation: a Redis, a data directory with keys and archive, and any number of processes on it.
type rig struct {
	t        *testing.T
	redis    *redistest.Server
	postgres *pgtest.Server // nil with a SQLite archive
	data     string
	env      []string
}

func newRig(t *testing.T, env ...string) *rig {
	t.Helper()
	return &rig{t: t, redis: redistest.Start(t), data: t.TempDir(), env: env}
}

// newPostgresRig is newRig with the archive in a PostgreSQL of its own.
func newPostgresRig(t *testing.T, env ...string) *rig {
	t.Helper()
	r := newRig(t, env...)
	r.postgres = pgtest.Start(t)
	r.env = append(r.env, "POSTERN_ARCHIVE_URL="+r.postgres.Database())
	return r
}

// process is one `postern serve`.
type process struct {
	rig    *rig
	name   string
	args   []string
	env    []string
	socket string
	conn   *grpc.ClientConn

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan error
	log    *os.File
}

// start runs a process with these components on the rig's Redis and waits until it serves.
func (r *rig) start(name string, components ...string) *process {
	r.t.Helper()
	sockets, err := os.MkdirTemp("", "ps") // short: a socket's path is limited to about 100 bytes
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	p := &process{rig: r, name: name, socket: filepath.Join(sockets, name)}
	p.env = append(os.Environ(),
		"POSTERN_DATA_DIR="+r.data, "POSTERN_LISTEN_SOCKET="+p.socket, "POSTERN_HTTP_ADDRESS=", "POSTERN_REDIS_MODE=standalone",
		"POSTERN_REDIS_ADDRESSES="+r.redis.Addr(), "POSTERN_COMPONENTS="+strings.Join(components, ","), "POSTERN_LOG_FORMAT=json")
	p.env = append(p.env, r.env...)
	if p.log, err = os.Create(filepath.Join(r.data, name+".log")); err != nil {
		r.t.Fatal(err)
	}
	p.conn, err = grpc.NewClient("unix:"+p.socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.2, MaxDelay: 100 * time.Millisecond}}))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = p.conn.Close()
		p.kill()
		_ = p.log.Close()
		if r.t.Failed() {
			r.t.Logf("log of %s:\n%s", name, tail(p.log.Name()))
		}
	})
	p.run()
	p.awaitServing()
	return p
}

func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// run starts the process; it does not wait for it to serve.
func (p *process) run() {
	path, err := binary()
	if err != nil {
		p.rig.t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"serve"}, p.args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, p.log, p.log
	if err := cmd.Start(); err != nil {
		p.rig.t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	p.mu.Lock()
	p.cmd, p.exited = cmd, exited
	p.mu.Unlock()
}

// awaitServing waits until the health service says so, or the process is gone.
func (p *process) awaitServing() {
	p.rig.t.Helper()
	err := eventually(60*time.Second, func(ctx context.Context) error {
		a, err := healthpb.NewHealthClient(p.conn).Check(ctx, &healthpb.HealthCheckRequest{})
		if err != nil {
			return err
		}
		if a.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			return fmt.Errorf("health is %s", a.GetStatus())
		}
		return nil
	})
	if err != nil {
		p.rig.t.Fatalf("%s does not serve: %v", p.name, err)
	}
}

// signal sends a signal to the running process.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // gone already is fine
	}
}

// kill ends the process as a crash would and waits until it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	p.mu.Lock()
	exited := p.exited
	p.cmd, p.exited = nil, nil
	p.mu.Unlock()
	if exited != nil {
		if err := <-exited; err == nil {
			p.rig.t.Logf("%s had ended by itself", p.name)
		}
	}
}

// terminate asks the process to stop and returns how it ended.
func (p *process) terminate() error {
	p.signal(syscall.SIGTERM)
	p.mu.Lock()
	exited := p.exited
	p.cmd, p.exited = nil, nil
	p.mu.Unlock()
	return <-exited
}

func (p *process) signIn() posternv1.SignInServiceClient {
	return posternv1.NewSignInServiceClient(p.conn)
}

// eventually calls f until it returns nil, and returns its last error after so long.
func eventually(within time.Duration, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		if err := f(ctx); err == nil {
			return nil
		} else if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}

// apply makes an organization match a document.
func (p *process) apply(name, document string) {
	p.rig.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := posternv1.NewDirectoryServiceClient(p.conn).ApplyOrganization(ctx, &posternv1.ApplyOrganizationRequest{
		Name: name, Document: document, RequestId: "apply-1"}); err != nil {
		p.rig.t.Fatalf("apply %s: %v", name, err)
	}
}

// record reads an organization's whole archived record in sequence order.
func (p *process) record(organization string) ([]*posternv1.Event, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var all []*posternv1.Event
	token := ""
	for {
		page, err := posternv1.NewEventServiceClient(p.conn).ListEvents(ctx, &posternv1.ListEventsRequest{
			Parent: organization, Order: posternv1.ListEventsRequest_ORDER_OLDEST_FIRST, PageSize: 1000, PageToken: token})
		if err != nil {
			return nil, err
		}
		all = append(all, page.GetEvents()...)
		if token = page.GetNextPageToken(); token == "" {
			return all, nil
		}
	}
}
