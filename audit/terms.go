package audit

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Terms returns an event's terms, each field at most once, in the order of fields. What the event does not have is left out.
func Terms(e *Event) []Term {
	out := make([]Term, 0, 13)
	add := func(f Field, value string) {
		if value != "" {
			out = append(out, Term{f, TermValue(value)})
		}
	}
	number := func(f Field, n uint8) {
		if n != 0 {
			add(f, strconv.Itoa(int(n)))
		}
	}
	add(FieldType, string(e.Type))
	number(FieldOutcome, uint8(e.Outcome))
	add(FieldReason, e.Reason)
	add(FieldMethod, e.Method)
	add(FieldFactor, e.Factor)
	add(FieldConnection, e.Connection)
	number(FieldClass, uint8(e.Class))
	number(FieldEvidence, uint8(e.Evidence))
	add(FieldRule, e.rule())
	if t := e.Target; t != nil {
		add(FieldTargetType, t.Type)
		add(FieldTargetID, t.ID)
	}
	add(FieldCaller, e.Caller)
	add(FieldSite, e.Site)
	return out
}

// TermValue cuts a value to what a term holds of it, at the end of a character.
func TermValue(value string) string {
	if len(value) <= MaxTerm {
		return value
	}
	n := MaxTerm
	for n > 0 && !utf8.RuneStart(value[n]) {
		n--
	}
	return value[:n]
}

func (e *Event) rule() string {
	if e.Decision == nil {
		return ""
	}
	return e.Decision.Rule
}

// wordFields are the fields whose values have words.
var wordFields = [...]Field{FieldType, FieldReason, FieldMethod, FieldFactor, FieldConnection, FieldRule, FieldTargetType, FieldTargetID, FieldCaller, FieldSite}

// HasWords reports whether a field's values have words.
func (f Field) HasWords() bool { return slices.Contains(wordFields[:], f) }

// HasWord reports whether a value, or what follows one of the characters "._-:/@ " in it, begins with the word. Letters of ASCII
// are alike in both cases. No value has an empty word.
func HasWord(value, word string) bool {
	if word == "" {
		return false
	}
	for {
		if len(value) >= len(word) && foldASCII(value[:len(word)]) == foldASCII(word) {
			return true
		}
		i := strings.IndexAny(value, "._-:/@ ")
		if i < 0 {
			return false
		}
		value = value[i+1:]
	}
}

// Fits reports whether an event is one of those q chooses, wherever in the record it lies: After, UpTo and Limit are not asked.
func (q *Query) Fits(e *Event) bool {
	switch {
	case e.OrganizationUID != q.OrganizationUID, q.NoSandbox && e.Sandbox,
		!q.Start.IsZero() && e.Time.Before(q.Start), !q.End.IsZero() && !e.Time.Before(q.End),
		!q.Match.all(e), q.Exclude.any(e):
		return false
	}
	terms := Terms(e)
	for _, word := range q.Text {
		if !slices.ContainsFunc(terms, func(t Term) bool { return t.Field.HasWords() && HasWord(t.Value, word) }) {
			return false
		}
	}
	return true
}

func (m *Match) all(e *Event) bool {
	return m.each(func(given, holds bool) bool { return !given || holds }, e)
}

func (m *Match) any(e *Event) bool {
	return !m.each(func(given, holds bool) bool { return !given || !holds }, e)
}

// each asks check of every list, whether it was given and whether the event has one of its values, until check says false.
func (m *Match) each(check func(given, holds bool) bool, e *Event) bool {
	target := Target{}
	if e.Target != nil {
		target = *e.Target
	}
	for _, l := range [...]struct {
		list  []string
		value string
	}{{m.Sites, e.Site}, {m.Flows, e.Flow}, {m.SupportCodes, e.SupportCode}, {m.Reasons, e.Reason}, {m.Methods, e.Method},
		{m.Factors, e.Factor}, {m.Connections, e.Connection}, {m.Rules, e.rule()}, {m.TargetTypes, target.Type},
		{m.TargetIDs, target.ID}, {m.Callers, e.Caller}} {
		if !check(len(l.list) > 0, l.value != "" && slices.Contains(l.list, l.value)) {
			return false
		}
	}
	for _, list := range m.Indexes() {
		if !check(len(list) > 0, slices.ContainsFunc(list, e.indexed)) {
			return false
		}
	}
	return check(len(m.Types) > 0, slices.ContainsFunc(m.Types, func(t string) bool { return MatchesType(t, e.Type) })) &&
		check(len(m.Outcomes) > 0, e.Outcome != 0 && slices.Contains(m.Outcomes, e.Outcome)) &&
		check(len(m.Classes) > 0, e.Class != 0 && slices.Contains(m.Classes, e.Class)) &&
		check(len(m.Evidences) > 0, e.Evidence != 0 && slices.Contains(m.Evidences, e.Evidence))
}

func (e *Event) indexed(x Index) bool {
	return slices.ContainsFunc(e.Indexes, func(have Index) bool { return have.Purpose == x.Purpose && bytes.Equal(have.Value, x.Value) })
}

// MatchesType reports whether a type is what a filter names: the type itself, or its family as "password.*".
func MatchesType(filter string, t Type) bool {
	family, ok := strings.CutSuffix(filter, "*")
	if !ok {
		return filter == string(t)
	}
	return strings.HasSuffix(family, ".") && strings.HasPrefix(string(t), family)
}
