package apikey

import (
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// SecretFor is how long the sealed secret of a new key is kept for a repeated call.
const SecretFor = 15 * time.Minute

// Change is one change of an organization's keys with its event, or an event alone.
type Change struct {
	OrganizationUID string
	Before, After   *Key // Before nil: a new key; both nil: only the event
	Event           audit.Event
	Request         policy.ApplyKey
	Secret          []byte // of a new key, sealed; kept for SecretFor
	Drop            []ID   // ended keys to forget
}

// Store keeps keys. Implementations pass apikeytest. NotFound errors have the reason API_KEY_NOT_FOUND.
type Store interface {
	// Commit writes the change, its event and what a repeated call is answered with, all or nothing. The same Request again writes
	// nothing and returns the id the first one answered with; with another digest it is REQUEST_ID_REUSED. A key that is not
	// c.Before any more is a Conflict, one too many ResourceExhausted API_KEY_LIMIT; neither writes. Revoking erases the
	// sealed secret.
	Commit(ctx context.Context, c Change) (repeated string, err error)
	// Answered returns what a call with this key was answered with, "" when it is new.
	Answered(ctx context.Context, organizationUID string, request policy.ApplyKey) (string, error)
	// Key returns one key, or a NotFound error.
	Key(ctx context.Context, organizationUID string, id ID) (*Key, error)
	// Keys returns all keys of an organization, by id.
	Keys(ctx context.Context, organizationUID string) ([]Key, error)
	// Secret returns the sealed secret of a new key, nil when it is gone.
	Secret(ctx context.Context, organizationUID string, id ID) ([]byte, error)
	// Used notes a use, and erases the sealed secret. A key that is not there stays away.
	Used(ctx context.Context, organizationUID string, id ID, at time.Time) error
}
