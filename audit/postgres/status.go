package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
)

// Status is what people look at.
type Status struct {
	Server  string                // the server's own version
	Size    int64                 // bytes of everything
	Shelves map[audit.Shelf]int64 // bytes of each shelf, with its indexes
}

// Status asks how large the archive is.
func (a *Archive) Status(ctx context.Context) (Status, error) {
	s := Status{Shelves: map[audit.Shelf]int64{}}
	if err := a.pool.QueryRow(ctx, `SELECT current_setting('server_version')`).Scan(&s.Server); err != nil {
		return s, wrapIn(ctx, err)
	}
	if err := a.pool.QueryRow(ctx, `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'`).Scan(&s.Size); err != nil {
		return s, wrapIn(ctx, err)
	}
	// A shelf dropped meanwhile has no size.
	rows, err := a.pool.Query(ctx, `SELECT `+shelfColumns+`, coalesce(sum(pg_total_relation_size(to_regclass(name || '_' || s.shelf))), 0)::bigint
		FROM shelf s CROSS JOIN unnest($1::text[]) AS name GROUP BY s.shelf`, tableNames())
	if err != nil {
		return s, wrapIn(ctx, err)
	}
	_, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (struct{}, error) {
		var size int64
		on, err := scanShelf(r, &size)
		s.Shelves[on.Shelf] = size
		return struct{}{}, err
	})
	return s, wrapIn(ctx, err)
}
