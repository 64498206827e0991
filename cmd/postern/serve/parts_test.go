package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/internal/errs"
)

func TestEverythingIsClosedInReverseOrderWhateverFails(t *testing.T) {
	c := closers{log: slog.New(slog.DiscardHandler), each: 20 * time.Millisecond}
	var order []string
	for _, name := range []string{"first", "second", "third"} {
		c.add(name, func(ctx context.Context) error {
			order = append(order, name)
			if name == "second" {
				<-ctx.Done() // it would never end by itself
				return ctx.Err()
			}
			return nil
		})
	}
	err := c.close(t.Context())
	if got := strings.Join(order, " "); got != "third second first" {
		t.Errorf("closed %s", got)
	}
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "close second") {
		t.Errorf("close() = %v", err)
	}
	if err := c.close(t.Context()); err != nil || len(order) != 3 {
		t.Errorf("closed again: %v, %v", order, err)
	}
}

func TestOnlyADependencyThatIsAwayIsWaitedFor(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	tries := 0
	err := await(t.Context(), log, "Redis", func(context.Context) error {
		if tries++; tries < 3 {
			return errs.New(errs.Unavailable, "NOT_RECORDED", "away")
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("after %d tries: %v", tries, err)
	}
	broken := errs.New(errs.FailedPrecondition, "ARCHIVE_NEWER", "newer")
	tries = 0
	err = await(t.Context(), log, "archive", func(context.Context) error { tries++; return broken })
	var d *DependencyError
	if !errors.As(err, &d) || !errors.Is(err, broken) || d.What != "archive" || tries != 1 {
		t.Errorf("after %d tries: %v", tries, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err = await(ctx, log, "Redis", func(context.Context) error { return errs.New(errs.Unavailable, "NOT_RECORDED", "away") })
	if !errors.As(err, &d) || !strings.Contains(err.Error(), "Redis: not reached in time") {
		t.Errorf("await() = %v", err)
	}
}

func TestASocketOfTheDeadIsReplacedAndOneOfTheLivingIsNot(t *testing.T) {
	dir, err := os.MkdirTemp("", "ps")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := listenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	if _, err := listenSocket(path); err == nil || !strings.Contains(err.Error(), "another process serves") {
		t.Errorf("a second listener: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenSocket(file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a listener in the place of a file: %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file is %q, %v", b, err)
	}
}

func TestRedisOptionsReadTheirFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	o, err := RedisOptions(config.Redis{Mode: "sentinel", PasswordFile: file("p", "one\r\ntwo"), SentinelPasswordFile: file("s", "three"),
		TLS: config.RedisTLS{Enabled: true, ServerName: "redis.internal"}})
	if err != nil || o.Password != "one" || o.SentinelPassword != "three" || o.TLS == nil || o.TLS.ServerName != "redis.internal" {
		t.Errorf("RedisOptions() = %v, %v", o, err)
	}
	for name, r := range map[string]config.Redis{
		"redis.password_file":          {PasswordFile: file("empty", "\nx")},
		"redis.sentinel_password_file": {SentinelPasswordFile: filepath.Join(dir, "none")},
		"redis.tls.ca_file":            {TLS: config.RedisTLS{Enabled: true, CAFile: file("ca", "no certificate")}},
		"redis.tls.cert_file":          {TLS: config.RedisTLS{Enabled: true, CertFile: file("c", "x"), KeyFile: file("k", "y")}},
	} {
		if _, err := RedisOptions(r); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
