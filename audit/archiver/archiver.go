package archiver

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

const (
	maxBatch    = 500                    // entries of one archive transaction
	maxPass     = 8000                   // entries read in one trip, over all partitions
	minRead     = 50                     // entries read per partition and trip, whatever their number
	maxBytes    = 8 << 20                // of the entries read in one trip, shared by the partitions; one entry each may exceed it
	idleMin     = 5 * time.Millisecond   // first wait after an empty trip; doubled up to
	idleMax     = 500 * time.Millisecond // this
	backoffMin  = 100 * time.Millisecond // first wait after a failure; doubled up to
	backoffMax  = 5 * time.Second        // this
	leaseEvery  = 3 * time.Second        // how often the lease is renewed; it should last three times as long
	reportEvery = 5 * time.Second        // how often the backlog is measured
)

// Lease shares partitions among processes. It is a hint: two processes that both believe to hold a partition harm nothing.
type Lease interface {
	// Hold renews and takes what it can of these partitions and returns those this process may serve now.
	Hold(ctx context.Context, partitions []int) ([]int, error)
}

// Metrics is told what happens. Its methods must not block.
type Metrics interface {
	// Archived counts events newly stored.
	Archived(n int)
	// Backlog says how many entries wait and since when the oldest does (zero when none waits).
	Backlog(n int64, oldest time.Time)
	// Failed counts trouble by a closed list of reasons: source, archive, lease, key, fenced, unreadable, region.
	Failed(reason string)
}

// Reasons given to Metrics.Failed.
const (
	FailedSource     = "source"
	FailedArchive    = "archive"
	FailedLease      = "lease"
	FailedKey        = "key"
	FailedFenced     = "fenced"
	FailedUnreadable = "unreadable"
	FailedRegion     = "region"
)

// Config is what an Archiver works with. Keys, Lease and Metrics may be nil.
type Config struct {
	Source     audit.Source
	Archive    audit.Archive // storing several partitions at once when it is an audit.BatchArchive
	Codec      audit.Codec
	Keys       audit.Keys // gets every organization key that passes, so that readers in this process can open at once
	Lease      Lease      // nil: every partition is this process's, as where there is only one
	Metrics    Metrics
	Log        *slog.Logger
	Now        func() time.Time
	Partitions []int
	Holder     string // component and process, for people who look at the archive
	// Region is where the archive keeps the record; empty: nowhere in particular. An event of a site of another region is not stored and
	// not dropped either: it waits, and what is behind it in its partition with it, until an archiver of that region takes it.
	Region string
	// Written is told of every load that was stored and brought what an organization's record became; domains and claims lie beside
	// it. It must not block. May be nil.
	Written func(organizationUID string)
}

// State is what readiness and doctors show.
type State struct {
	Trouble    string    // one of the Failed reasons while the last trip failed, "" while all is well
	Since      time.Time // when it began
	Partitions int       // how many this process serves
	Backlog    int64     // entries waiting, as last measured
	Oldest     time.Time // recorded time of the oldest of them
}

// Archiver is the one that carries. Make it with New, let Run work, ask Flush for what waits.
type Archiver struct {
	cfg   Config
	one   chan struct{} // held by whoever makes a trip: Run or Flush
	wake  chan struct{}
	subs  subscribers
	read  int // entries per partition and trip
	mu    sync.Mutex
	state State

	// Touched by the holder of one only.
	granted  []int               // what the lease gave last
	leased   time.Time           // when
	epochs   map[int]audit.Epoch // partitions taken
	fenced   map[int]bool        // lost since; not taken again before the lease says so
	known    map[string]bool     // organizations whose key is stored
	keyless  map[string]bool     // organizations without one that were complained about
	reported time.Time           // when the backlog was measured last
}

