package redisx

import (
	"context"
	"net"

	"github.com/redis/go-redis/v9"
)

// CountTrips calls inc for every round trip a client makes: one for a command, one for a whole pipeline. A script that the
// server did not know and that is sent again counts twice, because it is two.
func CountTrips(c redis.UniversalClient, inc func()) { c.AddHook(tripCounter{inc}) }

type tripCounter struct{ inc func() }

func (t tripCounter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (t tripCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		t.inc()
		return next(ctx, cmd)
	}
}

func (t tripCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		t.inc()
		return next(ctx, cmds)
	}
}
