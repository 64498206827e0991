package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var _ audit.Eraser = (*Archive)(nil)

// Erase forgets in one transaction. Once nothing is left to erase it also writes the journal back into the file and empties it, so
// that no earlier image of a page stays behind; while somebody's long read keeps it from that, more stays true.
func (a *Archive) Erase(ctx context.Context, e audit.Erasure) (erased int, more bool, err error) {
	if len(e.Subjects) == 0 || e.Limit <= 0 {
		return 0, false, nil
	}
	err = a.inWrite(ctx, func(ctx context.Context, tx *connection) error {
		x := erasing{ctx: ctx, tx: tx, e: &e, gone: map[string][]stored.Trace{}}
		if err := x.begin(a); err != nil || x.number == 0 {
			return err
		}
		if more, err = x.run(); err != nil {
			return err
		}
		erased = x.erased
		return nil
	})
	if err != nil || more {
		return erased, more, err
	}
	busy, err := a.emptyJournal(ctx)
	return erased, busy, err
}

// erasing is one such transaction.
type erasing struct {
	ctx      context.Context //nolint:containedctx // lives as long as the transaction
	tx       *connection
	e        *audit.Erasure
	shelves  *catalogue
	number   int64                     // of the organization; 0: it has no record
	from, to int64                     // positions, exclusive and inclusive
	gone     map[string][]stored.Trace // what was erased, by flow
	erased   int
}

func (x *erasing) begin(a *Archive) error {
	var err error
	if x.shelves, err = a.catalogue(x.ctx, x.tx); err != nil {
		return err
	}
	err = x.tx.QueryRowContext(x.ctx, `SELECT organization FROM organization_sequence WHERE organization_uid = ?`, x.e.OrganizationUID).Scan(&x.number)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	x.from, x.to = position(x.number, 0), position(x.number, min(max(x.e.UpTo, 0), 1<<sequenceBits-1))
	return err
}

// run erases the first events that have one of the indexes, and what belongs to them.
func (x *erasing) run() (more bool, err error) {
	room := x.e.Limit
	for _, s := range x.shelves.shelves {
		found, err := x.find(s, room+1)
		if err != nil {
			return false, err
		}
		if len(found) > room {
			found, more = found[:room], true
		}
		room -= len(found)
		for _, pos := range found {
			traces, err := x.traces(s, `e.position = ?`, pos)
			if err != nil {
				return false, err
			}
			for i := range traces {
				if err := x.erase(s, &traces[i]); err != nil {
					return false, err
				}
			}
		}
		if more {
			break
		}
	}
	for _, flow := range slices.Sorted(maps.Keys(x.gone)) {
		if err := x.flow(flow); err != nil {
			return false, err
		}
	}
	return more, x.people()
}

// people deletes the rows of the person.
func (x *erasing) people() error {
	for _, i := range x.e.Subjects {
		if i.Purpose != audit.IndexAccount {
			continue
		}
		if _, err := x.tx.ExecContext(x.ctx, `DELETE FROM subject WHERE organization = ? AND subject = ?`, x.number, i.Value); err != nil {
			return err
		}
	}
	return nil
}

// find returns the positions of a shelf's first events with one of the indexes.
func (x *erasing) find(s *shelf, limit int) ([]int64, error) {
	var all []int64
	for _, i := range x.e.Subjects {
		rows, err := x.tx.QueryContext(x.ctx, s.text(`SELECT i.position FROM event_index_# i WHERE i.purpose = ? AND i.value = ?
			AND i.position > ? AND i.position <= ? ORDER BY i.position LIMIT ?`), int64(i.Purpose), i.Value, x.from, x.to, limit)
		if err != nil {
			return nil, err
		}
		found, err := collect(rows, func(r *sql.Rows) (n int64, err error) { return n, r.Scan(&n) })
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), limit)], nil
}

// traces reads events of the organization on a shelf.
func (x *erasing) traces(s *shelf, where string, args ...any) ([]stored.Trace, error) {
	rows, err := x.tx.QueryContext(x.ctx, s.text(`SELECT e.position, e.id, coalesce(e.flow, ''), e.personal_index,
		e.personal_digest IS NOT NULL AND e.personal_sealed IS NULL FROM event_# e WHERE `+where+` AND +e.position > ? AND +e.position < ?`),
		append(args, x.from, position(x.number+1, 0))...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(r *sql.Rows) (t stored.Trace, err error) {
		var index []byte
		err = r.Scan(&t.Position, &t.ID, &t.Flow, &index, &t.Erased)
		t.Indexes = stored.UnpackIndexes(index)
		return t, err
	})
}

