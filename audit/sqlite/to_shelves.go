package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/stored"
)

//go:embed shelves.sql
var shelvesText string

// toShelves is migration 3. What an older binary stored becomes shelf 0, where it lies: no row moves, so the step needs no
// second copy of the record. It reads the record once, to learn what is on that shelf.
func toShelves(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, shelvesText); err != nil {
		return err
	}
	var used bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM event) OR EXISTS (SELECT 1 FROM flow)`).Scan(&used); err != nil {
		return err
	}
	if !used {
		_, err := tx.ExecContext(ctx, `DROP TABLE event_index; DROP TABLE event_span; DROP TABLE event; DROP TABLE flow_index; DROP TABLE flow`)
		return err
	}
	if _, err := tx.ExecContext(ctx, `ALTER TABLE flow ADD COLUMN places TEXT NOT NULL DEFAULT ''; ALTER TABLE flow ADD COLUMN stray INTEGER;
		INSERT INTO type_seen SELECT DISTINCT type FROM event`); err != nil {
		return err
	}
	a := adoption{ctx: ctx, tx: tx, contents: contents{}}
	for _, step := range []func() error{a.events, a.flows, a.names, a.finish} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// adoption learns what shelf 0 holds.
type adoption struct {
	ctx      context.Context //nolint:containedctx // lives as long as the migration
	tx       *sql.Tx
	contents contents
	low      time.Time
	high     time.Time
	strays   bool
}

// moment widens the window.
func (a *adoption) moment(m time.Time, own bool) {
	if a.low.IsZero() || m.Before(a.low) {
		a.low = m
	}
	if m.After(a.high) {
		a.high = m
	}
	a.strays = a.strays || !own
}

func (a *adoption) events() error {
	rows, err := a.tx.QueryContext(a.ctx, `SELECT position, id, time, recorded_time, type FROM event ORDER BY position`)
	if err != nil {
		return err
	}
	strays, err := collectSome(rows, func(r *sql.Rows) (pos int64, keep bool, err error) {
		var id, kind string
		var at, recorded int64
		if err := r.Scan(&pos, &id, &at, &recorded, &kind); err != nil {
			return 0, false, err
		}
		m, own := audit.Moment(id, stored.Time(recorded))
		a.moment(m, own)
		a.contents.event(contentKey{pos >> sequenceBits, 0, categoryNumber(audit.CategoryOf(audit.Type(kind)))}, sequenceOf(pos), at)
		return pos, !own, nil
	})
	if err != nil {
		return err
	}
	return a.each(`UPDATE event SET flags = flags | 4 WHERE position = ?1`, len(strays), func(i int) []any { return []any{strays[i]} })
}

func (a *adoption) flows() error {
	type stray struct{ flow, moment int64 }
	rows, err := a.tx.QueryContext(a.ctx, `SELECT flow, id, organization, started FROM flow`)
	if err != nil {
		return err
	}
	strays, err := collectSome(rows, func(r *sql.Rows) (s stray, keep bool, err error) {
		var id string
		var organization, started int64
		if err := r.Scan(&s.flow, &id, &organization, &started); err != nil {
			return s, false, err
		}
		m, own := audit.Moment(id, stored.Time(started)) // when its first event was recorded is as good as gone
		a.moment(m, own)
		a.contents.flow(contentKey{organization, 0, categoryNumber(audit.CategorySignIn)}, 1, started)
		s.moment = m.UnixMilli()
		return s, !own, nil
	})
	if err != nil {
		return err
	}
	return a.each(`UPDATE flow SET stray = ?2 WHERE flow = ?1`, len(strays), func(i int) []any { return []any{strays[i].flow, strays[i].moment} })
}

// names learns the organizations' ids from their newest events.
func (a *adoption) names() error {
	rows, err := a.tx.QueryContext(a.ctx, `SELECT organization, organization_uid FROM organization_sequence`)
	if err != nil {
		return err
	}
	type named struct {
		number    int64
		uid, name string
	}
	all, err := collect(rows, func(r *sql.Rows) (n named, err error) { return n, r.Scan(&n.number, &n.uid) })
	if err != nil {
		return err
	}
	for i := range all {
		var flags int64
		var body []byte
		err := a.tx.QueryRowContext(a.ctx, `SELECT flags, body FROM event WHERE position BETWEEN ? AND ? ORDER BY flags & 2, position DESC LIMIT 1`,
			position(all[i].number, 0), position(all[i].number+1, 0)-1).Scan(&flags, &body)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if e, bad := codec.New(nil).Decode(body); bad == nil && flags&flagUnreadable == 0 {
			all[i].name = e.Organization
		}
		if all[i].uid == audit.SystemUID {
			all[i].name = audit.SystemID
		}
	}
	return a.each(`UPDATE organization_sequence SET name = ?2 WHERE organization = ?1`, len(all), func(i int) []any { return []any{all[i].number, all[i].name} })
}

func (a *adoption) finish() error {
	first, last := audit.ShelfOf(audit.DefaultRetention, a.low), audit.ShelfOf(audit.DefaultRetention, a.high)
	if _, err := a.tx.ExecContext(a.ctx, `INSERT INTO shelf (shelf, keep, start, until, strays) VALUES (0, ?, ?, ?, ?)`,
		audit.DefaultRetention, first.Start.UnixMilli(), last.End.UnixMilli(), a.strays); err != nil {
		return err
	}
	all := a.contents.rows()
	return a.each(saveContent, len(all), func(i int) []any { return all[i] })
}

// each runs one statement n times.
func (a *adoption) each(text string, n int, args func(i int) []any) error {
	stmt, err := a.tx.PrepareContext(a.ctx, text)
	if err != nil {
		return err
	}
	defer stmt.Close() //nolint:errcheck // goes with the transaction
	for i := range n {
		if _, err := stmt.ExecContext(a.ctx, args(i)...); err != nil {
			return err
		}
	}
	return nil
}

// collectSome is collect for the rows worth keeping.
func collectSome[T any](rows *sql.Rows, scan func(*sql.Rows) (T, bool, error)) ([]T, error) {
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, keep, err := scan(rows)
		if err != nil {
			return nil, err
		}
		if keep {
			out = append(out, v)
		}
	}
	return out, rows.Err()
}
