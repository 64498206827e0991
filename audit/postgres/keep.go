package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// SetRetention stores an organization's retention. It waits for appends of that organization that have begun: what they store
// still goes by the old one. It does not come between a drop's look at the retention and its commit.
func (a *Archive) SetRetention(ctx context.Context, organizationUID string, r audit.Retention) error {
	if err := r.Validate(); err != nil {
		return err
	}
	return a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM organization WHERE uid = $1 FOR NO KEY UPDATE`, key(organizationUID)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO organization_retention (uid, sign_in, administration, activity, hold) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (uid) DO UPDATE SET sign_in = $2, administration = $3, activity = $4, hold = $5`,
			key(organizationUID), r.SignIn, r.Administration, r.Activity, r.Hold)
		return err
	})
}

// Retention returns it; audit.StandardRetention when nothing was stored.
func (a *Archive) Retention(ctx context.Context, organizationUID string) (audit.Retention, error) {
	r := audit.StandardRetention()
	err := scanRetention(a.pool.QueryRow(ctx, `SELECT sign_in, administration, activity, hold FROM organization_retention WHERE uid = $1`, key(organizationUID)), &r)
	return r, wrapIn(ctx, err)
}

// needed is the condition that a row of shelf_content c, on shelf s, is something that retention r still wants at the moment
// of the first argument.
const needed = `(c.events > 0 OR c.flows > 0) AND (r.hold OR
	s.ends > $1 - (CASE c.category WHEN 1 THEN r.administration WHEN 2 THEN r.activity ELSE r.sign_in END) * 86400000::bigint)`

// Expired returns the shelves that may go at now, the one that ended first in front.
func (a *Archive) Expired(ctx context.Context, now time.Time) ([]audit.Shelf, error) {
	rows, err := a.pool.Query(ctx, `SELECT `+shelfColumns+` FROM shelf s WHERE s.ends <= $1 AND NOT EXISTS (
		SELECT 1 FROM shelf_content c JOIN organization o USING (organization) JOIN organization_retention r USING (uid) WHERE c.shelf = s.shelf AND `+needed+`)
		ORDER BY s.ends, s.starts, s.keep`, now.UnixMilli())
	if err != nil {
		return nil, wrapIn(ctx, err)
	}
	found, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (audit.Shelf, error) {
		s, err := scanShelf(r)
		return s.Shelf, err
	})
	return found, wrapIn(ctx, err)
}

// Drop takes the shelf away with what it says of it. It never waits for the shelf's tables, since everybody else would wait
// behind it: it tries again for a while until nobody is at them.
func (a *Archive) Drop(ctx context.Context, s audit.Shelf, now time.Time) (gone []audit.Pruned, dropped bool, err error) {
	const tries, pause = 400, 25 * time.Millisecond
	for n := 1; ; n++ {
		err = a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
			gone, dropped, err = drop(ctx, tx, s, now)
			return err
		})
		if err == nil {
			return gone, dropped, nil
		}
		if n == tries || stateOf(err) != stateLock {
			return nil, false, err
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil, false, wrap(ctx.Err())
		case <-wait.C:
		}
	}
}

