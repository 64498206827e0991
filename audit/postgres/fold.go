package postgres

import (
	"cmp"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// wholeBlocks is how many blocks of an organization are whole once it has given this sequence number: blocks below it are in
// presence_N and hour_N, the others are not.
func wholeBlocks(last int64) int64 { return (last + 1) >> blockBits }

// fold is what a transaction adds to presence_N and hour_N.
type fold struct {
	fresh map[int32][]folded // new events, by organization
	at    map[*shelf]*sums
}

// folded is an event and the shelf it lies on.
type folded struct {
	termed
	shelf *shelf
}

// sums are rows of presence_N and hour_N of one shelf.
type sums struct {
	present map[presence][]byte
	hours   map[hourKey]int64
}

type presence struct {
	organization int32
	field        audit.Field
	value        string
	block        int64
}

type hourKey struct {
	organization int32
	field        audit.Field
	kind         int16
	hour, lag    int32
	site, value  string
}

// note remembers a new event until its block is whole, if that comes in this transaction.
func (f *fold) note(it *item, o *organization) {
	if f.fresh == nil {
		f.fresh = map[int32][]folded{}
	}
	t := termed{position: position(o.number, it.event.Sequence), moment: it.moment.UnixMilli(), time: stored.Nanos(it.event.Time),
		category: category(it.category), values: valuesOf(&it.event)}
	if it.event.Sandbox {
		t.flags = flagSandbox
	}
	f.fresh[o.number] = append(f.fresh[o.number], folded{t, it.shelf})
}

// addUp folds the blocks that this transaction makes whole: what it brings of them, and what is stored of the first.
func (w *writer) addUp() error {
	var due []*organization
	for _, uid := range slices.Sorted(maps.Keys(w.organizations)) {
		if o := w.organizations[uid]; wholeBlocks(o.last) > wholeBlocks(o.began) {
			due = append(due, o)
		}
	}
	if len(due) == 0 {
		return nil
	}
	old, err := w.begun(due)
	if err != nil {
		return err
	}
	for _, o := range due {
		for _, x := range slices.Concat(old[o.number], w.fold.fresh[o.number]) {
			if sequenceOf(x.position)>>blockBits < wholeBlocks(o.last) {
				w.fold.add(o.number, &x)
			}
		}
	}
	return nil
}

// begun reads the stored events of blocks that organizations had begun.
func (w *writer) begun(due []*organization) (map[int32][]folded, error) {
	on := map[*organization][]*shelf{}
	var b pgx.Batch
	for _, o := range due {
		b.Queue(`SELECT `+shelfColumns+` FROM shelf s WHERE s.shelf IN (SELECT c.shelf FROM shelf_content c
			WHERE c.organization = $1 AND c.events > 0 AND c.last_sequence >= $2)`, o.number, wholeBlocks(o.began)<<blockBits).Query(func(rows pgx.Rows) error {
			found, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (shelf, error) { return scanShelf(r) })
			for i := range found {
				at := placeOf(found[i].Shelf)
				if w.shelves[at] == nil {
					w.shelves[at] = &found[i]
				}
				on[o] = append(on[o], w.shelves[at])
			}
			return err
		})
	}
	if err := w.tx.SendBatch(w.ctx, &b).Close(); err != nil {
		return nil, err
	}
	out := map[int32][]folded{}
	var events pgx.Batch
	for _, o := range due {
		for _, s := range on[o] {
			queueTermed(&events, s, o.number, wholeBlocks(o.began)<<blockBits, o.began, func(t termed) {
				out[o.number] = append(out[o.number], folded{t, s})
			})
		}
	}
	return out, w.tx.SendBatch(w.ctx, &events).Close()
}

// queueTermed reads an organization's events of a shelf, from one sequence number to another.
func queueTermed(b *pgx.Batch, s *shelf, organization int32, first, last int64, use func(termed)) {
	b.Queue(`SELECT `+termedColumns()+` FROM `+s.table("event")+` e WHERE e.position BETWEEN $1 AND $2 ORDER BY e.position`,
		position(organization, first), position(organization, last)).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, scanTermed)
		for _, t := range found {
			use(t)
		}
		return err
	})
}

