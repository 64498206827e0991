package audit

import (
	"context"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// DirectoryWrite is what one commit wrote to an organization's directory, for the archive's history of it. One event of the
// commit brings it along; it is no part of what readers of events get. Records are as their store encodes them: an archive
// keeps bytes and gives them back. Nothing in it identifies a person, and no secret is in it.
type DirectoryWrite struct {
	Organization []byte // the organization's record without secrets; nil when it was not written
	Items        []DirectoryItem
	// BackTo, when it is not 0, says that the store was set back: what the commit does not bring is again what it was after the
	// newest earlier commit with no later revision than this one.
	BackTo int64
}

// DirectoryItem is one domain or claim after a commit. Of two with one key the later counts.
type DirectoryItem struct {
	Key    DirectoryKey
	Record []byte // nil: it is gone
}

// DirectoryKey names a domain or a claim within an organization: a letter, and the domain in A-label form or the claim's keyed
// hash. Archives order nothing by it and look at no byte of it.
type DirectoryKey string

// The first letters of keys.
const (
	domainLetter = 'd'
	claimLetter  = 'c'
)

// DomainKey returns the key of a domain in A-label form.
func DomainKey(domain string) DirectoryKey { return DirectoryKey(domainLetter) + DirectoryKey(domain) }

// ClaimKey returns the key of a claim, by the keyed hash of what it names.
func ClaimKey(hash []byte) DirectoryKey { return DirectoryKey(claimLetter) + DirectoryKey(hash) }

// Domain returns what DomainKey was given.
func (k DirectoryKey) Domain() (string, bool) { return k.after(domainLetter) }

// Claim returns what ClaimKey was given.
func (k DirectoryKey) Claim() (string, bool) { return k.after(claimLetter) }

func (k DirectoryKey) after(letter byte) (string, bool) {
	if len(k) < 2 || k[0] != letter {
		return "", false
	}
	return string(k[1:]), true
}

// DirectoryCommit is one commit in an organization's history.
type DirectoryCommit struct {
	Sequence     int64 // of the event that brought it: what orders commits, also across a store that was set back
	Revision     int64 // of the directory
	RecordedTime time.Time
}

// OrganizationVersion is an organization's record as one commit wrote it.
type OrganizationVersion struct {
	DirectoryCommit
	Record []byte
	// Event is the one that brought it, as stored: who wrote it, why, what changed. It outlasts the event's retention.
	Event Event
}

// VersionQuery chooses versions of an organization's record.
type VersionQuery struct {
	OrganizationUID string
	Before          int64 // revision, exclusive; 0: from the newest on
	PolicyOnly      bool  // only those whose event ChangesPolicy
	WithRecords     bool  // else Record is nil
	Limit           int
}

// HistoryReader reads what directories were. It is written by Append, in the transaction that stores the event and only when it
// stores it: an event's Directory leads to one commit, to a version when the record was written, and to a version of each item.
// Retention of events does not touch it. What is there does not change, so several calls about one commit see the same.
// Implementations pass archivetest.
type HistoryReader interface {
	// CommitAt returns the newest commit recorded at or before a moment; HISTORY_UNKNOWN when there is none.
	CommitAt(ctx context.Context, organizationUID string, at time.Time) (DirectoryCommit, error)
	// OrganizationAt returns the record as it was after a commit; HISTORY_UNKNOWN when there is none.
	OrganizationAt(ctx context.Context, organizationUID string, c DirectoryCommit) (OrganizationVersion, error)
	// ItemsAt returns, of each key that stood for something after a commit, the record it had then.
	ItemsAt(ctx context.Context, organizationUID string, c DirectoryCommit, keys []DirectoryKey) (map[DirectoryKey][]byte, error)
	// Versions returns up to q.Limit versions of the record, highest revision first.
	Versions(ctx context.Context, q VersionQuery) ([]OrganizationVersion, error)
}

// Reasons of questions about the past that cannot be answered.
const (
	HistoryUnknown     = "HISTORY_UNKNOWN"
	HistoryNotArchived = "HISTORY_NOT_ARCHIVED_YET"
)

// ErrHistoryUnknown makes the error for a moment of which an organization's history says nothing.
func ErrHistoryUnknown() error {
	return errs.New(errs.NotFound, HistoryUnknown, "the history of this organization begins after that moment")
}

// ChangesPolicy reports whether an event of this type says that an organization's policy is another from then on.
func ChangesPolicy(t Type) bool {
	switch t { //nolint:exhaustive // the others leave the policy as it is
	case TypeOrganizationCreated, TypeOrganizationSetBack, TypePolicyUpdated, TypePolicySuspended, TypePolicyResumed:
		return true
	}
	return false
}
