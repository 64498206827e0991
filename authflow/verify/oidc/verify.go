package oidc

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/policy"
)

// Verify checks one ID token. An error is always a *federation.Refusal; its reason is that of the first check that fails, in
// this order:
//
//	MALFORMED               not a compact token of at most MaxToken bytes with a plain header
//	ALGORITHM_NOT_ALLOWED   signed with something else than expected
//	KEYS_UNAVAILABLE        the issuer's keys cannot be had; IDP_UNREACHABLE when it does not answer
//	SIGNATURE_INVALID       signed with no key of the issuer that may sign
//	MALFORMED               the claims are no strict JSON object or not of their types, or it is another kind of token
//	ISSUER_MISMATCH         of another issuer or tenant
//	AUDIENCE_MISMATCH       for another client, for others too, or asked for by another
//	EXPIRED, NOT_YET_VALID  exp, iat, nbf; MALFORMED when exp or iat is not there or they lie more than MaxLifetime apart
//	NONCE_MISMATCH          not the nonce that was sent, or none
//	SIGNATURE_INVALID       not of the access token or code it came with; MALFORMED without at_hash
//	MALFORMED               no sub an account can be known by
//	ASSURANCE_TOO_LOW       the person last proved something too long ago, or nobody says when
//	VERIFIER_ERROR          a defect: of the caller, here, or in a library. Never accepted.
//
// Before the signature is checked only the form and the header are looked at. Clocks may differ by the skew in every comparison
// but that of iat with MaxTokenAge.
func Verify(ctx context.Context, token []byte, e Expect, keys Keys, now time.Time) (id federation.Identity, err error) {
	defer func() {
		if r := recover(); r != nil {
			id, err = federation.Identity{}, federation.Refuse(audit.ReasonVerifierError, "the verifier broke")
		}
	}()
	if e, err = e.settled(); err != nil {
		return federation.Identity{}, federation.Refuse(audit.ReasonVerifierError, "expectations: %v", err)
	}
	c, refusal := parse(token, e)
	if refusal != nil {
		return federation.Identity{}, refusal
	}
	v := &verification{judge: judge{Expect: e, now: now, token: c, done: make([]string, 0, 16)}, keys: keys}
	v.checked("compact_form")
	v.checked("algorithm")
	if refusal := v.library(ctx); refusal != nil {
		return federation.Identity{}, refusal
	}
	return v.identity(), nil
}

// verification is one run of Verify. It is the key set of go-oidc's verifier, which asks it for the signature in the middle of
// its own work: everything else is checked there, so that the library reads no claim that was not checked before.
type verification struct {
	judge
	keys    Keys
	refusal *federation.Refusal
}

// library runs go-oidc's verifier, which must agree. Its clock is set back by the skew, since it gives exp no leeway; the five
// minutes it gives nbf are more than twice the skew.
func (v *verification) library(ctx context.Context) *federation.Refusal {
	verifier := gooidc.NewVerifier(v.Issuer, v, &gooidc.Config{
		ClientID:             v.ClientID,
		SupportedSigningAlgs: []string{v.token.alg},
		Now:                  func() time.Time { return v.now.Add(-v.Skew) },
	})
	accepted, err := verifier.Verify(ctx, string(v.token.raw))
	switch {
	case v.refusal != nil:
		return v.refusal
	case err != nil:
		return malformed("%v", err)
	case v.claims == nil:
		return federation.Refuse(audit.ReasonVerifierError, "accepted without a look at the signature")
	case v.AccessToken != "" && accepted.VerifyAccessToken(v.AccessToken) != nil:
		return federation.Refuse(audit.ReasonVerifierError, "at_hash is judged in two ways")
	}
	return nil
}

// errRefused ends the library's work; why is in verification.refusal.
var errRefused = errors.New("refused")

// VerifySignature implements the library's KeySet: the signature first, then what the claims say. The token the library hands in
// is the one that was taken apart before.
func (v *verification) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	if jwt != string(v.token.raw) {
		v.refusal = federation.Refuse(audit.ReasonVerifierError, "the library reads another token")
		return nil, errRefused
	}
	if v.refusal = v.signature(ctx); v.refusal != nil {
		return nil, errRefused
	}
	v.checked("signature")
	if v.claims, v.refusal = body(v.token.payload); v.refusal != nil {
		return nil, errRefused
	}
	if v.refusal = v.verdict(); v.refusal != nil {
		return nil, errRefused
	}
	return v.token.payload, nil
}

