package stored

import (
	"testing"
	"time"
)

func TestNanos(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 1).UTC(), time.Unix(-1, 0).UTC(), time.Date(2024, 2, 29, 23, 59, 59, 999_999_999, time.UTC)} {
		if got := Time(Nanos(at)); !got.Equal(at) || got.IsZero() != at.IsZero() {
			t.Errorf("%v came back as %v", at, got)
		}
	}
	early, late := time.Date(1, 2, 3, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := Time(Nanos(early)).Year(); got != 1678 {
		t.Errorf("the year 1 was stored as %d", got)
	}
	if got := Time(Nanos(late)).Year(); got != 2262 {
		t.Errorf("the year 9999 was stored as %d", got)
	}
}
