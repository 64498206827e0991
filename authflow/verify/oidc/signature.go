package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha512" // linked for crypto.SHA384 and SHA512
	"fmt"
	"math/big"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

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

// signs says whether the token's signature is of key k, which is not unfit for its algorithm. It takes less than go-jose: the salt
// of PS… has the length of the hash, as RFC 7518 wants.
func signs(c *compact, k *jose.JSONWebKey) bool {
	if key, ok := k.Key.(ed25519.PublicKey); ok {
		return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, c.signed, c.signature)
	}
	h := algorithms[c.alg].hash
	hasher := h.New()
	hasher.Write(c.signed)
	digest := hasher.Sum(nil)
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		if strings.HasPrefix(c.alg, "PS") {
			return rsa.VerifyPSS(key, h, digest, c.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(key, h, digest, c.signature) == nil
	case *ecdsa.PublicKey:
		size := (key.Params().BitSize + 7) / 8
		if len(c.signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(c.signature[:size]), new(big.Int).SetBytes(c.signature[size:])
		return ecdsa.Verify(key, digest, r, s)
	}
	return false
}
