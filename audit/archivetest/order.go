package archivetest

import (
	"fmt"
	"slices"

	"github.com/postern-audit/postern/audit"
)

var orderCases = []testCase{
	{"sequence numbers follow outbox order without gaps, organization by organization", func(w *world) {
		var wantA, wantB []string
		for n := range 5 {
			var batch []audit.Event
			for i := range 20 {
				if (n+i)%3 == 0 {
					e := w.event(ofB)
					wantB = append(wantB, e.ID)
					batch = append(batch, e)
					continue
				}
				e := w.event(func(e *audit.Event) { e.Time = at(-w.count) }) // order is the outbox's, whatever the times say
				wantA = append(wantA, e.ID)
				batch = append(batch, e)
			}
			w.add(batch...)
		}
		if got := ids(w.gapless(orgA, len(wantA))); !slices.Equal(got, wantA) {
			w.Errorf("order of A:\n%v\nwant\n%v", got, wantA)
		}
		if got := ids(w.gapless(orgB, len(wantB))); !slices.Equal(got, wantB) {
			w.Errorf("order of B:\n%v\nwant\n%v", got, wantB)
		}
	}},
	{"a batch sent again is all duplicates", func(w *world) {
		b := w.batch(0, w.event(), w.event(ofB), w.event())
		must(w.Append(w.Context(), b))(w)
		before := w.gapless(orgA, 2)
		if done := must(w.Append(w.Context(), b))(w); done != (audit.Appended{Duplicates: 3}) {
			w.Errorf("again: %+v", done)
		}
		if got := w.gapless(orgA, 2); !slices.Equal(ids(got), ids(before)) {
			w.Errorf("record changed: %v", ids(got))
		}
	}},
	{"duplicates among new events leave no gap and change nothing stored", func(w *world) {
		first, second := w.event(), w.event()
		w.add(first)
		changed := first
		changed.Reason, changed.Time, changed.Revision = "CHANGED", at(9000), 99
		third := w.event()
		done := must(w.Append(w.Context(), w.batch(0, second, changed, second, third, third)))(w)
		if done != (audit.Appended{Inserted: 2, Duplicates: 3}) {
			w.Errorf("appended %+v", done)
		}
		got := w.gapless(orgA, 3)
		if want := []string{first.ID, second.ID, third.ID}; !slices.Equal(ids(got), want) {
			w.Errorf("order %v, want %v", ids(got), want)
		}
		if got[0].Reason != "" {
			w.Error("a duplicate changed the stored event")
		}
		if r := must(w.Revisions(w.Context()))(w); r[orgA] != 0 {
			w.Errorf("a duplicate raised the revision to %d", r[orgA])
		}
	}},
	{"an id counts once over all partitions", func(w *world) {
		e := w.event()
		w.add(e)
		if done := must(w.Append(w.Context(), w.batch(1, e)))(w); done != (audit.Appended{Duplicates: 1}) {
			w.Errorf("appended %+v", done)
		}
		w.gapless(orgA, 1)
	}},
	{"an organization fed by two partitions still has no gap", func(w *world) {
		for n := range 6 {
			must(w.Append(w.Context(), w.batch(n%2, w.event(), w.event())))(w)
		}
		w.gapless(orgA, 12)
	}},
	{"position names the last event's recorded time", func(w *world) {
		events := []audit.Event{w.event(), w.event(), w.event(ofB)}
		w.add(events...)
		last, recorded := w.position(orgA)
		if want := w.entry(events[1]).RecordedTime; last != 2 || !recorded.Equal(want) {
			w.Errorf("position %d at %v, want 2 at %v", last, recorded, want)
		}
	}},
	{"a second event for the same step is stored and marked", func(w *world) {
		step := func(flow, n int, change ...func(*audit.Event)) audit.Event {
			return w.event(append(change, func(e *audit.Event) {
				e.Type, e.Flow, e.Step = audit.TypePasswordRejected, id("flow", flow), n
			})...)
		}
		one := []audit.Event{step(1, 1), step(1, 2), step(2, 1)}
		fork, inBatch := step(1, 2), step(2, 1)
		other := step(1, 1, ofB) // another organization's flow of the same name is another flow
		session := w.event(func(e *audit.Event) { e.Flow = id("flow", 1) })
		session2 := w.event(func(e *audit.Event) { e.Flow = id("flow", 1) })
		w.add(one...)
		done := must(w.Append(w.Context(), w.batch(0, fork, inBatch, other, session, session2, step(2, 2))))(w)
		if done != (audit.Appended{Inserted: 6, Forked: 2}) {
			w.Errorf("appended %+v", done)
		}
		for _, e := range append(w.all(orgA), w.all(orgB)...) {
			if want := e.ID == fork.ID || e.ID == inBatch.ID; e.Forked != want {
				w.Errorf("event %s of flow %s step %d: forked %v", e.ID, e.Flow, e.Step, e.Forked)
			}
		}
		w.gapless(orgA, 8)
	}},
	{"thousands of events in batches of five hundred", func(w *world) {
		const batches, size = 5, 500
		for n := range batches {
			var batch []audit.Event
			for i := range size {
				batch = append(batch, w.event(func(e *audit.Event) {
					e.Indexes = []audit.Index{index(audit.IndexAccount, fmt.Sprint(i%7)), index(audit.IndexNetwork16, fmt.Sprint(n))}
				}))
			}
			w.add(batch...)
		}
		w.gapless(orgA, batches*size)
	}},
}
