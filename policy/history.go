package policy

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/postern-audit/postern/audit"
)

// ReasonRevisionNotFound says that no policy revision is kept that old.
const ReasonRevisionNotFound = "POLICY_REVISION_NOT_FOUND"

// KeptRevisions is how many revisions of a policy are kept, the newest.
const KeptRevisions = 1000

// Revision is one change of an organization's policy, and the policy after it.
type Revision struct {
	Number int64 // of the directory
	// The policy with what goes with it, as it was written. Lists of revisions leave them out.
	Policy          Policy
	AllowUnreadable bool
	ProofsNotBefore time.Time
	SuspendedUntil  time.Time
	// Event says who changed what, when and why. It is opened.
	Event audit.Event
}

// History keeps the revisions of policies: DirectoryWriter.Commit writes one for each change that Revises.
type History interface {
	// PolicyRevision returns the policy in force at a revision of the directory: the newest not after it. NotFound
	// POLICY_REVISION_NOT_FOUND when none is kept that old, or none of the organization is that new.
	PolicyRevision(ctx context.Context, organizationUID string, at int64) (*Revision, error)
	// PolicyRevisions returns up to limit revisions before the given one, or with 0 from the newest on, newest first.
	PolicyRevisions(ctx context.Context, organizationUID string, before int64, limit int) ([]Revision, error)
}

// Revises returns the index of the event that makes a change a revision of the policy, below zero when it is none: a creation, a
// policy that differs, a suspension or its end.
func (c *Change) Revises() int {
	if !c.WritePolicy {
		return -1
	}
	found := -1
	for i := range c.Events {
		switch c.Events[i].Type { //nolint:exhaustive // the others leave the policy as it is
		case audit.TypePolicyUpdated, audit.TypePolicySuspended, audit.TypePolicyResumed:
			return i
		case audit.TypeOrganizationCreated:
			found = i
		}
	}
	return found
}

// At is the organization with the policy of a revision in the place of its own. Decisions name that revision.
func (o *Organization) At(r *Revision) *Organization {
	then := *o
	then.Policy, then.AllowUnreadable, then.SuspendedUntil, then.Unreadable = r.Policy, r.AllowUnreadable, r.SuspendedUntil, false
	then.ProofsNotBefore = r.ProofsNotBefore
	then.PolicyStamp = RevisionStamp(r.Number)
	return &then
}

// RevisionStamp is a stamp of a revision that is past: nothing is stored with it, so nothing based on it can be written.
func RevisionStamp(revision int64) (s Stamp) {
	binary.BigEndian.PutUint64(s[:8], uint64(revision)) //nolint:gosec // counts up from 1
	return s
}

// Moment is an organization as it was at one moment.
type Moment struct {
	At           time.Time
	Commit       audit.DirectoryCommit // the newest one at that moment
	Organization *Organization         // sites, connections, policy and switches; no times, stamps, secrets and key
}

// Past reads directories as they were, from the archive's history. A moment names what was recorded at or before it.
type Past interface {
	// At returns the organization as it was at a moment. FailedPrecondition HISTORY_NOT_ARCHIVED_YET when a change of before that
	// moment may not be archived yet, NotFound HISTORY_UNKNOWN when its history begins later.
	At(ctx context.Context, organizationUID string, at time.Time) (Moment, error)
	// Records returns the directory records that bore on one subject then.
	Records(ctx context.Context, m Moment, keys LookupKeys) (Records, error)
	// Written returns the change that wrote the policy in force then, with its event opened and without the policy.
	Written(ctx context.Context, m Moment) (*Revision, error)
}
