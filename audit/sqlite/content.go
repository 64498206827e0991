package sqlite

import (
	"cmp"
	"database/sql"
	"slices"

	"github.com/postern-audit/postern/audit"
)

// categories are numbered as stored, from 1.
var categories = [...]audit.Category{audit.CategorySignIn, audit.CategoryAdministration, audit.CategoryActivity}

func categoryNumber(c audit.Category) int64 { return int64(max(slices.Index(categories[:], c), 0)) + 1 }

func categoryOf(number int64) audit.Category {
	return categories[min(max(number, 1), int64(len(categories)))-1]
}

// contentKey names a row of shelf_content.
type contentKey struct{ organization, shelf, category int64 }

// extent is the smallest and the largest of some numbers; absent without any.
type extent struct {
	low, high int64
	present   bool
}

func (x *extent) add(n int64) {
	if !x.present {
		*x = extent{n, n, true}
		return
	}
	x.low, x.high = min(x.low, n), max(x.high, n)
}

func (x *extent) values() (low, high any) {
	if !x.present {
		return nil, nil
	}
	return x.low, x.high
}

// content is a row of shelf_content, or what a transaction adds to it.
type content struct {
	events, flows           int64
	sequence, time, started extent
}

// contents collects content.
type contents map[contentKey]*content

func (c contents) at(key contentKey) *content {
	have, ok := c[key]
	if !ok {
		have = &content{}
		c[key] = have
	}
	return have
}

// event counts one event.
func (c contents) event(key contentKey, sequence, at int64) {
	have := c.at(key)
	have.events++
	have.sequence.add(sequence)
	have.time.add(at)
}

// flow counts new flows, or widens what is known of one that changed.
func (c contents) flow(key contentKey, added, started int64) {
	have := c.at(key)
	have.flows += added
	have.started.add(started)
}

// saveContent adds to a row; its arguments come from rows.
const saveContent = `INSERT INTO shelf_content (organization, shelf, category, events, flows,
	first_sequence, last_sequence, first_time, last_time, first_started, last_started) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT DO UPDATE SET events = events + excluded.events, flows = flows + excluded.flows,
	first_sequence = coalesce(min(first_sequence, excluded.first_sequence), first_sequence, excluded.first_sequence),
	last_sequence = coalesce(max(last_sequence, excluded.last_sequence), last_sequence, excluded.last_sequence),
	first_time = coalesce(min(first_time, excluded.first_time), first_time, excluded.first_time),
	last_time = coalesce(max(last_time, excluded.last_time), last_time, excluded.last_time),
	first_started = coalesce(min(first_started, excluded.first_started), first_started, excluded.first_started),
	last_started = coalesce(max(last_started, excluded.last_started), last_started, excluded.last_started)`

// rows returns the arguments of saveContent, in the order of the table.
func (c contents) rows() [][]any {
	keys := make([]contentKey, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b contentKey) int {
		return cmp.Or(cmp.Compare(a.organization, b.organization), cmp.Compare(a.shelf, b.shelf), cmp.Compare(a.category, b.category))
	})
	out := make([][]any, len(keys))
	for i, key := range keys {
		have := c[key]
		args := []any{key.organization, key.shelf, key.category, have.events, have.flows}
		for _, x := range []*extent{&have.sequence, &have.time, &have.started} {
			low, high := x.values()
			args = append(args, low, high)
		}
		out[i] = args
	}
	return out
}

// contentColumns are what scanContent reads, in its order.
const contentColumns = `c.shelf, c.category, c.events, c.flows, c.first_sequence, c.last_sequence, c.first_time, c.last_time, c.first_started, c.last_started`

// scanContent reads contentColumns, after the columns into.
func scanContent(scan func(...any) error, into ...any) (key contentKey, c content, err error) {
	var n [6]sql.NullInt64
	if err := scan(append(into, &key.shelf, &key.category, &c.events, &c.flows, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5])...); err != nil {
		return key, c, err
	}
	for i, x := range []*extent{&c.sequence, &c.time, &c.started} {
		*x = extent{n[2*i].Int64, n[2*i+1].Int64, n[2*i].Valid}
	}
	return key, c, nil
}
