package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
	"github.com/postern-audit/postern/internal/errs"
)

var _ audit.Importer = (*Archive)(nil)

// Reasons of refused imports.
const (
	reasonInUse    = "ARCHIVE_IN_USE"
	reasonConflict = "ARCHIVE_CONFLICT"
)

// Import stores a piece of an organization's record as another archive has it, in one durable transaction: events with their
// sequence numbers, on shelves of the same days, and the rows of their flows. What is stored already is left out, so that a
// piece may come again. Without events it only notes where the record stands, which is behind its last event when the youngest
// were pruned.
//
// It refuses with ARCHIVE_IN_USE once an archiver has taken a partition here: two who give sequence numbers would clash.
func (a *Archive) Import(ctx context.Context, standing audit.Standing, events []audit.StoredEvent, flows []audit.StoredFlow) error {
	return a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := unused(ctx, tx); err != nil {
			return err
		}
		w := newWriter(ctx, tx)
		if err := w.lockOrganizations([]string{standing.OrganizationUID}); err != nil {
			return err
		}
		o := w.organizations[standing.OrganizationUID]
		var items []item
		for i := range events {
			if e := &events[i]; e.Sequence > o.last {
				items = append(items, newItem(0, 0, e.Event, e.Body))
				items[len(items)-1].keep = e.Shelf.Keep
			}
		}
		if err := w.importEvents(o, items, flows); err != nil {
			return err
		}
		if len(events) == 0 {
			o.last = max(o.last, standing.Last)
		}
		o.name, o.recorded, o.revision, o.changed = standing.Organization, max(o.recorded, stored.Nanos(standing.Recorded)), max(o.revision, standing.Revision), true
		return w.write(nil)
	})
}

// unused refuses when an archiver has been at work here.
func unused(ctx context.Context, tx pgx.Tx) error {
	var used bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM partition_epoch)`).Scan(&used)
	if err == nil && used {
		err = errs.New(errs.FailedPrecondition, reasonInUse, "the archive is in use: a process has begun to archive to it")
	}
	return err
}

func (w *writer) importEvents(o *organization, items []item, flows []audit.StoredFlow) error {
	known, err := w.prepare(items)
	if err != nil {
		return err
	}
	o = w.organizations[o.uid]
	rows := make(map[string]*audit.StoredFlow, len(flows))
	for i := range flows {
		rows[flows[i].ID] = &flows[i]
	}
	for i := range items {
		it := &items[i]
		if known[string(it.id)] || it.event.OrganizationUID != o.uid {
			return errs.New(errs.FailedPrecondition, reasonConflict, "the archive has an event of this record already, under another sequence number: it holds something else")
		}
		known[string(it.id)] = true
		forked := it.event.Forked
		w.put(it, o)
		if row := rows[it.event.Flow]; row != nil {
			if err := w.importFlow(it, row, forked); err != nil {
				return err
			}
		}
	}
	return nil
}

// importFlow takes a flow's row as it is, with what this event adds to the steps and blind indexes that are stored.
func (w *writer) importFlow(it *item, row *audit.StoredFlow, forked bool) error {
	f := w.flowOf(it)
	fresh := f.ID == ""
	if !f.changed {
		f.changed, f.FlowRow, f.partition = true, row.FlowRow, row.Partition
		_, own := audit.IDMoment(row.ID)
		if fresh {
			s, err := w.shelfOf(audit.ShelfOf(row.Shelf.Keep, row.Moment))
			if err != nil {
				return err
			}
			if at, _ := audit.IDMoment(row.ID); !own || !at.Equal(row.Moment) {
				w.stray(s, false)
			}
			f.shelf, f.organization, f.moment = s, w.organizations[row.OrganizationUID].number, row.Moment.UnixMilli()
		}
		w.contentOf(f.organization, f.shelf, audit.CategorySignIn).flow(fresh, stored.Nanos(f.Started))
	}
	if it.event.Step > 0 && !forked {
		f.steps.add(it.event.Step)
	}
	w.list(f, &it.event)
	return nil
}

// ImportKeys stores wrapped organization keys; those that are there stay.
func (a *Archive) ImportKeys(ctx context.Context, wrapped []audit.OrganizationKey) error {
	return a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var b pgx.Batch
		queueKeys(&b, wrapped)
		return tx.SendBatch(ctx, &b).Close()
	})
}

// ImportPruned stores what another archive dropped of an organization, so that gaps in its sequence stay explained. What is
// told is told; what is not will be told from here.
func (a *Archive) ImportPruned(ctx context.Context, pruned []audit.Pruned, untold map[string]bool) error {
	return a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		for i := range pruned {
			p := &pruned[i]
			w := newWriter(ctx, tx)
			if err := w.lockOrganizations([]string{p.OrganizationUID}); err != nil {
				return err
			}
			var told bool
			err := tx.QueryRow(ctx, `SELECT told FROM pruned WHERE event_id = $1`, key(p.EventID)).Scan(&told)
			if errors.Is(err, pgx.ErrNoRows) {
				err = insertPruned(ctx, tx, w.organizations[p.OrganizationUID].number, p)
			}
			if err == nil && !told && !untold[p.EventID] {
				_, err = tx.Exec(ctx, `UPDATE pruned SET told = true WHERE event_id = $1`, key(p.EventID))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
