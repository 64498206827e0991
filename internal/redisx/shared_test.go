package redisx_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/testkit/redistest"
)

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s does not come", what)
		}
	}
}

// noted counts how often it ran with a name and answers with the name.
var noted = redisx.NewScript("redis.call('HINCRBY', KEYS[1], ARGV[1], 1) return ARGV[1]")

func note(ctx context.Context, p redisx.Processor, key, name string) error {
	call := redisx.NewCall(2)
	call.Key(key)
	call.Bytes([]byte(name))
	reply, err := noted.Run(ctx, p, call)
	if err == nil && reply != name {
		return fmt.Errorf("%q has the answer %v", name, reply)
	}
	return err
}

// notes are attempts by name, with the reason each failed for, empty when it was acknowledged.
type notes struct {
	mu      sync.Mutex
	reasons map[string]string
}

func (n *notes) add(t *testing.T, name string, err error) {
	t.Helper()
	reason := ""
	if err != nil {
		e := errs.As(err)
		if e == nil || e.Reason != redisx.NotRecorded && e.Reason != redisx.OutcomeUnknown {
			t.Errorf("%s: %v", name, err)
			return
		}
		reason = e.Reason
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.reasons == nil {
		n.reasons = map[string]string{}
	}
	n.reasons[name] = reason
}

// len is how many attempts have ended.
func (n *notes) len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.reasons)
}

// hold compares what was said with what is there, and returns how often each was said.
func (n *notes) hold(t *testing.T, c redis.Cmdable, key string) map[string]int {
	t.Helper()
	there, err := c.HGetAll(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]int{}
	for name, reason := range n.reasons {
		said[reason]++
		switch times := there[name]; {
		case times != "" && times != "1":
			t.Errorf("%s (%q) ran %s times", name, reason, times)
		case reason == "" && times == "":
			t.Errorf("%s was acknowledged and is not there", name)
		case reason == redisx.NotRecorded && times != "":
			t.Errorf("%s was said not to be recorded, and is", name)
		}
		delete(there, name)
	}
	if len(there) > 0 {
		t.Errorf("nobody sent %v", there)
	}
	return said
}

// gate holds back what a client sends until it is opened: the first trips, as many as may be under way, and those after them.
type gate struct {
	held        atomic.Int32
	first, then chan struct{}
	fail, after func() // before and behind one of those after them
}

func gated(c redis.UniversalClient) *gate {
	g := &gate{first: make(chan struct{}), then: make(chan struct{}), fail: func() {}, after: func() {}}
	c.AddHook(g)
	return g
}

func (g *gate) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return g.pass(cmd, func() error { return next(ctx, cmd) })
	}
}

func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return g.pass(cmds[0], func() error { return next(ctx, cmds) })
	}
}

func (g *gate) pass(cmd redis.Cmder, next func() error) error {
	if cmd.Name() != "evalsha" { // a new connection's greeting
		return next()
	}
	if g.held.Add(1) <= redisx.MaxTrips {
		<-g.first
		return next()
	}
	<-g.then
	g.fail()
	defer g.after()
	return next()
}

// busy lets commands go one by one until as many are under way as may be; they end when the gate is opened.
func busy(t *testing.T, g *gate, wait *sync.WaitGroup, each func(i int)) {
	t.Helper()
	for i := range redisx.MaxTrips {
		wait.Go(func() { each(i) })
		until(t, "one more trip", func() bool { return g.held.Load() == int32(i)+1 })
	}
}

// queued has all trips under way, held, and so many callers wait for the next.
func queued(t *testing.T, s *redisx.Shared, g *gate, n *notes, callers int, each func(i int, err error)) *sync.WaitGroup {
	t.Helper()
	var wait sync.WaitGroup
	busy(t, g, &wait, func(i int) {
		name := "first-" + strconv.Itoa(i)
		n.add(t, name, note(t.Context(), s.For(0), "k", name))
	})
	for i := range callers {
		name := "with-" + strconv.Itoa(i)
		wait.Go(func() {
			err := note(t.Context(), s.For(0), "k", name)
			n.add(t, name, err)
			each(i, err)
		})
	}
	until(t, "their place in the queue", func() bool { return s.Waiting(0) == callers })
	return &wait
}

