package directory

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Pace of a rechecker. A round looks at no more than partitions times recheckBatch domains.
const (
	recheckEvery  = 10 * time.Second
	recheckBatch  = 32
	recheckAtOnce = 16
	recheckLater  = 10 * time.Minute // after something went wrong with one domain that says nothing about its zone
	maxLater      = 4096
)

// RecheckerConfig is what a rechecker needs. Every field is needed unless it says otherwise.
type RecheckerConfig struct {
	Domains    *Domains
	Partitions int
	// Lease asks for one partition: whoever has it looks after it for some seconds. It is a hint; should two processes look at one
	// domain nevertheless, one of the looks counts. nil: there is one process.
	Lease    func(ctx context.Context, partition int) (bool, error)
	Interval time.Duration // between rounds; 0: 10 s
	Log      *slog.Logger
	Broken   func(error) // told of a panic, after which nothing is looked at any more
}

// Rechecker looks again at domains that are due, a bounded number at a time.
type Rechecker struct {
	c      RecheckerConfig
	later  map[policy.DueCheck]time.Time // what is left alone for a while; of the goroutine that runs rounds
	cancel context.CancelFunc
	done   chan struct{}
}

// NewRechecker returns a rechecker that is not running yet.
func NewRechecker(c RecheckerConfig) (*Rechecker, error) {
	if c.Domains == nil || c.Partitions <= 0 || c.Log == nil || c.Broken == nil {
		return nil, errs.New(errs.Internal, "CONFIG_INCOMPLETE", "directory.RecheckerConfig: domains, partitions, log and broken are needed")
	}
	if c.Interval <= 0 {
		c.Interval = recheckEvery
	}
	return &Rechecker{c: c, later: map[policy.DueCheck]time.Time{}}, nil
}

// Start begins in a goroutine of the rechecker's own. Call it once.
func (r *Rechecker) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan struct{})
	go func() {
		defer close(r.done)
		if err := errs.Guard(func() error { r.loop(ctx); return nil }); err != nil {
			r.c.Broken(err)
		}
	}()
}

// Stop ends it and waits until it has ended. Stopping one that was not started does nothing.
func (r *Rechecker) Stop() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	<-r.done
}

func (r *Rechecker) loop(ctx context.Context) {
	timer := time.NewTimer(r.c.Interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := r.Round(ctx); err != nil && ctx.Err() == nil {
			r.c.Log.WarnContext(ctx, "domains were not looked at again: they are tried later", "error", err)
		}
		timer.Reset(r.c.Interval)
	}
}

// Round looks at what is due, in every partition this process has the lease of. It returns the first trouble; a domain it was
// with is left alone for ten minutes, so that it holds up no other.
func (r *Rechecker) Round(ctx context.Context) error {
	var first error
	for partition := range r.c.Partitions {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.partition(ctx, partition); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (r *Rechecker) partition(ctx context.Context, partition int) error {
	if r.c.Lease != nil {
		if mine, err := r.c.Lease(ctx, partition); err != nil || !mine {
			return err
		}
	}
	now := r.c.Domains.Now()
	for d, until := range r.later {
		if !until.After(now) {
			delete(r.later, d)
		}
	}
	all, err := r.c.Domains.Challenges.DueChecks(ctx, partition, now, recheckBatch+len(r.later))
	if err != nil {
		return err
	}
	var due []policy.DueCheck
	for _, d := range all {
		if _, wait := r.later[d]; !wait && len(due) < recheckBatch {
			due = append(due, d)
		}
	}
	return r.lookAt(ctx, due)
}

// lookAt looks at several domains, some at once.
func (r *Rechecker) lookAt(ctx context.Context, due []policy.DueCheck) error {
	failed := make([]error, len(due))
	room := make(chan struct{}, recheckAtOnce)
	var wait sync.WaitGroup
	for i, d := range due {
		room <- struct{}{}
		wait.Go(func() {
			defer func() { <-room }()
			failed[i] = errs.Guard(func() error { return r.c.Domains.Recheck(ctx, d) })
		})
	}
	wait.Wait()
	var first error
	for i, err := range failed {
		if err == nil {
			continue
		}
		if first == nil {
			first = err
		}
		if len(r.later) < maxLater {
			r.later[due[i]] = r.c.Domains.Now().Add(recheckLater)
		}
	}
	return first
}
