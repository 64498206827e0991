package sqlite

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// timeline is a range of stored times between some bounds. What lies between two neighbours has one number.
type timeline struct {
	bounds    []int64
	low, high int64   // Start and End of the query may narrow the bounds further; high is exclusive
	cut       []int64 // the quarters that a bound, low or high goes through: kept counts cannot tell what lies on which side
}

func newTimeline(q *audit.Query, bounds []time.Time) *timeline {
	t := &timeline{low: math.MinInt64, high: math.MaxInt64}
	if !q.Start.IsZero() {
		t.low = stored.Nanos(q.Start)
	}
	if !q.End.IsZero() {
		t.high = stored.Nanos(q.End)
	}
	for _, b := range bounds {
		t.bounds = append(t.bounds, stored.Nanos(b))
	}
	if n := len(t.bounds); n > 0 {
		t.low, t.high = max(t.low, t.bounds[0]), min(t.high, t.bounds[n-1])
	}
	for _, at := range append([]int64{t.low, t.high}, t.bounds...) {
		if at >= t.low && at <= t.high && at != math.MinInt64 && at != math.MaxInt64 && at != quarterOf(at)*quarter {
			t.cut = append(t.cut, quarterOf(at))
		}
	}
	slices.Sort(t.cut)
	t.cut = slices.Compact(t.cut)
	return t
}

// at returns between which bounds a time lies: 0 is between the first two; false outside of the range.
func (t *timeline) at(nanos int64) (int, bool) {
	if nanos < t.low || nanos >= t.high {
		return 0, false
	}
	n, found := slices.BinarySearchFunc(t.bounds, nanos, cmp.Compare[int64])
	if !found {
		n--
	}
	return max(n, 0), true
}

// until returns the first time that lies after the bounds between which a time of the range lies.
func (t *timeline) until(between int) int64 {
	if between+1 < len(t.bounds) {
		return min(t.high, t.bounds[between+1])
	}
	return t.high
}

// one reports whether all times from low to high lie between the same bounds, and which, and in no quarter that is cut.
func (t *timeline) one(low, high int64) (int, bool) {
	first, in := t.at(low)
	last, also := t.at(high)
	i, _ := slices.BinarySearch(t.cut, quarterOf(low))
	return first, in && also && first == last && (i == len(t.cut) || t.cut[i] > quarterOf(high))
}

// within narrows a query to a quarter that is cut.
func (t *timeline) within(q audit.Query, n int64) audit.Query {
	q.Start, q.End = time.Unix(0, max(t.low, n*quarter)).UTC(), time.Unix(0, min(t.high, (n+1)*quarter)).UTC()
	return q
}

// whole narrows a query to the range.
func (t *timeline) whole(q audit.Query) audit.Query {
	if t.low != math.MinInt64 {
		q.Start = time.Unix(0, t.low).UTC()
	}
	if t.high != math.MaxInt64 {
		q.End = time.Unix(0, t.high).UTC()
	}
	return q
}
