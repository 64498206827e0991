package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// Flows returns up to q.Limit flow rows, newest start first. Like Events it searches shelf by shelf, walks one indexed filter
// value by value and checks the others.
func (a *Archive) Flows(ctx context.Context, q audit.FlowQuery) ([]audit.FlowRow, error) {
	if q.Limit <= 0 {
		return nil, nil
	}
	var page []audit.FlowRow
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		v, err := a.view(ctx, tx, q.OrganizationUID)
		if err != nil || !v.known {
			return err
		}
		if err := v.load(ctx, tx); err != nil {
			return err
		}
		for _, p := range v.flowParts() {
			if !mayHave(&q, p.flows(), page) {
				continue
			}
			if page, err = v.flowsOn(ctx, tx, &q, p.shelf, page); err != nil {
				return err
			}
		}
		return nil
	})
	return page, err
}

// mayHave reports whether a part can have flows for the page.
func mayHave(q *audit.FlowQuery, have *content, page []audit.FlowRow) bool {
	if len(page) == q.Limit && stored.Nanos(page[len(page)-1].Started) > have.started.high {
		return false
	}
	return (q.Start.IsZero() || have.started.high >= stored.Nanos(q.Start)) && (q.End.IsZero() || have.started.low < stored.Nanos(q.End)) &&
		(q.BeforeTime.IsZero() || have.started.low <= stored.Nanos(q.BeforeTime))
}

// flowsOn adds a shelf's flows to the page.
func (v *view) flowsOn(ctx context.Context, tx querier, q *audit.FlowQuery, s *shelf, page []audit.FlowRow) ([]audit.FlowRow, error) {
	c := flowConditions(q)
	v.onlyShownFlows(&c, s)
	path, err := flowPath(ctx, tx, q, s, v.number)
	if err != nil {
		return nil, err
	}
	for _, b := range path {
		rows, err := tx.QueryContext(ctx, s.text(flowText(b, c)), slices.Concat(b.args, c.args, []any{q.Limit})...)
		if err != nil {
			return nil, err
		}
		found, err := collect(rows, func(r *sql.Rows) (audit.FlowRow, error) { return scanFlow(r.Scan) })
		if err != nil {
			return nil, err
		}
		page = append(page, found...)
	}
	slices.SortFunc(page, func(x, y audit.FlowRow) int {
		return cmp.Or(y.Started.Compare(x.Started), strings.Compare(y.ID, x.ID))
	})
	page = slices.CompactFunc(page, func(x, y audit.FlowRow) bool { return x.ID == y.ID })
	return page[:min(len(page), q.Limit)], nil
}

// flowText is the query for a branch's rows.
func flowText(b branch, c clause) string {
	return `SELECT ` + flowColumns + ` FROM ` + b.from + ` CROSS JOIN organization_sequence o USING (organization) WHERE ` + b.where + c.text +
		` ORDER BY f.started DESC, f.id DESC LIMIT ?`
}

// flowPath lists the branches to walk: support codes, else the list of blind indexes with the fewest flows on the shelf when they
// are few, else sites, else all of the organization.
func flowPath(ctx context.Context, tx querier, q *audit.FlowQuery, s *shelf, organization int64) ([]branch, error) {
	each := func(values []string, from, where string) (out []branch) {
		for _, v := range values {
			out = append(out, branch{from: from, where: "f.organization = ? AND " + where, args: []any{organization, v}})
		}
		return out
	}
	if n := len(q.SupportCodes); n > 0 && n <= maxBranches {
		return each(q.SupportCodes, "flow_# f INDEXED BY flow_code_#", "f.support_code = ?"), nil
	}
	fewest, best := int64(probeRows), []branch(nil)
	for _, list := range q.Indexes() {
		if len(list) == 0 || len(list) > maxBranches {
			continue
		}
		path := make([]branch, len(list))
		var all int64
		for i, x := range list {
			path[i] = branch{from: "flow_index_# x CROSS JOIN flow_# f USING (flow)", where: "f.organization = ? AND x.purpose = ? AND x.value = ?",
				args: []any{organization, int64(x.Purpose), x.Value}}
			var n int64
			if err := tx.QueryRowContext(ctx, s.text(`SELECT count(*) FROM (SELECT 1 FROM flow_index_# WHERE purpose = ? AND value = ? LIMIT ?)`),
				int64(x.Purpose), x.Value, fewest).Scan(&n); err != nil {
				return nil, err
			}
			all += n
		}
		if all < fewest {
			fewest, best = all, path
		}
	}
	switch {
	case best != nil:
		return best, nil
	case len(q.Sites) > 0 && len(q.Sites) <= maxBranches:
		return each(q.Sites, "flow_# f INDEXED BY flow_site_#", "f.site = ?"), nil
	default:
		return []branch{{from: "flow_# f INDEXED BY flow_started_#", where: "f.organization = ?", args: []any{organization}}}, nil
	}
}

// flowConditions are all filters but the organization. The plus signs keep SQLite from choosing another path than ours.
func flowConditions(q *audit.FlowQuery) clause {
	var c clause
	if !q.BeforeTime.IsZero() {
		c.and("(f.started, f.id) < (?, ?)", stored.Nanos(q.BeforeTime), q.BeforeID)
	}
	if !q.Start.IsZero() {
		c.and("f.started >= ?", stored.Nanos(q.Start))
	}
	if !q.End.IsZero() {
		c.and("f.started < ?", stored.Nanos(q.End))
	}
	for _, one := range flowLists(&q.FlowMatch) {
		c.and(one.text, one.args...)
	}
	for _, one := range flowLists(&q.Exclude) {
		c.and("NOT "+one.text, one.args...)
	}
	return c
}

// flowLists are conditions, in brackets, for the lists that are given.
func flowLists(m *audit.FlowMatch) []clause {
	var out []clause
	anyOf := func(n int, one string, args func(i int) []any) {
		if n == 0 {
			return
		}
		c := clause{text: "(" + one + strings.Repeat(" OR "+one, n-1) + ")"}
		for i := range n {
			c.args = append(c.args, args(i)...)
		}
		out = append(out, c)
	}
	anyOf(len(m.Sites), "+f.site = ?", func(i int) []any { return []any{m.Sites[i]} })
	anyOf(len(m.SupportCodes), "+f.support_code = ?", func(i int) []any { return []any{m.SupportCodes[i]} })
	anyOf(len(m.Endings), "f.ending = ?", func(i int) []any { return []any{m.Endings[i]} })
	anyOf(len(m.Classes), "f.class = ?", func(i int) []any { return []any{m.Classes[i]} })
	anyOf(len(m.Reasons), "f.reason = ?", func(i int) []any { return []any{m.Reasons[i]} })
	for _, list := range m.Terms() {
		anyOf(len(list), "instr(f.terms, ?) > 0", func(i int) []any { return []any{list[i].Mark()} })
	}
	for _, list := range m.Indexes() {
		anyOf(len(list), "EXISTS (SELECT 1 FROM flow_index_# x WHERE x.purpose = ? AND x.value = ? AND x.flow = f.flow)",
			func(i int) []any { return []any{int64(list[i].Purpose), list[i].Value} })
	}
	return out
}
