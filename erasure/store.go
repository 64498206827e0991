package erasure

import (
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Change is one step of an erasure: its record, what goes from the live store with it, and its event, if it has one.
type Change struct {
	Before  *Erasure // nil: a new one
	After   Erasure
	Remove  []Item
	Event   *audit.Event
	Request *policy.ApplyKey // of a new one
}

// Place names an erasure.
type Place struct{ OrganizationUID, ID string }

// Store keeps erasures beside what they take away. NotFound errors have the reason ERASURE_NOT_FOUND.
type Store interface {
	// Commit writes a change with its event, all or nothing. The same Request again writes nothing and returns the id the first one
	// answered with; with another digest it is REQUEST_ID_REUSED. An erasure that is not c.Before any more is a Conflict. An item
	// that is not as expected any more stays. It sets the version of c.After.
	Commit(ctx context.Context, c *Change) (repeated string, err error)
	// Erasure returns one erasure, or a NotFound error.
	Erasure(ctx context.Context, p Place) (*Erasure, error)
	// Erasures returns up to limit erasures of an organization, newest first, older than the id before; "" begins with the newest.
	Erasures(ctx context.Context, organizationUID, before string, limit int) ([]Erasure, error)
	// Due returns, of each partition, up to limit erasures that are to be looked at. Those of partitions that can be read come with
	// the error of those that cannot.
	Due(ctx context.Context, partitions []int, now time.Time, limit int) ([]Place, error)
}

// Live is what the live store knows of accounts and of sign-ins under way.
type Live interface {
	// Held returns up to limit things that are kept of an account.
	Held(ctx context.Context, organizationUID string, account policy.AccountKey, limit int) ([]Item, error)
	// LiveUntil returns the latest deadline of the organization's sign-ins under way whose deadlines are not after the bound (zero:
	// none); the zero time when there is none.
	LiveUntil(ctx context.Context, organizationUID string, bound time.Time) (time.Time, error)
}

// Archive is the archive an erasure works on.
type Archive interface {
	audit.Eraser
	// Position returns an organization's last sequence number and the recorded time of its last event.
	Position(ctx context.Context, organizationUID string) (int64, time.Time, error)
}

// Archived says how far the archive is. audit.Source implements it.
type Archived interface {
	ArchivedUntil(ctx context.Context, organizationUID string) (time.Time, error)
}

// Holds says whether a record is on hold. policy.Directory does.
type Holds interface {
	Organization(ctx context.Context, uid string) (*policy.Organization, error)
}
