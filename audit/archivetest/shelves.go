package archivetest

import (
	"reflect"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

const day = 24 * time.Hour

// retain sets an organization's retention.
func (w *world) retain(organizationUID string, r audit.Retention) {
	w.Helper()
	if err := w.SetRetention(w.Context(), organizationUID, r); err != nil {
		w.Fatalf("retention: %v", err)
	}
}

// days is a retention of one number for all categories.
func days(n int) audit.Retention { return audit.Retention{SignIn: n, Administration: n, Activity: n} }

// dated puts an event at a moment: time, id and so recorded time.
func dated(moment time.Time) func(*audit.Event) {
	return func(e *audit.Event) { e.Time, e.ID = moment, idAt(moment, e.ID) }
}

// used lists the shelves with something on them.
func (w *world) used() []audit.ShelfState {
	w.Helper()
	return slices.DeleteFunc(must(w.Shelves(w.Context()))(w), func(s audit.ShelfState) bool { return len(s.Content) == 0 })
}

// names lists shelves by name.
func names(shelves []audit.ShelfState) []string {
	var out []string
	for _, s := range shelves {
		out = append(out, s.String())
	}
	return out
}

var shelfCases = []testCase{
	{"a retention is stored, and the standard one until then", func(w *world) {
		if got := must(w.Retention(w.Context(), orgA))(w); got != audit.StandardRetention() {
			w.Errorf("at first %+v", got)
		}
		for _, r := range []audit.Retention{{SignIn: 1, Administration: 3650, Activity: 7}, {SignIn: 30, Administration: 30, Activity: 30, Hold: true}} {
			w.retain(orgA, r)
			if got := must(w.Retention(w.Context(), orgA))(w); got != r {
				w.Errorf("stored %+v, got %+v", r, got)
			}
		}
		for _, r := range []audit.Retention{{}, days(0), days(-1), days(3651), {SignIn: 1, Administration: 1}, {SignIn: 1, Administration: 1, Activity: 1 << 40}} {
			if err := w.SetRetention(w.Context(), orgA, r); errs.KindOf(err) != errs.Invalid || !errs.Is(err, "RETENTION_OUT_OF_RANGE") {
				w.Errorf("%+v: %v", r, err)
			}
		}
		if got := must(w.Retention(w.Context(), orgB))(w); got != audit.StandardRetention() {
			w.Errorf("B has %+v", got)
		}
	}},
	{"shelves of now and next are made ahead, once", func(w *world) {
		w.retain(orgA, audit.Retention{SignIn: 30, Administration: 3650, Activity: 180})
		now := at(0)
		var want []string
		for _, keep := range []int{30, 180, 3650} {
			for _, moment := range []time.Time{now, now.Add(audit.Window(keep))} {
				want = append(want, audit.ShelfOf(keep, moment).String())
			}
		}
		for range 2 {
			if err := w.Ahead(w.Context(), now); err != nil {
				w.Fatal(err)
			}
			got := names(must(w.Shelves(w.Context()))(w))
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				w.Errorf("shelves %v, want %v", got, want)
			}
		}
	}},
	{"an event goes where its organization, its category and its id say", func(w *world) {
		w.retain(orgA, audit.Retention{SignIn: 10, Administration: 200, Activity: 1000})
		in := func(t audit.Type) func(*audit.Event) { return func(e *audit.Event) { e.Type = t } }
		recorded := at(5)
		signIn, admin, activity, other := w.event(in(audit.TypeSessionEnded)), w.event(in(audit.TypePolicyUpdated)), w.event(in(audit.TypeTokenUsed)), w.event(ofB)
		unknown := w.event(in("future.type"))
		b := w.batch(0, signIn, admin, activity, other, unknown)
		for i := range b.Entries {
			b.Entries[i].RecordedTime = recorded
		}
		must(w.Append(w.Context(), b))(w)
		want := map[string]int64{audit.ShelfOf(10, began).String(): 2, audit.ShelfOf(200, began).String(): 1,
			audit.ShelfOf(1000, began).String(): 1, audit.ShelfOf(audit.DefaultRetention, began).String(): 1}
		got := map[string]int64{}
		for _, s := range w.used() {
			for _, c := range s.Content {
				got[s.String()] += c.Events
			}
		}
		if !reflect.DeepEqual(got, want) {
			w.Errorf("shelves %v, want %v", got, want)
		}
		w.gapless(orgA, 4)
	}},
	{"the moment of an id counts to the millisecond, and only near the recorded time", atEdges},
	{"what was stored stays where it is when the retention changes", func(w *world) {
		first, second := w.event(), w.event()
		w.add(first)
		w.retain(orgA, days(30))
		w.add(second)
		if got, want := len(w.used()), 2; got != want {
			w.Fatalf("%d shelves, want %d", got, want)
		}
		if done := must(w.Append(w.Context(), w.batch(0, second, first, second)))(w); done != (audit.Appended{Duplicates: 3}) {
			w.Errorf("sent again: %+v", done)
		}
		w.gapless(orgA, 2)
		for _, e := range []audit.Event{first, second} {
			if got := must(w.Event(w.Context(), orgA, e.ID))(w); got.ID != e.ID {
				w.Errorf("got %s", got.ID)
			}
		}
	}},
	{"an id counts once over all shelves, also within a batch and when nothing tells its moment", func(w *world) {
		w.retain(orgB, days(30))
		for _, id := range []string{id("event", 900), "no uuid at all", idAt(began.Add(-1000*day), "old")} {
			mine := w.event(func(e *audit.Event) { e.ID = id })
			theirs := w.event(ofB, func(e *audit.Event) { e.ID = id })
			if done := must(w.Append(w.Context(), w.batch(0, mine, theirs)))(w); done != (audit.Appended{Inserted: 1, Duplicates: 1}) {
				w.Errorf("%q together: %+v", id, done)
			}
			if done := must(w.Append(w.Context(), w.batch(0, theirs)))(w); done != (audit.Appended{Duplicates: 1}) {
				w.Errorf("%q later: %+v", id, done)
			}
			again := w.batch(0, mine)
			again.Entries[0].RecordedTime = at(40 * 86400) // as when an outbox was filled again
			if done := must(w.Append(w.Context(), again))(w); done != (audit.Appended{Duplicates: 1}) {
				w.Errorf("%q recorded later: %+v", id, done)
			}
		}
		w.gapless(orgA, 3)
		w.gapless(orgB, 0)
	}},
	{"what lies on a shelf is counted", func(w *world) {
		a, b := w.step(1, 1, audit.TypeSignInStarted, func(e *audit.Event) { e.Time = at(50) }), w.step(1, 2, audit.TypePasswordVerified)
		w.add(a, b, w.event(), w.event(ofB))
		want := []audit.Content{
			{OrganizationUID: orgA, PrunedPart: audit.PrunedPart{Category: audit.CategorySignIn, Events: 2, Flows: 1, FirstSequence: 1, LastSequence: 2, FirstTime: b.Time, LastTime: a.Time}},
			{OrganizationUID: orgA, PrunedPart: audit.PrunedPart{Category: audit.CategoryAdministration, Events: 1, FirstSequence: 3, LastSequence: 3, FirstTime: at(3), LastTime: at(3)}},
			{OrganizationUID: orgB, PrunedPart: audit.PrunedPart{Category: audit.CategoryAdministration, Events: 1, FirstSequence: 1, LastSequence: 1, FirstTime: at(4), LastTime: at(4)}},
		}
		used := w.used()
		if len(used) != 1 || !reflect.DeepEqual(used[0].Content, want) {
			w.Errorf("got  %+v\nwant %+v", used, want)
		}
	}},
}

