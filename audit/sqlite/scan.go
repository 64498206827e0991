package sqlite

import (
	"context"
	"database/sql"
	"slices"

	"github.com/postern-audit/postern/audit"
)

// leastBudget is with how little left of the budget an answer stops.
const leastBudget = audit.Budget / 64

// newCount is newSearch for what is counted, the newest first.
func (a *Archive) newCount(ctx context.Context, tx querier, q *audit.Query) (*search, error) {
	q.Descending = true
	return a.newSearch(ctx, tx, q)
}

// narrow returns the search for another query and other sequence numbers, low exclusive.
func (s *search) narrow(q audit.Query, low, high int64) *search {
	other := *s
	other.q, other.low, other.high = &q, max(s.low, low), min(s.high, high)
	return &other
}

// scan reads columns of every event that matches, in no order, the newest part of the record first. It stops when it has looked at
// about as many as the budget allows.
func (s *search) scan(columns string, budget *int64, each func(*sql.Rows) error) (audit.Counted, error) {
	for high := s.high; high > s.low; {
		if *budget < leastBudget {
			return audit.Counted{From: high + 1}, nil
		}
		low := max(s.low, high-*budget)
		looked, err := s.narrow(*s.q, low, high).scanAll(columns, each)
		if err != nil {
			return audit.Counted{}, err
		}
		*budget -= looked
		high = low
	}
	return audit.Counted{Complete: true}, nil
}

// scanAll reads all of the search's range, and returns how many events it looked at.
func (s *search) scanAll(columns string, each func(*sql.Rows) error) (looked int64, err error) {
	for _, p := range s.view.parts {
		w, err := s.walkOn(p)
		if err != nil {
			return 0, err
		}
		if w == nil {
			continue
		}
		n, err := w.scan(columns, each)
		if err != nil {
			return 0, err
		}
		looked += n
	}
	return min(looked, s.high-s.low), nil
}

// scan does so on one shelf. Each event is read once, also where several values of the path have it.
func (w *walk) scan(columns string, each func(*sql.Rows) error) (looked int64, err error) {
	path, err := w.choose()
	if err != nil {
		return 0, err
	}
	indexed := len(path[0].args) > 0
	if indexed {
		if looked, err = w.probe(path, w.to-w.from); err != nil {
			return 0, err
		}
	}
	err = w.each(func(run reach) (bool, error) {
		if !indexed {
			looked += run.to - run.from
		}
		for i, b := range path {
			if err := w.scanBranch(b, path[:i], run, columns, each); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	return looked, err
}

// scanBranch reads what a branch leads to in a stretch and none of those before it did.
func (w *walk) scanBranch(b branch, before []branch, run reach, columns string, each func(*sql.Rows) error) error {
	column := b.column()
	where := b.where + ` AND ` + column + ` > ? AND ` + column + ` <= ?` + w.where.text
	args := append(slices.Clone(b.args), run.from, run.to)
	args = append(args, w.where.args...)
	if b.indexed {
		for _, other := range before {
			where += ` AND NOT EXISTS (SELECT 1 FROM event_index_# x WHERE x.purpose = ? AND x.value = ? AND x.position = e.position)`
			args = append(args, other.args...)
		}
	}
	rows, err := w.tx.QueryContext(w.ctx, w.shelf.text(`SELECT `+columns+` FROM `+b.from+` WHERE `+where), args...)
	if err != nil {
		return err
	}
	_, err = collect(rows, func(r *sql.Rows) (struct{}, error) { return struct{}{}, each(r) })
	return err
}
