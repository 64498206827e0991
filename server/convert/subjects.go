package convert

import (
	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// SubjectPage asks for a page of people. Its token is for the caller to open.
type SubjectPage struct {
	Organization, Site string // ids; no site: the whole organization
	Limit              int
}

// ListSubjects converts a request for a page of people, but for its filter.
func (c *Converter) ListSubjects(r *posternv1.ListSubjectsRequest) (SubjectPage, error) {
	if err := c.Check(r); err != nil {
		return SubjectPage{}, err
	}
	out := SubjectPage{Limit: PageSize(r.GetPageSize())}
	var err error
	if out.Organization, out.Site, err = names.Site("parent", r.GetParent()); err == nil {
		return out, nil
	}
	out.Organization, err = names.Organization("parent", r.GetParent())
	return out, err
}

// SubjectRef names a person by the blind index of the account id.
type SubjectRef struct {
	Organization string
	Subject      audit.Index
}

// GetSubject converts a request for one person.
func (c *Converter) GetSubject(r *posternv1.GetSubjectRequest) (SubjectRef, error) {
	if err := c.Check(r); err != nil {
		return SubjectRef{}, err
	}
	organization, value, err := names.Subject("name", r.GetName())
	return SubjectRef{organization, audit.Index{Purpose: audit.IndexAccount, Value: value}}, err
}

// Subjects converts a checked filter of people to the part of a query it chooses, and what it looks for by address: blind indexes of
// addresses, which rows of people are not found by.
func Subjects(f *posternv1.SubjectFilter, organizationUID string, x Indexer) (q audit.SubjectQuery, emails []audit.Index, err error) {
	q = audit.SubjectQuery{OrganizationUID: organizationUID, SeenSince: when(f.GetSeenSince()), SeenBefore: when(f.GetSeenBefore()), NoMFASince: when(f.GetNoMfaSince())}
	if f.GetSeenSince() != nil && f.GetSeenBefore() != nil && !q.SeenSince.Before(q.SeenBefore) {
		return q, nil, wrong("filter.seen_before", "must be after seen_since")
	}
	for _, c := range f.GetClasses() {
		if c == posternv1.Class_CLASS_UNSPECIFIED {
			return q, nil, wrong("filter.classes", "must be specified")
		}
		q.Classes = append(q.Classes, audit.Class(c)) //nolint:gosec // checked against the enum
	}
	found, err := subjects("filter.", f.GetEmails(), f.GetAccountIds(), organizationUID, x)
	if len(f.GetEmails()) > 0 {
		return q, found, err
	}
	q.Subjects = found
	return q, nil, err
}

// Person converts a row of a person, without who it is.
func Person(organization string, r *audit.SubjectRow) *posternv1.Person {
	out := &posternv1.Person{
		Name: names.FormatSubject(organization, r.Subject.Value), Site: r.Site, SiteUid: r.SiteUID, Class: posternv1.Class(r.Class),
		ClassSince: timestamp(r.ClassSince), FirstSeenTime: timestamp(r.First), LastSeenTime: timestamp(r.Last), LastSignInTime: timestamp(r.LastSignIn), SignIns: r.SignIns,
		Refusals: r.Refusals, Rejections: r.Rejections, Methods: r.Methods, LastMfaTime: timestamp(r.LastMFA), LastMfaFactor: r.LastMFAFactor,
		LastMfaEvidence: posternv1.Evidence(r.LastMFAEvidence), EnrolledTime: timestamp(r.Enrolled), LockedTime: timestamp(r.Locked),
	}
	if r.NewestEventID != "" {
		out.NewestEvent = names.FormatEvent(organization, r.NewestEventID)
	}
	return out
}
