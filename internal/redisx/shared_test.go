package redisx_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/testkit/faultproxy"
	"github.com/postern-audit/postern/internal/testkit/redistest"
)

// echo counts its runs and answers with its argument, or with an error.
var echo = redisx.NewScript("if ARGV[1] == 'bad' then return redis.error_reply('ERR no') end redis.call('INCR', KEYS[1]) return ARGV[1]")

func say(ctx context.Context, s *redisx.Shared, word string) (any, error) {
	call := redisx.NewCall(2)
	call.Key("n")
	call.Arg(word)
	return echo.RunShared(ctx, s, call)
}

// sharedClient is a client whose server knows the script, and the count of its trips from then on.
func sharedClient(t *testing.T, addr string) (*redisx.Shared, *atomic.Int64) {
	t.Helper()
	c, trips := client(t, addr, redisx.PoolSize), &atomic.Int64{}
	s := redisx.NewShared(c)
	if _, err := say(t.Context(), s, "first"); err != nil {
		t.Fatal(err)
	}
	warm(t, c, 3*redisx.Lanes)
	redisx.CountTrips(c, func() { trips.Add(1) })
	return s, trips
}

// warm makes connections, so that none has to be made while the server says nothing.
func warm(t *testing.T, c redis.UniversalClient, n int) {
	t.Helper()
	var wait sync.WaitGroup
	for range n {
		wait.Go(func() {
			if err := c.BLPop(t.Context(), 0, "warm").Err(); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, func() bool { return c.PoolStats().TotalConns == uint32(n) })
	for range n {
		if err := c.RPush(t.Context(), "warm", "x").Err(); err != nil {
			t.Fatal(err)
		}
	}
	wait.Wait()
	if _, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error { return p.Ping(t.Context()).Err() }); err != nil { // they have a pool of their own
		t.Fatal(err)
	}
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatal("it never came")
		case <-time.After(time.Millisecond):
		}
	}
}

// until waits for so many callers to wait.
func until(t *testing.T, s *redisx.Shared, waiting int) {
	t.Helper()
	eventually(t, func() bool { return s.Waiting() == waiting })
}

func TestCallersThatWaitShareATripAndEachHasItsAnswer(t *testing.T) {
	server := redistest.Start(t)
	s, trips := sharedClient(t, server.Addr())
	server.Pause()
	const callers = redisx.Lanes + 20
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			word := fmt.Sprint(i)
			if i%5 == 0 {
				word = "bad"
			}
			switch got, err := say(t.Context(), s, word); {
			case word == "bad":
				if !errs.Is(err, redisx.NotRecorded) {
					t.Errorf("a refused command of a shared trip: %v, %v", got, err)
				}
			case err != nil || got != word:
				t.Errorf("%s was answered %v, %v", word, got, err)
			}
		})
	}
	until(t, s, callers-redisx.Lanes)
	server.Resume()
	wait.Wait()
	if n := trips.Load(); n != redisx.Lanes+1 {
		t.Errorf("%d trips for %d callers, not %d", n, callers, redisx.Lanes+1)
	}
	if n := server.Client().Get(t.Context(), "n").Val(); n != fmt.Sprint(1+callers-5) {
		t.Errorf("the script ran %s times", n)
	}
}

func TestACallThatLeavesBeforeItsTripWasNeverSent(t *testing.T) {
	server := redistest.Start(t)
	s, _ := sharedClient(t, server.Addr())
	server.Pause()
	var wait sync.WaitGroup
	for range redisx.Lanes {
		wait.Go(func() {
			if _, err := say(t.Context(), s, "x"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, func() bool { return s.Taken() == redisx.Lanes })
	for i := range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		wait.Go(func() {
			if _, err := say(ctx, s, "x"); (i == 0) != errs.Is(err, redisx.NotRecorded) {
				t.Errorf("caller %d: %v", i, err)
			}
		})
		until(t, s, 1)
		if i == 0 {
			cancel()
			until(t, s, 0)
		}
		defer cancel()
	}
	server.Resume()
	wait.Wait()
	if n := server.Client().Get(t.Context(), "n").Val(); n != fmt.Sprint(1+redisx.Lanes+1) {
		t.Errorf("the script ran %s times", n)
	}
}

func TestACallThatLeavesDuringItsTripHasAnUnknownOutcome(t *testing.T) {
	server := redistest.Start(t)
	s, _ := sharedClient(t, server.Addr())
	server.Pause()
	var wait sync.WaitGroup
	short, cancelShort := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancelShort()
	for range redisx.Lanes {
		wait.Go(func() {
			if _, err := say(short, s, "x"); !errs.Is(err, redisx.OutcomeUnknown) {
				t.Errorf("in a lane of its own: %v", err)
			}
		})
	}
	eventually(t, func() bool { return s.Taken() == redisx.Lanes })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wait.Go(func() {
		if _, err := say(ctx, s, "x"); !errs.Is(err, redisx.OutcomeUnknown) {
			t.Errorf("in a shared trip: %v", err)
		}
	})
	wait.Go(func() {
		if got, err := say(t.Context(), s, "stays"); err != nil || got != "stays" {
			t.Errorf("who stayed got %v, %v", got, err)
		}
	})
	until(t, s, 2)
	until(t, s, 0) // the lanes gave up, and the trip has begun
	cancel()
	server.Resume()
	wait.Wait()
}

func TestALostSharedTripIsAnUnknownOutcomeForEachAndIsNotRepeated(t *testing.T) {
	server := redistest.Start(t)
	p := faultproxy.New(t, func() (net.Conn, error) { return net.Dial("tcp", server.Addr()) })
	s, _ := sharedClient(t, p.Addr())
	server.Pause()
	p.LoseReplies(true)
	const callers = redisx.Lanes + 10
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			if _, err := say(t.Context(), s, "x"); !errs.Is(err, redisx.OutcomeUnknown) {
				t.Error(err)
			}
		})
	}
	until(t, s, callers-redisx.Lanes)
	server.Resume()
	wait.Wait()
	if n := server.Client().Get(t.Context(), "n").Val(); n != fmt.Sprint(1+callers) {
		t.Errorf("the script ran %s times", n)
	}
}

func TestAClusterDoesNotShare(t *testing.T) {
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	defer func() { _ = c.Close() }()
	if redisx.NewShared(c) != nil {
		t.Error("commands that may be sent on to other nodes must go one by one")
	}
}
