package interceptor

import (
	"context"
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
		ctx, cancel := context.WithTimeout(ctx, d.within(ctx, call.Rule))
		defer cancel()
		return next(ctx, call)
	}
}

// within is how long the call may work. It ends a little before the caller's own deadline: whoever waited for a store that is
// away must still hear whether to repeat the call, and not only that time is up.
func (d Deadlines) within(ctx context.Context, rule Rule) time.Duration {
	most := max(d.Call, rule.AtLeast)
	deadline, has := ctx.Deadline()
	if !has {
		return most
	}
	left := time.Until(deadline) //nolint:forbidigo // contexts know real time only; the injected clock follows Redis
	return min(left-min(left/10, mostReserved), most)
}
