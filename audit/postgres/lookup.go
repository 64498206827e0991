package postgres

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
)

// near is how far from the recorded time the moment of an id may lie for its event to be certainly on a shelf of that moment,
// also when it was recorded another time before: well within what audit.Moment believes.
const near = 200 * 24 * time.Hour

// certain reports whether an id recorded at this time cannot be a stray.
func certain(id string, recorded time.Time) bool {
	at, ok := audit.IDMoment(id)
	d := at.Sub(recorded)
	return ok && d <= near && d >= -near
}

// lookUp asks every shelf that may have one of the ids for those it has, and reads the rows of the items' flows.
func (w *writer) lookUp(items []item) (known map[string]bool, err error) {
	known = map[string]bool{}
	var b pgx.Batch
	for _, s := range w.inOrder() {
		var ids, flows [][]byte
		for i := range items {
			e := &items[i].event
			if s.may(e.ID, !certain(e.ID, e.RecordedTime)) {
				ids = append(ids, items[i].id)
			}
			if e.Flow != "" && s.may(e.Flow, !certain(e.Flow, e.RecordedTime)) {
				flows = append(flows, idKey(e.Flow))
			}
		}
		if len(ids) > 0 {
			b.Queue(`SELECT e.id FROM `+s.table("event")+` e WHERE e.id = ANY ($1)`, ids).Query(func(rows pgx.Rows) error {
				var id []byte
				_, err := pgx.ForEachRow(rows, []any{&id}, func() error { known[string(id)] = true; return nil })
				return err
			})
		}
		if len(flows) > 0 {
			w.queueFlows(&b, s, flows)
		}
	}
	w.queuePeople(&b, items)
	return known, w.tx.SendBatch(w.ctx, &b).Close()
}

// queueFlows reads rows of flows on a shelf.
func (w *writer) queueFlows(b *pgx.Batch, s *shelf, ids [][]byte) {
	slices.SortFunc(ids, slices.Compare)
	ids = slices.CompactFunc(ids, slices.Equal)
	b.Queue(`SELECT o.exact, f.organization, f.steps, f.more_steps, `+flowColumns+` FROM `+s.table("flow")+` f JOIN organization o USING (organization)
		WHERE f.id = ANY ($1)`, ids).Query(func(rows pgx.Rows) error {
		defer rows.Close()
		for rows.Next() {
			f := flowState{shelf: s, stored: true, terms: map[string]bool{}}
			var uid []byte
			row, err := scanFlow(rows, "", &uid, &f.organization, &f.steps.low, &f.steps.more)
			if err != nil {
				return err
			}
			f.FlowRow, f.OrganizationUID = row, string(uid)
			w.flows[string(idKey(f.ID))] = &f
		}
		return rows.Err()
	})
}

// inOrder returns the shelves known to the transaction, always in the same order.
func (w *writer) inOrder() []*shelf {
	return slices.SortedFunc(maps.Values(w.shelves), func(x, y *shelf) int { return cmp.Compare(x.number, y.number) })
}
