package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// newestFirst is the order of lists of flows.
func newestFirst(x, y audit.FlowRow) int {
	return cmp.Or(y.Started.Compare(x.Started), slices.Compare(idKey(y.ID), idKey(x.ID)))
}

// Flows returns up to q.Limit flow rows, newest start first. Like Events it walks shelves from the newest on, and on each one
// indexed filter value by value, checking the others.
func (a *Archive) Flows(ctx context.Context, q audit.FlowQuery) ([]audit.FlowRow, error) {
	if q.Limit <= 0 {
		return nil, nil
	}
	var out []audit.FlowRow
	err := a.inRead(ctx, func(tx pgx.Tx) error {
		out = nil
		v, err := see(ctx, tx, q.OrganizationUID, a.now())
		if err != nil || v == nil {
			return err
		}
		out, err = v.flows(ctx, tx, &q)
		return err
	})
	return out, err
}

func (v *view) flows(ctx context.Context, tx pgx.Tx, q *audit.FlowQuery) (out []audit.FlowRow, err error) {
	shelves := v.flowShelves(q)
	for size := 1; len(shelves) > 0; size = min(2*size, 32) {
		var b pgx.Batch
		for n := 0; n < size && len(shelves) > 0; n++ {
			s := shelves[0]
			if len(out) == q.Limit && s.content[0].lastStarted < stored.Nanos(out[q.Limit-1].Started) {
				shelves = nil // nor do those after it
				break
			}
			shelves = shelves[1:]
			statements, err := v.flowStatements(ctx, tx, s, q)
			if err != nil {
				return nil, err
			}
			for _, t := range statements {
				v.queueFlows(&b, t, &out)
			}
		}
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return nil, err
		}
		slices.SortFunc(out, newestFirst)
		out = slices.CompactFunc(out, func(x, y audit.FlowRow) bool { return x.ID == y.ID })
		out = out[:min(len(out), q.Limit)]
	}
	return out, nil
}

