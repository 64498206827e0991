package postgres

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5/stdlib"
)

// RedoPeople takes away what migration 4 brings and runs it once more.
func (a *Archive) RedoPeople(ctx context.Context) error {
	db := stdlib.OpenDBFromPool(a.pool)
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // when it was not committed
	shelves, err := gather(ctx, tx, `SELECT `+shelfColumns+` FROM shelf s`, func(r *sql.Rows) (shelf, error) { return scanShelf(r) })
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DROP TABLE subject`); err != nil {
		return err
	}
	for i := range shelves {
		if _, err := tx.ExecContext(ctx, `ALTER TABLE `+shelves[i].table("flow")+` DROP COLUMN terms; DELETE FROM `+shelves[i].table("flow_term")+
			` WHERE get_byte(term, 0) BETWEEN 5 AND 8`); err != nil {
			return err
		}
	}
	if err := toPeople(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}
