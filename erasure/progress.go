package erasure

import (
	"context"
	"strconv"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

const (
	itemsAtOnce  = 200              // things that go from the live store in one commit
	eventsAtOnce = 200              // events that go from the archive in one transaction
	maxPieces    = 50               // pieces of one erasure in one round, so that others come to their turn
	notYet       = time.Second      // until something is looked at again that was not there yet
	postponed    = 30 * time.Second // until an erasure is tried again that had trouble
	skew         = time.Second      // how far clocks of processes that are ready may differ
	folding      = 2 * time.Minute  // after an hour, until folded uses of sessions are on record
	answered     = 5 * time.Second  // how long processes may go on counting uses of a session that is gone
	signIn       = time.Hour        // how long a sign-in takes at most
)

// sitting is what one round does for one erasure.
type sitting struct {
	*Worker
	e      *Erasure
	pieces int
}

// goOn carries an erasure on as far as it goes now.
func (w *Worker) goOn(ctx context.Context, p Place) error {
	e, err := w.c.Store.Erasure(ctx, p)
	if err != nil {
		return err
	}
	s := sitting{w, e, maxPieces}
	err = s.run(ctx)
	switch {
	case err == nil:
		return nil
	case errs.KindOf(err) == errs.Conflict:
		return nil // another process goes on with it
	case ctx.Err() == nil:
		_ = s.note(ctx, func(e *Erasure) { e.Due = w.c.Now().Add(postponed) }) // it is tried again in any case
	}
	return err
}

// run goes from state to state until there is something to wait for.
func (s *sitting) run(ctx context.Context) error {
	if s.e.State == StateRunning {
		if more, err := s.first(ctx); err != nil || more {
			return err
		}
	}
	if s.e.State != StateWaiting {
		return nil
	}
	if ready, err := s.ready(ctx); err != nil || !ready {
		return err
	}
	if more, err := s.clean(ctx); err != nil || more {
		return err
	}
	if s.e.Quiet.IsZero() { // a session went that the last sign-ins had left, and that was used
		return s.note(ctx, func(e *Erasure) { e.Due = e.Until })
	}
	return s.finish(ctx)
}

// first looks for sign-ins under way and takes away what there is. Sign-ins that begin later are not waited for.
func (s *sitting) first(ctx context.Context) (more bool, err error) {
	if s.e.Until.IsZero() {
		live, err := s.c.Live.LiveUntil(ctx, s.e.OrganizationUID, time.Time{})
		if err != nil {
			return false, err
		}
		if err := s.note(ctx, func(e *Erasure) { e.Until = latest(live, s.c.Now()) }); err != nil {
			return false, err
		}
	}
	if more, err := s.clean(ctx); err != nil || more {
		return more, err
	}
	return false, s.note(ctx, func(e *Erasure) { e.State, e.Due = StateWaiting, e.Until })
}

// ready reports whether everything of the sign-ins that were under way is in the archive; if not, it says when to look again.
func (s *sitting) ready(ctx context.Context) (bool, error) {
	now := s.c.Now()
	if now.Before(s.e.Until) {
		return false, s.note(ctx, func(e *Erasure) { e.Due = e.Until })
	}
	if s.e.Quiet.IsZero() {
		live, err := s.c.Live.LiveUntil(ctx, s.e.OrganizationUID, s.e.Until)
		if err != nil {
			return false, err
		}
		if !live.IsZero() {
			return false, s.note(ctx, func(e *Erasure) { e.Due = now.Add(notYet) })
		}
		if err := s.note(ctx, func(e *Erasure) { e.Quiet = now.Add(skew) }); err != nil {
			return false, err
		}
	}
	archived, err := s.c.Archived.ArchivedUntil(ctx, s.e.OrganizationUID)
	if err != nil {
		return false, err
	}
	if archived.Before(s.e.Quiet) {
		return false, s.note(ctx, func(e *Erasure) { e.Due = now.Add(notYet) })
	}
	return true, nil
}

// clean takes away what there is now; more when it is too much for one round.
func (s *sitting) clean(ctx context.Context) (more bool, err error) {
	if held, err := s.onHold(ctx); err != nil || held {
		return true, err
	}
	for s.e.Account != (policy.AccountKey{}) {
		items, err := s.c.Live.Held(ctx, s.e.OrganizationUID, s.e.Account, itemsAtOnce)
		if err != nil {
			return false, err
		}
		if len(items) == 0 {
			break
		}
		if may, err := s.piece(ctx); err != nil || !may {
			return true, err
		}
		if err := s.remove(ctx, items); err != nil {
			return false, err
		}
	}
	upTo, _, err := s.c.Archive.Position(ctx, s.e.OrganizationUID)
	if err != nil {
		return false, err
	}
	for {
		if may, err := s.piece(ctx); err != nil || !may {
			return true, err
		}
		n, left, err := s.c.Archive.Erase(ctx, audit.Erasure{OrganizationUID: s.e.OrganizationUID, Subjects: s.e.Subjects, UpTo: upTo, Limit: eventsAtOnce})
		if err != nil {
			return false, err
		}
		if n > 0 {
			if err := s.note(ctx, func(e *Erasure) { e.Found.Events += int64(n) }); err != nil {
				return false, err
			}
		}
		switch {
		case !left:
			return false, nil
		case n == 0: // nothing is left but traces in a journal that somebody reads
			return true, s.note(ctx, func(e *Erasure) { e.Due = s.c.Now().Add(postponed) })
		}
	}
}

// piece reports whether one more piece may go now: not when others have their turn, nor while the record is on hold.
func (s *sitting) piece(ctx context.Context) (bool, error) {
	if s.pieces--; s.pieces < 0 {
		return false, nil
	}
	held, err := s.onHold(ctx)
	return !held, err
}

// onHold reports whether the record is on hold, which may have come after the request: then it is looked at again until that is lifted.
func (s *sitting) onHold(ctx context.Context) (bool, error) {
	o, err := s.c.Directory.Organization(ctx, s.e.OrganizationUID)
	switch {
	case errs.KindOf(err) == errs.NotFound:
		return false, nil // what is on hold cannot be deleted
	case err != nil || !o.Retention.Hold:
		return false, err
	}
	return true, s.note(ctx, func(e *Erasure) { e.Due = s.c.Now().Add(postponed) })
}

// remove takes things from the live store. Uses of a session that was used before may be counted in the memory of some process, which
// writes them down when the hour is over: nothing in the store tells of them. Sessions that only a sign-in after the request can have
// begun are not waited for, so that somebody who keeps coming back does not keep the erasure from its end.
func (s *sitting) remove(ctx context.Context, items []Item) error {
	after, hour := *s.e, s.c.Now().Add(answered).Truncate(time.Hour)
	after.Found.count(items)
	for i := range items {
		if items[i].Used && items[i].Began.Before(s.e.Requested.Add(signIn)) {
			after.Until, after.Quiet = latest(after.Until, hour.Add(time.Hour+folding)), time.Time{}
		}
	}
	return s.commit(ctx, &Change{After: after, Remove: items})
}

// note writes down how far the erasure is.
func (s *sitting) note(ctx context.Context, change func(*Erasure)) error {
	after := *s.e
	change(&after)
	return s.commit(ctx, &Change{After: after})
}

func (s *sitting) commit(ctx context.Context, c *Change) error {
	c.Before = s.e
	if _, err := s.c.Store.Commit(ctx, c); err != nil {
		return err
	}
	s.e = &c.After
	return nil
}

// finish writes that the person is forgotten, and what went.
func (s *sitting) finish(ctx context.Context) error {
	after := *s.e
	after.State, after.Finished, after.Due = StateDone, s.c.Now(), time.Time{}
	e := event(&after, s.c.NewID(), audit.TypeSubjectErased, after.Finished)
	for _, part := range []struct {
		name  string
		count int64
	}{
		{"events", after.Found.Events}, {"sessions", after.Found.Sessions}, {"identities", after.Found.Identities},
		{"authenticators", after.Found.Authenticators}, {"proofs", after.Found.Memories},
	} {
		e.Changes = append(e.Changes, audit.Change{Field: part.name, Before: strconv.FormatInt(part.count, 10)})
	}
	err := s.commit(ctx, &Change{After: after, Event: &e})
	if err == nil {
		s.c.Done()
	}
	return err
}

// event begins an event of an erasure. Nothing in it is personal.
func event(e *Erasure, id string, t audit.Type, now time.Time) audit.Event {
	return audit.Event{
		ID: id, Type: t, Time: now, Organization: e.Organization, OrganizationUID: e.OrganizationUID, Caller: e.Caller, Outcome: audit.OutcomeOf(t),
		Origin: audit.OriginAPI, Target: &audit.Target{Type: "subject", ID: e.Subject(), UID: e.ID, Count: 1},
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
