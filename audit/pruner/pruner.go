package pruner

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

const (
	every  = time.Hour             // between rounds
	settle = 10 * time.Minute      // from the first round to the second
	rest   = 50 * time.Millisecond // after each piece of space given back
	page   = 100                   // records told at a time
)

// Metrics is told what happens. Its methods must not block.
type Metrics interface {
	// Pruned counts events and flows that went.
	Pruned(events, flows int64)
	// PruneFailed counts trouble by a closed list of steps: lease, ahead, drop, tell, reclaim, people.
	PruneFailed(step string)
}

// Steps given to Metrics.PruneFailed.
const (
	FailedLease   = "lease"
	FailedAhead   = "ahead"
	FailedDrop    = "drop"
	FailedTell    = "tell"
	FailedReclaim = "reclaim"
	FailedPeople  = "people"
)

// Config is what a Pruner works with. Lease and Metrics may be nil.
type Config struct {
	Archive audit.Keeper // gives its space back in pieces when it is an audit.Reclaimer
	Outbox  audit.Outbox
	// Lease asks whether this process is the one to prune. It is a hint. nil: there is one process.
	Lease   func(ctx context.Context) (bool, error)
	Metrics Metrics
	Log     *slog.Logger
	Now     func() time.Time
	Rest    time.Duration // after each piece of space given back, so that appends go in between; 0: 50 ms
	// People forgets people; nil: the archive lists none.
	People audit.SubjectPruner
}

// Pruner prunes. Make it with New, let Run work.
type Pruner struct {
	cfg Config
	// due holds the shelves that had expired at the round before. Only those go: a clock that is wrong for a moment, as they are
	// when machines start, must not cost a record.
	due map[place]bool
	// before is when the last round was: people go by that, for the same reason.
	before time.Time
}

// place names a shelf.
type place struct {
	keep       int
	start, end int64
}

// New returns a Pruner. It does nothing until Run is called.
func New(cfg Config) (*Pruner, error) {
	if cfg.Archive == nil || cfg.Outbox == nil || cfg.Log == nil || cfg.Now == nil {
		return nil, errors.New("pruner: Archive, Outbox, Log and Now are needed")
	}
	if cfg.Metrics == nil {
		cfg.Metrics = noMetrics{}
	}
	if cfg.Rest <= 0 {
		cfg.Rest = rest
	}
	return &Pruner{cfg: cfg}, nil
}

// Run makes a round at once, another ten minutes later and then one every hour, until ctx ends; that is no error. Trouble is
// logged and left to the next round. A panic is an error that ends it.
func (p *Pruner) Run(ctx context.Context) error {
	return errs.Guard(func() error {
		for pause := settle; ; pause = every {
			_ = p.Round(ctx) // it has said what went wrong
			if !wait(ctx, pause) {
				return nil
			}
		}
	})
}

