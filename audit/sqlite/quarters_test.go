package sqlite

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
)

func TestQuartersComeBackAsTheyWerePacked(t *testing.T) {
	for _, week := range []int64{0, 2967, -1, -15000, 15000} {
		first := week * quartersInWeek
		c := cells{}
		for _, q := range []int64{671, 0, 5, 5, 300, 5} {
			for _, lag := range []int64{0, 3, -2, 1 << 30, 0} {
				c.add(first+q, lag)
			}
		}
		c = c.merged()
		if c.events() != 30 || weekOf(c[0].quarter) != week {
			t.Fatalf("%+v", c)
		}
		got, err := cells(nil).unpack(week, c.pack())
		if err != nil || !slices.Equal(got, c) {
			t.Errorf("week %d: %+v, %v\nwant %+v", week, got, err, c)
		}
		again, err := c.unpack(week, c.pack())
		if again = again.merged(); err != nil || again.events() != 60 || len(again) != len(c) {
			t.Errorf("twice: %+v, %v", again, err)
		}
	}
}

func FuzzQuartersThatCannotBeReadAreAnError(f *testing.F) {
	c := cells{{5, 0, 3}, {6, -4, 1}, {671, 9, 1 << 39}}
	f.Add(c.pack())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := cells(nil).unpack(0, b)
		if err == nil && len(b) > 0 && len(got) == 0 {
			t.Errorf("%x reads as nothing", b)
		}
		for _, x := range got {
			if x.events < 0 || x.quarter < 0 {
				t.Errorf("%x reads as %+v", b, x)
			}
		}
	})
}

func TestATimelineKnowsWhatABoundCuts(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	line := newTimeline(&audit.Query{Start: at.Add(time.Minute)}, []time.Time{at, at.Add(time.Hour), at.Add(time.Hour + 1), at.Add(2 * time.Hour)})
	n := at.UnixNano()
	if q := quarterOf(n); !slices.Equal(line.cut, []int64{q, q + 4}) {
		t.Errorf("cut %v, first quarter %d", line.cut, q)
	}
	for _, c := range []struct {
		after time.Duration
		want  int
		in    bool
	}{{0, 0, false}, {time.Minute - 1, 0, false}, {time.Minute, 0, true}, {time.Hour - 1, 0, true}, {time.Hour, 1, true}, {time.Hour + 1, 2, true}, {2*time.Hour - 1, 2, true}, {2 * time.Hour, 0, false}} {
		if got, in := line.at(n + int64(c.after)); in != c.in || (in && got != c.want) {
			t.Errorf("%v: %d, %v", c.after, got, in)
		}
	}
	if between, ok := line.one(n+int64(90*time.Minute), n+int64(100*time.Minute)); !ok || between != 2 {
		t.Errorf("between %d, %v", between, ok)
	}
	for _, c := range [][2]time.Duration{{30 * time.Minute, 90 * time.Minute}, {0, 5 * time.Minute}, {time.Minute, 20 * time.Minute}, {61 * time.Minute, 100 * time.Minute}, {110 * time.Minute, 2 * time.Hour}} {
		if _, ok := line.one(n+int64(c[0]), n+int64(c[1])); ok {
			t.Errorf("%v counts alike", c)
		}
	}
	open := newTimeline(&audit.Query{}, nil)
	if between, ok := open.one(math.MinInt64, math.MaxInt64-1); !ok || between != 0 || len(open.cut) != 0 {
		t.Errorf("an open range: %d, %v, %v", between, ok, open.cut)
	}
}
