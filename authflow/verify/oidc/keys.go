package oidc

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // linked for crypto.SHA384 and SHA512
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Keys is the key set of one issuer.
type Keys interface {
	// Keys returns the keys a token with that kid may be signed with, all of them when kid is "", none when the issuer has none of
	// that name. The keys are shared: nobody changes them. An error is a *federation.Refusal: KEYS_UNAVAILABLE, IDP_UNREACHABLE.
	Keys(ctx context.Context, kid string) ([]jose.JSONWebKey, error)
}

// Refetcher is implemented by Keys that can look for newer ones. Verify asks when no key checks the signature: an issuer may
// have put a new key in the place of an old one, under the same kid.
type Refetcher interface {
	// Refetch is Keys after another look at the issuer, if one is due; it is not when the last was a short time ago.
	Refetch(ctx context.Context, kid string) ([]jose.JSONWebKey, error)
}

// Bounds of a key set.
const (
	MaxKeySet  = 512 << 10 // bytes
	maxKeys    = 100
	minRSABits = 2048
	maxRSABits = 8192
)

// StaticKeys is a key set that does not change.
type StaticKeys struct {
	keys        []jose.JSONWebKey
	fingerprint string
}

// jwk is what is read of a key: no certificates and no links, which would be parsed for nothing.
type jwk struct {
	Kty    string   `json:"kty,omitempty"`
	Use    string   `json:"use,omitempty"`
	KeyOps []string `json:"key_ops,omitempty"`
	Kid    string   `json:"kid,omitempty"`
	Alg    string   `json:"alg,omitempty"`
	Crv    string   `json:"crv,omitempty"`
	N      string   `json:"n,omitempty"`
	E      string   `json:"e,omitempty"`
	X      string   `json:"x,omitempty"`
	Y      string   `json:"y,omitempty"`
	D      string   `json:"d,omitempty"`
}

// ParseKeys reads a JSON Web Key Set. Keys that can never check a token are left out, as RFC 7517 wants: of kinds not known
// here, incomplete, symmetric, private, or with key_ops that do not say verify. An error means that it is no key set at all.
func ParseKeys(jwks []byte) (*StaticKeys, error) {
	if len(jwks) > MaxKeySet {
		return nil, fmt.Errorf("a key set of more than %d bytes", MaxKeySet)
	}
	members, err := object(jwks)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	i := slices.IndexFunc(members, func(m member) bool { return m.name == "keys" })
	if i < 0 {
		return nil, errors.New(`key set: no member "keys"`)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(members[i].value, &list); err != nil || list == nil {
		return nil, errors.New(`key set: "keys" is no array`)
	}
	if len(list) > maxKeys {
		return nil, fmt.Errorf("key set: %d keys, more than %d", len(list), maxKeys)
	}
	s := new(StaticKeys)
	for _, raw := range list {
		if key, ok := parseKey(raw); ok {
			s.keys = append(s.keys, key)
		}
	}
	s.fingerprint, err = fingerprint(s.keys)
	return s, err
}

func parseKey(raw []byte) (jose.JSONWebKey, bool) {
	var k jwk
	if json.Unmarshal(raw, &k) != nil || k.D != "" {
		return jose.JSONWebKey{}, false
	}
	if k.KeyOps != nil && !slices.Contains(k.KeyOps, "verify") {
		return jose.JSONWebKey{}, false
	}
	clean, err := json.Marshal(k)
	if err != nil {
		return jose.JSONWebKey{}, false
	}
	var key jose.JSONWebKey
	if key.UnmarshalJSON(clean) != nil || !key.IsPublic() || !key.Valid() {
		return jose.JSONWebKey{}, false
	}
	return key, true
}

// Keys implements Keys.
func (s *StaticKeys) Keys(_ context.Context, kid string) ([]jose.JSONWebKey, error) {
	return s.named(kid), nil
}

// Fingerprint is the same for the same keys in any order, whatever their names; "" for none.
func (s *StaticKeys) Fingerprint() string { return s.fingerprint }

func (s *StaticKeys) named(kid string) []jose.JSONWebKey {
	if kid == "" {
		return s.keys
	}
	var named []jose.JSONWebKey
	for _, k := range s.keys {
		if k.KeyID == kid {
			named = append(named, k)
		}
	}
	return named
}

func fingerprint(keys []jose.JSONWebKey) (string, error) {
	var prints [][]byte
	for _, k := range keys {
		p, err := k.Thumbprint(crypto.SHA256)
		if err != nil {
			return "", fmt.Errorf("key set: %w", err)
		}
		prints = append(prints, p)
	}
	if len(prints) == 0 {
		return "", nil
	}
	slices.SortFunc(prints, bytes.Compare)
	sum := sha256.Sum256(bytes.Join(slices.CompactFunc(prints, bytes.Equal), nil))
	return hex.EncodeToString(sum[:]), nil
}

// algorithm is what a signature algorithm wants: the kind of key, for EC its curve, and the hash.
type algorithm struct {
	kind  string
	curve string
	hash  crypto.Hash
}

// algorithms are all that can be allowed.
var algorithms = map[string]algorithm{
	"RS256": {"RSA", "", crypto.SHA256}, "RS384": {"RSA", "", crypto.SHA384}, "RS512": {"RSA", "", crypto.SHA512},
	"PS256": {"RSA", "", crypto.SHA256}, "PS384": {"RSA", "", crypto.SHA384}, "PS512": {"RSA", "", crypto.SHA512},
	"ES256": {"EC", "P-256", crypto.SHA256}, "ES384": {"EC", "P-384", crypto.SHA384}, "ES512": {"EC", "P-521", crypto.SHA512},
	"EdDSA": {"OKP", "", crypto.SHA512},
}

// unfit says why a key must not check a signature of alg; "" when it may.
func unfit(k *jose.JSONWebKey, alg string) string {
	if k.Use != "" && k.Use != "sig" {
		return "is not for signatures"
	}
	if k.Algorithm != "" && k.Algorithm != alg {
		return "is for another algorithm"
	}
	want, kind, curve := algorithms[alg], "", ""
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Sprintf("has %d bits", bits)
		}
		kind = "RSA"
	case *ecdsa.PublicKey:
		kind, curve = "EC", key.Params().Name
	case ed25519.PublicKey:
		kind = "OKP"
	}
	if kind != want.kind || curve != want.curve {
		return "is of another kind"
	}
	return ""
}

// signs says whether the signature of jws, which is of alg, is key's.
func signs(jws *jose.JSONWebSignature, c *compact, k *jose.JSONWebKey) bool {
	if key, ok := k.Key.(*rsa.PublicKey); ok && strings.HasPrefix(c.alg, "PS") {
		// go-jose takes a salt of any length; RFC 7518 wants that of the hash. What passes here passes there.
		h := algorithms[c.alg].hash
		digest := h.New()
		digest.Write(c.signed)
		return rsa.VerifyPSS(key, h, digest.Sum(nil), c.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	}
	_, err := jws.Verify(k.Key)
	return err == nil
}
