package archivetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// queryCases look at one record: addRecord.
var queryCases = []testCase{
	{"each filter, both orders, every page size", func(w *world) {
		record := w.addRecord(300)
		for name, c := range filters() {
			var want []string
			for i := range record {
				if c.want(&record[i]) {
					want = append(want, record[i].ID)
				}
			}
			if len(want) == 0 != c.none {
				w.Fatalf("%s: the test expects %d events", name, len(want))
			}
			c.q.OrganizationUID = orgA
			for _, size := range []int{7, 100, 1000} {
				if got := w.pages(c.q, size); !slices.Equal(got, want) {
					w.Errorf("%s, oldest first, pages of %d:\n%v\nwant\n%v", name, size, got, want)
				}
			}
			slices.Reverse(want)
			c.q.Descending = true
			for _, size := range []int{7, 100, 1000} {
				if got := w.pages(c.q, size); !slices.Equal(got, want) {
					w.Errorf("%s, newest first, pages of %d:\n%v\nwant\n%v", name, size, got, want)
				}
			}
		}
	}},
	{"times include the start and exclude the end, to the nanosecond", func(w *world) {
		a, b := w.event(), w.event()
		w.add(a, b)
		for _, c := range []struct {
			start, end time.Time
			want       []string
		}{
			{a.Time, b.Time, []string{a.ID}}, {a.Time, b.Time.Add(1), []string{a.ID, b.ID}}, {a.Time.Add(1), b.Time.Add(1), []string{b.ID}},
			{a.Time.Add(1), b.Time, nil}, {b.Time.Add(1), time.Time{}, nil}, {time.Time{}, a.Time, nil}, {b.Time, a.Time, nil},
			{a.Time, a.Time, nil}, {time.Time{}, a.Time.Add(1), []string{a.ID}}, {b.Time, time.Time{}, []string{b.ID}},
		} {
			q := audit.Query{OrganizationUID: orgA, Start: c.start, End: c.end, Limit: 10}
			if got := ids(must(w.Events(w.Context(), q))(w)); !slices.Equal(got, c.want) {
				w.Errorf("[%v, %v): %v, want %v", c.start, c.end, got, c.want)
			}
		}
	}},
	{"late events are found by their own time in a long record", func(w *world) {
		const batches, size = 6, 500
		var late []string
		for n := range batches {
			var batch []audit.Event
			for i := range size {
				e := w.event()
				if i == 250 {
					e.Time, e.Late = at(-86400+n), true
					late = append(late, e.ID)
				}
				batch = append(batch, e)
			}
			w.add(batch...)
		}
		for _, desc := range []bool{false, true} {
			want := slices.Clone(late)
			if desc {
				slices.Reverse(want)
			}
			if got := w.pages(audit.Query{OrganizationUID: orgA, Descending: desc, End: at(0)}, 2); !slices.Equal(got, want) {
				w.Errorf("late events %v, want %v", got, want)
			}
		}
		tail := w.pages(audit.Query{OrganizationUID: orgA, Start: at(batches*size - 9)}, 100)
		if len(tail) != 10 {
			w.Errorf("%d events in the last ten seconds", len(tail))
		}
	}},
	{"one moment is found anywhere in a long record", func(w *world) {
		const size = 2500
		var record []audit.Event
		for range size {
			record = append(record, w.event())
		}
		w.add(record...)
		for power := 1; power < size; power *= 2 {
			for n := max(power-2, 0); n < min(power+2, size); n++ {
				for _, desc := range []bool{false, true} {
					at := record[n].Time
					got := w.pages(audit.Query{OrganizationUID: orgA, Start: at, End: at.Add(1), Descending: desc}, 10)
					if !slices.Equal(got, []string{record[n].ID}) {
						w.Fatalf("the moment of event %d, descending %v: %v", n+1, desc, got)
					}
				}
			}
		}
	}},
	{"filters see their own organization only", func(w *world) {
		share := func(e *audit.Event) {
			e.Site, e.Flow, e.Step, e.Type = "portal", id("flow", 1), w.count, audit.TypeMFARejected
			e.Indexes = []audit.Index{index(audit.IndexAccount, "shared")}
		}
		mine := w.event(share)
		w.add(w.event(share, ofB), mine, w.event(share, ofB))
		for _, q := range []audit.Query{{}, {Match: audit.Match{Sites: []string{"portal"}}}, {Match: audit.Match{Flows: []string{id("flow", 1)}}}, {Match: audit.Match{Types: []string{"mfa.rejected"}}},
			{Match: audit.Match{Types: []string{"mfa.*"}}}, {Match: audit.Match{Subjects: []audit.Index{index(audit.IndexAccount, "shared")}}}} {
			q.OrganizationUID = orgA
			if got := w.pages(q, 10); !slices.Equal(got, []string{mine.ID}) {
				w.Errorf("%+v: %v", q, got)
			}
			q.OrganizationUID = "nobody"
			if got := w.pages(q, 10); len(got) != 0 {
				w.Errorf("nobody: %v", got)
			}
		}
	}},
	{"a long list of values", func(w *world) {
		record := w.addRecord(40)
		var flows []string
		reasons, others := []string{"BAD_CREDENTIALS"}, []string{"WRONG_CODE"}
		for n := range 700 {
			flows = append(flows, id("flow", n))
			reasons, others = append(reasons, fmt.Sprintf("none \"%d\" ü", n)), append(others, fmt.Sprint("none ", n))
		}
		want := 0
		for i := range record {
			if record[i].Flow != "" {
				want++
			}
		}
		if got := w.pages(audit.Query{OrganizationUID: orgA, Match: audit.Match{Flows: flows}}, 9); len(got) != want {
			w.Errorf("%d events, want %d", len(got), want)
		}
		bad := 0
		for i := range record {
			if record[i].Reason == "BAD_CREDENTIALS" {
				bad++
			}
		}
		q := audit.Query{OrganizationUID: orgA, Match: audit.Match{Reasons: reasons}, Exclude: audit.Match{Reasons: others}}
		if got := w.pages(q, 9); bad == 0 || len(got) != bad {
			w.Errorf("%d events of many reasons, want %d", len(got), bad)
		}
	}},
}

