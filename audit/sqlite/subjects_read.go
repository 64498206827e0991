package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

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
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		v, err := a.view(ctx, tx, q.OrganizationUID)
		if err != nil || !v.known {
			return err
		}
		if len(q.Subjects) == 0 {
			out, err = v.listPeople(ctx, tx, &q)
			return err
		}
		out, err = v.findPeople(ctx, tx, &q)
		return err
	})
	return out, err
}

// SubjectSites returns the rows of one person at every site.
func (a *Archive) SubjectSites(ctx context.Context, organizationUID string, subject audit.Index) ([]audit.SubjectRow, error) {
	var out []audit.SubjectRow
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		v, err := a.view(ctx, tx, organizationUID)
		if err != nil || !v.known {
			return err
		}
		out, err = v.person(ctx, tx, organizationUID, subject)
		out = slices.DeleteFunc(out, func(r audit.SubjectRow) bool { return r.Site == "" })
		return err
	})
	return out, err
}

// listPeople walks the index of when people were last seen.
func (v *view) listPeople(ctx context.Context, tx querier, q *audit.SubjectQuery) ([]audit.SubjectRow, error) {
	var c clause
	c.and("s.last >= ?", stored.Nanos(v.seenSince(q.SeenSince)))
	if !q.SeenBefore.IsZero() {
		c.and("s.last < ?", stored.Nanos(q.SeenBefore))
	}
	if !q.BeforeLast.IsZero() {
		at := stored.Nanos(q.BeforeLast)
		c.and("s.last <= ? AND (s.last < ? OR s.subject > ?)", at, at, q.BeforeIndex)
	}
	if !q.NoMFASince.IsZero() {
		c.and("s.last_mfa < ?", stored.Nanos(q.NoMFASince))
	}
	in(&c, "s.class", q.Classes)
	rows, err := tx.QueryContext(ctx, `SELECT s.body FROM subject s INDEXED BY subject_seen WHERE s.organization = ? AND s.site = ?`+c.text+
		` ORDER BY s.last DESC, s.subject LIMIT ?`, append(append([]any{v.number, q.Site}, c.args...), q.Limit)...)
	if err != nil {
		return nil, err
	}
	return collectPeople(rows, q.OrganizationUID)
}

// seenSince is the later of a moment and the edge of sign-ins.
func (v *view) seenSince(t time.Time) time.Time {
	if edge := v.edges[0]; edge.After(t) {
		return edge
	}
	return t
}

// findPeople looks up who is asked for by index.
func (v *view) findPeople(ctx context.Context, tx querier, q *audit.SubjectQuery) ([]audit.SubjectRow, error) {
	var out []audit.SubjectRow
	for _, x := range q.Subjects {
		rows, err := v.person(ctx, tx, q.OrganizationUID, x)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if q.Fits(&rows[i]) && q.Behind(&rows[i]) {
				out = append(out, rows[i])
			}
		}
	}
	slices.SortFunc(out, func(x, y audit.SubjectRow) int {
		return cmp.Or(y.Last.Compare(x.Last), slices.Compare(x.Subject.Value, y.Subject.Value), cmp.Compare(stored.Place(&x), stored.Place(&y)))
	})
	out = slices.CompactFunc(out, func(x, y audit.SubjectRow) bool {
		return slices.Equal(x.Subject.Value, y.Subject.Value) && stored.Place(&x) == stored.Place(&y)
	})
	return out[:min(len(out), q.Limit)], nil
}

// person returns the rows of one person that may be seen, by site id.
func (v *view) person(ctx context.Context, tx querier, organizationUID string, x audit.Index) ([]audit.SubjectRow, error) {
	if x.Purpose != audit.IndexAccount {
		return nil, nil
	}
	rows, err := tx.QueryContext(ctx, `SELECT body FROM subject WHERE organization = ? AND subject = ? AND last >= ? ORDER BY site, place`,
		v.number, x.Value, stored.Nanos(v.edges[0]))
	if err != nil {
		return nil, err
	}
	return collectPeople(rows, organizationUID)
}

func collectPeople(rows *sql.Rows, organizationUID string) ([]audit.SubjectRow, error) {
	return collect(rows, func(r *sql.Rows) (audit.SubjectRow, error) {
		var body []byte
		if err := r.Scan(&body); err != nil {
			return audit.SubjectRow{}, err
		}
		return stored.SubjectFrom(organizationUID, body)
	})
}

// sqlForgotten finds people whose last sign is older than the retention of sign-ins: ?1 is what days are counted back from.
const sqlForgotten = `SELECT s.organization, s.subject FROM organization_sequence o LEFT JOIN retention r USING (organization_uid)
	CROSS JOIN subject s INDEXED BY subject_seen ON s.organization = o.organization AND s.site = '' AND s.last < ?1 - 86400000000000 * coalesce(r.sign_in, ?2)
	WHERE NOT coalesce(r.hold, 0) LIMIT ?3`

// PruneSubjects deletes rows of people who were last seen before the edge of sign-ins.
func (a *Archive) PruneSubjects(ctx context.Context, now time.Time, limit int) (more bool, err error) {
	type gone struct {
		organization int64
		subject      []byte
	}
	find := func(q querier) ([]gone, error) {
		rows, err := q.QueryContext(ctx, sqlForgotten, stored.Nanos(audit.Retention{}.Edge(audit.CategorySignIn, now)), audit.DefaultRetention, limit)
		if err != nil {
			return nil, err
		}
		return collect(rows, func(r *sql.Rows) (g gone, err error) { return g, r.Scan(&g.organization, &g.subject) })
	}
	found, err := find(a.read) // the writer is held up only when there is something to do
	if err != nil || len(found) == 0 {
		return false, wrap(err)
	}
	err = a.inWrite(ctx, func(ctx context.Context, tx *connection) error {
		if found, err = find(tx); err != nil {
			return err
		}
		for _, g := range found {
			if _, err := tx.ExecContext(ctx, `DELETE FROM subject WHERE organization = ? AND subject = ?`, g.organization, g.subject); err != nil {
				return err
			}
		}
		return nil
	})
	return len(found) == limit, err
}

// DumpSubjects returns the rows of people as they are stored.
func (a *Archive) DumpSubjects(ctx context.Context, organizationUID string, behind *audit.SubjectRow, limit int) ([]audit.SubjectRow, error) {
	subject, place := []byte{}, ""
	if behind != nil {
		subject, place = behind.Subject.Value, stored.Place(behind)
	}
	rows, err := a.read.QueryContext(ctx, `SELECT s.body FROM subject s WHERE s.organization = (SELECT organization FROM organization_sequence WHERE organization_uid = ?)
		AND (? OR (s.subject, s.place) > (?, ?)) ORDER BY s.subject, s.place LIMIT ?`, organizationUID, behind == nil, subject, place, max(limit, 0))
	if err != nil {
		return nil, wrap(err)
	}
	out, err := collectPeople(rows, organizationUID)
	return out, wrap(err)
}