// atEdges puts ids on both sides of a shelf's edge, and where they are not believed.
func atEdges(w *world) {
	for n, keep := range []int{1, 31, 32, 400, 401, 3650} {
		w.retain(orgA, days(keep))
		edge := audit.ShelfOf(keep, began.Add(-20*day)).End
		before, after := w.event(dated(edge.Add(-1))), w.event(dated(edge))
		tooOld, tooNew := w.event(), w.event()
		b := w.batch(0, before, after, tooOld, tooNew)
		b.Entries[0].RecordedTime, b.Entries[1].RecordedTime = edge.Add(time.Hour), edge.Add(time.Hour)
		for i, off := range []time.Duration{-400*day - time.Millisecond, 400*day + time.Millisecond} {
			e := &b.Entries[2+i]
			e.Event.ID = idAt(edge.Add(off), e.Event.ID)
			e.RecordedTime = edge
			e.Raw = w.entry(e.Event).Raw
		}
		must(w.Append(w.Context(), b))(w)
		var got []int64
		for _, s := range w.used() {
			if s.Keep == keep {
				got = append(got, s.Content[0].Events)
			}
		}
		if !slices.Equal(got, []int64{1, 3}) {
			w.Errorf("%d days: %v events, want 1 before the edge and 3 after", keep, got)
		}
		w.retain(orgA, audit.Retention{SignIn: 1, Administration: 1, Activity: 1, Hold: true})
		for _, e := range b.Entries {
			if found := must(w.Event(w.Context(), orgA, e.Event.ID))(w); found.ID != e.Event.ID {
				w.Errorf("found %+v", found)
			}
		}
		if done := must(w.Append(w.Context(), b))(w); done != (audit.Appended{Duplicates: 4}) {
			w.Errorf("%d days, again: %+v", keep, done)
		}
		w.gapless(orgA, 4*(n+1))
	}
}
