package oidctest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/authflow/verify/oidc"
)

// secretKeys are an issuer's keys by name; "small" and "enc" are those no token may be signed with. They are made once.
var secretKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	for name, bits := range map[string]int{"rsa": 2048, "rsa2": 2048, "enc": 2048, "ops": 2048, "ps": 2048, "forger": 2048, "small": 1024} {
		keys[name] = must(rsa.GenerateKey(rand.Reader, bits))
	}
	keys["ec"] = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	keys["ec384"] = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	keys["ed"] = must(ed, err)
	return keys
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// M is some members of a JSON object.
type M = map[string]any

// published are members of the published keys beside the key itself.
var published = map[string]M{
	"rsa": {}, "rsa2": {"use": "sig"}, "ps": {"alg": "PS256"}, "enc": {"use": "enc"}, "ops": {"key_ops": []string{"wrapKey"}}, "small": {},
	"ec": {"use": "sig", "alg": "ES256", "key_ops": []string{"verify"}}, "ec384": {}, "ed": {},
}

// JWKS is the set the issuer publishes: the named keys, their kids equal to their names; all of them when none is named.
func JWKS(names ...string) []byte {
	if len(names) == 0 {
		names = []string{"rsa", "rsa2", "ps", "enc", "ops", "small", "ec", "ec384", "ed"}
	}
	set := M{}
	var list []any
	for _, name := range names {
		list = append(list, publicJWK(name, name))
	}
	set["keys"] = list
	return must(json.Marshal(set))
}

// Public is a public key of the issuer by its name.
func Public(name string) crypto.PublicKey { return secretKeys()[name].Public() }

// NewKey is an EC key the issuer has no private part of, as a member of a key set.
func NewKey(kid string) []byte {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return must(json.Marshal(jose.JSONWebKey{Key: key.Public(), KeyID: kid}))
}

func publicJWK(name, kid string) M {
	k := M{}
	text := must(json.Marshal(jose.JSONWebKey{Key: Public(name), KeyID: kid}))
	if err := json.Unmarshal(text, &k); err != nil {
		panic(err)
	}
	maps.Copy(k, published[name])
	return k
}

// Token is what a test makes a token of: a good one with changes.
type Token struct {
	Header M // values that are nil take the member out
	Claims M
	Key    string // whose private key signs; "" that of kid
	How    string // the algorithm that signs; "" that of the header
	Head   string // instead of the header
	Body   string // instead of the claims
}

func (in Setting) unix(offset time.Duration) int64 { return in.Now.Add(offset).Unix() }

func goodHeader() M {
	return M{"alg": "RS256", "kid": "rsa", "typ": "JWT"}
}

func (in Setting) goodClaims() M {
	return M{
		"iss": in.Issuer, "sub": "248289761001", "aud": in.ClientID, "exp": in.unix(5 * time.Minute), "iat": in.unix(-10 * time.Second),
		"nonce": in.Nonce, "email": "jane@example.com", "email_verified": true, "name": "Jane Doe",
	}
}

var b64 = base64.RawURLEncoding

func encode(b []byte) string { return b64.EncodeToString(b) }

// changed is base with changes; what is nil goes.
func changed(base, changes M) M {
	maps.Copy(base, changes)
	maps.DeleteFunc(base, func(_ string, v any) bool { return v == nil })
	return base
}

// Sign makes the compact form, signed as the header says with any algorithm there is.
func (in Setting) Sign(k Token) string {
	header := changed(goodHeader(), k.Header)
	head := string(must(json.Marshal(header)))
	if k.Head != "" {
		head = k.Head
	}
	body := k.Body
	if body == "" {
		body = string(must(json.Marshal(changed(in.goodClaims(), k.Claims))))
	}
	input := encode([]byte(head)) + "." + encode([]byte(body))
	alg, name := k.How, k.Key
	if alg == "" {
		alg, _ = header["alg"].(string)
	}
	if name == "" {
		name, _ = header["kid"].(string)
	}
	return input + "." + encode(signature(alg, name, input))
}

// signature signs input with whatever key and algorithm, whether they fit a standard or not.
func signature(alg, name, input string) []byte {
	if strings.HasPrefix(alg, "HS") {
		der := must(x509.MarshalPKIXPublicKey(Public("rsa")))
		mac := hmac.New(sha256.New, der)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
	h := crypto.SHA256
	switch {
	case strings.HasSuffix(alg, "384"):
		h = crypto.SHA384
	case strings.HasSuffix(alg, "512"):
		h = crypto.SHA512
	}
	digest := h.New()
	digest.Write([]byte(input))
	sum := digest.Sum(nil)
	switch key := secretKeys()[name].(type) {
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "PS") {
			return must(rsa.SignPSS(rand.Reader, key, h, sum, &rsa.PSSOptions{SaltLength: saltOf(alg, h)}))
		}
		return must(rsa.SignPKCS1v15(rand.Reader, key, h, sum))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, sum)
		size := (must(key.Params().BitSize, err) + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case ed25519.PrivateKey:
		return ed25519.Sign(key, []byte(input))
	}
	panic(fmt.Sprintf("no key %q", name))
}

func saltOf(alg string, h crypto.Hash) int {
	if strings.HasPrefix(alg, "PSX") { // a salt that is not as long as the hash
		return h.Size() - 1
	}
	return rsa.PSSSaltLengthEqualsHash
}

// Half is at_hash and c_hash for algorithms with SHA-256.
func Half(s string) string {
	sum := sha256.Sum256([]byte(s))
	return encode(sum[:16])
}

// Library is what go-oidc alone says, with the keys as they are and its clock set back by the skew.
func Library(token string, e oidc.Expect, set []byte, now time.Time) error {
	var keys struct{ Keys []M }
	if err := json.Unmarshal(set, &keys); err != nil {
		return err
	}
	var all []crypto.PublicKey
	for _, k := range keys.Keys {
		delete(k, "x5c") // what cannot be read of a key makes go-jose refuse it
		delete(k, "x5t")
		var key jose.JSONWebKey
		if key.UnmarshalJSON(must(json.Marshal(k))) == nil {
			all = append(all, key.Public().Key)
		}
	}
	algs := e.Algorithms
	if len(algs) == 0 {
		algs = []string{"RS256", "PS256", "ES256", "EdDSA"}
	}
	skew := e.Skew
	if skew == 0 {
		skew = time.Minute
	}
	verifier := gooidc.NewVerifier(e.Issuer, &gooidc.StaticKeySet{PublicKeys: all}, &gooidc.Config{
		ClientID: e.ClientID, SupportedSigningAlgs: algs, Now: func() time.Time { return now.Add(-skew) },
	})
	_, err := verifier.Verify(context.Background(), token)
	return err
}
