package audit

import (
	"bytes"
	"context"
	"slices"
	"time"
)

// SubjectRow is what the record says of one person at an organization, and of one at a site of it: the projection that access
// reviews read. Archives keep it in the transaction that stores the events it follows from.
//
// A person is known by the blind index of the account id. What happened before anybody was proven belongs to nobody: only events
// that name the account they are about move a row (SubjectOf).
type SubjectRow struct {
	OrganizationUID string
	Subject         Index  // of IndexAccount
	Site, SiteUID   string // "" in the row of the whole organization
	Class           Class
	ClassSince      time.Time // when the record first says so, without another class in between
	First, Last     time.Time // of anything the person did, by Event.Time; what an administrator did about them is not meant
	LastSignIn      time.Time // the latest sign_in.succeeded
	SignIns         int64     // sign_in.succeeded
	Refusals        int64     // sign_in.denied and sign_in.failed
	Rejections      int64     // *.rejected, since the latest success
	Methods         []string  // proven with ("password", "sso:okta"), in alphabetical order, at most MaxSubjectMethods
	LastMFA         time.Time // the latest second factor that counted
	LastMFAFactor   string
	LastMFAEvidence Evidence  // on whose word
	Enrolled        time.Time // the latest enrolment that was confirmed; zero: none, or it was reset; only in the row of the organization
	Locked          time.Time // when the second factor was locked; zero: no lock, or it was opened since; only in the row of the organization
	NewestEventID   string    // the latest archived of what the person did that has a personal part: what names the person
	Newest          int64     // its sequence number
}

// MaxSubjectMethods is how many methods a row lists.
const MaxSubjectMethods = 16

// SubjectQuery chooses rows of people.
type SubjectQuery struct {
	OrganizationUID string
	Site            string // site id; "": the rows of the whole organization
	// Keyset position: rows that were last seen before BeforeLast, or at it with a greater index. Zero starts with the latest.
	BeforeLast  time.Time
	BeforeIndex []byte
	Limit       int
	Subjects    []Index // any of them, of IndexAccount; empty: everybody
	Classes     []Class
	SeenSince   time.Time // on Last; zero is open
	SeenBefore  time.Time // on Last, exclusive; zero is open
	// NoMFASince chooses who has not shown a second factor that counted since then; zero is open.
	NoMFASince time.Time
}

// Fits reports whether a row is one of those q chooses. The keyset position and Limit are not asked.
func (q *SubjectQuery) Fits(r *SubjectRow) bool {
	switch {
	case r.OrganizationUID != q.OrganizationUID, r.Site != q.Site,
		!q.SeenSince.IsZero() && r.Last.Before(q.SeenSince), !q.SeenBefore.IsZero() && !r.Last.Before(q.SeenBefore),
		!q.NoMFASince.IsZero() && !r.LastMFA.Before(q.NoMFASince):
		return false
	}
	same := func(x Index) bool { return x.Purpose == r.Subject.Purpose && bytes.Equal(x.Value, r.Subject.Value) }
	return (len(q.Classes) == 0 || slices.Contains(q.Classes, r.Class)) && (len(q.Subjects) == 0 || slices.ContainsFunc(q.Subjects, same))
}

// Behind reports whether a row comes after the keyset position.
func (q *SubjectQuery) Behind(r *SubjectRow) bool {
	if q.BeforeLast.IsZero() || r.Last.Before(q.BeforeLast) {
		return true
	}
	return r.Last.Equal(q.BeforeLast) && bytes.Compare(r.Subject.Value, q.BeforeIndex) > 0
}

// SubjectReader is the side of an archive that lists people. A row is what was archived since the person was first seen, or since
// the row went: what retention does not show any more stays counted in it, and a row whose Last lies before the edge of sign-ins is
// not shown. Implementations pass archivetest.
type SubjectReader interface {
	// Subjects returns up to q.Limit rows, the latest seen first, of equals the smaller index.
	Subjects(ctx context.Context, q SubjectQuery) ([]SubjectRow, error)
	// SubjectSites returns the rows of one person at every site, by site id.
	SubjectSites(ctx context.Context, organizationUID string, subject Index) ([]SubjectRow, error)
}

// SubjectDumper is an archive that gives the rows of people as they are stored, whatever retention shows: what copies read.
// Implementations pass archivetest.
type SubjectDumper interface {
	// DumpSubjects returns rows of an organization and its sites behind a row (nil: from the first), always in the same order: by
	// subject, then by site, at most limit.
	DumpSubjects(ctx context.Context, organizationUID string, behind *SubjectRow, limit int) ([]SubjectRow, error)
}

// SubjectPruner is the side of an archive that forgets who was last seen before the edge of sign-ins.
type SubjectPruner interface {
	// PruneSubjects deletes the rows of up to limit people, those at sites included; more says that there are others.
	PruneSubjects(ctx context.Context, now time.Time, limit int) (more bool, err error)
}
