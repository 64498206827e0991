package sqlite

import (
	"cmp"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// Texts of table subject. Rows are written manyPeople at a time, and one by one where they are fewer.
const (
	manyPeople     = 16
	sqlPerson      = `SELECT body FROM subject WHERE organization = ? AND subject = ? AND place = ?`
	sqlPersonRow   = `INSERT INTO subject (organization, subject, place, site, last, class, last_mfa, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	sqlPersonAgain = ` ON CONFLICT DO UPDATE SET last = excluded.last, class = excluded.class, last_mfa = excluded.last_mfa, body = excluded.body`
	sqlSavePerson  = sqlPersonRow + sqlPersonAgain
)

var sqlSavePeople = sqlPersonRow + strings.Repeat(", (?, ?, ?, ?, ?, ?, ?, ?)", manyPeople-1) + sqlPersonAgain

// people are the rows of people that a transaction moves: read once, changed in memory, written by save.
type people struct {
	scan func(text string, args []any, dest ...any) error
	exec func(text string, args ...any) error
	rows map[personKey]*person
}

type personKey struct {
	organization   int64
	subject, place string
}

type person struct {
	audit.SubjectRow
	changed bool
}

// follow brings the rows of whoever an event is about up to date: that of the organization and that of the event's site.
func (p *people) follow(organization int64, e *audit.Event) error {
	subject, ok := audit.SubjectOf(e)
	if !ok {
		return nil
	}
	if err := p.apply(organization, e, audit.SubjectRow{OrganizationUID: e.OrganizationUID, Subject: subject}); err != nil || e.Site == "" {
		return err
	}
	return p.apply(organization, e, audit.SubjectRow{OrganizationUID: e.OrganizationUID, Subject: subject, Site: e.Site, SiteUID: e.SiteUID})
}

// apply applies the event to the row that fresh would begin.
func (p *people) apply(organization int64, e *audit.Event, fresh audit.SubjectRow) error {
	key := personKey{organization, string(fresh.Subject.Value), stored.Place(&fresh)}
	have := p.rows[key]
	if have == nil {
		have = &person{SubjectRow: fresh}
		var body []byte
		err := p.scan(sqlPerson, []any{key.organization, fresh.Subject.Value, key.place}, &body)
		if err == nil {
			have.SubjectRow, err = stored.SubjectFrom(e.OrganizationUID, body)
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if p.rows == nil {
			p.rows = map[personKey]*person{}
		}
		p.rows[key] = have
	}
	if have.Apply(e) {
		have.changed = true
	}
	return nil
}

// save writes the rows that changed, in the order of their table.
func (p *people) save() error {
	keys := slices.SortedFunc(maps.Keys(p.rows), func(a, b personKey) int {
		return cmp.Or(cmp.Compare(a.organization, b.organization), cmp.Compare(a.subject, b.subject), cmp.Compare(a.place, b.place))
	})
	keys = slices.DeleteFunc(keys, func(key personKey) bool { return !p.rows[key].changed })
	for len(keys) > 0 {
		text, n := sqlSavePerson, 1
		if len(keys) >= manyPeople {
			text, n = sqlSavePeople, manyPeople
		}
		args := make([]any, 0, 8*n)
		for _, key := range keys[:n] {
			r := p.rows[key]
			body, err := stored.Subject(&r.SubjectRow)
			if err != nil {
				return err
			}
			args = append(args, key.organization, []byte(key.subject), key.place, r.Site, stored.Nanos(r.Last), int64(r.Class), stored.Nanos(r.LastMFA), body)
		}
		if err := p.exec(text, args...); err != nil {
			return err
		}
		keys = keys[n:]
	}
	clear(p.rows)
	return nil
}
