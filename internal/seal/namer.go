package seal

import "encoding/hex"

// Namer makes keyed names with the hash keyset, which never rotates: names of Redis records, commit keys, request digests,
// session handles, hashes of typed identifiers. Who has the store but not the key cannot tell what a name stands for, nor
// try values. Safe for concurrent use.
type Namer struct{ m *macs }

// Namer returns the namer of these keysets.
func (k *Keysets) Namer() *Namer { return &Namer{newMACs(k.name)} }

// Name is HMAC-SHA-256 over the purpose and the parts, each with its length in front: two lists of parts never make the
// same name, nor do two purposes.
func (n *Namer) Name(purpose string, parts ...[]byte) [32]byte {
	c := n.m.take()
	field(c, purpose)
	for _, p := range parts {
		field(c, p)
	}
	return n.m.sum(c)
}

// NameStrings is Name for texts.
func (n *Namer) NameStrings(purpose string, parts ...string) [32]byte {
	c := n.m.take()
	field(c, purpose)
	for _, p := range parts {
		field(c, p)
	}
	return n.m.sum(c)
}

// First16 cuts a name to 16 bytes: enough where a collision only confuses one organization's own records.
func First16(name [32]byte) [16]byte { return [16]byte(name[:16]) }

// Hex16 writes the first 16 bytes of a name as 32 hexadecimal digits, for keys and fields.
func Hex16(name [32]byte) string { return hex.EncodeToString(name[:16]) }
