package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// Event returns one event, or EVENT_NOT_FOUND.
func (a *Archive) Event(ctx context.Context, organizationUID, id string) (audit.Event, error) {
	rows, err := a.read.QueryContext(ctx, `SELECT `+eventColumns+` FROM event e JOIN organization_sequence o
		ON e.position BETWEEN o.organization << 40 AND (o.organization + 1 << 40) - 1
		WHERE e.id = ? AND o.organization_uid = ?`, id, organizationUID)
	if err != nil {
		return audit.Event{}, wrap(err)
	}
	found, err := collect(rows, func(r *sql.Rows) (audit.Event, error) { return scanEvent(r, organizationUID) })
	if err != nil {
		return audit.Event{}, wrap(err)
	}
	if len(found) == 0 {
		return audit.Event{}, errs.New(errs.NotFound, reasonNoEvent, "there is no such event in this organization")
	}
	return found[0], nil
}

// Flow returns a flow's row, found by id or support code (with or without its hyphen, in either case), and its events: the
// steps in order, then what happened to the flow without being a step of it.
func (a *Archive) Flow(ctx context.Context, organizationUID, idOrCode string) (audit.FlowRow, []audit.Event, error) {
	var row audit.FlowRow
	var events []audit.Event
	err := a.inRead(ctx, func(tx *sql.Tx) (err error) {
		var number int64
		if row, number, err = findFlow(ctx, tx, organizationUID, idOrCode); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT `+eventColumns+` FROM event e INDEXED BY event_flow
			WHERE e.flow = ? AND e.position BETWEEN ? AND ? ORDER BY e.step = 0, e.step, e.position`,
			row.ID, position(number, 0), position(number+1, 0)-1)
		if err != nil {
			return err
		}
		events, err = collect(rows, func(r *sql.Rows) (audit.Event, error) { return scanEvent(r, organizationUID) })
		return err
	})
	if err != nil {
		return audit.FlowRow{}, nil, err
	}
	return row, events, nil
}

// findFlow returns the row with this id, else the latest one with this support code.
func findFlow(ctx context.Context, tx querier, organizationUID, idOrCode string) (row audit.FlowRow, number int64, err error) {
	bare := strings.ReplaceAll(strings.ToUpper(idOrCode), "-", "")
	hyphened := bare[:len(bare)/2] + "-" + bare[len(bare)/2:]
	const query = `SELECT o.organization, ` + flowColumns + ` FROM organization_sequence o CROSS JOIN flow f `
	row, err = scanFlow(tx.QueryRowContext(ctx, query+`INDEXED BY flow_id
		WHERE o.organization_uid = ? AND f.organization = o.organization AND f.id = ?`, organizationUID, idOrCode).Scan, &number)
	if errors.Is(err, sql.ErrNoRows) {
		row, err = scanFlow(tx.QueryRowContext(ctx, query+`INDEXED BY flow_code
			WHERE o.organization_uid = ? AND f.organization = o.organization AND f.support_code IN (?, ?, ?)
			ORDER BY f.started DESC LIMIT 1`, organizationUID, idOrCode, bare, hyphened).Scan, &number)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = errs.New(errs.NotFound, reasonNoFlow, "there is no such flow in this organization's record")
	}
	return row, number, err
}

// Keys returns stored organization keys after the given uid, in uid order, at most limit.
func (a *Archive) Keys(ctx context.Context, after string, limit int) ([]audit.OrganizationKey, error) {
	rows, err := a.read.QueryContext(ctx, `SELECT organization_uid, wrapped FROM organization_key
		WHERE organization_uid > ? ORDER BY organization_uid LIMIT ?`, after, max(limit, 0))
	if err != nil {
		return nil, wrap(err)
	}
	keys, err := collect(rows, func(r *sql.Rows) (k audit.OrganizationKey, err error) {
		return k, r.Scan(&k.OrganizationUID, &k.Wrapped)
	})
	return keys, wrap(err)
}

// Position returns an organization's last sequence number and the recorded time of its last event; zeros when it has none.
func (a *Archive) Position(ctx context.Context, organizationUID string) (int64, time.Time, error) {
	var last, recorded int64
	err := a.read.QueryRowContext(ctx, `SELECT last_sequence, last_recorded FROM organization_sequence WHERE organization_uid = ?`,
		organizationUID).Scan(&last, &recorded)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, time.Time{}, nil
	}
	return last, fromNanos(recorded), wrap(err)
}

// OpenFlows returns recorded flows of a partition without an ending, after the given flow id, at most limit.
func (a *Archive) OpenFlows(ctx context.Context, partition int, after string, limit int) ([]audit.FlowRow, error) {
	rows, err := a.read.QueryContext(ctx, `SELECT `+flowColumns+` FROM flow f INDEXED BY flow_open JOIN organization_sequence o USING (organization)
		WHERE f.ended IS NULL AND f.partition = ? AND f.id > ? ORDER BY f.id LIMIT ?`, partition, after, max(limit, 0))
	if err != nil {
		return nil, wrap(err)
	}
	flows, err := collect(rows, func(r *sql.Rows) (audit.FlowRow, error) { return scanFlow(r.Scan) })
	return flows, wrap(err)
}

// Revisions returns the highest directory revision archived per organization uid.
func (a *Archive) Revisions(ctx context.Context) (map[string]int64, error) {
	rows, err := a.read.QueryContext(ctx, `SELECT organization_uid, highest_revision FROM organization_sequence WHERE highest_revision > 0`)
	if err != nil {
		return nil, wrap(err)
	}
	out := map[string]int64{}
	_, err = collect(rows, func(r *sql.Rows) (struct{}, error) {
		var uid string
		var revision int64
		err := r.Scan(&uid, &revision)
		out[uid] = revision
		return struct{}{}, err
	})
	if err != nil {
		return nil, wrap(err)
	}
	return out, nil
}
