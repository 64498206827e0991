package server

import (
	"bytes"
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/token"
)

// personGone is the state of who cannot be named: the archive has no event of the person any more that does.
const personGone = "GONE"

// ListSubjects returns a page of the people on record, the last seen first.
func (s *eventService) ListSubjects(ctx context.Context, r *posternv1.ListSubjectsRequest) (*posternv1.ListSubjectsResponse, error) {
	in, err := s.in.ListSubjects(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.open(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	q, emails, err := convert.Subjects(r.GetFilter(), uid, s.Indexer)
	if err != nil {
		return nil, err
	}
	q.Site = in.Site
	bound, err := binding(ctx, "subjects", uid, r.GetFilter(), []byte(in.Site)...)
	if err != nil {
		return nil, err
	}
	if err := s.beforePerson(&q, r.GetPageToken(), bound); err != nil {
		return nil, err
	}
	out := &posternv1.ListSubjectsResponse{}
	if out.ArchivedUntil, err = s.archivedUntil(ctx, uid); err != nil {
		return nil, err
	}
	if len(emails) > 0 {
		if q.Subjects, err = s.accountsOf(ctx, uid, emails); err != nil {
			return nil, err
		}
	}
	nobody := len(q.Subjects) == 0 && len(r.GetFilter().GetEmails())+len(r.GetFilter().GetAccountIds()) > 0 // which is not everybody
	if !nobody {
		err = s.peoplePage(ctx, in.Organization, q, in.Limit, bound, out)
	}
	if err == nil && len(out.GetSubjects()) == 0 && r.GetPageToken() == "" {
		out.NothingFound = s.nothing(ctx, askedOfPeople(&q, r.GetFilter()))
	}
	return out, err
}

// peoplePage fills one page of people, and its token when there are more.
func (s *eventService) peoplePage(ctx context.Context, organization string, q audit.SubjectQuery, size int, bound [][]byte, out *posternv1.ListSubjectsResponse) error {
	q.Limit = size + 1
	rows, err := s.People.Subjects(ctx, q)
	if err != nil {
		return err
	}
	if q.Site != "" {
		if err := s.withFactors(ctx, rows); err != nil {
			return err
		}
	}
	size = min(size, len(rows))
	volume := 0
	for i := range rows[:size] {
		shown, err := s.person(ctx, organization, &rows[i])
		if err != nil {
			return err
		}
		if volume += proto.Size(shown); i > 0 && volume > maxPageBytes {
			size = i
			break
		}
		out.Subjects = append(out.Subjects, shown)
	}
	if size < len(rows) {
		last := &rows[size-1]
		out.NextPageToken = s.tokens.Seal(token.Page, flowPosition(last.Last, string(last.Subject.Value)), bound...)
	}
	return nil
}

// withFactors adds to rows of a site what is known of the organization: the second factor.
func (s *eventService) withFactors(ctx context.Context, rows []audit.SubjectRow) error {
	if len(rows) == 0 {
		return nil
	}
	q := audit.SubjectQuery{OrganizationUID: rows[0].OrganizationUID, Limit: len(rows)}
	for i := range rows {
		q.Subjects = append(q.Subjects, rows[i].Subject)
	}
	whole, err := s.People.Subjects(ctx, q)
	for i := range rows {
		at := slices.IndexFunc(whole, func(r audit.SubjectRow) bool { return bytes.Equal(r.Subject.Value, rows[i].Subject.Value) })
		if at >= 0 {
			rows[i].Enrolled, rows[i].Locked = whole[at].Enrolled, whole[at].Locked
		}
	}
	return err
}

// beforePerson sets the position a page token holds.
func (s *eventService) beforePerson(q *audit.SubjectQuery, text string, bound [][]byte) error {
	if text == "" {
		return nil
	}
	position, err := s.tokens.Open("page_token", token.Page, text, bound...)
	if err != nil {
		return err
	}
	last, index, ok := flowAt(position)
	if q.BeforeLast, q.BeforeIndex = last, []byte(index); !ok {
		return badToken("page_token")
	}
	return nil
}

// GetSubject returns one person, with what the record says of them at each site.
func (s *eventService) GetSubject(ctx context.Context, r *posternv1.GetSubjectRequest) (*posternv1.Person, error) {
	ref, err := s.in.GetSubject(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.open(ctx, ref.Organization)
	if err != nil {
		return nil, err
	}
	rows, err := s.People.Subjects(ctx, audit.SubjectQuery{OrganizationUID: uid, Subjects: []audit.Index{ref.Subject}, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errs.New(errs.NotFound, "SUBJECT_NOT_FOUND", "nobody of that name is on this organization's record")
	}
	out, err := s.person(ctx, ref.Organization, &rows[0])
	if err != nil {
		return nil, err
	}
	sites, err := s.People.SubjectSites(ctx, uid, ref.Subject)
	for i := range sites {
		out.Sites = append(out.Sites, convert.Person(ref.Organization, &sites[i]))
	}
	return out, err
}

// person is a row with who it is.
func (s *eventService) person(ctx context.Context, organization string, r *audit.SubjectRow) (*posternv1.Person, error) {
	out := convert.Person(organization, r)
	e, err := s.naming(ctx, r)
	if err != nil {
		return nil, err
	}
	if e == nil {
		out.PersonalState = personGone
		return out, nil
	}
	if err := s.Opener.Open(e); err != nil {
		return nil, err
	}
	out.Personal, out.PersonalState = s.Proven(e), e.PersonalState
	return out, nil
}

// naming returns the newest event that names the person; nil when the archive has none. The one the row knows of may be past its
// retention before the row is, when it is of another category than sign-ins.
func (s *eventService) naming(ctx context.Context, r *audit.SubjectRow) (*audit.Event, error) {
	e, err := s.Reader.Event(ctx, r.OrganizationUID, r.NewestEventID)
	if err == nil {
		return &e, nil
	}
	if errs.KindOf(err) != errs.NotFound {
		return nil, err
	}
	const look = 20
	q := audit.Query{OrganizationUID: r.OrganizationUID, Descending: true, Limit: look}
	q.Subjects = []audit.Index{r.Subject}
	events, err := s.Reader.Events(ctx, q)
	for i := range events {
		if x, ok := audit.SubjectOf(&events[i]); ok && bytes.Equal(x.Value, r.Subject.Value) {
			return &events[i], err
		}
	}
	return nil, err
}

// accountsOf finds the accounts that proved one of these addresses, newest first.
func (s *eventService) accountsOf(ctx context.Context, organizationUID string, emails []audit.Index) ([]audit.Index, error) {
	const page, pages, most = 500, 4, 50 // somebody may have typed the address many times
	q := audit.Query{OrganizationUID: organizationUID, Descending: true, Limit: page}
	q.Subjects = emails
	for _, t := range audit.Types() {
		if t.Binds || t.Ending == audit.EndingSucceeded || t.Type == audit.TypeSessionStarted {
			q.Types = append(q.Types, string(t.Type))
		}
	}
	var out []audit.Index
	for range pages {
		events, err := s.Reader.Events(ctx, q)
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error of the archive
		}
		for i := range events {
			x, ok := provenAt(&events[i], emails)
			if ok {
				ok, err = s.hasEmail(&events[i])
			}
			if err != nil {
				return nil, err
			}
			if ok && !slices.ContainsFunc(out, func(have audit.Index) bool { return bytes.Equal(have.Value, x.Value) }) {
				out = append(out, x)
			}
		}
		if len(events) < page || len(out) >= most {
			break
		}
		q.After = events[len(events)-1].Sequence
	}
	return out[:min(len(out), most)], nil
}

// hasEmail reports whether an event has the address of its account, and not only one that was typed.
func (s *eventService) hasEmail(e *audit.Event) (bool, error) {
	err := s.Opener.Open(e)
	return e.Personal.Email != "", err //nolint:wrapcheck // an errs.Error of the codec
}

// provenAt returns whose account an event is about when the first of its addresses, that of the account if it has one, is one of these.
func provenAt(e *audit.Event, emails []audit.Index) (audit.Index, bool) {
	account, ok := audit.SubjectOf(e)
	if !ok {
		return audit.Index{}, false
	}
	first := slices.IndexFunc(e.Indexes, func(x audit.Index) bool { return x.Purpose == audit.IndexEmail })
	if first < 0 {
		return audit.Index{}, false
	}
	return account, slices.ContainsFunc(emails, func(x audit.Index) bool { return bytes.Equal(x.Value, e.Indexes[first].Value) })
}
