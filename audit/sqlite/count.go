package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

var _ audit.Counter = (*Archive)(nil)

// Histogram counts the chosen events between each two neighbours of bounds.
func (a *Archive) Histogram(ctx context.Context, q audit.Query, bounds []time.Time) (audit.Histogram, error) {
	out := audit.Histogram{Counted: audit.Counted{Complete: true}, Counts: make([]int64, max(len(bounds)-1, 0))}
	q.After = 0
	line := newTimeline(&q, bounds)
	if line.low >= line.high {
		return out, nil
	}
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		s, err := a.newCount(ctx, tx, &q)
		if err != nil || s == nil {
			return err
		}
		out.Counted, err = s.tally(line, "e.time", func(ask simple) error {
			return s.keptTotals(line, ask, func(n count) { out.Counts[n.between] += n.events })
		}, func() { clear(out.Counts) }, func(r *sql.Rows) error {
			var at int64
			err := r.Scan(&at)
			if between, in := line.at(at); in {
				out.Counts[between]++
			}
			return err
		})
		return err
	})
	return out, err
}

// tally counts what the query chooses: from kept counts, if they can answer it, with the events of the tail and of quarters that are cut,
// else event by event. again is called when it begins anew.
func (s *search) tally(line *timeline, columns string, kept func(simple) error, again func(), each func(*sql.Rows) error) (audit.Counted, error) {
	budget := int64(audit.Budget)
	if ask, ok := s.simple(); ok && kept != nil {
		if err := kept(ask); err != nil {
			return audit.Counted{}, err
		}
		end := covered(s.view.last)
		counted, err := s.narrow(line.whole(*s.q), end, s.high).scan(columns, &budget, each)
		for _, n := range line.cut {
			if err != nil || !counted.Complete {
				break
			}
			counted, err = s.narrow(line.within(*s.q, n), s.low, end).scan(columns, &budget, each)
		}
		if err != nil || counted.Complete {
			return counted, err
		}
		again()
		budget = audit.Budget
	}
	return s.narrow(line.whole(*s.q), s.low, s.high).scan(columns, &budget, each)
}

// keptTotals gives the kept counts of the query itself.
func (s *search) keptTotals(line *timeline, ask simple, add func(count)) error {
	for _, site := range ask.each() {
		if err := s.kept(line, site, ask.field, ask.values(), add); err != nil {
			return err
		}
	}
	return nil
}

// each lists the sites as term_count_# has them.
func (q *simple) each() []string {
	if len(q.sites) == 0 {
		return []string{""}
	}
	return q.sites
}

// values are those of the field; those of "every event" are one, the empty one.
func (q *simple) values() []string {
	if q.field == 0 {
		return []string{""}
	}
	return q.terms
}

// Facets counts the chosen events by the values of fields.
func (a *Archive) Facets(ctx context.Context, q audit.Query, fields []audit.Field, limit int) (audit.Facets, error) {
	f := newFacets(fields)
	q.After = 0
	line := newTimeline(&q, nil)
	counted := audit.Counted{Complete: true}
	if line.low >= line.high {
		return f.answer(counted, limit), nil
	}
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		s, err := a.newCount(ctx, tx, &q)
		if err != nil || s == nil {
			return err
		}
		kept := func(ask simple) error { return f.kept(s, line, ask) }
		if ask, ok := s.simple(); !ok || !f.can(ask) {
			kept = nil
		}
		counted, err = s.tally(line, termColumns, kept, f.clear, f.event)
		return err
	})
	return f.answer(counted, limit), err
}

// facets count events by field and value.
type facets struct {
	fields []audit.Field
	counts map[audit.Field]map[string]int64
	total  int64
}

func newFacets(fields []audit.Field) *facets {
	f := &facets{fields: fields, counts: map[audit.Field]map[string]int64{}}
	f.clear()
	return f
}

func (f *facets) clear() {
	f.total = 0
	for _, field := range f.fields {
		f.counts[field] = map[string]int64{}
	}
}

// can reports whether kept counts know every field: with a value asked for they know that one's field, and sites.
func (f *facets) can(ask simple) bool {
	return ask.field == 0 || !slices.ContainsFunc(f.fields, func(x audit.Field) bool { return x != ask.field && x != audit.FieldSite })
}

// event counts one event of termColumns.
func (f *facets) event(r *sql.Rows) error {
	e, err := scanTerms(r.Scan)
	if err != nil {
		return err
	}
	f.total++
	for _, t := range audit.Terms(&e) {
		if have := f.counts[t.Field]; have != nil {
			have[t.Value]++
		}
	}
	return nil
}

// kept adds what is kept.
func (f *facets) kept(s *search, line *timeline, ask simple) error {
	if err := s.keptTotals(line, ask, func(n count) { f.total += n.events }); err != nil {
		return err
	}
	for field, counts := range f.counts {
		if field == audit.FieldSite {
			continue
		}
		var values []string // all
		if field == ask.field {
			values = ask.terms
		}
		for _, site := range ask.each() {
			if err := s.kept(line, site, field, values, func(n count) { counts[n.value] += n.events }); err != nil {
				return err
			}
		}
	}
	return f.keptSites(s, line, ask)
}

// keptSites adds the counts of sites.
func (f *facets) keptSites(s *search, line *timeline, ask simple) error {
	counts := f.counts[audit.FieldSite]
	if counts == nil {
		return nil
	}
	if ask.field == 0 && len(ask.sites) == 0 {
		return s.kept(line, "", audit.FieldSite, nil, func(n count) { counts[n.value] += n.events })
	}
	sites := ask.sites
	if len(sites) == 0 {
		var err error
		if sites, err = s.sites(); err != nil {
			return err
		}
	}
	for _, site := range sites {
		if err := s.kept(line, site, ask.field, ask.values(), func(n count) { counts[n.site] += n.events }); err != nil {
			return err
		}
	}
	return nil
}

// sites lists the sites that are counted anywhere.
func (s *search) sites() ([]string, error) {
	var out []string
	for _, p := range s.view.parts {
		rows, err := s.tx.QueryContext(s.ctx, p.text(`SELECT DISTINCT value FROM term_count_# WHERE organization = ? AND site = '' AND field = ?`), s.view.number, int64(audit.FieldSite))
		if err != nil {
			return nil, err
		}
		found, err := collect(rows, func(r *sql.Rows) (site string, err error) { return site, r.Scan(&site) })
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return distinctValues(out), nil
}

func (f *facets) answer(counted audit.Counted, limit int) audit.Facets {
	out := audit.Facets{Counted: counted, Total: f.total, Fields: make([]audit.Facet, len(f.fields))}
	for i, field := range f.fields {
		values := make([]audit.ValueCount, 0, len(f.counts[field]))
		for v, n := range f.counts[field] {
			if n > 0 {
				values = append(values, audit.ValueCount{Value: v, Count: n})
			}
		}
		slices.SortFunc(values, func(a, b audit.ValueCount) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
		})
		out.Fields[i] = audit.Facet{Field: field, More: len(values) > limit, Values: values[:min(max(limit, 0), len(values))]}
	}
	return out
}
