package redisx_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/internal/redisx"
)

// clocks are this machine's and Redis'. A question takes so long each way.
type clocks struct {
	here, there      time.Time
	going, returning time.Duration
	asked            int
}

func (c *clocks) pass(d time.Duration) { c.here, c.there = c.here.Add(d), c.there.Add(d) }

func (c *clocks) Time(ctx context.Context) *redis.TimeCmd {
	c.asked++
	c.pass(c.going)
	answer := redis.NewTimeCmd(ctx, "time")
	answer.SetVal(c.there)
	c.pass(c.returning)
	return answer
}

func TestTheClockTakesTheBestOfItsLastSamples(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	c := &clocks{here: start, there: start.Add(300 * time.Millisecond), going: time.Millisecond, returning: time.Millisecond}
	clock := redisx.NewClock(func() time.Time { return c.here })
	for _, step := range []struct {
		name             string
		going, returning time.Duration
		set              time.Duration // Redis' clock is set forward
		asks             int
		skew             time.Duration
	}{
		{"at first it asks three times", time.Millisecond, time.Millisecond, 0, 3, 300 * time.Millisecond},
		{"then once", time.Millisecond, time.Millisecond, 0, 1, 300 * time.Millisecond},
		{"a slow answer does not disturb", time.Millisecond, 199 * time.Millisecond, 0, 1, 300 * time.Millisecond},
		{"a clock that was set is followed at once", time.Millisecond, time.Millisecond, time.Minute, 1, time.Minute + 300*time.Millisecond},
		{"a slow answer does not disturb then", 99 * time.Millisecond, time.Millisecond, 0, 1, time.Minute + 300*time.Millisecond},
		{"nor does another one", 99 * time.Millisecond, time.Millisecond, 0, 1, time.Minute + 300*time.Millisecond},
		{"but what is old counts no more", 99 * time.Millisecond, time.Millisecond, 0, 1, time.Minute + 349*time.Millisecond},
	} {
		c.going, c.returning, c.asked = step.going, step.returning, 0
		c.pass(time.Second)
		c.there = c.there.Add(step.set)
		if err := clock.Measure(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if c.asked != step.asks || clock.Skew() != step.skew {
			t.Errorf("%s: asked %d times, skew %v", step.name, c.asked, clock.Skew())
		}
	}
}
