package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// firstWindow is how many sequence numbers folding looks at first; each next time it is four times as many.
const firstWindow = 4096

// Groups folds the chosen events by what they have in common.
func (a *Archive) Groups(ctx context.Context, q audit.Query, by audit.GroupBy) (audit.Groups, error) {
	var out audit.Groups
	if q.Limit <= 0 {
		return out, nil
	}
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		s, err := a.newCount(ctx, tx, &q)
		if err != nil || s == nil {
			return err
		}
		f := folding{search: s, by: by, at: map[groupKey]int{}}
		if out.Next, err = f.run(); err != nil {
			return err
		}
		newest, err := s.fetch(f.newest)
		for i := range newest {
			f.groups[i].Newest = newest[i]
		}
		out.Groups = f.groups
		return err
	})
	return out, err
}

// groupKey is what the events of a group have in common.
type groupKey struct {
	flow, reason string
	purpose      audit.Purpose
	index        string
}

// folding makes one page of groups.
type folding struct {
	*search
	by     audit.GroupBy
	groups []audit.Group
	newest []hit // of each group
	at     map[groupKey]int
}

// folded is one event on its way into a group.
type folded struct {
	hit
	time int64
	key  groupKey
}

// run folds window by window and returns where the next page begins, 0 when there is none.
func (f *folding) run() (next int64, err error) {
	budget := int64(audit.Budget)
	size := int64(firstWindow)
	for high := f.high; high > f.low; {
		if budget < leastBudget {
			return high + 1, nil
		}
		low := max(f.low, high-min(size, budget))
		events, looked, err := f.window(low, high)
		if err != nil {
			return 0, err
		}
		for i := range events {
			if !f.add(&events[i]) {
				return sequenceOf(events[i].position) + 1, nil
			}
		}
		budget, high, size = budget-looked, low, 4*size
	}
	return 0, nil
}

// window reads what a range of sequence numbers has for groups, the newest first.
func (f *folding) window(low, high int64) (out []folded, looked int64, err error) {
	s := f.narrow(*f.q, low, high)
	for _, p := range s.view.parts {
		w, err := s.walkOn(p)
		if err != nil {
			return nil, 0, err
		}
		if w == nil {
			continue
		}
		columns := "e.position, e.time, NULL, e.reason, e.personal_index"
		if f.by == audit.GroupByFlow {
			columns = "e.position, e.time, e.flow, NULL, NULL"
			w.where.and("+e.flow IS NOT NULL")
		} else {
			w.where.and("e.reason IS NOT NULL")
		}
		n, err := w.scan(columns, func(r *sql.Rows) error {
			e, ok, err := f.read(r, p.shelf)
			if ok {
				out = append(out, e)
			}
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		looked += n
	}
	slices.SortFunc(out, func(a, b folded) int { return cmp.Compare(b.position, a.position) })
	return out, min(looked, high-low), nil
}

// read reads one event; false when it lacks what groups go by.
func (f *folding) read(r *sql.Rows, on *shelf) (e folded, ok bool, err error) {
	var flow, reason sql.NullString
	var packed sql.RawBytes
	if err := r.Scan(&e.position, &e.time, &flow, &reason, &packed); err != nil {
		return e, false, err
	}
	e.shelf = on
	if f.by == audit.GroupByFlow {
		e.key.flow = flow.String
		return e, true, nil
	}
	x, ok := keyOf(stored.UnpackIndexes(packed), f.by)
	e.key.reason, e.key.purpose, e.key.index = reason.String, x.Purpose, string(x.Value)
	return e, ok, nil
}

// keyOf returns the index that groups go by.
func keyOf(indexes []audit.Index, by audit.GroupBy) (audit.Index, bool) {
	purposes := []audit.Purpose{audit.IndexAccount, audit.IndexEmail, audit.IndexIdentifier}
	if by == audit.GroupByIPReason {
		purposes = []audit.Purpose{audit.IndexNetwork32}
	}
	for _, p := range purposes {
		if i := slices.IndexFunc(indexes, func(x audit.Index) bool { return x.Purpose == p }); i >= 0 {
			return indexes[i], true
		}
	}
	return audit.Index{}, false
}

// add puts an event into its group; false when that would be one too many.
func (f *folding) add(e *folded) bool {
	at := stored.Time(e.time)
	i, ok := f.at[e.key]
	if !ok {
		if len(f.groups) >= f.q.Limit {
			return false
		}
		i = len(f.groups)
		f.at[e.key], f.newest = i, append(f.newest, e.hit)
		g := audit.Group{Flow: e.key.flow, Reason: e.key.reason, First: at, Last: at}
		if e.key.index != "" {
			g.Key = audit.Index{Purpose: e.key.purpose, Value: []byte(e.key.index)}
		}
		f.groups = append(f.groups, g)
	}
	g := &f.groups[i]
	g.Count++
	if at.Before(g.First) {
		g.First = at
	}
	if at.After(g.Last) {
		g.Last = at
	}
	return true
}
