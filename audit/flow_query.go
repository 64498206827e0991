package audit

import (
	"slices"
	"strconv"
	"time"
)

// FlowQuery chooses flows: those that every non-empty list of its FlowMatch fits, and no list of Exclude.
type FlowQuery struct {
	OrganizationUID string
	// Keyset position: rows that started before BeforeTime, or at it with a smaller id. Zero starts at the newest.
	BeforeTime time.Time
	BeforeID   string
	Limit      int
	Start, End time.Time // on FlowRow.Started; zero is open; End is exclusive
	FlowMatch
	Exclude FlowMatch
}

// FlowMatch lists values by field. A flow fits a list when it has one of its values; it fits an empty list as part of what is
// included, and never as part of what is excluded.
type FlowMatch struct {
	Sites        []string // site ids
	SupportCodes []string
	Endings      []Ending
	Classes      []Class
	Reasons      []string // of the ending
	// Of any step of the flow.
	Methods     []string
	Factors     []string
	Connections []string // connection ids
	Rules       []string
	Evidences   []Evidence
	// Blind indexes of any step of the flow.
	Subjects []Index // account, e-mail and typed identifier
	Domains  []Index // domain of the e-mail
	Names    []Index // display name
	Networks []Index
}

// Indexes returns the lists of blind indexes, each of which is a filter of its own.
func (m *FlowMatch) Indexes() [4][]Index {
	return [4][]Index{m.Subjects, m.Domains, m.Names, m.Networks}
}

// Terms returns the lists that are looked for in FlowRow.Terms, as terms: each is a filter of its own.
func (m *FlowMatch) Terms() [5][]Term {
	list := func(f Field, values []string) (out []Term) {
		for _, v := range values {
			out = append(out, Term{f, v})
		}
		return out
	}
	var evidences []string
	for _, e := range m.Evidences {
		evidences = append(evidences, strconv.Itoa(int(e)))
	}
	return [5][]Term{list(FieldMethod, m.Methods), list(FieldFactor, m.Factors), list(FieldConnection, m.Connections),
		list(FieldRule, m.Rules), list(FieldEvidence, evidences)}
}

// Fits reports whether a flow with these blind indexes is one of those q chooses. The keyset position and Limit are not asked.
func (q *FlowQuery) Fits(r *FlowRow, indexes []Index) bool {
	return r.OrganizationUID == q.OrganizationUID && (q.Start.IsZero() || !r.Started.Before(q.Start)) && (q.End.IsZero() || r.Started.Before(q.End)) &&
		q.FlowMatch.each(r, indexes, func(given, has bool) bool { return !given || has }) &&
		q.Exclude.each(r, indexes, func(given, has bool) bool { return !given || !has })
}

// each asks check of every list, whether it was given and whether the flow has one of its values, until check says false.
func (m *FlowMatch) each(r *FlowRow, indexes []Index, check func(given, has bool) bool) bool {
	if !check(len(m.Sites) > 0, slices.Contains(m.Sites, r.Site)) || !check(len(m.SupportCodes) > 0, slices.Contains(m.SupportCodes, r.SupportCode)) ||
		!check(len(m.Endings) > 0, slices.Contains(m.Endings, r.Ending)) || !check(len(m.Classes) > 0, slices.Contains(m.Classes, r.Class)) ||
		!check(len(m.Reasons) > 0, slices.Contains(m.Reasons, r.Reason)) {
		return false
	}
	for _, list := range m.Terms() {
		if !check(len(list) > 0, slices.ContainsFunc(list, r.Terms.Has)) {
			return false
		}
	}
	have := Event{Indexes: indexes}
	for _, list := range m.Indexes() {
		if !check(len(list) > 0, slices.ContainsFunc(list, have.indexed)) {
			return false
		}
	}
	return true
}
