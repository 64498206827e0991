package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
)

// Flows returns up to q.Limit flow rows, newest start first. Like Events it walks one indexed filter value by value and
// checks the others.
func (a *Archive) Flows(ctx context.Context, q audit.FlowQuery) ([]audit.FlowRow, error) {
	if q.Limit <= 0 {
		return nil, nil
	}
	c := flowConditions(&q)
	var out []audit.FlowRow
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		for _, b := range flowPath(&q) {
			args := append(slices.Clone(b.args), c.args...)
			rows, err := tx.QueryContext(ctx, flowText(b, c), append(args, q.Limit)...)
			if err != nil {
				return err
			}
			found, err := collect(rows, func(r *sql.Rows) (audit.FlowRow, error) { return scanFlow(r.Scan) })
			if err != nil {
				return err
			}
			out = append(out, found...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(x, y audit.FlowRow) int {
		if c := y.Started.Compare(x.Started); c != 0 {
			return c
		}
		return strings.Compare(y.ID, x.ID)
	})
	out = slices.CompactFunc(out, func(x, y audit.FlowRow) bool { return x.ID == y.ID })
	return out[:min(len(out), q.Limit)], nil
}

// flowText is the query for a branch's rows.
func flowText(b branch, c clause) string {
	return `SELECT ` + flowColumns + ` FROM ` + b.from + ` WHERE ` + b.where + c.text + ` ORDER BY f.started DESC, f.id DESC LIMIT ?`
}

// flowPath lists the branches to walk: support codes, else subjects, else sites, else all of the organization.
func flowPath(q *audit.FlowQuery) []branch {
	const organization = " AND f.organization = o.organization"
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
		return branch{from: "organization_sequence o CROSS JOIN flow f INDEXED BY flow_code",
			where: "o.organization_uid = ?" + organization + " AND f.support_code = ?", args: []any{q.OrganizationUID, q.SupportCodes[i]}}
	}):
	case each(len(q.Subjects), func(i int) branch {
		return branch{from: "organization_sequence o CROSS JOIN flow_index x CROSS JOIN flow f USING (flow)",
			where: "o.organization_uid = ?" + organization + " AND x.purpose = ? AND x.value = ?", args: []any{q.OrganizationUID, int64(q.Subjects[i].Purpose), q.Subjects[i].Value}}
	}):
	case each(len(q.Sites), func(i int) branch {
		return branch{from: "organization_sequence o CROSS JOIN flow f INDEXED BY flow_site",
			where: "o.organization_uid = ?" + organization + " AND f.site = ?", args: []any{q.OrganizationUID, q.Sites[i]}}
	}):
	default:
		out = append(out, branch{from: "organization_sequence o CROSS JOIN flow f INDEXED BY flow_started", where: "o.organization_uid = ?" + organization, args: []any{q.OrganizationUID}})
	}
	return out
}

// flowConditions are all filters but the organization.
func flowConditions(q *audit.FlowQuery) clause {
	var c clause
	if !q.BeforeTime.IsZero() {
		c.and("(f.started, f.id) < (?, ?)", nanos(q.BeforeTime), q.BeforeID)
	}
	if !q.Start.IsZero() {
		c.and("f.started >= ?", nanos(q.Start))
	}
	if !q.End.IsZero() {
		c.and("f.started < ?", nanos(q.End))
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
		c.and("EXISTS (SELECT 1 FROM flow_index x WHERE "+one+strings.Repeat(" OR "+one, len(q.Subjects)-1)+")", args...)
	}
	return c
}
