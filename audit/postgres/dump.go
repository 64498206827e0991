package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var _ audit.Dumper = (*Archive)(nil)

// Standings returns where organizations' records stand, after the given uid, in uid order, at most limit.
func (a *Archive) Standings(ctx context.Context, after string, limit int) ([]audit.Standing, error) {
	rows, err := a.pool.Query(ctx, `SELECT exact, name, last_sequence, last_recorded, highest_revision,
		(SELECT coalesce(max(h.sequence), 0) FROM history_commit h WHERE h.organization = o.organization) FROM organization o WHERE uid > $1 ORDER BY uid LIMIT $2`,
		key(after), max(limit, 0))
	if err != nil {
		return nil, wrapIn(ctx, err)
	}
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (s audit.Standing, err error) {
		var uid, name []byte
		var recorded int64
		err = r.Scan(&uid, &name, &s.Last, &recorded, &s.Revision, &s.Commit)
		s.OrganizationUID, s.Organization, s.Recorded = string(uid), string(name), stored.Time(recorded)
		return s, err
	})
	return out, wrapIn(ctx, err)
}

// whole is a view without edges.
func whole(ctx context.Context, tx pgx.Tx, uid string) (*view, error) {
	v, err := seeBy(ctx, tx, uid, func(*audit.Retention, audit.Category) int64 { return everything })
	return v, err
}

// Dump returns an organization's stored events after a sequence number, in sequence order, at most limit.
func (a *Archive) Dump(ctx context.Context, organizationUID string, after int64, limit int) (out []audit.StoredEvent, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = a.inRead(ctx, func(tx pgx.Tx) error {
		out = nil
		v, err := whole(ctx, tx, organizationUID)
		if err != nil || v == nil {
			return err
		}
		s := newSearch(ctx, tx, v, &audit.Query{OrganizationUID: organizationUID, After: after, Limit: limit})
		if err := s.run(); err != nil {
			return err
		}
		on := byShelf(s.found)
		return v.dump(ctx, tx, &out, func(s *shelfView, t *text) bool {
			t.add(` AND e.position = ANY (`, t.arg(on[s.number]), `)`)
			return len(on[s.number]) > 0
		})
	})
	return out, err
}

// dump adds the organization's events that where picks on every shelf it does not rule out, in sequence order.
func (v *view) dump(ctx context.Context, tx pgx.Tx, into *[]audit.StoredEvent, where func(*shelfView, *text) bool) error {
	var b pgx.Batch
	for i := range v.shelves {
		s := &v.shelves[i]
		var t text
		t.add(`SELECT e.body, `, eventColumns, ` FROM `, s.table("event"), ` e WHERE (e.position + 0) BETWEEN `, t.arg(position(v.number, 0)), ` AND `, t.arg(position(v.number, v.last)))
		if !where(s, &t) {
			continue
		}
		b.Queue(t.String(), t.args...).Query(func(rows pgx.Rows) error {
			defer rows.Close()
			for rows.Next() {
				e := audit.StoredEvent{Shelf: s.Shelf}
				var err error
				if e.Event, err = scanEvent(rows, v.uid, &e.Body); err != nil {
					return err
				}
				*into = append(*into, e)
			}
			return rows.Err()
		})
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	slices.SortFunc(*into, func(x, y audit.StoredEvent) int { return cmp.Compare(x.Sequence, y.Sequence) })
	return nil
}

// DumpFlows returns the stored rows of these flows of an organization; without those that have none.
func (a *Archive) DumpFlows(ctx context.Context, organizationUID string, ids []string) (out []audit.StoredFlow, err error) {
	err = a.inRead(ctx, func(tx pgx.Tx) error {
		out = nil
		v, err := whole(ctx, tx, organizationUID)
		if err != nil || v == nil {
			return err
		}
		var b pgx.Batch
		for i := range v.shelves {
			s := &v.shelves[i]
			var asked []string
			for _, id := range ids {
				if s.may(id, true) {
					asked = append(asked, id)
				}
			}
			if len(asked) == 0 {
				continue
			}
			b.Queue(`SELECT f.partition, f.moment, `+flowColumns+` FROM `+s.table("flow")+` f WHERE f.organization = $1 AND f.id = ANY ($2)`, v.number, idKeys(asked)).
				Query(func(rows pgx.Rows) error {
					defer rows.Close()
					for rows.Next() {
						f := audit.StoredFlow{Shelf: s.Shelf}
						var moment int64
						var err error
						if f.FlowRow, err = scanFlow(rows, v.uid, &f.Partition, &moment); err != nil {
							return err
						}
						f.Moment = fromMillis(moment)
						out = append(out, f)
					}
					return rows.Err()
				})
		}
		return tx.SendBatch(ctx, &b).Close()
	})
	return out, err
}

// DumpFlow returns all stored events of a flow, in sequence order.
func (a *Archive) DumpFlow(ctx context.Context, organizationUID, id string) (out []audit.StoredEvent, err error) {
	err = a.inRead(ctx, func(tx pgx.Tx) error {
		out = nil
		v, err := whole(ctx, tx, organizationUID)
		if err != nil || v == nil {
			return err
		}
		return v.dump(ctx, tx, &out, func(_ *shelfView, t *text) bool {
			t.add(` AND e.flow = `, t.arg(idKey(id)))
			return true
		})
	})
	return out, err
}
