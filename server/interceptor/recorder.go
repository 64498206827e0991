package interceptor

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// How refusals are folded.
const (
	foldWindow = 10 * time.Second
	foldFirst  = 20   // written one by one within a window
	foldKeys   = 4096 // kinds of refusal remembered at once; more share one entry per code
	foldTick   = time.Second
)

// Recorder writes access.denied events. Of refusals that are alike (organization, caller, method, code, reason) the first 20
// within 10 s are written one by one, before the answer; the rest is counted and written as one event when the window closes.
// Its goroutine runs from NewRecorder to Close.
type Recorder struct {
	outbox audit.Outbox
	orgs   Organizations
	now    func() time.Time
	newID  func() string
	log    *slog.Logger

	mu    sync.Mutex
	folds map[foldKey]*fold

	stop   chan struct{}
	once   sync.Once
	done   chan struct{}
	broken chan error // what its goroutine ended with, if that was a panic
}

// foldKey says which refusals are alike. Every part comes from a closed set or from what a transport proved; an organization
// without uid is one that a request named and nobody has looked up yet.
type foldKey struct {
	organization, organizationUID, principal, method, code, reason string
}

type fold struct {
	opened  time.Time
	written int    // one by one in this window
	pending int64  // counted, not written yet
	first   string // call id of the first one counted
}

// NewRecorder starts a recorder that writes to the outbox.
func NewRecorder(outbox audit.Outbox, orgs Organizations, now func() time.Time, newID func() string, log *slog.Logger) *Recorder {
	r := &Recorder{
		outbox: outbox, orgs: orgs, now: now, newID: newID, log: log, folds: map[foldKey]*fold{},
		stop: make(chan struct{}), done: make(chan struct{}), broken: make(chan error, 1),
	}
	go func() {
		defer close(r.done)
		if err := errs.Guard(r.run); err != nil {
			r.broken <- fmt.Errorf("interceptor: counting refusals: %w", err)
		}
	}()
	return r
}

// Broken yields an error when the recorder's goroutine has panicked: nothing that was counted is written before Close, and the
// process should end.
func (r *Recorder) Broken() <-chan error { return r.broken }

func (r *Recorder) run() error {
	tick := time.NewTicker(foldTick)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			return nil
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
			r.closeWindows(ctx, r.now().Add(-foldWindow))
			cancel()
		}
	}
}

// Close stops the goroutine and writes what was counted. The error says how many refusals are lost.
func (r *Recorder) Close(ctx context.Context) error {
	r.once.Do(func() { close(r.stop) })
	<-r.done
	if lost := r.closeWindows(ctx, r.now()); lost > 0 {
		return errs.Newf(errs.Unavailable, "NOT_RECORDED", "%d refusals could not be recorded", lost)
	}
	return nil
}

// add records one refusal, now or, when it is one too many or later is set, when its window closes.
func (r *Recorder) add(ctx context.Context, key foldKey, callID string, later bool) error {
	if !r.reserve(&key, callID, later) {
		return nil
	}
	err := r.write(ctx, key, callID, 1)
	if err != nil {
		r.reserve(&key, callID, true)
	}
	return err
}

// reserve reports whether a refusal is to be written now; else it has counted it. It may change the key to a coarser one.
func (r *Recorder) reserve(key *foldKey, callID string, later bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.folds[*key]
	if f == nil && len(r.folds) >= foldKeys {
		*key = foldKey{
			organization: audit.SystemID, organizationUID: audit.SystemUID, principal: "*", method: "*", code: key.code, reason: "*",
		}
		f = r.folds[*key]
	}
	if f == nil {
		f = &fold{opened: r.now()}
		r.folds[*key] = f
	}
	if !later && f.written < foldFirst {
		f.written++
		return true
	}
	if f.pending == 0 {
		f.first = callID
	}
	f.pending++
	return false
}

// closeWindows writes what was counted in windows that opened at or before the given time, and returns how many refusals of
// them could not be written; those stay counted.
func (r *Recorder) closeWindows(ctx context.Context, opened time.Time) (unwritten int64) {
	for _, c := range r.due(opened) {
		if err := r.write(ctx, c.key, c.first, c.pending); err != nil {
			unwritten += c.pending
			r.log.LogAttrs(ctx, slog.LevelError, "refusals not recorded yet", slog.Int64("count", c.pending), slog.String("cause", err.Error()))
			continue
		}
		r.settle(c.key, c.pending)
	}
	return unwritten
}

type counted struct {
	key     foldKey
	first   string
	pending int64
}

// due lists windows to write and drops those with nothing left to write.
func (r *Recorder) due(opened time.Time) []counted {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []counted
	for key, f := range r.folds {
		switch {
		case f.opened.After(opened):
		case f.pending == 0:
			delete(r.folds, key)
		default:
			out = append(out, counted{key, f.first, f.pending})
		}
	}
	return out
}

// settle takes what was written off the count. What came in meanwhile begins a new window.
func (r *Recorder) settle(key foldKey, written int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.folds[key]
	if f.pending -= written; f.pending == 0 {
		delete(r.folds, key)
		return
	}
	f.opened, f.written = r.now(), 0
}

func (r *Recorder) write(ctx context.Context, key foldKey, callID string, count int64) error {
	if key.organizationUID == "" {
		uid, err := r.orgs.Resolve(ctx, key.organization)
		if errs.KindOf(err) == errs.NotFound {
			key.organization, uid, err = audit.SystemID, audit.SystemUID, nil
		}
		if err != nil {
			return fmt.Errorf("interceptor: organization of a refusal: %w", err)
		}
		key.organizationUID = uid
	}
	err := r.outbox.Append(ctx, key.organizationUID, audit.Event{
		ID: r.newID(), Type: audit.TypeAccessDenied, Time: r.now(), Organization: key.organization, OrganizationUID: key.organizationUID,
		Caller: key.principal, Outcome: audit.OutcomeOf(audit.TypeAccessDenied),
		Denial: &audit.Denial{Method: key.method, Code: key.code, Reason: key.reason, Count: count, CallID: callID},
	})
	if err != nil {
		return fmt.Errorf("interceptor: access.denied: %w", err)
	}
	return nil
}
