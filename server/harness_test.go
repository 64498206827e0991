package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/postern-audit/postern/audit"
	applying "github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server on a unix socket with everything around it made by hand.
type world struct {
	server  *server.Server
	socket  string
	outbox  *outbox
	flows   *flows
	archive *archive
	factors *factors
	applied func(in convert.Apply) (server.Applied, error)

	exported func(organization string) (applying.ExportResult, error)

	connections *connections
	domains     *domains
	policies    *policies
	counter     *counter
	filters     *savedFilters
	exports     *exports
	log         *syncBuffer
	served      chan error
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

type mac struct{}

func (mac) Name(purpose string, parts ...[]byte) [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s", len(purpose), purpose)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

func (w *world) Apply(_ context.Context, _ string, in convert.Apply) (server.Applied, error) {
	return w.applied(in)
}

func (w *world) Export(_ context.Context, organization string) (applying.ExportResult, error) {
	return w.exported(organization)
}

// config is a complete configuration on fakes.
func (w *world) config() server.Config {
	var ids atomic.Int64
	return server.Config{
		SignIn:  &server.SignIn{Flows: w.flows},
		Factors: &server.Factors{Holders: w.factors, Many: w.factors, MAC: mac{}},
		Query: &server.Query{
			Reader: w.archive, People: w.archive, Counter: w.counter, Filters: w.filters, Exports: w.exports, ExportURL: func() string { return "http://here/download?link=" }, Opener: parts{}, Indexer: parts{}, Keys: parts{}, Records: parts{}, Archived: parts{}, Apply: w, Namer: parts{},
			Connections: w.connections, Tester: w.connections, Domains: w.domains, Accounts: &applying.Accounts{}, Imports: &applying.Accounts{}, Policies: w.policies, Past: &past{}, Retentions: parts{}, LiveTallies: parts{},
			Organizations: &applying.Resources{}, Sites: &applying.Resources{}, ConnectionChanges: &applying.Resources{},
			MAC: mac{}, Heartbeat: time.Hour, Poll: time.Millisecond,
		},
		Outbox: w.outbox, Directory: directory{}, Live: w.flows, Forms: forms(), UIDs: []uint32{uint32(os.Getuid())},
		Now: time.Now, NewID: func() string { return fmt.Sprintf("id-%d", ids.Add(1)) },
		Log: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// newWorld starts a server; change may alter its configuration. It is stopped when the test ends.
func newWorld(t *testing.T, change func(*server.Config)) *world {
	t.Helper()
	w := &world{outbox: newOutbox(), flows: newFlows(), archive: &archive{}, factors: &factors{}, connections: &connections{}, domains: &domains{}, policies: &policies{}, counter: &counter{}, filters: &savedFilters{}, exports: &exports{}, log: &syncBuffer{},
		served: make(chan error, 1)}
	c := w.config()
	if change != nil {
		change(&c)
	}
	var err error
	if w.server, err = server.New(c); err != nil {
		t.Fatal(err)
	}
	w.socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() { w.served <- w.server.Serve(server.Listeners{Socket: l}) }()
	t.Cleanup(func() { w.stop(t) })
	return w
}

// stop stops the server once.
func (w *world) stop(t *testing.T) {
	t.Helper()
	if w.served == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-w.served; err != nil {
		t.Errorf("serve: %v", err)
	}
	w.served = nil
}

// dial connects to the socket.
func (w *world) dial(t *testing.T, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...)
	c, err := grpc.NewClient("unix:"+w.socket, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// failed asserts code and reason of an error and returns its call id.
func failed(t *testing.T, err error, code, reason string) string {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s %s", code, reason)
	}
	gotReason, callID := status.Reason(err)
	if got := status.CodeName(grpcstatus.Code(err)); got != code || gotReason != reason {
		t.Errorf("got %s %s (%v), want %s %s", got, gotReason, err, code, reason)
	}
	if reason != "" && callID == "" {
		t.Errorf("no call id in %v", err)
	}
	return callID
}

// one asserts that exactly one refusal was recorded since the last look, and returns it.
func (w *world) one(t *testing.T) audit.Event {
	t.Helper()
	return w.only(t, w.outbox.take())
}

// soon is one for a refusal by the transport, which nobody may hold up: it is recorded as the caller gets the answer.
func (w *world) soon(t *testing.T) audit.Event {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx := testContext(t); ; {
		if events := w.outbox.take(); len(events) > 0 || ctx.Err() != nil {
			return w.only(t, events)
		}
		<-tick.C
	}
}

func (w *world) only(t *testing.T, events []audit.Event) audit.Event {
	t.Helper()
	if len(events) != 1 {
		t.Fatalf("%d refusals recorded, want 1: %+v", len(events), events)
	}
	if e := events[0]; e.Type != audit.TypeAccessDenied || e.Denial == nil || e.ID == "" || e.Outcome != audit.OutcomeFailure || e.Time.IsZero() {
		t.Fatalf("not a refusal: %+v", e)
	}
	return events[0]
}

func stepRequest() *posternv1.ReportStepRequest {
	return &posternv1.ReportStepRequest{
		Flow: "organizations/acme/flows/" + flowID, RequestId: "r-1",
		Step: &posternv1.StepReport{Type: "password.rejected", Reason: "BAD_CREDENTIALS"},
	}
}

var _ io.Writer = (*syncBuffer)(nil)
