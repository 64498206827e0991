package policy

import (
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// DomainState says how far the verification of a domain is. Numbers equal posternv1.Domain_State.
type DomainState uint8

// The states. A domain counts as the organization's in DomainVerified and DomainFailing alone.
const (
	DomainPending  DomainState = 1 // a record is asked for and was not seen yet
	DomainVerified DomainState = 2
	DomainFailing  DomainState = 3 // it was verified, and its zone says that the record is gone
	DomainLapsed   DomainState = 4 // it failed, and somebody or the organization's own setting ended it
)

// String is the state as events and people read it.
func (s DomainState) String() string {
	switch s {
	case DomainPending:
		return "PENDING"
	case DomainVerified:
		return "VERIFIED"
	case DomainFailing:
		return "FAILING"
	case DomainLapsed:
		return "LAPSED"
	}
	return ""
}

// Counts reports whether a domain in this state is the organization's.
func (s DomainState) Counts() bool { return s == DomainVerified || s == DomainFailing }

// ChallengeToken is what a domain's zone has to show: 160 random bits that belong to one organization and one domain. It is no
// secret, since the zone publishes it.
type ChallengeToken [20]byte

// DomainChallenge is the verification of one domain by one organization: what is asked for, how far it came, and what the last
// looks at the zone found. Package domaincheck moves it on.
type DomainChallenge struct {
	Domain     Domain
	Subdomains bool
	Token      ChallengeToken
	Expires    time.Time // first moment at which the record does not count any more; zero: never
	State      DomainState
	// LapseAfter is the organization's own choice that a domain which keeps failing this long ends by itself; zero: never.
	LapseAfter time.Duration

	Created  time.Time
	Verified time.Time // since when it counts; zero: not yet
	Failing  time.Time // since when it fails; zero: it does not
	DNSSEC   bool      // the last look that found the record was authenticated

	Checked time.Time // the last look; zero: none yet
	Outcome string    // of that look: FOUND, ABSENT or UNKNOWN
	Detail  string    // why, as one of the reasons of package domaincheck
	Due     time.Time // when it is looked at next; zero: not by itself

	Negatives     int // authoritative negatives that counted, one behind the other
	FirstNegative time.Time
	LastNegative  time.Time
	Warnings      int // events that said it fails
	LastWarning   time.Time

	Revision int64 // of the directory, of the last change of state
	// Version is what a commit compares: the record as it was read. Empty: there must be none.
	Version string
}

// Record is the domain record that a challenge which counts stands for.
func (c *DomainChallenge) Record() DomainRecord {
	return DomainRecord{Domain: c.Domain, Subdomains: c.Subdomains, VerifiedBy: VerifiedByDNS, Origin: audit.OriginAPI,
		Stale: c.State == DomainFailing, DNSSEC: c.DNSSEC, Verified: c.Verified}
}

// ChallengeChange is one challenge in a directory commit.
type ChallengeChange struct {
	Before *DomainChallenge // as read; nil: there must be none
	After  *DomainChallenge // nil: it goes
}

// Domain is whose challenge it is.
func (c ChallengeChange) Domain() Domain {
	if c.After != nil {
		return c.After.Domain
	}
	return c.Before.Domain
}

// ReasonDomainTaken is why a domain cannot be verified: another organization has verified it.
const ReasonDomainTaken = "DOMAIN_TAKEN"

// DomainTaken is the error of the organization that lost a domain to another one.
func DomainTaken() error {
	return errs.New(errs.AlreadyExists, ReasonDomainTaken, "another organization has verified this domain: it has to give it up first")
}

// Challenges keeps the verification of domains. Those of one organization change in its directory commits; bookkeeping that is no
// change of state is a write of its own.
type Challenges interface {
	// Challenge returns the verification of a domain, nil when there is none.
	Challenge(ctx context.Context, organizationUID string, d Domain) (*DomainChallenge, error)
	// Challenges returns up to limit of an organization's after the given domain, in order.
	Challenges(ctx context.Context, organizationUID string, after Domain, limit int) ([]DomainChallenge, error)
	// NoteCheck puts after in the place of before, which must have the same state, or does nothing and answers Conflict CHALLENGE_MOVED
	// when before is not what is stored.
	NoteCheck(ctx context.Context, organizationUID string, before, after *DomainChallenge) error
	// DueChecks returns up to limit challenges of a partition that are due, the oldest first.
	DueChecks(ctx context.Context, partition int, now time.Time, limit int) ([]DueCheck, error)
}

// DueCheck is a challenge that is to be looked at.
type DueCheck struct {
	OrganizationUID string
	Domain          Domain
}

// DomainOwner says which organization has verified a domain, or is about to.
type DomainOwner struct {
	OrganizationUID string // empty: nobody
	Taken           time.Time
	Confirmed       bool // the organization's own commit is known to have happened
	// Version is what a swap compares: the record as it was read. Empty: there is none.
	Version string
}

// DomainOwners keeps which organization has verified a domain, across all of them.
type DomainOwners interface {
	// DomainOwner returns who has a domain; the zero value for nobody.
	DomainOwner(ctx context.Context, d Domain) (DomainOwner, error)
	// SwapDomainOwner puts after in the place of before, and takes it away when after names nobody. It returns after as stored, and
	// false when before is not what is stored. No two records are alike, so that what was read before cannot come back.
	SwapDomainOwner(ctx context.Context, d Domain, before, after DomainOwner) (DomainOwner, bool, error)
}
