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
	for _, b := range flowPath(q, v.number) {
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

// flowPath lists the branches to walk: support codes, else subjects, else sites, else all of the organization.
func flowPath(q *audit.FlowQuery, organization int64) []branch {
	var out []branch
	each := func(n int, b func(i int) branch) bool {
		if n == 0 || n > maxBranches {
			return false
		}
		for i := range n {
			out = append(out, b(i))
		}
		return true
	}
	switch {
	case each(len(q.SupportCodes), func(i int) branch {
		return branch{from: "flow_# f INDEXED BY flow_code_#", where: "f.organization = ? AND f.support_code = ?", args: []any{organization, q.SupportCodes[i]}}
	}):
	case each(len(q.Subjects), func(i int) branch {
		return branch{from: "flow_index_# x CROSS JOIN flow_# f USING (flow)", where: "f.organization = ? AND x.purpose = ? AND x.value = ?",
			args: []any{organization, int64(q.Subjects[i].Purpose), q.Subjects[i].Value}}
	}):
	case each(len(q.Sites), func(i int) branch {
		return branch{from: "flow_# f INDEXED BY flow_site_#", where: "f.organization = ? AND f.site = ?", args: []any{organization, q.Sites[i]}}
	}):
	default:
		out = append(out, branch{from: "flow_# f INDEXED BY flow_started_#", where: "f.organization = ?", args: []any{organization}})
	}
	return out
}

// flowConditions are all filters but the organization.
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
	in(&c, "+f.site", q.Sites)
	in(&c, "+f.support_code", q.SupportCodes)
	in(&c, "f.ending", q.Endings)
	if len(q.Subjects) > 0 {
		const one = "(x.purpose = ? AND x.value = ? AND x.flow = f.flow)"
		args := make([]any, 0, 2*len(q.Subjects))
		for _, x := range q.Subjects {
			args = append(args, int64(x.Purpose), x.Value)
		}
		c.and("EXISTS (SELECT 1 FROM flow_index_# x WHERE "+one+strings.Repeat(" OR "+one, len(q.Subjects)-1)+")", args...)
	}
	return c
}
