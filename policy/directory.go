package policy

import (
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
)

// Records are the directory records that bear on one subject, read in one trip.
type Records struct {
	AccountClaim *ClaimRecord  // the account id is claimed
	AddressClaim *ClaimRecord  // the address is claimed
	Domain       *DomainRecord // most specific record that covers the address's domain
}

// LookupKeys says which records to read. A zero field is not looked up.
type LookupKeys struct {
	Account AccountKey
	Address AccountKey
	Domain  Domain // of the address; parents are tried as well
}

// Namer makes the keyed hashes under which accounts and addresses are known. An adapter holds the key.
type Namer interface {
	// AccountKey hashes an account id for one organization.
	AccountKey(organizationUID, accountID string) AccountKey
	// AddressKey hashes an address's Key() for one organization.
	AddressKey(organizationUID string, a Address) AccountKey
}

// Directory reads organizations. Implementations cache the policy record by its stamp; domains and claims are never cached.
type Directory interface {
	// Resolve returns the uid of an organization id, or NotFound ORGANIZATION_NOT_FOUND. Found ids are cached until this process learns
	// that the organization was deleted: who goes on with the uid does, and is refused.
	Resolve(ctx context.Context, id string) (uid string, err error)
	// Organization returns the current policy record: one trip, which carries the record only when the cached one is stale. A deleted
	// organization is NotFound ORGANIZATION_NOT_FOUND.
	Organization(ctx context.Context, uid string) (*Organization, error)
	// Cached returns the policy record as this process last saw it, reading it when it has none, also that of a deleted organization
	// (Deleted says so): its last flows still end. Commits compare its stamp.
	Cached(ctx context.Context, uid string) (*Organization, error)
	// Organizations returns up to limit organizations with an id after the given one, in id order, without policy.
	Organizations(ctx context.Context, after string, limit int) ([]Organization, error)
	// Domains returns up to limit domains of an organization after the given one, in order, and how many domains and claims it has.
	Domains(ctx context.Context, uid string, after Domain, limit int) (DomainPage, error)
}

// DomainPage is a page of an organization's domains with its totals.
type DomainPage struct {
	Domains     []DomainRecord
	DomainCount int64
	ClaimCount  int64
}

// Applied says what one commit of an apply did.
type Applied struct {
	Kind     string // ADD_DOMAINS, ADD_CLAIMS, POLICY, REMOVE_DOMAINS, REMOVE_CLAIMS, CHECK_DOMAINS, NOTHING
	Count    int
	Revision int64
	Events   []string // event ids
}

// Change is one all-or-nothing directory commit. The store fills in the new revision and stamps.
type Change struct {
	Organization *Organization // as it will be; Stamp and Revision are those it is based on (zero Stamp: it must not exist)
	WritePolicy  bool          // write the policy record and move the policy stamp
	AddDomains   []DomainRecord
	AddClaims    []ClaimRecord
	DropDomains  []Domain
	DropClaims   []AccountKey
	Challenges   []ChallengeChange
	Events       []audit.Event // Revision and what Organization.Marks says are filled in by the store
	Request      ApplyKey
	Progress     []Applied // of the commits before this one
	Done         bool      // this is the last commit
	// Import is how far the import behind Request is with this commit, in the place of Progress and Done. Its version is compared.
	Import *ImportProgress
	// NotAfter is the last moment, by the store's clock, at which the commit may happen; zero: any.
	NotAfter time.Time
}

// ApplyKey identifies one administrative call for idempotency.
type ApplyKey struct {
	Key    [32]byte // keyed hash of caller, method, parent and request id
	Digest [32]byte // keyed hash of the canonical request
}

// Progress is how far an apply with the same key came.
type Progress struct {
	Stamp   Stamp // of the organization after the last commit
	Commits []Applied
	Done    bool
}

// DirectoryWriter changes organizations.
type DirectoryWriter interface {
	// Progress returns how far a call with this key came, nil when it is new, or REQUEST_ID_REUSED when the digest differs.
	Progress(ctx context.Context, organizationUID string, key ApplyKey) (*Progress, error)
	// Answered keeps the answer of a call that changed nothing, for as long as progress is kept. When the key has progress by
	// now, that of the same request stays, and that of another is REQUEST_ID_REUSED.
	Answered(ctx context.Context, organizationUID string, key ApplyKey, p Progress) error
	// Commit makes one change, all or nothing, with its events in the same write. A moved stamp, or a challenge that is not as it
	// was read, is Conflict ETAG_MISMATCH.
	Commit(ctx context.Context, c Change) (Applied, Stamp, error)
	// Reserve maps a new organization id to a fresh uid, or returns the uid it has. Only Commit makes the organization exist.
	Reserve(ctx context.Context, id, uid string) (string, error)
	// ListsDomains reports which of these domains the organization has, with their records.
	ListsDomains(ctx context.Context, uid string, domains []Domain) (map[Domain]DomainRecord, error)
	// ListsClaims reports which of these claims the organization has.
	ListsClaims(ctx context.Context, uid string, keys []AccountKey) (map[AccountKey]ClaimRecord, error)
}
