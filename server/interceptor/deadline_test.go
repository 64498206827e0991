package interceptor

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestACallEndsOnceItIsOverLateOrLeft(t *testing.T) {
	for name, c := range map[string]struct {
		left  time.Duration
		leave bool
		free  bool
		want  error
	}{
		"under way": {left: time.Hour},
		"over":      {left: time.Hour, free: true, want: context.Canceled},
		"left":      {left: time.Hour, leave: true, want: context.Canceled},
		"late":      {left: -time.Second, want: context.DeadlineExceeded},
	} {
		for _, waited := range []bool{false, true} { // somebody waited for its end before it came
			caller, leave := context.WithCancel(t.Context())
			ctx := &deadlineContext{Context: caller, deadline: time.Now().Add(c.left)}
			below, stop := context.Context(ctx), context.CancelFunc(func() {})
			if waited {
				below, stop = context.WithCancel(ctx)
			}
			if c.leave {
				leave()
			}
			if c.free {
				ctx.free()
			}
			if c.want == nil {
				if ctx.Err() != nil || below.Err() != nil {
					t.Errorf("%s: %v, %v", name, ctx.Err(), below.Err())
				}
				ctx.free()
			} else if !waited && !errors.Is(ctx.Err(), c.want) {
				t.Errorf("%s: it ends with %v", name, ctx.Err())
			}
			<-ctx.Done()
			<-below.Done()
			if c.want != nil && (!errors.Is(ctx.Err(), c.want) || !errors.Is(below.Err(), c.want)) {
				t.Errorf("%s: in the end %v, %v", name, ctx.Err(), below.Err())
			}
			stop()
			leave()
		}
	}
}
