package cli_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/postern-audit/postern/cmd/postern/cli"
	"github.com/postern-audit/postern/examples"
	"github.com/postern-audit/postern/internal/client"
)

// TestMain makes this test's program the command `postern` of the scripts, so that they run what they test.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postern": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(cli.Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
	}})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("POSTERN_ADDRESS", "unix:data/postern.sock")
			return os.WriteFile(filepath.Join(e.WorkDir, "acme.yaml"), examples.Acme(), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"ready":  ready,
			"await":  await,
			"code":   code,
			"moment": moment,
		},
	})
}

// exits runs a command and demands an exit code: exits 2 postern frob.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// code puts the code of a time step, counted from the present one, of a secret in base32 or an otpauth URI in a file's last line
// into a variable: code CODE uri.txt +1.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: code VARIABLE FILE STEP")
	}
	lines := strings.Split(strings.TrimSpace(ts.ReadFile(args[1])), "\n")
	secret := lines[len(lines)-1]
	if key, err := otp.NewKeyFromURL(secret); err == nil && strings.HasPrefix(secret, "otpauth:") {
		secret = key.Secret()
	}
	steps, err := strconv.Atoi(args[2])
	ts.Check(err)
	c, err := totp.GenerateCode(secret, time.Now().Add(time.Duration(steps)*30*time.Second))
	ts.Check(err)
	ts.Setenv(args[0], c)
}

// moment puts a moment after everything so far and before everything that follows into a variable: moment BEFORE.
func moment(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: moment VARIABLE")
	}
	at := time.Now().Truncate(time.Millisecond)
	ts.Setenv(args[0], at.UTC().Format(time.RFC3339Nano))
	poll(ts, "the clock stands still", func(context.Context) bool { return time.Since(at) > time.Millisecond })
}

// within bounds waits; far more than anything takes, so that a loaded machine does not fail a script.
const within = 60 * time.Second

// ready waits until the sidecar in ./data takes calls.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: ready")
	}
	c, err := client.Dial("unix:" + ts.MkAbs("data/postern.sock"))
	ts.Check(err)
	defer c.Close()
	poll(ts, "the sidecar does not serve", func(ctx context.Context) bool {
		r, err := c.Health.Check(ctx, &healthpb.HealthCheckRequest{})
		return err == nil && r.GetStatus() == healthpb.HealthCheckResponse_SERVING
	})
}

// await runs a command until its standard output matches: await sign_in postern event list acme.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await REGEXP COMMAND [ARG...]")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	poll(ts, "its output never matched "+args[0], func(context.Context) bool {
		return ts.Exec(args[1], args[2:]...) == nil && want.MatchString(ts.ReadFile("stdout"))
	})
}

func poll(ts *testscript.TestScript, failure string, done func(context.Context) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%s", failure)
		}
	}
}
