package audit

import (
	"fmt"
	"time"
)

// Shelf is where an archive keeps the events of one window of time that are kept for the same number of days. It goes as a
// whole.
//
// An event belongs to the shelf of its Moment and of the days its organization keeps its category at the time it is archived;
// a flow's row to that of the flow id's Moment (with the recorded time of the event that makes the row) and of the days of sign-ins.
type Shelf struct {
	Keep       int       // days
	Start, End time.Time // UTC; End is exclusive
}

// Windows by the days kept: a shelf outlives its first event by no more than about a seventh of them from a month on.
const (
	dailyUpTo  = 31
	weeklyUpTo = 400
)

// Window returns how long the window of a shelf is. It follows from the days alone, and must never change: stored shelves are
// looked for by it.
func Window(keep int) time.Duration {
	switch {
	case keep <= dailyUpTo:
		return day
	case keep <= weeklyUpTo:
		return 7 * day
	default:
		return 30 * day
	}
}

// ShelfOf returns the shelf for these days and this moment. Windows are counted from 1970-01-01 in UTC, without leap seconds;
// what comes earlier is taken for the first of them.
func ShelfOf(keep int, moment time.Time) Shelf {
	window := Window(keep).Milliseconds()
	start := max(moment.UnixMilli(), 0) / window * window
	return Shelf{Keep: keep, Start: time.UnixMilli(start).UTC(), End: time.UnixMilli(start + window).UTC()}
}

// String names the shelf for people, as "180d-2026-03-05".
func (s Shelf) String() string {
	return fmt.Sprintf("%dd-%s", s.Keep, s.Start.UTC().Format(time.DateOnly))
}

// Passed reports whether a retention does not need what its organization has of the category on the shelf: no hold, and the
// days have gone by since the shelf's end. At that moment the last event on it is already past its edge.
func (s Shelf) Passed(r Retention, c Category, now time.Time) bool {
	return !r.Hold && !s.End.After(r.Edge(c, now))
}

// idTolerance is how far the moment in an id may lie from the recorded time to be believed.
const idTolerance = 400 * day

// Moment returns the moment that shelves and edges go by: that of the id when it is a UUIDv7, in lower-case text form, whose
// milliseconds lie within 400 days of the recorded time, the recorded time in milliseconds otherwise (then own is false). It
// never lies before 1970 or after the last moment a UUIDv7 can have.
//
// So the shelves an id may lie on follow from the id alone, except for the few whose moment is not their own: an archive
// notes which shelves have such.
func Moment(id string, recorded time.Time) (moment time.Time, own bool) {
	if ms, ok := IDMoment(id); ok {
		if d := ms.Sub(recorded); d <= idTolerance && d >= -idTolerance {
			return ms, true
		}
	}
	return time.UnixMilli(min(max(recorded.UnixMilli(), 0), maxIDMillis)).UTC(), false
}

const maxIDMillis = 1<<48 - 1

// IDMoment returns the moment in a UUIDv7 in lower-case text form; false for any other text.
func IDMoment(id string) (time.Time, bool) {
	if len(id) != 36 || id[14] != '7' {
		return time.Time{}, false
	}
	var ms int64
	for i := range len(id) {
		c := id[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return time.Time{}, false
			}
			continue
		}
		var digit byte
		switch {
		case c >= '0' && c <= '9':
			digit = c - '0'
		case c >= 'a' && c <= 'f':
			digit = c - 'a' + 10
		default:
			return time.Time{}, false
		}
		if i < 13 {
			ms = ms<<4 | int64(digit)
		}
	}
	if v := id[19]; v != '8' && v != '9' && v != 'a' && v != 'b' {
		return time.Time{}, false
	}
	return time.UnixMilli(ms).UTC(), true
}

// FirstID returns the text that UUIDv7s of this moment and later do not sort before, and earlier ones do.
func FirstID(moment time.Time) string {
	ms := min(max(moment.UnixMilli(), 0), maxIDMillis)
	return fmt.Sprintf("%08x-%04x", ms>>16, ms&0xffff)
}
