package directory

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// AccountSealer seals and opens what claims are about. seal.Keyring is one.
type AccountSealer interface {
	// Seal encrypts p for one record of an organization whose key is known to the process.
	Seal(organizationUID, recordID string, p audit.Personal) (*audit.Sealed, error)
	// Open is the reverse of Seal.
	Open(organizationUID, recordID string, s *audit.Sealed) (audit.Personal, error)
}

// Accounts are the use cases around the accounts that organizations claim. Every field is needed.
type Accounts struct {
	Directory policy.Directory
	Writer    policy.DirectoryWriter
	Claims    policy.Claims
	Owners    policy.AccountOwners
	Sealer    AccountSealer
	Namer     Namer
	NewID     func() string // UUIDv7
	Now       func() time.Time
}

// Why an account cannot be claimed, besides what is wrong with its address.
const (
	ReasonAccountInvalid   = "ACCOUNT_INVALID"
	ReasonAccountAmbiguous = "ACCOUNT_AMBIGUOUS"
	ReasonAccountExists    = "ACCOUNT_EXISTS"
	ReasonAccountNotFound  = "ACCOUNT_NOT_FOUND"
	ReasonImportOutOfStep  = "IMPORT_OUT_OF_STEP"
)

// Bounds of an account, in bytes.
const (
	MaxAccountID = 128
	MaxNote      = 256
	// MaxAccounts is how many accounts one call, or one batch of an import, is about.
	MaxAccounts = maxKeys
)

// NewAccount is an account to claim: by its id or by an address.
type NewAccount struct {
	id      string
	address policy.Address
	note    string
}

// ParseAccount makes an account of what a caller gave. Exactly one of id and email must be there. An address must be usable.
func ParseAccount(id, email, note string) (NewAccount, error) {
	switch {
	case id != "" && email != "":
		return NewAccount{}, errs.New(errs.Invalid, ReasonAccountAmbiguous, "an account is claimed by its id or by its address, not by both")
	case !plain(note, MaxNote):
		return NewAccount{}, errs.New(errs.Invalid, ReasonAccountInvalid, "the note has more than 256 bytes or a control character")
	case id != "" && !plain(id, MaxAccountID):
		return NewAccount{}, errs.New(errs.Invalid, ReasonAccountInvalid, "the account id has more than 128 bytes or a control character")
	case id != "":
		return NewAccount{id: id, note: note}, nil
	case email == "":
		return NewAccount{}, errs.New(errs.Invalid, ReasonAccountInvalid, "an account is claimed by its id or by its address")
	}
	a, err := policy.ParseUsableAddress(email)
	if err != nil {
		return NewAccount{}, err //nolint:wrapcheck // an errs.Error of the core
	}
	return NewAccount{address: a, note: note}, nil
}

// plain reports whether s is UTF-8 without control characters and has at most that many bytes.
func plain(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 })
}

// AccountName names a claimed account: by its key, or by what is claimed.
type AccountName struct {
	Key     policy.AccountKey // counts when the others are empty
	ID      string
	Address policy.Address
}

func (a *Accounts) keyOf(uid string, n AccountName) policy.AccountKey {
	switch {
	case n.ID != "":
		return a.Namer.AccountKey(uid, n.ID)
	case !n.Address.IsZero():
		return a.Namer.AddressKey(uid, n.Address)
	}
	return n.Key
}

// Account is a claimed account as its organization sees it.
type Account struct {
	Organization    string // id
	OrganizationUID string
	Claim           policy.ClaimRecord
	ID, Email, Note string // empty where they cannot be opened any more
}

// Etag is the version of an account: it moves with every change of it and with nothing else.
func (a *Account) Etag() string {
	b := binary.BigEndian.AppendUint64(a.Claim.Key[:], uint64(a.Claim.Revision)) //nolint:gosec // counts up from 1
	sum := sha256.Sum256(append(b, a.OrganizationUID...))
	return hex.EncodeToString(sum[:16])
}

// text is what an event says of it.
func (a *Account) text() string {
	switch {
	case a.ID != "":
		return a.ID
	case a.Email != "":
		return a.Email
	}
	return hex.EncodeToString(a.Claim.Key[:])
}

// open makes an account of a claim. What cannot be opened stays empty: the claim counts all the same.
func (a *Accounts) open(organization, uid string, c policy.ClaimRecord) Account {
	out := Account{Organization: organization, OrganizationUID: uid, Claim: c}
	if c.Personal == nil {
		return out
	}
	if p, err := a.Sealer.Open(uid, recordOf(c.Key), c.Personal); err == nil {
		out.ID, out.Email, out.Note = p.AccountID, p.Email, p.Detail
	}
	return out
}

// recordOf is what the personal part of a claim is sealed for.
func recordOf(key policy.AccountKey) string { return hex.EncodeToString(key[:]) }

func noAccount() error {
	return errs.New(errs.NotFound, ReasonAccountNotFound, "the organization claims no such account")
}

// find resolves an organization and makes its key usable here.
func (a *Accounts) find(ctx context.Context, organization string) (string, error) {
	o, err := find(ctx, a.Directory, organization)
	if err != nil {
		return "", err
	}
	return o.UID, nil
}

// Get returns one account.
func (a *Accounts) Get(ctx context.Context, organization string, name AccountName) (Account, error) {
	uid, err := a.find(ctx, organization)
	if err != nil {
		return Account{}, err
	}
	found, err := a.list(ctx, organization, uid, []policy.AccountKey{a.keyOf(uid, name)})
	if err != nil {
		return Account{}, err
	}
	if len(found) == 0 {
		return Account{}, noAccount()
	}
	return found[0], nil
}

// list opens those of an organization's claims that stand, in the order asked for.
func (a *Accounts) list(ctx context.Context, organization, uid string, keys []policy.AccountKey) ([]Account, error) {
	found, err := a.Writer.ListsClaims(ctx, uid, keys)
	if err != nil {
		return nil, err
	}
	out := make([]Account, 0, len(found))
	for _, k := range keys {
		if c, ok := found[k]; ok {
			out = append(out, a.open(organization, uid, c))
		}
	}
	return out, nil
}

// AccountPage is a page of accounts, in the order of their keys.
type AccountPage struct {
	Accounts []Account
	Count    int64             // of all
	Next     policy.AccountKey // the next page begins behind it; zero: there is none
}

// List returns up to limit accounts of an organization behind a key.
func (a *Accounts) List(ctx context.Context, organization string, after policy.AccountKey, limit int) (AccountPage, error) {
	uid, err := a.find(ctx, organization)
	if err != nil {
		return AccountPage{}, err
	}
	page, err := a.Claims.Claims(ctx, uid, after, limit)
	if err != nil {
		return AccountPage{}, err
	}
	out := AccountPage{Count: page.Count, Next: page.Next, Accounts: make([]Account, len(page.Claims))}
	for i := range page.Claims {
		out.Accounts[i] = a.open(organization, uid, page.Claims[i])
	}
	return out, nil
}
