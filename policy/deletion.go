package policy

import "context"

// Owners keeps what one organization has at a time, across all of them.
type Owners interface {
	DomainOwners
	AccountOwners
}

// Gone reports whether there is an organization and it was deleted.
func (o *Organization) Gone() bool { return o != nil && !o.Deleted.IsZero() }

// Deletions is what ends an organization for good, beside Change: its id is free again once nothing else of it is left. An id that a
// deleted organization still has leads nowhere and can be reserved anew.
type Deletions interface {
	// Named returns the organization an id leads to, deleted or not, or NotFound ORGANIZATION_NOT_FOUND.
	Named(ctx context.Context, id string) (*Organization, error)
	// Free takes an id from a deleted organization, if it still has it, and notes for a day that the call with this key did so.
	Free(ctx context.Context, id, uid string, key ApplyKey) error
	// Freed reports whether the call with this key has taken its id from an organization, or answers REQUEST_ID_REUSED when the
	// digest differs.
	Freed(ctx context.Context, key ApplyKey) (bool, error)
}
