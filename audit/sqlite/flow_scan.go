package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var _ audit.FlowScanner = (*Archive)(nil)

const (
	// maxCounted is where CountFlows gives up.
	maxCounted = 5_000_000
	// flowsAtOnce is how many flows' events one statement reads.
	flowsAtOnce = 200
)

// ScanFlows goes through the shelves with flows, the one with the earliest start in front, until none of the others can have a flow for
// the page. On a shelf it walks the index of starts, of each site when some are named. Then it reads the events of what it found.
func (a *Archive) ScanFlows(ctx context.Context, s audit.FlowScan) ([]audit.FlowRecord, error) {
	if s.Limit <= 0 {
		return nil, nil
	}
	var out []audit.FlowRecord
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		v, err := a.loaded(ctx, tx, s.OrganizationUID)
		if err != nil || v == nil {
			return err
		}
		var page []storedFlow
		for _, p := range v.scanParts(&s) {
			if len(page) == s.Limit && stored.Nanos(page[len(page)-1].row.Started) < p.flows().started.low {
				break
			}
			if page, err = v.scanOn(ctx, tx, &s, p.shelf, page); err != nil {
				return err
			}
		}
		out, err = v.withEvents(ctx, tx, s.OrganizationUID, page)
		return err
	})
	return out, err
}

// CountFlows counts on the index alone.
func (a *Archive) CountFlows(ctx context.Context, s audit.FlowScan) (int64, error) {
	var sum int64
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		v, err := a.loaded(ctx, tx, s.OrganizationUID)
		if err != nil || v == nil {
			return err
		}
		for _, p := range v.scanParts(&s) {
			c := v.scanConditions(&s, p.shelf)
			for _, b := range scanPath(v.number, &s) {
				var n int64
				err := tx.QueryRowContext(ctx, p.text(`SELECT count(*) FROM (SELECT 1 FROM `+b.from+` WHERE `+b.where+c.text+` LIMIT ?)`),
					slices.Concat(b.args, c.args, []any{maxCounted})...).Scan(&n)
				if err != nil {
					return err
				}
				if sum += n; sum >= maxCounted {
					sum = 0
					return nil
				}
			}
		}
		return nil
	})
	return sum, err
}

// loaded is the view of an organization with its parts; nil when nothing of it is archived.
func (a *Archive) loaded(ctx context.Context, tx querier, organizationUID string) (*view, error) {
	v, err := a.view(ctx, tx, organizationUID)
	if err != nil || !v.known {
		return nil, err
	}
	return v, v.load(ctx, tx)
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
		v, err := a.loaded(ctx, tx, organizationUID)
		if err != nil || v == nil {
			return err
		}
		for _, p := range v.parts {
			events, err := v.eventsOf(ctx, tx, organizationUID, p.shelf, flows)
			if err != nil {
				return err
			}
			for i := range events {
				if e := &events[i]; !e.Forked && wanted[audit.StepRef{Flow: e.Flow, Step: e.Step}] {
					out = append(out, *e)
				}
			}
		}
		return nil
	})
	return out, err
}

// scanParts lists the parts that may have flows of the scan, the one with the earliest start in front.
func (v *view) scanParts(s *audit.FlowScan) []*part {
	out := slices.DeleteFunc(v.flowParts(), func(p *part) bool {
		starts := p.flows().started
		return !s.AfterTime.IsZero() && starts.high < stored.Nanos(s.AfterTime) || !s.Start.IsZero() && starts.high < stored.Nanos(s.Start) ||
			!s.End.IsZero() && starts.low >= stored.Nanos(s.End)
	})
	slices.SortFunc(out, func(a, b *part) int { return cmp.Compare(a.flows().started.low, b.flows().started.low) })
	return out
}

// scanPath lists the branches to walk: sites, else all of the organization.
func scanPath(number int64, s *audit.FlowScan) []branch {
	if len(s.Sites) == 0 || len(s.Sites) > maxBranches {
		return []branch{{from: "flow_# f INDEXED BY flow_started_#", where: "f.organization = ?", args: []any{number}}}
	}
	sites := slices.Compact(slices.Sorted(slices.Values(s.Sites)))
	out := make([]branch, 0, len(sites))
	for _, site := range sites {
		out = append(out, branch{from: "flow_# f INDEXED BY flow_site_#", where: "f.organization = ? AND f.site = ?", args: []any{number, site}})
	}
	return out
}

