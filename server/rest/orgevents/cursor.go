package orgevents

import (
	"encoding/binary"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/server/token"
)

// cursor is where a list goes on, with everything that the list is of.
type cursor struct {
	window
	filter
	millis   int64 // of the last row: its time in /events, its processing time in /events-stream
	sequence int64 // of the last row
}

// seal writes a cursor. It is good for one path of one organization, whatever key comes with it, so that keys can be replaced.
func (h *Handler) seal(k kind, uid string, c *cursor) string {
	flags := byte(0)
	if c.ascending {
		flags = 1
	}
	b := []byte{flags}
	for _, n := range []int64{c.from, c.to, int64(c.limit), c.millis, c.sequence} {
		b = binary.AppendUvarint(b, uint64(n)) //nolint:gosec // none is negative
	}
	b = appendText(b, c.action)
	for _, list := range [][]string{c.sites, c.flows} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, s := range list {
			b = appendText(b, s)
		}
	}
	for _, list := range [][]audit.Index{c.subjects, c.networks} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, x := range list {
			b = appendText(binary.AppendUvarint(b, uint64(x.Purpose)), string(x.Value)) //nolint:gosec // none is negative
		}
	}
	return h.tokens.Seal(token.Poll, b, []byte{byte(k)}, []byte(uid))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// open reads a cursor.
func (h *Handler) open(k kind, uid, text string) (*cursor, error) {
	b, err := h.tokens.Open("cursor", token.Poll, text, []byte{byte(k)}, []byte(uid))
	if err != nil || len(b) == 0 {
		return nil, badCursor()
	}
	r := reading{b: b[1:]}
	c := &cursor{}
	c.ascending = b[0] == 1
	c.from, c.to, c.limit = r.number(), r.number(), int(r.number())
	c.millis, c.sequence = r.number(), r.number()
	c.action = r.text()
	for _, list := range []*[]string{&c.sites, &c.flows} {
		for range r.count() {
			*list = append(*list, r.text())
		}
	}
	for _, list := range []*[]audit.Index{&c.subjects, &c.networks} {
		for range r.count() {
			*list = append(*list, audit.Index{Purpose: audit.Purpose(r.number()), Value: []byte(r.text())}) //nolint:gosec // sealed as it was
		}
	}
	if r.bad || len(r.b) > 0 || c.limit < 1 || c.limit > maxLimit {
		return nil, badCursor()
	}
	return c, nil
}

// reading reads what seal wrote: of another version, at worst, since nobody else can have made it.
type reading struct {
	b   []byte
	bad bool
}

func (r *reading) number() int64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n >= 1<<63 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return int64(n) //nolint:gosec // checked
}

// count is the length of a list, each element of which takes a byte at least.
func (r *reading) count() int {
	n := r.number()
	if n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *reading) text() string {
	n := r.count()
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}
