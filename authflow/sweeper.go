package authflow

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// Pace of a sweeper.
const (
	sweepEvery  = time.Second
	sweepBatch  = 256             // flows or hours of one partition in one round
	leaseEvery  = 3 * time.Second // a lease holds 10 s
	backoffMost = 15 * time.Second
	tallyAfter  = 2 * time.Hour // after the hour's end: longer than any flow lives
)

// SweeperConfig is what a sweeper needs. Zero durations and nil callbacks have defaults.
type SweeperConfig struct {
	Flows      *Flows
	Partitions int           // all of them: leases share them out among processes
	Holder     string        // this process, unlike any other
	Interval   time.Duration // between rounds; 0: 1 s
	Log        *slog.Logger
	Metrics    SweeperMetrics
	Broken     func(error) // told of a panic, after which nothing is swept any more: the process should end. nil: it panics
}

// SweeperMetrics are callbacks; nil ones are not called. They must not block.
type SweeperMetrics struct {
	Swept   func(n int)           // flows ended
	Tallied func(n int)           // hours closed
	Failed  func()                // a round, or the ending of a superseded flow at once, failed
	Round   func(d time.Duration) // a round took this long
	Held    func(partitions int)  // partitions this process swept in the round
	Dropped func()                // a hand-over found the queue full; the deadline index still has the flow
}

// Sweeper ends flows nobody touches, superseded ones at once, and closes tallies. One sweeper works on a partition at a time,
// by lease; should two do so nevertheless, stamps decide and every flow still gets one ending. It outlives an unreachable
// store: it waits longer and goes on.
type Sweeper struct {
	c       SweeperConfig
	all     []int     // every partition
	held    []int     // those this process sweeps
	renew   time.Time // when to ask for leases again
	tallied time.Time // the minute in which closed hours were asked for last
	told    time.Time // when trouble with single entries was logged last
	after   int       // where the next round begins, of what is due, when one gave up
	dropped int64
	cancel  context.CancelFunc
	done    chan struct{}
}

// NewSweeper returns a sweeper that is not running yet.
func NewSweeper(c SweeperConfig) (*Sweeper, error) {
	if c.Flows == nil || c.Partitions <= 0 || c.Holder == "" || c.Log == nil {
		return nil, errs.New(errs.Internal, "CONFIG_INCOMPLETE", "authflow.SweeperConfig: flows, partitions, holder and log are needed")
	}
	if c.Interval <= 0 {
		c.Interval = sweepEvery
	}
	s := &Sweeper{c: c, all: make([]int, c.Partitions)}
	for p := range s.all {
		s.all[p] = p
	}
	return s, nil
}

// Start begins sweeping in a goroutine of the sweeper's own. Call it once.
func (s *Sweeper) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	go s.run(ctx)
}

// run is the goroutine.
func (s *Sweeper) run(ctx context.Context) {
	defer close(s.done)
	if s.c.Broken == nil {
		s.loop(ctx)
		return
	}
	if err := errs.Guard(func() error { s.loop(ctx); return nil }); err != nil {
		s.c.Broken(err)
	}
}

// Stop ends it and waits until it has ended. A flow whose ending is being committed is ended first. Stopping a sweeper that
// was not started does nothing.
func (s *Sweeper) Stop() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	<-s.done
}

func (s *Sweeper) loop(ctx context.Context) {
	wait := s.c.Interval
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-s.c.Flows.superseded:
			s.handedOver(ctx, d)
			continue
		case <-timer.C:
		}
		if s.round(ctx) {
			wait = s.c.Interval
		} else {
			wait = min(2*wait, max(backoffMost, s.c.Interval))
		}
		timer.Reset(wait)
	}
}

// handedOver ends a flow that was superseded a moment ago. If that fails the next round finds it in the deadline index.
func (s *Sweeper) handedOver(ctx context.Context, d DueFlow) {
	ended, err := s.c.Flows.lapse(ctx, d)
	if err != nil && ctx.Err() == nil {
		s.failed(ctx, err)
		return
	}
	if ended {
		count(s.c.Metrics.Swept, 1)
	}
}

