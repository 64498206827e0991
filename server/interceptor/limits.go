package interceptor

import (
	"context"
	"sync/atomic"

	"github.com/postern-audit/postern/internal/errs"
)

// Limits is the layer that bounds how much is served at once. What is over the bound is refused, never queued: a caller that
// waits in line holds memory and loses its deadline.
type Limits struct {
	Calls   int64 // unary calls in flight
	Streams int64 // open streams

	calls, streams atomic.Int64
}

func (l *Limits) around(next handler) handler {
	return func(ctx context.Context, call *Call) error {
		now, most := &l.calls, l.Calls
		if call.Rule.Stream {
			now, most = &l.streams, l.Streams
		}
		defer now.Add(-1)
		if now.Add(1) > most {
			return errs.New(errs.ResourceExhausted, "OVERLOADED", "this process serves as many calls as it can")
		}
		return next(ctx, call)
	}
}
