package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/postern-audit/postern/audit"
)

var _ audit.FlowScanner = (*Archive)(nil)

const (
	// maxCounted is where CountFlows gives up.
	maxCounted = 5_000_000
	// flowsAtOnce is how many flows' events one statement reads.
	flowsAtOnce = 200
)

// ScanFlows walks the index of starts, of each site when some are named, and reads the events of what it found.
func (a *Archive) ScanFlows(ctx context.Context, s audit.FlowScan) ([]audit.FlowRecord, error) {
	if s.Limit <= 0 {
		return nil, nil
	}
	var out []audit.FlowRecord
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		number, err := numberOf(ctx, tx, s.OrganizationUID)
		if err != nil || number == 0 {
			return err
		}
		rows, err := scanRows(ctx, tx, number, &s)
		if err != nil {
			return err
		}
		out, err = withEvents(ctx, tx, number, s.OrganizationUID, rows)
		return err
	})
	return out, err
}

// CountFlows counts on the index alone.
func (a *Archive) CountFlows(ctx context.Context, s audit.FlowScan) (int64, error) {
	var sum int64
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		number, err := numberOf(ctx, tx, s.OrganizationUID)
		if err != nil || number == 0 {
			return err
		}
		for _, b := range scanPath(number, &s) {
			c := scanConditions(&s)
			var n int64
			args := append(append(slices.Clone(b.args), c.args...), maxCounted)
			err := tx.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM `+b.from+` WHERE `+b.where+c.text+` LIMIT ?)`, args...).Scan(&n)
			if err != nil {
				return err
			}
			if sum += n; sum >= maxCounted {
				sum = 0
				return nil
			}
		}
		return nil
	})
	return sum, err
}

// Steps seeks each flow's events and keeps those asked for.
func (a *Archive) Steps(ctx context.Context, organizationUID string, steps []audit.StepRef) ([]audit.Event, error) {
	if len(steps) == 0 {
		return nil, nil
	}
	wanted := make(map[audit.StepRef]bool, len(steps))
	var flows []string
	for _, s := range steps {
		if s.Step > 0 && !wanted[s] {
			wanted[s] = true
			flows = append(flows, s.Flow)
		}
	}
	slices.Sort(flows)
	flows = slices.Compact(flows)
	var out []audit.Event
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		number, err := numberOf(ctx, tx, organizationUID)
		if err != nil || number == 0 {
			return err
		}
		events, err := eventsOf(ctx, tx, number, organizationUID, flows)
		for i := range events {
			if e := &events[i]; !e.Forked && wanted[audit.StepRef{Flow: e.Flow, Step: e.Step}] {
				out = append(out, *e)
			}
		}
		return err
	})
	return out, err
}

// numberOf returns an organization's number, 0 when nothing of it is archived.
func numberOf(ctx context.Context, tx querier, uid string) (number int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT organization FROM organization_sequence WHERE organization_uid = ?`, uid).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return number, err
}

// scanPath lists the branches to walk: sites, else all of the organization.
func scanPath(number int64, s *audit.FlowScan) []branch {
	if len(s.Sites) == 0 || len(s.Sites) > maxBranches {
		return []branch{{from: "flow f INDEXED BY flow_started", where: "f.organization = ?", args: []any{number}}}
	}
	sites := slices.Compact(slices.Sorted(slices.Values(s.Sites)))
	out := make([]branch, 0, len(sites))
	for _, site := range sites {
		out = append(out, branch{from: "flow f INDEXED BY flow_site", where: "f.organization = ? AND f.site = ?", args: []any{number, site}})
	}
	return out
}

// scanConditions are place and time range.
func scanConditions(s *audit.FlowScan) clause {
	var c clause
	if !s.AfterTime.IsZero() {
		c.and("(f.started, f.id) > (?, ?)", nanos(s.AfterTime), s.AfterID)
	}
	if !s.Start.IsZero() {
		c.and("f.started >= ?", nanos(s.Start))
	}
	if !s.End.IsZero() {
		c.and("f.started < ?", nanos(s.End))
	}
	if len(s.Sites) > maxBranches {
		in(&c, "+f.site", s.Sites)
	}
	return c
}

// scanText is the query for a branch's rows. Endings are looked at in the row: nearly every flow has one.
func scanText(b branch, c clause) string {
	return `SELECT ` + flowColumns + ` FROM organization_sequence o CROSS JOIN ` + b.from + ` WHERE o.organization = f.organization AND ` + b.where +
		c.text + ` AND f.ended IS NOT NULL ORDER BY f.started, f.id LIMIT ?`
}

func scanRows(ctx context.Context, tx querier, number int64, s *audit.FlowScan) ([]audit.FlowRow, error) {
	var out []audit.FlowRow
	c := scanConditions(s)
	for _, b := range scanPath(number, s) {
		rows, err := tx.QueryContext(ctx, scanText(b, c), append(append(slices.Clone(b.args), c.args...), s.Limit)...)
		if err != nil {
			return nil, err
		}
		found, err := collect(rows, func(r *sql.Rows) (audit.FlowRow, error) { return scanFlow(r.Scan) })
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	slices.SortFunc(out, func(x, y audit.FlowRow) int { return cmp.Or(x.Started.Compare(y.Started), cmp.Compare(x.ID, y.ID)) })
	return out[:min(len(out), s.Limit)], nil
}

// withEvents puts flows and their events together.
func withEvents(ctx context.Context, tx querier, number int64, uid string, rows []audit.FlowRow) ([]audit.FlowRecord, error) {
	out := make([]audit.FlowRecord, len(rows))
	at := make(map[string]int, len(rows))
	ids := make([]string, len(rows))
	for i := range rows {
		out[i].FlowRow, ids[i], at[rows[i].ID] = rows[i], rows[i].ID, i
	}
	events, err := eventsOf(ctx, tx, number, uid, ids)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(events, func(a, b audit.Event) int { return cmp.Compare(a.Sequence, b.Sequence) })
	for i := range events {
		if n, ok := at[events[i].Flow]; ok {
			out[n].Events = append(out[n].Events, events[i])
		}
	}
	return out, nil
}

// eventsOf reads the events of flows, as long as they are the organization's.
func eventsOf(ctx context.Context, tx querier, number int64, uid string, flows []string) ([]audit.Event, error) {
	var out []audit.Event
	for chunk := range slices.Chunk(flows, flowsAtOnce) {
		var c clause
		in(&c, "e.flow", chunk)
		c.args = append(c.args, position(number, 0), position(number+1, 0)-1)
		rows, err := tx.QueryContext(ctx, flowEventsText(c), c.args...)
		if err != nil {
			return nil, err
		}
		found, err := collect(rows, func(r *sql.Rows) (audit.Event, error) { return scanEvent(r, uid) })
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func flowEventsText(c clause) string {
	return `SELECT ` + eventColumns + ` FROM event e INDEXED BY event_flow WHERE 1` + c.text + ` AND e.position BETWEEN ? AND ?`
}
