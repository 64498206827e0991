// Package client talks to a running sidecar, for the command line and the demo.
//
// Purpose: reach a deployment by its address, repeat a call whose outcome is unknown with the same request id, and turn gRPC
// errors into what a person can act on. Invariant: a call is repeated only when the server, or the lack of an answer, says that
// repeating is right, and never with another request id. It must never keep state between calls or print anything.
// First file to read: client.go, then failure.go.
package client

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Client is a connection to one sidecar with a stub for each service. Safe for concurrent use.
type Client struct {
	SignIn         posternv1.SignInServiceClient
	Authenticators posternv1.AuthenticatorServiceClient
	Identities     posternv1.IdentityServiceClient
	Flows          posternv1.FlowServiceClient
	Events         posternv1.EventServiceClient
	Directory      posternv1.DirectoryServiceClient
	Policy         posternv1.PolicyServiceClient
	Keys           posternv1.KeyServiceClient
	Health         healthpb.HealthClient

	conn *grpc.ClientConn
}

// maxAnswer is more than any answer of the API: a page of 1000 events.
const maxAnswer = 64 << 20

// Dial prepares a connection; nothing is sent before the first call. An address is unix:PATH or HOST:PORT. TCP is neither
// encrypted nor authenticated: it reaches only a sidecar whose operator has switched that off knowingly.
func Dial(address string) (*Client, error) {
	target, err := target(address)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 45 * time.Second, Timeout: 15 * time.Second}),
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent("postern-cli"),
	)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", address, err)
	}
	return &Client{
		SignIn:         posternv1.NewSignInServiceClient(conn),
		Authenticators: posternv1.NewAuthenticatorServiceClient(conn),
		Identities:     posternv1.NewIdentityServiceClient(conn),
		Flows:          posternv1.NewFlowServiceClient(conn),
		Events:         posternv1.NewEventServiceClient(conn),
		Directory:      posternv1.NewDirectoryServiceClient(conn),
		Policy:         posternv1.NewPolicyServiceClient(conn),
		Keys:           posternv1.NewKeyServiceClient(conn),
		Health:         healthpb.NewHealthClient(conn),
		conn:           conn,
	}, nil
}

// target turns an address into a gRPC target.
func target(address string) (string, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if path == "" || strings.ContainsAny(path, "?#%") {
			return "", fmt.Errorf("address %s: must be unix:PATH, the path without any of ? # %%", address)
		}
		return "unix:" + path, nil
	}
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return "", fmt.Errorf("address %s: must be unix:PATH or HOST:PORT", address)
	}
	return "dns:///" + address, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// attempts and pause bound how often Repeat sends a call and how long it waits in between; the pause doubles.
const (
	attempts = 4
	pause    = 50 * time.Millisecond
)

// Repeat makes a call that carries a request id, and makes it again with the same request when it is unknown whether it
// counted (OUTCOME_UNKNOWN, no answer) or when the server says that it lost a race.
func Repeat[Q, A any](ctx context.Context, call func(context.Context, Q, ...grpc.CallOption) (A, error), request Q) (A, error) {
	wait := pause
	for n := 1; ; n++ {
		answer, err := call(ctx, request)
		if err == nil || n == attempts || !repeatable(Explain(err)) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, err
		case <-time.After(wait):
		}
		wait *= 2
	}
}

// repeatable leaves a server that was never reached alone: people should hear about that at once.
func repeatable(f *Failure) bool {
	switch f.Code {
	case codes.Aborted:
		return f.Retry > 0
	case codes.Unavailable:
		return f.Reason != "" || f.Broken
	default:
		return false
	}
}
