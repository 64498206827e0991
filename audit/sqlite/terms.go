package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// Terms are written a block of 1024 sequence numbers at a time, in the transaction that completes it: an organization with few
// events costs nothing, one with many a few rows for each block. What lies above the last complete block, its tail, is read from
// the events themselves.

// covered returns the sequence number up to which terms are written.
func covered(last int64) int64 { return (last+1)>>blockBits<<blockBits - 1 }

// few are the fields of an event that lie in structures of their own.
type few struct{ rule, targetType, targetID string }

func termsOf(e *audit.Event) (t few) {
	if e.Decision != nil {
		t.rule = e.Decision.Rule
	}
	if e.Target != nil {
		t.targetType, t.targetID = e.Target.Type, e.Target.ID
	}
	return t
}

// termColumns are what scanTerms reads, in its order.
const termColumns = `e.type, e.outcome, e.reason, e.method, e.factor, e.connection, e.class, e.evidence, e.rule, e.target_type, e.target_id, e.caller, e.site`

// scanTerms reads termColumns, after the columns into: as much of the event as its terms come from.
func scanTerms(scan func(...any) error, into ...any) (audit.Event, error) {
	var e audit.Event
	var s [9]sql.NullString
	err := scan(append(into, &e.Type, &e.Outcome, &s[0], &s[1], &s[2], &s[3], &e.Class, &e.Evidence, &s[4], &s[5], &s[6], &s[7], &s[8])...)
	e.Reason, e.Method, e.Factor, e.Connection, e.Caller, e.Site = s[0].String, s[1].String, s[2].String, s[3].String, s[7].String, s[8].String
	if s[4].Valid {
		e.Decision = &audit.Decision{Rule: s[4].String}
	}
	if s[5].Valid || s[6].Valid {
		e.Target = &audit.Target{Type: s[5].String, ID: s[6].String}
	}
	return e, err
}

// countKey names a row of term_count_#, without the organization.
type countKey struct {
	site     string
	field    audit.Field
	value    string
	week     int64
	category int64
	sandbox  bool
}

// presence names a row of term_#, without the organization.
type presence struct {
	audit.Term
	block int64
}

// terms are what a transaction writes for one organization on one shelf.
type terms struct {
	present map[presence]struct{}
	counts  map[countKey]*cells
}

// add counts an event.
func (t *terms) add(e *audit.Event, pos, at, moment int64, sandbox bool) {
	q := quarterOf(at)
	key := countKey{week: weekOf(q), category: categoryNumber(audit.CategoryOf(e.Type)), sandbox: sandbox}
	count := func(site string, term audit.Term) {
		key.site, key.field, key.value = site, term.Field, term.Value
		have, ok := t.counts[key]
		if !ok {
			have = &cells{}
			t.counts[key] = have
		}
		have.add(q, moment-q)
	}
	block := sequenceOf(pos) >> blockBits
	count("", audit.Term{})
	if e.Site != "" {
		count(e.Site, audit.Term{})
	}
	for _, term := range audit.Terms(e) {
		t.present[presence{term, block}] = struct{}{}
		count("", term)
		if e.Site != "" && term.Field != audit.FieldSite {
			count(e.Site, term)
		}
	}
}

// writeTerms writes the terms of blocks that the transaction completed.
func (w *writer) writeTerms() error {
	for _, o := range w.organizations {
		low, high := covered(o.before)+1, covered(o.last)
		if low > high {
			continue
		}
		rows, err := w.tx.QueryContext(w.ctx, sqlShelvesOf, o.number, high, low)
		if err != nil {
			return err
		}
		shelves, err := collect(rows, func(r *sql.Rows) (n int64, err error) { return n, r.Scan(&n) })
		if err != nil {
			return err
		}
		for _, shelf := range shelves {
			t, err := readTerms(w.ctx, w.tx, shelf, o.number, low, high)
			if err != nil {
				return err
			}
			if err := t.save(termTables{w.execOn, w.scanOn}, shelf, o.number); err != nil {
				return err
			}
		}
	}
	return nil
}

// sqlShelvesOf finds the shelves on which an organization may have events of a range of sequence numbers.
const sqlShelvesOf = `SELECT DISTINCT shelf FROM shelf_content WHERE organization = ? AND first_sequence <= ? AND last_sequence >= ? ORDER BY shelf`

// readTerms reads the terms of an organization's events on a shelf, with sequence numbers from low to high.
func readTerms(ctx context.Context, tx querier, shelf, organization, low, high int64) (*terms, error) {
	t := &terms{present: map[presence]struct{}{}, counts: map[countKey]*cells{}}
	rows, err := tx.QueryContext(ctx, shelfName(shelf, `SELECT e.position, e.id, e.time, e.recorded_time, e.flags, `+termColumns+`
		FROM event_# e WHERE e.position BETWEEN ? AND ?`), position(organization, low), position(organization, high))
	if err != nil {
		return nil, err
	}
	_, err = collect(rows, func(r *sql.Rows) (struct{}, error) {
		var pos, at, recorded, flags int64
		var id string
		e, err := scanTerms(r.Scan, &pos, &id, &at, &recorded, &flags)
		if err != nil {
			return struct{}{}, err
		}
		moment, _ := audit.Moment(id, stored.Time(recorded))
		t.add(&e, pos, at, floor(moment.UnixMilli(), quarter/1e6), flags&flagSandbox != 0)
		return struct{}{}, nil
	})
	return t, err
}

// termTables are the two tables of a shelf, by statements of it.
type termTables struct {
	exec func(shelf int64, text string, args ...any) error
	scan func(shelf int64, text string, args []any, dest ...any) error
}

// save writes the terms, in the order of the tables.
func (t *terms) save(to termTables, shelf, organization int64) error {
	present := make([]presence, 0, len(t.present))
	for p := range t.present {
		present = append(present, p)
	}
	slices.SortFunc(present, func(a, b presence) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), strings.Compare(a.Value, b.Value), cmp.Compare(a.block, b.block))
	})
	args := make([]any, 0, 4*manyRows)
	for len(present) > 0 {
		text, n := sqlTerm, 1
		if len(present) >= manyRows {
			text, n = sqlTerms, manyRows
		}
		args = args[:0]
		for _, p := range present[:n] {
			args = append(args, organization, int64(p.Field), p.Value, p.block)
		}
		if err := to.exec(shelf, text, args...); err != nil {
			return err
		}
		present = present[n:]
	}
	return t.saveCounts(to, shelf, organization)
}

func (t *terms) saveCounts(to termTables, shelf, organization int64) error {
	keys := make([]countKey, 0, len(t.counts))
	for key := range t.counts {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b countKey) int {
		return cmp.Or(strings.Compare(a.site, b.site), cmp.Compare(a.field, b.field), strings.Compare(a.value, b.value), cmp.Compare(a.week, b.week))
	})
	for _, key := range keys {
		args := []any{organization, key.site, int64(key.field), key.value, key.week, key.category, key.sandbox}
		all := *t.counts[key]
		var have []byte
		err := to.scan(shelf, sqlQuarters, args, &have)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if all, err = all.unpack(key.week, have); err != nil {
			return err
		}
		all = all.merged()
		if err := to.exec(shelf, sqlCount, append(args, all.events(), all.pack())...); err != nil {
			return err
		}
	}
	return nil
}
