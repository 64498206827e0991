package orgevents

import (
	"encoding/json"
	"net/url"

	"github.com/postern-audit/postern/audit"
)

// maxPageBytes ends a page early.
const maxPageBytes = 4 << 20

// page is a page being filled.
type page struct {
	h     *Handler
	q     *request
	c     *cursor
	rows  []json.RawMessage
	bytes int
}

func (h *Handler) page(q *request, c *cursor) *page {
	return &page{h: h, q: q, c: c, rows: []json.RawMessage{}}
}

// full reports whether the page takes no more rows.
func (p *page) full() bool { return len(p.rows) >= p.c.limit || p.bytes > maxPageBytes }

// add puts a row on the page.
func (p *page) add(e *audit.Event, streamed bool) error {
	row, err := p.h.row(p.q, e, streamed)
	if err != nil {
		return err
	}
	b, err := json.Marshal(row)
	if err != nil {
		return err
	}
	p.rows = append(p.rows, b)
	p.bytes += len(b)
	return nil
}

type pageBody struct {
	Data  []json.RawMessage `json:"data"`
	Links pageLinks         `json:"links"`
	Meta  pageMeta          `json:"meta"`
}

type pageLinks struct {
	Self string `json:"self,omitempty"`
	Next string `json:"next,omitempty"`
}

type pageMeta struct {
	Attributes *struct{} `json:"attributes"`
	Next       *string   `json:"next"`
	Prev       *string   `json:"prev"`
	Current    *string   `json:"current"`
	PageSize   int       `json:"page_size"`
	StartIndex *int      `json:"start_index"`
	EndIndex   *int      `json:"end_index"`
	Total      int       `json:"total"`
}

// done ends the page; more says that a cursor leads on from its last row. An empty page has none.
func (p *page) done(more bool) any {
	out := pageBody{Data: p.rows, Meta: pageMeta{PageSize: p.c.limit, Total: len(p.rows)}}
	if !more || len(p.rows) == 0 {
		return out
	}
	next := p.h.seal(p.q.way.kind, p.q.uid, p.c)
	out.Meta.Next = &next
	out.Links.Next = p.h.link(p.q, "?cursor="+next)
	out.Links.Self = p.h.link(p.q, "")
	if values, err := url.ParseQuery(p.q.http.URL.RawQuery); err == nil && len(values) > 0 {
		out.Links.Self += "?" + values.Encode()
	}
	return out
}

// link is the address of the list that was asked for, as callers outside know it.
func (h *Handler) link(q *request, query string) string {
	tail := "/events"
	if q.way.kind == stream {
		tail = "/events-stream"
	}
	return h.base(q) + tail + query
}

// base is the address of the organization.
func (h *Handler) base(q *request) string {
	return h.c.PublicURL + h.c.Prefix + "/" + q.way.organization
}
