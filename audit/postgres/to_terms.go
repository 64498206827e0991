package postgres

import (
	"context"
	"database/sql"

	"github.com/postern-audit/postern/audit/stored"
)

// moreColumns and moreIndexes are what migration 3 adds to event_N.
const (
	moreColumns = `ALTER TABLE event_N ADD COLUMN evidence smallint NOT NULL DEFAULT 0, ADD COLUMN method text COLLATE "C", ADD COLUMN factor text COLLATE "C",
		ADD COLUMN rule text COLLATE "C", ADD COLUMN target_type text COLLATE "C", ADD COLUMN target_id text COLLATE "C", ADD COLUMN caller text COLLATE "C",
		ADD COLUMN support_code text COLLATE "C"`
	moreIndexes = `CREATE INDEX event_N_reason ON event_N (reason, position) WHERE reason IS NOT NULL;
		CREATE INDEX event_N_code ON event_N (support_code, position) WHERE support_code IS NOT NULL`
)

// toTerms is migration 3. It gives events the columns that are filtered by and makes the tables of counts, and fills them from the
// events that are there, a stretch of the record at a time.
func toTerms(ctx context.Context, tx *sql.Tx) error {
	shelves, err := gather(ctx, tx, `SELECT `+shelfColumns+` FROM shelf s ORDER BY s.shelf`, func(r *sql.Rows) (shelf, error) { return scanShelf(r) })
	if err != nil {
		return err
	}
	for i := range shelves {
		for _, change := range []string{moreColumns, countTables} {
			if _, err := tx.ExecContext(ctx, numbered(change, shelves[i].number)); err != nil {
				return err
			}
		}
	}
	type standing struct {
		organization int32
		last         int64
	}
	all, err := gather(ctx, tx, `SELECT organization, last_sequence FROM organization ORDER BY organization`, func(r *sql.Rows) (o standing, err error) {
		return o, r.Scan(&o.organization, &o.last)
	})
	if err != nil {
		return err
	}
	for _, o := range all {
		for from := int64(0); from <= o.last; from += stretch { // whole blocks
			for i := range shelves {
				if err := fillTerms(ctx, tx, &shelves[i], o.organization, from, min(from+stretch-1, o.last), wholeBlocks(o.last)); err != nil {
					return err
				}
			}
		}
	}
	for i := range shelves {
		if _, err := tx.ExecContext(ctx, numbered(moreIndexes, shelves[i].number)); err != nil {
			return err
		}
	}
	return nil
}

// fillTerms fills the columns of a stretch of events on one shelf, and folds those in blocks below whole.
func fillTerms(ctx context.Context, tx *sql.Tx, s *shelf, organization int32, first, last, whole int64) error {
	var rows eventRows
	var f fold
	_, err := gather(ctx, tx, `SELECT e.moment, e.category, `+eventColumns+` FROM `+s.table("event")+` e WHERE e.position BETWEEN $1 AND $2`,
		func(r *sql.Rows) (none struct{}, err error) {
			x := folded{shelf: s}
			e, err := scanEvent(r, "", &x.moment, &x.category)
			if err != nil {
				return none, err
			}
			x.position, x.time, x.values = position(organization, e.Sequence), stored.Nanos(e.Time), valuesOf(&e)
			if e.Sandbox {
				x.flags = flagSandbox
			}
			if e.Sequence>>blockBits < whole {
				f.add(organization, &x)
			}
			rows.position = append(rows.position, x.position)
			rows.terse(&e)
			return none, nil
		}, position(organization, first), position(organization, last))
	if err != nil || len(rows.position) == 0 {
		return err
	}
	changes := []*text{rows.update(s)}
	if f.at[s] != nil {
		changes = append(changes, f.at[s].statements(s)...)
	}
	for _, t := range changes {
		if _, err := tx.ExecContext(ctx, t.String(), t.args...); err != nil {
			return err
		}
	}
	return nil
}

// update fills the columns of rows that are there.
func (r *eventRows) update(s *shelf) *text {
	var t text
	t.add(`UPDATE `, s.table("event"), ` e SET evidence = r.evidence, method = nullif(r.method, ''), factor = nullif(r.factor, ''),
			rule = nullif(r.rule, ''), target_type = nullif(r.target_type, ''), target_id = nullif(r.target_id, ''), caller = nullif(r.caller, ''),
			support_code = nullif(r.support_code, '')
		FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
			AS r (position, evidence, method, factor, rule, target_type, target_id, caller, support_code) WHERE e.position = r.position`)
	t.args = []any{r.position, r.evidence, r.method, r.factor, r.rule, r.targetType, r.targetID, r.caller, r.code}
	return &t
}
