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

// sqlPeople reads all rows of people by their blind indexes.
const sqlPeople = `SELECT s.organization, s.subject, s.place, s.body FROM subject s WHERE s.subject = ANY ($1)`

// subjectsOf lists the blind indexes of whom events are about, each once.
func subjectsOf(events func(yield func(*audit.Event) bool)) [][]byte {
	var out [][]byte
	for e := range events {
		if x, ok := audit.SubjectOf(e); ok {
			out = append(out, term(x))
		}
	}
	slices.SortFunc(out, slices.Compare)
	return slices.CompactFunc(out, slices.Equal)
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
	at := personKey{organization, string(term(fresh.Subject)), key(stored.Place(&fresh))}
	if p[at] == nil {
		p[at] = &person{SubjectRow: fresh}
	}
	if p[at].Apply(e) {
		p[at].changed = true
	}
}

// sqlSavePeople stores rows, column by column.
const sqlSavePeople = `INSERT INTO subject (subject, organization, place, site, last, last_mfa, class, body)
	SELECT * FROM unnest($1::bytea[], $2::integer[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::smallint[], $8::bytea[])
	ON CONFLICT (subject, organization, place) DO UPDATE SET last = excluded.last, last_mfa = excluded.last_mfa, class = excluded.class, body = excluded.body`

// save returns the arguments of sqlSavePeople for the rows that changed, in the order of their table; nil when there are none.
func (p people) save() ([]any, error) {
	var subjects, bodies [][]byte
	var organizations []int32
	var places, sites []string
	var last, lastMFA []int64
	var classes []int16
	order := slices.SortedFunc(maps.Keys(p), func(a, b personKey) int {
		return cmp.Or(cmp.Compare(a.subject, b.subject), cmp.Compare(a.organization, b.organization), cmp.Compare(a.place, b.place))
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
	return []any{subjects, organizations, places, sites, last, lastMFA, classes, bodies}, nil
}

// queuePeople reads the rows of whom items are about.
func (w *writer) queuePeople(b *pgx.Batch, items []item) {
	subjects := subjectsOf(func(yield func(*audit.Event) bool) {
		for i := range items {
			if !yield(&items[i].event) {
				return
			}
		}
	})
	if len(subjects) == 0 {
		return
	}
	uids := map[int32]string{}
	for uid, o := range w.organizations {
		uids[o.number] = uid
	}
	b.Queue(sqlPeople, subjects).Query(func(rows pgx.Rows) error {
		var at personKey
		var subject, body []byte
		_, err := pgx.ForEachRow(rows, []any{&at.organization, &subject, &at.place, &body}, func() error {
			at.subject = string(subject)
			uid, ok := uids[at.organization]
			if !ok {
				return nil // its row is not locked, nor its event among these
			}
			return w.people.take(at, uid, body)
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
