// Package seal holds the keys: the master and hash keysets of an installation, the key of each organization, and what is
// made with them (sealed personal parts, blind indexes, keyed names).
//
// Purpose: be the only package that touches key material. Keysets are Tink keysets; Keyring implements audit.Sealer and
// audit.Keys; Namer makes the keyed hashes of Redis names.
// Invariant: nothing is ever sealed, indexed or named without a key, and no error, fingerprint or String tells any of it.
// It must never replace a keyset that is missing or cannot be read where another one is present, never read a key file that
// others may read, and never log.
// Read keyset.go first, then keyring.go.
package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/postern-audit/postern/internal/errs"
)

// keyBytes is the length of every key here: AES-256 and HMAC-SHA-256.
const keyBytes = 32

// Keysets is what an installation is made of: without the master keyset sealed data is gone, without the hash keyset no
// record is found by its name.
type Keysets struct {
	master *keyset.Handle
	hash   *keyset.Handle
	wrap   tink.AEAD
	name   []byte // the hash key

	masterPrint, hashPrint string
}

// MasterFingerprint names the master keyset without telling anything about it. It is that of the keyset's first key, so
// adding a newer key keeps it.
func (k *Keysets) MasterFingerprint() string { return k.masterPrint }

// HashFingerprint names the hash keyset without telling anything about it.
func (k *Keysets) HashFingerprint() string { return k.hashPrint }

// String names the keysets by their fingerprints.
func (k *Keysets) String() string { return "master " + k.masterPrint + ", hash " + k.hashPrint }

// GoString is String: no verb shows a key.
func (k *Keysets) GoString() string { return k.String() }

// mint makes new keysets.
func mint() (*Keysets, error) {
	master, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, wrapped(err, "the master keyset cannot be made")
	}
	hash, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		return nil, wrapped(err, "the hash keyset cannot be made")
	}
	return newKeysets(master, hash)
}

// newKeysets checks that the keysets are what they are used for.
func newKeysets(master, hash *keyset.Handle) (*Keysets, error) {
	first, err := masterKey(master)
	if err != nil {
		return nil, err
	}
	name, err := hashKey(hash, "the hash keyset")
	if err != nil {
		return nil, err
	}
	wrap, err := aead.New(master)
	if err != nil {
		return nil, wrapped(err, "the master keyset cannot be used")
	}
	return &Keysets{
		master: master, hash: hash, wrap: wrap, name: name,
		masterPrint: fingerprint("master", master.KeysetInfo().GetKeyInfo()[0].GetKeyId(), first),
		hashPrint:   fingerprint("hash", hash.KeysetInfo().GetPrimaryKeyId(), name),
	}, nil
}

// masterKey checks that every key of the master keyset is AES-256-GCM, and returns the first one.
func masterKey(h *keyset.Handle) ([]byte, error) {
	var first []byte
	for i := range h.Len() {
		entry, err := h.Entry(i)
		if err != nil {
			return nil, wrapped(err, "the master keyset cannot be read")
		}
		k, ok := entry.Key().(*aesgcm.Key)
		if !ok || k.KeyBytes().Len() != keyBytes {
			return nil, errs.New(errs.FailedPrecondition, "KEYSET_UNFIT", "the master keyset holds a key that is not AES-256-GCM")
		}
		if first == nil {
			first = k.KeyBytes().Data(insecuresecretdataaccess.Token{})
		}
	}
	return first, nil
}

// hashKey returns the one key of an HMAC-SHA-256 PRF keyset.
func hashKey(h *keyset.Handle, what string) ([]byte, error) {
	unfit := errs.New(errs.FailedPrecondition, "KEYSET_UNFIT", what+" must hold exactly one HMAC-SHA-256 PRF key of 32 bytes")
	if h.Len() != 1 {
		return nil, unfit
	}
	entry, err := h.Primary()
	if err != nil {
		return nil, wrapped(err, what+" cannot be read")
	}
	k, ok := entry.Key().(*hmacprf.Key)
	if !ok || k.KeyBytes().Len() != keyBytes {
		return nil, unfit
	}
	if p, ok := k.Parameters().(*hmacprf.Parameters); !ok || p.HashType() != hmacprf.SHA256 {
		return nil, unfit
	}
	return k.KeyBytes().Data(insecuresecretdataaccess.Token{}), nil
}

// fingerprint names a key: its Tink key id and 8 bytes of a MAC made with it over a fixed text.
func fingerprint(kind string, id uint32, key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("postern keyset fingerprint 1 " + kind))
	return fmt.Sprintf("%08x-%s", id, hex.EncodeToString(mac.Sum(nil)[:8]))
}

// parse reads a cleartext keyset in Tink's JSON or binary form.
func parse(b []byte, what string) (*keyset.Handle, error) {
	var r keyset.Reader = keyset.NewBinaryReader(bytes.NewReader(b))
	if strings.HasPrefix(strings.TrimLeft(string(b), " \t\r\n"), "{") {
		r = keyset.NewJSONReader(bytes.NewReader(b))
	}
	h, err := insecurecleartextkeyset.Read(r)
	if err != nil {
		// The cause may quote what it read, so it is not kept.
		return nil, errs.New(errs.FailedPrecondition, "KEYSET_UNREADABLE", what+" is no cleartext Tink keyset in JSON or binary form")
	}
	return h, nil
}

// format writes a cleartext keyset in Tink's JSON form.
func format(h *keyset.Handle) ([]byte, error) {
	var out bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&out)); err != nil {
		return nil, wrapped(err, "a keyset cannot be written")
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func wrapped(cause error, public string) error {
	return errs.Wrap(cause, errs.Internal, "KEYSET_FAILED", public)
}