// scanConditions are place, time range and what may be seen.
func (v *view) scanConditions(s *audit.FlowScan, on *shelf) clause {
	var c clause
	v.onlyShownFlows(&c, on)
	if !s.AfterTime.IsZero() {
		c.and("(f.started, f.id) > (?, ?)", stored.Nanos(s.AfterTime), s.AfterID)
	}
	if !s.Start.IsZero() {
		c.and("f.started >= ?", stored.Nanos(s.Start))
	}
	if !s.End.IsZero() {
		c.and("f.started < ?", stored.Nanos(s.End))
	}
	if len(s.Sites) > maxBranches {
		in(&c, "+f.site", s.Sites)
	}
	return c
}

// scanText is the query for a branch's rows. Endings are looked at in the row: nearly every flow has one.
func scanText(b branch, c clause) string {
	return `SELECT f.places, ` + flowColumns + ` FROM organization_sequence o CROSS JOIN ` + b.from + ` WHERE o.organization = f.organization AND ` + b.where +
		c.text + ` AND f.ended IS NOT NULL ORDER BY f.started, f.id LIMIT ?`
}

// scanOn adds a shelf's flows to the page.
func (v *view) scanOn(ctx context.Context, tx querier, s *audit.FlowScan, on *shelf, page []storedFlow) ([]storedFlow, error) {
	c := v.scanConditions(s, on)
	for _, b := range scanPath(v.number, s) {
		rows, err := tx.QueryContext(ctx, on.text(scanText(b, c)), slices.Concat(b.args, c.args, []any{s.Limit})...)
		if err != nil {
			return nil, err
		}
		found, err := collect(rows, func(r *sql.Rows) (f storedFlow, err error) {
			var places string
			f.shelf = on
			f.row, err = scanFlow(r.Scan, &places)
			f.places = parsePlaces(places)
			return f, err
		})
		if err != nil {
			return nil, err
		}
		page = append(page, found...)
	}
	slices.SortFunc(page, func(x, y storedFlow) int {
		return cmp.Or(x.row.Started.Compare(y.row.Started), cmp.Compare(x.row.ID, y.row.ID))
	})
	return page[:min(len(page), s.Limit)], nil
}

// withEvents puts flows and their events together.
func (v *view) withEvents(ctx context.Context, tx querier, uid string, flows []storedFlow) ([]audit.FlowRecord, error) {
	out := make([]audit.FlowRecord, len(flows))
	at := make(map[string]int, len(flows))
	ids := map[int64][]string{} // by shelf
	for i := range flows {
		f := &flows[i]
		out[i].FlowRow, at[f.row.ID] = f.row, i
		for _, number := range append([]int64{f.shelf.number}, f.places...) {
			ids[number] = append(ids[number], f.row.ID)
		}
	}
	for number, list := range ids {
		s := v.catalogue.number[number]
		if s == nil {
			continue // dropped since
		}
		events, err := v.eventsOf(ctx, tx, uid, s, list)
		if err != nil {
			return nil, err
		}
		for i := range events {
			if n, ok := at[events[i].Flow]; ok {
				out[n].Events = append(out[n].Events, events[i])
			}
		}
	}
	for i := range out {
		slices.SortFunc(out[i].Events, func(a, b audit.Event) int { return cmp.Compare(a.Sequence, b.Sequence) })
	}
	return out, nil
}

// eventsOf reads the events of flows on a shelf, as long as they are the organization's and may be seen.
func (v *view) eventsOf(ctx context.Context, tx querier, uid string, s *shelf, flows []string) ([]audit.Event, error) {
	var out []audit.Event
	for chunk := range slices.Chunk(flows, flowsAtOnce) {
		var c clause
		in(&c, "e.flow", chunk)
		c.args = append(c.args, position(v.number, 0), position(v.number+1, 0)-1)
		rows, err := tx.QueryContext(ctx, s.text(flowEventsText(c)), c.args...)
		if err != nil {
			return nil, err
		}
		found, err := collect(rows, func(r *sql.Rows) (audit.Event, error) { return scanEvent(r, uid) })
		if err != nil {
			return nil, err
		}
		out = append(out, slices.DeleteFunc(found, func(e audit.Event) bool { return !v.shows(&e) })...)
	}
	return out, nil
}

func flowEventsText(c clause) string {
	return `SELECT ` + eventColumns + ` FROM event_# e INDEXED BY event_flow_# WHERE 1` + c.text + ` AND e.position BETWEEN ? AND ?`
}