// New returns an Archiver. It does nothing until Run or Flush is called.
func New(cfg Config) (*Archiver, error) {
	if cfg.Source == nil || cfg.Archive == nil || cfg.Codec == nil || cfg.Log == nil || cfg.Now == nil || len(cfg.Partitions) == 0 {
		return nil, errors.New("archiver: Source, Archive, Codec, Log, Now and Partitions are needed")
	}
	if cfg.Metrics == nil {
		cfg.Metrics = noMetrics{}
	}
	cfg.Partitions = slices.Clone(cfg.Partitions)
	return &Archiver{
		cfg: cfg, one: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		read:   min(maxBatch, max(minRead, maxPass/len(cfg.Partitions))),
		epochs: map[int]audit.Epoch{}, fenced: map[int]bool{}, known: map[string]bool{}, keyless: map[string]bool{},
	}, nil
}

// Run carries until ctx ends; that is no error. Trouble makes it wait and try again, for ever. A panic is an error that ends
// it: what it left half done is read again by whoever carries next.
func (a *Archiver) Run(ctx context.Context) error {
	return errs.Guard(func() error { return a.carry(ctx) })
}

func (a *Archiver) carry(ctx context.Context) error {
	idle, backoff := idleMin, backoffMin
	for {
		n, err := a.trip(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // being stopped is no error
		case err != nil:
			a.wait(ctx, backoff, nil)
			backoff = min(2*backoff, backoffMax)
			continue
		case n == 0:
			a.wait(ctx, idle, a.wake)
			idle = min(2*idle, idleMax)
		default:
			idle = idleMin
		}
		backoff = backoffMin
	}
}

// Flush carries everything that waits in this process's partitions now, also while Run works, and returns when nothing is
// left, or at the first failure: what was not carried stays in the outbox.
func (a *Archiver) Flush(ctx context.Context) error {
	for {
		n, err := a.trip(ctx)
		if err != nil || n == 0 {
			return err
		}
	}
}

// Wake ends an idle wait: something was just committed in this process. It never blocks.
func (a *Archiver) Wake() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Subscribe returns a channel that becomes readable soon after events of the organization were archived by this process.
// Several archivings may fall into one signal; other processes' are not seen, so a reader looks by itself now and then.
// cancel ends it and may be called twice.
func (a *Archiver) Subscribe(organizationUID string) (ch <-chan struct{}, cancel func()) {
	return a.subs.add(organizationUID)
}

// State returns how it goes.
func (a *Archiver) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

// trip reads once and stores what it got; n is how many entries it read.
func (a *Archiver) trip(ctx context.Context) (n int, err error) {
	select {
	case a.one <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-a.one }()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	n, reason, err := a.pass(ctx)
	if err != nil && ctx.Err() != nil {
		return n, err // stopping is no trouble
	}
	a.note(reason, err)
	a.report(ctx)
	return n, err
}

// note keeps the state and logs when it changes, not each time.
func (a *Archiver) note(reason string, err error) {
	if err != nil {
		a.cfg.Metrics.Failed(reason)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Partitions = len(a.epochs)
	if reason == a.state.Trouble {
		return
	}
	since := a.state.Since
	a.state.Trouble, a.state.Since = reason, a.cfg.Now()
	if reason == "" {
		a.cfg.Log.Info("archiving again", "after", a.state.Since.Sub(since))
		return
	}
	a.cfg.Log.Warn("archiving is held up; events wait in the outbox", "where", reason, "error", err)
}

// report measures the backlog now and then.
func (a *Archiver) report(ctx context.Context) {
	now := a.cfg.Now()
	held := a.held()
	if len(held) == 0 || (!a.reported.IsZero() && now.Sub(a.reported) < reportEvery) {
		return
	}
	n, oldest, err := a.cfg.Source.Backlog(ctx, held)
	if err != nil {
		return // reading fails as well then, and says so
	}
	a.reported = now
	a.mu.Lock()
	a.state.Backlog, a.state.Oldest = n, oldest
	a.mu.Unlock()
	a.cfg.Metrics.Backlog(n, oldest)
}

// wait waits for d, the end of ctx, or wake.
func (a *Archiver) wait(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}

type noMetrics struct{}

func (noMetrics) Archived(int)             {}
func (noMetrics) Backlog(int64, time.Time) {}
func (noMetrics) Failed(string)            {}
