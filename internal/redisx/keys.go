package redisx

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// DefaultPartitions and MaxPartitions bound P, which is fixed at the first start. Tags have two decimal digits.
const (
	DefaultPartitions = 64
	MaxPartitions     = 100
)

// Keys of what belongs to no organization.
const (
	InstallationKey      = "postern:{meta}:installation" // string: what belongs together
	OrganizationsKey     = "postern:{meta}:orgs"         // hash: organization id → uid
	OrganizationIndexKey = "postern:{meta}:org_index"    // sorted set: organization ids, in byte order
)

// OwnerKey is which organization has verified a domain.
func OwnerKey(domain string) string { return "postern:{meta}:owner:" + domain }

// AccountOwnerKey is which organization claims an account or address, by its hash.
func AccountOwnerKey(hash [16]byte) string {
	return "postern:{meta}:account:" + hex.EncodeToString(hash[:])
}

// FreedKey notes that a call has taken its id from a deleted organization.
func FreedKey(key [32]byte) string { return "postern:{meta}:freed:" + hex.EncodeToString(key[:]) }

// Keys names every key of an installation. The zero value is of no use: see NewKeys.
type Keys struct {
	spaces []Space // by partition
}

// NewKeys returns the names for an installation of this many partitions.
func NewKeys(partitions int) (*Keys, error) {
	if partitions < 1 || partitions > MaxPartitions {
		return nil, errs.Newf(errs.Invalid, "PARTITIONS_INVALID", "partitions must be 1 to %d", MaxPartitions)
	}
	k := &Keys{spaces: make([]Space, partitions)}
	for i := range k.spaces {
		prefix := fmt.Sprintf("postern:{%02d}:", i)
		k.spaces[i] = Space{prefix: prefix, outbox: prefix + "outbox"}
	}
	return k, nil
}

// Partitions is P.
func (k *Keys) Partitions() int { return len(k.spaces) }

// Partition is where an organization lives: the first 8 bytes of SHA-256 of its uid, modulo P. Stored data rests on it.
func (k *Keys) Partition(organizationUID string) int {
	var room [64]byte
	sum := sha256.Sum256(append(room[:0], organizationUID...))
	return int(binary.BigEndian.Uint64(sum[:8]) % uint64(len(k.spaces))) //nolint:gosec // less than 100
}

// Of returns the names of the partition an organization lives in.
func (k *Keys) Of(organizationUID string) Space { return k.spaces[k.Partition(organizationUID)] }

// At returns the names of a partition, which must be 0 to P-1.
func (k *Keys) At(partition int) Space { return k.spaces[partition] }

// Space names the keys of one partition. What comes from a person or from outside is hashed before it gets here.
type Space struct{ prefix, outbox string }

// hashed is the name of something that is known by a hash.
func (s Space) hashed(kind string, hash []byte) string {
	var room [128]byte
	return string(hex.AppendEncode(append(append(room[:0], s.prefix...), kind...), hash))
}

// Outbox is the stream of events on their way to the archive.
func (s Space) Outbox() string { return s.outbox }

// Deadlines is the sorted set of live flows by deadline; members are made by Member.
func (s Space) Deadlines() string { return s.prefix + "deadlines" }

// Tallies is the sorted set of open tallies by hour.
func (s Space) Tallies() string { return s.prefix + "tallies" }

// Lease is a hint which process does a job on the partition: "sweeper" or "archiver".
func (s Space) Lease(what string) string { return s.prefix + what }

// Organization is an organization's hash.
func (s Space) Organization(uid string) string { return s.prefix + "org:" + uid }

// Flow is a flow's hash.
func (s Space) Flow(id string) string { return s.prefix + "flow:" + id }

// Once is the outcome of a call whose commit key is not kept with a flow.
func (s Space) Once(key [32]byte) string { return s.hashed("once:", key[:]) }

// Last is an entry of the supersession index, by hashed name.
func (s Space) Last(name [32]byte) string { return s.hashed("last:", name[:]) }

// Session is a site's session, by hashed handle.
func (s Space) Session(handle [32]byte) string { return s.hashed("session:", handle[:]) }

// Authenticator is the second factor of a subject of an organization, by the keyed hash of its account, which is the
// organization's own.
func (s Space) Authenticator(account [16]byte) string { return s.hashed("auth:", account[:]) }

// Authenticators is the index of an organization's authenticators: a sorted set of accounts' hashes in hex, in byte order.
func (s Space) Authenticators(organizationUID string) string {
	return s.prefix + "auths:" + organizationUID
}

// Person is what an organization remembers of a subject, by the keyed hash of its account.
func (s Space) Person(account [16]byte) string { return s.hashed("person:", account[:]) }

// Identity is the account an identity elsewhere is linked to, by the keyed hash of the identity, which is the organization's own.
func (s Space) Identity(key [32]byte) string {
	return s.prefix + "identity:" + hex.EncodeToString(key[:])
}

