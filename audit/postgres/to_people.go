package postgres

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"slices"

	"github.com/postern-audit/postern/audit"
)

//go:embed people.sql
var peopleText string

// toPeople is migration 4. It makes the table of people and the terms and networks of flows, and fills them from the events that are
// there, a stretch of the record at a time.
func toPeople(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, peopleText); err != nil {
		return err
	}
	shelves, err := gather(ctx, tx, `SELECT `+shelfColumns+` FROM shelf s ORDER BY s.shelf`, func(r *sql.Rows) (shelf, error) { return scanShelf(r) })
	if err != nil {
		return err
	}
	for i := range shelves {
		if _, err := tx.ExecContext(ctx, `ALTER TABLE `+shelves[i].table("flow")+` ADD COLUMN IF NOT EXISTS terms text COLLATE "C" NOT NULL DEFAULT ''`); err != nil {
			return err
		}
	}
	all, err := gather(ctx, tx, `SELECT organization, exact, last_sequence FROM organization ORDER BY organization`, func(r *sql.Rows) (v replay, err error) {
		v.ctx, v.tx, v.shelves = ctx, tx, shelves
		var uid []byte
		err = r.Scan(&v.organization, &uid, &v.last)
		v.uid = string(uid)
		return v, err
	})
	if err != nil {
		return err
	}
	for i := range all {
		if err := all[i].run(); err != nil {
			return err
		}
	}
	return nil
}

// gather reads and closes rows.
func gather[T any](ctx context.Context, tx *sql.Tx, text string, scan func(*sql.Rows) (T, error), args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// replay goes through the record of one organization once more.
type replay struct {
	ctx          context.Context //nolint:containedctx // lives as long as the migration
	tx           *sql.Tx
	shelves      []shelf
	organization int32
	uid          string
	last         int64
}

// stretch is how many sequence numbers are read at once.
const stretch = 4096

func (v *replay) run() error {
	for from := int64(0); from < v.last; from += stretch {
		events, err := v.read(from, from+stretch)
		if err != nil {
			return err
		}
		for i := range events {
			audit.NameOld(&events[i])
		}
		if err := v.people(events); err != nil {
			return err
		}
		if err := v.flows(events); err != nil {
			return err
		}
	}
	return nil
}

// read returns the events with sequence numbers in (from, to], in their order.
func (v *replay) read(from, to int64) ([]audit.Event, error) {
	var out []audit.Event
	for i := range v.shelves {
		found, err := gather(v.ctx, v.tx, `SELECT `+eventColumns+` FROM `+v.shelves[i].table("event")+` e WHERE e.position > $1 AND e.position <= $2`,
			func(r *sql.Rows) (audit.Event, error) { return scanEvent(r, v.uid) }, position(v.organization, from), position(v.organization, min(to, v.last)))
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	slices.SortFunc(out, func(x, y audit.Event) int { return cmp.Compare(x.Sequence, y.Sequence) })
	return out, nil
}

// people brings the rows of people up to date with a stretch.
func (v *replay) people(events []audit.Event) error {
	type row struct {
		at   personKey
		body []byte
	}
	var some whom
	for i := range events {
		some.add(v.organization, &events[i])
	}
	rows, err := gather(v.ctx, v.tx, sqlPeople, func(r *sql.Rows) (x row, err error) {
		var subject []byte
		err = r.Scan(&x.at.organization, &subject, &x.at.place, &x.body)
		x.at.subject = string(subject)
		return x, err
	}, some.organizations, some.subjects)
	if err != nil {
		return err
	}
	p := people{}
	for i := range rows {
		if err := p.take(rows[i].at, v.uid, rows[i].body); err != nil {
			return err
		}
	}
	for i := range events {
		p.follow(v.organization, &events[i])
	}
	args, err := p.save()
	if args != nil {
		_, err = v.tx.ExecContext(v.ctx, sqlSavePeople, args...)
	}
	return err
}

// flows adds what a stretch says of flows to their rows.
func (v *replay) flows(events []audit.Event) error {
	terms, networks := map[string][]audit.Term{}, map[string][]audit.Index{}
	for i := range events {
		e := &events[i]
		if e.Flow == "" {
			continue
		}
		if e.Step > 0 && !e.Forked {
			terms[e.Flow] = append(terms[e.Flow], audit.FlowTerms(e)...)
		}
		for _, x := range e.Indexes {
			if x.Purpose >= audit.IndexNetwork32 && x.Purpose <= audit.IndexNetwork8 {
				networks[e.Flow] = append(networks[e.Flow], x)
			}
		}
	}
	for i := range v.shelves {
		if err := v.flowsOn(&v.shelves[i], terms, networks); err != nil {
			return err
		}
	}
	return nil
}

func (v *replay) flowsOn(s *shelf, add map[string][]audit.Term, networks map[string][]audit.Index) error {
	byKey := map[string]string{}
	for id := range add {
		byKey[string(idKey(id))] = id
	}
	for id := range networks {
		byKey[string(idKey(id))] = id
	}
	ids := make([][]byte, 0, len(byKey))
	for k := range byKey {
		ids = append(ids, []byte(k))
	}
	type row struct {
		id    []byte
		terms audit.TermSet
	}
	rows, err := gather(v.ctx, v.tx, `SELECT f.id, f.terms FROM `+s.table("flow")+` f WHERE f.id = ANY ($1) AND f.organization = $2`,
		func(r *sql.Rows) (x row, err error) { return x, r.Scan(&x.id, &x.terms) }, ids, v.organization)
	if err != nil {
		return err
	}
	var marked, indexed, values [][]byte
	var marks []string
	for _, r := range rows {
		id := byKey[string(r.id)]
		if more := r.terms.With(add[id]...); more != r.terms {
			marked, marks = append(marked, r.id), append(marks, string(more))
		}
		for _, x := range networks[id] {
			indexed, values = append(indexed, r.id), append(values, term(x))
		}
	}
	mark := `UPDATE ` + s.table("flow") + ` f SET terms = r.terms FROM unnest($1::bytea[], $2::text[]) AS r (id, terms) WHERE f.id = r.id` //nolint:gosec // G202: a shelf's own table
	if _, err := v.tx.ExecContext(v.ctx, mark, marked, marks); err != nil {
		return err
	}
	list := `INSERT INTO ` + s.table("flow_term") + ` (term, id) SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING` //nolint:gosec // G202: as above
	_, err = v.tx.ExecContext(v.ctx, list, values, indexed)
	return err
}
