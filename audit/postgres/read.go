package postgres

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
	"github.com/postern-audit/postern/internal/errs"
)

// Event returns one event, or EVENT_NOT_FOUND.
func (a *Archive) Event(ctx context.Context, organizationUID, id string) (audit.Event, error) {
	var found []audit.Event
	err := a.inRead(ctx, func(tx pgx.Tx) error {
		found = nil
		v, err := see(ctx, tx, organizationUID, a.now())
		if err != nil || v == nil {
			return err
		}
		var b pgx.Batch
		for i := range v.shelves {
			s := &v.shelves[i]
			if _, ok := s.seen(); !ok || !s.may(id, true) {
				continue
			}
			var t text
			t.add(`SELECT `, eventColumns, ` FROM `, s.table("event"), ` e WHERE e.id = `, t.arg(idKey(id)))
			t.add(` AND (e.position + 0) BETWEEN `, t.arg(position(v.number, 0)), ` AND `, t.arg(position(v.number, v.last)))
			s.visible(&t)
			queueEvents(&b, &t, organizationUID, &found)
		}
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return audit.Event{}, err
	}
	if len(found) == 0 {
		return audit.Event{}, errs.New(errs.NotFound, reasonNoEvent, "there is no such event in this organization")
	}
	return found[0], nil
}

// queueEvents adds the events of a statement to into.
func queueEvents(b *pgx.Batch, t *text, organizationUID string, into *[]audit.Event) {
	b.Queue(t.String(), t.args...).Query(func(rows pgx.Rows) error {
		defer rows.Close()
		for rows.Next() {
			e, err := scanEvent(rows, organizationUID)
			if err != nil {
				return err
			}
			*into = append(*into, e)
		}
		return rows.Err()
	})
}

// Flow returns a flow's row, found by id or support code (with or without its hyphen, in either case), and its events: the
// steps in order, then what happened to the flow without being a step of it.
func (a *Archive) Flow(ctx context.Context, organizationUID, idOrCode string) (audit.FlowRow, []audit.Event, error) {
	var row *audit.FlowRow
	var events []audit.Event
	err := a.inRead(ctx, func(tx pgx.Tx) error {
		row, events = nil, nil
		v, err := see(ctx, tx, organizationUID, a.now())
		if err != nil || v == nil {
			return err
		}
		if row, err = v.findFlow(ctx, tx, idOrCode); err != nil || row == nil {
			return err
		}
		events, err = v.flowEvents(ctx, tx, row.ID)
		return err
	})
	if err != nil {
		return audit.FlowRow{}, nil, err
	}
	if row == nil {
		return audit.FlowRow{}, nil, errs.New(errs.NotFound, reasonNoFlow, "there is no such flow in this organization's record")
	}
	return *row, events, nil
}

// findFlow returns the row with this id, else the latest one with this support code; nil when there is neither.
func (v *view) findFlow(ctx context.Context, tx pgx.Tx, idOrCode string) (*audit.FlowRow, error) {
	found, err := v.flowRows(ctx, tx, func(s *shelfView, t *text) bool {
		t.add(` AND f.id = `, t.arg(idKey(idOrCode)))
		return s.may(idOrCode, true)
	})
	if err != nil || len(found) > 0 {
		return first(found), err
	}
	bare := strings.ReplaceAll(strings.ToUpper(idOrCode), "-", "")
	hyphened := bare[:len(bare)/2] + "-" + bare[len(bare)/2:]
	found, err = v.flowRows(ctx, tx, func(_ *shelfView, t *text) bool {
		t.add(` AND f.support_code = ANY (`, t.arg(keys([]string{idOrCode, bare, hyphened})), `) ORDER BY f.started DESC LIMIT 1`)
		return true
	})
	slices.SortFunc(found, newestFirst)
	return first(found), err
}

func first(rows []audit.FlowRow) *audit.FlowRow {
	if len(rows) == 0 {
		return nil
	}
	return &rows[0]
}

// flowRows reads the rows that where picks on every shelf it does not rule out.
func (v *view) flowRows(ctx context.Context, tx pgx.Tx, where func(*shelfView, *text) bool) (found []audit.FlowRow, err error) {
	var b pgx.Batch
	for i := range v.shelves {
		s := &v.shelves[i]
		if some, _ := s.shows(0); !some || s.content[0].flows == 0 {
			continue
		}
		var t text
		t.add(`SELECT `, flowColumns, ` FROM `, s.table("flow"), ` f WHERE f.organization = `, t.arg(v.number))
		s.visibleFlow(&t)
		if where(s, &t) {
			v.queueFlows(&b, &t, &found)
		}
	}
	return found, tx.SendBatch(ctx, &b).Close()
}

func (v *view) queueFlows(b *pgx.Batch, t *text, into *[]audit.FlowRow) {
	b.Queue(t.String(), t.args...).Query(func(rows pgx.Rows) error {
		defer rows.Close()
		for rows.Next() {
			r, err := scanFlow(rows, v.uid)
			if err != nil {
				return err
			}
			*into = append(*into, r)
		}
		return rows.Err()
	})
}

// visibleFlow adds the condition that a flow on this shelf can be seen, where not all of them can.
func (s *shelfView) visibleFlow(t *text) {
	if _, all := s.shows(0); !all {
		t.add(` AND f.moment >= `, t.arg(s.edges[0]))
	}
}

// flowEvents reads a flow's events: none is recorded before the flow's own moment, so earlier shelves have none. Adding nothing to the
// position keeps the server from walking the organization's record instead.
func (v *view) flowEvents(ctx context.Context, tx pgx.Tx, id string) (events []audit.Event, err error) {
	began, own := audit.IDMoment(id)
	var b pgx.Batch
	for i := range v.shelves {
		s := &v.shelves[i]
		if _, ok := s.seen(); !ok || own && !s.strays && !s.End.After(began.Add(-near)) {
			continue
		}
		var t text
		t.add(`SELECT `, eventColumns, ` FROM `, s.table("event"), ` e WHERE e.flow = `, t.arg(idKey(id)))
		t.add(` AND (e.position + 0) BETWEEN `, t.arg(position(v.number, 0)), ` AND `, t.arg(position(v.number, v.last)))
		s.visible(&t)
		queueEvents(&b, &t, v.uid, &events)
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, err
	}
	slices.SortFunc(events, func(x, y audit.Event) int {
		return cmp.Or(cmp.Compare(beside(&x), beside(&y)), cmp.Compare(x.Step, y.Step), cmp.Compare(x.Sequence, y.Sequence))
	})
	return events, nil
}

// beside is 1 for what happened to a flow without being a step of it.
func beside(e *audit.Event) int {
	if e.Step == 0 {
		return 1
	}
	return 0
}

// Keys returns stored organization keys after the given uid, in uid order, at most limit.
func (a *Archive) Keys(ctx context.Context, after string, limit int) ([]audit.OrganizationKey, error) {
	rows, err := a.pool.Query(ctx, `SELECT exact, wrapped FROM organization_key WHERE organization_uid > $1 ORDER BY organization_uid LIMIT $2`,
		key(after), max(limit, 0))
	if err != nil {
		return nil, wrapIn(ctx, err)
	}
	found, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (k audit.OrganizationKey, err error) {
		var uid []byte
		err = r.Scan(&uid, &k.Wrapped)
		k.OrganizationUID = string(uid)
		return k, err
	})
	return found, wrapIn(ctx, err)
}

