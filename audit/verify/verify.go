// Package verify reads a whole archive and says what in it cannot be right.
//
// Purpose: after a restore, a move or a fright, to know whether the record is what was stored: no sequence number is missing
// but those that retention took, sealed parts have the digest they were stored with, bodies can be read, flows' rows say what
// their events say, the shelves count what lies on them, and the history of directories is that of events there are or were.
// Invariant: it only reads, in pages and with bounded memory, also while the archive is written to.
// It must never open a sealed part, repair anything, or take a finding for an error of its own.
// First file to read: verify.go.
package verify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
)

const (
	page        = 1000
	maxFindings = 100
	maxFlows    = 50_000 // held in memory at a time
)

// Archive is what is verified.
type Archive interface {
	audit.Dumper
	audit.HistoryDumper
	audit.Shelves
}

// Report says what was looked at and what was found.
type Report struct {
	Organizations int   `json:"organizations"`
	Events        int64 `json:"events"`
	Flows         int64 `json:"flows"`
	Pruned        int64 `json:"pruned"`  // sequence numbers that are missing because retention took them
	Commits       int64 `json:"commits"` // of directories
	// Findings are what cannot be right, in words for people; at most 100. An archive in order has none.
	Findings []string `json:"findings,omitempty"`
}

// Progress is told now and then how far one organization's record is read.
type Progress func(organization string, done, of int64)

// Run verifies all of the archive, or, when only is not empty, the record of the organization with this id or uid.
func Run(ctx context.Context, a Archive, only string, tell Progress) (Report, error) {
	v := verifying{archive: a, tell: tell}
	after := ""
	for {
		some, err := a.Standings(ctx, after, page)
		if err != nil || len(some) == 0 {
			return v.report, err
		}
		if err := v.load(ctx); err != nil {
			return v.report, err
		}
		for i := range some {
			s := &some[i]
			if only != "" && only != s.Organization && only != s.OrganizationUID {
				continue
			}
			if err := v.organization(ctx, s); err != nil {
				return v.report, err
			}
			v.report.Organizations++
		}
		after = some[len(some)-1].OrganizationUID
	}
}

type verifying struct {
	archive Archive
	tell    Progress
	report  Report
	content map[string]map[contentKey]audit.Content // what shelves say they have, by organization
}

// load reads what the shelves say. It comes after the standings: what is appended in between only makes it more.
func (v *verifying) load(ctx context.Context) error {
	all, err := v.archive.Shelves(ctx)
	v.content = map[string]map[contentKey]audit.Content{}
	for i := range all {
		for _, c := range all[i].Content {
			of := v.content[c.OrganizationUID]
			if of == nil {
				of = map[contentKey]audit.Content{}
				v.content[c.OrganizationUID] = of
			}
			of[contentKey{all[i].Shelf, c.Category}] = c
		}
	}
	return err
}

// record is one organization's, while it is read.
type record struct {
	*audit.Standing
	Report
	gone  []audit.Pruned
	spans []span                    // the sequence numbers that went with them, in order
	flows map[string]*audit.FlowRow // as their events say, of those not looked up yet
	count map[contentKey]*audit.PrunedPart
}

type span struct{ first, last int64 }

type contentKey struct {
	shelf    audit.Shelf
	category audit.Category
}

func (r *record) find(format string, args ...any) {
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, r.Organization+": "+fmt.Sprintf(format, args...))
	}
}

// organization verifies one record. When something is found and a shelf was dropped meanwhile, that may be why: it is read
// again.
func (v *verifying) organization(ctx context.Context, s *audit.Standing) error {
	var r record
	for range 3 {
		r = record{Standing: s, flows: map[string]*audit.FlowRow{}, count: map[contentKey]*audit.PrunedPart{}}
		if err := v.read(ctx, &r); err != nil {
			return err
		}
		if len(r.Findings) == 0 {
			break
		}
		now, err := v.archive.Pruned(ctx, s.OrganizationUID)
		if err != nil {
			return err
		}
		if len(now) == len(r.gone) {
			break
		}
		if err := v.load(ctx); err != nil {
			return err
		}
	}
	all := &v.report
	all.Events, all.Flows, all.Pruned = all.Events+r.Events, all.Flows+r.Flows, all.Pruned+r.Pruned
	all.Commits += r.Commits
	all.Findings = append(all.Findings, r.Findings[:min(len(r.Findings), maxFindings-len(all.Findings))]...)
	return nil
}

