// Package naming makes the keyed names that flows, claims and sessions are known by.
//
// Purpose: implement authflow.Namer and policy.Namer over the installation's hash keyset. Invariant: each kind of name has a
// purpose of its own, so that no name can stand for a thing of another kind, and every part is length-prefixed. Purposes are in
// stored names: they never change. It must never keep what it hashes. First file to read: this one.
package naming

import (
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/policy"
)

// The purposes. Stored: never change one.
const (
	purposeAccount    = "account"
	purposeAddress    = "address"
	purposeCommit     = "commit"
	purposeRequest    = "request"
	purposeSession    = "session"
	purposeIdentifier = "identifier"
	purposeApply      = "apply"
	purposeIdentity   = "identity"
	purposeOwner      = "account owner"
	purposeOwnerEmail = "address owner"
	purposeAPIKey     = "api-key"
)

// Namer names things of one installation. Safe for concurrent use.
type Namer struct{ n *seal.Namer }

var _ authflow.Namer = Namer{}

// New returns the names under the hash keyset of n.
func New(n *seal.Namer) Namer { return Namer{n} }

// AccountKey hashes an account id for one organization.
func (n Namer) AccountKey(organizationUID, accountID string) policy.AccountKey {
	return seal.First16(n.n.NameStrings(purposeAccount, organizationUID, accountID))
}

// AddressKey hashes an address's Key for one organization.
func (n Namer) AddressKey(organizationUID string, a policy.Address) policy.AccountKey {
	return seal.First16(n.n.NameStrings(purposeAddress, organizationUID, a.Key()))
}

// AccountOwner hashes an account id for all organizations together.
func (n Namer) AccountOwner(accountID string) policy.AccountKey {
	return seal.First16(n.n.NameStrings(purposeOwner, accountID))
}

// AddressOwner hashes an address's Key for all organizations together.
func (n Namer) AddressOwner(a policy.Address) policy.AccountKey {
	return seal.First16(n.n.NameStrings(purposeOwnerEmail, a.Key()))
}

// CommitKey hashes caller, method, flow or parent, and request id.
func (n Namer) CommitKey(caller, method, parent, requestID string) authflow.CommitKey {
	return n.n.NameStrings(purposeCommit, caller, method, parent, requestID)
}

// Digest hashes a canonical request.
func (n Namer) Digest(canonical []byte) authflow.Digest { return n.n.Name(purposeRequest, canonical) }

// SessionHandle hashes a site's session handle for one organization.
func (n Namer) SessionHandle(organizationUID string, handle []byte) [32]byte {
	return n.n.Name(purposeSession, []byte(organizationUID), handle)
}

// Identity hashes an identity elsewhere.
func (n Namer) Identity(connectionUID, issuer, subjectID string) authflow.IdentityKey {
	return n.n.NameStrings(purposeIdentity, connectionUID, issuer, subjectID)
}

// Identifier hashes a typed identifier that is no usable address: 32 hexadecimal digits.
func (n Namer) Identifier(organizationUID, typed string) string {
	return seal.Hex16(n.n.NameStrings(purposeIdentifier, organizationUID, typed))
}

// ApplyKey names one administrative call and what it asked for.
func (n Namer) ApplyKey(caller, method, parent, requestID string, canonical []byte) policy.ApplyKey {
	return policy.ApplyKey{Key: n.n.NameStrings(purposeApply, caller, method, parent, requestID), Digest: n.n.Name(purposeRequest, canonical)}
}

// APIKey hashes the secret of an API key of one organization.
func (n Namer) APIKey(organizationUID string, id, secret []byte) [32]byte {
	return n.n.Name(purposeAPIKey, []byte(organizationUID), id, secret)
}
