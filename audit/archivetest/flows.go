package archivetest

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

// step makes an event of a flow.
func (w *world) step(flow, n int, t audit.Type, change ...func(*audit.Event)) audit.Event {
	return w.event(append([]func(*audit.Event){func(e *audit.Event) {
		e.Type, e.Flow, e.Step, e.Outcome = t, id("flow", flow), n, audit.OutcomeOf(t)
		e.Site, e.SiteUID, e.SupportCode = "portal", id("site", 1), code(flow)
		e.Class, e.Provisional, e.Ending = audit.ClassExternal, n < 3, audit.EndingOf(t)
	}}, change...)...)
}

// code makes a support code.
func code(flow int) string { return "ABCDE-0000" + string(rune('0'+flow%10)) }

// row reads a flow's row.
func (w *world) row(flow int) audit.FlowRow {
	w.Helper()
	r, _, err := w.Flow(w.Context(), orgA, id("flow", flow))
	if err != nil {
		w.Fatalf("flow: %v", err)
	}
	return r
}

var flowCases = []testCase{
	{"a flow's row follows its events", func(w *world) {
		start := w.step(1, 1, audit.TypeSignInStarted, func(e *audit.Event) { e.CorrelationID, e.Class = "theirs", audit.ClassUndetermined })
		w.add(start)
		want := audit.FlowRow{ID: id("flow", 1), OrganizationUID: orgA, Organization: "acme", Site: "portal", SiteUID: id("site", 1),
			SupportCode: code(1), CorrelationID: "theirs", Class: audit.ClassUndetermined, Provisional: true, Started: start.Time,
			LastStep: 1, LastTime: start.Time, StartEventID: start.ID}
		w.wantRow(want)
		rejected, bind, second := w.step(1, 2, audit.TypePasswordRejected), w.step(1, 3, audit.TypePasswordVerified), w.step(1, 4, audit.TypeSSOVerified)
		w.add(rejected, bind, second)
		want.Class, want.Provisional, want.LastStep, want.LastTime, want.BindEventID = audit.ClassExternal, false, 4, second.Time, bind.ID
		w.wantRow(want)
		end := w.step(1, 5, audit.TypeSignInDenied, func(e *audit.Event) { e.Reason = "SSO_REQUIRED" })
		session := w.event(func(e *audit.Event) {
			e.Type, e.Flow, e.Class = audit.TypeSessionStarted, id("flow", 1), audit.ClassManaged
		})
		w.add(end, session)
		want.LastStep, want.LastTime, want.Ended, want.Ending, want.Reason, want.EndEventID = 5, end.Time, end.Time, audit.EndingDenied, "SSO_REQUIRED", end.ID
		w.wantRow(want)
		_, events, err := w.Flow(w.Context(), orgA, want.ID)
		if err != nil || !slices.Equal(ids(events), []string{start.ID, rejected.ID, bind.ID, second.ID, end.ID, session.ID}) {
			w.Errorf("events %v, %v", ids(events), err)
		}
	}},
	{"every ending type ends a flow in its own way", func(w *world) {
		for n, ending := range []audit.Ending{audit.EndingSucceeded, audit.EndingDenied, audit.EndingFailed,
			audit.EndingCancelled, audit.EndingAbandoned, audit.EndingSuperseded} {
			w.add(w.step(n, 1, audit.TypeSignInStarted), w.step(n, 2, audit.EndingType(ending)))
			if r := w.row(n); r.Ending != ending || r.Ended.IsZero() {
				w.Errorf("%v: row %+v", ending, r)
			}
		}
	}},
	{"every type that can bind is noted, the first one counts", func(w *world) {
		for n, t := range []audit.Type{audit.TypePasswordVerified, audit.TypePasswordlessVerified, audit.TypeSocialVerified, audit.TypeSSOVerified, audit.TypeSessionReused} {
			first := w.step(n, 2, t)
			w.add(w.step(n, 1, audit.TypeSignInStarted), first, w.step(n, 3, audit.TypeMFAVerified), w.step(n, 4, audit.TypePasswordVerified))
			if r := w.row(n); r.BindEventID != first.ID {
				w.Errorf("%s: bound by %q, want %q", t, r.BindEventID, first.ID)
			}
		}
		w.add(w.step(9, 1, audit.TypeSignInStarted), w.step(9, 2, audit.TypeMFAVerified))
		if r := w.row(9); r.BindEventID != "" {
			w.Errorf("a second factor bound the flow: %+v", r)
		}
	}},
	{"an ending without its start makes a row all the same", func(w *world) {
		end := w.step(1, 4, audit.TypeSignInAbandoned, func(e *audit.Event) {
			e.Reason = "STORE_LOST"
			e.Steps = []audit.StepSummary{{Step: 1, Type: audit.TypeSignInStarted, Time: at(-100)}}
		})
		w.add(end)
		r := w.row(1)
		if !r.Started.Equal(at(-100)) || r.StartEventID != "" || r.EndEventID != end.ID || r.LastStep != 4 {
			w.Errorf("row %+v", r)
		}
	}},
	{"events out of order leave the same row", func(w *world) {
		start, bind, end := w.step(1, 1, audit.TypeSignInStarted), w.step(1, 3, audit.TypeSocialVerified), w.step(1, 4, audit.TypeSignInSucceeded)
		w.add(end)
		w.add(bind, start)
		r := w.row(1)
		if !r.Started.Equal(start.Time) || r.StartEventID != start.ID || r.BindEventID != bind.ID || r.EndEventID != end.ID ||
			r.LastStep != 4 || !r.LastTime.Equal(end.Time) || r.Ending != audit.EndingSucceeded {
			w.Errorf("row %+v", r)
		}
		_, events, err := w.Flow(w.Context(), orgA, r.ID)
		if err != nil || !slices.Equal(ids(events), []string{start.ID, bind.ID, end.ID}) {
			w.Errorf("events %v, %v", ids(events), err)
		}
	}},
	{"a forked step changes no row, a forked ending closes an open one, the first ending stays", func(w *world) {
		start, second := w.step(1, 1, audit.TypeSignInStarted), w.step(1, 2, audit.TypePasswordRejected)
		w.add(start, second, w.step(1, 2, audit.TypePasswordVerified, func(e *audit.Event) { e.Class = audit.ClassManaged }))
		if r := w.row(1); r.BindEventID != "" || r.Class != audit.ClassExternal || r.LastStep != 2 {
			w.Errorf("after a forked step: %+v", r)
		}
		end := w.step(1, 2, audit.TypeSignInAbandoned, func(e *audit.Event) { e.Reason = "STORE_LOST" })
		w.add(end, w.step(1, 3, audit.TypeSignInSucceeded))
		if r := w.row(1); r.EndEventID != end.ID || r.Ending != audit.EndingAbandoned || r.Reason != "STORE_LOST" {
			w.Errorf("after two endings: %+v", r)
		}
	}},
	{"what carries a flow without being a step makes no row", func(w *world) {
		w.add(w.event(func(e *audit.Event) { e.Type, e.Flow = audit.TypeSessionStarted, id("flow", 1) }))
		_, _, err := w.Flow(w.Context(), orgA, id("flow", 1))
		w.notFound(err, "FLOW_NOT_FOUND")
	}},
	{"another organization's event does not touch a flow", func(w *world) {
		w.add(w.step(1, 1, audit.TypeSignInStarted))
		w.add(w.step(1, 2, audit.TypeSignInDenied, ofB))
		if r := w.row(1); r.LastStep != 1 || r.EndEventID != "" {
			w.Errorf("row %+v", r)
		}
		_, _, err := w.Flow(w.Context(), orgB, id("flow", 1))
		w.notFound(err, "FLOW_NOT_FOUND")
		_, events, err := w.Flow(w.Context(), orgA, id("flow", 1))
		if err != nil || len(events) != 1 {
			w.Errorf("events %v, %v", ids(events), err)
		}
	}},
	{"a flow is found by its support code as people type it", func(w *world) {
		w.add(w.step(1, 1, audit.TypeSignInStarted), w.step(2, 1, audit.TypeSignInStarted))
		bare := strings.ReplaceAll(code(1), "-", "")
		w.add(w.step(3, 1, audit.TypeSignInStarted, func(e *audit.Event) { e.SupportCode = "ZZZZZ00003" }))
		for typed, want := range map[string]int{code(1): 1, bare: 1, strings.ToLower(bare): 1, code(2): 2, "ZZZZZ-00003": 3, "zzzzz00003": 3} {
			if r, events, err := w.Flow(w.Context(), orgA, typed); err != nil || r.ID != id("flow", want) || len(events) != 1 {
				w.Errorf("%q: %+v, %v", typed, r, err)
			}
		}
		_, _, err := w.Flow(w.Context(), orgB, code(1))
		w.notFound(err, "FLOW_NOT_FOUND")
	}},
	{"open flows are those of the partition without an ending", func(w *world) {
		for n := range 6 {
			w.add(w.step(n, 1, audit.TypeSignInStarted))
		}
		w.add(w.step(2, 2, audit.TypeSignInSucceeded), w.step(4, 2, audit.TypeSignInAbandoned))
		must(w.Append(w.Context(), w.batch(7, w.step(9, 1, audit.TypeSignInStarted, ofB))))(w)
		open := func(partition int, after string, limit int) (flows []string) {
			for _, r := range must(w.OpenFlows(w.Context(), partition, after, limit))(w) {
				flows = append(flows, r.ID)
			}
			return flows
		}
		want := []string{id("flow", 0), id("flow", 1), id("flow", 3), id("flow", 5)}
		if got := open(0, "", 10); !slices.Equal(got, want) {
			w.Errorf("open %v, want %v", got, want)
		}
		if got := open(0, want[1], 1); !slices.Equal(got, want[2:3]) {
			w.Errorf("page %v", got)
		}
		if got := open(0, want[3], 10); len(got) != 0 {
			w.Errorf("after the last %v", got)
		}
		if rows := must(w.OpenFlows(w.Context(), 7, "", 10))(w); len(rows) != 1 || rows[0].OrganizationUID != orgB {
			w.Errorf("partition 7: %+v", rows)
		}
	}},
}