// ready has a script known, so that nothing of it is sent twice.
func ready(t *testing.T, s *redistest.Server) {
	t.Helper()
	if err := note(t.Context(), s.Client(), "other", "x"); err != nil {
		t.Fatal(err)
	}
}

func TestEverybodyHasTheAnswerToTheirOwnCommand(t *testing.T) {
	const callers, each = 64, 200
	server := redistest.Start(t)
	c := client(t, server.Addr(), 16)
	var trips atomic.Int64
	redisx.CountTrips(c, func() { trips.Add(1) })
	shared := redisx.NewShared(c, 64)
	var n notes
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			for k := range each {
				if k == each/2 && i == 0 { // as after a fail-over, in the midst of it all
					if err := server.Client().ScriptFlush(t.Context()).Err(); err != nil {
						t.Error(err)
					}
				}
				name := fmt.Sprintf("%d-%d", i, k)
				n.add(t, name, note(t.Context(), shared.For(i), "k", name))
			}
		})
	}
	wait.Wait()
	if said := n.hold(t, c, "k"); said[""] != callers*each {
		t.Errorf("%v", said)
	}
	if got := trips.Load(); got > callers*each/2 {
		t.Errorf("%d trips for %d commands", got, callers*each)
	}
}

func TestWhoIsAloneGoesByItself(t *testing.T) {
	c := client(t, redistest.Start(t).Addr(), 1)
	g := gated(c)
	close(g.first) // those after them would be held
	shared := redisx.NewShared(c, 1)
	for i := range redisx.MaxTrips / 2 {
		if err := note(t.Context(), shared.For(0), "k", strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOneCommandsErrorIsNoOthers(t *testing.T) {
	server := redistest.Start(t)
	c := client(t, server.Addr(), 16)
	ready(t, server)
	if err := server.Client().Set(t.Context(), "text", "", 0).Err(); err != nil {
		t.Fatal(err)
	}
	shared, g := redisx.NewShared(c, 1), gated(c)
	var n notes
	wait := queued(t, shared, g, &n, 30, func(i int, err error) {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	})
	for range 10 {
		wait.Go(func() {
			if err := note(t.Context(), shared.For(0), "text", "x"); !errs.Is(err, redisx.NotRecorded) {
				t.Errorf("%v", err)
			}
		})
	}
	until(t, "the others", func() bool { return shared.Waiting(0) == 40 })
	close(g.first)
	close(g.then)
	wait.Wait()
	n.hold(t, server.Client(), "k")
}

func TestWhoLeavesIsToldWhetherTheirCommandMayHaveBeenSent(t *testing.T) {
	const callers = 20
	server := redistest.Start(t)
	c := client(t, server.Addr(), 16)
	ready(t, server)
	shared, g := redisx.NewShared(c, 1), gated(c)
	var n notes
	first := queued(t, shared, g, &n, 0, nil)

	// come lets callers queue, and returns what ends their calls.
	come := func(prefix, want string) func() {
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		for i := range callers {
			name := prefix + strconv.Itoa(i)
			wait.Go(func() {
				err := note(ctx, shared.For(0), "k", name)
				n.add(t, name, err)
				if !errs.Is(err, want) {
					t.Errorf("%s: %v, want %s", name, err, want)
				}
			})
		}
		until(t, "their place in the queue", func() bool { return shared.Waiting(0) == callers })
		return func() { cancel(); wait.Wait() }
	}
	come("waiting-", redisx.NotRecorded)()
	if shared.Waiting(0) != 0 {
		t.Error("who left still waits")
	}
	leave := come("aboard-", redisx.OutcomeUnknown)
	close(g.first) // now they are taken along, and held before anything is written
	first.Wait()
	until(t, "their trips", func() bool { return shared.Waiting(0) == 0 && g.held.Load() > redisx.MaxTrips })
	leave()
	if there := server.Client().HLen(t.Context(), "k").Val(); there != redisx.MaxTrips {
		t.Errorf("%d ran before they could", there)
	}
	close(g.then)
	until(t, "the last trip's end", func() bool { return shared.Trips(0) == 0 })
	n.hold(t, server.Client(), "k")
	if there := server.Client().HLen(t.Context(), "k").Val(); there != redisx.MaxTrips+callers {
		t.Errorf("%d ran in the end", there)
	}
}
