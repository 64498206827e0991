package policy

import (
	"context"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// ReasonAccountTaken is why an account or address cannot be claimed: another organization claims it.
const ReasonAccountTaken = "ACCOUNT_TAKEN"

// AccountTaken is the error of the organization that lost an account to another one, which it is not told.
func AccountTaken() error {
	return errs.New(errs.AlreadyExists, ReasonAccountTaken, "another organization claims this account: it has to release it first")
}

// ClaimPage is a page of an organization's claims, in order of their keys, with how many there are.
type ClaimPage struct {
	Claims []ClaimRecord
	Count  int64
	Next   AccountKey // the next page begins behind it; zero: there is none
}

// Claims reads the claims of organizations, and keeps how far imports of them are.
type Claims interface {
	// Claims returns up to limit claims of an organization behind the given key, in order; the zero key is in front of all.
	Claims(ctx context.Context, organizationUID string, after AccountKey, limit int) (ClaimPage, error)
	// ImportProgress returns how far the import with this key is, nil when it is new, or REQUEST_ID_REUSED when the digest differs.
	ImportProgress(ctx context.Context, organizationUID string, key ApplyKey) (*ImportProgress, error)
	// NoteImport keeps how far an import is after rows that changed nothing. A version that is not what is stored is Conflict
	// ETAG_MISMATCH. It is kept as long as progress is.
	NoteImport(ctx context.Context, organizationUID string, key ApplyKey, p ImportProgress) error
}

// ImportProgress is how far an import of accounts is. It is kept in the same write as what it counts.
type ImportProgress struct {
	NextRow   int64 // the first row that is not done
	Created   int64
	Unchanged int64
	Refused   int64
	Revision  int64  // of the last commit; filled in by the store in a commit
	Digest    []byte // of the list, as the caller gave it; empty: not given
	// Version is what a write compares: the record as it was read. Empty: there must be none.
	Version string
}

// AccountOwner says which organization claims an account or address, or is about to.
type AccountOwner struct {
	OrganizationUID string // empty: nobody
	Taken           time.Time
	Confirmed       bool // no commit of its organization is on its way: whether it has the claim is what it has
	// Version is what a swap compares: the record as it was read. Empty: there is none.
	Version string
}

// OwnerSwap puts after in the place of before, and takes it away when after names nobody.
type OwnerSwap struct {
	Key           AccountKey
	Before, After AccountOwner
}

// AccountOwners keeps which organization claims an account or address, across all of them. Keys are hashes that are the same for every
// organization.
type AccountOwners interface {
	// AccountOwners returns who has each of up to 500 accounts, in order; the zero value for nobody.
	AccountOwners(ctx context.Context, keys []AccountKey) ([]AccountOwner, error)
	// TakeAccounts makes all of up to 500 swaps or none, and reports false when a record is not what a swap says it was. It returns the
	// records as stored. No two records of one key are alike, so that what was read before cannot come back.
	TakeAccounts(ctx context.Context, swaps []OwnerSwap) ([]AccountOwner, bool, error)
	// SwapAccounts makes those of up to 500 swaps whose record is what they say it was, and leaves the others alone.
	SwapAccounts(ctx context.Context, swaps []OwnerSwap) error
}
