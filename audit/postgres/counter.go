package postgres

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var _ audit.Counter = (*Archive)(nil)

// counting is one answer of the Counter on one state of the database.
type counting struct {
	*search
	budget   int           // of events that are looked at one by one
	fields   []audit.Field // of facets
	segments []segment     // of time, in order: what lies in none of them is not counted
	counts   []int64       // of a histogram, by bucket; nil for facets
	values   map[audit.Field]map[string]int64
	total    int64 // of facets
	audit.Counted
}

// segment is a stretch of time, in nanoseconds, the end exclusive, and what it is counted as.
type segment struct {
	from, to int64
	bucket   int
}

// Facets counts values of fields.
func (a *Archive) Facets(ctx context.Context, q audit.Query, fields []audit.Field, limit int) (audit.Facets, error) {
	return a.facets(ctx, q, fields, limit, audit.Budget)
}

func (a *Archive) facets(ctx context.Context, q audit.Query, fields []audit.Field, limit, budget int) (audit.Facets, error) {
	c := counting{fields: slices.Clone(fields), budget: budget}
	slices.Sort(c.fields)
	c.fields = slices.DeleteFunc(slices.Compact(c.fields), func(f audit.Field) bool { return f < audit.FieldType || f > audit.FieldSite })
	whole := segment{math.MinInt64, math.MaxInt64, 0}
	if !q.Start.IsZero() {
		whole.from = stored.Nanos(q.Start)
	}
	if !q.End.IsZero() {
		whole.to = stored.Nanos(q.End)
	}
	c.segments = []segment{whole}
	if err := a.count(ctx, &q, &c); err != nil {
		return audit.Facets{}, err
	}
	out := audit.Facets{Counted: c.Counted, Total: c.total}
	for _, f := range fields {
		out.Fields = append(out.Fields, facet(f, c.values[f], limit))
	}
	return out, nil
}

// facet puts values in order.
func facet(f audit.Field, counts map[string]int64, limit int) audit.Facet {
	values := make([]audit.ValueCount, 0, len(counts))
	for value, n := range counts {
		values = append(values, audit.ValueCount{Value: value, Count: n})
	}
	slices.SortFunc(values, func(x, y audit.ValueCount) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Value, y.Value))
	})
	shown := min(len(values), max(limit, 0))
	return audit.Facet{Field: f, Values: values[:shown], More: shown < len(values)}
}

// Histogram counts events between bounds.
func (a *Archive) Histogram(ctx context.Context, q audit.Query, bounds []time.Time) (audit.Histogram, error) {
	if len(bounds) < 2 {
		return audit.Histogram{Counted: audit.Counted{Complete: true}}, nil
	}
	if q.Start.IsZero() || q.Start.Before(bounds[0]) {
		q.Start = bounds[0]
	}
	if last := bounds[len(bounds)-1]; q.End.IsZero() || q.End.After(last) {
		q.End = last
	}
	c := counting{counts: make([]int64, len(bounds)-1), budget: audit.Budget}
	for i := range c.counts {
		x := segment{max(stored.Nanos(bounds[i]), stored.Nanos(q.Start)), min(stored.Nanos(bounds[i+1]), stored.Nanos(q.End)), i}
		if x.from < x.to {
			c.segments = append(c.segments, x)
		}
	}
	if err := a.count(ctx, &q, &c); err != nil {
		return audit.Histogram{}, err
	}
	return audit.Histogram{Counted: c.Counted, Counts: c.counts}, nil
}

// count counts what q chooses in the segments of c.
func (a *Archive) count(ctx context.Context, q *audit.Query, c *counting) error {
	all := *q
	all.After, all.Descending, all.Limit = 0, true, 0
	return a.inRead(ctx, func(tx pgx.Tx) error {
		clear(c.counts)
		c.values, c.total, c.Counted = map[audit.Field]map[string]int64{}, 0, audit.Counted{Complete: true}
		v, err := see(ctx, tx, q.OrganizationUID, a.now())
		if err != nil || v == nil || len(c.segments) == 0 {
			return err
		}
		c.search = newSearch(ctx, tx, v, &all)
		if by, ok := c.byHours(); ok {
			return c.fromHours(by)
		}
		return c.oneByOne()
	})
}

// chunk is how many events are looked at in one go.
const chunk = 20_000

// oneByOne counts the events that the search finds, the newest first.
func (c *counting) oneByOne() error {
	for left := c.budget; ; {
		found, err := c.next(min(left, chunk))
		if err != nil || len(found) == 0 {
			return err
		}
		if left == 0 {
			c.Complete, c.From = false, c.q.After
			return nil
		}
		left -= len(found)
		c.q.After = sequenceOf(found[len(found)-1].position)
		if err := c.look(found); err != nil {
			return err
		}
	}
}

// next finds the next events of a descending search; of none that are asked for the first.
func (s *search) next(limit int) ([]hit, error) {
	s.q.Limit = max(limit, 1)
	again := newSearch(s.ctx, s.tx, s.v, s.q)
	err := again.run()
	return again.found, err
}

// look counts events.
func (c *counting) look(found []hit) error {
	on := byShelf(found)
	var b pgx.Batch
	var hashed []hashedValue
	for i := range c.v.shelves {
		sv := &c.v.shelves[i]
		if positions := on[sv.number]; len(positions) > 0 {
			c.queueRows(&b, sv, c.segments, &hashed, func(t *text) {
				t.add(` FROM unnest(`, t.arg(positions), `::bigint[]) AS r (position) JOIN `, sv.table("event"), ` e ON e.position = r.position`)
			}, func(*text) {})
		}
	}
	if err := c.tx.SendBatch(c.ctx, &b).Close(); err != nil {
		return err
	}
	return c.unhash(hashed)
}

// add counts events of a value; of no field, events themselves.
func (c *counting) add(f audit.Field, term string, n int64) {
	if f == fieldAny {
		c.total += n
		return
	}
	if c.values[f] == nil {
		c.values[f] = map[string]int64{}
	}
	c.values[f][term] += n
}
