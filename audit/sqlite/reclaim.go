package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// pieceRows is how many rows one call of Reclaim deletes at most: what the writing connection is held for.
const pieceRows = 2000

// Deletions of a piece, table by table, in the order of their keys so that whole pages become free. A piece that finds fewer
// rows than it may take deletes nothing: the table is then dropped with the rest.
var pieces = []struct{ table, text string }{
	{"event_index_#", `DELETE FROM event_index_# WHERE (purpose, value, position) <= (SELECT purpose, value, position FROM event_index_#
		ORDER BY purpose, value, position LIMIT 1 OFFSET ?)`},
	{"event_#", `DELETE FROM event_# WHERE position <= (SELECT position FROM event_# ORDER BY position LIMIT 1 OFFSET ?)`},
	{"event_span_#", `DELETE FROM event_span_# WHERE (organization, block) <= (SELECT organization, block FROM event_span_#
		ORDER BY organization, block LIMIT 1 OFFSET ?)`},
	{"term_#", `DELETE FROM term_# WHERE (organization, field, value, block) <= (SELECT organization, field, value, block FROM term_#
		ORDER BY organization, field, value, block LIMIT 1 OFFSET ?)`},
	{"term_count_#", `DELETE FROM term_count_# WHERE (organization, site, field, value, week, category, sandbox) <= (SELECT organization, site, field, value,
		week, category, sandbox FROM term_count_# ORDER BY organization, site, field, value, week, category, sandbox LIMIT 1 OFFSET ?)`},
	{"flow_index_#", `DELETE FROM flow_index_# WHERE (purpose, value, flow) <= (SELECT purpose, value, flow FROM flow_index_#
		ORDER BY purpose, value, flow LIMIT 1 OFFSET ?)`},
	{"flow_#", `DELETE FROM flow_# WHERE flow <= (SELECT flow FROM flow_# ORDER BY flow LIMIT 1 OFFSET ?)`},
}

// Reclaim frees a piece of what was dropped. Dropping a large table at once would hold up the writer for about a second for each
// million events; its rows are of no record any more, so they may go in pieces.
func (a *Archive) Reclaim(ctx context.Context) (more bool, err error) {
	var waits bool
	if err := a.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM shelf WHERE dropped IS NOT NULL)`).Scan(&waits); err != nil || !waits {
		return false, wrap(err)
	}
	err = a.inWrite(ctx, func(ctx context.Context, tx *connection) error {
		more = true
		var number int64
		err := tx.QueryRowContext(ctx, `SELECT shelf FROM shelf WHERE dropped IS NOT NULL ORDER BY dropped, shelf LIMIT 1`).Scan(&number)
		if errors.Is(err, sql.ErrNoRows) {
			more = false
			return nil
		}
		if err != nil {
			return err
		}
		if err := tx.stmts.forget(number); err != nil {
			return err
		}
		return freePiece(ctx, tx, number)
	})
	return more && err == nil, err
}

// freePiece goes through the tables of the shelf that are still there. It deletes a piece of the first large one and stops;
// tables with less than a piece in them are dropped on the way, and with the last of them the shelf is forgotten.
func freePiece(ctx context.Context, tx *connection, number int64) error {
	for _, p := range pieces {
		table := shelfName(number, p.table)
		var there bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?)`, table).Scan(&there); err != nil {
			return err
		}
		if !there {
			continue
		}
		done, err := tx.ExecContext(ctx, shelfName(number, p.text), pieceRows-1)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n > 0 {
			return err
		}
		if _, err = tx.ExecContext(ctx, `DROP TABLE `+table); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM shelf WHERE shelf = ?`, number)
	return err
}
