package server

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// readingWrite bounds one commit of reads.
const readingWrite = 2 * time.Second

func (r *Readings) run(ctx context.Context) error {
	tick := time.NewTicker(readingTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-tick.C:
			r.turnAll(false)
		}
		r.write(ctx)
	}
}

// Broken yields an error when the goroutine has panicked: nothing is written before Close, and the process should end.
func (r *Readings) Broken() <-chan error { return r.broken }

// Close stops the goroutine and writes everything that is held. The error says how many reads are lost.
func (r *Readings) Close(ctx context.Context) error {
	r.stop()
	<-r.done
	var lost int64
	for { // what there was no room for comes into the room that writing makes
		lost = r.turnAll(true)
		before := r.pending()
		r.write(ctx)
		if lost == 0 || r.pending() == before {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.waiting {
		lost += r.waiting[i].Uses
	}
	r.waiting = nil
	if lost == 0 {
		return nil
	}
	r.lose(lost)
	return errs.Newf(errs.Unavailable, "NOT_RECORDED", "%d reads of the record could not be recorded", lost)
}

func (r *Readings) pending() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}

// turnAll ends the hours that are over, or all of them, and forgets readers that did not come back. It returns how many reads there
// was no room for.
func (r *Readings) turnAll(all bool) (left int64) {
	hour := r.now().UTC().Truncate(time.Hour)
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, f := range r.held {
		if !all && !hour.After(f.hour) {
			continue
		}
		came := len(f.seen) > 0
		switch {
		case !r.turn(key, f):
			left += f.count
		case came && !all:
			f.hour = hour
		default:
			delete(r.held, key)
		}
	}
	return left
}

// write commits what waits, in commits of one organization each. What fails because the store is away waits for the next time.
func (r *Readings) write(ctx context.Context) {
	r.mu.Lock()
	taken := r.waiting
	r.waiting, r.flying = nil, len(taken)
	r.mu.Unlock()
	batches := map[string][]audit.Event{}
	for i := range taken {
		uid := taken[i].OrganizationUID
		batches[uid] = append(batches[uid], taken[i])
	}
	var back []audit.Event
	var cause error
	for uid, list := range batches {
		for batch := range slices.Chunk(list, readingBatch) {
			again, err := r.commit(ctx, uid, batch)
			if back = append(back, again...); err != nil {
				cause = err
			}
		}
	}
	r.mu.Lock()
	r.waiting, r.flying = append(back, r.waiting...), 0
	r.mu.Unlock()
	if cause != nil && !r.away && ctx.Err() == nil {
		r.log.LogAttrs(ctx, slog.LevelWarn, "reads of the record wait to be recorded", slog.Int("events", len(back)), slog.String("cause", cause.Error()))
	}
	r.away = cause != nil
}

// commit writes events of one organization and returns those that are worth another try, with what went wrong. An organization that
// is gone takes none, and one that cannot be written keeps no other from being so.
func (r *Readings) commit(ctx context.Context, uid string, list []audit.Event) (again []audit.Event, err error) {
	bounded, cancel := context.WithTimeout(ctx, readingWrite)
	defer cancel()
	if err = r.outbox.Append(bounded, uid, list...); err == nil {
		return nil, nil
	}
	switch kind := errs.KindOf(err); {
	case kind == errs.Internal && len(list) > 1:
		for i := range list {
			left, err := r.commit(ctx, uid, list[i:i+1])
			if again = append(again, left...); err != nil && len(left) > 0 {
				return append(again, list[i+1:]...), err
			}
		}
		return again, nil
	case kind == errs.Internal, kind == errs.NotFound, kind == errs.FailedPrecondition, kind == errs.Invalid:
		var lost int64
		for i := range list {
			lost += list[i].Uses
		}
		r.lose(lost)
		r.log.LogAttrs(ctx, slog.LevelError, "reads of the record not recorded", slog.Int64("count", lost), slog.String("cause", err.Error()))
		return nil, nil
	}
	return list, err
}

func (r *Readings) lose(n int64) {
	if r.lost != nil {
		r.lost(n)
	}
}
