package archivetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// seen returns the ids a reader sees, after holding every way of looking to the same answer.
func (w *world) seen(organizationUID string, written []audit.Event) []string {
	w.Helper()
	got := w.pages(audit.Query{OrganizationUID: organizationUID}, 3)
	down := w.pages(audit.Query{OrganizationUID: organizationUID, Descending: true}, 3)
	slices.Reverse(down)
	if !slices.Equal(got, down) {
		w.Errorf("upwards %v\ndownwards %v", got, down)
	}
	for i := range written {
		e := &written[i]
		want := slices.Contains(got, e.ID)
		if _, err := w.Event(w.Context(), organizationUID, e.ID); (err == nil) != want {
			w.Errorf("%s: listed %v, alone %v", e.ID, want, err)
		}
		if listed := w.pages(audit.Query{OrganizationUID: organizationUID, Match: audit.Match{Types: []string{string(e.Type)}}}, 2); slices.Contains(listed, e.ID) != want {
			w.Errorf("%s: listed %v, by type %v", e.ID, want, listed)
		}
		for _, x := range e.Indexes {
			if listed := w.pages(audit.Query{OrganizationUID: organizationUID, Match: audit.Match{Subjects: []audit.Index{x}}}, 2); slices.Contains(listed, e.ID) != want {
				w.Errorf("%s: listed %v, by subject %v", e.ID, want, listed)
			}
		}
	}
	return got
}

// dating makes an event of a type at so many days before began, with an index.
func (w *world) dating(t audit.Type, ago int) audit.Event {
	return w.event(dated(began.Add(-time.Duration(ago)*day)), func(e *audit.Event) {
		e.Type, e.Outcome = t, audit.OutcomeOf(t)
		e.Indexes = []audit.Index{index(audit.IndexAccount, fmt.Sprint(ago))}
	})
}

