package cli_test

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postern-audit/postern/cmd/postern/cli"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const identityID = "3f9c0d5e2b7a41868c13f0a9d6e4b25717c8a03be95d4f62a1e07b3c48d96f50"

// identities is an IdentityService with two links of acme, one to a page.
type identities struct {
	posternv1.UnimplementedIdentityServiceServer
	mu       sync.Mutex
	listed   []*posternv1.ListIdentitiesRequest
	unlinked []*posternv1.UnlinkIdentityRequest
}

func (s *identities) ListIdentities(_ context.Context, r *posternv1.ListIdentitiesRequest) (*posternv1.ListIdentitiesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = append(s.listed, r)
	out := &posternv1.ListIdentitiesResponse{Identities: []*posternv1.Identity{{
		Name: r.GetParent() + "/identities/" + identityID, AccountId: "acct-mia", Connection: "okta", Issuer: "https://idp.example",
		SubjectId: "sub-1\x1b[31m", LinkedBy: "PROOF", Flow: r.GetParent() + "/flows/f-1"}}}
	if r.GetPageToken() == "" {
		out.NextPageToken = "more"
	}
	return out, nil
}

func (s *identities) UnlinkIdentity(_ context.Context, r *posternv1.UnlinkIdentityRequest) (*posternv1.UnlinkIdentityResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlinked = append(s.unlinked, r)
	if !strings.HasSuffix(r.GetName(), identityID) {
		return nil, status.Error(codes.InvalidArgument, "no such name")
	}
	return &posternv1.UnlinkIdentityResponse{}, nil
}

// serveIdentities serves the fake on a unix socket, and returns how to run a command against it.
func serveIdentities(t *testing.T) (*identities, func(args ...string) (code int, stdout, stderr string)) {
	t.Helper()
	fake, server := &identities{}, grpc.NewServer()
	posternv1.RegisterIdentityServiceServer(server, fake)
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return fake, func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := cli.Run(context.Background(), args, []string{"POSTERN_ADDRESS=unix:" + socket}, strings.NewReader(""), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
}

func TestIdentitiesAreListedAcrossPagesAndEscaped(t *testing.T) {
	fake, run := serveIdentities(t)
	code, stdout, stderr := run("identity", "list", "acme", "--account-id", "acct-mia", "--limit", "0")
	if code != 0 || strings.Count(stdout, identityID) != 2 || strings.Contains(stdout, "organizations/") || strings.Contains(stdout, "\x1b") || !strings.Contains(stdout, "PROOF") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
	if len(fake.listed) != 2 || fake.listed[1].GetPageToken() != "more" || fake.listed[1].GetAccountId() != "acct-mia" || fake.listed[0].GetParent() != "organizations/acme" {
		t.Errorf("asked %v", fake.listed)
	}
	code, stdout, _ = run("identity", "list", "acme", "--limit", "1", "--output", "json")
	if code != 0 || strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, `"name":"organizations/acme/identities/`+identityID) {
		t.Errorf("%d\n%s", code, stdout)
	}
}

func TestAnIdentityIsUnlinkedForAReason(t *testing.T) {
	fake, run := serveIdentities(t)
	code, stdout, stderr := run("identity", "unlink", "acme", identityID, "--reason", "left the partner")
	if code != 0 || stdout != "unlinked organizations/acme/identities/"+identityID+"\n" {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
	if len(fake.unlinked) != 1 || fake.unlinked[0].GetReason() != "left the partner" || fake.unlinked[0].GetRequestId() == "" {
		t.Errorf("asked %v", fake.unlinked)
	}
	for want, args := range map[string][]string{
		"--reason is needed":    {"identity", "unlink", "acme", identityID},
		"64 hexadecimal digits": {"identity", "unlink", "acme", "organizations/other/identities/" + identityID, "--reason", "x"},
		"names no organization": {"identity", "unlink", "acme/x", identityID, "--reason", "x"},
		"takes ORGANIZATION":    {"identity", "list"},
	} {
		if code, _, stderr := run(args...); code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%v: %d %s", args, code, stderr)
		}
	}
	if len(fake.unlinked) != 1 {
		t.Errorf("a wrong command was sent: %v", fake.unlinked)
	}
	if code, _, stderr := run("identity", "unlink", "acme", "abc", "--reason", "x"); code != 1 {
		t.Errorf("%d %s", code, stderr)
	}
}
