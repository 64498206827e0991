package audit

import (
	"context"
	"time"
)

// SubjectRow is what the record says of one person at an organization, and of one at a site of it: the projection that access
// reviews read. Archives keep it in the transaction that stores the events it follows from.
//
// A person is known by the blind index of the account id. What happened before anybody was proven belongs to nobody: only events
// with that index move a row.
type SubjectRow struct {
	OrganizationUID string
	Subject         Index  // of IndexAccount
	Site, SiteUID   string // "" in the row of the whole organization
	Class           Class
	ClassSince      time.Time // when the record first says so, without another class in between
	First, Last     time.Time // of anything the person did, by Event.Time
	LastSignIn      time.Time // the latest sign_in.succeeded
	SignIns         int64     // sign_in.succeeded
	Refusals        int64     // sign_in.denied and sign_in.failed
	Rejections      int64     // *.rejected, since the latest success
	Methods         []string  // proven with, in alphabetical order, at most MaxSubjectMethods
	LastMFA         time.Time // the latest second factor that counted
	LastMFAFactor   string
	LastMFAEvidence Evidence  // on whose word
	Enrolled        time.Time // the latest enrolment that was confirmed; zero: none, or it was reset
	Locked          time.Time // of the second factor; zero: it is not
	NewestEventID   string    // the latest event of the person with a personal part: what names the person
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

// SubjectReader is the side of an archive that lists people. What retention does not show any more moves no row that was last moved
// since; a row whose Last lies before the edge of sign-ins is not shown. Implementations pass archivetest.
type SubjectReader interface {
	// Subjects returns up to q.Limit rows, the latest seen first, of equals the smaller index.
	Subjects(ctx context.Context, q SubjectQuery) ([]SubjectRow, error)
	// SubjectSites returns the rows of one person at every site, by site id.
	SubjectSites(ctx context.Context, organizationUID string, subject Index) ([]SubjectRow, error)
}
