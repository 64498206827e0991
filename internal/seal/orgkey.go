package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// The stored form of an organization's key: one format byte and the master keyset's AES-256-GCM, with the organization uid
// as associated data, over
//
//	key     = length keyset index+        the AES-256-GCM keyset for personal parts, as Tink rotates it
//	index   = version length keyset       one HMAC-SHA-256 PRF key each, for blind indexes, current version first
//	length  = 4 bytes, big-endian         version = 1 byte, never 0, stored with every index made with it
//
// Sealing and indexing have keysets of their own because they rotate apart: old ciphertext is found by Tink's key id, old
// indexes only by searching every live version.
const (
	wrapFormat   = 1
	firstVersion = 1
	indexBytes   = 16
	indexSize    = 1 + indexBytes
)

// organizationKey is an unwrapped key, ready for use.
type organizationKey struct {
	aead     tink.AEAD
	indexes  []indexKey        // current first
	identity [sha256.Size]byte // tells two keys apart; never leaves the process
}

// indexKey makes blind indexes in one version.
type indexKey struct {
	version byte
	m       *macs
}

// index is version ‖ first 16 bytes of HMAC-SHA-256 over purpose ‖ organization uid ‖ value, each with its length in front.
// It is appended to buf, which has room for it.
func (k *indexKey) index(organizationUID string, purpose audit.Purpose, value string, buf []byte) audit.Index {
	var number [4]byte
	binary.BigEndian.PutUint32(number[:], uint32(purpose)) //nolint:gosec // a number, not a size
	c := k.m.take()
	field(c, number[:])
	field(c, organizationUID)
	field(c, value)
	sum := k.m.sum(c)
	buf = append(append(buf, k.version), sum[:indexBytes]...)
	return audit.Index{Purpose: purpose, Value: buf[:indexSize:indexSize]}
}

// mintKey makes the clear form of a new organization key.
func mintKey() ([]byte, error) {
	sealing, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, wrapped(err, "an organization key cannot be made")
	}
	indexing, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		return nil, wrapped(err, "an organization key cannot be made")
	}
	var out bytes.Buffer
	if err := appendKeyset(&out, sealing); err != nil {
		return nil, err
	}
	out.WriteByte(firstVersion)
	if err := appendKeyset(&out, indexing); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func appendKeyset(out *bytes.Buffer, h *keyset.Handle) error {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&b)); err != nil {
		return wrapped(err, "an organization key cannot be written")
	}
	out.Write(binary.BigEndian.AppendUint32(nil, uint32(b.Len()))) //nolint:gosec // a keyset is a few hundred bytes
	out.Write(b.Bytes())
	return nil
}

// parseKey reads the clear form of an organization key.
func parseKey(plain []byte) (*organizationKey, error) {
	key := &organizationKey{identity: sha256.Sum256(plain)}
	sealing, rest, err := cutKeyset(plain)
	if err != nil {
		return nil, err
	}
	if _, err := masterKey(sealing); err != nil {
		return nil, unreadable()
	}
	if key.aead, err = aead.New(sealing); err != nil {
		return nil, unreadable()
	}
	for len(rest) > 0 {
		version := rest[0]
		var h *keyset.Handle
		if h, rest, err = cutKeyset(rest[1:]); err != nil {
			return nil, err
		}
		secret, err := hashKey(h, "an index keyset")
		if err != nil || version == 0 {
			return nil, unreadable()
		}
		key.indexes = append(key.indexes, indexKey{version, newMACs(secret)})
	}
	if len(key.indexes) == 0 {
		return nil, unreadable()
	}
	return key, nil
}

// cutKeyset reads one length and keyset from the front of b.
func cutKeyset(b []byte) (*keyset.Handle, []byte, error) {
	if len(b) < 4 {
		return nil, nil, unreadable()
	}
	n := int(binary.BigEndian.Uint32(b))
	if n > len(b)-4 {
		return nil, nil, unreadable()
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(b[4 : 4+n])))
	if err != nil {
		return nil, nil, unreadable()
	}
	return h, b[4+n:], nil
}

// unreadable tells nothing of the cause: it may quote key material.
func unreadable() error {
	return errs.New(errs.FailedPrecondition, "KEY_UNREADABLE", "an organization key is damaged")
}
