package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
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
	err := a.inWrite(ctx, func(ctx context.Context, tx *connection) error {
		shelves, err := a.catalogue(ctx, tx)
		if err != nil {
			return err
		}
		w := newWriter(ctx, tx, shelves)
		done = make([]audit.Appended, len(batches))
		for i := range batches {
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
	tx            *connection
	shelves       *catalogue
	organizations map[string]*organization
	flows         map[string]*flowState
	flowOrder     []*flowState // rows are written in the order they were met
	spans         map[span][2]int64
	contents      contents
	types         map[audit.Type]struct{}
	elsewhere     map[string]struct{} // ids stored already on another shelf than they would go to
	placed        map[string]int64    // where ids of this transaction went
	indexRows     map[int64][]indexRow
	people        people
}

// indexRow is a row of event_index or flow_index.
type indexRow struct {
	purpose audit.Purpose
	value   []byte
	target  int64
}

type organization struct {
	number, last, recorded, revision int64
	before                           int64 // last, when the transaction began
	name                             string
	keeps                            audit.Retention
}

type span struct{ shelf, organization, block int64 }

func newWriter(ctx context.Context, tx *connection, shelves *catalogue) *writer {
	w := &writer{ctx: ctx, tx: tx, shelves: shelves,
		organizations: map[string]*organization{}, flows: map[string]*flowState{}, spans: map[span][2]int64{}, contents: contents{},
		types: map[audit.Type]struct{}{}, elsewhere: map[string]struct{}{}, placed: map[string]int64{}, indexRows: map[int64][]indexRow{}}
	w.people = people{scan: w.scan, exec: w.exec}
	return w
}

// exec runs a statement that belongs to no shelf.
func (w *writer) exec(text string, args ...any) error {
	stmt, err := w.tx.stmts.get(w.ctx, text)
	if err == nil {
		_, err = stmt.ExecContext(w.ctx, args...)
	}
	return err
}

// scan runs one that answers a row, and reads it into dest.
func (w *writer) scan(text string, args []any, dest ...any) error {
	stmt, err := w.tx.stmts.get(w.ctx, text)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(w.ctx, args...).Scan(dest...)
}

// execOn and scanOn do the same with a shelf's statement.
func (w *writer) execOn(shelf int64, text string, args ...any) error {
	stmt, err := w.tx.stmts.of(w.ctx, shelf, text)
	if err == nil {
		_, err = stmt.ExecContext(w.ctx, args...)
	}
	return err
}

func (w *writer) scanOn(shelf int64, text string, args []any, dest ...any) error {
	stmt, err := w.tx.stmts.of(w.ctx, shelf, text)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(w.ctx, args...).Scan(dest...)
}

// batch stores one partition's events. The transaction is immediate, so nobody can take the partition after the look at its
// epoch and before the commit.
func (w *writer) batch(b *audit.Batch) (audit.Appended, error) {
	var epoch audit.Epoch
	err := w.scan(sqlEpoch, []any{b.Partition}, &epoch)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && epoch != b.Epoch) {
		return audit.Appended{Fenced: true}, nil // nobody's partition is not the caller's either
	}
	if err != nil {
		return audit.Appended{}, err
	}
	for _, k := range b.Keys {
		if err := w.exec(sqlKey, k.OrganizationUID, k.Wrapped, k.Destroyed()); err != nil {
			return audit.Appended{}, err
		}
	}
	incoming := make([]arrival, len(b.Entries))
	for i := range b.Entries {
		if incoming[i], err = w.arrive(b.Partition, &b.Entries[i]); err != nil {
			return audit.Appended{}, err
		}
	}
	if err := w.lookElsewhere(incoming); err != nil {
		return audit.Appended{}, err
	}
	var done audit.Appended
	for i := range incoming {
		if err := w.store(b.Partition, &incoming[i], &done); err != nil {
			return audit.Appended{}, err
		}
	}
	return done, nil
}

// arrival is an event with where it belongs.
type arrival struct {
	audit.Event
	body         []byte
	organization *organization
	place        audit.Shelf
	stray        bool
}

func (w *writer) arrive(partition int, entry *audit.Entry) (arrival, error) {
	var in arrival
	var err error
	in.Event, in.body = stored.Entry(partition, entry)
	if in.organization, err = w.organization(in.OrganizationUID); err != nil {
		return in, err
	}
	moment, own := audit.Moment(in.ID, in.RecordedTime)
	in.place, in.stray = audit.ShelfOf(in.organization.keeps.Days(audit.CategoryOf(in.Type)), moment), !own
	return in, nil
}

// store gives one event the next sequence number and stores it, unless its id is there already.
func (w *writer) store(partition int, in *arrival, done *audit.Appended) error {
	if w.isElsewhere(in) {
		done.Duplicates++
		return nil
	}
	s, err := w.shelf(in.place, in.stray)
	if err != nil {
		return err
	}
	o, e := in.organization, &in.Event
	pos := position(o.number, o.last+1)
	f, err := w.flowOf(partition, in)
	if err != nil {
		return err
	}
	flags, inserted, err := w.insert(s, pos, in, f)
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
	o.recorded = max(o.recorded, stored.Nanos(e.RecordedTime))
	o.revision = max(o.revision, e.Revision)
	o.name = e.Organization
	w.placed[e.ID] = s.number
	w.note(s, o, e, pos)
	w.follow(f, s, in)
	if err := w.people.follow(o.number, e); err != nil {
		return err
	}
	return w.history(o.number, e, in.body)
}

// note collects what finish writes for an event.
func (w *writer) note(s *shelf, o *organization, e *audit.Event, pos int64) {
	at := stored.Nanos(e.Time)
	w.contents.event(contentKey{o.number, s.number, categoryNumber(audit.CategoryOf(e.Type))}, e.Sequence, at)
	w.types[e.Type] = struct{}{}
	key := span{s.number, o.number, e.Sequence >> blockBits}
	if have, ok := w.spans[key]; ok {
		w.spans[key] = [2]int64{min(have[0], at), max(have[1], at)}
	} else {
		w.spans[key] = [2]int64{at, at}
	}
	for _, x := range e.Indexes {
		w.indexRows[s.number] = append(w.indexRows[s.number], indexRow{x.Purpose, x.Value, pos})
	}
}

// insert stores the row; false when an event with this id is on the shelf already.
func (w *writer) insert(s *shelf, pos int64, in *arrival, f *flowState) (flags int64, inserted bool, err error) {
	e, first := &in.Event, position(in.organization.number, 0)
	if e.Type == audit.TypeUnreadable {
		flags |= flagUnreadable
	}
	if in.stray {
		flags |= flagStray
	}
	forked, err := w.forkedElsewhere(s, e, first, pos, f)
	if err != nil {
		return 0, false, err
	}
	if forked {
		flags |= flagForked
	}
	if e.Sandbox {
		flags |= flagSandbox
	}
	var salt, data, digest []byte
	if s := e.Sealed; s != nil {
		salt, data, digest = s.Salt, s.Data, s.Digest
	}
	t := termsOf(e)
	err = w.scanOn(s.number, sqlEvent, []any{pos, e.ID, stored.Nanos(e.Time), stored.Nanos(e.RecordedTime), string(e.Type), int64(e.Outcome),
		text(e.Site), text(e.Flow), e.Step, text(e.Connection), text(e.Reason), int64(e.Class),
		text(e.Method), text(e.Factor), int64(e.Evidence), text(t.rule), text(t.targetType), text(t.targetID), text(e.Caller), text(e.SupportCode),
		flags, e.Step, text(e.Flow), e.Step, first, pos,
		salt, data, digest, stored.PackIndexes(e.Indexes), in.body}, &flags)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return flags, err == nil, err
}

// organization returns where an organization's record stands and how long it is kept, giving it a number when it is new.
func (w *writer) organization(uid string) (*organization, error) {
	if o, ok := w.organizations[uid]; ok {
		return o, nil
	}
	o := &organization{}
	var number, last, recorded, revision sql.NullInt64
	var name sql.NullString
	var r retentionRow
	err := w.scan(sqlOrganization, []any{uid}, &number, &last, &recorded, &revision, &name, &r.signIn, &r.administration, &r.activity, &r.hold)
	if err != nil {
		return nil, err
	}
	o.number, o.last, o.recorded, o.revision, o.name, o.keeps = number.Int64, last.Int64, recorded.Int64, revision.Int64, name.String, r.retention()
	o.before = o.last
	if !number.Valid {
		if err := w.scan(sqlNewOrganization, []any{uid}, &o.number); err != nil {
			return nil, err
		}
	}
	w.organizations[uid] = o
	return o, nil
}

// finish writes what the events share.
func (w *writer) finish() error {
	if err := w.writeFlows(); err != nil {
		return err
	}
	if err := w.people.save(); err != nil {
		return err
	}
	for shelf, rows := range w.indexRows {
		if err := w.many(shelf, sqlEventIndex, sqlEventIndexes, rows); err != nil {
			return err
		}
	}
	for key, s := range w.spans {
		if err := w.execOn(key.shelf, sqlSpan, key.organization, key.block, s[0], s[1]); err != nil {
			return err
		}
	}
	for _, args := range w.contents.rows() {
		if err := w.exec(saveContent, args...); err != nil {
			return err
		}
	}
	if err := w.writeTerms(); err != nil {
		return err
	}
	for t := range w.types {
		if err := w.exec(sqlType, string(t)); err != nil {
			return err
		}
	}
	for _, o := range w.organizations {
		if err := w.exec(sqlSaveOrganization, o.last, o.recorded, o.revision, o.name, o.number); err != nil {
			return err
		}
	}
	return nil
}

// many inserts index rows, in the order of their table, manyRows at a time.
func (w *writer) many(shelf int64, one, several string, rows []indexRow) error {
	slices.SortFunc(rows, func(a, b indexRow) int {
		return cmp.Or(cmp.Compare(a.purpose, b.purpose), bytes.Compare(a.value, b.value), cmp.Compare(a.target, b.target))
	})
	args := make([]any, 0, 3*manyRows)
	for len(rows) > 0 {
		text, n := one, 1
		if len(rows) >= manyRows {
			text, n = several, manyRows
		}
		args = args[:0]
		for _, r := range rows[:n] {
			args = append(args, int64(r.purpose), r.value, r.target)
		}
		if err := w.execOn(shelf, text, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
