package export

import (
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
)

// Request is how a call is known when it is repeated.
type Request struct{ Key, Digest [32]byte }

// Change is one change of an organization's exports, with its event where it has one, or an event alone.
type Change struct {
	OrganizationUID string
	Before          *Job         // nil: a new one
	After           *Job         // nil: it is forgotten; both nil: only the event
	Event           *audit.Event // nil: none
	Request         *Request     // nil: a change that nobody asked for
	Answer          string       // to the request
	// Due is when somebody has to look at it next; zero: never again.
	Due time.Time
	// Lease is what becomes of the right to make it.
	Lease Lease
	Now   time.Time
}

// Lease says what a change does with the right to make an export, of which an organization has MaxRunning.
type Lease uint8

// What becomes of it.
const (
	LeaseGone Lease = iota // nobody makes it now
	LeaseTake              // taken, or kept, until Due
)

// Due names an export that somebody has to look at.
type Due struct{ OrganizationUID, ID string }

// Store keeps exports. Implementations pass exporttest. NotFound errors have the reason EXPORT_NOT_FOUND.
type Store interface {
	// Commit writes the change, its event and what a repeated call is answered with, all or nothing. The same Request again writes
	// nothing and returns the answer of the first; with another digest it is REQUEST_ID_REUSED. An export that is not c.Before any more
	// is a Conflict EXPORT_MOVED, a new one too many ResourceExhausted EXPORT_LIMIT, one more at once than an organization may have
	// ResourceExhausted EXPORT_BUSY; none writes.
	Commit(ctx context.Context, c Change) (repeated string, err error)
	// Answered returns what a call with this key was answered with, "" when it is new.
	Answered(ctx context.Context, organizationUID string, request Request) (string, error)
	// Job returns one export, or a NotFound error.
	Job(ctx context.Context, organizationUID, id string) (*Job, error)
	// Jobs returns all exports of an organization, the newest first.
	Jobs(ctx context.Context, organizationUID string) ([]Job, error)
	// Due returns exports of all organizations that are due by now, the longest due first, at most limit of each partition.
	Due(ctx context.Context, now time.Time, limit int) ([]Due, error)
}

// Encoder writes one file.
type Encoder interface {
	// Append adds an event. It may be written later.
	Append(e *audit.Event) error
	// Settle writes what can be written now. done says that this is all there was: the file may be cut here and gone on with by an
	// encoder that is given what this one wanted kept so far, in order.
	Settle() (done bool, err error)
	// Close ends the file.
	Close() error
}
