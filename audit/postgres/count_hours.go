package postgres

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
)

// keyed are rows of hour_N that together count some events.
type keyed struct {
	sites    []string // with "" alone: rows of all events
	fields   []int16
	values   []string // nil: every value
	families []string
	total    bool // every event of the query is in one of these rows, and in one only
	bySite   bool // values of sites are counted, and not those of the fields; without sites, of all there are
}

// byHours names the rows of hour_N that answer the query; false when they cannot.
func (c *counting) byHours() ([]keyed, bool) {
	q := c.q
	if q.UpTo > 0 && q.UpTo < c.v.last || len(q.Text) > 0 || len(q.Exclude.Types) > 0 || len(lists(&q.Exclude)) > 0 {
		return nil, false
	}
	for i := range q.Indexes() {
		if len(q.Indexes()[i]) > 0 || len(q.Exclude.Indexes()[i]) > 0 {
			return nil, false
		}
	}
	sites, term, ok := c.terms()
	if !ok {
		return nil, false
	}
	if term != nil {
		return c.withTerm(sites, term)
	}
	if sites == nil {
		out := keyed{sites: []string{""}, fields: []int16{int16(fieldAny)}}
		for _, f := range c.fields {
			out.fields = append(out.fields, int16(f))
		}
		return []keyed{out}, true
	}
	out := []keyed{{sites: []string{""}, fields: []int16{int16(audit.FieldSite)}, values: *sites, total: true}}
	others := keyed{sites: *sites}
	for _, f := range c.fields {
		if f != audit.FieldSite {
			others.fields = append(others.fields, int16(f))
		}
	}
	if len(others.fields) > 0 {
		out = append(out, others)
	}
	return out, true
}

// withTerm names the rows for a query with another filter than sites: values of others than its field and sites are not counted
// beside it.
func (c *counting) withTerm(sites *[]string, term *keyed) ([]keyed, bool) {
	perSite := *term
	perSite.bySite, perSite.total = true, false
	term.sites = []string{""}
	if sites != nil {
		term.sites, perSite.sites = *sites, *sites
	}
	out := []keyed{*term}
	for _, f := range c.fields {
		switch {
		case f == audit.FieldSite:
			out = append(out, perSite)
		case int16(f) != term.fields[0]:
			return nil, false
		}
	}
	return out, true
}

// terms are the query's sites, nil when it has no such filter, and its other filter, nil when it has none. It has one at most, and
// no value that is longer than a term; else false.
func (c *counting) terms() (sites *[]string, term *keyed, ok bool) {
	q := c.q
	var others []keyed
	for _, l := range lists(&q.Match) {
		if l.field == 0 || slices.ContainsFunc(l.present, unlikeTerm) {
			return nil, nil, false
		}
		if l.field == audit.FieldSite {
			sites = &l.present
			continue
		}
		others = append(others, keyed{fields: []int16{int16(l.field)}, values: l.present, total: true})
	}
	if len(q.Types) > 0 {
		exact, families := split(q.Types)
		if slices.ContainsFunc(slices.Concat(keys(exact), families), unlikeTerm) {
			return nil, nil, false
		}
		others = append(others, keyed{fields: []int16{int16(audit.FieldType)}, values: keys(exact), families: families, total: true})
	}
	if len(others) == 0 {
		return sites, nil, true
	}
	return sites, &others[0], len(others) == 1
}

// unlikeTerm reports whether a value, as columns have it, is not what hour_N has of it, or may be what it has of a longer one.
func unlikeTerm(value string) bool {
	return len(value) > audit.MaxTerm-utf8.UTFMax || strings.HasPrefix(value, escape)
}