func (w *world) wantRow(want audit.FlowRow) {
	w.Helper()
	got := must(w.Flows(w.Context(), audit.FlowQuery{OrganizationUID: orgA, Limit: 10}))(w)
	if !reflect.DeepEqual(got, []audit.FlowRow{want}) {
		w.Errorf("rows %+v\nwant %+v", got, want)
	}
	if one, _, err := w.Flow(w.Context(), orgA, want.ID); err != nil || !reflect.DeepEqual(one, want) {
		w.Errorf("row %+v, %v\nwant %+v", one, err, want)
	}
}

// flowQueryCases all look at one set: 24 flows of A, three per start second, and two of B.
var flowQueryCases = []testCase{
	{"each filter", func(w *world) {
		w.addFlows()
		for name, c := range map[string]struct {
			q    audit.FlowQuery
			want func(n int) bool
		}{
			"nothing":      {audit.FlowQuery{}, func(int) bool { return true }},
			"site":         {audit.FlowQuery{FlowMatch: audit.FlowMatch{Sites: []string{"site-1"}}}, func(n int) bool { return n%4 == 1 }},
			"sites":        {audit.FlowQuery{FlowMatch: audit.FlowMatch{Sites: []string{"site-1", "site-3", "none"}}}, func(n int) bool { return n%2 == 1 }},
			"subject":      {audit.FlowQuery{FlowMatch: audit.FlowMatch{Subjects: []audit.Index{index(audit.IndexAccount, "2")}}}, func(n int) bool { return n%5 == 2 }},
			"two subjects": {audit.FlowQuery{FlowMatch: audit.FlowMatch{Subjects: []audit.Index{index(audit.IndexAccount, "2"), index(audit.IndexEmail, "2")}}}, func(n int) bool { return n%5 == 2 || n%3 == 2 }},
			"ending":       {audit.FlowQuery{FlowMatch: audit.FlowMatch{Endings: []audit.Ending{audit.EndingDenied}}}, func(n int) bool { return n%2 == 0 }},
			"open":         {audit.FlowQuery{FlowMatch: audit.FlowMatch{Endings: []audit.Ending{audit.EndingNone}}}, func(n int) bool { return n%2 == 1 }},
			"code":         {audit.FlowQuery{FlowMatch: audit.FlowMatch{SupportCodes: []string{"CODE-07", "CODE-09", "CODE-99"}}}, func(n int) bool { return n == 7 || n == 9 }},
			"start":        {audit.FlowQuery{Start: at(2)}, func(n int) bool { return n/3 >= 2 }},
			"end":          {audit.FlowQuery{End: at(2)}, func(n int) bool { return n/3 < 2 }},
			"range":        {audit.FlowQuery{Start: at(2).Add(1), End: at(4).Add(1)}, func(n int) bool { return n/3 == 3 || n/3 == 4 }},
			"all together": {audit.FlowQuery{Start: at(1), End: at(7), FlowMatch: audit.FlowMatch{Sites: []string{"site-0", "site-2"}, Subjects: []audit.Index{index(audit.IndexEmail, "1")}, Endings: []audit.Ending{audit.EndingDenied}}}, func(n int) bool { return n >= 3 && n < 21 && n%2 == 0 && n%3 == 1 }},
		} {
			c.q.OrganizationUID = orgA
			var want []string
			for n := 23; n >= 0; n-- {
				if c.want(n) {
					want = append(want, id("flow", n))
				}
			}
			for _, size := range []int{1, 2, 5, 100} {
				if got := w.flowPages(c.q, size); !slices.Equal(got, want) {
					w.Errorf("%s in pages of %d:\n%v\nwant\n%v", name, size, got, want)
				}
			}
		}
	}},
	{"no limit is no rows, and other organizations stay apart", func(w *world) {
		w.addFlows()
		if got := must(w.Flows(w.Context(), audit.FlowQuery{OrganizationUID: orgA}))(w); len(got) != 0 {
			w.Errorf("limit 0: %v", got)
		}
		if got := w.flowPages(audit.FlowQuery{OrganizationUID: orgB}, 10); len(got) != 2 {
			w.Errorf("B has %v", got)
		}
		if got := w.flowPages(audit.FlowQuery{OrganizationUID: "nobody"}, 10); len(got) != 0 {
			w.Errorf("nobody has %v", got)
		}
	}},
}