// Round does what is to be done now: shelves of the near future, records that were not told, shelves that had expired at the
// last round and still have, the space of what was dropped, and people nobody has seen for too long. Trouble with one of them
// leaves the others; all of it is returned.
func (p *Pruner) Round(ctx context.Context) error {
	if p.cfg.Lease != nil {
		if mine, err := p.cfg.Lease(ctx); err != nil || !mine {
			return p.trouble(ctx, FailedLease, err)
		}
	}
	now := p.cfg.Now()
	var all []error
	for _, step := range []struct {
		name string
		do   func(context.Context, time.Time) error
	}{
		{FailedAhead, p.cfg.Archive.Ahead}, {FailedTell, p.tell}, {FailedDrop, p.drop}, {FailedTell, p.tell}, {FailedReclaim, p.reclaim}, {FailedPeople, p.people},
	} {
		if err := p.trouble(ctx, step.name, step.do(ctx, now)); err != nil {
			all = append(all, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(all...)
}

// trouble counts and logs an error. Being stopped is none.
func (p *Pruner) trouble(ctx context.Context, step string, err error) error {
	if err == nil || ctx.Err() != nil {
		return nil //nolint:nilerr // as documented
	}
	p.cfg.Metrics.PruneFailed(step)
	p.cfg.Log.WarnContext(ctx, "pruning had trouble: it is tried again with the next round", "step", step, "error", err)
	return err
}

// drop lets go what had expired the last time as well.
func (p *Pruner) drop(ctx context.Context, now time.Time) error {
	expired, err := p.cfg.Archive.Expired(ctx, now)
	if err != nil {
		return err
	}
	before := p.due
	p.due = make(map[place]bool, len(expired))
	for _, s := range expired {
		at := place{s.Keep, s.Start.UnixMilli(), s.End.UnixMilli()}
		if p.due[at] = true; !before[at] {
			continue
		}
		gone, dropped, err := p.cfg.Archive.Drop(ctx, s, now)
		if err != nil {
			return err
		}
		if dropped {
			p.dropped(ctx, s, gone)
		}
	}
	return nil
}

func (p *Pruner) dropped(ctx context.Context, s audit.Shelf, gone []audit.Pruned) {
	var events, flows int64
	for i := range gone {
		for _, part := range gone[i].Parts {
			events += part.Events
			flows += part.Flows
		}
	}
	p.cfg.Metrics.Pruned(events, flows)
	if events+flows > 0 {
		p.cfg.Log.InfoContext(ctx, "a part of the record went, as retention says", "shelf", s.String(), "organizations", len(gone), "events", events, "flows", flows)
	}
}

// tell writes the events of what was dropped. An organization whose events cannot be taken keeps its own waiting, not those of
// the others; an outbox that cannot be reached ends it.
func (p *Pruner) tell(ctx context.Context, _ time.Time) error {
	failed := map[string]error{} // by event id
	for {
		asked := page + len(failed)
		untold, err := p.cfg.Archive.Untold(ctx, asked)
		if err != nil {
			return err
		}
		told, err := p.append(ctx, untold, failed)
		if len(told) > 0 {
			err = errors.Join(err, p.cfg.Archive.Told(ctx, told...))
		}
		if err != nil {
			return err
		}
		if len(told) == 0 && len(untold) < asked || ctx.Err() != nil {
			return first(failed)
		}
	}
}

// append puts events into the outbox and returns the ids of those it took. What fails is noted; only an outbox that is not
// there is an error.
func (p *Pruner) append(ctx context.Context, untold []audit.Pruned, failed map[string]error) (told []string, err error) {
	for i := range untold {
		u := &untold[i]
		if failed[u.EventID] != nil {
			continue
		}
		switch err := p.cfg.Outbox.Append(ctx, u.OrganizationUID, u.Event()); {
		case err == nil:
			told = append(told, u.EventID)
		case errs.KindOf(err) == errs.Unavailable || ctx.Err() != nil:
			return told, err
		default:
			failed[u.EventID] = err
		}
	}
	return told, nil
}

// first returns one of the errors.
func first(failed map[string]error) error {
	for _, err := range failed {
		return err
	}
	return nil
}

// reclaim gives back the space of what was dropped, a piece at a time with a rest after each, so that appends go in between.
func (p *Pruner) reclaim(ctx context.Context, _ time.Time) error {
	r, ok := p.cfg.Archive.(audit.Reclaimer)
	if !ok {
		return nil
	}
	for {
		more, err := r.Reclaim(ctx)
		if err != nil || !more {
			return err
		}
		if !wait(ctx, p.cfg.Rest) {
			return nil
		}
	}
}

// people forgets whom nobody has seen for as long as sign-ins are kept, some at a time with a rest in between.
func (p *Pruner) people(ctx context.Context, now time.Time) error {
	const some = 500
	before := p.before
	p.before = now
	if p.cfg.People == nil || before.IsZero() {
		return nil
	}
	if now.Before(before) {
		before = now
	}
	for {
		more, err := p.cfg.People.PruneSubjects(ctx, before, some)
		if err != nil || !more || !wait(ctx, p.cfg.Rest) {
			return err
		}
	}
}

// wait reports whether the time has passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

type noMetrics struct{}

func (noMetrics) Pruned(int64, int64) {}
func (noMetrics) PruneFailed(string)  {}
