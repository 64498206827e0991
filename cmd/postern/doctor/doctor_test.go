package doctor_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/cmd/postern/doctor"
	"github.com/postern-audit/postern/cmd/postern/serve"
	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
	"github.com/postern-audit/postern/internal/testkit/redisproc"
	"github.com/postern-audit/postern/internal/testkit/redistest"
)

// at are settings of an installation in a new directory, with its keys, on a Redis.
func at(t *testing.T, redis string, more ...string) config.Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadOrCreate(dir); err != nil {
		t.Fatal(err)
	}
	set := []string{"data_dir=" + dir, "redis.mode=standalone", "redis.addresses=" + redis, "http.address="}
	c, err := config.Load(config.Sources{Set: append(set, more...)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// look runs the doctor and returns what it says, by check; the worst of several.
func look(t *testing.T, c config.Config, now func() time.Time) map[string]doctor.Finding {
	t.Helper()
	out := map[string]doctor.Finding{}
	for _, f := range (&doctor.Examination{Config: c, Now: now}).Run(t.Context()) {
		if f.Check == "" || f.Found == "" {
			t.Errorf("says nothing: %+v", f)
		}
		if (f.Level == doctor.Warn || f.Level == doctor.Fail) && (f.Why == "" || f.Fix == "") {
			t.Errorf("neither why nor what mends it: %+v", f)
		}
		if have, twice := out[f.Check]; !twice || doctor.Worst([]doctor.Finding{have}) == doctor.OK {
			out[f.Check] = f
		}
	}
	return out
}

func wants(t *testing.T, got map[string]doctor.Finding, check string, level doctor.Level, found string) {
	t.Helper()
	if f := got[check]; f.Level != level || !strings.Contains(f.Found, found) {
		t.Errorf("%s: %+v, want %s, %q", check, f, level, found)
	}
}

// started runs a process until stop is called.
func started(t *testing.T, c config.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serve.Run(ctx, c, serve.Options{Log: slog.New(slog.DiscardHandler), Now: time.Now, Version: "test"})
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			cancel()
			t.Fatalf("does not start: %v", err)
		case <-tick.C:
		}
		if f := look(t, c, time.Now)["sidecar"]; f.Level == doctor.OK && strings.HasPrefix(f.Found, "serves") {
			break
		}
	}
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	}
}

func TestASoundInstallation(t *testing.T) {
	redis := redistest.Start(t, redisproc.Set("maxmemory", "1gb"))
	c := at(t, redis.Addr())
	first := look(t, c, time.Now)
	wants(t, first, "archive", doctor.Warn, "does not exist")
	wants(t, first, "sidecar", doctor.OK, "none runs")
	if _, err := os.Stat(c.ArchivePath()); err == nil {
		t.Error("the doctor has made an archive")
	}
	stop := started(t, c)
	for check, f := range look(t, c, time.Now) {
		if f.Level != doctor.OK && check != "data_dir.disk" { // whatever the machine has
			t.Errorf("%+v", f)
		}
	}
	stop()
	before := contents(t, c.DataDir)
	wants(t, look(t, c, time.Now), "sidecar", doctor.OK, "none runs")
	if after := contents(t, c.DataDir); after != before {
		t.Errorf("the doctor has changed files:\n%s\nbefore:\n%s", after, before)
	}
}