func (w *world) addFlows() {
	w.Helper()
	var batch []audit.Event
	for n := range 26 {
		same := func(e *audit.Event) {
			e.Site, e.SupportCode = "site-"+string(rune('0'+n%4)), "CODE-"+string(rune('0'+n/10))+string(rune('0'+n%10))
			e.Time = at(n / 3)
			if n >= 24 {
				ofB(e)
			}
		}
		batch = append(batch, w.step(n, 1, audit.TypeSignInStarted, same, func(e *audit.Event) {
			e.Indexes = []audit.Index{index(audit.IndexEmail, string(rune('0'+n%3))), index(audit.IndexNetwork24, "0")}
		}), w.step(n, 2, audit.TypePasswordVerified, same, func(e *audit.Event) {
			e.Indexes = []audit.Index{index(audit.IndexAccount, string(rune('0'+n%5))), index(audit.IndexEmail, string(rune('0'+n%3)))}
		}))
		if n%2 == 0 {
			batch = append(batch, w.step(n, 3, audit.TypeSignInDenied, same, func(e *audit.Event) { e.Time = e.Time.Add(time.Hour) }))
		}
	}
	w.add(batch...)
}

// flowPages reads every page and returns the ids.
func (w *world) flowPages(q audit.FlowQuery, size int) []string {
	w.Helper()
	q.Limit = size
	var out []string
	for {
		rows := must(w.Flows(w.Context(), q))(w)
		if len(rows) > size {
			w.Fatalf("%d rows on a page of %d", len(rows), size)
		}
		for i := range rows {
			out = append(out, rows[i].ID)
		}
		if len(rows) < size {
			return out
		}
		q.BeforeTime, q.BeforeID = rows[len(rows)-1].Started, rows[len(rows)-1].ID
	}
}
