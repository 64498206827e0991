package archivetest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// allFields are those that can be counted.
var allFields = []audit.Field{audit.FieldSite, audit.FieldType, audit.FieldOutcome, audit.FieldReason, audit.FieldMethod, audit.FieldFactor, audit.FieldConnection,
	audit.FieldClass, audit.FieldEvidence, audit.FieldRule, audit.FieldTargetType, audit.FieldTargetID, audit.FieldCaller}

// countCases hold counts to audit.Query.Fits over records made by dice.
var countCases = []testCase{
	{"of everything, and of every value of every field", func(w *world) {
		s := w.script(11, 1400)
		s.countsAgree("all", audit.Query{})
		s.countsAgree("all but sandboxes", audit.Query{NoSandbox: true})
		each := s.eachField()
		for i, name := range slices.Sorted(maps.Keys(each)) {
			if i%3 == 0 {
				s.countsAgree(name, audit.Query{Match: each[name]})
			}
		}
	}},
	{"of one value at some sites in a range of time", func(w *world) {
		s := w.script(12, 1500)
		for n := range tries(34) {
			q := audit.Query{NoSandbox: n%3 == 0, Match: s.oneTerm(n)}
			if n%2 == 0 {
				q.Sites = [][]string{{"portal"}, {"portal", "shop_1", "nowhere"}, {"portal", "portal"}, {""}, {"münchen", ""}}[n/2%5]
			}
			if n%4 > 0 {
				q.Start, q.End = s.moment(), s.moment()
			}
			s.countsAgree(fmt.Sprint("query ", n), q)
		}
	}},
	{"of filters that dice made", func(w *world) {
		s := w.script(13, 1300)
		for n := range tries(34) {
			s.countsAgree(fmt.Sprint("query ", n), s.query())
		}
	}},
	{"while retention hides parts, and on hold", func(w *world) {
		s := w.script(14, 1200)
		for n := range tries(20) {
			s.retain(audit.Retention{SignIn: 1 + s.dice.n(180), Administration: 1 + s.dice.n(180), Activity: 1 + s.dice.n(180), Hold: n%10 == 9})
			s.set(began.Add(time.Duration(s.dice.n(300)) * time.Minute))
			s.countsAgree(fmt.Sprint("query ", n), audit.Query{Match: s.oneTerm(n), NoSandbox: n%3 == 0})
		}
	}},
	{"event by event while the record grows", func(w *world) {
		s := w.script(15, 1010)
		for n := range tries(20) {
			s.batch(1, len(s.written)+1)
			s.countsAgree(fmt.Sprint("with event ", n), audit.Query{Match: s.oneTerm(n)})
		}
	}},
	{"of a record whose oldest part was dropped", countDropped},
	{"of events whose person was erased", countErased},
	{"of another organization, and of nobody", func(w *world) {
		s := w.script(16, 100)
		for uid, want := range map[string]int64{"nobody": 0, orgB: int64(len(w.all(orgB)))} {
			got := must(s.Facets(w.Context(), audit.Query{OrganizationUID: uid}, allFields, 5))(w)
			if !got.Complete || got.Total != want || len(got.Fields) != len(allFields) || (want == 0) != (len(got.Fields[1].Values) == 0) {
				w.Errorf("%s: %+v", uid, got)
			}
			h := must(s.Histogram(w.Context(), audit.Query{OrganizationUID: uid}, []time.Time{began.Add(-400 * day), began.Add(400 * day)}))(w)
			if !h.Complete || !slices.Equal(h.Counts, []int64{want}) {
				w.Errorf("%s: %+v", uid, h)
			}
		}
	}},
	{"through a leap day and hours of any length", countLeap},
	{"as many values as asked for, and whether there are others", func(w *world) {
		s := w.script(17, 300)
		for limit := range 12 {
			q := audit.Query{OrganizationUID: orgA}
			s.sameFacets(fmt.Sprint("limit ", limit), q, must(s.Facets(w.Context(), q, allFields, limit))(w), s.chosen(q), allFields, limit)
		}
	}},
}

