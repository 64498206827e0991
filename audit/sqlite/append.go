package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/postern-audit/postern/audit"
)

// Append stores a batch in one durable transaction, or none of it.
func (a *Archive) Append(ctx context.Context, b audit.Batch) (audit.Appended, error) {
	done, err := a.AppendAll(ctx, []audit.Batch{b})
	if err != nil {
		return audit.Appended{}, err
	}
	if done[0].Fenced {
		return audit.Appended{}, audit.ErrFenced
	}
	return done[0], nil
}

// AppendAll stores the batches of several partitions in one durable transaction: one fsync for all of them. Fenced ones are
// left out and say so.
func (a *Archive) AppendAll(ctx context.Context, batches []audit.Batch) ([]audit.Appended, error) {
	var done []audit.Appended
	err := a.inWrite(ctx, func(ctx context.Context, tx *sql.Tx) error {
		w := newWriter(ctx, tx, &a.stmts)
		done = make([]audit.Appended, len(batches))
		for i := range batches {
			var err error
			if done[i], err = w.batch(&batches[i]); err != nil {
				return err
			}
		}
		return w.finish()
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// writer is one append transaction. What many events share (organizations, flows, spans) is read once, changed in memory and
// written by finish.
type writer struct {
	ctx           context.Context //nolint:containedctx // lives as long as the transaction
	tx            *sql.Tx
	stmts         *statements
	organizations map[string]*organization
	flows         map[string]*flowState
	flowOrder     []*flowState // rows are written in the order they were met
	spans         map[span][2]int64
	indexRows     []indexRow
}

// indexRow is a row of event_index or flow_index.
type indexRow struct {
	purpose audit.Purpose
	value   []byte
	target  int64
}

type organization struct {
	number, last, recorded, revision int64
}

type span struct{ organization, block int64 }

func newWriter(ctx context.Context, tx *sql.Tx, stmts *statements) *writer {
	return &writer{ctx: ctx, tx: tx, stmts: stmts,
		organizations: map[string]*organization{}, flows: map[string]*flowState{}, spans: map[span][2]int64{}}
}

// exec runs a prepared statement in the transaction.
func (w *writer) exec(s *sql.Stmt, args ...any) error {
	_, err := w.tx.StmtContext(w.ctx, s).ExecContext(w.ctx, args...)
	return err
}

func (w *writer) row(s *sql.Stmt, args ...any) *sql.Row {
	return w.tx.StmtContext(w.ctx, s).QueryRowContext(w.ctx, args...)
}

// batch stores one partition's events. The transaction is immediate, so nobody can take the partition after the look at its
// epoch and before the commit.
func (w *writer) batch(b *audit.Batch) (audit.Appended, error) {
	var epoch audit.Epoch
	err := w.row(w.stmts.epoch, b.Partition).Scan(&epoch)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && epoch != b.Epoch) {
		return audit.Appended{Fenced: true}, nil // nobody's partition is not the caller's either
	}
	if err != nil {
		return audit.Appended{}, err
	}
	for _, k := range b.Keys {
		if err := w.exec(w.stmts.key, k.OrganizationUID, k.Wrapped); err != nil {
			return audit.Appended{}, err
		}
	}
	var done audit.Appended
	for i := range b.Entries {
		if err := w.entry(b.Partition, &b.Entries[i], &done); err != nil {
			return audit.Appended{}, err
		}
	}
	return done, nil
}

// entry gives one event the next sequence number and stores it, unless its id is there already.
func (w *writer) entry(partition int, entry *audit.Entry, done *audit.Appended) error {
	e, body := storable(partition, entry)
	o, err := w.organization(e.OrganizationUID)
	if err != nil {
		return err
	}
	pos := position(o.number, o.last+1)
	flags, inserted, err := w.insert(pos, position(o.number, 0), &e, body)
	if err != nil {
		return err
	}
	if !inserted {
		done.Duplicates++
		return nil
	}
	done.Inserted++
	if e.Forked = flags&flagForked != 0; e.Forked {
		done.Forked++
	}
	e.Sequence = o.last + 1
	o.last = e.Sequence
	o.recorded = max(o.recorded, nanos(e.RecordedTime))
	o.revision = max(o.revision, e.Revision)
	w.widen(o.number, e.Sequence, nanos(e.Time))
	for _, x := range e.Indexes {
		w.indexRows = append(w.indexRows, indexRow{x.Purpose, x.Value, pos})
	}
	if err := w.history(o.number, &e, body); err != nil {
		return err
	}
	return w.flow(partition, o.number, &e)
}

// insert stores the row; false when an event with this id is stored already.
func (w *writer) insert(pos, first int64, e *audit.Event, body []byte) (flags int64, inserted bool, err error) {
	if e.Type == audit.TypeUnreadable {
		flags = flagUnreadable
	}
	if e.Sandbox {
		flags |= flagSandbox
	}
	var salt, data, digest []byte
	if s := e.Sealed; s != nil {
		salt, data, digest = s.Salt, s.Data, s.Digest
	}
	err = w.row(w.stmts.event, pos, e.ID, nanos(e.Time), nanos(e.RecordedTime), string(e.Type), int64(e.Outcome),
		text(e.Site), text(e.Flow), e.Step, text(e.Connection), text(e.Reason), int64(e.Class),
		flags, e.Step, text(e.Flow), e.Step, first, pos,
		salt, data, digest, packIndexes(e.Indexes), body).Scan(&flags)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return flags, err == nil, err
}

// organization returns where an organization's record stands, giving it a number when it is new.
func (w *writer) organization(uid string) (*organization, error) {
	if o, ok := w.organizations[uid]; ok {
		return o, nil
	}
	o := &organization{}
	err := w.row(w.stmts.organization, uid).Scan(&o.number, &o.last, &o.recorded, &o.revision)
	if errors.Is(err, sql.ErrNoRows) {
		err = w.row(w.stmts.newOrganization, uid).Scan(&o.number)
	}
	if err != nil {
		return nil, err
	}
	w.organizations[uid] = o
	return o, nil
}

// widen notes an event's time for event_span.
func (w *writer) widen(organization, sequence, at int64) {
	key := span{organization, sequence >> blockBits}
	if s, ok := w.spans[key]; ok {
		w.spans[key] = [2]int64{min(s[0], at), max(s[1], at)}
		return
	}
	w.spans[key] = [2]int64{at, at}
}

// finish writes what the events share.
func (w *writer) finish() error {
	if err := w.writeFlows(); err != nil {
		return err
	}
	if err := w.many(w.stmts.eventIndex, w.stmts.eventIndexes, w.indexRows); err != nil {
		return err
	}
	for key, s := range w.spans {
		if err := w.exec(w.stmts.span, key.organization, key.block, s[0], s[1]); err != nil {
			return err
		}
	}
	for _, o := range w.organizations {
		if err := w.exec(w.stmts.saveOrganization, o.last, o.recorded, o.revision, o.number); err != nil {
			return err
		}
	}
	return nil
}

// many inserts index rows, in the order of their table, manyRows at a time.
func (w *writer) many(one, several *sql.Stmt, rows []indexRow) error {
	slices.SortFunc(rows, func(a, b indexRow) int {
		return cmp.Or(cmp.Compare(a.purpose, b.purpose), bytes.Compare(a.value, b.value), cmp.Compare(a.target, b.target))
	})
	args := make([]any, 0, 3*manyRows)
	for len(rows) > 0 {
		stmt, n := one, 1
		if len(rows) >= manyRows {
			stmt, n = several, manyRows
		}
		args = args[:0]
		for _, r := range rows[:n] {
			args = append(args, int64(r.purpose), r.value, r.target)
		}
		if err := w.exec(stmt, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
