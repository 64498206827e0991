package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
)

// Events returns up to q.Limit events in sequence order, or reverse.
//
// Every filter that has an index is a candidate for the path: the one with the fewest rows in reach is walked, value by
// value, in sequence order and only as far as the limit needs; the other filters are checked on the rows it meets.
func (a *Archive) Events(ctx context.Context, q audit.Query) ([]audit.Event, error) {
	var out []audit.Event
	if q.Limit <= 0 {
		return nil, nil
	}
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		s, ok, err := newSearch(ctx, tx, &q)
		if err != nil || !ok {
			return err
		}
		path, err := s.choose()
		if err != nil {
			return err
		}
		found, err := s.walk(path)
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
	ctx      context.Context //nolint:containedctx // lives as long as the query
	tx       querier
	q        *audit.Query
	from, to int64 // positions, exclusive and inclusive
	where    clause
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

// newSearch turns organization, position and time range into a range of positions. False when nothing can match.
func newSearch(ctx context.Context, tx querier, q *audit.Query) (*search, bool, error) {
	var number, last int64
	err := tx.QueryRowContext(ctx, `SELECT organization, last_sequence FROM organization_sequence WHERE organization_uid = ?`, q.OrganizationUID).Scan(&number, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	low, high := int64(0), last
	if q.Descending {
		if q.After > 0 {
			high = min(high, q.After-1)
		}
	} else {
		low = max(low, q.After)
	}
	if low, high, err = withinTime(ctx, tx, q, number, low, high); err != nil || low >= high {
		return nil, false, err
	}
	s := &search{ctx: ctx, tx: tx, q: q, from: position(number, low), to: position(number, high)}
	s.where, err = s.conditions()
	return s, err == nil, err
}

// withinTime narrows sequence numbers (low, high] to the blocks in which the time range lies.
func withinTime(ctx context.Context, tx querier, q *audit.Query, number, low, high int64) (int64, int64, error) {
	var block int64
	if !q.Start.IsZero() {
		err := tx.QueryRowContext(ctx, `SELECT block FROM event_span WHERE organization = ? AND block >= ? AND max_time >= ? ORDER BY block LIMIT 1`,
			number, (low+1)>>blockBits, nanos(q.Start)).Scan(&block)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, 0, nil
		}
		if err != nil {
			return 0, 0, err
		}
		low = max(low, block<<blockBits-1)
	}
	if !q.End.IsZero() {
		err := tx.QueryRowContext(ctx, `SELECT block FROM event_span WHERE organization = ? AND block <= ? AND min_time < ? ORDER BY block DESC LIMIT 1`,
			number, high>>blockBits, nanos(q.End)).Scan(&block)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, 0, nil
		}
		if err != nil {
			return 0, 0, err
		}
		high = min(high, (block+1)<<blockBits-1)
	}
	return low, high, nil
}

// conditions are all filters, checked on each row met. The plus signs keep SQLite from choosing another path than ours.
func (s *search) conditions() (clause, error) {
	var c clause
	q := s.q
	if !q.Start.IsZero() {
		c.and("e.time >= ?", nanos(q.Start))
	}
	if !q.End.IsZero() {
		c.and("e.time < ?", nanos(q.End))
	}
	in(&c, "+e.site", q.Sites)
	in(&c, "+e.flow", q.Flows)
	in(&c, "e.outcome", q.Outcomes)
	in(&c, "e.connection", q.Connections)
	in(&c, "e.reason", q.Reasons)
	if len(q.Types) > 0 {
		types, err := s.types()
		if err != nil {
			return c, err
		}
		in(&c, "+e.type", types)
		if len(types) == 0 {
			c.and("0")
		}
	}
	if q.NoSandbox {
		c.and("e.flags & ? = 0", flagSandbox)
	}
	anyIndex(&c, q.Subjects)
	anyIndex(&c, q.Networks)
	return c, nil
}

// in adds "column is one of values"; no values, no condition.
func in[T any](c *clause, column string, values []T) {
	if len(values) == 0 {
		return
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	c.and(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", args...)
}

// anyIndex adds "the event has one of these blind indexes".
func anyIndex(c *clause, indexes []audit.Index) {
	if len(indexes) == 0 {
		return
	}
	const one = "(x.purpose = ? AND x.value = ? AND x.position = e.position)"
	args := make([]any, 0, 2*len(indexes))
	for _, x := range indexes {
		args = append(args, int64(x.Purpose), x.Value)
	}
	c.and("EXISTS (SELECT 1 FROM event_index x WHERE "+one+strings.Repeat(" OR "+one, len(indexes)-1)+")", args...)
}

// types returns the stored types the filter names, families spelled out: it hops through event_type from name to name.
func (s *search) types() ([]string, error) {
	var out []string
	for _, t := range s.q.Types {
		family, ok := strings.CutSuffix(t, ".*")
		if !ok {
			out = append(out, t)
			continue
		}
		rows, err := s.tx.QueryContext(s.ctx, `WITH RECURSIVE t (name) AS (
			SELECT min(type) FROM event WHERE type > ? AND type < ?
			UNION ALL SELECT (SELECT min(type) FROM event WHERE type > t.name AND type < ?) FROM t WHERE t.name IS NOT NULL)
			SELECT name FROM t WHERE name IS NOT NULL`, family+".", family+"/", family+"/")
		if err != nil {
			return nil, err
		}
		names, err := collect(rows, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) })
		if err != nil {
			return nil, err
		}
		out = append(out, names...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
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
