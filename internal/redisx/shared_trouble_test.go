package redisx_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/testkit/redistest"
)

// load runs callers that note name after name until over says so or, with a patience, until their first error.
func load(t *testing.T, s *redisx.Shared, n *notes, callers int, patience func(k int) time.Duration, over func(err error) bool) *sync.WaitGroup {
	t.Helper()
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			for k := 0; ; k++ {
				name := fmt.Sprintf("%d-%d", i, k)
				ctx, cancel := context.WithTimeout(t.Context(), patience(i+k))
				err := note(ctx, s.For(0), "k", name)
				cancel()
				n.add(t, name, err)
				if over(err) {
					return
				}
			}
		})
	}
	return &wait
}

func TestWhatWasAcknowledgedOnASharedTripSurvivesAKilledServer(t *testing.T) {
	server := redistest.Start(t)
	shared := redisx.NewShared(client(t, server.Addr(), 16), 1)
	var n notes
	var done atomic.Int64
	wait := load(t, shared, &n, 48, func(int) time.Duration { return time.Minute }, func(err error) bool {
		done.Add(1)
		return err != nil
	})
	until(t, "some work", func() bool { return done.Load() > 2000 })
	server.Kill()
	wait.Wait()
	server.Restart()
	said := n.hold(t, server.Client(), "k")
	if said[redisx.OutcomeUnknown]+said[redisx.NotRecorded] != 48 {
		t.Errorf("%v", said)
	}
	if err := note(t.Context(), shared.For(0), "k", "afterwards"); err != nil { // and it goes on
		t.Error(err)
	}
}

func TestShortDeadlinesAndAPausedServerMixUpNothing(t *testing.T) {
	server := redistest.Start(t)
	shared := redisx.NewShared(client(t, server.Addr(), 16), 1)
	ready(t, server)
	var n notes
	var done atomic.Int64
	var over atomic.Bool
	wait := load(t, shared, &n, 48, func(k int) time.Duration { return time.Duration(1+k%9) * time.Millisecond }, func(error) bool {
		done.Add(1)
		return over.Load()
	})
	for range 5 {
		at := done.Load()
		until(t, "some work", func() bool { return done.Load() > at+500 })
		server.Pause()
		at = done.Load()
		until(t, "calls that end all the same", func() bool { return done.Load() > at+200 })
		server.Resume()
	}
	over.Store(true)
	wait.Wait()
	until(t, "the last trip's end", func() bool { return shared.Trips(0) == 0 })
	said := n.hold(t, server.Client(), "k")
	if said[redisx.OutcomeUnknown] == 0 || said[redisx.NotRecorded] == 0 || said[""] == 0 {
		t.Errorf("%v", said)
	}
}

func TestAPanicOnATripIsAnErrorForThoseAboardAlone(t *testing.T) {
	for name, c := range map[string]struct {
		before, after func()
		want          string
	}{
		"before anything was sent": {func() { panic("before") }, func() {}, redisx.NotRecorded},
		"with the answers":         {func() {}, func() { panic("after") }, redisx.OutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			ready(t, server)
			cl := client(t, server.Addr(), 16)
			shared, g := redisx.NewShared(cl, 1), gated(cl)
			g.fail, g.after = c.before, c.after
			var n notes
			wait := queued(t, shared, g, &n, 30, func(i int, err error) {
				if !errs.Is(err, c.want) {
					t.Errorf("%d: %v", i, err)
				}
			})
			close(g.first)
			close(g.then)
			wait.Wait()
			until(t, "the last trip's end", func() bool { return shared.Trips(0) == 0 })
			g.fail, g.after = func() {}, func() {}
			if err := note(t.Context(), shared.For(0), "k", "afterwards"); err != nil {
				t.Error(err)
			}
		})
	}
}

// go-redis does not hand down to the commands of a pipeline that the server would not let it in.
func TestATripThatIsNotLetInIsNoAnswer(t *testing.T) {
	server := redistest.Start(t)
	cl, err := redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{server.Addr()}, Username: "u", Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	admin := server.Client()
	if err := admin.Do(t.Context(), "acl", "setuser", "u", "on", ">right", "~*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	shared, g := redisx.NewShared(cl, 1), gated(cl)
	var n notes
	wait := queued(t, shared, g, &n, 30, func(i int, err error) {
		if !errs.Is(err, redisx.NotRecorded) {
			t.Errorf("%d: %v", i, err)
		}
	})
	if err := admin.Do(t.Context(), "acl", "setuser", "u", "resetpass", ">other").Err(); err != nil {
		t.Fatal(err)
	}
	close(g.first)
	close(g.then)
	wait.Wait()
	if n := admin.Exists(t.Context(), "k").Val(); n != 0 {
		t.Error("something ran all the same")
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	server := redistest.Start(t)
	ready(t, server)
	cl := client(t, server.Addr(), 16)
	shared, g := redisx.NewShared(cl, 1), gated(cl)
	var n notes
	wait := queued(t, shared, g, &n, redisx.MaxWaiting, func(i int, err error) {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	})
	if err := note(t.Context(), shared.For(0), "k", "too many"); !errs.Is(err, redisx.NotRecorded) {
		t.Errorf("%v", err)
	}
	close(g.first)
	close(g.then)
	wait.Wait()
	if n := server.Client().HLen(t.Context(), "k").Val(); n != redisx.MaxTrips+redisx.MaxWaiting {
		t.Errorf("%d ran", n)
	}
}

func TestDrainingWaitsForWhatIsUnderWayAndRefusesTheRest(t *testing.T) {
	server := redistest.Start(t)
	ready(t, server)
	cl := client(t, server.Addr(), 16)
	shared, g := redisx.NewShared(cl, 3), gated(cl)
	var n notes
	wait := queued(t, shared, g, &n, 30, func(i int, err error) {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := shared.Drain(over); err == nil {
		t.Error("drained, with commands under way")
	}
	if err := note(t.Context(), shared.For(0), "k", "late"); !errs.Is(err, redisx.NotRecorded) {
		t.Errorf("%v", err)
	}
	drained := make(chan error)
	go func() { drained <- shared.Drain(t.Context()) }()
	close(g.first)
	close(g.then)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if n := server.Client().HLen(t.Context(), "k").Val(); n != redisx.MaxTrips+30 {
		t.Errorf("%d ran before it was drained", n)
	}
	wait.Wait()
	if err := shared.Drain(t.Context()); err != nil { // once more
		t.Error(err)
	}
}

// silent is a client that loses a command without a word.
type silent struct{ redis.UniversalClient }

func (silent) Process(context.Context, redis.Cmder) error { return nil }

func TestAScriptWithoutAnswerIsNoSuccess(t *testing.T) {
	if err := note(t.Context(), silent{}, "k", "x"); !errs.Is(err, redisx.NotRecorded) {
		t.Errorf("%v", err)
	}
}
