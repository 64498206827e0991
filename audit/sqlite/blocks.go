package sqlite

import (
	"cmp"
	"database/sql"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// choice is a list of terms of which an event must have one.
type choice []audit.Term

// reach is a range of positions, from exclusive and to inclusive.
type reach struct{ from, to int64 }

// manyBlocks is how many blocks are looked up at once.
const manyBlocks = 512

// each calls fn with the stretches in which something can match, in the order of the query, until fn says that it has enough.
// Blocks in which no event has the terms or the time that are asked for are left out.
func (w *walk) each(fn func(reach) (more bool, err error)) error {
	low, high := sequenceOf(w.from)+1, sequenceOf(w.to)
	if len(w.choices) == 0 && w.q.Start.IsZero() && w.q.End.IsZero() {
		_, err := fn(reach{w.from, w.to})
		return err
	}
	for low <= high {
		first, last := low, high // of a few blocks: the next ones
		if w.q.Descending {
			first = max(first, (high>>blockBits-manyBlocks+1)<<blockBits)
			high = first - 1
		} else {
			last = min(last, (low>>blockBits+manyBlocks)<<blockBits-1)
			low = last + 1
		}
		runs, err := w.runs(first, last)
		if err != nil {
			return err
		}
		for _, run := range runs {
			if more, err := fn(run); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// runs returns the stretches between two sequence numbers, both inclusive, in which something can match.
func (w *walk) runs(first, last int64) ([]reach, error) {
	blocks, err := w.inTime(first>>blockBits, last>>blockBits)
	if err != nil {
		return nil, err
	}
	tail := (covered(w.view.last) + 1) >> blockBits
	for _, c := range w.choices {
		if len(blocks) == 0 {
			return nil, nil
		}
		have, err := w.withTerm(c, blocks[0], blocks[len(blocks)-1])
		if err != nil {
			return nil, err
		}
		blocks = slices.DeleteFunc(blocks, func(b int64) bool {
			_, found := slices.BinarySearch(have, b)
			return !found && b < tail
		})
	}
	var out []reach
	for _, b := range blocks {
		run := reach{position(w.view.number, max(first, b<<blockBits)) - 1, position(w.view.number, min(last, (b+1)<<blockBits-1))}
		if n := len(out); n > 0 && out[n-1].to == run.from {
			out[n-1].to = run.to
			continue
		}
		out = append(out, run)
	}
	if w.q.Descending {
		slices.Reverse(out)
	}
	return out, nil
}

// inTime lists the blocks from first to last that have events of the shelf in the range of time.
func (w *walk) inTime(first, last int64) ([]int64, error) {
	c := clause{args: []any{w.view.number, first, last}}
	if !w.q.Start.IsZero() {
		c.and("max_time >= ?", stored.Nanos(w.q.Start))
	}
	if !w.q.End.IsZero() {
		c.and("min_time < ?", stored.Nanos(w.q.End))
	}
	return w.numbers(`SELECT block FROM event_span_# WHERE organization = ? AND block BETWEEN ? AND ?`+c.text+` ORDER BY block`, c.args)
}

// withTerm lists the blocks from first to last in which an event of the shelf has one of the terms, in order.
func (w *walk) withTerm(terms choice, first, last int64) ([]int64, error) {
	byField := map[audit.Field][]string{}
	for _, t := range terms {
		byField[t.Field] = append(byField[t.Field], t.Value)
	}
	var out []int64
	for field, values := range byField {
		var c clause
		in(&c, "value", values)
		found, err := w.numbers(`SELECT block FROM term_# WHERE organization = ? AND field = ?`+c.text+` AND block BETWEEN ? AND ?`,
			slices.Concat([]any{w.view.number, int64(field)}, c.args, []any{first, last}))
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	slices.SortFunc(out, cmp.Compare[int64])
	return slices.Compact(out), nil
}

// numbers reads the only column of a query on the shelf.
func (w *walk) numbers(text string, args []any) ([]int64, error) {
	rows, err := w.tx.QueryContext(w.ctx, w.shelf.text(text), args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(r *sql.Rows) (n int64, err error) { return n, r.Scan(&n) })
}
