package orgevents_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
)

// The pollers below do, request by request, what the ones of docs/siem.md do; in between time passes and rows are written.

// happens writes what happened until the clock of the rig, each recorded in its order and archived a little later.
func (r *rig) happens(n int, every time.Duration, late func(i int) time.Duration) []audit.Event {
	events := administration(n)
	for i := range events {
		r.now = r.now.Add(every)
		events[i].RecordedTime = r.now.Truncate(time.Millisecond)
		events[i].Time = events[i].RecordedTime.Add(-late(i))
	}
	return r.archive.add(uidA, events...)
}

// agent begins again at the second of its last row, up to the second it is now, and follows cursors until there is none.
type agent struct {
	from string
	ids  []string
}

func (a *agent) interval(r *rig) {
	path := fmt.Sprintf("/acme/events-stream?limit=4&from=%s&to=%d000&sortOrder=asc", a.from, r.now.Unix())
	for {
		l := r.list(path, "flows")
		for _, row := range l.Data {
			if !slices.Contains(a.ids, row.ID) { // by event.id
				a.ids = append(a.ids, row.ID)
			}
		}
		if n := len(l.Data); n > 0 {
			at, err := time.Parse(time.RFC3339, l.Data[n-1].Attributes.ProcessedAt)
			if err != nil {
				r.t.Fatal(err)
			}
			a.from = strconv.FormatInt(at.Unix()*1000, 10)
		}
		if l.Meta.Next == nil {
			return
		}
		path = "/acme/events-stream?limit=4&cursor=" + *l.Meta.Next
	}
}

func TestAnAgentThatBeginsAgainAtTheSecondOfItsLastRowMissesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		a := &agent{from: millis(r.now.Add(-24 * time.Hour))}
		var want []string
		for range rapid.IntRange(1, 12).Draw(rt, "intervals") {
			every := time.Duration(rapid.IntRange(0, 900).Draw(rt, "every ms")) * time.Millisecond
			want = append(want, idsOf(r.happens(rapid.IntRange(0, 15).Draw(rt, "rows"), every, func(int) time.Duration { return time.Hour }))...)
			a.interval(r)
		}
		r.now = r.now.Add(time.Second)
		a.interval(r)
		if !slices.Equal(a.ids, want) {
			rt.Fatalf("%d rows, want %d", len(a.ids), len(want))
		}
	})
}

// grove reads newest first from the time of the newest row it knows, waits where it is told to, and gives up where it cannot read
// when to come back.
type grove struct {
	pointer time.Time
	ids     []string
	waited  int
}

func (g *grove) run(r *rig) {
	from, cursor := millis(g.pointer), ""
	for first := true; ; first = false {
		path := "/acme/events?from=" + from
		if cursor != "" {
			path += "&cursor=" + cursor
		}
		a := r.get(path, "flows")
		if a.status == http.StatusTooManyRequests {
			reset, err := time.Parse("2006-01-02T15:04-0700", a.header.Get("X-RateLimit-Reset"))
			if err != nil {
				reset, err = time.Parse("2006-01-02T15:04Z", a.header.Get("X-RateLimit-Reset"))
			}
			if err != nil || reset.Sub(r.now) >= 180*time.Second {
				r.t.Fatalf("it gives up: %v", err)
			}
			g.waited++
			r.now = reset
			continue
		}
		l := r.page(a)
		for i, row := range l.Data {
			if !slices.Contains(g.ids, row.ID) {
				g.ids = append(g.ids, row.ID)
			}
			if at, err := time.Parse("2006-01-02T15:04:05.999Z07:00", row.Attributes.Time); err != nil {
				r.t.Fatal(err)
			} else if first && i == 0 {
				g.pointer = at
			}
		}
		if l.Meta.Next == nil {
			return
		}
		cursor = *l.Meta.Next
	}
}

func TestAPollerOfTheNewestFirstListIsLimitedWaitsAndHasAll(t *testing.T) {
	r := newRig(t)
	r.limit = 10
	r.restart()
	g := &grove{pointer: r.now.Add(-7 * 24 * time.Hour)}
	var want []string
	for range 4 {
		want = append(want, idsOf(r.happens(450, 100*time.Millisecond, func(int) time.Duration { return 20 * time.Millisecond }))...)
		g.run(r)
		g.run(r)
	}
	slices.Sort(want)
	slices.Sort(g.ids)
	if g.waited == 0 || !slices.Equal(g.ids, want) {
		t.Errorf("waited %d times, %d rows, want %d", g.waited, len(g.ids), len(want))
	}
}