// read reads the record from one end to the other.
func (v *verifying) read(ctx context.Context, r *record) (err error) {
	s := r.Standing
	if r.gone, err = v.archive.Pruned(ctx, s.OrganizationUID); err != nil {
		return err
	}
	r.spans = spansOf(r.gone)
	h := newHistory(v.archive, r)
	at := int64(0)
	for at < s.Last { // what is appended from now on is for the next time
		events, err := v.archive.Dump(ctx, s.OrganizationUID, at, page)
		if err != nil {
			return err
		}
		events = slices.DeleteFunc(events, func(e audit.StoredEvent) bool { return e.Sequence > s.Last })
		if len(events) == 0 {
			break
		}
		for i := range events {
			r.gap(at, events[i].Sequence)
			at = events[i].Sequence
			r.event(&events[i])
		}
		if err := h.upTo(ctx, at, events); err != nil {
			return err
		}
		if len(r.flows) > maxFlows {
			if err := v.lookUp(ctx, r); err != nil {
				return err
			}
		}
		v.tell(s.Organization, at, s.Last)
	}
	r.gap(at, s.Last+1)
	if err := h.rest(ctx); err != nil {
		return err
	}
	if err := v.lookUp(ctx, r); err != nil {
		return err
	}
	r.shelves(v.content[r.OrganizationUID])
	return nil
}

// spansOf joins the ranges of what was dropped.
func spansOf(gone []audit.Pruned) (out []span) {
	var all []span
	for i := range gone {
		for _, p := range gone[i].Parts {
			if p.Events > 0 {
				all = append(all, span{p.FirstSequence, p.LastSequence})
			}
		}
	}
	slices.SortFunc(all, func(x, y span) int { return cmp.Compare(x.first, y.first) })
	for _, s := range all {
		if n := len(out); n > 0 && s.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, s.last)
			continue
		}
		out = append(out, s)
	}
	return out
}

// gap looks at the numbers between two that are there: dropped shelves must explain them.
func (r *record) gap(before, after int64) {
	if after-before <= 1 {
		return
	}
	if r.wasDropped(before+1, after-1) {
		r.Pruned += after - before - 1
		return
	}
	r.find("sequence numbers %d to %d are missing, and no dropped shelf had them", before+1, after-1)
}

// wasDropped reports whether dropped shelves explain that numbers are missing.
func (r *record) wasDropped(first, last int64) bool {
	return slices.ContainsFunc(r.spans, func(s span) bool { return s.first <= first && last <= s.last })
}

// event looks at one row by itself.
func (r *record) event(e *audit.StoredEvent) {
	r.Events++
	if !digested(e.Sealed) {
		r.find("sequence %d: the sealed part is not the one its digest was made of", e.Sequence)
	}
	if e.Type != audit.TypeUnreadable {
		if e.PersonalState == codec.StateUnreadable {
			r.find("sequence %d: its body cannot be read", e.Sequence)
			return
		}
		if e.OrganizationUID != r.OrganizationUID {
			r.find("sequence %d: it is an event of organization %s", e.Sequence, e.OrganizationUID)
		}
	}
	if at, _ := audit.Moment(e.ID, e.RecordedTime); at.Before(e.Shelf.Start) || !at.Before(e.Shelf.End) {
		r.find("sequence %d: it lies on shelf %s, and its moment does not", e.Sequence, e.Shelf)
	}
	r.counts(e)
	if e.Flow != "" && e.Step > 0 {
		f := r.flows[e.Flow]
		if f == nil {
			f = &audit.FlowRow{}
			r.flows[e.Flow] = f
		}
		f.Apply(&e.Event)
	}
}

