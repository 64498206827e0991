package embedded_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, file string) *embedded.Store {
	t.Helper()
	s, err := embedded.Open(t.Context(), embedded.Config{File: file, SaveEvery: time.Hour, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// fill writes one key of each type, with bytes that are no text, and an empty stream.
func fill(t *testing.T, c redis.UniversalClient) (lastID string) {
	t.Helper()
	ctx := t.Context()
	raw := string([]byte{0, 1, 255, '\n', '"'})
	lastID = c.XAdd(ctx, &redis.XAddArgs{Stream: "gone", Values: []string{"e", "x"}}).Val()
	for _, cmd := range []redis.Cmder{
		c.Set(ctx, "s"+raw, raw, 0),
		c.Set(ctx, "short", "v", time.Hour),
		c.HSet(ctx, "h", "f", raw, "st", "2"),
		c.PExpire(ctx, "h", time.Hour),
		c.ZAdd(ctx, "z", redis.Z{Member: "m" + raw, Score: 1763628579123}, redis.Z{Member: "n", Score: -0.5}),
		c.XAdd(ctx, &redis.XAddArgs{Stream: "x", ID: "1-7", Values: []string{"e", raw}}),
		c.XAdd(ctx, &redis.XAddArgs{Stream: "x", ID: "1-8", Values: []string{"e", ""}}),
		c.XDel(ctx, "gone", lastID),
	} {
		if err := cmd.Err(); err != nil {
			t.Fatalf("%v: %v", cmd.Args(), err)
		}
	}
	return lastID
}

func check(t *testing.T, c redis.UniversalClient) {
	t.Helper()
	ctx := t.Context()
	raw := string([]byte{0, 1, 255, '\n', '"'})
	if v := c.Get(ctx, "s"+raw).Val(); v != raw {
		t.Errorf("string: %q", v)
	}
	if v := c.PTTL(ctx, "s"+raw).Val(); v >= 0 {
		t.Errorf("a string without expiry expires in %v", v)
	}
	for _, k := range []string{"short", "h"} {
		if v := c.PTTL(ctx, k).Val(); v <= 50*time.Minute || v > time.Hour {
			t.Errorf("%s expires in %v", k, v)
		}
	}
	if v := c.HGetAll(ctx, "h").Val(); len(v) != 2 || v["f"] != raw || v["st"] != "2" {
		t.Errorf("hash: %q", v)
	}
	z := c.ZRangeWithScores(ctx, "z", 0, -1).Val()
	if len(z) != 2 || z[0].Score != -0.5 || z[1].Score != 1763628579123 || z[1].Member != "m"+raw {
		t.Errorf("sorted set: %v", z)
	}
	x := c.XRange(ctx, "x", "-", "+").Val()
	if len(x) != 2 || x[0].ID != "1-7" || x[0].Values["e"] != raw || x[1].ID != "1-8" || x[1].Values["e"] != "" {
		t.Errorf("stream: %v", x)
	}
	if n := c.Exists(ctx, "gone").Val(); n != 1 {
		t.Error("the empty stream is gone, and its last id with it")
	}
}

func TestEveryTypeSurvivesACleanStop(t *testing.T) {
	file := filepath.Join(t.TempDir(), "snapshot")
	s := open(t, file)
	lastID := fill(t, s.Client(-1))
	check(t, s.Client(-1))
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := open(t, file)
	c := again.Client(-1)
	check(t, c)
	id := c.XAdd(t.Context(), &redis.XAddArgs{Stream: "gone", Values: []string{"e", "y"}}).Val()
	if id <= lastID { // both have the same number of digits
		t.Errorf("a stream id came again: %s after %s", id, lastID)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the snapshot has mode %v, %v", info.Mode(), err)
	}
}

func TestAKillLosesWhatCameAfterTheSnapshotAndNothingElse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "snapshot")
	s := open(t, file)
	c := s.Client(-1)
	fill(t, c)
	if err := s.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(t.Context(), "late", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	again := open(t, file).Client(-1)
	check(t, again)
	if n := again.Exists(t.Context(), "late").Val(); n != 0 {
		t.Error("something survived that no snapshot holds")
	}
}

func TestStreamIDsNeverGoBackEvenWhenTheClockDoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "snapshot")
	ahead := func() time.Time { return time.Now().Add(time.Hour) }
	s, err := embedded.Open(t.Context(), embedded.Config{File: file, SaveEvery: time.Hour, Now: ahead, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s.Client(-1))
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := open(t, file).Client(-1)
	id := c.XAdd(t.Context(), &redis.XAddArgs{Stream: "gone", Values: []string{"e", "y"}}).Val()
	var ms int64
	for _, d := range id[:13] {
		ms = ms*10 + int64(d-'0')
	}
	if ms < time.Now().Add(30*time.Minute).UnixMilli() {
		t.Errorf("id %s lies before the moment of the snapshot", id)
	}
}

func TestADamagedSnapshotIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "snapshot")
	s := open(t, file)
	fill(t, s.Client(-1))
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string][]byte{
		"cut":    good[:len(good)-1],
		"empty":  {},
		"longer": append(append([]byte(nil), good...), 0),
		"newer":  append(append([]byte("POSTERNS"), 2), good[9:]...),
	}
	for i := range good {
		if i%7 == 0 {
			b := append([]byte(nil), good...)
			b[i] ^= 0x20
			damage["flip at "+time.Duration(i).String()] = b
		}
	}
	for name, b := range damage {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := embedded.Open(t.Context(), embedded.Config{File: file, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			s.Kill()
			t.Errorf("%s: it was loaded", name)
		} else if errs.KindOf(err) != errs.FailedPrecondition {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysExpire(t *testing.T) {
	c := open(t, "").Client(-1)
	if err := c.Set(t.Context(), "k", "v", time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for c.Exists(ctx, "k").Val() == 1 {
		if ctx.Err() != nil {
			t.Fatal("a key with an expiry of 1 ms does not go")
		}
	}
}

func TestAnExpiredKeyIsNotLoaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "snapshot")
	s := open(t, file)
	fill(t, s.Client(-1))
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	later := func() time.Time { return time.Now().Add(2 * time.Hour) }
	s, err := embedded.Open(t.Context(), embedded.Config{File: file, SaveEvery: time.Hour, Now: later, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	if n := s.Client(-1).Exists(t.Context(), "short", "h").Val(); n != 0 {
		t.Errorf("%d expired keys came back", n)
	}
}

func TestTheSnapshotIsTakenByItself(t *testing.T) {
	file := filepath.Join(t.TempDir(), "snapshot")
	s, err := embedded.Open(t.Context(), embedded.Config{File: file, SaveEvery: time.Millisecond, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("no snapshot was written")
		}
	}
}
