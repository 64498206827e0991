package sqlite

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// Counts go by quarters of an hour: every time zone there is begins its days at one.
const (
	quarter        = int64(15 * time.Minute)
	quartersInWeek = 7 * 24 * 4
)

// quarterOf returns the quarter, counted from 1970, in which a stored time lies.
func quarterOf(nanos int64) int64 { return floor(nanos, quarter) }

func weekOf(quarter int64) int64 { return floor(quarter, quartersInWeek) }

func floor(n, by int64) int64 {
	q := n / by
	if n%by < 0 {
		q--
	}
	return q
}

// cell counts events of one quarter of Event.Time. lag is how many quarters later their Moment lies, nearly always 0: retention
// goes by that.
type cell struct{ quarter, lag, events int64 }

// cells are those of one week.
type cells []cell

func (c *cells) add(quarter, lag int64) {
	if n := len(*c); n > 0 && (*c)[n-1].quarter == quarter && (*c)[n-1].lag == lag {
		(*c)[n-1].events++
		return
	}
	*c = append(*c, cell{quarter, lag, 1})
}

// merged returns the cells in order, each quarter and lag once.
func (c cells) merged() cells {
	slices.SortFunc(c, func(a, b cell) int { return cmp.Or(cmp.Compare(a.quarter, b.quarter), cmp.Compare(a.lag, b.lag)) })
	out := c[:0]
	for _, x := range c {
		if n := len(out); n > 0 && out[n-1].quarter == x.quarter && out[n-1].lag == x.lag {
			out[n-1].events += x.events
			continue
		}
		out = append(out, x)
	}
	return out
}

func (c cells) events() (n int64) {
	for _, x := range c {
		n += x.events
	}
	return n
}

// pack writes merged cells of a week: for each the distance to the quarter before (from the week's first) times two, plus one when
// a lag follows; the lag; the count.
func (c cells) pack() []byte {
	if len(c) == 0 {
		return nil
	}
	out := make([]byte, 0, 3*len(c))
	at := weekOf(c[0].quarter) * quartersInWeek
	for _, x := range c {
		head := uint64(x.quarter-at) << 1 //nolint:gosec // they rise
		if x.lag != 0 {
			head |= 1
		}
		out = binary.AppendUvarint(out, head)
		if x.lag != 0 {
			out = binary.AppendVarint(out, x.lag)
		}
		out = binary.AppendUvarint(out, uint64(x.events)) //nolint:gosec // a count
		at = x.quarter
	}
	return out
}

var errQuarters = errors.New("sqlite: quarters of a count cannot be read")

// unpack reads what pack wrote for a week, and adds it to c.
func (c cells) unpack(week int64, b []byte) (cells, error) {
	at := week * quartersInWeek
	for len(b) > 0 {
		head, n := binary.Uvarint(b)
		if n <= 0 || head>>1 >= quartersInWeek {
			return nil, errQuarters
		}
		b = b[n:]
		at += int64(head >> 1)
		x := cell{quarter: at}
		if head&1 != 0 {
			if x.lag, n = binary.Varint(b); n <= 0 {
				return nil, errQuarters
			}
			b = b[n:]
		}
		count, n := binary.Uvarint(b)
		if n <= 0 || count > 1<<40 {
			return nil, errQuarters
		}
		b = b[n:]
		x.events = int64(count)
		c = append(c, x)
	}
	return c, nil
}
