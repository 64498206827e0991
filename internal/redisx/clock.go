package redisx

import (
	"cmp"
	"context"
	"slices"
	"sync"
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
	mu       sync.Mutex
	samples  []clockSample // the last few, oldest first
}

// NewClock returns a clock over now.
func NewClock(now func() time.Time) *Clock { return &Clock{now: now} }

// Now is the estimate of Redis' time, UTC.
func (c *Clock) Now() time.Time { return c.now().Add(time.Duration(c.offset.Load())).UTC() }

// Measure asks Redis for its time, a few times when it never did, else once. Of the last few samples that agree the one with the
// shortest round trip counts. Call it at start and every second.
func (c *Clock) Measure(ctx context.Context, t Timer) error {
	times := 1
	if !c.measured.Load() {
		times = clockSamples
	}
	for range times {
		before := c.now()
		there, err := t.Time(ctx).Result()
		if err != nil {
			return ReadFailed(err)
		}
		trip := c.now().Sub(before)
		c.take(clockSample{trip, there.Sub(before.Add(trip / 2))})
	}
	c.measured.Store(true)
	return nil
}

// clockSample is one question and its answer. Its offset is right to half the trip, either way.
type clockSample struct{ trip, offset time.Duration }

// take adds a sample. Earlier ones that cannot be right if it is are from before a clock was set, and go.
func (c *Clock) take(s clockSample) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.samples = slices.DeleteFunc(c.samples, func(o clockSample) bool { return (s.offset - o.offset).Abs() > (s.trip+o.trip)/2+time.Millisecond })
	if c.samples = append(c.samples, s); len(c.samples) > clockSamples {
		c.samples = slices.Delete(c.samples, 0, 1)
	}
	best := slices.MinFunc(c.samples, func(a, b clockSample) int { return cmp.Compare(a.trip, b.trip) })
	c.offset.Store(int64(best.offset))
}

// Skew is the last measured difference, Redis minus here.
func (c *Clock) Skew() time.Duration { return time.Duration(c.offset.Load()) }

// Ready reports whether the clock was measured and the skew is bearable.
func (c *Clock) Ready() bool {
	return c.measured.Load() && c.Skew().Abs() <= MaxSkew
}
