package archivetest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/postern-audit/postern/audit"
)

// flowFilterCases compare every filter over flows, included and excluded, with what the query says of each row.
var flowFilterCases = []testCase{
	{"a row keeps what its steps were done with", func(w *world) {
		w.add(w.step(1, 1, audit.TypeSignInStarted), w.step(1, 2, audit.TypePasswordRejected, func(e *audit.Event) {
			e.Method, e.Evidence = audit.MethodPassword, audit.EvidenceAsserted
		}))
		w.add(w.step(1, 3, audit.TypeSSOVerified, func(e *audit.Event) {
			e.Method, e.Connection, e.Evidence, e.Decision = audit.MethodSSO, "okta", audit.EvidenceVerified, &audit.Decision{Rule: "guests"}
		}), w.step(1, 3, audit.TypeSSOVerified, func(e *audit.Event) { e.Method = "forked" }),
			w.event(func(e *audit.Event) {
				e.Type, e.Flow, e.Method = audit.TypeSessionStarted, id("flow", 1), "no step"
			}))
		terms := w.row(1).Terms
		for field, want := range map[audit.Field][]string{audit.FieldMethod: {"password", "sso"}, audit.FieldConnection: {"okta"}, audit.FieldRule: {"guests"},
			audit.FieldEvidence: {"1", "2"}, audit.FieldFactor: nil, audit.FieldType: nil} {
			if got := terms.Values(field); !slices.Equal(got, want) {
				w.Errorf("field %d: %q, want %q", field, got, want)
			}
		}
	}},
	{"every filter chooses as the query says, included and excluded", flowFilters},
}

func flowFilters(w *world) {
	rows, indexes := w.addVariedFlows()
	value := func(p audit.Purpose, seeds ...string) (out []audit.Index) {
		for _, s := range seeds {
			out = append(out, index(p, s))
		}
		return out
	}
	matches := map[string]audit.FlowMatch{
		"sites": {Sites: []string{"site-1", "none"}}, "codes": {SupportCodes: []string{"CODE-3", "CODE-4"}},
		"endings": {Endings: []audit.Ending{audit.EndingDenied, audit.EndingNone}}, "classes": {Classes: []audit.Class{audit.ClassManaged}},
		"reasons": {Reasons: []string{"REASON-1", "none"}}, "methods": {Methods: []string{"sso"}}, "a part of a method": {Methods: []string{"ss", "so", "o"}},
		"factors": {Factors: []string{"TOTP", "SMS"}}, "connections": {Connections: []string{"conn-1", "conn-2"}}, "rules": {Rules: []string{"rule-0"}},
		"evidences": {Evidences: []audit.Evidence{audit.EvidenceVerified}}, "hostile": {Methods: []string{"\x1f4:sso\x1f", "\x00", "", "\xff", "%"}, Sites: []string{"\x00"}},
		"subjects": {Subjects: value(audit.IndexAccount, "1", "2", "nobody")}, "domains": {Domains: value(audit.IndexEmailDomain, "0")},
		"names": {Names: value(audit.IndexName, "1")}, "networks": {Networks: value(audit.IndexNetwork24, "1", "2")},
		"nothing": {},
		"two":     {Methods: []string{"password"}, Networks: value(audit.IndexNetwork24, "0")},
	}
	check := func(name string, q audit.FlowQuery) {
		w.Helper()
		q.OrganizationUID = orgA
		var want []string
		for i := range rows {
			if q.Fits(&rows[i], indexes[rows[i].ID]) {
				want = append(want, rows[i].ID)
			}
		}
		for _, size := range []int{3, 1000} {
			if got := w.flowPages(q, size); !slices.Equal(got, want) {
				w.Errorf("%s by %d:\n%v\nwant\n%v", name, size, got, want)
			}
		}
	}
	for name, m := range matches {
		check("with "+name, audit.FlowQuery{FlowMatch: m})
		check("without "+name, audit.FlowQuery{Exclude: m})
		check("within a time without "+name, audit.FlowQuery{Exclude: m, Start: at(3), End: at(20)})
		for other, x := range matches {
			check(name+" without "+other, audit.FlowQuery{FlowMatch: m, Exclude: x})
		}
	}
}

// addVariedFlows stores flows of which any two filters have some in common, and returns their rows, newest first, with the blind
// indexes of each.
func (w *world) addVariedFlows() ([]audit.FlowRow, map[string][]audit.Index) {
	w.Helper()
	indexes := map[string][]audit.Index{}
	rows := map[string]*audit.FlowRow{}
	var events []audit.Event
	for n := range 60 {
		pick := func(prefix string, of int) string { return prefix + fmt.Sprint(n/of%3) }
		base := func(e *audit.Event) {
			e.Time, e.Site, e.SupportCode = at(n/2), pick("site-", 1), fmt.Sprint("CODE-", n%7)
			e.Class = []audit.Class{audit.ClassExternal, audit.ClassManaged}[n/5%2]
			e.Indexes = []audit.Index{index(audit.IndexAccount, fmt.Sprint(n%5)), index(audit.IndexEmailDomain, fmt.Sprint(n%2)),
				index(audit.IndexName, fmt.Sprint(n%4)), index(audit.IndexNetwork24, fmt.Sprint(n%6))}
		}
		proof := func(e *audit.Event) {
			e.Method, e.Evidence = []string{"password", "sso", "passkey"}[n%3], audit.Evidence(n%3)
			e.Connection, e.Decision = pick("conn-", 2), &audit.Decision{Rule: pick("rule-", 4)}
		}
		of := []audit.Event{w.step(n, 1, audit.TypeSignInStarted, base), w.step(n, 2, audit.TypePasswordVerified, base, proof)}
		if n%2 == 0 {
			of = append(of, w.step(n, 3, audit.TypeMFAVerified, base, func(e *audit.Event) { e.Factor = []string{"TOTP", "SMS", "PUSH"}[n/2%3] }))
		}
		if n%3 != 0 {
			of = append(of, w.step(n, 4, []audit.Type{audit.TypeSignInDenied, audit.TypeSignInSucceeded}[n%2], base, func(e *audit.Event) { e.Reason = pick("REASON-", 3) }))
		}
		row := &audit.FlowRow{}
		for i := range of {
			row.Apply(&of[i])
			indexes[row.ID] = append(indexes[row.ID], of[i].Indexes...)
		}
		rows[row.ID] = row
		events = append(events, of...)
	}
	for some := range slices.Chunk(events, 25) {
		w.add(some...)
	}
	var out []audit.FlowRow
	for _, r := range rows {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(x, y audit.FlowRow) int { return cmp.Or(y.Started.Compare(x.Started), cmp.Compare(y.ID, x.ID)) })
	return out, indexes
}
