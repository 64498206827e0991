package export

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// Pace of a worker.
const (
	lookEvery  = 2 * time.Second
	sweepEvery = 10 * time.Minute
	dueBatch   = 32 // of each partition
	endWithin  = 5 * time.Second
	settleAt   = 16 << 20
	lateFor    = 10 * time.Second // before something that could not be removed is tried again
)

// WorkerConfig is what a worker needs. Every field is needed unless it says otherwise.
type WorkerConfig struct {
	Jobs  *Jobs
	Files Files
	// Directory is where exports are made, one directory each; made when missing.
	Directory string
	// Query makes what a filter chooses.
	Query func(filter []byte, organizationUID string) (audit.Query, error)
	// Open opens the personal part of events.
	Open func(e *audit.Event) error
	// Encoder makes what writes a file.
	Encoder func(f Format, w io.Writer, at int64, kept []byte, keep func([]byte) error) (Encoder, error)
	// Schema is the version of the files' columns.
	Schema   int
	Manifest Manifest
	Holder   string // this process, unlike any other
	// Making hears how many exports are made here, whenever that changes. May be nil.
	Making func(n int)
	// SettleAt is after how many bytes what was written is made sure of; 0: 16 MiB.
	SettleAt int64
	Log      *slog.Logger
	Broken   func(error) // told of a panic of the worker itself
}

// Worker makes exports, a few at a time, and takes away those whose time is over.
type Worker struct {
	c      WorkerConfig
	wake   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	making map[Due]bool
	makers sync.WaitGroup
	swept  time.Time
}

// NewWorker returns a worker that is not running yet.
func NewWorker(c WorkerConfig) (*Worker, error) {
	if c.Jobs == nil || c.Files == nil || c.Jobs.Ready == nil || c.Directory == "" || c.Query == nil || c.Open == nil || c.Encoder == nil || c.Schema == 0 ||
		!c.Manifest.complete() || c.Holder == "" || c.Log == nil || c.Broken == nil {
		return nil, errs.New(errs.Internal, "CONFIG_INCOMPLETE", "export.WorkerConfig: a part is missing")
	}
	if c.SettleAt <= 0 {
		c.SettleAt = settleAt
	}
	return &Worker{c: c, wake: make(chan struct{}, 1), making: map[Due]bool{}}, nil
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
		w.makers.Wait()
	}()
}

// Stop ends it and waits until what it makes is put down, to be gone on with elsewhere. Stopping one that was not started does nothing.
func (w *Worker) Stop() {
	if w.cancel == nil {
		return
	}
	w.cancel()
	<-w.done
}

// Wake says that there is something to do. It does not wait.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Worker) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-w.wake:
		}
		if err := w.Round(ctx); err != nil && ctx.Err() == nil {
			w.c.Log.WarnContext(ctx, "exports could not be looked at: they are tried again", "error", err)
		}
		timer.Reset(lookEvery)
	}
}

// Round looks at every export that is due, and begins to make as many as there is room for. One that is trouble holds up no other;
// the first trouble is returned.
func (w *Worker) Round(ctx context.Context) error {
	now := w.c.Jobs.Now()
	var first error
	if w.swept.IsZero() || now.Sub(w.swept) >= sweepEvery {
		w.swept = now
		first = w.sweep(ctx)
	}
	due, err := w.c.Jobs.Store.Due(ctx, now, dueBatch)
	if err != nil {
		return err
	}
	for _, d := range due {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if w.isMaking(d) {
			continue
		}
		job, err := w.c.Jobs.Store.Job(ctx, d.OrganizationUID, d.ID)
		if err == nil {
			err = w.look(ctx, d, job)
		}
		if err != nil && !quiet(err) && first == nil {
			first = err
		}
	}
	return first
}

// quiet reports whether an error only says that somebody else was quicker, or that it is not its turn.
func quiet(err error) bool {
	return errs.Is(err, "EXPORT_BUSY") || errs.KindOf(err) == errs.Conflict || errs.Is(err, "EXPORT_NOT_FOUND") || errors.Is(err, errTaken)
}

// look does what is due with one export.
func (w *Worker) look(ctx context.Context, d Due, job *Job) error {
	now := w.c.Jobs.Now()
	switch {
	case !job.State.Over():
		return w.begin(ctx, d, job)
	case job.State == StateRemoved:
		return w.remove(ctx, job)
	case !now.Before(job.Expires) && job.State == StateSucceeded:
		e := w.c.Jobs.event(job, audit.SystemID, audit.TypeExportDeleted)
		e.Reason = audit.ReasonExpired
		c := w.c.Jobs.removal(job, &e)
		c.Now = now
		if _, err := w.c.Jobs.Store.Commit(ctx, *c); err != nil {
			return err
		}
		w.c.Jobs.wake()
		return w.remove(ctx, c.After)
	case !now.Before(job.Expires):
		return w.remove(ctx, job)
	}
	return w.discard(ctx, job)
}

// discard takes away what was made of an export that failed or was called off, which stays on the list until it expires.
func (w *Worker) discard(ctx context.Context, job *Job) error {
	due := job.Expires
	if err := w.clean(ctx, job); err != nil {
		w.c.Log.WarnContext(ctx, "files of an export could not be removed: it is tried again", "export", job.ID, "error", err)
		due = w.c.Jobs.Now().Add(lateFor)
	}
	after := *job
	_, err := w.c.Jobs.Store.Commit(ctx, Change{OrganizationUID: job.OrganizationUID, Before: job, After: &after, Due: due, Now: w.c.Jobs.Now()})
	return err
}

