package orgevents

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

// stream answers /events-stream: in the order of sequence, which is the order in which rows became readable. Nothing is ever put
// before a row that was served.
func (h *Handler) stream(ctx context.Context, q *request, values url.Values) (any, error) {
	c, err := h.begin(q, values, defaultStream, func(c *cursor) error {
		order, ok := one(values, "sortOrder")
		switch strings.ToLower(order) {
		case "", "asc":
			c.ascending = ok
		case "desc":
		default:
			ok = false
		}
		if !ok {
			return badParameter("sortOrder must be asc or desc")
		}
		return h.place(ctx, q.uid, c)
	})
	if err != nil {
		return nil, err
	}
	p := h.page(q, c)
	query := h.query(q, c)
	query.After, query.Descending, query.Limit = c.sequence, !c.ascending, c.limit+1
	if !c.ascending && c.sequence == 0 { // nothing lies at or before the end that was asked for
		return p.done(false), nil
	}
	found, err := h.c.Reader.Events(ctx, query)
	if err != nil {
		return nil, err //nolint:wrapcheck // an errs.Error of the archive
	}
	for i := range found {
		e := &found[i]
		at := e.RecordedTime.UnixMilli()
		if c.ascending && c.to != 0 && at > c.to || !c.ascending && at < c.from {
			return p.done(false), nil
		}
		if p.full() {
			return p.done(true), nil
		}
		if c.ascending && c.millis > 0 { // after a setback of Redis its clock may run behind what was served
			at = max(at, c.millis)
		}
		e.RecordedTime = time.UnixMilli(at).UTC()
		if err := p.add(e, true); err != nil {
			return nil, err
		}
		c.millis, c.sequence = at, e.Sequence
	}
	// The last page that holds anything leads on to what comes, as long as anything can come.
	open := c.to == 0 || c.to >= h.c.Now().UnixMilli()
	return p.done(c.ascending && open && len(found) > 0), nil
}

// place puts a new cursor before the first row of its window.
func (h *Handler) place(ctx context.Context, uid string, c *cursor) error {
	if c.ascending && c.from == 0 {
		return nil
	}
	last, _, err := h.c.Reader.Position(ctx, uid)
	if err != nil {
		return err //nolint:wrapcheck // an errs.Error of the archive
	}
	if c.ascending {
		c.sequence, err = h.before(ctx, uid, c.from, last)
		return err
	}
	c.sequence = last
	if c.to != 0 {
		c.sequence, err = h.before(ctx, uid, c.to+1, last)
	}
	if c.sequence > 0 {
		c.sequence++ // the position is exclusive
	}
	return err
}

// before returns a sequence number: everything up to it was recorded before the moment, and nothing after it was. Recorded times grow
// with sequence numbers, so it halves.
func (h *Handler) before(ctx context.Context, uid string, millis, last int64) (int64, error) {
	low, high := int64(0), last
	for low < high {
		middle := low + (high-low)/2
		found, err := h.c.Reader.Events(ctx, audit.Query{OrganizationUID: uid, After: middle, Limit: 1})
		if err != nil {
			return 0, err //nolint:wrapcheck // an errs.Error of the archive
		}
		if len(found) == 0 || found[0].RecordedTime.UnixMilli() >= millis {
			high = middle
		} else {
			low = found[0].Sequence
		}
	}
	return low, nil
}
