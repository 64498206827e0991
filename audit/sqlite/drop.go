package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// Drop takes a shelf out of the record in one short transaction. Its tables stay until Reclaim has emptied them; nobody reads
// them any more.
func (a *Archive) Drop(ctx context.Context, s audit.Shelf, now time.Time) (gone []audit.Pruned, dropped bool, err error) {
	err = a.inWrite(ctx, func(ctx context.Context, tx *connection) error {
		gone, dropped = nil, false
		p := placeOf(s)
		rows, err := tx.QueryContext(ctx, sqlExpired+` AND s.keep = ?3 AND s.start = ?4 AND s.until = ?5`,
			now.UnixMilli(), audit.DefaultRetention, p.keep, p.start, p.until)
		if err != nil {
			return err
		}
		numbers, err := collect(rows, func(r *sql.Rows) (n int64, err error) { return n, scanShelf(r, &n, &audit.Shelf{}) })
		if err != nil || len(numbers) == 0 {
			return err
		}
		if gone, err = goneWith(ctx, tx, numbers[0], s, now); err != nil {
			return err
		}
		if err := savePruned(ctx, tx, gone); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM shelf_content WHERE shelf = ?`, numbers[0]); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE shelf SET dropped = ? WHERE shelf = ?`, stored.Nanos(now), numbers[0]); err != nil {
			return err
		}
		dropped = true
		_, err = changedCatalogue(ctx, tx)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return gone, dropped, nil
}

// goneWith says what lies on a shelf, organization by organization.
func goneWith(ctx context.Context, tx querier, number int64, s audit.Shelf, now time.Time) ([]audit.Pruned, error) {
	rows, err := tx.QueryContext(ctx, `SELECT o.organization_uid, o.name, `+contentColumns+` FROM shelf_content c JOIN organization_sequence o USING (organization)
		WHERE c.shelf = ? ORDER BY c.organization, c.category`, number)
	if err != nil {
		return nil, err
	}
	type line struct {
		uid, name string
		part      audit.PrunedPart
	}
	lines, err := collect(rows, func(r *sql.Rows) (l line, err error) {
		key, c, err := scanContent(r.Scan, &l.uid, &l.name)
		l.part = partOf(key.category, &c)
		return l, err
	})
	if err != nil {
		return nil, err
	}
	var out []audit.Pruned
	for i := range lines {
		if len(out) == 0 || out[len(out)-1].OrganizationUID != lines[i].uid {
			out = append(out, audit.Pruned{Shelf: s, OrganizationUID: lines[i].uid, Organization: lines[i].name, Dropped: stored.Time(stored.Nanos(now))})
		}
		last := &out[len(out)-1]
		last.Parts = append(last.Parts, lines[i].part)
	}
	for i := range out {
		out[i].EventID = audit.PrunedID(&out[i])
	}
	return out, nil
}

func partOf(category int64, c *content) audit.PrunedPart {
	p := audit.PrunedPart{Category: categoryOf(category), Events: c.events, Flows: c.flows}
	if c.events > 0 {
		p.FirstSequence, p.LastSequence = c.sequence.low, c.sequence.high
		p.FirstTime, p.LastTime = stored.Time(c.time.low), stored.Time(c.time.high)
	}
	return p
}

func savePruned(ctx context.Context, tx *connection, gone []audit.Pruned) error {
	stmt, err := tx.PrepareContext(ctx, `INSERT INTO pruned (event_id, told, organization_uid, organization, keep, start, until, dropped, category,
		events, flows, first_sequence, last_sequence, first_time, last_time) VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer stmt.Close() //nolint:errcheck // it has done its work or the transaction fails
	for i := range gone {
		g, at := &gone[i], placeOf(gone[i].Shelf)
		for k := range g.Parts {
			p := &g.Parts[k]
			if _, err := stmt.ExecContext(ctx, g.EventID, g.OrganizationUID, g.Organization, at.keep, at.start, at.until, stored.Nanos(g.Dropped),
				categoryNumber(p.Category), p.Events, p.Flows, p.FirstSequence, p.LastSequence, stored.Nanos(p.FirstTime), stored.Nanos(p.LastTime)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Untold returns what was dropped and not yet told.
func (a *Archive) Untold(ctx context.Context, limit int) ([]audit.Pruned, error) {
	// The rows of one event lie together; the limit counts events.
	return a.pruned(ctx, selectPruned+`WHERE told = 0 AND event_id IN (SELECT event_id FROM pruned WHERE told = 0 GROUP BY event_id ORDER BY min(number) LIMIT ?) ORDER BY number`, max(limit, 0))
}

// Pruned returns what was ever dropped of an organization.
func (a *Archive) Pruned(ctx context.Context, organizationUID string) ([]audit.Pruned, error) {
	return a.pruned(ctx, selectPruned+`WHERE organization_uid = ? ORDER BY number`, organizationUID)
}

const selectPruned = `SELECT event_id, organization_uid, organization, keep, start, until, dropped, category,
	events, flows, first_sequence, last_sequence, first_time, last_time FROM pruned `

// pruned reads rows of selectPruned, in order of their numbers, into one Pruned for each event.
func (a *Archive) pruned(ctx context.Context, query string, args ...any) ([]audit.Pruned, error) {
	rows, err := a.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, wrap(err)
	}
	found, err := collect(rows, func(r *sql.Rows) (p audit.Pruned, err error) {
		var start, until, dropped, category, first, last int64
		var part audit.PrunedPart
		err = r.Scan(&p.EventID, &p.OrganizationUID, &p.Organization, &p.Shelf.Keep, &start, &until, &dropped, &category,
			&part.Events, &part.Flows, &part.FirstSequence, &part.LastSequence, &first, &last)
		p.Shelf.Start, p.Shelf.End, p.Dropped = time.UnixMilli(start).UTC(), time.UnixMilli(until).UTC(), stored.Time(dropped)
		part.Category, part.FirstTime, part.LastTime = categoryOf(category), stored.Time(first), stored.Time(last)
		p.Parts = []audit.PrunedPart{part}
		return p, err
	})
	if err != nil {
		return nil, wrap(err)
	}
	var out []audit.Pruned
	for i := range found {
		if n := len(out); n > 0 && out[n-1].EventID == found[i].EventID {
			out[n-1].Parts = append(out[n-1].Parts, found[i].Parts...)
			continue
		}
		out = append(out, found[i])
	}
	return out, nil
}

// Told notes that these events are on their way.
func (a *Archive) Told(ctx context.Context, eventIDs ...string) error {
	if len(eventIDs) == 0 {
		return nil
	}
	return a.inWrite(ctx, func(ctx context.Context, tx *connection) error {
		for _, id := range eventIDs {
			if _, err := tx.ExecContext(ctx, `UPDATE pruned SET told = 1 WHERE event_id = ?`, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Shelves returns every shelf that is part of the record.
func (a *Archive) Shelves(ctx context.Context) ([]audit.ShelfState, error) {
	var out []audit.ShelfState
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		have, err := a.catalogue(ctx, tx)
		if err != nil {
			return err
		}
		at := map[int64]int{}
		for i, s := range have.shelves {
			at[s.number] = i
			out = append(out, audit.ShelfState{Shelf: s.Shelf})
		}
		rows, err := tx.QueryContext(ctx, `SELECT o.organization_uid, `+contentColumns+` FROM shelf_content c JOIN organization_sequence o USING (organization)
			ORDER BY o.organization_uid, c.category`)
		if err != nil {
			return err
		}
		_, err = collect(rows, func(r *sql.Rows) (struct{}, error) {
			var uid string
			key, c, err := scanContent(r.Scan, &uid)
			if i, ok := at[key.shelf]; ok && err == nil {
				out[i].Content = append(out[i].Content, audit.Content{OrganizationUID: uid, PrunedPart: partOf(key.category, &c)})
			}
			return struct{}{}, err
		})
		return err
	})
	return out, err
}
