package postgres

import (
	"slices"
	"strconv"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// list is a filter on one column.
type list struct {
	field   audit.Field // 0: none whose presence is known
	column  string
	values  any      // as the column has them
	present []string // as presence_N has them
	absent  string   // what stands for NULL when it is excluded; "" for columns without NULL
	same    string   // what is put behind the column so that it is no path
	none    bool     // there are no values
}

// lists are the filters of one column each that a match has, but for types. What is absent is no value, and not looked for.
func lists(m *audit.Match) (out []list) {
	texts := func(f audit.Field, column string, given []string) {
		if len(given) == 0 {
			return
		}
		values := keys(slices.DeleteFunc(slices.Clone(given), func(s string) bool { return s == "" }))
		out = append(out, list{f, column, values, values, `''`, ` || ''`, len(values) == 0})
	}
	for _, x := range []struct {
		field audit.Field
		given []string
	}{{audit.FieldSite, m.Sites}, {audit.FieldReason, m.Reasons}, {audit.FieldMethod, m.Methods}, {audit.FieldFactor, m.Factors},
		{audit.FieldConnection, m.Connections}, {audit.FieldRule, m.Rules}, {audit.FieldTargetType, m.TargetTypes},
		{audit.FieldTargetID, m.TargetIDs}, {audit.FieldCaller, m.Callers}} {
		texts(x.field, column(x.field), x.given)
	}
	texts(0, "e.support_code", m.SupportCodes)
	if len(m.Flows) > 0 {
		ids := idKeys(slices.DeleteFunc(slices.Clone(m.Flows), func(s string) bool { return s == "" }))
		out = append(out, list{0, "e.flow", ids, nil, `'\x'::bytea`, ` || '\x'::bytea`, len(ids) == 0})
	}
	out = append(out, numbers(audit.FieldOutcome, m.Outcomes)...)
	out = append(out, numbers(audit.FieldClass, m.Classes)...)
	return append(out, numbers(audit.FieldEvidence, m.Evidences)...)
}

func numbers[T ~uint8](f audit.Field, given []T) []list {
	if len(given) == 0 {
		return nil
	}
	values, present := []int16{}, []string{}
	for _, n := range given {
		if n != 0 {
			values, present = append(values, int16(n)), append(present, strconv.Itoa(int(n)))
		}
	}
	return []list{{f, column(f), values, present, "", "", len(values) == 0}}
}

// included adds "and it is one of these".
func (l *list) included(t *text) {
	t.add(` AND (`, l.column, l.same, `) = ANY (`, t.arg(l.values), `)`)
}

// excluded adds "and it is none of these".
func (l *list) excluded(t *text) {
	column := l.column
	if l.absent != "" {
		column = `coalesce(` + column + `, ` + l.absent + `)`
	}
	t.add(` AND `, column, ` <> ALL (`, t.arg(l.values), `)`)
}

// Names of the filters that go by blind indexes, in the order of Match.Indexes.
func indexFilters() [4]string { return [4]string{"subjects", "domains", "names", "networks"} }

// conditions are all filters but the one that is walked, checked on each row met. Concatenating nothing keeps the server from
// taking a condition for a path.
func (s *search) conditions(t *text, r *reach, walked string) {
	if q := s.q; !q.Start.IsZero() || !q.End.IsZero() {
		timed(t, q)
	}
	s.untimed(t, r, walked)
}

// untimed are the conditions but those on the time.
func (s *search) untimed(t *text, r *reach, walked string) {
	q := s.q
	if q.NoSandbox {
		t.add(` AND e.flags & `, strconv.Itoa(flagSandbox), ` = 0`)
	}
	for _, l := range lists(&q.Match) {
		if l.column != walked {
			l.included(t)
		}
	}
	if walked != "e.type" {
		typesIn(t, q.Types, ` AND `)
	}
	for _, l := range lists(&q.Exclude) {
		l.excluded(t)
	}
	typesIn(t, q.Exclude.Types, ` AND NOT `)
	for i, indexes := range q.Indexes() {
		if indexFilters()[i] != walked {
			indexed(t, r, indexes, ` AND EXISTS `)
		}
	}
	for _, indexes := range q.Exclude.Indexes() {
		indexed(t, r, indexes, ` AND NOT EXISTS `)
	}
	for _, w := range r.words {
		w.any(t)
	}
	r.visible(t)
}

// timed adds the query's range of time.
func timed(t *text, q *audit.Query) {
	if !q.Start.IsZero() {
		t.add(` AND e.time >= `, t.arg(stored.Nanos(q.Start)))
	}
	if !q.End.IsZero() {
		t.add(` AND e.time < `, t.arg(stored.Nanos(q.End)))
	}
}

// indexed adds "there is a row for one of these indexes". OFFSET keeps it a question asked of each row.
func indexed(t *text, r *reach, indexes []audit.Index, exists string) {
	if len(indexes) > 0 {
		t.add(exists, `(SELECT 1 FROM `, r.table("term"), ` x WHERE x.term = ANY (`, t.arg(terms(indexes)), `) AND x.position = e.position OFFSET 0)`)
	}
}

// typesIn adds "the type is one of these, or of one of these families".
func typesIn(t *text, types []string, and string) {
	if len(types) == 0 {
		return
	}
	exact, families := split(types)
	t.add(and, `((e.type || '') = ANY (`, t.arg(keys(exact)), `)`)
	for _, f := range families {
		t.add(` OR (e.type || '') >= `, t.arg(f+"."), ` AND (e.type || '') < `, t.arg(f+"/"))
	}
	t.add(`)`)
}

// split parts exact types from families ("password" for "password.*"). What no stored type can be, or be of, is left out.
func split(types []string) (exact, families []string) {
	for _, t := range types {
		family, wide := strings.CutSuffix(t, "*")
		if !wide {
			exact = append(exact, t)
		} else if family, ok := strings.CutSuffix(family, "."); ok && plain(family) {
			families = append(families, family)
		}
	}
	return exact, families
}

// anyOf are values of some fields, as their columns have them: one of them is enough.
type anyOf map[audit.Field][]string

func (a anyOf) any(t *text) {
	t.add(` AND (false`)
	for _, c := range wordFields() {
		if values := a[c.field]; len(values) > 0 {
			t.add(` OR (`, c.name, ` || '') = ANY (`, t.arg(values), `)`)
		}
	}
	t.add(`)`)
}
