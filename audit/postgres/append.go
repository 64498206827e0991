package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

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

// AppendAll stores the batches of several partitions in one durable transaction. Fenced ones are left out and say so. It takes
// four trips to the server, whatever the number of events: locks and where things stand; what is stored already; everything
// new; the commit. Where a block becomes whole there are two more, for what is stored of it.
func (a *Archive) AppendAll(ctx context.Context, batches []audit.Batch) ([]audit.Appended, error) {
	if len(batches) == 0 {
		return nil, nil
	}
	var done []audit.Appended
	err := a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		w := newWriter(ctx, tx)
		done = make([]audit.Appended, len(batches))
		return w.store(batches, done)
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// writer is one append transaction.
type writer struct {
	ctx           context.Context //nolint:containedctx // lives as long as the transaction
	tx            pgx.Tx
	organizations map[string]*organization
	shelves       map[place]*shelf
	flows         map[string]*flowState // by stored id
	flowOrder     []*flowState          // rows are written in the order they were met
	events        map[*shelf]*eventRows
	spans         map[span][2]int64
	content       map[contentKey]*content
	strays        map[int32]bool // shelves that got their first stray
	history       []historyRow
	fold          fold
	people        people
}

func newWriter(ctx context.Context, tx pgx.Tx) *writer {
	return &writer{ctx: ctx, tx: tx, organizations: map[string]*organization{}, shelves: map[place]*shelf{}, flows: map[string]*flowState{},
		events: map[*shelf]*eventRows{}, spans: map[span][2]int64{}, content: map[contentKey]*content{}, strays: map[int32]bool{}, people: people{}}
}

// organization is where an organization's record stands.
type organization struct {
	uid                      string
	number                   int32
	name                     string
	last, recorded, revision int64
	began                    int64 // last as it was
	retention                audit.Retention
	changed                  bool
}

// item is one event on its way into its row.
type item struct {
	batch     int
	partition int
	event     audit.Event
	body      []byte
	id        []byte
	category  audit.Category
	moment    time.Time
	own       bool // the moment is that of the id
	shelf     *shelf
	keep      int // days of its shelf, given already; 0: those of the retention
}

func newItem(batch, partition int, e audit.Event, body []byte) item {
	if _, ok := parseUUID(e.ID); !ok && e.Type == audit.TypeUnreadable { // its id would be nowhere but in the column
		e = audit.NewUnreadable(partition, "", append([]byte(e.ID), body...), e.RecordedTime)
	}
	it := item{batch: batch, partition: partition, event: e, body: body, id: idKey(e.ID), category: audit.CategoryOf(e.Type)}
	it.moment, it.own = audit.Moment(e.ID, e.RecordedTime)
	return it
}

// store is the transaction.
func (w *writer) store(batches []audit.Batch, done []audit.Appended) error {
	var items []item
	var wrapped []audit.OrganizationKey
	live, err := w.lockEpochs(batches)
	if err != nil {
		return err
	}
	for i := range batches {
		b := &batches[i]
		if done[i].Fenced = !live[i]; done[i].Fenced {
			continue
		}
		wrapped = append(wrapped, b.Keys...)
		for k := range b.Entries {
			e, body := stored.Entry(b.Partition, &b.Entries[k])
			items = append(items, newItem(i, b.Partition, e, body))
		}
	}
	if len(items) == 0 && len(wrapped) == 0 {
		return nil
	}
	known, err := w.prepare(items)
	if err != nil {
		return err
	}
	for i := range items {
		if err := w.add(&items[i], known, &done[items[i].batch]); err != nil {
			return err
		}
	}
	return w.write(wrapped)
}

// prepare locks and reads what items need: organizations, shelves, which ids are stored already, and the rows of their flows.
func (w *writer) prepare(items []item) (known map[string]bool, err error) {
	if len(items) == 0 {
		return nil, nil
	}
	uids := make([]string, len(items))
	for i := range items {
		uids[i] = items[i].event.OrganizationUID
	}
	if err := w.lockOrganizations(uids); err != nil {
		return nil, err
	}
	if err := w.findShelves(items); err != nil {
		return nil, err
	}
	return w.lookUp(items)
}

// lockEpochs locks the epoch rows of all batches, in order, and says which batches their archiver still holds. Nobody can take
// a partition after that and before the commit.
func (w *writer) lockEpochs(batches []audit.Batch) ([]bool, error) {
	partitions := make([]int32, len(batches))
	for i := range batches {
		partitions[i] = int32(batches[i].Partition) //nolint:gosec // a small number
	}
	rows, err := w.tx.Query(w.ctx, `SELECT partition, epoch FROM partition_epoch WHERE partition = ANY ($1) ORDER BY partition FOR NO KEY UPDATE`, partitions)
	if err != nil {
		return nil, err
	}
	epochs := map[int]audit.Epoch{}
	var p int
	var e audit.Epoch
	if _, err := pgx.ForEachRow(rows, []any{&p, &e}, func() error { epochs[p] = e; return nil }); err != nil {
		return nil, err
	}
	live := make([]bool, len(batches))
	for i := range batches {
		have, ok := epochs[batches[i].Partition] // nobody's partition is not the caller's either
		live[i] = ok && have == batches[i].Epoch
	}
	return live, nil
}

// lockOrganizations locks the rows of organizations, in the order of their uids, making those that are new. The retention is
// read after that: what SetRetention has stored by then counts.
func (w *writer) lockOrganizations(uids []string) error {
	slices.Sort(uids)
	uids = slices.Compact(uids)
	if err := w.readOrganizations(uids); err != nil {
		return err
	}
	for _, uid := range uids {
		if w.organizations[uid] != nil {
			continue
		}
		if _, err := w.tx.Exec(w.ctx, `INSERT INTO organization (uid, exact) VALUES ($1, $2) ON CONFLICT (uid) DO NOTHING`, key(uid), []byte(uid)); err != nil {
			return err
		}
		if err := w.defaultRetention(uid); err != nil {
			return err
		}
		if err := w.readOrganizations([]string{uid}); err != nil {
			return err
		}
	}
	return nil
}

// defaultRetention writes the row that dropping a shelf locks, where there is none.
func (w *writer) defaultRetention(uid string) error {
	r := audit.StandardRetention()
	_, err := w.tx.Exec(w.ctx, `INSERT INTO organization_retention VALUES ($1, $2, $3, $4, $5) ON CONFLICT (uid) DO NOTHING`,
		key(uid), r.SignIn, r.Administration, r.Activity, r.Hold)
	return err
}

func (w *writer) readOrganizations(uids []string) error {
	byKey := make(map[string]string, len(uids))
	for _, uid := range uids {
		byKey[key(uid)] = uid
	}
	var b pgx.Batch
	b.Queue(`SELECT uid, organization, name, last_sequence, last_recorded, highest_revision FROM organization
		WHERE uid = ANY ($1) ORDER BY uid FOR NO KEY UPDATE`, keys(uids)).Query(func(rows pgx.Rows) error {
		var k string
		var name []byte
		var o organization
		_, err := pgx.ForEachRow(rows, []any{&k, &o.number, &name, &o.last, &o.recorded, &o.revision}, func() error {
			found := o
			found.uid, found.name, found.retention, found.began = byKey[k], string(name), audit.StandardRetention(), o.last
			w.organizations[found.uid] = &found
			return nil
		})
		return err
	})
	b.Queue(`SELECT uid, sign_in, administration, activity, hold FROM organization_retention WHERE uid = ANY ($1)`, keys(uids)).Query(func(rows pgx.Rows) error {
		var k string
		var r audit.Retention
		_, err := pgx.ForEachRow(rows, []any{&k, &r.SignIn, &r.Administration, &r.Activity, &r.Hold}, func() error {
			if o := w.organizations[byKey[k]]; o != nil {
				o.retention = r
			}
			return nil
		})
		return err
	})
	return w.tx.SendBatch(w.ctx, &b).Close()
}

// findShelves reads the shelves on which items and their flows may lie or will lie, and makes those that items miss.
func (w *writer) findShelves(items []item) error {
	low, high := items[0].moment, items[0].moment
	reach := func(at time.Time) {
		if at.Before(low) {
			low = at
		}
		if at.After(high) {
			high = at
		}
	}
	for i := range items {
		reach(items[i].moment)
		for _, id := range []string{items[i].event.ID, items[i].event.Flow} {
			if at, ok := audit.IDMoment(id); ok {
				reach(at)
			}
		}
	}
	rows, err := w.tx.Query(w.ctx, `SELECT `+shelfColumns+` FROM shelf s WHERE s.starts <= $1 AND s.ends > $2 OR s.strays`, high.UnixMilli(), low.UnixMilli())
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (shelf, error) { return scanShelf(r) })
	if err != nil {
		return err
	}
	for i := range found {
		w.shelves[placeOf(found[i].Shelf)] = &found[i]
	}
	return w.makeShelves(items)
}

