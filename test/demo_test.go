package test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/postern-audit/postern/internal/client"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// demo runs `postern demo` with a directory for temporary files of its own.
func demo(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, path, append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+shortDir(t))
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// shortDir is a directory with a path short enough for a socket below it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left, err := filepath.Glob(filepath.Join(dir, "postern-demo-*"))
		if err != nil || len(left) > 0 {
			t.Errorf("the demo left %q, %v", left, err)
		}
		_ = os.RemoveAll(dir)
	})
	return dir
}

func TestTheDemoTellsEverySignIn(t *testing.T) {
	out, _ := demo(t)
	for _, want := range []string{
		"ABANDONED", "not on the site's record", "BAD_CREDENTIALS", "through google", "passwordless.verified  passkey", "DENIED (SSO_REQUIRED)",
		"sso.verified", "SUBJECT_MISMATCH", "session.reused", "late", "SUPERSEDED", "CANCELLED", "rule tracker-second-factor would decide: DENY",
		"verified by operator", "each as its story says",
		"TOTP verified", "CODE_REPLAYED", "mfa.locked", "authenticator.unlocked", "met by TOTP of", "proofs.revoked", "token.used", "TOKEN_REVOKED",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestTheDemoAsJSONIsTheRecordAndNothingElse(t *testing.T) {
	out, _ := demo(t, "--output", "json")
	endings, flows, sequence := map[string]int{}, map[string]bool{}, int64(0)
	for l := range strings.SplitSeq(strings.TrimSuffix(out, "\n"), "\n") {
		var e posternv1.Event
		if err := protojson.Unmarshal([]byte(l), &e); err != nil {
			t.Fatalf("%v in %q", err, l)
		}
		if e.GetOrganization() != "acme" || e.GetId() == "" || e.GetType() == "" || e.GetSequence() != sequence+1 {
			t.Errorf("not the next event of acme: %s", l)
		}
		sequence = e.GetSequence()
		if strings.Contains(l, "secret=") || strings.Contains(l, "otpauth") {
			t.Errorf("a secret is on the record: %s", l)
		}
		if strings.Contains(l, "ann@acme-postern-demo.com") {
			t.Errorf("the managed user is on the record: %s", l)
		}
		if e.GetFlow() == "" {
			continue
		}
		flows[e.GetFlow()] = true
		if strings.HasPrefix(e.GetType(), "authenticator.") {
			continue // of the organization, made in a flow
		}
		if e.GetSite() == "" || !strings.Contains(l, `"flow":"`+e.GetFlow()+`"`) || !strings.Contains(l, `"site":"`+e.GetSite()+`"`) {
			t.Errorf("an event of a flow without site and flow at top level: %s", l)
		}
		if e.GetEnding() != posternv1.Ending_ENDING_UNSPECIFIED {
			endings[e.GetType()]++
		}
	}
	want := map[string]int{"sign_in.succeeded": 13, "sign_in.denied": 3, "sign_in.cancelled": 2, "sign_in.abandoned": 1, "sign_in.superseded": 1}
	for typ, n := range want {
		if endings[typ] != n {
			t.Errorf("%d × %s, want %d", endings[typ], typ, n)
		}
	}
	if len(flows) != 20 || len(endings) != len(want) {
		t.Errorf("%d flows with endings %v", len(flows), endings)
	}
}

func TestADemoNobodyReadsStopsItsSidecar(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "demo", "--output", "json")
	cmd.Env = append(os.Environ(), "TMPDIR="+shortDir(t)) // which sees to it that nothing is left
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
}

func TestTheDemoKeepsItsSidecarRunningWhenAsked(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "pd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cmd := exec.CommandContext(t.Context(), path, "demo", "--keep")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pid := regexp.MustCompile(`kill ([0-9]+)`).FindSubmatch(out)
	address := regexp.MustCompile(`export POSTERN_ADDRESS=(\S+)`).FindSubmatch(out)
	if pid == nil || address == nil {
		t.Fatalf("it does not say how to go on:\n%s", out)
	}
	n, err := strconv.Atoi(string(pid[1]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(n, syscall.SIGTERM)
		if err := eventually(30*time.Second, func(context.Context) error {
			if syscall.Kill(n, 0) == nil && !zombie(n) {
				return errors.New("still there")
			}
			return nil
		}); err != nil {
			t.Errorf("the sidecar does not stop: %v", err)
		}
	})
	c, err := client.Dial(string(address[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.Flows.ListFlows(t.Context(), &posternv1.ListFlowsRequest{Parent: "organizations/acme"})
	if err != nil || len(r.GetFlows()) != 20 {
		t.Errorf("it has %d flows, %v", len(r.GetFlows()), err)
	}
}

// zombie reports whether a process has ended and only waits for a parent to notice: where tests run as the first process of a
// container, nobody does.
func zombie(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	_, rest, found := bytes.Cut(b, []byte(") "))
	return err == nil && found && bytes.HasPrefix(rest, []byte("Z"))
}
