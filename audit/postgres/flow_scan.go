package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var _ audit.FlowScanner = (*Archive)(nil)

// maxCounted is where CountFlows gives up.
const maxCounted = 5_000_000

const scanOrder = ` ORDER BY f.started, f.id`

// ScanFlows goes through the shelves with flows, the one with the earliest start in front, until none of the others can have a flow for
// the page. On a shelf it walks the index of starts, of each site when some are named. Then it reads the events of what it found, in one
// trip.
func (a *Archive) ScanFlows(ctx context.Context, s audit.FlowScan) ([]audit.FlowRecord, error) {
	if s.Limit <= 0 {
		return nil, nil
	}
	var out []audit.FlowRecord
	err := a.inRead(ctx, func(tx pgx.Tx) error {
		v, err := see(ctx, tx, s.OrganizationUID, a.now())
		if err != nil || v == nil {
			return err
		}
		page, err := v.scan(ctx, tx, &s)
		if err != nil {
			return err
		}
		out, err = v.withEvents(ctx, tx, page)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// CountFlows counts on the index alone.
func (a *Archive) CountFlows(ctx context.Context, s audit.FlowScan) (sum int64, err error) {
	err = a.inRead(ctx, func(tx pgx.Tx) error {
		sum = 0
		v, err := see(ctx, tx, s.OrganizationUID, a.now())
		if err != nil || v == nil {
			return err
		}
		for _, on := range v.scanShelves(&s) {
			for _, t := range scanStatements(on, &s, `1`, "", maxCounted) {
				var n int64
				if err := tx.QueryRow(ctx, `SELECT count(*) FROM (`+t.String()+`) f`, t.args...).Scan(&n); err != nil {
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

// Steps seeks each flow's events and keeps those asked for.
func (a *Archive) Steps(ctx context.Context, organizationUID string, steps []audit.StepRef) ([]audit.Event, error) {
	wanted := make(map[audit.StepRef]bool, len(steps))
	var flows []string
	for _, s := range steps {
		if s.Step > 0 && !wanted[s] {
			wanted[s] = true
			flows = append(flows, s.Flow)
		}
	}
	if len(flows) == 0 {
		return nil, nil
	}
	slices.Sort(flows)
	flows = slices.Compact(flows)
	var out []audit.Event
	err := a.inRead(ctx, func(tx pgx.Tx) error {
		out = nil
		v, err := see(ctx, tx, organizationUID, a.now())
		if err != nil || v == nil {
			return err
		}
		events, err := v.eventsOf(ctx, tx, flows)
		for i := range events {
			if e := &events[i]; !e.Forked && wanted[audit.StepRef{Flow: e.Flow, Step: e.Step}] {
				out = append(out, *e)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// scan reads a page of flows.
func (v *view) scan(ctx context.Context, tx pgx.Tx, s *audit.FlowScan) (page []audit.FlowRow, err error) {
	for _, on := range v.scanShelves(s) {
		if len(page) == s.Limit && stored.Nanos(page[s.Limit-1].Started) < on.content[0].firstStarted {
			break
		}
		var b pgx.Batch
		for _, t := range scanStatements(on, s, flowColumns, scanOrder, s.Limit) {
			v.queueFlows(&b, t, &page)
		}
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return nil, err
		}
		slices.SortFunc(page, func(x, y audit.FlowRow) int { return newestFirst(y, x) })
		page = page[:min(len(page), s.Limit)]
	}
	return page, nil
}

// scanShelves are the shelves that may have flows of the scan, the one with the earliest start first.
func (v *view) scanShelves(s *audit.FlowScan) []*shelfView {
	var out []*shelfView
	for i := range v.shelves {
		on := &v.shelves[i]
		h := &on.content[0]
		some, _ := on.shows(0)
		if !some || h.flows == 0 || !s.AfterTime.IsZero() && h.lastStarted < stored.Nanos(s.AfterTime) || !s.Start.IsZero() && h.lastStarted < stored.Nanos(s.Start) ||
			!s.End.IsZero() && h.firstStarted >= stored.Nanos(s.End) {
			continue
		}
		out = append(out, on)
	}
	slices.SortFunc(out, func(x, y *shelfView) int { return cmp.Compare(x.content[0].firstStarted, y.content[0].firstStarted) })
	return out
}

// scanStatements lists the statements for one shelf: by sites, else all of the organization. Endings are looked at in the row: nearly every
// flow has one.
func scanStatements(on *shelfView, s *audit.FlowScan, columns, order string, limit int) []*text {
	one := func(site *string) *text {
		var t text
		t.add(`SELECT `, columns, ` FROM `, on.table("flow"), ` f WHERE f.organization = `, t.arg(on.organization))
		if site != nil {
			t.add(` AND f.site = `, t.arg(key(*site)))
		} else if len(s.Sites) > 0 {
			t.add(` AND (f.site || '') = ANY (`, t.arg(keys(s.Sites)), `)`)
		}
		if !s.AfterTime.IsZero() {
			t.add(` AND (f.started, f.id) > (`, t.arg(stored.Nanos(s.AfterTime)), `, `, t.arg(idKey(s.AfterID)), `)`)
		}
		if !s.Start.IsZero() {
			t.add(` AND f.started >= `, t.arg(stored.Nanos(s.Start)))
		}
		if !s.End.IsZero() {
			t.add(` AND f.started < `, t.arg(stored.Nanos(s.End)))
		}
		on.visibleFlow(&t)
		t.add(` AND f.ended IS NOT NULL`, order, ` LIMIT `, t.arg(limit))
		return &t
	}
	if len(s.Sites) == 0 || len(s.Sites) > maxBranches {
		return []*text{one(nil)}
	}
	var out []*text
	for _, site := range slices.Compact(slices.Sorted(slices.Values(s.Sites))) {
		out = append(out, one(&site))
	}
	return out
}

// withEvents puts flows and their events together.
func (v *view) withEvents(ctx context.Context, tx pgx.Tx, rows []audit.FlowRow) ([]audit.FlowRecord, error) {
	out := make([]audit.FlowRecord, len(rows))
	at := make(map[string]int, len(rows))
	ids := make([]string, len(rows))
	for i := range rows {
		out[i].FlowRow, ids[i], at[rows[i].ID] = rows[i], rows[i].ID, i
	}
	events, err := v.eventsOf(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(events, func(x, y audit.Event) int { return cmp.Compare(x.Sequence, y.Sequence) })
	for i := range events {
		if n, ok := at[events[i].Flow]; ok {
			out[n].Events = append(out[n].Events, events[i])
		}
	}
	return out, nil
}

// eventsOf reads the events of flows, as far as they may be seen, shelf by shelf in one trip: none is recorded before its flow's own moment,
// so shelves that end before the earliest have none.
func (v *view) eventsOf(ctx context.Context, tx pgx.Tx, flows []string) (events []audit.Event, err error) {
	var b pgx.Batch
	for i := range v.shelves {
		s := &v.shelves[i]
		if _, ok := s.seen(); !ok {
			continue
		}
		ids := make([][]byte, 0, len(flows))
		for _, id := range flows {
			if began, own := audit.IDMoment(id); !own || s.strays || s.End.After(began.Add(-near)) {
				ids = append(ids, idKey(id))
			}
		}
		if len(ids) == 0 {
			continue
		}
		queueEvents(&b, v.eventsText(s, ids), v.uid, &events)
	}
	return events, tx.SendBatch(ctx, &b).Close()
}

// eventsText is the statement for the events of flows on a shelf, as far as they may be seen.
func (v *view) eventsText(s *shelfView, ids [][]byte) *text {
	var t text
	t.add(`SELECT `, eventColumns, ` FROM `, s.table("event"), ` e WHERE e.flow = ANY (`, t.arg(ids), `)`)
	t.add(` AND (e.position + 0) BETWEEN `, t.arg(position(v.number, 0)), ` AND `, t.arg(position(v.number, v.last)))
	s.visible(&t)
	return &t
}
