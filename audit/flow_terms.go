package audit

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// TermSet is a small set of terms as one text that can stand in a column: what the row of a flow keeps of its steps. The zero value is
// empty. A set says whether it has a term by whether it has the term's Mark in it.
type TermSet string

// MaxTermSet is how many terms a set has at most: more than the steps of any flow have.
const MaxTermSet = 64

const (
	mark   = "\x1f" // on either side of each term
	noMark = mark + mark
)

// Mark returns the text by which a set has the term. A term without a value, or with one that is no plain text, is in no set: its
// mark is one that no set has.
func (t Term) Mark() string {
	if t.Value == "" || !utf8.ValidString(t.Value) || strings.ContainsFunc(t.Value, func(r rune) bool { return r < ' ' }) {
		return noMark
	}
	return mark + strconv.Itoa(int(t.Field)) + ":" + TermValue(t.Value) + mark
}

// Has reports whether a term is in the set.
func (s TermSet) Has(t Term) bool { return strings.Contains(string(s), t.Mark()) }

// With returns the set with more terms in it, as far as there is room.
func (s TermSet) With(terms ...Term) TermSet {
	var all []string
	for _, t := range terms {
		if m := t.Mark(); m != noMark && !s.Has(t) {
			if all == nil {
				all = s.split()
			}
			all = append(all, m[len(mark):len(m)-len(mark)])
			s = TermSet(mark + strings.Join(all, mark) + mark)
		}
	}
	if all == nil {
		return s
	}
	if len(all) > MaxTermSet {
		all = all[:MaxTermSet]
	}
	slices.Sort(all)
	return TermSet(mark + strings.Join(slices.Compact(all), mark) + mark)
}

// Values returns the values of a field, in order.
func (s TermSet) Values(f Field) []string {
	var out []string
	prefix := strconv.Itoa(int(f)) + ":"
	for _, one := range s.split() {
		if value, ok := strings.CutPrefix(one, prefix); ok {
			out = append(out, value)
		}
	}
	return out
}

func (s TermSet) split() []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.Trim(string(s), mark), mark)
}

// FlowTerms returns what an event adds to its flow's row.
func FlowTerms(e *Event) []Term {
	return slices.DeleteFunc(Terms(e), func(t Term) bool { return !inFlows(t.Field) })
}

// inFlows reports whether rows of flows keep the field of their steps.
func inFlows(f Field) bool {
	switch f {
	case FieldMethod, FieldFactor, FieldConnection, FieldEvidence, FieldRule:
		return true
	default:
		return false
	}
}