// round looks after every partition this process has the lease of, in a handful of round trips for all of them together. It
// reports whether the store could be reached.
func (s *Sweeper) round(ctx context.Context) bool {
	f := s.c.Flows
	began := f.c.Now()
	err := s.sweep(ctx, began)
	if err != nil && ctx.Err() == nil {
		s.failed(ctx, err)
	}
	if n := f.dropped.Load(); n > s.dropped && s.c.Metrics.Dropped != nil {
		for ; s.dropped < n; s.dropped++ {
			s.c.Metrics.Dropped()
		}
	}
	count(s.c.Metrics.Held, len(s.held))
	if s.c.Metrics.Round != nil {
		s.c.Metrics.Round(f.c.Now().Sub(began))
	}
	return err == nil || ctx.Err() != nil || errs.KindOf(err) != errs.Unavailable
}

// sweep ends what is due and, once in a minute, closes what has closed.
func (s *Sweeper) sweep(ctx context.Context, now time.Time) error {
	err := s.lease(ctx, now)
	if len(s.held) == 0 {
		return err
	}
	err = errors.Join(err, s.flows(ctx))
	if minute := now.Truncate(time.Minute); !isAway(err) && !minute.Equal(s.tallied) {
		e := s.tallies(ctx)
		if !isAway(e) {
			s.tallied = minute
		}
		err = errors.Join(err, e)
	}
	return err
}

// isAway reports whether the store did not answer; any other trouble is with single entries and comes again in every round.
func isAway(err error) bool { return err != nil && errs.KindOf(err) == errs.Unavailable }

// giveUp is how many flows in a row may fail as if the store were away before the round believes it.
const giveUp = 3

// lease asks for the partitions, or renews them, every few seconds.
func (s *Sweeper) lease(ctx context.Context, now time.Time) error {
	if now.Before(s.renew) {
		return nil
	}
	s.held = s.held[:0]
	mine, err := s.c.Flows.c.Store.Lease(ctx, s.all, "sweeper", s.c.Holder)
	for p, ok := range mine {
		if ok {
			s.held = append(s.held, p)
		}
	}
	if err == nil {
		s.renew = now.Add(leaseEvery)
	}
	return err
}

// flows ends what is due. One flow that cannot be ended holds up no other.
func (s *Sweeper) flows(ctx context.Context) error {
	f := s.c.Flows
	due, first := f.c.Store.Due(ctx, s.held, f.c.Now(), sweepBatch)
	swept, away := 0, 0
	for i := range due {
		d := due[(s.after+i)%len(due)]
		ended, err := f.lapse(ctx, d)
		if err != nil && first == nil {
			first = err
		}
		if ended {
			swept++
		}
		if !isAway(err) {
			away = 0
		} else if away++; away == giveUp {
			s.after += i + 1 // the others are most likely no better off, but should it be these alone, the next round begins after them
			first = err
			break
		}
	}
	if swept > 0 {
		count(s.c.Metrics.Swept, swept)
	}
	return first
}

// tallies closes hours that are over for good. Counters that moved meanwhile are closed in a later round.
func (s *Sweeper) tallies(ctx context.Context) error {
	f := s.c.Flows
	due, first := f.c.Store.DueTallies(ctx, s.held, f.c.Now().Add(-tallyAfter), sweepBatch)
	closed := 0
	for _, t := range due {
		err := f.closeTally(ctx, t)
		switch {
		case err == nil:
			closed++
		case isConflict(err):
		case isAway(err):
			return err
		case first == nil:
			first = err
		}
	}
	if closed > 0 {
		count(s.c.Metrics.Tallied, closed)
	}
	return first
}

func (s *Sweeper) failed(ctx context.Context, err error) {
	if s.c.Metrics.Failed != nil {
		s.c.Metrics.Failed()
	}
	if isAway(err) {
		s.c.Log.WarnContext(ctx, "sweeping failed", slog.Any("error", err))
		return
	}
	if now := s.c.Flows.c.Now(); now.Sub(s.told) >= time.Minute {
		s.told = now
		s.c.Log.ErrorContext(ctx, "the sweeper cannot make sense of an entry and goes on with the others", slog.Any("error", err))
	}
}

func count(callback func(int), n int) {
	if callback != nil {
		callback(n)
	}
}