var edgeCases = []testCase{
	{"readers see what the present retention keeps, by the hour", func(w *world) {
		w.retain(orgA, days(10))
		hour := began.Truncate(time.Hour)
		edge := hour.Add(-10 * day)
		var written []audit.Event
		for _, off := range []time.Duration{-day, -time.Millisecond, 0, time.Millisecond, 9 * day} {
			written = append(written, w.event(dated(edge.Add(off))))
		}
		w.add(written...)
		for _, c := range []struct {
			now  time.Time
			from int
		}{{hour, 2}, {hour.Add(time.Hour - 1), 2}, {hour.Add(-1), 1}, {hour.Add(time.Hour), 4}, {began.Add(-day), 0}, {began.Add(9 * day), 4}, {hour.Add(9*day + time.Hour), 5}} {
			w.set(c.now)
			if got, want := w.seen(orgA, written), ids(written[c.from:]); !slices.Equal(got, want) {
				w.Errorf("at %v: %v, want %v", c.now, got, want)
			}
		}
		if last, _ := w.position(orgA); last != 5 {
			w.Errorf("position %d", last)
		}
	}},
	{"each category has its own edge", func(w *world) {
		w.retain(orgA, audit.Retention{SignIn: 20, Administration: 100, Activity: 300})
		var written []audit.Event
		for _, ago := range []int{350, 250, 90, 19, 1} {
			for _, t := range []audit.Type{audit.TypeSessionEnded, audit.TypePolicyUpdated, audit.TypeTokenUsed} {
				written = append(written, w.dating(t, ago))
			}
		}
		w.set(began)
		w.add(written...)
		for _, r := range []audit.Retention{{SignIn: 20, Administration: 100, Activity: 300}, {SignIn: 300, Administration: 20, Activity: 100}, days(3650), days(1), days(95)} {
			w.retain(orgA, r)
			var want []string
			for i := range written {
				if e := &written[i]; !e.Time.Before(r.Edge(audit.CategoryOf(e.Type), began)) {
					want = append(want, e.ID)
				}
			}
			if got := w.seen(orgA, written); !slices.Equal(got, want) {
				w.Errorf("%+v: %v\nwant %v", r, got, want)
			}
		}
		w.retain(orgA, audit.Retention{SignIn: 1, Administration: 1, Activity: 1, Hold: true})
		if got := w.seen(orgA, written); !slices.Equal(got, ids(written)) {
			w.Errorf("on hold: %v", got)
		}
	}},
	{"a change binds the next reader, also through another handle", func(w *world) {
		old, young := w.dating(audit.TypeSessionEnded, 100), w.dating(audit.TypeSessionEnded, 3)
		w.add(old, young)
		other := w.Another(w)
		defer other.Close()
		for _, c := range []struct {
			days int
			want []string
		}{{180, []string{old.ID, young.ID}}, {30, []string{young.ID}}, {2, nil}, {365, []string{old.ID, young.ID}}} {
			w.retain(orgA, days(c.days))
			if got := ids(must(other.Events(w.Context(), audit.Query{OrganizationUID: orgA, Limit: 9}))(w)); !slices.Equal(got, c.want) {
				w.Errorf("%d days: %v, want %v", c.days, got, c.want)
			}
		}
	}},
	{"one organization's days are no other's", func(w *world) {
		old := w.dating(audit.TypePolicyUpdated, 100)
		theirs := w.dating(audit.TypePolicyUpdated, 101)
		ofB(&theirs)
		w.add(old, theirs)
		w.retain(orgA, days(7))
		if got := w.seen(orgA, nil); len(got) != 0 {
			w.Errorf("A sees %v", got)
		}
		if got := w.seen(orgB, []audit.Event{theirs}); !slices.Equal(got, []string{theirs.ID}) {
			w.Errorf("B sees %v", got)
		}
	}},
	{"flows go by the moment of their ids", func(w *world) {
		w.retain(orgA, audit.Retention{SignIn: 30, Administration: 365, Activity: 365})
		old, young, stray := w.flowAt(1, -40*day, ""), w.flowAt(2, -20*day, ""), w.flowAt(3, -40*day, "no uuid")
		for days, want := range map[int][]string{30: {young}, 41: {young, stray, old}, 19: nil, 180: {young, stray, old}} {
			w.retain(orgA, audit.Retention{SignIn: days, Administration: 1, Activity: 1})
			for _, size := range []int{1, 2, 10} {
				if got := w.flowPages(audit.FlowQuery{OrganizationUID: orgA}, size); !slices.Equal(got, want) {
					w.Errorf("%d days: %v, want %v", days, got, want)
				}
			}
			for _, id := range []string{old, young, stray} {
				_, events, err := w.Flow(w.Context(), orgA, id)
				if slices.Contains(want, id) != (err == nil) || (err == nil && len(events) != 2) {
					w.Errorf("%d days, flow %s: %d events, %v", days, id, len(events), err)
				}
			}
		}
	}},
	{"a flow over several shelves is one flow", flowOverShelves},
	{"pages go through shelves in order of sequence, whatever the days and times", func(w *world) {
		var written []audit.Event
		for n := range 90 {
			if n%10 == 0 {
				w.retain(orgA, days([]int{7, 180, 1000}[n/10%3]))
			}
			e := w.dating([]audit.Type{audit.TypeSessionEnded, audit.TypePolicyUpdated}[n%2], n*7%60)
			e.Site = fmt.Sprint("site-", n%4)
			written = append(written, e)
			w.add(e)
		}
		w.retain(orgA, days(365))
		w.set(began)
		if got := w.seen(orgA, written); !slices.Equal(got, ids(written)) {
			w.Errorf("order %v", got)
		}
		for _, q := range []audit.Query{{Match: audit.Match{Sites: []string{"site-1", "site-2"}}}, {Match: audit.Match{Types: []string{"session.*"}, Sites: []string{"site-2"}}},
			{Start: began.Add(-30 * day), End: began.Add(-3 * day)}, {Start: began.Add(-30 * day), Match: audit.Match{Types: []string{"policy.updated"}}}} {
			w.likeOnePage(q)
		}
	}},
}

