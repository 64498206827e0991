package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postern-audit/postern/audit"
)

// OpenTraced is Open with somebody who is told of every statement.
func OpenTraced(ctx context.Context, o Options, tracer pgx.QueryTracer) (*Archive, error) {
	c, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	c.ConnConfig.Tracer = tracer
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	a := &Archive{pool: pool, now: o.Now}
	return a, migrate(ctx, pool)
}

// Exec runs a statement behind the archive's back.
func (a *Archive) Exec(ctx context.Context, statement string) error {
	_, err := a.pool.Exec(ctx, statement)
	return err
}

// FacetsWithin and GroupsWithin are Facets and Groups with a budget of one's own.
func (a *Archive) FacetsWithin(ctx context.Context, q audit.Query, budget int) (audit.Facets, error) {
	return a.facets(ctx, q, []audit.Field{audit.FieldType}, 100, budget)
}

func (a *Archive) GroupsWithin(ctx context.Context, q audit.Query, budget int) (audit.Groups, error) {
	return a.fold(ctx, q, audit.GroupByFlow, budget)
}

// Plans returns how PostgreSQL would answer the statements behind a query on each shelf.
func (a *Archive) Plans(ctx context.Context, q audit.Query) (plans []string, err error) {
	err = a.inRead(ctx, func(tx pgx.Tx) error {
		v, err := see(ctx, tx, q.OrganizationUID, a.now())
		if err != nil {
			return err
		}
		s := newSearch(ctx, tx, v, &q)
		waiting := s.reaches
		s.reaches = nil
		ready, err := s.prepare(waiting)
		if err != nil {
			return err
		}
		ready = append(ready, s.reaches...)
		for i := range ready {
			for _, x := range ready[i].path {
				plan, err := explain(ctx, tx, s.text(&ready[i], x))
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

// FlowPlans is Plans for flows.
func (a *Archive) FlowPlans(ctx context.Context, q audit.FlowQuery) (plans []string, err error) {
	err = a.inRead(ctx, func(tx pgx.Tx) error {
		v, err := see(ctx, tx, q.OrganizationUID, a.now())
		if err != nil {
			return err
		}
		for _, s := range v.flowShelves(&q) {
			statements, err := v.flowStatements(ctx, tx, s, &q)
			if err != nil {
				return err
			}
			for _, t := range statements {
				plan, err := explain(ctx, tx, t)
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

// Explain returns the plan of any statement.
func (a *Archive) Explain(ctx context.Context, statement string, args ...any) (plan string, err error) {
	err = a.inRead(ctx, func(tx pgx.Tx) error {
		var t text
		t.add(statement)
		t.args = args
		plan, err = explain(ctx, tx, &t)
		return err
	})
	return plan, err
}

func explain(ctx context.Context, tx pgx.Tx, t *text) (string, error) {
	rows, err := tx.Query(ctx, "EXPLAIN "+t.String(), t.args...)
	if err != nil {
		return "", err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(lines, "\n"), err
}