func countDropped(w *world) {
	s := w.script(18, 1300)
	for _, shelf := range must(w.Expired(w.Context(), began.Add(90*day)))(w) {
		s.set(began.Add(90 * day))
		if _, ok, err := w.Drop(w.Context(), shelf, s.now()); err != nil || !ok {
			w.Fatalf("drop %v: %v, %v", shelf, ok, err)
		}
	}
	s.retain(audit.Retention{SignIn: 120, Administration: 160, Activity: 200})
	for n := range tries(10) {
		s.countsAgree(fmt.Sprint("query ", n), audit.Query{Match: s.oneTerm(n)})
		s.agree(fmt.Sprint("query ", n), audit.Query{Match: s.oneTerm(n)}, 300)
	}
}

func countErased(w *world) {
	s := w.script(19, 1300)
	eraser, ok := w.Backend.(audit.Eraser)
	if !ok {
		w.Fatal("the archive erases nobody")
	}
	who := []audit.Index{index(audit.IndexAccount, "3"), index(audit.IndexEmail, "4")}
	for more, err := true, error(nil); more; {
		if _, more, err = eraser.Erase(w.Context(), audit.Erasure{OrganizationUID: orgA, Subjects: who, UpTo: 1100, Limit: 40}); err != nil {
			w.Fatal(err)
		}
	}
	kept := s.keeps
	s.retain(audit.Retention{SignIn: 1, Administration: 1, Activity: 1, Hold: true})
	erased := 0
	for i, e := range w.all(orgA) {
		if len(e.Indexes) < len(s.written[i].Indexes) {
			s.written[i].Indexes, erased = e.Indexes, erased+1
		}
	}
	if erased == 0 {
		w.Fatal("nobody was erased")
	}
	s.retain(kept)
	s.countsAgree("all", audit.Query{})
	for n := range tries(15) {
		q := s.query()
		s.countsAgree(fmt.Sprint("query ", n), q)
		s.agree(fmt.Sprint("query ", n), q, 300)
	}
}

func countLeap(w *world) {
	leap := time.Date(2028, 2, 28, 22, 0, 0, 0, time.UTC)
	s := &scripted{world: w, dice: 20, keeps: audit.StandardRetention()}
	w.set(leap.Add(3 * day))
	for n := range 1200 {
		e := w.event(dated(leap.Add(time.Duration(n)*2*time.Minute + time.Minute)))
		s.written = append(s.written, e)
	}
	w.add(s.written...)
	for i := range s.written {
		s.written[i].RecordedTime, s.written[i].Sequence = s.written[i].Time, int64(i+1)
	}
	bounds := []time.Time{leap}
	for _, step := range []time.Duration{2 * time.Hour, 23 * time.Hour, 25 * time.Hour, time.Nanosecond, 7 * time.Minute, time.Second, 30 * time.Hour} {
		bounds = append(bounds, bounds[len(bounds)-1].Add(step))
	}
	s.sameHistogram("leap day", audit.Query{}, bounds)
	first, last := s.written[0].Time, s.written[len(s.written)-1].Time
	for _, around := range []time.Duration{0, 1, time.Minute, 10 * time.Minute} { // bounds within the first and the last quarter there are
		q := audit.Query{Start: first.Add(time.Minute - around), End: last.Add(around)}
		s.sameHistogram(fmt.Sprint("around ", around), q, []time.Time{first.Add(-day), last.Add(day)})
		s.sameHistogram(fmt.Sprint("bounds around ", around), audit.Query{}, []time.Time{q.Start, q.End})
	}
	for _, zone := range []int{-12 * 60, -210, 0, 330, 345, 765, 840, 7} { // minutes
		from := time.Date(2028, 2, 28, 0, 0, 0, 0, time.FixedZone("", zone*60))
		s.sameHistogram(fmt.Sprint("zone ", zone), audit.Query{}, []time.Time{from, from.AddDate(0, 0, 1), from.AddDate(0, 0, 2), from.AddDate(0, 0, 3)})
	}
}

func sameIndex(x, y audit.Index) bool { return x.Purpose == y.Purpose && bytes.Equal(x.Value, y.Value) }

// moment draws one: of an event, of a whole hour or quarter, of no particular kind.
func (s *scripted) moment() time.Time {
	at := s.written[s.dice.n(len(s.written))].Time
	switch s.dice.n(4) {
	case 0:
		return at
	case 1:
		return at.Truncate(time.Hour)
	case 2:
		return at.Truncate(15 * time.Minute).Add(time.Nanosecond)
	default:
		return at.Add(time.Duration(s.dice.n(100000)) * time.Second / 7)
	}
}