var pagingCases = []testCase{
	{"positions outside the record", func(w *world) {
		w.add(w.event(), w.event(), w.event())
		for _, c := range []struct {
			after int64
			desc  bool
			want  []int64
		}{
			{0, false, []int64{1, 2, 3}}, {2, false, []int64{3}}, {3, false, nil}, {99, false, nil}, {1 << 50, false, nil}, {-5, false, []int64{1, 2, 3}},
			{0, true, []int64{3, 2, 1}}, {4, true, []int64{3, 2, 1}}, {3, true, []int64{2, 1}}, {1, true, nil}, {99, true, []int64{3, 2, 1}}, {1 << 50, true, []int64{3, 2, 1}},
		} {
			var got []int64
			for _, e := range must(w.Events(w.Context(), audit.Query{OrganizationUID: orgA, After: c.after, Descending: c.desc, Limit: 10}))(w) {
				got = append(got, e.Sequence)
			}
			if !slices.Equal(got, c.want) {
				w.Errorf("after %d, descending %v: %v, want %v", c.after, c.desc, got, c.want)
			}
		}
		if got := must(w.Events(w.Context(), audit.Query{OrganizationUID: orgA}))(w); len(got) != 0 {
			w.Errorf("limit 0: %v", got)
		}
	}},
	{"new events do not move pages already read", func(w *world) {
		w.add(w.event(), w.event(), w.event(), w.event())
		q := audit.Query{OrganizationUID: orgA, Descending: true, Limit: 2}
		first := must(w.Events(w.Context(), q))(w)
		w.add(w.event(), w.event())
		q.After = first[1].Sequence
		if got := must(w.Events(w.Context(), q))(w); len(got) != 2 || got[0].Sequence != 2 || got[1].Sequence != 1 {
			w.Errorf("second page %v", ids(got))
		}
		q = audit.Query{OrganizationUID: orgA, After: 4, Limit: 10}
		if got := must(w.Events(w.Context(), q))(w); len(got) != 2 || got[0].Sequence != 5 {
			w.Errorf("new ones %v", ids(got))
		}
	}},
}