// erase takes away what an event has of a person, here and in the history of the directory.
func (x *erasing) erase(s *shelf, t *stored.Trace) error {
	done, err := x.tx.ExecContext(x.ctx, s.text(`UPDATE event_# SET personal_salt = NULL, personal_sealed = NULL, personal_index = NULL
		WHERE position = ? AND (personal_salt IS NOT NULL OR personal_sealed IS NOT NULL OR personal_index IS NOT NULL)`), t.Position)
	if err != nil {
		return err
	}
	n, err := done.RowsAffected()
	if err != nil {
		return err
	}
	x.erased += int(n)
	if t.Flow != "" {
		x.gone[t.Flow] = append(x.gone[t.Flow], *t)
	}
	for _, i := range slices.Concat(t.Indexes, x.e.Subjects) {
		if _, err := x.tx.ExecContext(x.ctx, s.text(`DELETE FROM event_index_# WHERE purpose = ? AND value = ? AND position = ?`),
			int64(i.Purpose), i.Value, t.Position); err != nil {
			return err
		}
	}
	_, err = x.tx.ExecContext(x.ctx, `UPDATE history_organization SET personal_salt = NULL, personal_sealed = NULL WHERE organization = ? AND sequence = ?`,
		x.number, sequenceOf(t.Position))
	return err
}

// flow erases the rest of a flow that was the person's, and takes away what leads from the person to the flow.
func (x *erasing) flow(id string) error {
	f, err := x.flowRow(id)
	if err != nil || f == nil {
		return err
	}
	events, err := x.flowTraces(f)
	if err != nil {
		return err
	}
	var left []stored.Trace
	whole := stored.Whole(f.bind, tracesOf(events))
	for i := range events {
		switch t := &events[i]; {
		case t.Erased:
		case whole && t.Position <= x.to:
			if err := x.erase(t.shelf, &t.Trace); err != nil {
				return err
			}
		default:
			left = append(left, t.Trace)
		}
	}
	for _, i := range stored.Loose(x.e.Subjects, x.gone[id], left) {
		if _, err := x.tx.ExecContext(x.ctx, f.shelf.text(`DELETE FROM flow_index_# WHERE purpose = ? AND value = ? AND flow = ?`),
			int64(i.Purpose), i.Value, f.number); err != nil {
			return err
		}
	}
	return nil
}

// erasedFlow is a flow's row, as far as an erasure looks at it.
type erasedFlow struct {
	id, bind string
	shelf    *shelf
	number   int64
	places   []int64
}

// flowRow returns the organization's row of a flow; nil when there is none.
func (x *erasing) flowRow(id string) (*erasedFlow, error) {
	for _, s := range x.shelves.candidates(id) {
		f := &erasedFlow{id: id, shelf: s}
		var places string
		err := x.tx.QueryRowContext(x.ctx, s.text(`SELECT flow, bind_event, places FROM flow_# WHERE id = ? AND organization = ?`), id, x.number).
			Scan(&f.number, &f.bind, &places)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		f.places = parsePlaces(places)
		return f, err
	}
	return nil, nil //nolint:nilnil // as documented
}

// placedTrace is an event with the shelf it lies on.
type placedTrace struct {
	stored.Trace
	shelf *shelf
}

func tracesOf(placed []placedTrace) []stored.Trace {
	out := make([]stored.Trace, len(placed))
	for i := range placed {
		out[i] = placed[i].Trace
	}
	return out
}

// flowTraces reads all events of a flow.
func (x *erasing) flowTraces(f *erasedFlow) ([]placedTrace, error) {
	var out []placedTrace
	for _, number := range append([]int64{f.shelf.number}, f.places...) {
		s := x.shelves.number[number]
		if s == nil {
			continue // dropped since
		}
		found, err := x.traces(s, `e.flow = ?`, f.id)
		if err != nil {
			return nil, err
		}
		for _, t := range found {
			out = append(out, placedTrace{t, s})
		}
	}
	return out, nil
}

const journalPatience = "200" // milliseconds

// emptyJournal writes the journal back and truncates it; busy when a reader that still needs it is in the way.
func (a *Archive) emptyJournal(ctx context.Context) (busy bool, err error) {
	err = a.onWriter(ctx, func(ctx context.Context, conn *connection) error {
		var frames, done int64
		// Whoever is to write waits meanwhile, so that it does not wait for readers as long as writing does.
		if _, err := conn.ExecContext(ctx, `PRAGMA busy_timeout = `+journalPatience); err != nil {
			return wrap(err)
		}
		err := conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &done)
		_, again := conn.ExecContext(ctx, `PRAGMA busy_timeout = `+busyTimeout)
		return wrap(errors.Join(err, again))
	})
	return busy, err
}

// Forget puts a mark in the place of an organization's key, which nothing that comes later replaces.
func (a *Archive) Forget(ctx context.Context, organizationUID string) error {
	k := audit.DestroyedKey(organizationUID)
	err := a.inWrite(ctx, func(ctx context.Context, tx *connection) error {
		_, err := tx.ExecContext(ctx, sqlKey, k.OrganizationUID, k.Wrapped, true)
		return err
	})
	if err != nil {
		return err
	}
	_, err = a.emptyJournal(ctx) // a reader in the way: the next checkpoint does it
	return err
}
