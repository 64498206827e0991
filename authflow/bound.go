package authflow

import (
	"context"
	"sync/atomic"
	"time"
)

// commitBound gives commits a deadline that their callers' going away does not bring forward. A timer for each would cost as
// much as laying the commit out; those that begin within a fiftieth of the bound share one and have that much less at worst.
type commitBound struct {
	longest time.Duration
	current atomic.Pointer[sharedBound]
}

// sharedBound is one deadline, for the commits that begin by until.
type sharedBound struct {
	ctx             context.Context    //nolint:containedctx // it is the deadline
	end             context.CancelFunc // for nobody: it ends by itself, for all who share it
	deadline, until time.Time
}

// over returns the context of a commit, with the values of its call, and what frees it.
func (b *commitBound) over(ctx context.Context) (context.Context, context.CancelFunc) {
	shared := b.shared()
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(shared.deadline) {
		return context.WithDeadline(context.WithoutCancel(ctx), deadline)
	}
	return boundedContext{shared.ctx, ctx}, func() {}
}

func (b *commitBound) shared() *sharedBound {
	now := time.Now() //nolint:forbidigo // contexts know real time only
	if s := b.current.Load(); s != nil && !now.After(s.until) {
		return s
	}
	s := &sharedBound{deadline: now.Add(b.longest), until: now.Add(b.longest / 50)}
	s.ctx, s.end = context.WithDeadline(context.Background(), s.deadline) //nolint:gosec // G118: it ends by itself
	b.current.Store(s)
	return s
}

// boundedContext ends with one context and has the values of another.
type boundedContext struct {
	context.Context
	values context.Context //nolint:containedctx // it is a context
}

// Value implements context.Context. What contexts ask each other about their ends is answered by the one that decides it.
func (c boundedContext) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}
