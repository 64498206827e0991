package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
	"github.com/postern-audit/postern/internal/errs"
)

// Event returns one event, or EVENT_NOT_FOUND, also when it is past its retention.
func (a *Archive) Event(ctx context.Context, organizationUID, id string) (audit.Event, error) {
	var found []audit.Event
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		v, err := a.view(ctx, tx, organizationUID)
		if err != nil || !v.known {
			return err
		}
		for _, s := range v.catalogue.candidates(id) {
			if found, err = v.events(ctx, tx, organizationUID, s, `e.id = ?`, id); err != nil || len(found) > 0 {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return audit.Event{}, err
	}
	if len(found) == 0 {
		return audit.Event{}, errs.New(errs.NotFound, reasonNoEvent, "there is no such event in this organization")
	}
	return found[0], nil
}

// events returns the organization's events on a shelf that meet a condition and may be seen.
func (v *view) events(ctx context.Context, tx querier, organizationUID string, s *shelf, where string, args ...any) ([]audit.Event, error) {
	rows, err := tx.QueryContext(ctx, s.text(`SELECT `+eventColumns+` FROM event_# e WHERE `+where+` AND +e.position BETWEEN ? AND ?`),
		append(args, position(v.number, 0), position(v.number+1, 0)-1)...)
	if err != nil {
		return nil, err
	}
	found, err := collect(rows, func(r *sql.Rows) (audit.Event, error) { return scanEvent(r, organizationUID) })
	return slices.DeleteFunc(found, func(e audit.Event) bool { return !v.shows(&e) }), err
}

// Flow returns a flow's row, found by id or support code (with or without its hyphen, in either case), and its events: the
// steps in order, then what happened to the flow without being a step of it. A flow past its retention is not found.
func (a *Archive) Flow(ctx context.Context, organizationUID, idOrCode string) (audit.FlowRow, []audit.Event, error) {
	var flow *storedFlow
	var events []audit.Event
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		v, err := a.view(ctx, tx, organizationUID)
		if err != nil || !v.known {
			return err
		}
		if flow, err = v.flow(ctx, tx, idOrCode); err != nil || flow == nil {
			return err
		}
		for _, number := range append([]int64{flow.shelf.number}, flow.places...) {
			s := v.catalogue.number[number]
			if s == nil {
				continue // dropped since
			}
			found, err := v.events(ctx, tx, organizationUID, s, `e.flow = ?`, flow.row.ID)
			if err != nil {
				return err
			}
			events = append(events, found...)
		}
		return nil
	})
	if err == nil && flow == nil {
		err = errs.New(errs.NotFound, reasonNoFlow, "there is no such flow in this organization's record")
	}
	if err != nil {
		return audit.FlowRow{}, nil, err
	}
	slices.SortFunc(events, func(x, y audit.Event) int {
		if (x.Step == 0) != (y.Step == 0) {
			return cmp.Compare(y.Step, x.Step)
		}
		return cmp.Or(cmp.Compare(x.Step, y.Step), cmp.Compare(x.Sequence, y.Sequence))
	})
	return flow.row, events, nil
}

// storedFlow is a flow's row with where it and its events lie.
type storedFlow struct {
	row    audit.FlowRow
	shelf  *shelf
	places []int64
}

// flow returns the flow with this id, else the latest one with this support code; nil when there is none to be seen.
func (v *view) flow(ctx context.Context, tx querier, idOrCode string) (*storedFlow, error) {
	for _, s := range v.catalogue.candidates(idOrCode) {
		if f, err := v.flowOn(ctx, tx, s, `f INDEXED BY flow_id_# JOIN organization_sequence o USING (organization)
			WHERE f.organization = ? AND f.id = ?`, idOrCode); err != nil || f != nil {
			return f, err
		}
	}
	if err := v.load(ctx, tx); err != nil {
		return nil, err
	}
	bare := strings.ReplaceAll(strings.ToUpper(idOrCode), "-", "")
	hyphened := bare[:len(bare)/2] + "-" + bare[len(bare)/2:]
	var latest *storedFlow
	for _, p := range v.flowParts() {
		if latest != nil && stored.Nanos(latest.row.Started) > p.flows().started.high {
			break
		}
		f, err := v.flowOn(ctx, tx, p.shelf, `f INDEXED BY flow_code_# JOIN organization_sequence o USING (organization)
			WHERE f.organization = ? AND f.support_code IN (?, ?, ?)`, idOrCode, bare, hyphened)
		if err != nil {
			return nil, err
		}
		if f != nil && (latest == nil || f.row.Started.After(latest.row.Started)) {
			latest = f
		}
	}
	return latest, nil
}

// flowOn returns the latest flow of a shelf that meets a condition and may be seen.
func (v *view) flowOn(ctx context.Context, tx querier, s *shelf, where string, args ...any) (*storedFlow, error) {
	var shown clause
	v.onlyShownFlows(&shown, s)
	f := &storedFlow{shelf: s}
	var places string
	var err error
	f.row, err = scanFlow(tx.QueryRowContext(ctx, s.text(`SELECT f.places, `+flowColumns+` FROM flow_# `+where+shown.text+` ORDER BY f.started DESC LIMIT 1`),
		append(append([]any{v.number}, args...), shown.args...)...).Scan, &places)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // as documented
	}
	f.places = parsePlaces(places)
	return f, err
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
	return last, stored.Time(recorded), wrap(err)
}

// OpenFlows returns recorded flows of a partition without an ending, after the given flow id, at most limit.
func (a *Archive) OpenFlows(ctx context.Context, partition int, after string, limit int) ([]audit.FlowRow, error) {
	var out []audit.FlowRow
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		have, err := a.catalogue(ctx, tx)
		if err != nil {
			return err
		}
		for _, s := range have.shelves {
			rows, err := tx.QueryContext(ctx, s.text(`SELECT `+flowColumns+` FROM flow_# f INDEXED BY flow_open_# JOIN organization_sequence o USING (organization)
				WHERE f.ended IS NULL AND f.partition = ? AND f.id > ? ORDER BY f.id LIMIT ?`), partition, after, max(limit, 0))
			if err != nil {
				return err
			}
			flows, err := collect(rows, func(r *sql.Rows) (audit.FlowRow, error) { return scanFlow(r.Scan) })
			if err != nil {
				return err
			}
			out = append(out, flows...)
			slices.SortFunc(out, func(x, y audit.FlowRow) int { return strings.Compare(x.ID, y.ID) })
			out = out[:min(len(out), max(limit, 0))]
		}
		return nil
	})
	return out, err
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
