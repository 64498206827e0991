package seal

import "encoding/base64"

// pseudonymPrefix marks what stands in the place of an address: no address begins like it and has no @.
const pseudonymPrefix = "p_"

// purposePseudonym is stored in what it makes: it never changes.
const purposePseudonym = "pseudonym"

// Pseudonym is what stands for an address in the record of an organization that does not keep addresses: a keyed hash of its
// canonical form, of 24 characters, the same for as long as the organization lives. It is the hash keyset's, which never rotates: who
// has that, and the organization's uid, can try addresses.
func (r *Keyring) Pseudonym(organizationUID, address string) string {
	name := r.names.NameStrings(purposePseudonym, organizationUID, address)
	return pseudonymPrefix + base64.RawURLEncoding.EncodeToString(name[:16])
}
