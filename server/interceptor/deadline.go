package interceptor

import (
	"context"
	"time"
)

// Deadlines is the layer that bounds calls in time.
type Deadlines struct {
	// Call is how long a unary call without a deadline may take; a shorter deadline of the caller wins.
	Call time.Duration
}

func (d Deadlines) around(next handler) handler {
	return func(ctx context.Context, call *Call) error {
		if call.Rule.Stream {
			return next(ctx, call)
		}
		if _, has := ctx.Deadline(); has {
			return next(ctx, call)
		}
		ctx, cancel := context.WithTimeout(ctx, d.Call)
		defer cancel()
		return next(ctx, call)
	}
}