// contents lists the files of a directory with their sizes and times, without the log beside a database, which readers map.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "-shm") || strings.HasSuffix(path, "-wal") {
			return err
		}
		info, err := d.Info()
		if err == nil {
			b.WriteString(path + " " + info.Mode().String() + " " + info.ModTime().String() + "\n")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	server := redistest.Start(t)
	c := at(t, server.Addr())
	started(t, c)()
	later := func(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }
	command := func(t *testing.T, args ...any) {
		t.Helper()
		if err := server.Client().Do(context.WithoutCancel(t.Context()), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name, try := range map[string]struct {
		check, found string
		level        doctor.Level
		spoil        func(t *testing.T, c *config.Config) (now func() time.Time)
	}{
		"no limit of memory": {"redis.memory", "no limit", doctor.Warn, func(*testing.T, *config.Config) func() time.Time { return nil }},
		"embedded": {"settings.redis", "embedded", doctor.Warn, func(_ *testing.T, c *config.Config) func() time.Time {
			c.Redis.Mode = "embedded"
			return nil
		}},
		"a promise given up": {"settings.redis.insecure_evicting", "true", doctor.Warn, func(_ *testing.T, c *config.Config) func() time.Time {
			c.Redis.InsecureEvicting = true
			return nil
		}},
		"nobody there": {"redis", "connect", doctor.Fail, func(t *testing.T, c *config.Config) func() time.Time {
			c.Redis.Addresses = []string{nobody(t)}
			return nil
		}},
		"weak fsync": {"redis.settings", "appendfsync", doctor.Fail, func(t *testing.T, _ *config.Config) func() time.Time {
			command(t, "config", "set", "appendfsync", "everysec")
			t.Cleanup(func() { command(t, "config", "set", "appendfsync", "always") })
			return nil
		}},
		"clocks apart": {"redis.clock", "apart", doctor.Fail, func(*testing.T, *config.Config) func() time.Time { return later(2 * time.Second) }},
		"clocks a little apart": {"redis.clock", "apart", doctor.Warn, func(*testing.T, *config.Config) func() time.Time {
			return later(-600 * time.Millisecond)
		}},
		"no right to write": {"redis.rights", "xadd", doctor.Fail, func(t *testing.T, c *config.Config) func() time.Time {
			command(t, "acl", "setuser", "reader", "on", ">secret", "~*", "+@all", "-xadd")
			c.Redis.Username, c.Redis.PasswordFile = "reader", secretFile(t, "secret")
			return nil
		}},
		"no right to read": {"redis.rights", "hget", doctor.Fail, func(t *testing.T, c *config.Config) func() time.Time {
			command(t, "acl", "setuser", "blind", "on", ">secret", "~*", "+@all", "-hget")
			c.Redis.Username, c.Redis.PasswordFile = "blind", secretFile(t, "secret")
			return nil
		}},
		"events that wait": {"redis.outbox", "1 events wait", doctor.Fail, func(t *testing.T, _ *config.Config) func() time.Time {
			command(t, "xadd", "postern:{07}:outbox", time.Now().Add(-2*time.Hour).UnixMilli(), "e", "x")
			t.Cleanup(func() { command(t, "del", "postern:{07}:outbox") })
			return nil
		}},
		"a replica": {"redis.replication", "is a replica", doctor.Fail, func(t *testing.T, _ *config.Config) func() time.Time {
			command(t, "replicaof", "127.0.0.1", "1")
			t.Cleanup(func() { command(t, "replicaof", "no", "one") })
			return nil
		}},
		"other partitions": {"installation", "64 partitions", doctor.Fail, func(_ *testing.T, c *config.Config) func() time.Time {
			c.Partitions = 8
			return nil
		}},
		"other keys": {"installation", "made with keysets", doctor.Fail, func(t *testing.T, c *config.Config) func() time.Time {
			other := at(t, server.Addr())
			c.Keys.MasterFile = filepath.Join(other.DataDir, seal.Directory, seal.MasterFile)
			c.Keys.HashFile = filepath.Join(other.DataDir, seal.Directory, seal.HashFile)
			return nil
		}},
		"keys that others read": {"keys", "KEYSET_EXPOSED", doctor.Fail, func(t *testing.T, c *config.Config) func() time.Time {
			mode(t, filepath.Join(c.DataDir, seal.Directory, seal.MasterFile), 0o644, 0o600)
			return nil
		}},
		"a new archive": {"archive", "does not exist", doctor.Warn, func(_ *testing.T, c *config.Config) func() time.Time {
			c.Archive.SQLite = filepath.Join(c.DataDir, "other.db")
			return nil
		}},
		"no archive at all": {"archive", "", doctor.Fail, func(t *testing.T, c *config.Config) func() time.Time {
			c.Archive.SQLite = secretFile(t, "this is no database, only text that is long enough to be looked at as one")
			return nil
		}},
		"no socket": {"sidecar", "is no socket", doctor.Fail, func(t *testing.T, c *config.Config) func() time.Time {
			c.Listen.Socket = secretFile(t, "")
			return nil
		}},
		"a socket of nobody": {"sidecar", "nobody answers", doctor.Warn, func(t *testing.T, c *config.Config) func() time.Time {
			dir, err := os.MkdirTemp("", "pd")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			c.Listen.Socket = filepath.Join(dir, "s")
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: c.Listen.Socket, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			_ = l.Close()
			return nil
		}},
		"an open directory": {"data_dir", "mode 0755", doctor.Warn, func(t *testing.T, c *config.Config) func() time.Time {
			mode(t, c.DataDir, 0o755, 0o700)
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := c
			now := try.spoil(t, &spoilt)
			if now == nil {
				now = time.Now
			}
			wants(t, look(t, spoilt, now), try.check, try.level, try.found)
		})
	}
}

func TestThePostgreSQLArchive(t *testing.T) {
	redis, server := redistest.Start(t), pgtest.Start(t)
	c := at(t, redis.Addr(), "archive.url="+server.Database())
	wants(t, look(t, c, time.Now), "archive.schema", doctor.Warn, "version 0")
	started(t, c)()
	got := look(t, c, time.Now)
	wants(t, got, "archive.schema", doctor.OK, "version")
	wants(t, got, "archive.settings", doctor.OK, "fsync")
	wants(t, got, "installation", doctor.OK, "")
	c.Archive.URL = "postgres://nobody@" + nobody(t) + "/none"
	got = look(t, c, time.Now)
	wants(t, got, "archive", doctor.Fail, "")
	wants(t, got, "installation", doctor.Skipped, "")
}

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mode changes the mode of a file until the test is over.
func mode(t *testing.T, path string, now, then os.FileMode) {
	t.Helper()
	t.Cleanup(func() { _ = os.Chmod(path, then) })
	if err := os.Chmod(path, now); err != nil {
		t.Fatal(err)
	}
}