// Identities is the index of an organization's linked identities: a sorted set of hashes in hex, the account's and the
// identity's with a colon between them, in byte order.
func (s Space) Identities(organizationUID string) string {
	return s.prefix + "identities:" + organizationUID
}

// Code is a support code that is taken.
func (s Space) Code(organizationUID, code string) string {
	return s.prefix + "code:" + organizationUID + ":" + code
}

// Taken is a name that can be taken once, by kind and hashed name.
func (s Space) Taken(kind, organizationUID string, name [32]byte) string {
	return s.prefix + "taken:" + kind + ":" + organizationUID + ":" + hex.EncodeToString(name[:])
}

// Domain is a verified domain of an organization.
func (s Space) Domain(organizationUID, domain string) string {
	return s.prefix + "domain:" + organizationUID + ":" + domain
}

// Domains is the index of an organization's domains, in byte order.
func (s Space) Domains(organizationUID string) string { return s.prefix + "domains:" + organizationUID }

// PolicyHistory is the hash of an organization's policy revisions, by number, with their bytes in all under "bytes".
func (s Space) PolicyHistory(organizationUID string) string {
	return s.prefix + "policyrev:" + organizationUID
}

// PolicyRevisions is the sorted set of the numbers in PolicyHistory.
func (s Space) PolicyRevisions(organizationUID string) string {
	return s.prefix + "policyrevs:" + organizationUID
}

// Challenge is the verification of a domain by an organization.
func (s Space) Challenge(organizationUID, domain string) string {
	return s.prefix + "challenge:" + organizationUID + ":" + domain
}

// Challenges is the index of an organization's challenges, in byte order.
func (s Space) Challenges(organizationUID string) string {
	return s.prefix + "challenges:" + organizationUID
}

// Checks is the sorted set of challenges by when they are looked at next; members are made by Member.
func (s Space) Checks() string { return s.prefix + "checks" }

// Claim is a claimed account or address of an organization, by hashed name.
func (s Space) Claim(organizationUID string, key [16]byte) string {
	return s.prefix + "claim:" + organizationUID + ":" + hex.EncodeToString(key[:])
}

// Claims is a part of the index of an organization's claims, by the first byte of their hashes: a sorted set of hashes in hex, in byte
// order. It has parts so that no key of an organization with very many claims is a large one.
func (s Space) Claims(organizationUID string, first byte) string {
	return s.prefix + "claims:" + organizationUID + ":" + hex.EncodeToString([]byte{first})
}

// APIKeys is the hash of an organization's API keys, by id.
func (s Space) APIKeys(organizationUID string) string { return s.prefix + "apikeys:" + organizationUID }

// APIKeyUses is the hash of their last uses, by id.
func (s Space) APIKeyUses(organizationUID string) string {
	return s.prefix + "apikeyuses:" + organizationUID
}

// APIKeySecret is the sealed secret of a key that was just made.
func (s Space) APIKeySecret(organizationUID, id string) string {
	return s.prefix + "apikeysecret:" + organizationUID + ":" + id
}

// SavedFilters is the hash of an organization's saved filters, by id.
func (s Space) SavedFilters(organizationUID string) string {
	return s.prefix + "savedfilters:" + organizationUID
}

// Exports is the hash of an organization's exports, by id.
func (s Space) Exports(organizationUID string) string { return s.prefix + "exports:" + organizationUID }

// ExportLeases is the sorted set of those being made, by until when whoever makes them may.
func (s Space) ExportLeases(organizationUID string) string {
	return s.prefix + "exportleases:" + organizationUID
}

// ExportsUnmade is the sorted set of those that are not over.
func (s Space) ExportsUnmade(organizationUID string) string {
	return s.prefix + "exportsunmade:" + organizationUID
}

// ExportsDue is the sorted set of exports by when somebody has to look at them; members are made by Member.
func (s Space) ExportsDue() string { return s.prefix + "exportsdue" }

// Erasure is how far the erasure of one person is, by id.
func (s Space) Erasure(organizationUID, id string) string {
	return s.prefix + "erasure:" + organizationUID + ":" + id
}

// Erasures is the index of an organization's erasures: a sorted set of ids, in byte order.
func (s Space) Erasures(organizationUID string) string {
	return s.prefix + "erasures:" + organizationUID
}

// Erasing is the sorted set of erasures by when they are looked at next; members are made by Member.
func (s Space) Erasing() string { return s.prefix + "erasing" }

// Sessions matches the names of the partition's sessions, and the rest of a name is the hashed handle.
func (s Space) Sessions() string { return s.prefix + "session:*" }

// Tally is the counters of a site's hour.
func (s Space) Tally(organizationUID, siteUID string, hour time.Time) string {
	return s.prefix + "tally:" + organizationUID + ":" + siteUID + ":" + hour.UTC().Format(TallyHour)
}

// TallyHour is how a tally's key writes its hour.
const TallyHour = "2006010215"

// Member is how a sorted set of a partition names something of an organization.
func Member(organizationUID, name string) string { return organizationUID + "/" + name }
