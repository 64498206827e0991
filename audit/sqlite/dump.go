package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var _ audit.Dumper = (*Archive)(nil)

// Standings returns where organizations' records stand, after the given uid, in uid order, at most limit.
func (a *Archive) Standings(ctx context.Context, after string, limit int) ([]audit.Standing, error) {
	rows, err := a.read.QueryContext(ctx, `SELECT organization_uid, name, last_sequence, last_recorded, highest_revision,
		(SELECT coalesce(max(h.sequence), 0) FROM history_commit h WHERE h.organization = organization_sequence.organization) FROM organization_sequence
		WHERE organization_uid > ? ORDER BY organization_uid LIMIT ?`, after, max(limit, 0))
	if err != nil {
		return nil, wrap(err)
	}
	out, err := collect(rows, func(r *sql.Rows) (s audit.Standing, err error) {
		var recorded int64
		err = r.Scan(&s.OrganizationUID, &s.Organization, &s.Last, &recorded, &s.Revision, &s.Commit)
		s.Recorded = stored.Time(recorded)
		return s, err
	})
	return out, wrap(err)
}

// whole is a view without edges.
func (a *Archive) whole(ctx context.Context, tx querier, organizationUID string) (*view, error) {
	v, err := a.view(ctx, tx, organizationUID)
	if err != nil || !v.known {
		return v, err
	}
	v.edges = [len(categories)]time.Time{}
	return v, v.load(ctx, tx)
}

// Dump returns an organization's stored events after a sequence number, in sequence order, at most limit.
func (a *Archive) Dump(ctx context.Context, organizationUID string, after int64, limit int) (out []audit.StoredEvent, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = a.inRead(ctx, func(tx *sql.Tx) error {
		v, err := a.whole(ctx, tx, organizationUID)
		if err != nil || !v.known {
			return err
		}
		s := &search{ctx: ctx, tx: tx, view: v, low: max(0, after), high: v.last,
			q: &audit.Query{OrganizationUID: organizationUID, After: after, Limit: limit}}
		found, err := s.gather()
		if err != nil {
			return err
		}
		byShelf := map[*shelf][]int64{}
		for _, h := range found {
			byShelf[h.shelf] = append(byShelf[h.shelf], h.position)
		}
		for on, positions := range byShelf {
			events, err := rowsWith(ctx, tx, v.number, organizationUID, on, "e.position", positions)
			if err != nil {
				return err
			}
			out = append(out, events...)
		}
		return nil
	})
	slices.SortFunc(out, func(x, y audit.StoredEvent) int { return cmp.Compare(x.Sequence, y.Sequence) })
	return out, err
}

// rowsWith reads an organization's events of a shelf that have one of these values.
func rowsWith[T any](ctx context.Context, tx querier, number int64, organizationUID string, s *shelf, column string, values []T) (out []audit.StoredEvent, err error) {
	for chunk := range slices.Chunk(values, 200) {
		var c clause
		in(&c, column, chunk)
		c.and("+e.position BETWEEN ? AND ?", position(number, 0), position(number+1, 0)-1)
		rows, err := tx.QueryContext(ctx, s.text(`SELECT `+eventColumns+` FROM event_# e WHERE 1`+c.text+` ORDER BY e.position`), c.args...)
		if err != nil {
			return nil, err
		}
		events, err := collect(rows, func(r *sql.Rows) (audit.Event, error) { return scanEvent(r, organizationUID) })
		if err != nil {
			return nil, err
		}
		if rows, err = tx.QueryContext(ctx, s.text(`SELECT e.body FROM event_# e WHERE 1`+c.text+` ORDER BY e.position`), c.args...); err != nil {
			return nil, err
		}
		bodies, err := collect(rows, func(r *sql.Rows) (body []byte, err error) { return body, r.Scan(&body) })
		if err != nil {
			return nil, err
		}
		for i := range events {
			out = append(out, audit.StoredEvent{Event: events[i], Shelf: s.Shelf, Body: bodies[i]})
		}
	}
	return out, nil
}

// DumpFlows returns the stored rows of these flows of an organization; without those that have none.
func (a *Archive) DumpFlows(ctx context.Context, organizationUID string, ids []string) (out []audit.StoredFlow, err error) {
	err = a.inRead(ctx, func(tx *sql.Tx) error {
		have, err := a.catalogue(ctx, tx)
		if err != nil {
			return err
		}
		asked := map[*shelf][]string{}
		for _, id := range ids {
			for _, s := range have.candidates(id) {
				asked[s] = append(asked[s], id)
			}
		}
		for s, some := range asked {
			for chunk := range slices.Chunk(some, 200) {
				args := []any{organizationUID}
				for _, id := range chunk {
					args = append(args, id)
				}
				rows, err := tx.QueryContext(ctx, s.text(`SELECT f.partition, f.stray, `+flowColumns+` FROM flow_# f INDEXED BY flow_id_# JOIN organization_sequence o USING (organization)
					WHERE o.organization_uid = ? AND f.id IN (?`+strings.Repeat(", ?", len(chunk)-1)+`)`), args...)
				if err != nil {
					return err
				}
				found, err := collect(rows, func(r *sql.Rows) (audit.StoredFlow, error) { return scanStoredFlow(r, s) })
				if err != nil {
					return err
				}
				out = append(out, found...)
			}
		}
		return nil
	})
	return out, err
}

func scanStoredFlow(r *sql.Rows, s *shelf) (audit.StoredFlow, error) {
	f := audit.StoredFlow{Shelf: s.Shelf}
	var stray sql.NullInt64
	var err error
	if f.FlowRow, err = scanFlow(r.Scan, &f.Partition, &stray); err != nil {
		return f, err
	}
	if f.Moment, _ = audit.IDMoment(f.ID); stray.Valid {
		f.Moment = time.UnixMilli(stray.Int64).UTC()
	}
	return f, nil
}

// DumpFlow returns all stored events of a flow, in sequence order.
func (a *Archive) DumpFlow(ctx context.Context, organizationUID, id string) (out []audit.StoredEvent, err error) {
	err = a.inRead(ctx, func(tx *sql.Tx) error {
		v, err := a.whole(ctx, tx, organizationUID)
		if err != nil || !v.known {
			return err
		}
		for _, p := range v.parts {
			found, err := rowsWith(ctx, tx, v.number, organizationUID, p.shelf, "e.flow", []string{id})
			if err != nil {
				return err
			}
			out = append(out, found...)
		}
		return nil
	})
	slices.SortFunc(out, func(x, y audit.StoredEvent) int { return cmp.Compare(x.Sequence, y.Sequence) })
	return out, err
}