// likeOnePage holds pages of every size, in both orders, to what one large page says.
func (w *world) likeOnePage(q audit.Query) {
	w.Helper()
	q.OrganizationUID = orgA
	want := w.pages(q, 1000)
	if len(want) == 0 {
		w.Fatalf("%+v finds nothing", q)
	}
	for _, size := range []int{1, 2, 7} {
		q.Descending = false
		if got := w.pages(q, size); !slices.Equal(got, want) {
			w.Errorf("%+v in pages of %d: %v\nwant %v", q, size, got, want)
		}
		q.Descending = true
		got := w.pages(q, size)
		slices.Reverse(got)
		if !slices.Equal(got, want) {
			w.Errorf("%+v downwards in pages of %d: %v\nwant %v", q, size, got, want)
		}
	}
}

// flowAt stores a flow of two events and returns its id: that given, or a UUIDv7.
func (w *world) flowAt(n int, off time.Duration, flow string) string {
	w.Helper()
	moment := began.Add(off).Truncate(time.Millisecond)
	if flow == "" {
		flow = idAt(moment, fmt.Sprint("flow", n))
	}
	in := func(e *audit.Event) { e.Flow = flow; dated(moment.Add(time.Duration(n) * time.Minute))(e) }
	w.add(w.step(n, 1, audit.TypeSignInStarted, in), w.step(n, 2, audit.TypeSignInSucceeded, in))
	return flow
}

// flowOverShelves lets the steps of one flow fall on both sides of a shelf's end, with another retention in between.
func flowOverShelves(w *world) {
	edge := audit.ShelfOf(180, began).Start
	flow := idAt(edge.Add(-time.Second), "flow")
	step := func(n int, t audit.Type, off time.Duration) audit.Event {
		return w.step(1, n, t, dated(edge.Add(off)), func(e *audit.Event) {
			e.Flow = flow
			e.Indexes = []audit.Index{index(audit.IndexAccount, fmt.Sprint(n))}
		})
	}
	one, two := step(1, audit.TypeSignInStarted, -time.Second), step(2, audit.TypePasswordVerified, time.Second)
	w.add(one)
	w.add(two)
	w.retain(orgA, days(90))
	three := step(3, audit.TypeSignInSucceeded, 2*time.Second)
	session := w.event(dated(edge.Add(9*day)), func(e *audit.Event) { e.Type, e.Flow = audit.TypeSessionEnded, flow })
	w.add(three, session)
	if got := len(w.used()); got != 4 {
		w.Fatalf("%d shelves, want 4", got)
	}
	row, events, err := w.Flow(w.Context(), orgA, flow)
	if err != nil || !slices.Equal(ids(events), []string{one.ID, two.ID, three.ID, session.ID}) || row.EndEventID != three.ID || row.BindEventID != two.ID {
		w.Errorf("row %+v\nevents %v, %v", row, ids(events), err)
	}
	if got := w.flowPages(audit.FlowQuery{OrganizationUID: orgA}, 1); !slices.Equal(got, []string{flow}) {
		w.Errorf("flows %v", got)
	}
	for n := 1; n <= 3; n++ {
		if got := w.flowPages(audit.FlowQuery{OrganizationUID: orgA, FlowMatch: audit.FlowMatch{Subjects: []audit.Index{index(audit.IndexAccount, fmt.Sprint(n))}}}, 2); len(got) != 1 {
			w.Errorf("by the subject of step %d: %v", n, got)
		}
	}
	if got := w.pages(audit.Query{OrganizationUID: orgA, Match: audit.Match{Flows: []string{flow}}}, 2); !slices.Equal(got, ids(events)) {
		w.Errorf("by flow %v", got)
	}
	fork := step(2, audit.TypePasswordRejected, 3*time.Second) // on another shelf than the first step 2
	if done := must(w.Append(w.Context(), w.batch(0, fork)))(w); done != (audit.Appended{Inserted: 1, Forked: 1}) {
		w.Errorf("a second step 2: %+v", done)
	}
	if open := must(w.OpenFlows(w.Context(), 0, "", 9))(w); len(open) != 0 {
		w.Errorf("open %+v", open)
	}
}
