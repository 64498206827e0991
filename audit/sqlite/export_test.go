package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
)

// Pragma reads a setting of the writing connection.
func (a *Archive) Pragma(ctx context.Context, name string) (value string) {
	err := a.inWrite(ctx, func(ctx context.Context, tx *connection) error {
		return tx.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value)
	})
	if err != nil {
		return err.Error()
	}
	return value
}

// KeptShelves returns for how many shelves statements are prepared.
func (a *Archive) KeptShelves() int { return len(a.conn.stmts.shelves) }

// Tables lists the file's tables.
func (a *Archive) Tables(ctx context.Context) []string {
	rows, err := a.read.QueryContext(ctx, `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`)
	if err != nil {
		return []string{err.Error()}
	}
	names, err := collect(rows, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) })
	if err != nil {
		return []string{err.Error()}
	}
	return names
}

// Plans returns how SQLite would answer the statements behind a query, shelf by shelf, one line per step.
func (a *Archive) Plans(ctx context.Context, q audit.Query) (plans []string, err error) {
	err = a.inRead(ctx, func(tx *sql.Tx) error {
		s, err := a.newSearch(ctx, tx, &q)
		if err != nil || s == nil {
			return err
		}
		for _, p := range s.inOrder() {
			w, err := s.walkOn(p)
			if err != nil {
				return err
			}
			if w == nil {
				continue
			}
			path, err := w.choose()
			if err != nil {
				return err
			}
			err = w.each(func(run reach) (bool, error) {
				for _, b := range path {
					query, args := w.statement(b, run)
					plan, err := explain(ctx, tx, query, args)
					if err != nil {
						return false, err
					}
					plans = append(plans, plan)
				}
				return true, nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return plans, err
}

// FlowPlans is Plans for flows.
func (a *Archive) FlowPlans(ctx context.Context, q audit.FlowQuery) (plans []string, err error) {
	err = a.inRead(ctx, func(tx *sql.Tx) error {
		v, err := a.view(ctx, tx, q.OrganizationUID)
		if err != nil {
			return err
		}
		if err := v.load(ctx, tx); err != nil {
			return err
		}
		for _, p := range v.flowParts() {
			c := flowConditions(&q)
			v.onlyShownFlows(&c, p.shelf)
			path, err := flowPath(ctx, tx, &q, p.shelf, v.number)
			if err != nil {
				return err
			}
			for _, b := range path {
				plan, err := explain(ctx, tx, p.text(flowText(b, c)), slices.Concat(b.args, c.args, []any{q.Limit}))
				if err != nil {
					return err
				}
				plans = append(plans, plan)
			}
		}
		return nil
	})
	return plans, err
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

// Reaches returns the ranges of sequence numbers in which a query looks for events, both ends inclusive.
func (a *Archive) Reaches(ctx context.Context, q audit.Query) (out [][2]int64, err error) {
	err = a.inRead(ctx, func(tx *sql.Tx) error {
		s, err := a.newSearch(ctx, tx, &q)
		if err != nil || s == nil {
			return err
		}
		for _, p := range s.inOrder() {
			w, err := s.walkOn(p)
			if err != nil {
				return err
			}
			if w == nil {
				continue
			}
			if err := w.each(func(run reach) (bool, error) {
				out = append(out, [2]int64{sequenceOf(run.from) + 1, sequenceOf(run.to)})
				return true, nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// ScanWith counts what a query chooses event by event, with a budget.
func (a *Archive) ScanWith(ctx context.Context, q audit.Query, budget int64) (counted audit.Counted, found int64, err error) {
	err = a.inRead(ctx, func(tx *sql.Tx) error {
		s, err := a.newCount(ctx, tx, &q)
		if err != nil || s == nil {
			return err
		}
		counted, err = s.scan("e.position", &budget, func(*sql.Rows) error { found++; return nil })
		return err
	})
	return counted, found, err
}
