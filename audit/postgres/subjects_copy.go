package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var _ audit.SubjectDumper = (*Archive)(nil)

// DumpSubjects returns the rows of people as they are stored.
func (a *Archive) DumpSubjects(ctx context.Context, organizationUID string, behind *audit.SubjectRow, limit int) (out []audit.SubjectRow, err error) {
	err = a.inRead(ctx, func(tx pgx.Tx) error {
		var t text
		v := &view{uid: organizationUID}
		t.add(`SELECT s.body FROM subject s WHERE s.organization = (SELECT organization FROM organization WHERE uid = `, t.arg(key(organizationUID)), `)`)
		if behind != nil {
			t.add(` AND (s.subject, s.place) > (`, t.arg(term(behind.Subject)), `, `, t.arg(stored.Place(behind)), `)`)
		}
		t.add(` ORDER BY s.subject, s.place LIMIT `, t.arg(max(limit, 0)))
		out, err = v.people(ctx, tx, &t)
		return err
	})
	return out, err
}

// ImportSubjects stores rows of people as another archive has them.
func (a *Archive) ImportSubjects(ctx context.Context, organizationUID string, rows []audit.SubjectRow, first bool) error {
	return a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := unused(ctx, tx); err != nil {
			return err
		}
		w := newWriter(ctx, tx)
		if err := w.lockOrganizations([]string{organizationUID}); err != nil {
			return err
		}
		o := w.organizations[organizationUID]
		if first {
			if _, err := tx.Exec(ctx, `DELETE FROM subject WHERE organization = $1`, o.number); err != nil {
				return err
			}
		}
		for i := range rows {
			at := personKey{o.number, string(term(rows[i].Subject)), stored.Place(&rows[i])}
			w.people[at] = &person{SubjectRow: rows[i], changed: true}
		}
		args, err := w.people.save()
		if args != nil {
			_, err = tx.Exec(ctx, sqlSavePeople, args...)
		}
		return err
	})
}
