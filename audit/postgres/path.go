package postgres

import (
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

const (
	// maxBranches is how many values of one filter are walked one by one; a longer list is only checked.
	maxBranches = 64
	// probeRows is how far the paths are measured before one is chosen.
	probeRows = 2000
)

// branch is one value of an indexed filter: its rows come in order of position. No filter: the whole record.
type branch struct {
	filter string // a column of event_N, or one of indexFilters: terms of term_N
	value  any
}

func (x *branch) termed() bool { return !strings.HasPrefix(x.filter, "e.") && x.filter != "" }

// path is the branches of one filter.
type path []branch

// everything reports whether the path is the whole record.
func (p path) everything() bool { return len(p) == 1 && p[0].filter == "" }

// walk finds what these parts of shelves add to the answer.
func (s *search) walk(group []reach) error {
	group, err := s.prepare(group)
	if err != nil {
		return err
	}
	var hits []hit
	var b pgx.Batch
	for i := range group {
		r := &group[i]
		for _, x := range r.path {
			t := s.text(r, x)
			b.Queue(t.String(), t.args...).Query(func(rows pgx.Rows) error {
				h := hit{shelf: r.number}
				_, err := pgx.ForEachRow(rows, []any{&h.position}, func() error { hits = append(hits, h); return nil })
				return err
			})
		}
	}
	if err := s.tx.SendBatch(s.ctx, &b).Close(); err != nil {
		return err
	}
	s.take(hits)
	return nil
}

// prepare narrows reaches and chooses their paths. Those that fall into several pieces wait with the others, piece by piece.
func (s *search) prepare(group []reach) (ready []reach, err error) {
	var fresh []reach
	for _, r := range group {
		if r.ready {
			ready = append(ready, r)
		} else {
			fresh = append(fresh, r)
		}
	}
	for _, step := range []func([]reach) error{s.narrow, s.spellTypes, s.spellWords, s.choose} {
		if err := step(fresh); err != nil {
			return nil, err
		}
	}
	pieces, err := s.skip(fresh)
	if err != nil {
		return nil, err
	}
	for _, p := range pieces {
		if len(p) > 1 {
			s.reaches = append(s.reaches, p...)
			s.order()
		} else {
			ready = append(ready, p...)
		}
	}
	return ready, nil
}

// narrow cuts reaches down to the blocks in which the query's time range lies.
func (s *search) narrow(group []reach) error {
	var b pgx.Batch
	ask := func(r *reach, text string, at int64, use func(block int64)) {
		low, high := sequenceOf(r.from)+1, sequenceOf(r.to)
		b.Queue(text, r.organization, low>>blockBits, high>>blockBits, at).Query(func(rows pgx.Rows) error {
			block, found := int64(0), false
			_, err := pgx.ForEachRow(rows, []any{&block}, func() error { found = true; return nil })
			if !found {
				r.from = r.to // nothing of that time
			} else {
				use(block)
			}
			return err
		})
	}
	for i := range group {
		r := &group[i]
		h, _ := r.seen()
		if at := stored.Nanos(s.q.Start); !s.q.Start.IsZero() && h.firstTime < at {
			ask(r, `SELECT block FROM `+r.table("span")+` WHERE organization = $1 AND block BETWEEN $2 AND $3 AND max_time >= $4 ORDER BY block LIMIT 1`, at,
				func(block int64) { r.from = max(r.from, position(r.organization, max(block<<blockBits-1, 0))) })
		}
		if at := stored.Nanos(s.q.End); !s.q.End.IsZero() && h.lastTime >= at {
			ask(r, `SELECT block FROM `+r.table("span")+` WHERE organization = $1 AND block BETWEEN $2 AND $3 AND min_time < $4 ORDER BY block DESC LIMIT 1`, at,
				func(block int64) { r.to = min(r.to, position(r.organization, (block+1)<<blockBits-1)) })
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return s.tx.SendBatch(s.ctx, &b).Close()
}

// spellTypes finds the stored types of the filter's families: it hops through the index from name to name.
func (s *search) spellTypes(group []reach) error {
	exact, families := split(s.q.Types)
	var b pgx.Batch
	for i := range group {
		r := &group[i]
		r.types = slices.Clone(exact)
		for _, f := range families {
			b.Queue(`WITH RECURSIVE t (name) AS (
				(SELECT type FROM `+r.table("event")+` WHERE type >= $1 AND type < $2 ORDER BY type LIMIT 1)
				UNION ALL SELECT (SELECT type FROM `+r.table("event")+` WHERE type > t.name AND type < $2 ORDER BY type LIMIT 1) FROM t WHERE t.name IS NOT NULL)
				SELECT name FROM t WHERE name IS NOT NULL`, f+".", f+"/").Query(func(rows pgx.Rows) error {
				var name string
				_, err := pgx.ForEachRow(rows, []any{&name}, func() error { r.types = append(r.types, name); return nil })
				return err
			})
		}
	}
	if b.Len() == 0 {
		return nil
	}
	if err := s.tx.SendBatch(s.ctx, &b).Close(); err != nil {
		return err
	}
	for i := range group {
		slices.Sort(group[i].types)
		group[i].types = slices.Compact(group[i].types)
	}
	return nil
}

// paths lists the candidates: for every filter with an index, one branch per value.
func (s *search) paths(r *reach) []path {
	var out []path
	add := func(p path) {
		if len(p) > 0 && len(p) <= maxBranches {
			out = append(out, p)
		}
	}
	for i, indexes := range s.q.Indexes() {
		add(pathOf(indexFilters()[i], terms(indexes)))
	}
	for _, l := range lists(&s.q.Match) {
		switch values := l.values.(type) {
		case [][]byte:
			add(pathOf(l.column, values))
		case []string:
			if l.field == 0 || l.field == audit.FieldSite || l.field == audit.FieldReason {
				add(pathOf(l.column, values))
			}
		}
		if l.none {
			return []path{{}} // no value is meant
		}
	}
	add(pathOf("e.type", keys(r.types)))
	if len(s.q.Types) > 0 && len(r.types) == 0 {
		return []path{{}} // no stored type is meant
	}
	if len(out) == 0 {
		return []path{{branch{}}}
	}
	return out
}

func pathOf[T any](filter string, values []T) path {
	var out path
	for _, v := range values {
		out = append(out, branch{filter, v})
	}
	return out
}

// choose gives each reach the path with the fewest rows in it, measured up to probeRows.
func (s *search) choose(group []reach) error {
	all, rows := make([][]path, len(group)), make([][]int64, len(group))
	var b pgx.Batch
	for i := range group {
		r := &group[i]
		if r.from < r.to {
			all[i] = s.paths(r)
		}
		rows[i] = make([]int64, len(all[i]))
		if len(all[i]) < 2 && (len(all[i]) == 0 || len(s.needs(r, all[i][0])) == 0) {
			continue // there is nothing to choose from
		}
		for k, p := range all[i] {
			for _, x := range p {
				var t text
				t.add(`SELECT count(*) FROM (SELECT 1`)
				x.source(&t, r)
				t.add(` LIMIT `, t.arg(probeRows), `) AS reached`)
				b.Queue(t.String(), t.args...).QueryRow(func(row pgx.Row) error {
					var n int64
					err := row.Scan(&n)
					rows[i][k] += n
					return err
				})
			}
		}
	}
	if b.Len() > 0 {
		if err := s.tx.SendBatch(s.ctx, &b).Close(); err != nil {
			return err
		}
	}
	for i := range group {
		r := &group[i]
		if r.ready = true; len(all[i]) > 0 {
			best := slices.Index(rows[i], slices.Min(rows[i]))
			r.path, r.few = all[i][best], !all[i][best].everything() && rows[i][best] < probeRows
		}
	}
	return nil
}

// from is the table whose index the branch walks, and the column its order comes from.
func (x *branch) from(r *reach) (table, column string) {
	if x.termed() {
		return r.table("term") + " i", "i.position"
	}
	return r.table("event") + " e", "e.position"
}

// source adds FROM and WHERE of a branch within its reach.
func (x *branch) source(t *text, r *reach) {
	table, column := x.from(r)
	t.add(` FROM `, table, ` WHERE `, column, ` > `, t.arg(r.from), ` AND `, column, ` <= `, t.arg(r.to))
	switch {
	case x.termed():
		t.add(` AND i.term = `, t.arg(x.value))
	case x.filter != "":
		t.add(` AND `, x.filter, ` = `, t.arg(x.value))
	}
}

// text is the statement for a branch's positions, in order, as many as the limit needs.
func (s *search) text(r *reach, x branch) *text {
	var t text
	_, column := x.from(r)
	t.add(`SELECT `, column)
	x.source(&t, r)
	if !x.termed() {
		s.conditions(&t, r, x.filter)
	} else {
		var rest text
		rest.args = t.args
		s.conditions(&rest, r, x.filter)
		if rest.Len() > 0 { // each row of the index is looked at in its order
			t.args = rest.args
			t.add(` AND EXISTS (SELECT 1 FROM `, r.table("event"), ` e WHERE e.position = i.position`, rest.String(), ` OFFSET 0)`)
		}
	}
	t.add(` ORDER BY `, column)
	if s.q.Descending {
		t.add(` DESC`)
	}
	t.add(` LIMIT `, t.arg(s.q.Limit))
	return &t
}
