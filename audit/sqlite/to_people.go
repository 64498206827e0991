package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"slices"

	"github.com/postern-audit/postern/audit"
)

//go:embed people.sql
var peopleText string

// toPeople is migration 5. It makes the table of people and the terms and networks of flows, and fills them from the events that are
// there, a stretch of the record at a time.
func toPeople(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, peopleText); err != nil {
		return err
	}
	shelves, err := readCatalogue(ctx, tx, 0)
	if err != nil {
		return err
	}
	for _, s := range shelves.shelves {
		if _, err := tx.ExecContext(ctx, s.text(`ALTER TABLE flow_# ADD COLUMN terms TEXT NOT NULL DEFAULT ''`)); err != nil {
			return err
		}
	}
	rows, err := tx.QueryContext(ctx, `SELECT organization, organization_uid, last_sequence FROM organization_sequence ORDER BY organization`)
	if err != nil {
		return err
	}
	all, err := collect(rows, func(r *sql.Rows) (v replay, err error) {
		v.ctx, v.tx, v.shelves = ctx, tx, shelves
		return v, r.Scan(&v.organization, &v.uid, &v.last)
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

// replay goes through the record of one organization once more.
type replay struct {
	ctx          context.Context //nolint:containedctx // lives as long as the migration
	tx           *sql.Tx
	shelves      *catalogue
	organization int64
	uid          string
	last         int64
}

// stretch is how many sequence numbers are read at once.
const stretch = 4096

func (v *replay) run() error {
	p := people{exec: v.exec, scan: func(text string, args []any, dest ...any) error {
		return v.tx.QueryRowContext(v.ctx, text, args...).Scan(dest...)
	}}
	for from := int64(0); from < v.last; from += stretch {
		events, err := v.read(from, from+stretch)
		if err != nil {
			return err
		}
		flows := map[string]*flowMarks{}
		for i := range events {
			e := &events[i]
			audit.NameOld(e)
			if err := p.follow(v.organization, e); err != nil {
				return err
			}
			if e.Flow != "" {
				f := flows[e.Flow]
				if f == nil {
					f = &flowMarks{}
					flows[e.Flow] = f
				}
				f.add(e)
			}
		}
		if err := p.save(); err != nil {
			return err
		}
		for id, f := range flows {
			if err := v.saveFlow(id, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *replay) exec(text string, args ...any) error {
	_, err := v.tx.ExecContext(v.ctx, text, args...)
	return err
}

// read returns the events with sequence numbers in (from, to], in their order.
func (v *replay) read(from, to int64) ([]audit.Event, error) {
	var out []audit.Event
	for _, s := range v.shelves.shelves {
		rows, err := v.tx.QueryContext(v.ctx, s.text(`SELECT `+eventColumns+` FROM event_# e WHERE e.position > ? AND e.position <= ?`),
			position(v.organization, from), position(v.organization, min(to, v.last)))
		if err != nil {
			return nil, err
		}
		found, err := collect(rows, func(r *sql.Rows) (audit.Event, error) { return scanEvent(r, v.uid) })
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	slices.SortFunc(out, func(x, y audit.Event) int { return cmp.Compare(x.Sequence, y.Sequence) })
	return out, nil
}

// flowMarks is what events add to the row of their flow.
type flowMarks struct {
	terms    []audit.Term
	networks []audit.Index
}

func (f *flowMarks) add(e *audit.Event) {
	if e.Step > 0 && !e.Forked {
		f.terms = append(f.terms, audit.FlowTerms(e)...)
	}
	for _, x := range e.Indexes {
		if x.Purpose >= audit.IndexNetwork32 && x.Purpose <= audit.IndexNetwork8 {
			f.networks = append(f.networks, x)
		}
	}
}

func (v *replay) saveFlow(id string, f *flowMarks) error {
	for _, s := range v.shelves.candidates(id) {
		var number int64
		var terms audit.TermSet
		err := v.tx.QueryRowContext(v.ctx, s.text(`SELECT flow, terms FROM flow_# WHERE id = ? AND organization = ?`), id, v.organization).Scan(&number, &terms)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		if more := terms.With(f.terms...); more != terms {
			if err := v.exec(s.text(`UPDATE flow_# SET terms = ? WHERE flow = ?`), string(more), number); err != nil {
				return err
			}
		}
		for _, x := range f.networks {
			if err := v.exec(s.text(sqlFlowIndex), int64(x.Purpose), x.Value, number); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}