// remove takes away an export with everything that was made of it.
func (w *Worker) remove(ctx context.Context, job *Job) error {
	c := Change{OrganizationUID: job.OrganizationUID, Before: job, Now: w.c.Jobs.Now()}
	if err := w.clean(ctx, job); err != nil {
		w.c.Log.WarnContext(ctx, "files of an export could not be removed: it is tried again", "export", job.ID, "error", err)
		after := *job
		c.After, c.Due = &after, w.c.Jobs.Now().Add(lateFor)
	}
	_, err := w.c.Jobs.Store.Commit(ctx, c)
	return err
}

// clean takes the files away, unless somebody is still writing to them.
func (w *Worker) clean(ctx context.Context, job *Job) error {
	dir, err := openWork(w.c.Directory, job.OrganizationUID, job.ID)
	if errors.Is(err, errTaken) {
		return err
	}
	removed := w.c.Files.Remove(ctx, job.prefix())
	if err != nil { // no room for a directory, perhaps, which the files that go make
		return removed
	}
	return errors.Join(removed, dir.remove())
}

// sweep takes away the directories of exports that are over, which a process left here that was killed.
func (w *Worker) sweep(ctx context.Context) error {
	left, err := works(w.c.Directory)
	if err != nil {
		return storing(err)
	}
	for _, d := range left {
		if w.isMaking(d) {
			continue
		}
		job, err := w.c.Jobs.Store.Job(ctx, d.OrganizationUID, d.ID)
		if err != nil && !errs.Is(err, "EXPORT_NOT_FOUND") {
			return err
		}
		if err == nil && !job.State.Over() {
			continue
		}
		dir, err := openWork(w.c.Directory, d.OrganizationUID, d.ID)
		if err == nil {
			err = dir.remove()
		}
		if err != nil && !errors.Is(err, errTaken) {
			return err
		}
	}
	return nil
}

func (w *Worker) isMaking(d Due) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.making[d]
}

// room takes a place for an export, if there is one.
func (w *Worker) room(d Due) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.making) >= MaxAtOnce {
		return false
	}
	w.making[d] = true
	w.tell()
	return true
}

// tell says how many exports are made.
func (w *Worker) tell() {
	if w.c.Making != nil {
		w.c.Making(len(w.making))
	}
}

func (w *Worker) drop(d Due) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.making, d)
	w.tell()
}

func (w *Worker) leave(d Due) {
	w.drop(d)
	w.Wake() // there is room for another one
}

// begin takes an export up and makes it in a goroutine of its own.
func (w *Worker) begin(ctx context.Context, d Due, job *Job) error {
	if !w.room(d) {
		return nil
	}
	m, err := w.take(ctx, job)
	if err != nil || m == nil {
		w.drop(d)
		return err
	}
	w.makers.Go(func() {
		defer w.leave(d)
		m.run(ctx)
	})
	return nil
}

// take opens the export's directory and then takes it up: nobody else has both. Nothing is returned of one that was put down, since its
// directory cannot be had now.
func (w *Worker) take(ctx context.Context, job *Job) (*maker, error) {
	dir, err := openWork(w.c.Directory, job.OrganizationUID, job.ID)
	if err != nil && !errors.Is(err, errTaken) {
		return nil, w.pause(ctx, job, storing(err))
	}
	if err != nil {
		return nil, err
	}
	after := *job
	after.State, after.StateReason, after.Holder, after.Attempt = StateRunning, "", w.c.Holder, job.Attempt+1
	now := w.c.Jobs.Now()
	_, err = w.c.Jobs.Store.Commit(ctx, Change{OrganizationUID: job.OrganizationUID, Before: job, After: &after, Due: now.Add(leaseFor), Lease: LeaseTake, Now: now})
	if err != nil {
		return nil, errors.Join(err, dir.close())
	}
	return &maker{Worker: w, job: &after, dir: dir}, nil
}

// pause puts an export down until what it needs is back, or for good when that cannot be.
func (w *Worker) pause(ctx context.Context, job *Job, err error) error {
	x, t := w.c.Jobs, troubleOf(err)
	now := x.Now()
	if t.final || t.reason == ReasonCannotBeMade && job.Paused >= giveUpAfter {
		w.c.Log.WarnContext(ctx, "an export cannot be made", "export", job.ID, "reason", t.reason, "error", err)
		after, c := x.over(job, StateFailed, t.reason)
		e := x.event(after, audit.SystemID, audit.TypeExportFailed)
		e.Reason = t.reason
		c.Event, c.Now = &e, now
		_, err = x.Store.Commit(ctx, *c)
		x.wake()
		return err
	}
	after := *job
	after.State, after.StateReason, after.Holder, after.Paused = StatePaused, t.reason, "", job.Paused+1
	wait := min(longestPause, firstPause<<min(job.Paused, 10))
	w.c.Log.WarnContext(ctx, "an export is paused: it goes on by itself", "export", job.ID, "reason", t.reason, "again_in", wait, "error", err)
	_, err = x.Store.Commit(ctx, Change{OrganizationUID: job.OrganizationUID, Before: job, After: &after, Due: now.Add(wait), Now: now})
	return err
}
