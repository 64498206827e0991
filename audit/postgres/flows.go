package postgres

import (
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// flowState is a flow's row during an append transaction.
type flowState struct {
	audit.FlowRow
	shelf        *shelf
	organization int32
	partition    int
	moment       int64
	stored       bool // there is a row
	changed      bool // since it was read
	listed       bool // to be written
	steps        stepSet
	terms        map[string]bool // new blind indexes of the subject
}

// stepSet is which steps of a flow are stored.
type stepSet struct {
	low  int64 // bit n-1 is step n, 1 to 64
	more []int32
}

// add notes a step; false when it was there.
func (s *stepSet) add(step int) bool {
	if step >= 1 && step <= 64 {
		bit := int64(1) << (step - 1)
		had := s.low&bit != 0
		s.low |= bit
		return !had
	}
	n := clamp(step)
	if slices.Contains(s.more, n) {
		return false
	}
	s.more = append(s.more, n)
	return true
}

func clamp(n int) int32 {
	return int32(max(min(n, 1<<31-1), -1<<31))
}

// flowOf returns the state of an item's flow; nil when the item has none.
func (w *writer) flowOf(it *item) *flowState {
	e := &it.event
	if e.Flow == "" {
		return nil
	}
	id := string(idKey(e.Flow))
	f := w.flows[id]
	if f == nil {
		f = &flowState{partition: it.partition, terms: map[string]bool{}}
		w.flows[id] = f
	}
	return f
}

// fork notes the item's step and reports whether the flow has it already. A step with the name of another organization's flow
// belongs to no row, and what it repeats is not known.
func (f *flowState) fork(e *audit.Event) bool {
	if e.Step <= 0 || (f.ID != "" && f.OrganizationUID != e.OrganizationUID) {
		return false
	}
	return !f.steps.add(e.Step)
}

// flow brings the row of the item's flow up to date.
func (w *writer) flow(f *flowState, it *item, o *organization) error {
	e := &it.event
	fresh := f.ID == ""
	before := f.Started
	if f.Apply(e) {
		f.changed = true
	}
	if f.ID == "" || f.OrganizationUID != e.OrganizationUID {
		return nil
	}
	if fresh {
		moment, own := audit.Moment(e.Flow, e.RecordedTime)
		s, err := w.shelfOf(audit.ShelfOf(o.retention.Days(audit.CategorySignIn), moment))
		if err != nil {
			return err
		}
		w.stray(s, own)
		f.shelf, f.organization, f.moment = s, o.number, moment.UnixMilli()
	}
	if fresh || !f.Started.Equal(before) {
		w.contentOf(o.number, f.shelf, audit.CategorySignIn).flow(fresh, stored.Nanos(f.Started))
	}
	w.list(f, e)
	return nil
}

// list adds the event's blind indexes to the flow's and sees to it that the row is written.
func (w *writer) list(f *flowState, e *audit.Event) {
	for _, x := range e.Indexes {
		f.terms[string(term(x))] = true
	}
	if (f.changed || len(f.terms) > 0) && !f.listed {
		f.listed = true
		w.flowOrder = append(w.flowOrder, f)
	}
}

// flowTexts are the texts of a row that may not fit their columns, always in this order: that of column exact.
func flowTexts(r *audit.FlowRow) []*string {
	return []*string{&r.ID, &r.Organization, &r.Site, &r.SiteUID, &r.SupportCode, &r.CorrelationID, &r.Reason, &r.StartEventID, &r.BindEventID, &r.EndEventID}
}

// exact is the value of that column: nil when every text stands in its own.
func exact(r *audit.FlowRow) []byte {
	_, fits := parseUUID(r.ID)
	var texts []string
	for i, s := range flowTexts(r) {
		texts = append(texts, *s)
		fits = fits && (i == 0 || plain(*s))
	}
	if fits {
		return nil
	}
	return pack(texts...)
}
