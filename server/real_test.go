package server_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/postern-audit/postern/cmd/postern/serve"
	"github.com/postern-audit/postern/internal/config"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// sidecar is a whole process on the embedded store and SQLite, run inside the test.
type sidecar struct {
	t       *testing.T
	conn    *grpc.ClientConn
	signIn  posternv1.SignInServiceClient
	flows   posternv1.FlowServiceClient
	events  posternv1.EventServiceClient
	dir     posternv1.DirectoryServiceClient
	explain posternv1.PolicyServiceClient
	log     *syncBuffer
	data    string
	stop    func() // ends it, but does not wait
}

const acmeDocument = `
organization: acme
display_name: Acme
sites:
  - id: wiki
  - id: closed
    disabled: true
connections:
  - id: google
    kind: social
  - id: okta
    kind: sso
    protocol: oidc
domains:
  - domain: acme-postern-demo.com
policy: {}
`

func newSidecar(t *testing.T) *sidecar {
	t.Helper()
	c := config.Default()
	c.DataDir = t.TempDir()
	c.HTTP.Address = ""
	c.Partitions = 2
	s := &sidecar{t: t, log: &syncBuffer{}, data: c.DataDir}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	done := make(chan error, 1)
	go func() {
		done <- serve.Run(ctx, c, serve.Options{Log: slog.New(slog.NewJSONHandler(s.log, nil)), Now: time.Now, Version: "test"})
	}()
	var err error
	s.conn, err = grpc.NewClient("unix:"+c.SocketPath(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.conn.Close()
		stop()
		if err := <-done; err != nil {
			t.Errorf("stopping: %v\n%s", err, s.log.String())
		}
	})
	s.signIn, s.flows = posternv1.NewSignInServiceClient(s.conn), posternv1.NewFlowServiceClient(s.conn)
	s.events, s.dir = posternv1.NewEventServiceClient(s.conn), posternv1.NewDirectoryServiceClient(s.conn)
	s.explain = posternv1.NewPolicyServiceClient(s.conn)
	_, err = s.dir.ApplyOrganization(s.ctx(), &posternv1.ApplyOrganizationRequest{Name: acme, RequestId: "apply-1", Document: acmeDocument})
	if err != nil {
		t.Fatalf("apply: %v\n%s", err, s.log.String())
	}
	return s
}

func (s *sidecar) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	s.t.Cleanup(cancel)
	return ctx
}

// start opens a flow that is on the record: a guest typed an address.
func (s *sidecar) start(requestID string) *posternv1.FlowAnswer {
	s.t.Helper()
	a, err := s.signIn.StartFlow(s.ctx(), &posternv1.StartFlowRequest{
		Parent: acme + "/sites/wiki", RequestId: requestID, Subject: &posternv1.Subject{Email: "guest@partner-postern-demo.com"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// flow reads a flow as it is.
func (s *sidecar) flow(name string) *posternv1.Flow {
	s.t.Helper()
	f, err := s.flows.GetFlow(s.ctx(), &posternv1.GetFlowRequest{Name: name})
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// refusals follows access.denied in one organization and hands out denials by call id.
type refusals struct {
	s      *sidecar
	stream watch
	seen   map[string]*posternv1.Event
}

func (s *sidecar) refusals(organization string) *refusals {
	s.t.Helper()
	stream, err := s.events.WatchEvents(s.ctx(), &posternv1.WatchEventsRequest{
		Parent: organization, Cursor: "now", Filter: &posternv1.EventFilter{Include: &posternv1.EventMatch{Types: []string{"access.denied"}}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil { // the cursor: from here on nothing is missed
		s.t.Fatal(err)
	}
	return &refusals{s, stream, map[string]*posternv1.Event{}}
}

// find waits until the refusal of a call is archived.
func (r *refusals) find(callID string) *posternv1.Event {
	r.s.t.Helper()
	for r.seen[callID] == nil {
		m, err := r.stream.Recv()
		if err != nil {
			r.s.t.Fatalf("no access.denied of call %s: %v", callID, err)
		}
		if e := m.GetEvent(); e != nil {
			r.seen[e.GetDenial().GetCallId()] = e
		}
	}
	return r.seen[callID]
}

// files returns everything the process has on disk, to look for what must not be there.
func (s *sidecar) files() map[string][]byte {
	s.t.Helper()
	out := map[string][]byte{}
	entries, err := os.ReadDir(s.data)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(s.data, e.Name()))
		if err != nil {
			s.t.Fatal(err)
		}
		out[e.Name()] = b
	}
	return out
}
