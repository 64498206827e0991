package sqlite

import (
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// flowColumns are the columns scanFlow reads, in its order, from flow f and organization_sequence o.
const flowColumns = `f.id, o.organization_uid, f.name, f.site, f.site_uid, f.support_code, f.correlation_id, f.class, f.provisional,
	f.started, f.ended, f.ending, f.reason, f.last_step, f.last_time, f.start_event, f.bind_event, f.end_event, f.terms`

// scanFlow reads flowColumns, after the columns into.
func scanFlow(scan func(...any) error, into ...any) (audit.FlowRow, error) {
	var r audit.FlowRow
	var started, last int64
	var ended sql.NullInt64
	err := scan(append(into, &r.ID, &r.OrganizationUID, &r.Organization, &r.Site, &r.SiteUID, &r.SupportCode, &r.CorrelationID, &r.Class,
		&r.Provisional, &started, &ended, &r.Ending, &r.Reason, &r.LastStep, &last, &r.StartEventID, &r.BindEventID, &r.EndEventID, &r.Terms)...)
	r.Started, r.Ended, r.LastTime = stored.Time(started), stored.Time(ended.Int64), stored.Time(last)
	return r, err
}

// flowState is a flow's row during an append transaction.
type flowState struct {
	audit.FlowRow
	shelf        int64 // where the row lies; its events lie there or on places
	number       int64 // 0: not stored yet
	organization int64
	partition    int
	place        audit.Shelf // of a new row
	stray        any         // of a new row: its moment in milliseconds when the id does not tell it, else nil
	places       []int64
	changed      bool
	indexes      map[indexKey]struct{}
}

type indexKey struct {
	purpose audit.Purpose
	value   string
}

// everywhere lists the shelves that may have events of the flow.
func (f *flowState) everywhere() []int64 {
	if f.number == 0 {
		return f.places
	}
	return append([]int64{f.shelf}, f.places...)
}

// flowOf returns the state of the event's flow, nil when it has none.
func (w *writer) flowOf(partition int, in *arrival) (*flowState, error) {
	if in.Flow == "" {
		return nil, nil //nolint:nilnil // as documented
	}
	if f, ok := w.flows[in.Flow]; ok {
		return f, nil
	}
	f, err := w.storedFlow(in.Flow)
	if err != nil {
		return nil, err
	}
	if f == nil {
		f = &flowState{}
	}
	f.partition, f.indexes = partition, map[indexKey]struct{}{}
	w.flows[in.Flow] = f
	w.flowOrder = append(w.flowOrder, f)
	return f, nil
}

// storedFlow reads a flow's row; nil when there is none.
func (w *writer) storedFlow(id string) (*flowState, error) {
	for _, s := range w.shelves.candidates(id) {
		stmt, err := w.tx.stmts.of(w.ctx, s.number, sqlFlow)
		if err != nil {
			return nil, err
		}
		f := &flowState{shelf: s.number}
		var places string
		f.FlowRow, err = scanFlow(stmt.QueryRowContext(w.ctx, id).Scan, &f.number, &f.organization, &places)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		f.places = parsePlaces(places)
		return f, err
	}
	return nil, nil //nolint:nilnil // as documented
}

// follow brings the row of the event's flow up to date with an event that was stored on s.
func (w *writer) follow(f *flowState, s *shelf, in *arrival) {
	if f == nil {
		return
	}
	e, fresh := &in.Event, f.ID == ""
	if f.Apply(e) {
		f.changed = true
	}
	if f.ID == "" || f.OrganizationUID != e.OrganizationUID {
		return
	}
	if fresh {
		moment, own := audit.Moment(f.ID, e.RecordedTime)
		f.organization, f.place = in.organization.number, audit.ShelfOf(in.organization.keeps.SignIn, moment)
		if !own {
			f.stray = moment.UnixMilli()
		}
	}
	if (f.number == 0 || s.number != f.shelf) && !slices.Contains(f.places, s.number) {
		f.places, f.changed = append(f.places, s.number), true
	}
	for _, x := range e.Indexes {
		f.indexes[indexKey{x.Purpose, string(x.Value)}] = struct{}{}
	}
}

// writeFlows stores the rows that changed, and the subjects' indexes.
func (w *writer) writeFlows() error {
	indexRows := map[int64][]indexRow{}
	for _, f := range w.flowOrder {
		if err := w.writeFlow(f); err != nil {
			return err
		}
		for x := range f.indexes {
			indexRows[f.shelf] = append(indexRows[f.shelf], indexRow{x.purpose, []byte(x.value), f.number})
		}
	}
	for shelf, rows := range indexRows {
		if err := w.many(shelf, sqlFlowIndex, sqlFlowIndexes, rows); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) writeFlow(f *flowState) error {
	if !f.changed {
		return nil
	}
	added := int64(0)
	if f.number == 0 {
		s, err := w.shelf(f.place, f.stray != nil)
		if err != nil {
			return err
		}
		added, f.shelf = 1, s.number
		f.places = slices.DeleteFunc(f.places, func(n int64) bool { return n == s.number })
	}
	var ended any
	if f.EndEventID != "" {
		ended = stored.Nanos(f.Ended)
	}
	args := []any{f.Site, f.SiteUID, f.SupportCode, f.CorrelationID, int64(f.Class), f.Provisional,
		stored.Nanos(f.Started), ended, int64(f.Ending), f.Reason, f.LastStep, stored.Nanos(f.LastTime), f.StartEventID, f.BindEventID, f.EndEventID, formatPlaces(f.places), string(f.Terms)}
	w.contents.flow(contentKey{f.organization, f.shelf, categoryNumber(audit.CategorySignIn)}, added, stored.Nanos(f.Started))
	if f.number != 0 {
		return w.execOn(f.shelf, sqlSaveFlow, append(args, f.number)...)
	}
	return w.scanOn(f.shelf, sqlNewFlow, append([]any{f.ID, f.organization, f.partition, f.Organization, f.stray}, args...), &f.number)
}

func formatPlaces(places []int64) string {
	texts := make([]string, len(places))
	for i, n := range places {
		texts[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(texts, ",")
}

// parsePlaces reads what formatPlaces wrote.
func parsePlaces(text string) []int64 {
	var out []int64
	for part := range strings.SplitSeq(text, ",") {
		if n, err := strconv.ParseInt(part, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}
