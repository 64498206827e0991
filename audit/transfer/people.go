package transfer

import (
	"context"
	"reflect"

	"github.com/postern-audit/postern/audit"
)

// people copies the rows of people as they are: they say more than the events that are still there.
func (c *copying) people(ctx context.Context, s *audit.Standing) error {
	first := true
	rows := peopleOf(c.from, s.OrganizationUID)
	err := rows.each(ctx, func(some []audit.SubjectRow) error {
		err := c.to.ImportSubjects(ctx, s.OrganizationUID, some, first)
		first = false
		return err
	})
	if err == nil && first { // nobody, also there
		err = c.to.ImportSubjects(ctx, s.OrganizationUID, nil, true)
	}
	return err
}

func peopleOf(d audit.SubjectDumper, uid string) pages[audit.SubjectRow] {
	return pages[audit.SubjectRow]{func(ctx context.Context, last *audit.SubjectRow) ([]audit.SubjectRow, error) {
		return d.DumpSubjects(ctx, uid, last, page)
	}}
}

// comparePeople holds the rows of an organization's people in both archives against each other.
func (c *copying) comparePeople(ctx context.Context, s *audit.Standing) error {
	return hold(ctx, c, s, "row of a person", peopleOf(c.from, s.OrganizationUID), peopleOf(c.to, s.OrganizationUID),
		func(x, y *audit.SubjectRow) bool { return reflect.DeepEqual(x, y) })
}
