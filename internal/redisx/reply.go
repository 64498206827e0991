package redisx

import (
	"strconv"

	"github.com/postern-audit/postern/internal/errs"
)

// Reply reads the answer of a script: a list of texts, absences and lists. Reading past its end or finding another type than
// asked for is remembered, so that one look at Err after the last read is enough.
type Reply struct {
	list []any
	bad  bool
}

// NewReply returns a reader of v, which must be a list.
func NewReply(v any) *Reply {
	list, ok := v.([]any)
	return &Reply{list: list, bad: !ok}
}

// Err is the trouble of any read so far.
func (r *Reply) Err() error {
	if r.bad {
		return errs.New(errs.Internal, "STORE_REPLY", "the store answered in a form this version does not know")
	}
	return nil
}

// Len is how many elements there are.
func (r *Reply) Len() int { return len(r.list) }

func (r *Reply) at(i int) any {
	if i >= len(r.list) {
		r.bad = true
		return nil
	}
	return r.list[i]
}

// Text returns element i, empty when absent.
func (r *Reply) Text(i int) string {
	s, _ := r.Find(i)
	return s
}

// Find returns element i and whether it is there.
func (r *Reply) Find(i int) (string, bool) {
	switch v := r.at(i).(type) {
	case nil:
		return "", false
	case string:
		return v, true
	default:
		r.bad = true
		return "", false
	}
}

// Int returns element i, which is a number or a text of one; 0 when absent.
func (r *Reply) Int(i int) int64 {
	switch v := r.at(i).(type) {
	case nil:
		return 0
	case int64:
		return v
	case string:
		if v == "" {
			return 0
		}
		n, err := strconv.ParseInt(v, 10, 64)
		r.bad = r.bad || err != nil
		return n
	default:
		r.bad = true
		return 0
	}
}

// List returns element i as a list and whether it is there.
func (r *Reply) List(i int) (*Reply, bool) {
	v := r.at(i)
	return NewReply(v), v != nil
}