// flowShelves are the shelves that may have something of the answer, the one with the newest start first.
func (v *view) flowShelves(q *audit.FlowQuery) []*shelfView {
	var out []*shelfView
	for i := range v.shelves {
		s := &v.shelves[i]
		h := &s.content[0]
		some, _ := s.shows(0)
		if !some || h.flows == 0 || !q.Start.IsZero() && h.lastStarted < stored.Nanos(q.Start) || !q.End.IsZero() && h.firstStarted >= stored.Nanos(q.End) ||
			!q.BeforeTime.IsZero() && h.firstStarted > stored.Nanos(q.BeforeTime) {
			continue
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(x, y *shelfView) int { return cmp.Compare(y.content[0].lastStarted, x.content[0].lastStarted) })
	return out
}

// flowStatements lists the statements for one shelf: by support codes, else by the list of blind indexes with the fewest flows on it
// when they are few, else by sites, else all of the organization.
func (v *view) flowStatements(ctx context.Context, tx pgx.Tx, s *shelfView, q *audit.FlowQuery) ([]*text, error) {
	var out []*text
	each := func(n int, source func(t *text, i int)) {
		for i := range n {
			var t text
			t.add(`SELECT `, flowColumns, ` FROM `)
			source(&t, i)
			t.add(` AND f.organization = `, t.arg(s.organization))
			flowConditions(&t, s, q)
			t.add(` ORDER BY f.started DESC, f.id DESC LIMIT `, t.arg(q.Limit))
			out = append(out, &t)
		}
	}
	flow, x := s.table("flow")+" f", s.table("flow_term")+" x"
	if n := len(q.SupportCodes); n > 0 && n <= maxBranches {
		each(n, func(t *text, i int) { // OFFSET: they are few; found first, sorted then
			t.add(`(SELECT * FROM `, flow, ` WHERE f.organization = `, t.arg(s.organization), ` AND f.support_code = `, t.arg(key(q.SupportCodes[i])), ` OFFSET 0) f WHERE true`)
		})
		return out, nil
	}
	few, err := fewFlows(ctx, tx, s, q)
	switch {
	case err != nil:
		return nil, err
	case few != nil:
		each(len(few), func(t *text, i int) {
			t.add(`(SELECT f.* FROM `, x, ` JOIN `, flow, ` USING (id) WHERE x.term = `, t.arg(term(few[i])), ` OFFSET 0) f WHERE true`)
		})
	case len(q.Sites) > 0 && len(q.Sites) <= maxBranches:
		each(len(q.Sites), func(t *text, i int) { t.add(flow, ` WHERE f.site = `, t.arg(key(q.Sites[i]))) })
	default:
		each(1, func(t *text, _ int) { t.add(flow, ` WHERE true`) })
	}
	return out, nil
}

// fewFlows returns the list of blind indexes that has the fewest flows on the shelf; nil when each has many, or none is given.
func fewFlows(ctx context.Context, tx pgx.Tx, s *shelfView, q *audit.FlowQuery) ([]audit.Index, error) {
	var best []audit.Index
	fewest := int64(probeRows)
	var b pgx.Batch
	for _, list := range q.Indexes() {
		if len(list) == 0 || len(list) > maxBranches {
			continue
		}
		b.Queue(`SELECT count(*) FROM unnest($1::bytea[]) t (term) CROSS JOIN LATERAL (SELECT FROM `+s.table("flow_term")+` x WHERE x.term = t.term LIMIT $2) y`,
			terms(list), probeRows).QueryRow(func(row pgx.Row) error {
			var n int64
			err := row.Scan(&n)
			if n < fewest {
				fewest, best = n, list
			}
			return err
		})
	}
	if b.Len() == 0 {
		return nil, nil
	}
	return best, tx.SendBatch(ctx, &b).Close()
}

// flowConditions are all filters but the organization. Concatenating nothing keeps the server from taking a condition for a path.
func flowConditions(t *text, s *shelfView, q *audit.FlowQuery) {
	if !q.BeforeTime.IsZero() {
		t.add(` AND (f.started, f.id) < (`, t.arg(stored.Nanos(q.BeforeTime)), `, `, t.arg(idKey(q.BeforeID)), `)`)
	}
	if !q.Start.IsZero() {
		t.add(` AND f.started >= `, t.arg(stored.Nanos(q.Start)))
	}
	if !q.End.IsZero() {
		t.add(` AND f.started < `, t.arg(stored.Nanos(q.End)))
	}
	flowLists(t, s, &q.FlowMatch, ` AND `)
	flowLists(t, s, &q.Exclude, ` AND NOT `)
	s.visibleFlow(t)
}

// flowLists adds a condition for each list that is given.
func flowLists(t *text, s *shelfView, m *audit.FlowMatch, and string) {
	oneOf := func(column string, n int, values any) {
		if n > 0 {
			t.add(and, column, ` = ANY (`, t.arg(values), `)`)
		}
	}
	oneOf(`(f.site || '')`, len(m.Sites), keys(m.Sites))
	oneOf(`(f.support_code || '')`, len(m.SupportCodes), keys(m.SupportCodes))
	oneOf(`f.reason`, len(m.Reasons), keys(m.Reasons))
	oneOf(`f.ending`, len(m.Endings), smallints(m.Endings))
	oneOf(`f.class`, len(m.Classes), smallints(m.Classes))
	for _, list := range m.Terms() {
		for i, x := range list {
			if i == 0 {
				t.add(and, `(`)
			} else {
				t.add(` OR `)
			}
			t.add(`strpos(f.terms, `, t.arg(x.Mark()), `) > 0`)
		}
		if len(list) > 0 {
			t.add(`)`)
		}
	}
	for _, list := range m.Indexes() {
		if len(list) > 0 { // OFFSET keeps it a question asked of each row
			t.add(and, `EXISTS (SELECT 1 FROM `, s.table("flow_term"), ` y WHERE y.term = ANY (`, t.arg(terms(list)), `) AND y.id = f.id OFFSET 0)`)
		}
	}
}

// smallints are values of an enum as they are stored.
func smallints[E ~uint8](values []E) []int16 {
	out := make([]int16, len(values))
	for i, v := range values {
		out[i] = int16(v)
	}
	return out
}
