package archivetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

// filterCases hold archives to audit.Query.Fits over records made by dice.
var filterCases = []testCase{
	{"every field, included and excluded", func(w *world) {
		s := w.script(1, 1100)
		for name, m := range s.eachField() {
			s.agree(name, audit.Query{Match: m}, 400)
			s.agree("not "+name, audit.Query{Exclude: m}, 400)
		}
	}},
	{"filters that dice made", func(w *world) {
		s := w.script(2, 1600)
		for n := range tries(60) {
			s.agree(fmt.Sprint("query ", n), s.query(), 200)
		}
	}},
	{"the same while retention hides parts, and on hold", func(w *world) {
		s := w.script(3, 1200)
		for n := range tries(25) {
			s.retain(audit.Retention{SignIn: 1 + s.dice.n(180), Administration: 1 + s.dice.n(180), Activity: 1 + s.dice.n(180), Hold: n%10 == 9})
			s.set(began.Add(time.Duration(s.dice.n(100)) * time.Minute))
			s.agree(fmt.Sprint("query ", n), s.query(), 200)
		}
	}},
	{"small pages of a record that grows", func(w *world) {
		s := w.script(4, 1300)
		for n := range tries(25) {
			q := s.query()
			q.UpTo = 1290
			s.agree(fmt.Sprint("query ", n), q, 3+n)
			if n%5 == 0 {
				s.batch(1, len(s.written)+1)
			}
		}
	}},
	{"words", func(w *world) {
		s := w.script(5, 1100)
		for _, word := range append(slices.Clone(manyWords), "", ".", "LONG/", strings.Repeat("long/", 30), "end and m", "\x7f", "日", "nowhere") {
			s.agree(fmt.Sprintf("word %q", word), audit.Query{Text: []string{word}}, 300)
		}
		s.agree("five words", audit.Query{Text: []string{"p", "s", "u", "1", "b"}}, 300)
		s.agree("twice the same", audit.Query{Text: []string{"sso", "SSO"}}, 300)
	}},
	{"values of more than a term", func(w *world) {
		s := w.script(6, 1200)
		for _, v := range manyIDs {
			s.agree(v, audit.Query{Match: audit.Match{TargetIDs: []string{v}}}, 300)
			s.agree("not "+v, audit.Query{Exclude: audit.Match{TargetIDs: []string{v}}}, 300)
		}
	}},
	{"up to a sequence number, from either end", func(w *world) {
		s := w.script(7, 60)
		s.retain(audit.Retention{SignIn: 1, Administration: 1, Activity: 1, Hold: true})
		for _, upTo := range []int64{0, -4, 1, 2, 30, 59, 60, 61, 1 << 50} {
			s.agree(fmt.Sprint("up to ", upTo), audit.Query{UpTo: upTo}, 7)
		}
		for _, c := range []struct {
			after, upTo int64
			desc        bool
			want        int
		}{{10, 20, false, 10}, {20, 20, false, 0}, {30, 20, false, 0}, {30, 20, true, 20}, {10, 20, true, 9}, {21, 20, true, 20}, {0, 20, true, 20}} {
			q := audit.Query{OrganizationUID: orgA, After: c.after, UpTo: c.upTo, Descending: c.desc, Limit: 100}
			if got := must(w.Events(w.Context(), q))(w); len(got) != c.want {
				w.Errorf("%+v: %d events, want %d", c, len(got), c.want)
			}
		}
	}},
}

// agree holds pages in both orders to the model.
func (s *scripted) agree(name string, q audit.Query, size int) {
	s.Helper()
	q.OrganizationUID = orgA
	want := ids(s.chosen(q))
	for range 2 {
		if got := s.pages(q, size); !slices.Equal(got, want) {
			s.Errorf("%s, descending %v, %+v: %d events, want %d\nfirst difference %s", name, q.Descending, q, len(got), len(want), difference(got, want))
			return
		}
		q.Descending = true
		slices.Reverse(want)
	}
}

// difference names the first place where two lists differ.
func difference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		a, b := "nothing", "nothing"
		if i < len(got) {
			a = got[i]
		}
		if i < len(want) {
			b = want[i]
		}
		if a != b {
			return fmt.Sprintf("at %d: %s, want %s", i, a, b)
		}
	}
	return "none"
}

// eachField returns filters of one value for every field, with each value there is, and one that there is not.
func (s *scripted) eachField() map[string]audit.Match {
	out := map[string]audit.Match{}
	texts := func(name string, values []string, set func(*audit.Match, []string)) {
		for _, v := range append(slices.Clone(values), "not there") {
			var m audit.Match
			set(&m, []string{v})
			out[fmt.Sprintf("%s %q", name, v)] = m
		}
	}
	texts("site", manySites, func(m *audit.Match, v []string) { m.Sites = v })
	texts("type", []string{"password.rejected", "password.*", "*", "password*", "mfa.*", ".*", "token.used"}, func(m *audit.Match, v []string) { m.Types = v })
	texts("reason", append(slices.Clone(manyReasons), "RARE_1"), func(m *audit.Match, v []string) { m.Reasons = v })
	texts("method", manyMethods, func(m *audit.Match, v []string) { m.Methods = v })
	texts("factor", manyFactors, func(m *audit.Match, v []string) { m.Factors = v })
	texts("connection", manyPartners, func(m *audit.Match, v []string) { m.Connections = v })
	texts("rule", manyRules, func(m *audit.Match, v []string) { m.Rules = v })
	texts("target type", manyTargets, func(m *audit.Match, v []string) { m.TargetTypes = v })
	texts("target id", manyIDs, func(m *audit.Match, v []string) { m.TargetIDs = v })
	texts("caller", manyCallers, func(m *audit.Match, v []string) { m.Callers = v })
	texts("flow", []string{id("scripted flow", 3), id("scripted flow", 20), ""}, func(m *audit.Match, v []string) { m.Flows = v })
	texts("support code", []string{"CODE0-00003", "CODE0-00020", ""}, func(m *audit.Match, v []string) { m.SupportCodes = v })
	for n := range uint8(5) {
		out[fmt.Sprint("outcome ", n)] = audit.Match{Outcomes: []audit.Outcome{audit.Outcome(n)}}
		out[fmt.Sprint("class ", n)] = audit.Match{Classes: []audit.Class{audit.Class(n)}}
		out[fmt.Sprint("evidence ", n)] = audit.Match{Evidences: []audit.Evidence{audit.Evidence(n)}}
	}
	for _, p := range manyPurposes {
		one := []audit.Index{index(p, "3")}
		out[fmt.Sprint("as subject ", p)] = audit.Match{Subjects: one}
		out[fmt.Sprint("as domain ", p)] = audit.Match{Domains: one}
		out[fmt.Sprint("as name ", p)] = audit.Match{Names: one}
		out[fmt.Sprint("as network ", p)] = audit.Match{Networks: one}
	}
	return out
}
