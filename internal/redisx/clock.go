package redisx

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// MaxSkew is how far this machine's clock may be from Redis' before the process calls itself not ready.
const MaxSkew = time.Second

const clockSamples = 3

// Timer is the part of a client that the clock needs.
type Timer interface {
	Time(ctx context.Context) *redis.TimeCmd
}

// Clock estimates Redis' time from this process's. Until it was measured it shows this process's. Safe for concurrent use.
type Clock struct {
	now      func() time.Time
	offset   atomic.Int64 // Redis minus here, nanoseconds
	measured atomic.Bool
}

// NewClock returns a clock over now.
func NewClock(now func() time.Time) *Clock { return &Clock{now: now} }

// Now is the estimate of Redis' time, UTC.
func (c *Clock) Now() time.Time { return c.now().Add(time.Duration(c.offset.Load())).UTC() }

// Measure asks Redis for its time and takes the sample with the shortest round trip. Call it at start and every few seconds.
func (c *Clock) Measure(ctx context.Context, t Timer) error {
	var best time.Duration = -1
	var offset time.Duration
	for range clockSamples {
		before := c.now()
		there, err := t.Time(ctx).Result()
		if err != nil {
			return ReadFailed(err)
		}
		trip := c.now().Sub(before)
		if best < 0 || trip < best {
			best, offset = trip, there.Sub(before.Add(trip/2))
		}
	}
	c.offset.Store(int64(offset))
	c.measured.Store(true)
	return nil
}

// Skew is the last measured difference, Redis minus here.
func (c *Clock) Skew() time.Duration { return time.Duration(c.offset.Load()) }

// Ready reports whether the clock was measured and the skew is bearable.
func (c *Clock) Ready() bool {
	return c.measured.Load() && c.Skew().Abs() <= MaxSkew
}
