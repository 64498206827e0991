package stored

import (
	"bytes"

	"github.com/postern-audit/postern/audit"
)

// Trace is what an erasure looks at of one event: where it lies, and what it is found by.
type Trace struct {
	Position int64
	ID       string // as the row of its flow names it
	Flow     string
	Indexes  []audit.Index
	Erased   bool // nothing personal is left of it, though there was
}

// Whole reports whether a flow belongs to a person of whom an event in it was erased: when the event that bound it is erased, or
// when nothing bound it. Then what its other events say of a person, such as where it came from, goes as well.
func Whole(bind string, events []Trace) bool {
	if bind == "" {
		return true
	}
	for i := range events {
		if events[i].ID == bind {
			return events[i].Erased
		}
	}
	return false
}

// Loose returns the blind indexes that must not lead to a flow any more: those that were erased and the subject's own, as far as
// no event that is left has them.
func Loose(subjects []audit.Index, erased, left []Trace) []audit.Index {
	var out []audit.Index
	add := func(indexes []audit.Index) {
		for _, x := range indexes {
			if !has(out, x) && !leads(left, x) {
				out = append(out, x)
			}
		}
	}
	add(subjects)
	for i := range erased {
		add(erased[i].Indexes)
	}
	return out
}

func leads(events []Trace, x audit.Index) bool {
	for i := range events {
		if has(events[i].Indexes, x) {
			return true
		}
	}
	return false
}

func has(indexes []audit.Index, x audit.Index) bool {
	for i := range indexes {
		if indexes[i].Purpose == x.Purpose && bytes.Equal(indexes[i].Value, x.Value) {
			return true
		}
	}
	return false
}
