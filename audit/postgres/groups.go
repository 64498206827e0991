package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// folding is one page of groups on one state of the database.
type folding struct {
	*search
	by     audit.GroupBy
	limit  int
	budget int // of events that are looked at
	groups []group
	at     map[string]int // of each group, by what its events have in common
}

// group is a group on its way into the answer.
type group struct {
	audit.Group
	newest hit
}

// foldable is what folding wants to know of an event.
type foldable struct {
	hit
	time   int64
	common string // what groups go by; "" when the event lacks it
	key    audit.Index
}

// Groups folds events, the newest first.
func (a *Archive) Groups(ctx context.Context, q audit.Query, by audit.GroupBy) (audit.Groups, error) {
	return a.fold(ctx, q, by, audit.Budget)
}

func (a *Archive) fold(ctx context.Context, q audit.Query, by audit.GroupBy, budget int) (out audit.Groups, err error) {
	if q.Limit <= 0 {
		return out, nil
	}
	err = a.inRead(ctx, func(tx pgx.Tx) error {
		out = audit.Groups{}
		v, err := see(ctx, tx, q.OrganizationUID, a.now())
		if err != nil || v == nil {
			return err
		}
		all := q
		all.Descending = true
		f := folding{search: newSearch(ctx, tx, v, &all), by: by, limit: q.Limit, budget: budget, at: map[string]int{}}
		if out.Next, err = f.run(); err != nil {
			return err
		}
		out.Groups, err = f.newest()
		return err
	})
	return out, err
}

// run folds until the page is full or the record ends, and returns where the next page begins; 0: there is none.
func (f *folding) run() (next int64, err error) {
	size := max(100, 2*f.limit)
	for left := f.budget; ; size = min(2*size, chunk) {
		found, err := f.next(min(left, size))
		if err != nil || len(found) == 0 {
			return 0, err
		}
		if left == 0 {
			return f.q.After, nil
		}
		left -= len(found)
		f.q.After = sequenceOf(found[len(found)-1].position)
		events, err := f.read(found)
		if err != nil {
			return 0, err
		}
		for i := range events {
			if !f.add(&events[i]) {
				return sequenceOf(events[i].position) + 1, nil
			}
		}
	}
}

// add puts an event into its group; false when that would be one too many.
func (f *folding) add(e *foldable) bool {
	if e.common == "" {
		return true
	}
	at := stored.Time(e.time)
	i, ok := f.at[e.common]
	if !ok {
		if len(f.groups) == f.limit {
			return false
		}
		i, f.at[e.common] = len(f.groups), len(f.groups)
		f.groups = append(f.groups, group{audit.Group{Key: e.key, First: at, Last: at}, e.hit})
	}
	g := &f.groups[i]
	g.Count++
	g.First, g.Last = earlier(g.First, at), later(g.Last, at)
	return true
}

func earlier(x, y time.Time) time.Time {
	if y.Before(x) {
		return y
	}
	return x
}

func later(x, y time.Time) time.Time {
	if y.After(x) {
		return y
	}
	return x
}

// read reads what folding wants to know, in the order of hits.
func (f *folding) read(found []hit) ([]foldable, error) {
	out := make([]foldable, len(found))
	at := make(map[int64]int, len(found))
	for i, h := range found {
		out[i].hit, at[h.position] = h, i
	}
	columns := `e.position, e.time, e.flow, '', NULL::bytea`
	if f.by != audit.GroupByFlow {
		columns = `e.position, e.time, NULL::bytea, coalesce(e.reason, ''), e.personal_index`
	}
	var b pgx.Batch
	for shelf, positions := range byShelf(found) {
		b.Queue(`SELECT `+columns+` FROM `+tableOf("event", shelf)+` e WHERE e.position = ANY ($1)`, positions).Query(func(rows pgx.Rows) error {
			var position, time int64
			var flow, index []byte
			var reason string
			_, err := pgx.ForEachRow(rows, []any{&position, &time, &flow, &reason, &index}, func() error {
				e := &out[at[position]]
				e.time, e.common = time, string(flow)
				if f.by != audit.GroupByFlow && reason != "" {
					e.key, e.common = f.common(stored.UnpackIndexes(index), reason)
				}
				return nil
			})
			return err
		})
	}
	return out, f.tx.SendBatch(f.ctx, &b).Close()
}

// common is the index an event's group goes by, and what tells the group from others; "" when the event has no such index.
func (f *folding) common(indexes []audit.Index, reason string) (audit.Index, string) {
	purposes := []audit.Purpose{audit.IndexAccount, audit.IndexEmail, audit.IndexIdentifier}
	if f.by == audit.GroupByIPReason {
		purposes = []audit.Purpose{audit.IndexNetwork32}
	}
	for _, p := range purposes {
		if i := slices.IndexFunc(indexes, func(x audit.Index) bool { return x.Purpose == p }); i >= 0 {
			return indexes[i], reason + escape + string(term(indexes[i]))
		}
	}
	return audit.Index{}, ""
}

// newest gives each group its newest event.
func (f *folding) newest() ([]audit.Group, error) {
	f.found = nil
	for i := range f.groups {
		f.found = append(f.found, f.groups[i].newest)
	}
	events, err := f.fetch()
	if err != nil {
		return nil, err
	}
	bySequence := make(map[int64]*audit.Event, len(events))
	for i := range events {
		bySequence[events[i].Sequence] = &events[i]
	}
	out := make([]audit.Group, len(f.groups))
	for i := range f.groups {
		out[i] = f.groups[i].Group
		if e := bySequence[sequenceOf(f.groups[i].newest.position)]; e != nil {
			if out[i].Newest = *e; f.by == audit.GroupByFlow {
				out[i].Flow = e.Flow
			} else {
				out[i].Reason = e.Reason
			}
		}
	}
	return out, nil
}
