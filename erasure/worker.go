package erasure

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// Pace of a worker.
const (
	every    = 2 * time.Second // between rounds
	dueBatch = 16              // erasures of one partition and round
)

// WorkerConfig is what a worker needs. Every field is needed unless it says otherwise.
type WorkerConfig struct {
	Store      Store
	Live       Live
	Archive    Archive
	Archived   Archived
	Directory  Holds
	Partitions int
	// Lease asks for partitions: whoever has one looks after it for some seconds. It is a hint; should two processes carry out one
	// erasure nevertheless, no harm is done. nil: there is one process.
	Lease  func(ctx context.Context, partitions []int) ([]int, error)
	NewID  func() string // UUIDv7, of events
	Now    func() time.Time
	Log    *slog.Logger
	Broken func(error) // told of a panic, after which nothing is erased any more
	Done   func()      // told after an event was written; may be nil
}

// Worker carries out erasures, in bounded pieces, each of them noted when it is done: whoever comes next goes on from there.
type Worker struct {
	c      WorkerConfig
	wake   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

// NewWorker returns a worker that is not running yet.
func NewWorker(c WorkerConfig) (*Worker, error) {
	if c.Store == nil || c.Live == nil || c.Archive == nil || c.Archived == nil || c.Directory == nil || c.Partitions <= 0 || c.NewID == nil || c.Now == nil ||
		c.Log == nil || c.Broken == nil {
		return nil, errs.New(errs.Internal, "CONFIG_INCOMPLETE", "erasure.WorkerConfig: a part is missing")
	}
	if c.Done == nil {
		c.Done = func() {}
	}
	return &Worker{c: c, wake: make(chan struct{}, 1)}, nil
}

// Start begins in a goroutine of the worker's own. Call it once.
func (w *Worker) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan struct{})
	go func() {
		defer close(w.done)
		if err := errs.Guard(func() error { w.loop(ctx); return nil }); err != nil {
			w.c.Broken(err)
		}
	}()
}

// Stop ends it and waits until it has ended. Stopping one that was not started does nothing.
func (w *Worker) Stop() {
	if w.cancel == nil {
		return
	}
	w.cancel()
	<-w.done
}

// Wake says that something is due.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Worker) loop(ctx context.Context) {
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-timer.C:
		}
		if err := w.Round(ctx); err != nil && ctx.Err() == nil {
			w.c.Log.WarnContext(ctx, "an erasure had trouble: it is tried again", "error", err)
		}
		timer.Reset(every)
	}
}

// Round goes on with what is due, in every partition this process has the lease of. It returns all trouble; an erasure it was with
// holds up no other.
func (w *Worker) Round(ctx context.Context) error {
	mine := make([]int, w.c.Partitions)
	for i := range mine {
		mine[i] = i
	}
	if w.c.Lease != nil {
		var err error
		if mine, err = w.c.Lease(ctx, mine); err != nil {
			return err
		}
	}
	if len(mine) == 0 {
		return nil
	}
	due, err := w.c.Store.Due(ctx, mine, w.c.Now(), dueBatch)
	all := []error{err}
	for _, p := range due {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := errs.Guard(func() error { return w.goOn(ctx, p) }); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}
