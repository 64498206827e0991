package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var (
	_ audit.SubjectReader = (*Archive)(nil)
	_ audit.SubjectPruner = (*Archive)(nil)
)

// Subjects returns rows of people, the latest seen first.
func (a *Archive) Subjects(ctx context.Context, q audit.SubjectQuery) ([]audit.SubjectRow, error) {
	if q.Limit <= 0 {
		return nil, nil
	}
	var out []audit.SubjectRow
	err := a.inRead(ctx, func(tx pgx.Tx) error {
		out = nil
		v, err := see(ctx, tx, q.OrganizationUID, a.now())
		if err != nil || v == nil {
			return err
		}
		if len(q.Subjects) == 0 {
			out, err = v.listPeople(ctx, tx, &q, a.now())
			return err
		}
		out, err = v.findPeople(ctx, tx, &q, a.now())
		return err
	})
	return out, err
}

// SubjectSites returns the rows of one person at every site.
func (a *Archive) SubjectSites(ctx context.Context, organizationUID string, subject audit.Index) ([]audit.SubjectRow, error) {
	var out []audit.SubjectRow
	err := a.inRead(ctx, func(tx pgx.Tx) error {
		out = nil
		v, err := see(ctx, tx, organizationUID, a.now())
		if err != nil || v == nil {
			return err
		}
		rows, err := v.peopleBy(ctx, tx, []audit.Index{subject}, a.now())
		for i := range rows {
			if rows[i].Site != "" {
				out = append(out, rows[i])
			}
		}
		return err
	})
	slices.SortFunc(out, func(x, y audit.SubjectRow) int {
		return cmp.Or(cmp.Compare(x.Site, y.Site), cmp.Compare(x.SiteUID, y.SiteUID))
	})
	return out, err
}

// listPeople walks the index of when people were last seen.
func (v *view) listPeople(ctx context.Context, tx pgx.Tx, q *audit.SubjectQuery, now time.Time) ([]audit.SubjectRow, error) {
	var t text
	t.add(`SELECT s.body FROM subject s WHERE s.organization = `, t.arg(v.number), ` AND s.site = `, t.arg(key(q.Site)))
	since := q.SeenSince
	if edge := v.retention.Edge(audit.CategorySignIn, now); edge.After(since) {
		since = edge
	}
	if !since.IsZero() {
		t.add(` AND s.last >= `, t.arg(stored.Nanos(since)))
	}
	if !q.SeenBefore.IsZero() {
		t.add(` AND s.last < `, t.arg(stored.Nanos(q.SeenBefore)))
	}
	if !q.BeforeLast.IsZero() {
		at := t.arg(stored.Nanos(q.BeforeLast))
		t.add(` AND s.last <= `, at, ` AND (s.last < `, at, ` OR s.subject > `, t.arg(term(audit.Index{Purpose: audit.IndexAccount, Value: q.BeforeIndex})), `)`)
	}
	if !q.NoMFASince.IsZero() {
		t.add(` AND s.last_mfa < `, t.arg(stored.Nanos(q.NoMFASince)))
	}
	if len(q.Classes) > 0 {
		classes := make([]int16, len(q.Classes))
		for i, c := range q.Classes {
			classes[i] = int16(c)
		}
		t.add(` AND s.class = ANY (`, t.arg(classes), `)`)
	}
	t.add(` ORDER BY s.last DESC, s.subject LIMIT `, t.arg(q.Limit))
	return v.people(ctx, tx, &t)
}

// findPeople looks up who is asked for by index.
func (v *view) findPeople(ctx context.Context, tx pgx.Tx, q *audit.SubjectQuery, now time.Time) ([]audit.SubjectRow, error) {
	out, err := v.peopleBy(ctx, tx, q.Subjects, now)
	if err != nil {
		return nil, err
	}
	out = slices.DeleteFunc(out, func(r audit.SubjectRow) bool { return !q.Fits(&r) || !q.Behind(&r) })
	slices.SortFunc(out, func(x, y audit.SubjectRow) int {
		return cmp.Or(y.Last.Compare(x.Last), slices.Compare(x.Subject.Value, y.Subject.Value), cmp.Compare(stored.Place(&x), stored.Place(&y)))
	})
	return out[:min(len(out), q.Limit)], nil
}

// peopleBy returns all rows of these people that may be seen.
func (v *view) peopleBy(ctx context.Context, tx pgx.Tx, subjects []audit.Index, now time.Time) ([]audit.SubjectRow, error) {
	subjects = slices.DeleteFunc(slices.Clone(subjects), func(x audit.Index) bool { return x.Purpose != audit.IndexAccount })
	var t text
	t.add(`SELECT s.body FROM subject s WHERE s.subject = ANY (`, t.arg(terms(subjects)), `) AND s.organization = `, t.arg(v.number))
	if edge := v.retention.Edge(audit.CategorySignIn, now); !edge.IsZero() {
		t.add(` AND s.last >= `, t.arg(stored.Nanos(edge)))
	}
	return v.people(ctx, tx, &t)
}

func (v *view) people(ctx context.Context, tx pgx.Tx, t *text) ([]audit.SubjectRow, error) {
	rows, err := tx.Query(ctx, t.String(), t.args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (audit.SubjectRow, error) {
		var body []byte
		if err := r.Scan(&body); err != nil {
			return audit.SubjectRow{}, err
		}
		return stored.SubjectFrom(v.uid, body)
	})
}

// PruneSubjects deletes rows of people who were last seen before the edge of sign-ins.
func (a *Archive) PruneSubjects(ctx context.Context, now time.Time, limit int) (more bool, err error) {
	// The edge is asked again of each row, since the person may just have come back.
	const deleted = `WITH gone AS (SELECT s.organization, s.subject, s.edge FROM organization o JOIN organization_retention r USING (uid)
			CROSS JOIN LATERAL (SELECT s.organization, s.subject, $1 - 86400000000000 * r.sign_in::bigint AS edge FROM subject s
				WHERE s.organization = o.organization AND s.site = '' AND s.last < $1 - 86400000000000 * r.sign_in::bigint LIMIT $2) s
			WHERE NOT r.hold LIMIT $2),
		went AS (DELETE FROM subject s USING gone g WHERE s.subject = g.subject AND s.organization = g.organization AND s.last < g.edge)
		SELECT count(*) FROM gone`
	var n int
	err = a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, deleted, stored.Nanos(audit.Retention{}.Edge(audit.CategorySignIn, now)), limit).Scan(&n)
	})
	return n == limit && err == nil, err
}
