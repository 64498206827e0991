package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// Events returns up to q.Limit events in sequence order, or reverse.
//
// Shelves are searched one by one, the one with the nearest sequence numbers first, until none of the others can have an event
// that belongs on the page. On a shelf every filter that has an index is a candidate for the path: the one with the fewest rows
// in reach is walked, value by value, in sequence order and only as far as the limit needs; the other filters are checked on
// the rows it meets.
func (a *Archive) Events(ctx context.Context, q audit.Query) ([]audit.Event, error) {
	var out []audit.Event
	if q.Limit <= 0 {
		return nil, nil
	}
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		s, err := a.newSearch(ctx, tx, &q)
		if err != nil || s == nil {
			return err
		}
		found, err := s.gather()
		if err != nil {
			return err
		}
		out, err = s.fetch(found)
		return err
	})
	return out, err
}

// search is one query on one state of the file.
type search struct {
	ctx       context.Context //nolint:containedctx // lives as long as the query
	tx        querier
	q         *audit.Query
	view      *view
	low, high int64    // sequence numbers, exclusive and inclusive
	kinds     []string // the stored types that may be chosen; nil: all
	flows     []string // those with one of q.SupportCodes
}

// hit is where a found event lies.
type hit struct {
	position int64
	shelf    *shelf
}

// newSearch turns organization and position into a range of sequence numbers; nil when nothing can match.
func (a *Archive) newSearch(ctx context.Context, tx querier, q *audit.Query) (*search, error) {
	v, err := a.view(ctx, tx, q.OrganizationUID)
	if err != nil || !v.known {
		return nil, err
	}
	if err := v.load(ctx, tx); err != nil {
		return nil, err
	}
	s := &search{ctx: ctx, tx: tx, q: q, view: v, high: v.last}
	if q.Descending {
		if q.After > 0 {
			s.high = min(s.high, q.After-1)
		}
	} else {
		s.low = max(0, q.After)
	}
	if q.UpTo > 0 {
		s.high = min(s.high, q.UpTo)
	}
	possible, err := s.resolve()
	if err != nil || !possible {
		return nil, err
	}
	return s, nil
}

// gather returns where the events of the page lie, in their order.
func (s *search) gather() ([]hit, error) {
	var page []hit
	for _, p := range s.inOrder() {
		reach := *s
		if len(page) == s.q.Limit { // full: only what comes before its last event matters
			edge := sequenceOf(page[len(page)-1].position)
			if s.q.Descending {
				reach.low = max(reach.low, edge)
			} else {
				reach.high = min(reach.high, edge-1)
			}
		}
		found, err := reach.onShelf(p)
		if err != nil {
			return nil, err
		}
		page = s.merge(page, found, p.shelf)
	}
	return page, nil
}

// inOrder lists the parts, the one whose events come first on the page in front.
func (s *search) inOrder() []*part {
	return slices.SortedFunc(slices.Values(s.view.parts), func(a, b *part) int {
		if s.q.Descending {
			return cmp.Compare(b.events.sequence.high, a.events.sequence.high)
		}
		return cmp.Compare(a.events.sequence.low, b.events.sequence.low)
	})
}

// merge adds what was found on a shelf to the page.
func (s *search) merge(page []hit, found []int64, on *shelf) []hit {
	for _, pos := range found {
		page = append(page, hit{pos, on})
	}
	slices.SortFunc(page, func(a, b hit) int {
		if s.q.Descending {
			return cmp.Compare(b.position, a.position)
		}
		return cmp.Compare(a.position, b.position)
	})
	return page[:min(len(page), s.q.Limit)]
}

// onShelf returns the positions of a part's first matching events.
func (s *search) onShelf(p *part) ([]int64, error) {
	w, err := s.walkOn(p)
	if err != nil || w == nil {
		return nil, err
	}
	path, err := w.choose()
	if err != nil {
		return nil, err
	}
	var all []int64
	err = w.each(func(run reach) (bool, error) {
		found, err := w.walk(path, run)
		all = append(all, found...)
		return len(all) < s.q.Limit, err
	})
	return all, err
}

// walk is a search on one shelf.
type walk struct {
	*search
	shelf    *shelf
	from, to int64 // positions, exclusive and inclusive
	where    clause
	choices  []choice // what terms are asked for
}

// walkOn narrows the search to what a part can have; nil when that is nothing.
func (s *search) walkOn(p *part) (*walk, error) {
	have := &p.events
	low, high := max(s.low, have.sequence.low-1), min(s.high, have.sequence.high)
	if have.events == 0 || low >= high || (!s.q.Start.IsZero() && have.time.high < stored.Nanos(s.q.Start)) || (!s.q.End.IsZero() && have.time.low >= stored.Nanos(s.q.End)) {
		return nil, nil //nolint:nilnil // as documented
	}
	low, high, err := s.withinTime(p.shelf, low, high)
	if err != nil || low >= high {
		return nil, err
	}
	w := &walk{search: s, shelf: p.shelf, from: position(s.view.number, low), to: position(s.view.number, high)}
	possible, err := w.conditions()
	if err != nil || !possible {
		return nil, err
	}
	s.view.onlyShown(&w.where, p)
	return w, nil
}

// clause is a condition with its arguments.
type clause struct {
	text string
	args []any
}

func (c *clause) and(text string, args ...any) {
	c.text += " AND " + text
	c.args = append(c.args, args...)
}

// branch is one value of an indexed filter: tables and a condition whose rows come in order of position.
type branch struct {
	from, where string
	args        []any
	indexed     bool // walks event_index
}

// withinTime narrows sequence numbers (low, high] to the blocks of a shelf in which the time range lies.
func (s *search) withinTime(on *shelf, low, high int64) (int64, int64, error) {
	block := func(text string, args ...any) (n int64, found bool, err error) {
		err = s.tx.QueryRowContext(s.ctx, on.text(text), args...).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, false, nil
		}
		return n, err == nil, err
	}
	if !s.q.Start.IsZero() {
		n, found, err := block(`SELECT block FROM event_span_# WHERE organization = ? AND block >= ? AND max_time >= ? ORDER BY block LIMIT 1`,
			s.view.number, (low+1)>>blockBits, stored.Nanos(s.q.Start))
		if !found {
			return 0, 0, err
		}
		low = max(low, n<<blockBits-1)
	}
	if !s.q.End.IsZero() {
		n, found, err := block(`SELECT block FROM event_span_# WHERE organization = ? AND block <= ? AND min_time < ? ORDER BY block DESC LIMIT 1`,
			s.view.number, high>>blockBits, stored.Nanos(s.q.End))
		if !found {
			return 0, 0, err
		}
		high = min(high, (n+1)<<blockBits-1)
	}
	return low, high, nil
}

// collect reads and closes rows.
func collect[T any](rows *sql.Rows, scan func(*sql.Rows) (T, error)) ([]T, error) {
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