// fromHours answers from counts, and looks at events where whole hours and whole blocks leave something over.
func (c *counting) fromHours(by []keyed) error {
	hours, windows := c.wholeHours()
	tail := wholeBlocks(c.v.last)
	var b pgx.Batch
	var hashed []hashedValue
	over := make([]spans, len(c.reaches))
	for i := range c.reaches {
		r := &c.reaches[i]
		if low, high := c.blocks(r); low <= high {
			whole := c.covers(r.shelfView)
			for k := range by {
				c.queueHours(&b, r.shelfView, &by[k], hours, whole)
			}
			if len(windows) > 0 && !whole {
				over[i].queue(&b, r, tail, windows)
			}
		}
		if from := max(r.from, position(r.organization, max(tail<<blockBits-1, 0))); from < r.to {
			c.queueRanges(&b, r, c.segments, &hashed, []int64{from}, []int64{r.to})
		}
	}
	if err := c.tx.SendBatch(c.ctx, &b).Close(); err != nil {
		return err
	}
	var left pgx.Batch
	for i := range c.reaches {
		if len(over[i].from) > 0 {
			c.queueRanges(&left, &c.reaches[i], windows, &hashed, over[i].from, over[i].to)
		}
	}
	if left.Len() > 0 {
		if err := c.tx.SendBatch(c.ctx, &left).Close(); err != nil {
			return err
		}
	}
	return c.unhash(hashed)
}

// wholeHours parts the segments into those of whole hours, counted in hours, and what is left over at their ends.
func (c *counting) wholeHours() (hours, windows []segment) {
	left := func(from, to int64, bucket int) {
		if from < to && from != math.MinInt64 && to != math.MaxInt64 {
			windows = append(windows, segment{from, to, bucket})
		}
	}
	for _, x := range c.segments {
		first, last := -floor(-max(x.from, math.MinInt64+1), hourNanos), floor(x.to, hourNanos)
		if first >= last {
			left(x.from, x.to, x.bucket)
			continue
		}
		hours = append(hours, segment{first, last, x.bucket})
		left(x.from, first*hourNanos, x.bucket)
		left(last*hourNanos, x.to, x.bucket)
	}
	return hours, windows
}

// queueHours adds up rows of hour_N, or those of the whole shelf.
func (c *counting) queueHours(b *pgx.Batch, sv *shelfView, k *keyed, hours []segment, whole bool) {
	var t text
	fields, when, use := k.fields, "", func(rows pgx.Rows) error { return c.addRows(rows, k) }
	if whole {
		fields = make([]int16, len(k.fields))
		for i, f := range k.fields {
			fields[i] = f + int16(wholeShelf)
		}
	} else {
		when = `width_bucket(h.hour, ` + t.arg(hourEdges(hours)) + `::integer[])`
	}
	switch {
	case c.counts != nil:
		t.add(`SELECT `, when, `, sum(h.count)::bigint`)
		use = func(rows pgx.Rows) error { return c.collect(rows, hours) }
	case k.bySite:
		t.add(`SELECT `, t.arg(int16(audit.FieldSite)), `::smallint, h.site, sum(h.count)::bigint`)
	default:
		t.add(`SELECT (h.field % `, t.arg(int16(wholeShelf)), `::smallint)::smallint, h.value, sum(h.count)::bigint`)
	}
	if k.bySite && k.sites == nil {
		t.add(` FROM (SELECT DISTINCT term FROM (`, valuesText(&sv.shelf, t.arg(sv.organization), audit.FieldSite), `) AS v (field, value, term)) AS s JOIN `,
			sv.table("hour"), ` h ON h.site = s.term WHERE true`)
	} else {
		t.add(` FROM `, sv.table("hour"), ` h WHERE h.site = ANY (`, t.arg(bytesOf(k.sites)), `)`)
	}
	t.add(` AND h.organization = `, t.arg(sv.organization), ` AND h.field = ANY (`, t.arg(fields), `)`)
	if when != "" {
		t.add(` AND `, when, ` % 2 = 1`)
	}
	k.valued(&t)
	if c.q.NoSandbox {
		t.add(` AND h.kind < 4`)
	}
	sv.visibleHours(&t)
	t.add(` GROUP BY 1`)
	if c.counts == nil {
		t.add(`, 2`)
	}
	b.Queue(t.String(), t.args...).Query(use)
}

