package savedfilter

import (
	"context"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Change is one change of a saved filter with its event.
type Change struct {
	OrganizationUID string
	ID              string
	Before, After   *Filter // Before nil: a new one; After nil: it goes
	Event           audit.Event
	Request         policy.ApplyKey
}

// Store keeps filters, what they say sealed with their organization's key. NotFound errors have the reason SAVED_FILTER_NOT_FOUND.
type Store interface {
	// Commit writes the change, its event and that the call was made, all or nothing. The same Request again writes nothing and is
	// reported as repeated; with another digest it is REQUEST_ID_REUSED. A new filter whose id is taken is AlreadyExists
	// SAVED_FILTER_EXISTS, one too many ResourceExhausted SAVED_FILTER_LIMIT, a filter that is not c.Before any more a Conflict
	// SAVED_FILTER_MOVED; none of them writes.
	Commit(ctx context.Context, c Change) (repeated bool, err error)
	// Answered reports whether a call with this key was made.
	Answered(ctx context.Context, organizationUID string, request policy.ApplyKey) (bool, error)
	// Filter returns one filter, or a NotFound error.
	Filter(ctx context.Context, organizationUID, id string) (*Filter, error)
	// Filters returns all filters of an organization, by id.
	Filters(ctx context.Context, organizationUID string) ([]Filter, error)
}
