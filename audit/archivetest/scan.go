package archivetest

import (
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// scanner is the archive as one that many flows are read from at once: every one must be.
func (w *world) scanner() audit.FlowScanner {
	w.Helper()
	s, ok := w.Backend.(audit.FlowScanner)
	if !ok {
		w.Fatal("the archive must implement audit.FlowScanner")
	}
	return s
}

// scanned reads every page and returns the flows.
func (w *world) scanned(q audit.FlowScan, size int) []audit.FlowRecord {
	w.Helper()
	q.Limit = size
	var out []audit.FlowRecord
	for {
		page := must(w.scanner().ScanFlows(w.Context(), q))(w)
		if len(page) > size {
			w.Fatalf("%d flows on a page of %d", len(page), size)
		}
		out = append(out, page...)
		if len(page) < size {
			return out
		}
		last := &page[len(page)-1]
		q.AfterTime, q.AfterID = last.Started, last.ID
	}
}

// scanCases all look at the flows of addFlows; every second one has ended.
var scanCases = []testCase{
	{"ended flows come oldest first, each once, in pages of any size", func(w *world) {
		w.addFlows()
		for name, c := range map[string]struct {
			q    audit.FlowScan
			want func(n int) bool
		}{
			"all":      {audit.FlowScan{}, func(int) bool { return true }},
			"a site":   {audit.FlowScan{Sites: []string{"site-2"}}, func(n int) bool { return n%4 == 2 }},
			"sites":    {audit.FlowScan{Sites: []string{"site-2", "site-0", "site-2", "none"}}, func(int) bool { return true }},
			"no site":  {audit.FlowScan{Sites: []string{"none"}}, func(int) bool { return false }},
			"start":    {audit.FlowScan{Start: at(2)}, func(n int) bool { return n/3 >= 2 }},
			"end":      {audit.FlowScan{End: at(2)}, func(n int) bool { return n/3 < 2 }},
			"range":    {audit.FlowScan{Start: at(2), End: at(4), Sites: []string{"site-0"}}, func(n int) bool { return n%4 == 0 && (n/3 == 2 || n/3 == 3) }},
			"backward": {audit.FlowScan{Start: at(4), End: at(2)}, func(int) bool { return false }},
		} {
			c.q.OrganizationUID = orgA
			var want []string
			for n := 0; n < 24; n += 2 {
				if c.want(n) {
					want = append(want, id("flow", n))
				}
			}
			for _, size := range []int{1, 2, 5, 100} {
				var got []string
				for _, f := range w.scanned(c.q, size) {
					got = append(got, f.ID)
				}
				if !slices.Equal(got, want) {
					w.Errorf("%s in pages of %d:\n%v\nwant\n%v", name, size, got, want)
				}
			}
			if n := must(w.scanner().CountFlows(w.Context(), c.q))(w); n < int64(len(want)) || n > 24 {
				w.Errorf("%s: counted %d of %d", name, n, len(want))
			}
		}
	}},
	{"a flow comes with all that names it, in sequence order", func(w *world) {
		start, bind, end := w.step(1, 1, audit.TypeSignInStarted), w.step(1, 2, audit.TypePasswordVerified), w.step(1, 3, audit.TypeSignInSucceeded)
		session := w.event(func(e *audit.Event) { e.Type, e.Flow = audit.TypeSessionStarted, id("flow", 1) })
		other := w.step(2, 1, audit.TypeSignInStarted)
		w.add(bind, start, other, end, session)
		w.add(w.step(1, 2, audit.TypePasswordVerified))
		w.add(w.event(ofB, func(e *audit.Event) { e.Type, e.Flow, e.Step = audit.TypeSessionStarted, id("flow", 1), 0 }))
		got := w.scanned(audit.FlowScan{OrganizationUID: orgA}, 10)
		if len(got) != 1 || len(got[0].Events) != 5 || !slices.Equal(ids(got[0].Events[:4]), []string{bind.ID, start.ID, end.ID, session.ID}) ||
			!got[0].Events[4].Forked || got[0].EndEventID != end.ID || got[0].Events[0].Sealed == nil {
			w.Errorf("got %+v", got)
		}
	}},
	{"other organizations stay apart, and no limit is nothing", func(w *world) {
		w.addFlows()
		if got := w.scanned(audit.FlowScan{OrganizationUID: orgB}, 10); len(got) != 1 || got[0].OrganizationUID != orgB {
			w.Errorf("B has %d", len(got))
		}
		if got := w.scanned(audit.FlowScan{OrganizationUID: "nobody"}, 10); len(got) != 0 {
			w.Errorf("nobody has %v", got)
		}
		if got := must(w.scanner().ScanFlows(w.Context(), audit.FlowScan{OrganizationUID: orgA}))(w); len(got) != 0 {
			w.Errorf("no limit has %v", got)
		}
		if n := must(w.scanner().CountFlows(w.Context(), audit.FlowScan{OrganizationUID: "nobody"}))(w); n != 0 {
			w.Errorf("nobody counts %d", n)
		}
	}},
	{"steps are found wherever they are", func(w *world) {
		a, b := w.step(1, 2, audit.TypePasswordVerified), w.step(2, 2, audit.TypePasswordVerified)
		w.add(w.step(1, 1, audit.TypeSignInStarted), a, w.step(2, 1, audit.TypeSignInStarted), b, w.step(3, 1, audit.TypeSignInStarted))
		w.add(w.step(2, 2, audit.TypeMFAVerified))
		find := func(organization string, refs ...audit.StepRef) []string {
			out := ids(must(w.scanner().Steps(w.Context(), organization, refs))(w))
			slices.Sort(out)
			return out
		}
		want := []string{a.ID, b.ID}
		slices.Sort(want)
		refs := []audit.StepRef{{Flow: id("flow", 1), Step: 2}, {Flow: id("flow", 2), Step: 2}, {Flow: id("flow", 1), Step: 2}, {Flow: id("flow", 3), Step: 9},
			{Flow: "", Step: 1}, {Flow: id("flow", 9), Step: 2}}
		if got := find(orgA, refs...); !slices.Equal(got, want) {
			w.Errorf("%v, want %v", got, want)
		}
		if got := append(find(orgB, refs...), find(orgA)...); len(got) != 0 {
			w.Errorf("found %v", got)
		}
	}},
	{"a flow that ends during a scan is seen or not, whole", func(w *world) {
		w.add(w.step(1, 1, audit.TypeSignInStarted), w.step(1, 2, audit.TypeSignInFailed), w.step(2, 1, audit.TypeSignInStarted))
		q := audit.FlowScan{OrganizationUID: orgA, Limit: 1}
		first := must(w.scanner().ScanFlows(w.Context(), q))(w)
		w.add(w.step(2, 2, audit.TypeSignInFailed, func(e *audit.Event) { e.Time = e.Time.Add(time.Minute) }))
		q.AfterTime, q.AfterID = first[0].Started, first[0].ID
		if rest := must(w.scanner().ScanFlows(w.Context(), q))(w); len(rest) != 1 || len(rest[0].Events) != 2 {
			w.Errorf("then %+v", rest)
		}
	}},
}
