package interceptor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Deadlines is the layer that bounds calls in time.
type Deadlines struct {
	// Call is how long a unary call may take unless its rule says more; a shorter deadline of the caller wins.
	Call time.Duration
}

// mostReserved is how much of a caller's own deadline is at most kept back for the answer; a tenth of it otherwise.
const mostReserved = 100 * time.Millisecond

func (d Deadlines) around(next handler) handler {
	return func(ctx context.Context, call *Call) error {
		if call.Rule.Stream {
			return next(ctx, call)
		}
		now := time.Now() //nolint:forbidigo // contexts know real time only; the injected clock follows Redis
		bounded := &deadlineContext{Context: ctx, deadline: now.Add(d.within(ctx, now, call.Rule))}
		defer bounded.free()
		return next(bounded, call) //nolint:contextcheck // bounded is of ctx
	}
}

// within is how long the call may work. It ends a little before the caller's own deadline: whoever waited for a store that is
// away must still hear whether to repeat the call, and not only that time is up.
func (d Deadlines) within(ctx context.Context, now time.Time, rule Rule) time.Duration {
	most := max(d.Call, rule.AtLeast)
	deadline, has := ctx.Deadline()
	if !has {
		return most
	}
	left := deadline.Sub(now)
	return min(left-min(left/10, mostReserved), most)
}

// deadlineContext is context.WithDeadline whose timer starts when somebody first waits for its end: most calls are over before
// anybody does.
type deadlineContext struct {
	context.Context
	deadline time.Time
	timed    atomic.Pointer[timedContext]
	mu       sync.Mutex // guards what follows, and who makes timed
	freed    bool
}

type timedContext struct {
	context.Context
	cancel context.CancelFunc
}

// Deadline implements context.Context.
func (c *deadlineContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Done implements context.Context.
func (c *deadlineContext) Done() <-chan struct{} {
	if t := c.timed.Load(); t != nil {
		return t.Done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.timed.Load(); t != nil {
		return t.Done()
	}
	ctx, cancel := context.WithDeadline(c.Context, c.deadline)
	if c.freed {
		cancel()
	}
	c.timed.Store(&timedContext{ctx, cancel})
	return ctx.Done()
}

// Err implements context.Context.
func (c *deadlineContext) Err() error {
	if t := c.timed.Load(); t != nil {
		return t.Err()
	}
	if err := c.Context.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.freed:
		return context.Canceled
	case !time.Now().Before(c.deadline): //nolint:forbidigo // contexts know real time only
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements context.Context.
func (c *deadlineContext) Value(key any) any {
	if t := c.timed.Load(); t != nil {
		return t.Value(key) // contexts below find the one that ends them
	}
	return c.Context.Value(key)
}

// free ends the context: the call is over.
func (c *deadlineContext) free() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.freed = true
	if t := c.timed.Load(); t != nil {
		t.cancel()
	}
}
