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
			for _, t := range flowStatements(s, q) {
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

// flowStatements lists the statements for one shelf: by support codes, else subjects, else sites, else all of the organization.
func flowStatements(s *shelfView, q *audit.FlowQuery) []*text {
	var out []*text
	each := func(n int, source func(t *text, i int)) bool {
		if n == 0 || n > maxBranches {
			return false
		}
		for i := range n {
			var t text
			t.add(`SELECT `, flowColumns, ` FROM `)
			source(&t, i)
			t.add(` AND f.organization = `, t.arg(s.organization))
			flowConditions(&t, s, q)
			t.add(` ORDER BY f.started DESC, f.id DESC LIMIT `, t.arg(q.Limit))
			out = append(out, &t)
		}
		return true
	}
	flow, x := s.table("flow")+" f", s.table("flow_term")+" x"
	switch {
	case each(len(q.SupportCodes), func(t *text, i int) { // OFFSET: they are few; found first, sorted then
		t.add(`(SELECT * FROM `, flow, ` WHERE f.organization = `, t.arg(s.organization), ` AND f.support_code = `, t.arg(key(q.SupportCodes[i])), ` OFFSET 0) f WHERE true`)
	}):
	case each(len(q.Subjects), func(t *text, i int) {
		t.add(`(SELECT f.* FROM `, x, ` JOIN `, flow, ` USING (id) WHERE x.term = `, t.arg(term(q.Subjects[i])), ` OFFSET 0) f WHERE true`)
	}):
	case each(len(q.Sites), func(t *text, i int) { t.add(flow, ` WHERE f.site = `, t.arg(key(q.Sites[i]))) }):
	default:
		each(1, func(t *text, _ int) { t.add(flow, ` WHERE true`) })
	}
	return out
}

// flowConditions are all filters but the organization.
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
	if len(q.Sites) > 0 {
		t.add(` AND (f.site || '') = ANY (`, t.arg(keys(q.Sites)), `)`)
	}
	if len(q.SupportCodes) > 0 {
		t.add(` AND (f.support_code || '') = ANY (`, t.arg(keys(q.SupportCodes)), `)`)
	}
	if len(q.Endings) > 0 {
		endings := make([]int16, len(q.Endings))
		for i, e := range q.Endings {
			endings[i] = int16(e)
		}
		t.add(` AND f.ending = ANY (`, t.arg(endings), `)`)
	}
	if len(q.Subjects) > 0 {
		t.add(` AND EXISTS (SELECT 1 FROM `, s.table("flow_term"), ` y WHERE y.term = ANY (`, t.arg(terms(q.Subjects)), `) AND y.id = f.id OFFSET 0)`)
	}
	s.visibleFlow(t)
}
