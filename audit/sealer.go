package audit

// Purpose says what a blind index is over. Stored: never renumber.
type Purpose int32

// The purposes.
const (
	IndexAccount     Purpose = 1 // account id
	IndexEmail       Purpose = 2 // e-mail address, local part folded to lower ASCII
	IndexEmailDomain Purpose = 3 // A-label domain of the e-mail
	IndexName        Purpose = 4 // display name
	IndexNetwork32   Purpose = 5 // IPv4 /32 or IPv6 /128
	IndexNetwork24   Purpose = 6 // IPv4 /24 or IPv6 /64
	IndexNetwork16   Purpose = 7 // IPv4 /16 or IPv6 /48
	IndexNetwork8    Purpose = 8 // IPv6 /32 only
	IndexIdentifier  Purpose = 9 // typed identifier that is no usable address
	// Whom somebody looked for, in the event that tells of the search: the values are those of IndexAccount and IndexEmail. Searches
	// do not ask for them, so that a search does not find itself; erasure does.
	IndexSoughtAccount Purpose = 10
	IndexSoughtEmail   Purpose = 11
)

// Sought returns the indexes of events that tell of searches for what these indexes are of; those of other purposes have none.
func Sought(of []Index) []Index {
	var out []Index
	for _, x := range of {
		switch x.Purpose { //nolint:exhaustive // people are looked for by these
		case IndexAccount:
			out = append(out, Index{IndexSoughtAccount, x.Value})
		case IndexEmail:
			out = append(out, Index{IndexSoughtEmail, x.Value})
		}
	}
	return out
}

// Index is one blind index: version byte and the first 16 bytes of an HMAC over purpose, organization uid and canonical value.
type Index struct {
	Purpose Purpose
	Value   []byte
}

// Sealed is a personal part as stored: salt in the clear, AES-256-GCM over the personal fields with organization uid and
// event id as associated data, and SHA-256(salt ‖ sealed). Erasure drops Salt and Data; the digest stays.
type Sealed struct {
	Salt   []byte
	Data   []byte
	Digest []byte
}

// Sealer seals personal parts with the key of an organization and makes blind indexes. Safe for concurrent use.
// Every method fails when the organization's key has not been given to it; none ever falls back to clear text.
type Sealer interface {
	// Seal encrypts p for the record with this id (an event id, or a flow id for flow state).
	Seal(organizationUID, recordID string, p Personal) (*Sealed, error)
	// Open is the reverse of Seal. An erased part is an error.
	Open(organizationUID, recordID string, s *Sealed) (Personal, error)
	// Index returns the blind index of a canonical value in the current key version.
	Index(organizationUID string, purpose Purpose, value string) (Index, error)
	// Indexes returns it in every live version, current first: what searches try.
	Indexes(organizationUID string, purpose Purpose, value string) ([]Index, error)
}

// OrganizationKey is an organization's keyset as stored: wrapped by the master keyset.
type OrganizationKey struct {
	OrganizationUID string
	Wrapped         []byte
}

// KeyDestroyed is the reason of a Sealer's errors about an organization whose key was destroyed.
const KeyDestroyed = "KEY_DESTROYED"

// destroyedForm is what stands in the place of a wrapped key that was destroyed: a form byte that no wrapped key has, alone.
const destroyedForm = "\x00"

// DestroyedKey is what stores keep in the place of an organization's key that was destroyed, so that nothing brings it back.
func DestroyedKey(organizationUID string) OrganizationKey {
	return OrganizationKey{OrganizationUID: organizationUID, Wrapped: []byte(destroyedForm)}
}

// Destroyed reports whether this is what stands for a destroyed key.
func (k OrganizationKey) Destroyed() bool { return string(k.Wrapped) == destroyedForm }

// Keys gives organization keys to a Sealer.
type Keys interface {
	// Mint makes a new key for an organization and returns it wrapped; the caller stores it in the commit that creates the organization.
	Mint(organizationUID string) (OrganizationKey, error)
	// Add makes a stored key usable in this process. Adding the same key again costs nothing; another key for a known
	// organization is an error. What stands for a destroyed key ends the use of the one that was added, for good.
	Add(key OrganizationKey) error
	// Has reports whether the organization's key was added, or is known to be destroyed.
	Has(organizationUID string) bool
}
