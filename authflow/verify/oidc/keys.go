package oidc

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

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
	D      string   `json:"d,omitempty"` // a private key, which is left out
}

// jwkNames are the members of jwk.
var jwkNames = []string{"kty", "use", "key_ops", "kid", "alg", "crv", "n", "e", "x", "y", "d"}

// ParseKeys reads a JSON Web Key Set. Keys that can never check a token are left out, as RFC 7517 wants: of kinds not known
// here, incomplete, symmetric, private, ambiguous, or with key_ops that do not say verify. An error means that it is no key set at all.
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
	members, err := object(raw)
	if err != nil {
		return jose.JSONWebKey{}, false
	}
	if _, found := folded(members, jwkNames); found {
		return jose.JSONWebKey{}, false
	}
	var k jwk
	if json.Unmarshal(raw, &k) != nil {
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
