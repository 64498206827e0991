package sqlite

import (
	"database/sql"
	"errors"

	"github.com/postern-audit/postern/audit"
)

// flowColumns are the columns scanFlow reads, in its order, from flow f and organization_sequence o.
const flowColumns = `f.id, o.organization_uid, f.name, f.site, f.site_uid, f.support_code, f.correlation_id, f.class, f.provisional,
	f.started, f.ended, f.ending, f.reason, f.last_step, f.last_time, f.start_event, f.bind_event, f.end_event`

// scanFlow reads flowColumns, after the columns into.
func scanFlow(scan func(...any) error, into ...any) (audit.FlowRow, error) {
	var r audit.FlowRow
	var started, last int64
	var ended sql.NullInt64
	err := scan(append(into, &r.ID, &r.OrganizationUID, &r.Organization, &r.Site, &r.SiteUID, &r.SupportCode, &r.CorrelationID, &r.Class,
		&r.Provisional, &started, &ended, &r.Ending, &r.Reason, &r.LastStep, &last, &r.StartEventID, &r.BindEventID, &r.EndEventID)...)
	r.Started, r.Ended, r.LastTime = fromNanos(started), fromNanos(ended.Int64), fromNanos(last)
	return r, err
}

// flowState is a flow's row during an append transaction.
type flowState struct {
	audit.FlowRow
	number       int64 // 0: not stored yet
	organization int64
	partition    int
	changed      bool
	indexes      map[indexKey]struct{}
}

type indexKey struct {
	purpose audit.Purpose
	value   string
}

// flow brings the row of the event's flow up to date.
func (w *writer) flow(partition int, organization int64, e *audit.Event) error {
	if e.Flow == "" {
		return nil
	}
	f, ok := w.flows[e.Flow]
	if !ok {
		f = &flowState{organization: organization, partition: partition, indexes: map[indexKey]struct{}{}}
		row, err := scanFlow(w.row(w.stmts.flow, e.Flow).Scan, &f.number)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err == nil {
			f.FlowRow = row
		}
		w.flows[e.Flow] = f
		w.flowOrder = append(w.flowOrder, f)
	}
	if f.Apply(e) {
		f.changed = true
	}
	if f.ID == "" || f.OrganizationUID != e.OrganizationUID {
		return nil
	}
	for _, x := range e.Indexes {
		if x.Purpose < audit.IndexNetwork32 || x.Purpose > audit.IndexNetwork8 {
			f.indexes[indexKey{x.Purpose, string(x.Value)}] = struct{}{}
		}
	}
	return nil
}

// writeFlows stores the rows that changed, and the subjects' indexes.
func (w *writer) writeFlows() error {
	var indexRows []indexRow
	for _, f := range w.flowOrder {
		if err := w.writeFlow(f); err != nil {
			return err
		}
		for x := range f.indexes {
			indexRows = append(indexRows, indexRow{x.purpose, []byte(x.value), f.number})
		}
	}
	return w.many(w.stmts.flowIndex, w.stmts.flowIndexes, indexRows)
}

func (w *writer) writeFlow(f *flowState) error {
	if !f.changed {
		return nil
	}
	var ended any
	if f.EndEventID != "" {
		ended = nanos(f.Ended)
	}
	args := []any{f.Site, f.SiteUID, f.SupportCode, f.CorrelationID, int64(f.Class), f.Provisional,
		nanos(f.Started), ended, int64(f.Ending), f.Reason, f.LastStep, nanos(f.LastTime), f.StartEventID, f.BindEventID, f.EndEventID}
	if f.number != 0 {
		return w.exec(w.stmts.saveFlow, append(args, f.number)...)
	}
	return w.row(w.stmts.newFlow, append([]any{f.ID, f.organization, f.partition, f.Organization}, args...)...).Scan(&f.number)
}
