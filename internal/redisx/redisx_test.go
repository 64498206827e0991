package redisx_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/testkit/faultproxy"
	"github.com/postern-audit/postern/internal/testkit/redistest"
)

func TestMain(m *testing.M) {
	// go-redis looks for a lost server with a goroutine of its own, which ends up to a second after its client is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

func client(t *testing.T, addr string, pool int) redis.UniversalClient {
	t.Helper()
	c, err := redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{addr}, PoolSize: pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Stored data rests on these: they never change.
func TestKeysAreWhatTheyWere(t *testing.T) {
	keys, err := redisx.NewKeys(64)
	if err != nil {
		t.Fatal(err)
	}
	uid := "00000000-0000-7000-8000-000000000000"
	if p := keys.Partition(uid); p != 10 {
		t.Errorf("partition %d", p)
	}
	s := keys.Of(uid)
	hour := time.Date(2026, 11, 20, 9, 59, 0, 0, time.FixedZone("", 3600))
	ones := [32]byte{31: 1}
	for got, want := range map[string]string{
		s.Outbox():                   "postern:{10}:outbox",
		s.Deadlines():                "postern:{10}:deadlines",
		s.Tallies():                  "postern:{10}:tallies",
		s.Lease("sweeper"):           "postern:{10}:sweeper",
		s.Organization(uid):          "postern:{10}:org:" + uid,
		s.Flow("f"):                  "postern:{10}:flow:f",
		s.Once(ones):                 "postern:{10}:once:" + strings.Repeat("0", 63) + "1",
		s.Last(ones):                 "postern:{10}:last:" + strings.Repeat("0", 63) + "1",
		s.Session(ones):              "postern:{10}:session:" + strings.Repeat("0", 63) + "1",
		s.Authenticator([16]byte{1}): "postern:{10}:auth:01" + strings.Repeat("0", 30),
		s.Authenticators(uid):        "postern:{10}:auths:" + uid,
		s.Identity([32]byte{1}):      "postern:{10}:identity:01" + strings.Repeat("0", 62),
		s.Identities(uid):            "postern:{10}:identities:" + uid,
		s.Person([16]byte{1}):        "postern:{10}:person:01" + strings.Repeat("0", 30),
		s.Code(uid, "C"):             "postern:{10}:code:" + uid + ":C",
		s.Domain(uid, "d.e"):         "postern:{10}:domain:" + uid + ":d.e",
		s.Domains(uid):               "postern:{10}:domains:" + uid,
		s.Claim(uid, [16]byte{1}):    "postern:{10}:claim:" + uid + ":01" + strings.Repeat("0", 30),
		s.Tally(uid, "s", hour):      "postern:{10}:tally:" + uid + ":s:2026112008",
		keys.At(7).Outbox():          "postern:{07}:outbox",
		s.Taken("totp", uid, ones):   "postern:{10}:taken:totp:" + uid + ":" + strings.Repeat("0", 63) + "1",
		redisx.Member("o", "f"):      "o/f",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestPartitionsAreBounded(t *testing.T) {
	for _, n := range []int{-1, 0, 101} {
		if _, err := redisx.NewKeys(n); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%d: %v", n, err)
		}
	}
	keys, err := redisx.NewKeys(100)
	if err != nil || keys.At(99).Outbox() != "postern:{99}:outbox" {
		t.Errorf("%v", err)
	}
}

// counter raises a number: a script whose double run can be seen.
var counter = redisx.NewScript("return redis.call('INCR', KEYS[1])")

func raise(ctx context.Context, c redis.UniversalClient) error {
	call := redisx.NewCall(1)
	call.Key("n")
	_, err := counter.Run(ctx, c, call)
	return err
}

func TestAScriptTheServerDoesNotKnowRunsOnce(t *testing.T) {
	s := redistest.Start(t)
	c := client(t, s.Addr(), 4)
	for n := int64(1); n <= 3; n++ {
		if err := raise(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(t.Context(), "n").Int64(); err != nil || got != n {
			t.Fatalf("after run %d it is %d, %v", n, got, err)
		}
		if n == 2 { // as after a restart or a fail-over
			if err := c.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestALostReplyIsAnUnknownOutcomeAndIsNotRepeated(t *testing.T) {
	s := redistest.Start(t)
	p := faultproxy.New(t, func() (net.Conn, error) { return net.Dial("tcp", s.Addr()) })
	c := client(t, p.Addr(), 1)
	if err := raise(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p.LoseReplies(true)
	if err := raise(t.Context(), c); !errs.Is(err, redisx.OutcomeUnknown) || errs.KindOf(err) != errs.Unavailable {
		t.Errorf("%v", err)
	}
	if n := s.Client().Get(t.Context(), "n").Val(); n != "2" {
		t.Errorf("the script ran until %s", n)
	}
}

func TestADeadlineAfterSendingIsAnUnknownOutcome(t *testing.T) {
	s := redistest.Start(t)
	c := client(t, s.Addr(), 1)
	if err := raise(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := raise(ctx, c); !errs.Is(err, redisx.OutcomeUnknown) {
		t.Errorf("%v", err)
	}
	s.Resume()
}

func TestWhatWasNeverSentIsNotRecorded(t *testing.T) {
	s := redistest.Start(t)
	t.Run("nobody listens", func(t *testing.T) {
		p := faultproxy.New(t, func() (net.Conn, error) { return nil, errors.New("no") })
		p.Close()
		if err := raise(t.Context(), client(t, p.Addr(), 1)); !errs.Is(err, redisx.NotRecorded) || errs.KindOf(err) != errs.Unavailable {
			t.Errorf("%v", err)
		}
	})
	t.Run("the call was over before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := raise(ctx, client(t, s.Addr(), 1)); !errs.Is(err, redisx.NotRecorded) {
			t.Errorf("%v", err)
		}
	})
	t.Run("no connection is free", func(t *testing.T) {
		c := client(t, s.Addr(), 1)
		held := c.(*redis.Client).Conn()
		if err := held.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := raise(ctx, c); !errs.Is(err, redisx.NotRecorded) {
			t.Errorf("%v", err)
		}
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if n := s.Client().Exists(t.Context(), "n").Val(); n != 0 {
		t.Error("something ran all the same")
	}
}

func TestWhatRedisRefusedIsNotRecorded(t *testing.T) {
	for name, setUp := range map[string]func(t *testing.T, c redis.UniversalClient) error{
		"wrong type": func(t *testing.T, c redis.UniversalClient) error { return c.RPush(t.Context(), "n", "x").Err() },
		"read-only": func(t *testing.T, c redis.UniversalClient) error {
			return errors.Join(c.Set(t.Context(), "n", 0, 0).Err(), c.Do(t.Context(), "replicaof", "127.0.0.1", "1").Err())
		},
		"out of memory": func(t *testing.T, c redis.UniversalClient) error {
			return c.ConfigSet(t.Context(), "maxmemory", "1").Err()
		},
		"not allowed": func(t *testing.T, c redis.UniversalClient) error {
			return c.Do(t.Context(), "acl", "setuser", "default", "-evalsha", "-eval").Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			c := client(t, s.Addr(), 1)
			if err := setUp(t, c); err != nil {
				t.Fatal(err)
			}
			err := raise(t.Context(), c)
			if !errs.Is(err, redisx.NotRecorded) || errs.KindOf(err) != errs.Unavailable {
				t.Errorf("%v", err)
			}
			for _, word := range []string{"WRONGTYPE", "READONLY", "OOM", "NOPERM", "script"} {
				if strings.Contains(errs.As(err).Public, word) {
					t.Errorf("driver text in %q", errs.As(err).Public)
				}
			}
		})
	}
}

func TestManyCallersShareAPool(t *testing.T) {
	s := redistest.Start(t)
	c := client(t, s.Addr(), 2)
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if err := raise(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := c.Get(t.Context(), "n").Val(); n != "50" {
		t.Errorf("raised to %s", n)
	}
}

func TestTheClockFollowsRedis(t *testing.T) {
	s := redistest.Start(t)
	c := client(t, s.Addr(), 1)
	for behind, ready := range map[time.Duration]bool{0: true, time.Minute: false, -time.Minute: false} {
		clock := redisx.NewClock(func() time.Time { return time.Now().Add(-behind) })
		if clock.Ready() {
			t.Error("ready before it was measured")
		}
		if err := clock.Measure(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		there := c.Time(t.Context()).Val()
		if d := clock.Now().Sub(there).Abs(); d > 500*time.Millisecond {
			t.Errorf("%v behind: the estimate is %v off", behind, d)
		}
		if d := (clock.Skew() - behind).Abs(); d > 500*time.Millisecond || clock.Ready() != ready {
			t.Errorf("%v behind: skew %v, ready %t", behind, clock.Skew(), clock.Ready())
		}
	}
	s.Kill()
	if err := redisx.NewClock(time.Now).Measure(t.Context(), c); !errs.Is(err, redisx.NotRecorded) {
		t.Errorf("%v", err)
	}
}

func TestServersThatDoNotKeepWhatTheyAreGiven(t *testing.T) {
	for name, in := range map[string]struct {
		options []redistest.Option
		want    []redisx.ProblemCode
	}{
		"as it should be": {nil, nil},
		"everysec":        {[]redistest.Option{redistest.FsyncEverySecond()}, []redisx.ProblemCode{redisx.WeakFsync}},
		"no file":         {[]redistest.Option{redistest.NoPersistence()}, []redisx.ProblemCode{redisx.NoAppendOnly}},
		"not on rewrite":  {[]redistest.Option{redistest.Set("no-appendfsync-on-rewrite", "yes")}, []redisx.ProblemCode{redisx.FsyncRewrite}},
		"evicting": {[]redistest.Option{redistest.Set("maxmemory-policy", "allkeys-lru"), redistest.FsyncEverySecond()},
			[]redisx.ProblemCode{redisx.WeakFsync, redisx.Evicting}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := redisx.Check(t.Context(), client(t, redistest.Start(t, in.options...).Addr(), 1))
			if err != nil {
				t.Fatal(err)
			}
			var got []redisx.ProblemCode
			for _, p := range found {
				got = append(got, p.Code)
				if p.Detail == "" {
					t.Errorf("%s says nothing", p.Code)
				}
			}
			if !slices.Equal(got, in.want) {
				t.Errorf("%v, want %v", got, in.want)
			}
		})
	}
}

func TestASetUpThatCannotBeLookedAtIsAProblem(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Client().Do(t.Context(), "acl", "setuser", "default", "-config").Err(); err != nil {
		t.Fatal(err)
	}
	found, err := redisx.Check(t.Context(), client(t, s.Addr(), 1))
	if err != nil || len(found) != 1 || found[0].Code != redisx.ConfigForbidden {
		t.Errorf("%v, %v", found, err)
	}
}

// old answers like a server before 7.0.
type old struct{ redisx.Inspector }

func (o old) Info(ctx context.Context, section ...string) *redis.StringCmd {
	cmd := o.Inspector.Info(ctx, section...)
	cmd.SetVal(strings.Replace(cmd.Val(), "redis_version:7", "redis_version:6", 1))
	return cmd
}

func TestAnOldServerIsAProblem(t *testing.T) {
	found, err := redisx.CheckServer(t.Context(), old{redistest.Start(t).Client()}, "n")
	if err != nil || len(found) != 1 || found[0].Code != redisx.OldVersion || found[0].Node != "n" {
		t.Errorf("%v, %v", found, err)
	}
}

func TestAServerThatIsAwayIsNoVerdict(t *testing.T) {
	s := redistest.Start(t)
	c := client(t, s.Addr(), 1)
	s.Kill()
	if found, err := redisx.Check(t.Context(), c); err == nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}

func TestRecordsOfANewerFormatAreRefused(t *testing.T) {
	for b, reason := range map[string]string{"": "RECORD_MALFORMED", "\x00": "RECORD_MALFORMED", "\x02": "RECORD_FORMAT_NEWER"} {
		if err := redisx.Unmarshal([]byte(b), nil); !errs.Is(err, reason) {
			t.Errorf("%q: %v", b, err)
		}
	}
}
