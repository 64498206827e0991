package orgevents

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// events answers /events: newest first by the time things happened.
func (h *Handler) events(ctx context.Context, q *request, values url.Values) (any, error) {
	c, err := h.begin(q, values, defaultEvents, func(c *cursor) (err error) {
		c.filter, err = h.filterOf(q.uid, values)
		return err
	})
	if err != nil {
		return nil, err
	}
	p := h.page(q, c)
	if c.none {
		return p.done(false), nil
	}
	found, err := h.newest(ctx, q, c)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if p.full() {
			return p.done(true), nil
		}
		if err := p.add(&found[i], false); err != nil {
			return nil, err
		}
		c.millis, c.sequence = found[i].Time.UnixMilli(), found[i].Sequence
	}
	return p.done(false), nil
}

// begin reads the cursor, which then says everything, or else the query.
func (h *Handler) begin(q *request, values url.Values, limit int, more func(*cursor) error) (*cursor, error) {
	text, ok := one(values, "cursor")
	if !ok {
		return nil, badCursor()
	}
	if text != "" {
		return h.open(q.way.kind, q.uid, text)
	}
	w, err := windowOf(values, limit)
	if err != nil {
		return nil, err
	}
	c := &cursor{window: w}
	return c, more(c)
}

// query is what of the archive a list is of.
func (h *Handler) query(q *request, c *cursor) audit.Query {
	q.whom = c.subjects
	return audit.Query{
		OrganizationUID: q.uid, Match: audit.Match{Types: shownTypes(q.key.Detail, c.action), Sites: c.sites, Flows: c.flows, Subjects: c.subjects, Networks: c.networks},
		NoSandbox: !q.key.Sandbox,
	}
}

// How a list by time looks for its rows: slice by slice of time, each as long as the last one has shown to be right.
const (
	ahead      = 2 * time.Minute // clocks may be wrong by that much
	firstSlice = 3 * time.Minute
	widen      = 16
	spare      = 16 // rows beyond twice what is needed, so that short pages take no more trips than long ones
)

// newest returns the rows after the cursor, newest first by millisecond of their time, then by sequence, up to one more than the
// limit. The archive is in the order of sequence, which late reports make another one: so it is asked for slices of time.
func (h *Handler) newest(ctx context.Context, q *request, c *cursor) ([]audit.Event, error) {
	need := c.limit + 1
	most := 2*need + spare
	query := h.query(q, c)
	if query.Types != nil && len(query.Types) == 0 {
		return nil, nil
	}
	var out []audit.Event
	end := h.c.Now().Add(ahead).UnixMilli()
	if c.to != 0 {
		end = min(end, c.to+1)
	}
	if c.sequence > 0 { // the rest of the millisecond the last page ended in
		rest, err := h.slice(ctx, query, c.millis, c.millis+1, c.sequence, need)
		if err != nil {
			return nil, err
		}
		out, end = rest, c.millis
	}
	width, crowded := firstSlice.Milliseconds(), int64(-1) // crowded: where a slice begins that holds too many
	for len(out) < need && end > c.from {
		start := max(c.from, end-width, 0)
		found, err := h.slice(ctx, query, start, end, 0, most)
		switch {
		case err != nil:
			return nil, err
		case len(found) == most && end-start > 1: // there may be newer ones that are out of reach
			crowded, width = start, (end-start)/2
			continue
		}
		slices.SortStableFunc(found, func(a, b audit.Event) int {
			return cmp.Or(cmp.Compare(b.Time.UnixMilli(), a.Time.UnixMilli()), cmp.Compare(b.Sequence, a.Sequence))
		})
		out = append(out, found...)
		end = start
		if end > crowded && crowded >= 0 { // what is left of that slice holds too many as well
			width = max(1, (end-crowded)/2)
			continue
		}
		crowded = -1
		if len(found)*widen < most {
			width *= widen
		}
	}
	return out[:min(len(out), need)], nil
}

// slice reads rows of [start, end), highest sequence first, below one if it is given.
func (h *Handler) slice(ctx context.Context, query audit.Query, start, end, below int64, limit int) ([]audit.Event, error) {
	query.Start, query.End = time.UnixMilli(start).UTC(), time.UnixMilli(end).UTC()
	query.Descending, query.After, query.Limit = true, below, limit
	return h.c.Reader.Events(ctx, query) //nolint:wrapcheck // an errs.Error of the archive
}

// event answers /events/{id}: one row that the lists show.
func (h *Handler) event(ctx context.Context, q *request) (any, error) {
	e, err := h.c.Reader.Event(ctx, q.uid, q.way.event)
	if err != nil {
		return nil, err //nolint:wrapcheck // an errs.Error of the archive
	}
	if e.OrganizationUID != q.uid || !shown(&e, q.key.Detail) || e.Sandbox && !q.key.Sandbox {
		return nil, faultOf(404, "ADMIN-404-4", "Event not found", "there is no such event")
	}
	row, err := h.row(q, &e, false)
	if err != nil {
		return nil, err
	}
	return map[string]any{"data": row}, nil
}
