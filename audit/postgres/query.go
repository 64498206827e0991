package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// Events returns up to q.Limit events in sequence order, or reverse.
//
// Shelves are walked from the end the answer begins at, and only as far as it needs. On each, every filter that has an index is
// a candidate for the path: the one with the fewest rows in reach is walked, value by value, in sequence order; the other
// filters are checked on the rows it meets.
func (a *Archive) Events(ctx context.Context, q audit.Query) ([]audit.Event, error) {
	var out []audit.Event
	if q.Limit <= 0 {
		return nil, nil
	}
	err := a.inRead(ctx, func(tx pgx.Tx) error {
		out = nil
		v, err := see(ctx, tx, q.OrganizationUID, a.now())
		if err != nil || v == nil {
			return err
		}
		s := newSearch(ctx, tx, v, &q)
		if err := s.run(); err != nil {
			return err
		}
		out, err = s.fetch()
		return err
	})
	return out, err
}

// search is one query on one state of the database.
type search struct {
	ctx     context.Context //nolint:containedctx // lives as long as the query
	tx      pgx.Tx
	v       *view
	q       *audit.Query
	reaches []reach // in the order they are walked
	found   []hit   // the best so far, in the order of the answer, at most q.Limit
}

// reach is the part of a shelf that may have something of the answer: positions, exclusive and inclusive.
type reach struct {
	*shelfView
	from, to int64
	types    []string // the filter's types, families spelled out; set when a path may go along them
	words    []anyOf  // for each word of the query, the values that have it
	path     path
	few      bool // rows on the path
	ready    bool // all of this is set, and from and to are narrow
}

// hit is a row of the answer.
type hit struct {
	position int64
	shelf    int32
}

func newSearch(ctx context.Context, tx pgx.Tx, v *view, q *audit.Query) *search {
	s := &search{ctx: ctx, tx: tx, v: v, q: q}
	low, high := int64(0), v.last
	if q.UpTo > 0 {
		high = min(high, q.UpTo)
	}
	if q.Descending {
		if q.After > 0 {
			high = min(high, q.After-1)
		}
	} else {
		low = max(low, q.After)
	}
	for i := range v.shelves {
		sv := &v.shelves[i]
		h, ok := sv.seen()
		if !ok || !q.Start.IsZero() && h.lastTime < stored.Nanos(q.Start) || !q.End.IsZero() && h.firstTime >= stored.Nanos(q.End) {
			continue
		}
		if from, to := max(low, h.firstSequence-1), min(high, h.lastSequence); from < to {
			s.reaches = append(s.reaches, reach{shelfView: sv, from: position(v.number, from), to: position(v.number, to)})
		}
	}
	s.order()
	return s
}

// order brings reaches into the order in which they are walked.
func (s *search) order() {
	slices.SortFunc(s.reaches, func(x, y reach) int {
		if s.q.Descending {
			return cmp.Compare(y.to, x.to)
		}
		return cmp.Compare(x.from, y.from)
	})
}

// run walks shelves, one first and then ever more at once, until what is left cannot be in the answer.
func (s *search) run() error {
	for size := 1; len(s.reaches) > 0; size = min(2*size, 32) {
		var group []reach
		for len(group) < size && len(s.reaches) > 0 && s.improves(&s.reaches[0]) {
			group, s.reaches = append(group, s.reaches[0]), s.reaches[1:]
		}
		if len(group) == 0 {
			return nil
		}
		if err := s.walk(group); err != nil {
			return err
		}
	}
	return nil
}

// improves narrows a reach to what is better than the answer so far; false when nothing is.
func (s *search) improves(r *reach) bool {
	if len(s.found) == s.q.Limit {
		if worst := s.found[len(s.found)-1].position; s.q.Descending {
			r.from = max(r.from, worst)
		} else {
			r.to = min(r.to, worst-1)
		}
	}
	return r.from < r.to
}

// take adds rows to the answer.
func (s *search) take(hits []hit) {
	s.found = append(s.found, hits...)
	slices.SortFunc(s.found, func(x, y hit) int {
		if s.q.Descending {
			return cmp.Compare(y.position, x.position)
		}
		return cmp.Compare(x.position, y.position)
	})
	s.found = slices.Compact(s.found)
	s.found = s.found[:min(len(s.found), s.q.Limit)]
}

// byShelf are the positions of hits by shelf.
func byShelf(hits []hit) map[int32][]int64 {
	out := map[int32][]int64{}
	for _, h := range hits {
		out[h.shelf] = append(out[h.shelf], h.position)
	}
	return out
}

// fetch reads the events of the answer.
func (s *search) fetch() ([]audit.Event, error) {
	out := make([]audit.Event, 0, len(s.found))
	var b pgx.Batch
	for shelf, positions := range byShelf(s.found) {
		var t text
		t.add(`SELECT `, eventColumns, ` FROM `, tableOf("event", shelf), ` e WHERE e.position = ANY (`, t.arg(positions), `)`)
		queueEvents(&b, &t, s.q.OrganizationUID, &out)
	}
	if err := s.tx.SendBatch(s.ctx, &b).Close(); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(x, y audit.Event) int {
		if s.q.Descending {
			return cmp.Compare(y.Sequence, x.Sequence)
		}
		return cmp.Compare(x.Sequence, y.Sequence)
	})
	return out, nil
}
