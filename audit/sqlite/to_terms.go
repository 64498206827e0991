package sqlite

import (
	"context"
	"database/sql"

	"github.com/postern-audit/postern/audit/codec"
)

// toTerms is migration 4. Events of the shelves there are get the columns filters look at, from their bodies, and the shelves their
// terms. Dropped shelves are left alone: nobody reads them.
func toTerms(ctx context.Context, tx *sql.Tx) error {
	have, err := readCatalogue(ctx, tx, 0)
	if err != nil {
		return err
	}
	for _, s := range have.shelves {
		m := termMigration{ctx: ctx, tx: tx, shelf: s.number}
		for _, step := range []func() error{m.columns, m.terms} {
			if err := step(); err != nil {
				return err
			}
		}
	}
	return nil
}

// termMigration works on one shelf.
type termMigration struct {
	ctx   context.Context //nolint:containedctx // lives as long as the migration
	tx    *sql.Tx
	shelf int64
}

func (m *termMigration) exec(shelf int64, text string, args ...any) error {
	_, err := m.tx.ExecContext(m.ctx, shelfName(shelf, text), args...)
	return err
}

func (m *termMigration) scan(shelf int64, text string, args []any, dest ...any) error {
	return m.tx.QueryRowContext(m.ctx, shelfName(shelf, text), args...).Scan(dest...)
}

// columns adds them and fills them, some events at a time.
func (m *termMigration) columns() error {
	const columns = `ALTER TABLE event_# ADD COLUMN method TEXT; ALTER TABLE event_# ADD COLUMN factor TEXT;
		ALTER TABLE event_# ADD COLUMN evidence INTEGER NOT NULL DEFAULT 0; ALTER TABLE event_# ADD COLUMN rule TEXT;
		ALTER TABLE event_# ADD COLUMN target_type TEXT; ALTER TABLE event_# ADD COLUMN target_id TEXT;
		ALTER TABLE event_# ADD COLUMN caller TEXT; ALTER TABLE event_# ADD COLUMN support_code TEXT;`
	if err := m.exec(m.shelf, columns+termsText); err != nil {
		return err
	}
	type row struct {
		position int64
		body     []byte
	}
	for after := int64(-1); ; {
		rows, err := m.tx.QueryContext(m.ctx, shelfName(m.shelf, `SELECT position, body FROM event_# WHERE position > ? AND flags & 2 = 0 ORDER BY position LIMIT 500`), after)
		if err != nil {
			return err
		}
		some, err := collect(rows, func(r *sql.Rows) (x row, err error) { return x, r.Scan(&x.position, &x.body) })
		if err != nil || len(some) == 0 {
			return err
		}
		for i := range some {
			e, err := codec.New(nil).Decode(some[i].body)
			if err != nil {
				continue // a damaged row keeps what its columns say
			}
			t := termsOf(&e)
			if err := m.exec(m.shelf, `UPDATE event_# SET method = ?, factor = ?, evidence = ?, rule = ?, target_type = ?, target_id = ?, caller = ?, support_code = ? WHERE position = ?`,
				text(e.Method), text(e.Factor), int64(e.Evidence), text(t.rule), text(t.targetType), text(t.targetID), text(e.Caller), text(e.SupportCode), some[i].position); err != nil {
				return err
			}
		}
		after = some[len(some)-1].position
	}
}

// terms writes those of the blocks that organizations have completed, some blocks at a time.
func (m *termMigration) terms() error {
	rows, err := m.tx.QueryContext(m.ctx, `SELECT o.organization, o.last_sequence, min(c.first_sequence), max(c.last_sequence) FROM shelf_content c
		JOIN organization_sequence o USING (organization) WHERE c.shelf = ? AND c.events > 0 GROUP BY o.organization`, m.shelf)
	if err != nil {
		return err
	}
	type standing struct{ number, last, low, high int64 }
	all, err := collect(rows, func(r *sql.Rows) (s standing, err error) { return s, r.Scan(&s.number, &s.last, &s.low, &s.high) })
	if err != nil {
		return err
	}
	for _, o := range all {
		const step = 64 << blockBits
		high := min(o.high, covered(o.last))
		for low := o.low; low <= high; low = (low + step) >> blockBits << blockBits {
			t, err := readTerms(m.ctx, m.tx, m.shelf, o.number, low, min(high, (low+step)>>blockBits<<blockBits-1))
			if err != nil {
				return err
			}
			if err := t.save(termTables{m.exec, m.scan}, m.shelf, o.number); err != nil {
				return err
			}
		}
	}
	return nil
}