// oneTerm returns a filter for at most one value.
func (s *scripted) oneTerm(n int) audit.Match {
	return []audit.Match{{}, {Types: []string{"password.rejected"}}, {Types: []string{"mfa.*"}}, {Outcomes: []audit.Outcome{audit.OutcomeFailure}}, {Reasons: []string{"BAD_CREDENTIALS"}},
		{Methods: []string{"password"}}, {Factors: []string{audit.FactorTOTP}}, {Connections: []string{"partner"}}, {Classes: []audit.Class{audit.ClassManaged}},
		{Evidences: []audit.Evidence{audit.EvidenceVerified}}, {Rules: []string{"guests.eu"}}, {TargetTypes: []string{"policy"}}, {TargetIDs: []string{longValue}},
		{TargetIDs: []string{"p-1"}}, {Callers: []string{"unix:1000"}}, {Reasons: []string{"RARE_2"}}, {Reasons: []string{"nothing"}}}[n%17]
}

// countsAgree holds facets of all fields, and histograms of some bounds, to the model.
func (s *scripted) countsAgree(name string, q audit.Query) {
	s.Helper()
	q.OrganizationUID = orgA
	chosen := s.chosen(q)
	got, err := s.Facets(s.Context(), q, allFields, 1000)
	if err != nil {
		s.Fatalf("%s: %v", name, err)
	}
	s.sameFacets(name, q, got, chosen, allFields, 1000)
	for _, f := range allFields[1:3] { // few fields: what is answered from counts differs
		fields := []audit.Field{f, audit.FieldSite}
		s.sameFacets(name, q, must(s.Facets(s.Context(), q, fields, 3))(s.world), chosen, fields, 3)
	}
	bounds := []time.Time{began.Add(-300 * day), began.Add(-120 * day), began.Add(-120 * day).Add(time.Hour), began.Truncate(day).Add(-30 * day), began.Truncate(time.Hour).Add(-day), began, began.Add(day)}
	for range s.dice.n(3) {
		bounds = append(bounds, s.moment())
	}
	slices.SortFunc(bounds, func(a, b time.Time) int { return a.Compare(b) })
	s.sameHistogram(name, q, slices.CompactFunc(bounds, func(a, b time.Time) bool { return a.Equal(b) }))
}

func (s *scripted) sameHistogram(name string, q audit.Query, bounds []time.Time) {
	s.Helper()
	q.OrganizationUID = orgA
	want := make([]int64, len(bounds)-1)
	for _, e := range s.chosen(q) {
		for i := range want {
			if !e.Time.Before(bounds[i]) && e.Time.Before(bounds[i+1]) {
				want[i]++
			}
		}
	}
	got, err := s.Histogram(s.Context(), q, bounds)
	if err != nil || !got.Complete || !slices.Equal(got.Counts, want) {
		s.Errorf("%s between %v:\n%+v, %v\nwant %v\n%+v", name, bounds, got, err, want, q)
	}
}

func (s *scripted) sameFacets(name string, q audit.Query, got audit.Facets, chosen []audit.Event, fields []audit.Field, limit int) {
	s.Helper()
	if !got.Complete || got.Total != int64(len(chosen)) || len(got.Fields) != len(fields) {
		s.Errorf("%s, %+v: complete %v, %d events in %d fields, want %d in %d", name, q, got.Complete, got.Total, len(got.Fields), len(chosen), len(fields))
		return
	}
	for i, f := range fields {
		want := facet(chosen, f, limit)
		if have := got.Fields[i]; have.Field != f || have.More != want.More || !slices.Equal(have.Values, want.Values) {
			s.Errorf("%s, %+v:\nfield %+v\nwant  %+v", name, q, have, want)
		}
	}
}

// facet counts events by their values of a field.
func facet(events []audit.Event, f audit.Field, limit int) audit.Facet {
	counts := map[string]int64{}
	for i := range events {
		for _, t := range audit.Terms(&events[i]) {
			if t.Field == f {
				counts[t.Value]++
			}
		}
	}
	out := audit.Facet{Field: f, More: len(counts) > limit}
	for v, n := range counts {
		out.Values = append(out.Values, audit.ValueCount{Value: v, Count: n})
	}
	slices.SortFunc(out.Values, func(a, b audit.ValueCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	out.Values = out.Values[:min(limit, len(out.Values))]
	return out
}
