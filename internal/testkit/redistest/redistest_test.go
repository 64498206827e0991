package redistest_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/internal/testkit/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheDefaultIsTheDurableSetUp(t *testing.T) {
	c := redistest.Start(t).Client()
	for name, want := range map[string]string{
		"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no",
		"maxmemory-policy": "noeviction", "save": "", "bind": "127.0.0.1",
	} {
		got, err := c.ConfigGet(t.Context(), name).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
}

func TestAnOptionReplacesADefault(t *testing.T) {
	c := redistest.Start(t, redistest.FsyncEverySecond(), redistest.Set("maxmemory", "50mb")).Client()
	got, err := c.ConfigGet(t.Context(), "appendfsync").Result()
	if err != nil {
		t.Fatal(err)
	}
	if got["appendfsync"] != "everysec" {
		t.Errorf("appendfsync = %q", got["appendfsync"])
	}
}

func TestWhatWasAcknowledgedSurvivesKill(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	before := s.Pid()
	s.Kill()
	if err := s.Client().Ping(t.Context()).Err(); err == nil {
		t.Fatal("a killed server answered")
	}
	s.Restart()
	if s.Pid() == before {
		t.Error("Restart kept the process")
	}
	if got, err := s.Client().Get(t.Context(), "k").Result(); err != nil || got != "v" {
		t.Errorf("after Restart: %q, %v", got, err)
	}
}

func TestWithoutPersistenceKillLosesEverything(t *testing.T) {
	s := redistest.Start(t, redistest.NoPersistence())
	if err := s.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	if n, err := s.Client().Exists(t.Context(), "k").Result(); err != nil || n != 0 {
		t.Errorf("Exists = %d, %v", n, err)
	}
}

func TestAPausedServerAnswersAfterResume(t *testing.T) {
	s := redistest.Start(t)
	c := s.Client()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Fatal("a paused server answered")
	}
	s.Resume()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Errorf("after Resume: %v", err)
	}
}

func TestTheSocketLeadsToTheSameServer(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: s.Socket()})
	defer func() { _ = c.Close() }()
	if got, err := c.Get(t.Context(), "k").Result(); err != nil || got != "v" {
		t.Errorf("over the socket: %q, %v", got, err)
	}
}

func TestServersAreApartAndGoneAfterTheirTest(t *testing.T) {
	var pid int
	t.Run("two at once", func(t *testing.T) {
		a, b := redistest.Start(t), redistest.Start(t)
		if err := a.Client().Set(t.Context(), "k", "a", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if n, err := b.Client().Exists(t.Context(), "k").Result(); err != nil || n != 0 {
			t.Errorf("the other server has the key: %d, %v", n, err)
		}
		a.Pause() // a stopped process must go away too
		pid = a.Pid()
	})
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.Signal(0)); err == nil {
		t.Errorf("process %d still runs after its test", pid)
	}
}