// addRecord appends n events of A with every filter's values in turn, B's in between, and returns A's.
func (w *world) addRecord(n int) []audit.Event {
	w.Helper()
	types := []audit.Type{audit.TypePasswordRejected, audit.TypePasswordVerified, audit.TypePasswordlessVerified, audit.TypeMFARejected, audit.TypeSignInStarted}
	var record, batch []audit.Event
	for i := range n {
		e := w.event(func(e *audit.Event) {
			e.Type = types[i%len(types)]
			e.Outcome = audit.OutcomeOf(e.Type)
			e.Time = at(i - 40*(i%7/6)) // every seventh is late
			if i%4 > 0 {
				e.Site = fmt.Sprint("site-", i%4)
			}
			if i%3 > 0 {
				e.Flow, e.Step = id("flow", i/6), i+1
			}
			if i%5 == 1 {
				e.Connection = fmt.Sprint("connection-", i%2)
			}
			if i%5 == 0 || i%5 == 3 {
				e.Reason = []string{"BAD_CREDENTIALS", "WRONG_CODE"}[i%2]
			}
			e.Indexes = []audit.Index{index(audit.IndexAccount, fmt.Sprint(i%10)), index(audit.IndexEmail, fmt.Sprint(i%10)), index(audit.IndexNetwork24, fmt.Sprint(i%8))}
		})
		record = append(record, e)
		batch = append(batch, e, w.event(ofB, func(b *audit.Event) { b.Type, b.Site, b.Indexes = e.Type, e.Site, e.Indexes }))
	}
	w.add(batch...)
	return record
}

type filter struct {
	q    audit.Query
	want func(e *audit.Event) bool
	none bool // the filter matches nothing
}