// drop is Drop within one transaction.
func drop(ctx context.Context, tx pgx.Tx, which audit.Shelf, now time.Time) (gone []audit.Pruned, dropped bool, err error) {
	s, err := scanShelf(tx.QueryRow(ctx, `SELECT `+shelfColumns+` FROM shelf s WHERE s.keep = $1 AND s.starts = $2 FOR UPDATE`, which.Keep, which.Start.UnixMilli()))
	if errors.Is(err, pgx.ErrNoRows) || err == nil && (!s.Shelf.End.Equal(which.End) || s.End.After(now)) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	// From here on nobody appends to the shelf, and no organization that has something on it changes its retention.
	if _, err := tx.Exec(ctx, `LOCK TABLE `+strings.Join(s.tables(), ", ")+` IN ACCESS EXCLUSIVE MODE NOWAIT`); err != nil {
		return nil, false, err
	}
	if _, err := tx.Exec(ctx, `SELECT FROM organization_retention r WHERE r.uid IN (SELECT o.uid FROM shelf_content c JOIN organization o USING (organization)
		WHERE c.shelf = $1) ORDER BY r.uid FOR SHARE`, s.number); err != nil {
		return nil, false, err
	}
	var kept bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM shelf s JOIN shelf_content c USING (shelf) JOIN organization o USING (organization)
		JOIN organization_retention r USING (uid) WHERE s.shelf = $2 AND `+needed+`)`, now.UnixMilli(), s.number).Scan(&kept); err != nil || kept {
		return nil, false, err
	}
	if gone, err = prune(ctx, tx, &s, now); err != nil {
		return nil, false, err
	}
	var b pgx.Batch
	b.Queue(`DELETE FROM shelf_content WHERE shelf = $1`, s.number)
	b.Queue(`DELETE FROM shelf WHERE shelf = $1`, s.number)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, false, err
	}
	_, err = tx.Exec(ctx, `DROP TABLE `+strings.Join(s.tables(), ", "))
	return gone, err == nil, err
}

// prune writes what goes with the shelf.
func prune(ctx context.Context, tx pgx.Tx, s *shelf, now time.Time) ([]audit.Pruned, error) {
	rows, err := tx.Query(ctx, `SELECT o.organization, o.exact, o.name, c.category, c.events, c.flows, c.first_sequence, c.last_sequence, c.first_time, c.last_time
		FROM shelf_content c JOIN organization o USING (organization) WHERE c.shelf = $1 AND (c.events > 0 OR c.flows > 0) ORDER BY o.uid, c.category`, s.number)
	if err != nil {
		return nil, err
	}
	var gone []audit.Pruned
	var numbers []int32
	var n int32
	var uid, name []byte
	var c contentRow
	_, err = pgx.ForEachRow(rows, append([]any{&n, &uid, &name}, c.columns()...), func() error {
		if len(numbers) == 0 || numbers[len(numbers)-1] != n {
			numbers = append(numbers, n)
			gone = append(gone, audit.Pruned{Shelf: s.Shelf, OrganizationUID: string(uid), Organization: string(name), Dropped: now.UTC()})
		}
		last := &gone[len(gone)-1]
		last.Parts = append(last.Parts, c.part())
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range gone {
		gone[i].EventID = audit.PrunedID(&gone[i])
		if err := insertPruned(ctx, tx, numbers[i], &gone[i]); err != nil {
			return nil, err
		}
	}
	return gone, nil
}

func insertPruned(ctx context.Context, tx pgx.Tx, organization int32, p *audit.Pruned) error {
	var id int64
	if err := tx.QueryRow(ctx, `INSERT INTO pruned (event_id, organization, name, keep, starts, ends, dropped) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING pruned`,
		p.EventID, organization, []byte(p.Organization), p.Shelf.Keep, p.Shelf.Start.UnixMilli(), p.Shelf.End.UnixMilli(), stored.Nanos(p.Dropped)).Scan(&id); err != nil {
		return err
	}
	var b pgx.Batch
	for _, x := range p.Parts {
		b.Queue(`INSERT INTO pruned_part VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, id, category(x.Category), x.Events, x.Flows,
			x.FirstSequence, x.LastSequence, stored.Nanos(x.FirstTime), stored.Nanos(x.LastTime))
	}
	return tx.SendBatch(ctx, &b).Close()
}

// contentRow reads a row of shelf_content or pruned_part.
type contentRow struct {
	category                                 int16
	events, flows, first, last, begin, finis int64
}

func (c *contentRow) columns() []any {
	return []any{&c.category, &c.events, &c.flows, &c.first, &c.last, &c.begin, &c.finis}
}

func (c *contentRow) part() audit.PrunedPart {
	return audit.PrunedPart{Category: categories()[c.category], Events: c.events, Flows: c.flows, FirstSequence: c.first, LastSequence: c.last,
		FirstTime: stored.Time(c.begin), LastTime: stored.Time(c.finis)}
}