// makeShelves gives every item its shelf.
func (w *writer) makeShelves(items []item) error {
	wanted := make([]audit.Shelf, len(items))
	for i := range items {
		it := &items[i]
		keep := it.keep
		if keep == 0 {
			keep = w.organizations[it.event.OrganizationUID].retention.Days(it.category)
		}
		wanted[i] = audit.ShelfOf(keep, it.moment)
	}
	missing := slices.Clone(wanted)
	slices.SortFunc(missing, byWindow) // in one order, so that two who make the same do not wait for each other
	for _, s := range slices.Compact(missing) {
		if _, err := w.shelfOf(s); err != nil {
			return err
		}
	}
	for i := range items {
		items[i].shelf = w.shelves[placeOf(wanted[i])]
	}
	return nil
}

// shelfOf returns a shelf, made if need be.
func (w *writer) shelfOf(s audit.Shelf) (*shelf, error) {
	if have := w.shelves[placeOf(s)]; have != nil {
		return have, nil
	}
	made, err := makeShelf(w.ctx, w.tx, s)
	if err != nil {
		return nil, err
	}
	w.shelves[placeOf(s)] = made
	return made, nil
}

// stray notes that the shelf has something whose moment is not that of its id.
func (w *writer) stray(s *shelf, own bool) {
	if !own && !s.strays {
		s.strays, w.strays[s.number] = true, true
	}
}