// Position returns an organization's last sequence number and the recorded time of its last event; zeros when it has none.
func (a *Archive) Position(ctx context.Context, organizationUID string) (int64, time.Time, error) {
	var last, recorded int64
	err := a.pool.QueryRow(ctx, `SELECT last_sequence, last_recorded FROM organization WHERE uid = $1`, key(organizationUID)).Scan(&last, &recorded)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, time.Time{}, nil
	}
	return last, stored.Time(recorded), wrapIn(ctx, err)
}

// Revisions returns the highest directory revision archived per organization uid.
func (a *Archive) Revisions(ctx context.Context) (map[string]int64, error) {
	rows, err := a.pool.Query(ctx, `SELECT exact, highest_revision FROM organization WHERE highest_revision > 0`)
	if err != nil {
		return nil, wrapIn(ctx, err)
	}
	out := map[string]int64{}
	var uid []byte
	var revision int64
	_, err = pgx.ForEachRow(rows, []any{&uid, &revision}, func() error {
		out[string(uid)] = revision
		return nil
	})
	return out, wrapIn(ctx, err)
}

// OpenFlows returns recorded flows of a partition without an ending, after the given flow id, at most limit. They are few, on
// whatever shelf, and found by an index that has no others.
func (a *Archive) OpenFlows(ctx context.Context, partition int, after string, limit int) ([]audit.FlowRow, error) {
	var found []audit.FlowRow
	err := a.inRead(ctx, func(tx pgx.Tx) error {
		found = nil
		rows, err := tx.Query(ctx, `SELECT DISTINCT shelf FROM shelf_content WHERE flows > 0`)
		if err != nil {
			return err
		}
		shelves, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		if err != nil {
			return err
		}
		var b pgx.Batch
		for _, n := range shelves {
			b.Queue(`SELECT o.exact, `+flowColumns+` FROM `+tableOf("flow", n)+` f JOIN organization o USING (organization)
				WHERE f.ended IS NULL AND f.partition = $1 AND f.id > $2 ORDER BY f.id LIMIT $3`, clamp(partition), idKey(after), max(limit, 0)).
				Query(func(rows pgx.Rows) error {
					defer rows.Close()
					for rows.Next() {
						var uid []byte
						r, err := scanFlow(rows, "", &uid)
						if err != nil {
							return err
						}
						r.OrganizationUID = string(uid)
						found = append(found, r)
					}
					return rows.Err()
				})
		}
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(x, y audit.FlowRow) int { return slices.Compare(idKey(x.ID), idKey(y.ID)) })
	return found[:min(len(found), max(limit, 0))], nil
}