// Untold returns what was dropped and not yet told, oldest drop first, at most limit.
func (a *Archive) Untold(ctx context.Context, limit int) ([]audit.Pruned, error) {
	return a.pruned(ctx, `SELECT pruned FROM pruned WHERE NOT told ORDER BY pruned LIMIT $1`, max(limit, 0))
}

// Pruned returns what was ever dropped of an organization, told or not, in order of dropping.
func (a *Archive) Pruned(ctx context.Context, organizationUID string) ([]audit.Pruned, error) {
	return a.pruned(ctx, `SELECT pruned FROM pruned JOIN organization USING (organization) WHERE uid = $1`, key(organizationUID))
}

func (a *Archive) pruned(ctx context.Context, which string, arg any) ([]audit.Pruned, error) {
	rows, err := a.pool.Query(ctx, `SELECT p.event_id, o.exact, p.name, p.keep, p.starts, p.ends, p.dropped,
			x.category, x.events, x.flows, x.first_sequence, x.last_sequence, x.first_time, x.last_time
		FROM pruned p JOIN organization o USING (organization) JOIN pruned_part x USING (pruned)
		WHERE p.pruned IN (`+which+`) ORDER BY p.pruned, x.category`, arg)
	if err != nil {
		return nil, wrapIn(ctx, err)
	}
	var out []audit.Pruned
	var p audit.Pruned
	var uid, name []byte
	var starts, ends, dropped int64
	var c contentRow
	_, err = pgx.ForEachRow(rows, append([]any{&p.EventID, &uid, &name, &p.Shelf.Keep, &starts, &ends, &dropped}, c.columns()...), func() error {
		if len(out) == 0 || out[len(out)-1].EventID != p.EventID {
			p.OrganizationUID, p.Organization, p.Dropped = string(uid), string(name), stored.Time(dropped)
			p.Shelf.Start, p.Shelf.End = fromMillis(starts), fromMillis(ends)
			out = append(out, p)
		}
		last := &out[len(out)-1]
		last.Parts = append(last.Parts, c.part())
		return nil
	})
	return out, wrapIn(ctx, err)
}

// Told notes that the events with these ids are on their way.
func (a *Archive) Told(ctx context.Context, eventIDs ...string) error {
	return a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE pruned SET told = true WHERE event_id = ANY ($1) AND NOT told`, keys(eventIDs))
		return err
	})
}

// Shelves returns every shelf there is, by start, end and days.
func (a *Archive) Shelves(ctx context.Context) ([]audit.ShelfState, error) {
	rows, err := a.pool.Query(ctx, `SELECT `+shelfColumns+`, coalesce(o.exact, ''), coalesce(c.category, 0), coalesce(c.events, 0), coalesce(c.flows, 0),
			coalesce(c.first_sequence, 0), coalesce(c.last_sequence, 0), coalesce(c.first_time, 0), coalesce(c.last_time, 0)
		FROM shelf s LEFT JOIN (shelf_content c JOIN organization o USING (organization)) USING (shelf) ORDER BY s.shelf, o.uid, c.category`)
	if err != nil {
		return nil, wrapIn(ctx, err)
	}
	defer rows.Close()
	var out []audit.ShelfState
	for rows.Next() {
		var uid []byte
		var c contentRow
		s, err := scanShelf(rows, append([]any{&uid}, c.columns()...)...)
		if err != nil {
			return nil, wrapIn(ctx, err)
		}
		if n := len(out); n == 0 || out[n-1].Shelf != s.Shelf {
			out = append(out, audit.ShelfState{Shelf: s.Shelf})
		}
		if c.events > 0 || c.flows > 0 {
			last := &out[len(out)-1]
			last.Content = append(last.Content, audit.Content{OrganizationUID: string(uid), PrunedPart: c.part()})
		}
	}
	slices.SortFunc(out, func(x, y audit.ShelfState) int {
		if c := x.Start.Compare(y.Start); c != 0 {
			return c
		}
		return byWindow(x.Shelf, y.Shelf)
	})
	return out, wrapIn(ctx, rows.Err())
}