// covers reports whether the facets' range has all times of a shelf's events, and the view all or nothing of each category.
func (c *counting) covers(sv *shelfView) bool {
	if c.counts != nil {
		return false
	}
	for k := range sv.content {
		if some, all := sv.shows(k); some && !all && sv.content[k].events > 0 {
			return false
		}
	}
	h, _ := sv.seen()
	return h.firstTime >= c.segments[0].from && h.lastTime < c.segments[0].to
}

// hourEdges are edges of segments in hours.
func hourEdges(hours []segment) []int32 {
	out := make([]int32, 0, 2*len(hours))
	for _, at := range edges(hours) {
		out = append(out, int32(at)) //nolint:gosec // hours since 1970
	}
	return out
}

// valued adds "the value is one of these".
func (k *keyed) valued(t *text) {
	if k.values == nil {
		return
	}
	t.add(` AND (h.value = ANY (`, t.arg(bytesOf(k.values)), `)`)
	for _, f := range k.families {
		t.add(` OR h.value >= `, t.arg([]byte(f+".")), ` AND h.value < `, t.arg([]byte(f+"/")))
	}
	t.add(`)`)
}

// addRows adds counts of facets.
func (c *counting) addRows(rows pgx.Rows, k *keyed) error {
	var f int16
	var value []byte
	var n int64
	_, err := pgx.ForEachRow(rows, []any{&f, &value, &n}, func() error {
		if c.add(audit.Field(f), string(value), n); k.total { //nolint:gosec // as stored
			c.total += n
		}
		return nil
	})
	return err
}

func bytesOf(texts []string) [][]byte {
	out := make([][]byte, len(texts))
	for i, s := range texts {
		out[i] = []byte(s)
	}
	return out
}

// spans are ranges of positions, the first exclusive.
type spans struct{ from, to []int64 }

// queue finds the whole blocks of a reach with times in one of the windows.
func (s *spans) queue(b *pgx.Batch, r *reach, tail int64, windows []segment) {
	from, to := edges(windows)[0], windows[len(windows)-1].to
	b.Queue(`SELECT s.block, s.min_time, s.max_time FROM `+r.table("span")+` s WHERE s.organization = $1 AND s.block < $2 AND s.max_time >= $3 AND s.min_time < $4
		ORDER BY s.block`, r.organization, tail, from, to).Query(func(rows pgx.Rows) error {
		var block, low, high int64
		_, err := pgx.ForEachRow(rows, []any{&block, &low, &high}, func() error {
			if slices.ContainsFunc(windows, func(w segment) bool { return high >= w.from && low < w.to }) {
				s.add(max(r.from, position(r.organization, max(block<<blockBits-1, 0))), min(r.to, position(r.organization, (block+1)<<blockBits-1)))
			}
			return nil
		})
		return err
	})
}

func (s *spans) add(from, to int64) {
	if n := len(s.to); n > 0 && s.to[n-1] == from {
		s.to[n-1] = to
	} else if from < to {
		s.from, s.to = append(s.from, from), append(s.to, to)
	}
}

// queueRanges counts the rows of ranges that fit the query, in segments of time.
func (c *counting) queueRanges(b *pgx.Batch, r *reach, segments []segment, hashed *[]hashedValue, from, to []int64) {
	c.queueRows(b, r.shelfView, segments, hashed, func(t *text) {
		t.add(` FROM unnest(`, t.arg(from), `::bigint[], `, t.arg(to), `::bigint[]) AS r (low, high) JOIN `, r.table("event"),
			` e ON e.position > r.low AND e.position <= r.high`)
	}, func(t *text) { c.untimed(t, r, "") })
}

// visibleHours adds the condition that events counted by a row can be seen, where not all of them can. Edges are whole hours.
func (s *shelfView) visibleHours(t *text) {
	for k := range s.content {
		switch some, all := s.shows(k); {
		case all || s.content[k].events == 0:
		case !some:
			t.add(` AND h.kind & 3 <> `, t.arg(k))
		default:
			t.add(` AND (h.kind & 3 <> `, t.arg(k), ` OR h.hour + h.lag >= `, t.arg(s.edges[k]/hourMillis), `)`)
		}
	}
}