func filters() map[string]filter {
	has := func(e *audit.Event, x audit.Index) bool {
		return slices.ContainsFunc(e.Indexes, func(y audit.Index) bool { return equalIndexes([]audit.Index{x}, []audit.Index{y}) })
	}
	account, email, network := index(audit.IndexAccount, "3"), index(audit.IndexEmail, "3"), index(audit.IndexNetwork24, "3")
	out := map[string]filter{
		"nothing": {q: audit.Query{}, want: func(*audit.Event) bool { return true }},
		"site":    {q: audit.Query{Match: audit.Match{Sites: []string{"site-2"}}}, want: func(e *audit.Event) bool { return e.Site == "site-2" }},
		"sites":   {q: audit.Query{Match: audit.Match{Sites: []string{"site-2", "site-3", "none"}}}, want: func(e *audit.Event) bool { return e.Site == "site-2" || e.Site == "site-3" }},
		"flow":    {q: audit.Query{Match: audit.Match{Flows: []string{id("flow", 3)}}}, want: func(e *audit.Event) bool { return e.Flow == id("flow", 3) }},
		"flows":   {q: audit.Query{Match: audit.Match{Flows: []string{id("flow", 3), id("flow", 1)}}}, want: func(e *audit.Event) bool { return e.Flow == id("flow", 3) || e.Flow == id("flow", 1) }},
		"type":    {q: audit.Query{Match: audit.Match{Types: []string{"password.rejected"}}}, want: func(e *audit.Event) bool { return e.Type == audit.TypePasswordRejected }},
		"family": {q: audit.Query{Match: audit.Match{Types: []string{"password.*"}}}, want: func(e *audit.Event) bool {
			return e.Type == audit.TypePasswordRejected || e.Type == audit.TypePasswordVerified
		}},
		"types":        {q: audit.Query{Match: audit.Match{Types: []string{"mfa.*", "sign_in.started", "mfa.rejected"}}}, want: func(e *audit.Event) bool { return e.Type == audit.TypeMFARejected || e.Type == audit.TypeSignInStarted }},
		"outcome":      {q: audit.Query{Match: audit.Match{Outcomes: []audit.Outcome{audit.OutcomeFailure}}}, want: func(e *audit.Event) bool { return e.Outcome == audit.OutcomeFailure }},
		"outcomes":     {q: audit.Query{Match: audit.Match{Outcomes: []audit.Outcome{audit.OutcomeFailure, audit.OutcomeInfo}}}, want: func(e *audit.Event) bool { return e.Outcome != audit.OutcomeSuccess }},
		"connection":   {q: audit.Query{Match: audit.Match{Connections: []string{"connection-1"}}}, want: func(e *audit.Event) bool { return e.Connection == "connection-1" }},
		"reason":       {q: audit.Query{Match: audit.Match{Reasons: []string{"WRONG_CODE"}}}, want: func(e *audit.Event) bool { return e.Reason == "WRONG_CODE" }},
		"account":      {q: audit.Query{Match: audit.Match{Subjects: []audit.Index{account}}}, want: func(e *audit.Event) bool { return has(e, account) }},
		"either":       {q: audit.Query{Match: audit.Match{Subjects: []audit.Index{account, email, index(audit.IndexEmail, "4")}}}, want: func(e *audit.Event) bool { return has(e, account) || has(e, index(audit.IndexEmail, "4")) }},
		"network":      {q: audit.Query{Match: audit.Match{Networks: []audit.Index{network}}}, want: func(e *audit.Event) bool { return has(e, network) }},
		"who and from": {q: audit.Query{Match: audit.Match{Subjects: []audit.Index{account}, Networks: []audit.Index{network}}}, want: func(e *audit.Event) bool { return has(e, account) && has(e, network) }},
		"start":        {q: audit.Query{Start: at(150)}, want: func(e *audit.Event) bool { return !e.Time.Before(at(150)) }},
		"end":          {q: audit.Query{End: at(150)}, want: func(e *audit.Event) bool { return e.Time.Before(at(150)) }},
		"range": {q: audit.Query{Start: at(90), End: at(210)}, want: func(e *audit.Event) bool {
			return !e.Time.Before(at(90)) && e.Time.Before(at(210))
		}},
		"site and type": {q: audit.Query{Match: audit.Match{Sites: []string{"site-1"}, Types: []string{"mfa.*"}}}, want: func(e *audit.Event) bool { return e.Site == "site-1" && e.Type == audit.TypeMFARejected }},
		"everything": {q: audit.Query{Start: at(10), End: at(250), Match: audit.Match{Sites: []string{"site-1", "site-3"}, Types: []string{"password.*", "mfa.*"}, Outcomes: []audit.Outcome{audit.OutcomeFailure}, Reasons: []string{"WRONG_CODE"}, Subjects: []audit.Index{account}, Networks: []audit.Index{network, index(audit.IndexNetwork24, "5")}}},
			want: func(e *audit.Event) bool {
				return !e.Time.Before(at(10)) && e.Time.Before(at(250)) && (e.Site == "site-1" || e.Site == "site-3") && e.Type == audit.TypeMFARejected &&
					e.Reason == "WRONG_CODE" && has(e, account) && (has(e, network) || has(e, index(audit.IndexNetwork24, "5")))
			}},
	}
	nothing := func(*audit.Event) bool { return false }
	for name, q := range map[string]audit.Query{
		"no site": {Match: audit.Match{Sites: []string{"site"}}}, "no flow": {Match: audit.Match{Flows: []string{"x"}}}, "no type": {Match: audit.Match{Types: []string{"password"}}}, "no family": {Match: audit.Match{Types: []string{"pass.*"}}},
		"no star": {Match: audit.Match{Types: []string{"*"}}}, "no subject": {Match: audit.Match{Subjects: []audit.Index{index(audit.IndexName, "3")}}}, "other purpose": {Match: audit.Match{Networks: []audit.Index{index(audit.IndexNetwork16, "3")}}},
	} {
		out[name] = filter{q: q, want: nothing, none: true}
	}
	return out
}

// pages reads every page and returns the ids.
func (w *world) pages(q audit.Query, size int) []string {
	w.Helper()
	q.Limit = size
	var out []string
	for {
		events := must(w.Events(w.Context(), q))(w)
		if len(events) > size {
			w.Fatalf("%d events on a page of %d", len(events), size)
		}
		out = append(out, ids(events)...)
		if len(events) < size {
			return out
		}
		q.After = events[len(events)-1].Sequence
	}
}
