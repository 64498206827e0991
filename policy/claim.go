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

// AccountOwner says which organization claims an account or address, or did, or was about to: whether it has the claim is what counts.
type AccountOwner struct {
	OrganizationUID string    // empty: nobody
	Taken           time.Time // when; a commit of the claim comes soon behind it, or not at all
	// Version is what a change compares: the record as it was read. Empty: there is none.
	Version string
}

// NamedOwner is an account, by a hash that is the same for every organization, with its owner as it was read.
type NamedOwner struct {
	Key   AccountKey
	Owner AccountOwner
}

// AccountOwners keeps which organization claims an account or address, across all of them.
type AccountOwners interface {
	// AccountOwners returns who has each of up to 500 accounts, in order; the zero value for nobody.
	AccountOwners(ctx context.Context, keys []AccountKey) ([]AccountOwner, error)
	// TakeAccounts names an organization as the owner of all of up to 500 accounts, or, when one of their owners is not as it was read,
	// of none, and reports false. No two records of one account are alike, so that what was read before cannot come back.
	TakeAccounts(ctx context.Context, organizationUID string, at time.Time, accounts []NamedOwner) (bool, error)
	// FreeAccounts takes the owners of up to 500 accounts away, of each that is as it was read.
	FreeAccounts(ctx context.Context, accounts []NamedOwner) error
}