// digested reports whether a sealed part is the one its digest was made of, or was erased.
func digested(x *audit.Sealed) bool {
	if x == nil || x.Salt == nil && x.Data == nil {
		return true
	}
	h := sha256.New()
	h.Write(x.Salt)
	h.Write(x.Data)
	return bytes.Equal(h.Sum(nil), x.Digest)
}

func (r *record) counts(e *audit.StoredEvent) {
	k := contentKey{e.Shelf, audit.CategoryOf(e.Type)}
	p := r.count[k]
	if p == nil {
		p = &audit.PrunedPart{FirstSequence: e.Sequence}
		r.count[k] = p
	}
	p.Events++
	p.LastSequence = e.Sequence
}

// lookUp holds rows against what their events said. A row that differs may only have been looked at too early, or have lost
// events to retention: then all its events are read at once.
func (v *verifying) lookUp(ctx context.Context, r *record) error {
	var ids []string
	for id := range r.flows {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for chunk := range slices.Chunk(ids, page) {
		rows, err := v.archive.DumpFlows(ctx, r.OrganizationUID, chunk)
		if err != nil {
			return err
		}
		have := map[string]*audit.FlowRow{}
		for i := range rows {
			have[rows[i].ID] = &rows[i].FlowRow
		}
		for _, id := range chunk {
			r.Flows++
			if row := have[id]; row == nil || !same(row, r.flows[id]) {
				if err := v.flow(ctx, r, id); err != nil {
					return err
				}
			}
		}
	}
	r.flows = map[string]*audit.FlowRow{}
	return nil
}

// same compares rows as archives can hold them: times are nanoseconds from 1678 to 2262.
func same(a, b *audit.FlowRow) bool { return bounded(*a) == bounded(*b) }

func bounded(r audit.FlowRow) audit.FlowRow {
	for _, t := range []*time.Time{&r.Started, &r.Ended, &r.LastTime} {
		switch {
		case t.IsZero():
			*t = time.Time{}
		case t.Year() < 1678:
			*t = time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC)
		case t.Year() >= 2262:
			*t = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
		default:
			*t = t.UTC().Round(0)
		}
	}
	return r
}

// flow looks at one flow by all its events.
func (v *verifying) flow(ctx context.Context, r *record, id string) error {
	for range 3 { // while it is written to, row and events may be of two moments
		rows, err := v.archive.DumpFlows(ctx, r.OrganizationUID, []string{id})
		if err != nil {
			return err
		}
		events, err := v.archive.DumpFlow(ctx, r.OrganizationUID, id)
		if err != nil {
			return err
		}
		var want audit.FlowRow
		gapless, last := true, int64(0)
		for i := range events {
			want.Apply(&events[i].Event)
			gapless = gapless && events[i].Sequence > last
			last = events[i].Sequence
		}
		if len(rows) == 1 && same(&rows[0].FlowRow, &want) && gapless || r.lost(want, rows) {
			return nil
		}
	}
	r.find("the row of flow %s does not say what its events say", id)
	return nil
}

// lost reports whether a flow is as old as something retention took: its row, or its first events, may be gone.
func (r *record) lost(f audit.FlowRow, rows []audit.StoredFlow) bool {
	at, own := audit.IDMoment(f.ID)
	for i := range r.gone {
		if s := r.gone[i].Shelf; !own || at.Before(s.End) && (len(rows) == 0 || f.StartEventID == "" || rows[0].LastStep != f.LastStep) {
			return true
		}
	}
	return false
}

// shelves holds what the shelves count against what was read. A shelf that was appended to since may have more.
func (r *record) shelves(content map[contentKey]audit.Content) {
	for k, c := range content {
		p := r.count[k]
		delete(r.count, k)
		if p == nil {
			p = &audit.PrunedPart{}
		}
		if p.Events > c.Events || p.Events < c.Events && c.LastSequence <= r.Last || p.Events > 0 && p.FirstSequence != c.FirstSequence {
			r.find("shelf %s counts %d events of %s, %d are there", k.shelf, c.Events, c.Category, p.Events)
		}
	}
	for k, p := range r.count {
		r.find("%d events of %s lie where no shelf %s is noted", p.Events, k.category, k.shelf)
	}
}
