package postgres

import (
	"cmp"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// people are the rows of people that a transaction moves.
type people map[personKey]*person

type personKey struct {
	organization   int32
	subject, place string // as stored
}

type person struct {
	audit.SubjectRow
	changed bool
}

// sqlPeople reads all rows of people by their organizations and blind indexes. OFFSET: one seek for each, whatever the server knows of
// the table.
const sqlPeople = `SELECT k.organization, k.subject, s.place, s.body FROM unnest($1::integer[], $2::bytea[]) AS k (organization, subject)
	CROSS JOIN LATERAL (SELECT s.place, s.body FROM subject s WHERE s.organization = k.organization AND s.subject = k.subject OFFSET 0) s`

// whom lists people to be read, each once.
type whom struct {
	organizations []int32
	subjects      [][]byte
	seen          map[personKey]bool
}

// add lists whoever an event is about.
func (w *whom) add(organization int32, e *audit.Event) {
	x, ok := audit.SubjectOf(e)
	if !ok {
		return
	}
	at := personKey{organization: organization, subject: string(term(x))}
	if w.seen[at] {
		return
	}
	if w.seen == nil {
		w.seen = map[personKey]bool{}
	}
	w.seen[at] = true
	w.organizations, w.subjects = append(w.organizations, organization), append(w.subjects, []byte(at.subject))
}

// take notes a row that was read.
func (p people) take(key personKey, uid string, body []byte) error {
	row, err := stored.SubjectFrom(uid, body)
	p[key] = &person{SubjectRow: row}
	return err
}

// follow brings the rows of whoever an event is about up to date: that of the organization and that of the event's site.
func (p people) follow(organization int32, e *audit.Event) {
	subject, ok := audit.SubjectOf(e)
	if !ok {
		return
	}
	p.apply(organization, e, audit.SubjectRow{OrganizationUID: e.OrganizationUID, Subject: subject})
	if e.Site != "" {
		p.apply(organization, e, audit.SubjectRow{OrganizationUID: e.OrganizationUID, Subject: subject, Site: e.Site, SiteUID: e.SiteUID})
	}
}

// apply applies the event to the row that fresh would begin.
func (p people) apply(organization int32, e *audit.Event, fresh audit.SubjectRow) {
	at := personKey{organization, string(term(fresh.Subject)), stored.Place(&fresh)}
	if p[at] == nil {
		p[at] = &person{SubjectRow: fresh}
	}
	if p[at].Apply(e) {
		p[at].changed = true
	}
}

// sqlSavePeople stores rows, column by column.
const sqlSavePeople = `INSERT INTO subject (organization, subject, place, site, last, last_mfa, class, body)
	SELECT * FROM unnest($1::integer[], $2::bytea[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::smallint[], $8::bytea[])
	ON CONFLICT (organization, subject, place) DO UPDATE SET last = excluded.last, last_mfa = excluded.last_mfa, class = excluded.class, body = excluded.body`

// save returns the arguments of sqlSavePeople for the rows that changed, in the order of their table; nil when there are none.
func (p people) save() ([]any, error) {
	var subjects, bodies [][]byte
	var organizations []int32
	var places, sites []string
	var last, lastMFA []int64
	var classes []int16
	order := slices.SortedFunc(maps.Keys(p), func(a, b personKey) int {
		return cmp.Or(cmp.Compare(a.organization, b.organization), cmp.Compare(a.subject, b.subject), cmp.Compare(a.place, b.place))
	})
	for _, at := range order {
		r := p[at]
		if !r.changed {
			continue
		}
		body, err := stored.Subject(&r.SubjectRow)
		if err != nil {
			return nil, err
		}
		subjects, organizations, bodies = append(subjects, []byte(at.subject)), append(organizations, at.organization), append(bodies, body)
		places, sites = append(places, at.place), append(sites, key(r.Site))
		last, lastMFA = append(last, stored.Nanos(r.Last)), append(lastMFA, stored.Nanos(r.LastMFA))
		classes = append(classes, int16(r.Class))
	}
	if len(subjects) == 0 {
		return nil, nil
	}
	return []any{organizations, subjects, places, sites, last, lastMFA, classes, bodies}, nil
}

// queuePeople reads the rows of whom items are about.
func (w *writer) queuePeople(b *pgx.Batch, items []item) {
	var some whom
	uids := map[int32]string{}
	for i := range items {
		e := &items[i].event
		o := w.organizations[e.OrganizationUID]
		some.add(o.number, e)
		uids[o.number] = o.uid
	}
	if len(some.subjects) == 0 {
		return
	}
	b.Queue(sqlPeople, some.organizations, some.subjects).Query(func(rows pgx.Rows) error {
		var at personKey
		var subject, body []byte
		_, err := pgx.ForEachRow(rows, []any{&at.organization, &subject, &at.place, &body}, func() error {
			at.subject = string(subject)
			return w.people.take(at, uids[at.organization], body)
		})
		return err
	})
}

// queuePeopleRows stores the rows that changed.
func (w *writer) queuePeopleRows(b *pgx.Batch) error {
	args, err := w.people.save()
	if args != nil {
		b.Queue(sqlSavePeople, args...)
	}
	return err
}
