package sqlite

import (
	"database/sql"

	"github.com/postern-audit/postern/audit"
)

// shelf returns the shelf with this place, made when it is missing, and marked when what is to lie on it is a stray.
func (w *writer) shelf(at audit.Shelf, stray bool) (*shelf, error) {
	s, ok := w.shelves.place[placeOf(at)]
	if !ok {
		var err error
		if w.shelves, err = addShelf(w.ctx, w.tx, at); err != nil {
			return nil, err
		}
		s = w.shelves.place[placeOf(at)]
	}
	if stray && !s.strays {
		if _, err := w.tx.ExecContext(w.ctx, `UPDATE shelf SET strays = 1 WHERE shelf = ?`, s.number); err != nil {
			return nil, err
		}
		var err error
		if w.shelves, err = changedCatalogue(w.ctx, w.tx); err != nil {
			return nil, err
		}
		s = w.shelves.number[s.number]
	}
	return s, nil
}

// lookElsewhere notes which of the ids are stored on another shelf than theirs: an id counts once, also when its organization
// has changed how long it keeps things. While all keep alike there is nothing to look at.
func (w *writer) lookElsewhere(incoming []arrival) error {
	asked := map[int64][]any{}
	for i := range incoming {
		in := &incoming[i]
		target := placeOf(in.place)
		for _, s := range w.shelves.candidates(in.ID) {
			if placeOf(s.Shelf) != target {
				asked[s.number] = append(asked[s.number], in.ID)
			}
		}
	}
	for shelf, ids := range asked {
		for len(ids) > 0 {
			n := min(len(ids), manyRows)
			if err := w.lookOn(shelf, ids[:n]); err != nil {
				return err
			}
			ids = ids[n:]
		}
	}
	return nil
}

// lookOn notes which of at most manyRows ids lie on a shelf.
func (w *writer) lookOn(shelf int64, ids []any) error {
	stmt, err := w.tx.stmts.of(w.ctx, shelf, sqlKnown)
	if err != nil {
		return err
	}
	args := make([]any, manyRows) // NULL for those missing: equal to nothing
	copy(args, ids)
	rows, err := stmt.QueryContext(w.ctx, args...)
	if err != nil {
		return err
	}
	found, err := collect(rows, func(r *sql.Rows) (id string, err error) { return id, r.Scan(&id) })
	for _, id := range found {
		w.elsewhere[id] = struct{}{}
	}
	return err
}

// isElsewhere reports whether the event is stored on another shelf than its own, by now or by this transaction.
func (w *writer) isElsewhere(in *arrival) bool {
	if _, ok := w.elsewhere[in.ID]; ok {
		return true
	}
	_, ok := w.placed[in.ID]
	return ok
}

// forkedElsewhere reports whether another shelf of the event's flow has an event for the same step.
func (w *writer) forkedElsewhere(s *shelf, e *audit.Event, first, pos int64, f *flowState) (forked bool, err error) {
	if f == nil || e.Step <= 0 || f.OrganizationUID != e.OrganizationUID {
		return false, nil
	}
	for _, other := range f.everywhere() {
		if other == s.number || w.shelves.number[other] == nil {
			continue
		}
		if err := w.scanOn(other, sqlForked, []any{e.Flow, e.Step, first, pos}, &forked); err != nil || forked {
			return forked, err
		}
	}
	return false, nil
}
