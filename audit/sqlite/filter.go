package sqlite

import (
	"database/sql"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// resolve reads what a filter stands for: the types of its families, the flows of its support codes. False when nothing can match.
func (s *search) resolve() (possible bool, err error) {
	for _, l := range lists(&s.q.Match) {
		if len(l.values) > 0 && len(l.bound()) == 0 {
			return false, nil
		}
	}
	if len(s.q.Types) > 0 || len(s.q.Exclude.Types) > 0 {
		if s.kinds, err = s.types(); err != nil || len(s.kinds) == 0 {
			return false, err
		}
	}
	if len(s.q.SupportCodes) > 0 {
		if s.flows, err = s.flowsOfCodes(); err != nil || len(s.flows) == 0 {
			return false, err
		}
	}
	return true, nil
}

// types returns the stored types that the filter includes and does not exclude.
func (s *search) types() ([]string, error) {
	rows, err := s.tx.QueryContext(s.ctx, `SELECT type FROM type_seen`)
	if err != nil {
		return nil, err
	}
	seen, err := collect(rows, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) })
	named := func(by []string, name string) bool {
		return slices.ContainsFunc(by, func(filter string) bool { return audit.MatchesType(filter, audit.Type(name)) })
	}
	return slices.DeleteFunc(seen, func(name string) bool {
		return (len(s.q.Types) > 0 && !named(s.q.Types, name)) || named(s.q.Exclude.Types, name)
	}), err
}

// flowsOfCodes returns the flows with the support codes. An event has its flow's code or none.
func (s *search) flowsOfCodes() (out []string, err error) {
	for _, on := range s.view.catalogue.shelves {
		var c clause
		in(&c, "f.support_code", s.q.SupportCodes)
		rows, err := s.tx.QueryContext(s.ctx, on.text(`SELECT f.id FROM flow_# f INDEXED BY flow_code_# WHERE f.organization = ?`+c.text),
			append([]any{s.view.number}, c.args...)...)
		if err != nil {
			return nil, err
		}
		found, err := collect(rows, func(r *sql.Rows) (id string, err error) { return id, r.Scan(&id) })
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// listed is one list of a filter: a column and the values it may have.
type listed struct {
	column string
	field  audit.Field // 0: a field that is no term, or has an index
	values []string
	number bool // they are numbers
}

// lists are those of a filter but types and blind indexes. The plus signs keep SQLite from choosing another path than ours.
func lists(m *audit.Match) []listed {
	return []listed{
		{column: "+e.site", values: m.Sites}, {column: "+e.flow", values: m.Flows}, {column: "e.support_code", values: m.SupportCodes},
		{"e.outcome", audit.FieldOutcome, numbers(m.Outcomes), true}, {"e.reason", audit.FieldReason, m.Reasons, false}, {"e.method", audit.FieldMethod, m.Methods, false},
		{"e.factor", audit.FieldFactor, m.Factors, false}, {"e.connection", audit.FieldConnection, m.Connections, false}, {"e.class", audit.FieldClass, numbers(m.Classes), true},
		{"e.evidence", audit.FieldEvidence, numbers(m.Evidences), true}, {"e.rule", audit.FieldRule, m.Rules, false}, {"e.target_type", audit.FieldTargetType, m.TargetTypes, false},
		{"e.target_id", audit.FieldTargetID, m.TargetIDs, false}, {"e.caller", audit.FieldCaller, m.Callers, false},
	}
}

func numbers[T ~uint8](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		if v != 0 {
			out[i] = strconv.Itoa(int(v))
		}
	}
	return out
}

// bound returns the values as the column has them. What is absent is none.
func (l *listed) bound() []any {
	var out []any
	for _, v := range l.values {
		if v == "" {
			continue
		}
		if !l.number {
			out = append(out, v)
		} else if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// terms returns the values as terms have them.
func (l *listed) terms() []audit.Term {
	var out []audit.Term
	for _, v := range l.values {
		if v != "" {
			out = append(out, audit.Term{Field: l.field, Value: audit.TermValue(v)})
		}
	}
	return out
}

// conditions fills where with all filters, checked on each row met, and choices with the terms that are asked for. False when
// nothing on the shelf can match.
func (w *walk) conditions() (possible bool, err error) {
	c, q := &w.where, w.q
	if !q.Start.IsZero() {
		c.and("e.time >= ?", stored.Nanos(q.Start))
	}
	if !q.End.IsZero() {
		c.and("e.time < ?", stored.Nanos(q.End))
	}
	if q.NoSandbox {
		c.and("e.flags & ? = 0", flagSandbox)
	}
	if w.kinds != nil {
		in(c, "+e.type", w.kinds)
	}
	for _, l := range lists(&q.Match) {
		in(c, l.column, l.bound())
		if l.field != 0 && len(l.values) > 0 {
			w.choices = append(w.choices, l.terms())
		}
	}
	for _, l := range lists(&q.Exclude) {
		if values := l.bound(); len(values) > 0 {
			notIn(c, l.column, values)
		}
	}
	for _, list := range q.Indexes() {
		anyIndex(c, "", list)
	}
	for _, list := range q.Exclude.Indexes() {
		anyIndex(c, "NOT ", list)
	}
	return w.words()
}

// manyValues is from how many values on a list goes as one argument.
const manyValues = 500

// in adds "column is one of values"; no values, no condition.
func in[T any](c *clause, column string, values []T) {
	if len(values) == 0 {
		return
	}
	if list, err := json.Marshal(values); len(values) >= manyValues && err == nil {
		c.and(column+" IN (SELECT value FROM json_each(?))", string(list))
		return
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	c.and(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", args...)
}

// notIn adds "column is absent or none of values".
func notIn(c *clause, column string, values []any) {
	var one clause
	in(&one, column, values)
	c.and("("+column+" IS NULL OR NOT ("+strings.TrimPrefix(one.text, " AND ")+"))", one.args...)
}

// anyIndex adds "the event has one of these blind indexes", or with "NOT " the opposite.
func anyIndex(c *clause, not string, indexes []audit.Index) {
	if len(indexes) == 0 {
		return
	}
	const one = "(x.purpose = ? AND x.value = ? AND x.position = e.position)"
	args := make([]any, 0, 2*len(indexes))
	for _, x := range indexes {
		args = append(args, int64(x.Purpose), x.Value)
	}
	c.and(not+"EXISTS (SELECT 1 FROM event_index_# x WHERE "+one+strings.Repeat(" OR "+one, len(indexes)-1)+")", args...)
}