// signature tries the issuer's keys, and once more those it has put up since.
func (v *verification) signature(ctx context.Context) *federation.Refusal {
	keys, err := v.keys.Keys(ctx, v.token.kid)
	if err != nil {
		return unavailable(err)
	}
	why, ok := v.try(keys)
	if ok {
		return nil
	}
	if again, can := v.keys.(Refetcher); can && len(keys) > 0 {
		newer, err := again.Refetch(ctx, v.token.kid)
		if err != nil {
			return unavailable(err)
		}
		newer = slices.DeleteFunc(slices.Clone(newer), func(k jose.JSONWebKey) bool {
			return slices.ContainsFunc(keys, func(old jose.JSONWebKey) bool { return same(k, old) })
		})
		if _, ok := v.try(newer); ok {
			return nil
		}
	}
	return federation.Refuse(audit.ReasonSignatureInvalid, "%s", why)
}

// maxTries is how many keys are tried on one token; more fit only when it names none and the issuer has very many.
const maxTries = 32

// try looks for a key that checks the signature, or says why there is none.
func (v *verification) try(keys []jose.JSONWebKey) (why string, ok bool) {
	why = fmt.Sprintf("the issuer has no key %q", v.token.kid)
	tried := 0
	for i := range keys {
		if tried == maxTries {
			break
		}
		k := &keys[i]
		if flaw := unfit(k, v.token.alg); flaw != "" {
			if tried == 0 {
				why = fmt.Sprintf("key %q %s, for %s", k.KeyID, flaw, v.token.alg)
			}
			continue
		}
		if signs(v.token, k) {
			return "", true
		}
		tried++
		why = fmt.Sprintf("the signature is not of key %q", v.token.kid)
		if v.token.kid == "" {
			why = "the signature is of no key of the issuer"
		}
	}
	return why, false
}

// same says whether two keys are one key for one use.
func same(a, b jose.JSONWebKey) bool {
	key, ok := a.Key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b.Key) && a.Use == b.Use && a.Algorithm == b.Algorithm
}

// unavailable is the refusal Keys answered with.
func unavailable(err error) *federation.Refusal {
	var refusal *federation.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return federation.Refuse(audit.ReasonKeysUnavailable, "the issuer's keys cannot be had")
}

// Bounds of what is kept of the words of others.
const (
	maxName    = 256
	maxACR     = 256
	maxAMR     = 16
	maxOneAMR  = 64
	maxAddress = 254
)

// identity is what the checked claims come to. Its uses are kept as long as the token would do with any skew.
func (v *verification) identity() federation.Identity {
	c := v.claims
	id := federation.Identity{
		Issuer: *c.iss, ID: *c.sub, Tenant: federation.Text(c.tenant(), maxName), Name: federation.Text(c.name, maxName),
		ACR: whole(c.acr, maxACR), AMR: methods(c.amr), Issued: *c.iat, Until: c.exp.Add(MaxSkew), Uses: v.uses(), Checks: v.done,
	}
	if c.authTime != nil && c.authTime.Unix() != 0 {
		id.AuthTime = *c.authTime
	}
	if _, err := policy.ParseAddress(c.email); err == nil && len(c.email) <= maxAddress {
		id.Email, id.EmailVerified = c.email, c.emailVerified
	}
	return id
}

// whole is s as kept, or nothing: half of a value that policies compare would be another value.
func whole(s string, limit int) string {
	if len(s) > limit {
		return ""
	}
	return federation.Text(s, limit)
}

func methods(amr []string) []string {
	var kept []string
	for _, m := range amr {
		if m = whole(m, maxOneAMR); m != "" && len(kept) < maxAMR {
			kept = append(kept, m)
		}
	}
	return kept
}

// uses names the token by what is signed, not by its text: an ECDSA signature can be changed into another good one. A jti counts
// as well, for providers that sign one token twice.
func (v *verification) uses() []federation.Use {
	uses := []federation.Use{use("token", *v.claims.iss, v.token.signed)}
	if jti := value(v.claims.jti); jti != "" {
		uses = append(uses, use("jti", *v.claims.iss, []byte(jti)))
	}
	return uses
}

func use(kind, issuer string, what []byte) federation.Use {
	h := sha256.New()
	for _, part := range [][]byte{[]byte("oidc"), []byte(kind), []byte(issuer), what} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return federation.Use(h.Sum(nil))
}
