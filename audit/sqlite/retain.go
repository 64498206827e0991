package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/postern-audit/postern/audit"
)

// retentionRow is a row of table retention, or its absence.
type retentionRow struct{ signIn, administration, activity, hold sql.NullInt64 }

func (r retentionRow) retention() audit.Retention {
	if !r.signIn.Valid {
		return audit.StandardRetention()
	}
	return audit.Retention{SignIn: int(r.signIn.Int64), Administration: int(r.administration.Int64), Activity: int(r.activity.Int64), Hold: r.hold.Int64 != 0}
}

// SetRetention stores an organization's retention.
func (a *Archive) SetRetention(ctx context.Context, organizationUID string, r audit.Retention) error {
	if err := r.Validate(); err != nil {
		return err
	}
	return a.inWrite(ctx, func(ctx context.Context, tx *connection) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO retention (organization_uid, sign_in, administration, activity, hold) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET sign_in = excluded.sign_in, administration = excluded.administration,
			activity = excluded.activity, hold = excluded.hold`, organizationUID, r.SignIn, r.Administration, r.Activity, r.Hold)
		return err
	})
}

// Retention returns an organization's retention.
func (a *Archive) Retention(ctx context.Context, organizationUID string) (audit.Retention, error) {
	r, err := retentionOf(ctx, a.read, organizationUID)
	return r, wrap(err)
}

func retentionOf(ctx context.Context, q querier, organizationUID string) (audit.Retention, error) {
	var r retentionRow
	err := q.QueryRowContext(ctx, `SELECT sign_in, administration, activity, hold FROM retention WHERE organization_uid = ?`, organizationUID).
		Scan(&r.signIn, &r.administration, &r.activity, &r.hold)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return r.retention(), err
}

// Ahead makes the shelves of now and of the window after it.
func (a *Archive) Ahead(ctx context.Context, now time.Time) error {
	missing, err := a.missing(ctx, a.read, now)
	if err != nil || len(missing) == 0 {
		return wrap(err)
	}
	return a.inWrite(ctx, func(ctx context.Context, tx *connection) error {
		missing, err := a.missing(ctx, tx, now) // another process may have made them
		if err != nil {
			return err
		}
		for _, s := range missing {
			if _, err := addShelf(ctx, tx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// missing lists what Ahead has to make.
func (a *Archive) missing(ctx context.Context, q querier, now time.Time) ([]audit.Shelf, error) {
	rows, err := q.QueryContext(ctx, `SELECT sign_in FROM retention UNION SELECT administration FROM retention UNION SELECT activity FROM retention UNION SELECT ?`,
		audit.DefaultRetention)
	if err != nil {
		return nil, err
	}
	keeps, err := collect(rows, func(r *sql.Rows) (keep int, err error) { return keep, r.Scan(&keep) })
	if err != nil {
		return nil, err
	}
	have, err := a.catalogue(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []audit.Shelf
	for _, keep := range keeps {
		for _, moment := range []time.Time{now, now.Add(audit.Window(keep))} {
			if s := audit.ShelfOf(keep, moment); have.place[placeOf(s)] == nil {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// sqlExpired finds shelves that may go at ?1, in milliseconds: over, and no row of their content is on hold or within its days.
const sqlExpired = `SELECT s.shelf, s.keep, s.start, s.until FROM shelf s WHERE s.dropped IS NULL AND s.until <= ?1 AND NOT EXISTS (
	SELECT 1 FROM shelf_content c JOIN organization_sequence o USING (organization) LEFT JOIN retention r USING (organization_uid)
	WHERE c.shelf = s.shelf AND (coalesce(r.hold, 0) OR s.until > ?1 - 86400000 * coalesce(
		CASE c.category WHEN 1 THEN r.sign_in WHEN 2 THEN r.administration ELSE r.activity END, ?2)))`

// Expired returns the shelves that may go.
func (a *Archive) Expired(ctx context.Context, now time.Time) ([]audit.Shelf, error) {
	rows, err := a.read.QueryContext(ctx, sqlExpired+` ORDER BY s.until, s.keep, s.start`, now.UnixMilli(), audit.DefaultRetention)
	if err != nil {
		return nil, wrap(err)
	}
	found, err := collect(rows, func(r *sql.Rows) (s audit.Shelf, err error) {
		var number int64
		return s, scanShelf(r, &number, &s)
	})
	return found, wrap(err)
}

// scanShelf reads the columns of sqlExpired.
func scanShelf(r *sql.Rows, number *int64, s *audit.Shelf) error {
	var start, until int64
	err := r.Scan(number, &s.Keep, &start, &until)
	s.Start, s.End = time.UnixMilli(start).UTC(), time.UnixMilli(until).UTC()
	return err
}
