package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
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

// takes is an AuthenticatorService that takes imports until it is told to fail.
type takes struct {
	posternv1.UnimplementedAuthenticatorServiceServer

	mu    sync.Mutex
	good  int // calls that work; then they fail
	calls []*posternv1.ImportAuthenticatorsRequest
}

func (s *takes) ImportAuthenticators(_ context.Context, r *posternv1.ImportAuthenticatorsRequest) (*posternv1.ImportAuthenticatorsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.good == 0 {
		return nil, status.Error(codes.Internal, "no")
	}
	s.good--
	s.calls = append(s.calls, r)
	return &posternv1.ImportAuthenticatorsResponse{Imported: int32(len(r.GetAuthenticators()) - 1),
		Problems: []*posternv1.ImportProblem{{Index: 2, Reason: "FIELD_INVALID"}}}, nil
}

func serveTakes(t *testing.T, s *takes) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pi") // short: a socket's path is limited
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	posternv1.RegisterAuthenticatorServiceServer(server, s)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir)
	})
	return "unix:" + l.Addr().String()
}

func TestAnImportGoesOnWhereItBrokeOff(t *testing.T) {
	s := &takes{good: 2}
	address := serveTakes(t, s)
	file := filepath.Join(t.TempDir(), "secrets.csv")
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	var b strings.Builder
	b.WriteString("account_id,secret\n")
	for i := range 1201 {
		if i == 700 {
			b.WriteString("acct-weak,GEZDGNBV\n") // line 702
			continue
		}
		fmt.Fprintf(&b, "acct-%d,%s\n", i, secret)
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (int, string) {
		var out bytes.Buffer
		code := cli.Run(t.Context(), append([]string{"--address", address, "authenticator", "import", "acme", file}, args...), nil, nil, &out, &out)
		return code, out.String()
	}
	code, out := run("--reason", "moving")
	if code != 1 || !strings.Contains(out, "after 1001 of 1201 rows") || !strings.Contains(out, "the same command goes on") {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	left, err := os.ReadFile(file + ".resume")
	if err != nil || bytes.Contains(left, []byte(secret)) || bytes.Contains(left, []byte("acct")) || !bytes.Contains(left, []byte(`"rows":1001`)) {
		t.Fatalf("the resume file holds %s, %v", left, err)
	}
	if code, out := run("--reason", "another one"); code != 1 || !strings.Contains(out, "is of another import") {
		t.Errorf("another import goes on with it: exit code %d:\n%s", code, out)
	}
	s.mu.Lock()
	s.good = 10
	s.mu.Unlock()
	code, out = run("--reason", "moving")
	if code != 1 || !strings.Contains(out, "Going on after row 1001 of 1201.") || !strings.Contains(out, "1201 rows: 1197 imported, 0 left alone, 4 with a problem") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	for _, line := range []string{"4    FIELD_INVALID", "702  SECRET_TOO_WEAK", "504  FIELD_INVALID", "1005 FIELD_INVALID"} {
		want := strings.Fields(line)
		found := false
		for l := range strings.SplitSeq(out, "\n") {
			f := strings.Fields(l)
			found = found || len(f) == 2 && f[0] == want[0] && f[1] == want[1]
		}
		if !found {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	if _, err := os.Stat(file + ".resume"); !os.IsNotExist(err) {
		t.Error("the resume file is still there")
	}
	accounts, ids := map[string]bool{}, map[string]bool{}
	for _, c := range s.calls {
		ids[c.GetRequestId()] = true
		for _, a := range c.GetAuthenticators() {
			if accounts[a.GetAccountId()] {
				t.Errorf("%s was sent twice", a.GetAccountId())
			}
			accounts[a.GetAccountId()] = true
		}
	}
	if len(s.calls) != 3 || len(ids) != 3 || len(accounts) != 1200 {
		t.Errorf("%d calls with %d request ids and %d accounts", len(s.calls), len(ids), len(accounts))
	}
	if strings.Contains(out, secret) {
		t.Error("a secret is printed")
	}
}
