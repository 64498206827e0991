package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"github.com/postern-audit/postern/audit"
)

// Pragma reads a setting of the writing connection.
func (a *Archive) Pragma(ctx context.Context, name string) (value string) {
	if err := a.write.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value); err != nil {
		return err.Error()
	}
	return value
}

// Plans returns how SQLite would answer the statements behind a query, one line per step.
func (a *Archive) Plans(ctx context.Context, q audit.Query) (plans []string, err error) {
	err = a.inRead(ctx, func(tx *sql.Tx) error {
		s, _, err := newSearch(ctx, tx, &q)
		if err != nil {
			return err
		}
		path, err := s.choose()
		if err != nil {
			return err
		}
		for _, b := range path {
			query, args := s.text(b)
			plan, err := explain(ctx, tx, query, args)
			if err != nil {
				return err
			}
			plans = append(plans, plan)
		}
		return nil
	})
	return plans, err
}

// FlowPlans is Plans for flows.
func (a *Archive) FlowPlans(ctx context.Context, q audit.FlowQuery) (plans []string, err error) {
	c := flowConditions(&q)
	for _, b := range flowPath(&q) {
		plan, err := explain(ctx, a.read, flowText(b, c), append(append(b.args, c.args...), q.Limit))
		if err != nil {
			return nil, err
		}
		plans = append(plans, plan)
	}
	return plans, nil
}

func explain(ctx context.Context, tx querier, query string, args []any) (string, error) {
	rows, err := tx.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return "", err
	}
	lines, err := collect(rows, func(r *sql.Rows) (line string, err error) {
		var id, parent, unused int
		return line, r.Scan(&id, &parent, &unused, &line)
	})
	return strings.Join(lines, "\n"), err
}