// add folds one event.
func (f *fold) add(organization int32, x *folded) {
	s := f.at[x.shelf]
	if s == nil {
		s = &sums{map[presence][]byte{}, map[hourKey]int64{}}
		if f.at == nil {
			f.at = map[*shelf]*sums{}
		}
		f.at[x.shelf] = s
	}
	hour, lag := x.hours()
	k := hourKey{organization: organization, kind: x.kind(), hour: int32(hour), lag: int32(lag)} //nolint:gosec // nanoseconds since 1970 are no more hours
	s.count(k)
	site := *x.values.of(audit.FieldSite)
	for i, c := range termColumns() {
		value := x.values[i]
		if value == "" {
			continue
		}
		s.present[presence{organization, c.field, key(value), sequenceOf(x.position) >> blockBits}] = exactTerm(value)
		k.field, k.site, k.value = c.field, "", audit.TermValue(value)
		s.count(k)
		if c.field != audit.FieldSite && site != "" {
			k.site = audit.TermValue(site)
			s.count(k)
		}
	}
}

// count adds one to the row of an hour, and to that of the shelf.
func (x *sums) count(k hourKey) {
	x.hours[k]++
	k.field, k.hour, k.lag = k.field+wholeShelf, 0, 0
	x.hours[k]++
}

// queueSums writes what was folded.
func (w *writer) queueSums(b *pgx.Batch) {
	for _, s := range w.inOrder() {
		if x := w.fold.at[s]; x != nil {
			for _, t := range x.statements(s) {
				b.Queue(t.String(), t.args...)
			}
		}
	}
}

// statements add the sums to a shelf's tables.
func (x *sums) statements(s *shelf) []*text {
	var present, hours text
	x.addPresence(&present, s)
	x.addHours(&hours, s)
	return []*text{&present, &hours}
}

func (x *sums) addPresence(t *text, s *shelf) {
	var organizations []int32
	var fields []int16
	var texts []string
	var blocks []int64
	var exact [][]byte
	for _, p := range slices.SortedFunc(maps.Keys(x.present), func(x, y presence) int {
		return cmp.Or(cmp.Compare(x.organization, y.organization), cmp.Compare(x.field, y.field), cmp.Compare(x.value, y.value), cmp.Compare(x.block, y.block))
	}) {
		organizations, fields, texts = append(organizations, p.organization), append(fields, int16(p.field)), append(texts, p.value)
		blocks, exact = append(blocks, p.block), append(exact, x.present[p])
	}
	t.add(`INSERT INTO `, s.table("presence"), ` (organization, field, value, block, exact)
		SELECT * FROM unnest($1::integer[], $2::smallint[], $3::text[], $4::bigint[], $5::bytea[])`)
	t.args = []any{organizations, fields, texts, blocks, exact}
}

func (x *sums) addHours(t *text, s *shelf) {
	var organizations, hours, lags []int32
	var fields, kinds []int16
	var counts []int64
	var sites, values [][]byte
	for _, k := range slices.SortedFunc(maps.Keys(x.hours), func(x, y hourKey) int {
		return cmp.Or(cmp.Compare(x.organization, y.organization), cmp.Compare(x.site, y.site), cmp.Compare(x.field, y.field),
			cmp.Compare(x.value, y.value), cmp.Compare(x.hour, y.hour), cmp.Compare(x.kind, y.kind), cmp.Compare(x.lag, y.lag))
	}) {
		organizations, fields, kinds = append(organizations, k.organization), append(fields, int16(k.field)), append(kinds, k.kind)
		hours, lags, counts = append(hours, k.hour), append(lags, k.lag), append(counts, x.hours[k])
		sites, values = append(sites, []byte(k.site)), append(values, []byte(k.value))
	}
	t.add(`INSERT INTO `, s.table("hour"), ` AS h (organization, field, kind, hour, lag, count, site, value)
		SELECT * FROM unnest($1::integer[], $2::smallint[], $3::smallint[], $4::integer[], $5::integer[], $6::bigint[], $7::bytea[], $8::bytea[])
		ON CONFLICT (organization, site, field, value, hour, kind, lag) DO UPDATE SET count = h.count + excluded.count`)
	t.args = []any{organizations, fields, kinds, hours, lags, counts, sites, values}
}
