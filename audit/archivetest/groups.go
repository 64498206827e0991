package archivetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// groupCases hold folding to a model that folds event by event.
var groupCases = []testCase{
	{"by flow, subject and network, page by page", func(w *world) {
		s := w.script(21, 1100)
		for _, by := range []audit.GroupBy{audit.GroupByFlow, audit.GroupBySubjectReason, audit.GroupByIPReason} {
			for _, limit := range []int{1, 10, 100, 5000} {
				if limit == 1 {
					s.groupsAgree(by, audit.Query{Limit: 1, Start: began.Add(-20 * day)})
					continue
				}
				s.groupsAgree(by, audit.Query{Limit: limit})
			}
		}
	}},
	{"of filters that dice made", func(w *world) {
		s := w.script(22, 1300)
		for n := range tries(24) {
			q := s.query()
			q.Limit = 1 + s.dice.n(40)
			s.groupsAgree(audit.GroupBy(1+n%3), q)
		}
	}},
	{"while retention hides parts", func(w *world) {
		s := w.script(23, 1300)
		for n := range tries(9) {
			s.retain(audit.Retention{SignIn: 1 + s.dice.n(180), Administration: 1 + s.dice.n(180), Activity: 1 + s.dice.n(180)})
			s.groupsAgree(audit.GroupBy(1+n%3), audit.Query{Limit: 25})
		}
	}},
	{"nobody's, and none", func(w *world) {
		s := w.script(24, 50)
		for _, q := range []audit.Query{{OrganizationUID: "nobody", Limit: 5}, {OrganizationUID: orgA}, {OrganizationUID: orgA, Limit: 5, After: 1}} {
			if got := must(s.Groups(w.Context(), q, audit.GroupByFlow))(w); len(got.Groups) != 0 || got.Next != 0 {
				w.Errorf("%+v: %+v", q, got)
			}
		}
	}},
}

// groupsAgree reads every page and holds it to the model.
func (s *scripted) groupsAgree(by audit.GroupBy, q audit.Query) {
	s.Helper()
	q.OrganizationUID = orgA
	for page := 1; ; page++ {
		want, next := s.fold(q, by)
		got, err := s.Groups(s.Context(), q, by)
		if err != nil {
			s.Fatalf("by %d, %+v: %v", by, q, err)
		}
		equal := slices.EqualFunc(got.Groups, want, func(a, b audit.Group) bool {
			return a.Flow == b.Flow && sameIndex(a.Key, b.Key) && a.Reason == b.Reason && a.Count == b.Count && a.First.Equal(b.First) && a.Last.Equal(b.Last) &&
				a.Newest.ID == b.Newest.ID && a.Newest.Sequence == b.Newest.Sequence && a.Newest.Reason == b.Newest.Reason
		})
		if !equal || (got.Next == 0) != (next == 0) {
			s.Errorf("by %d, %+v, page %d, next %d:\n%v\nwant, next %d:\n%v", by, q, page, got.Next, grouped(got.Groups), next, grouped(want))
			return
		}
		if next == 0 {
			return
		}
		q.After = got.Next
	}
}

// grouped names groups for people.
func grouped(groups []audit.Group) (out []string) {
	for i := range groups {
		g := &groups[i]
		out = append(out, fmt.Sprintf("%s%x %s ×%d %s–%s newest %d", g.Flow, g.Key.Value, g.Reason, g.Count, g.First.Format(time.DateTime), g.Last.Format(time.DateTime), g.Newest.Sequence))
	}
	return out
}

// fold makes a page of groups; next is 0 when there is no other.
func (s *scripted) fold(q audit.Query, by audit.GroupBy) (out []audit.Group, next int64) {
	at := map[string]int{}
	chosen := s.chosen(q)
	for i := len(chosen) - 1; i >= 0; i-- {
		e := &chosen[i]
		g, ok := groupOf(e, by)
		if !ok || (q.After > 0 && e.Sequence >= q.After) {
			continue
		}
		name := fmt.Sprintf("%s %d %x %s", g.Flow, g.Key.Purpose, g.Key.Value, g.Reason)
		k, ok := at[name]
		if !ok {
			if len(out) >= q.Limit {
				return out, e.Sequence + 1
			}
			g.First, g.Last, g.Newest = e.Time, e.Time, *e
			k, at[name] = len(out), len(out)
			out = append(out, g)
		}
		have := &out[k]
		have.Count++
		if e.Time.Before(have.First) {
			have.First = e.Time
		}
		if e.Time.After(have.Last) {
			have.Last = e.Time
		}
	}
	return out, 0
}

// groupOf returns the group an event belongs to; false when it lacks what groups go by.
func groupOf(e *audit.Event, by audit.GroupBy) (g audit.Group, ok bool) {
	if by == audit.GroupByFlow {
		return audit.Group{Flow: e.Flow}, e.Flow != ""
	}
	purposes := []audit.Purpose{audit.IndexAccount, audit.IndexEmail, audit.IndexIdentifier}
	if by == audit.GroupByIPReason {
		purposes = []audit.Purpose{audit.IndexNetwork32}
	}
	for _, p := range purposes {
		for _, x := range e.Indexes {
			if x.Purpose == p {
				return audit.Group{Key: x, Reason: e.Reason}, e.Reason != ""
			}
		}
	}
	return g, false
}
