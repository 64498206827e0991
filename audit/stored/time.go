package stored

import "time"

// Nanos is how a time is stored: nanoseconds since 1970, 0 for none; what int64 cannot hold becomes the nearest year's begin that it can.
func Nanos(t time.Time) int64 {
	earliest, latest := time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
	switch {
	case t.IsZero():
		return 0
	case t.Before(earliest):
		return earliest.UnixNano()
	case t.After(latest):
		return latest.UnixNano()
	default:
		return t.UnixNano()
	}
}

// Time is the time that Nanos stored.
func Time(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
