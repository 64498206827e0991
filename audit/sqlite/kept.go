package sqlite

import (
	"database/sql"
	"math"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// simple is a query that kept counts can answer: for some sites, or all, and for some values of one field, or none.
type simple struct {
	sites []string // none: all
	field audit.Field
	terms []string
}

// simple returns what the query asks of kept counts; false when they cannot answer it.
func (s *search) simple() (ask simple, ok bool) {
	q := s.q
	if !none(&q.Exclude) || len(q.Text)+len(q.Flows)+len(q.SupportCodes) > 0 || (q.UpTo > 0 && q.UpTo < s.view.last) {
		return ask, false
	}
	for _, list := range q.Indexes() {
		if len(list) > 0 {
			return ask, false
		}
	}
	if len(q.Types) > 0 {
		ask.field, ask.terms = audit.FieldType, s.kinds
	}
	for _, l := range lists(&q.Match) {
		switch {
		case len(l.values) == 0:
		case l.field == 0:
			ask.sites = distinctValues(l.values)
		case ask.field != 0:
			return ask, false
		default:
			ask.field, ask.terms = l.field, distinctValues(l.values)
		}
	}
	// A term of full length may stand for several values.
	return ask, !slices.ContainsFunc(ask.terms, func(v string) bool { return !whole(v) })
}

// none reports whether a filter has no list at all.
func none(m *audit.Match) bool {
	for _, list := range m.Indexes() {
		if len(list) > 0 {
			return false
		}
	}
	return len(m.Types) == 0 && !slices.ContainsFunc(lists(m), func(l listed) bool { return len(l.values) > 0 })
}

// distinctValues are the values without repetition and without what is none.
func distinctValues(values []string) []string {
	out := slices.Clone(values)
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(v string) bool { return v == "" })
}

// count is how many events have a value between two bounds.
type count struct {
	site, value string
	between     int
	events      int64
}

// kept gives the counts of a site ("": all) and a field (0: every event) to add, of these values or of all.
func (s *search) kept(line *timeline, site string, field audit.Field, values []string, add func(count)) error {
	for _, p := range s.view.parts {
		if err := s.keptOn(p, line, site, field, values, add); err != nil {
			return err
		}
	}
	return nil
}

func (s *search) keptOn(p *part, line *timeline, site string, field audit.Field, values []string, add func(count)) error {
	if p.events.events == 0 || p.events.time.high < line.low || p.events.time.low >= line.high {
		return nil
	}
	// Where all that is on the shelf counts alike, the sums are enough.
	between, alike := line.one(p.events.time.low, p.events.time.high)
	alike = alike && !s.view.cutsAny(p)
	quarters := "quarters"
	if alike {
		quarters = "NULL"
	}
	var c clause
	in(&c, "value", values)
	rows, err := s.tx.QueryContext(s.ctx, p.text(`SELECT value, week, category, sandbox, events, `+quarters+` FROM term_count_# WHERE organization = ? AND site = ? AND field = ?`+c.text),
		append([]any{s.view.number, site, int64(field)}, c.args...)...)
	if err != nil {
		return err
	}
	var buffer cells
	_, err = collect(rows, func(r *sql.Rows) (struct{}, error) {
		n := count{site: site, between: between}
		var week, category int64
		var sandbox bool
		var packed sql.RawBytes
		if err := r.Scan(&n.value, &week, &category, &sandbox, &n.events, &packed); err != nil {
			return struct{}{}, err
		}
		if (sandbox && s.q.NoSandbox) || s.view.hides(p.shelf, int(category)-1) {
			return struct{}{}, nil
		}
		if alike {
			add(n)
			return struct{}{}, nil
		}
		var err error
		if buffer, err = buffer[:0].unpack(week, packed); err != nil {
			return struct{}{}, err
		}
		s.view.shownCells(buffer, line, int(category)-1, func(between int, events int64) {
			n.between, n.events = between, events
			add(n)
		})
		return struct{}{}, nil
	})
	return err
}

// cutsAny reports whether an edge goes through what the part has.
func (v *view) cutsAny(p *part) bool {
	for i := range categories {
		if p.content[i].events > 0 && v.cuts(p.shelf, i) {
			return true
		}
	}
	return false
}

// shownCells adds up the cells that may be seen and lie in quarters that no bound cuts.
func (v *view) shownCells(c cells, line *timeline, category int, add func(between int, events int64)) {
	edge := int64(-1 << 62)
	if at := v.edges[category]; !at.IsZero() {
		edge = quarterOf(stored.Nanos(at))
	}
	var sum int64 // of cells between the same two bounds: cells come in order of time
	between, until := 0, int64(math.MinInt64)
	for _, x := range c {
		if x.quarter+x.lag < edge {
			continue
		}
		if _, cut := slices.BinarySearch(line.cut, x.quarter); cut {
			continue
		}
		if at := x.quarter * quarter; at >= until {
			next, in := line.at(at)
			if !in {
				continue
			}
			if sum > 0 {
				add(between, sum)
			}
			sum, between, until = 0, next, line.until(next)
		}
		sum += x.events
	}
	if sum > 0 {
		add(between, sum)
	}
}
