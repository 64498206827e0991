package idptest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	tokenLife  = 5 * time.Minute
	longAgo    = 2 * time.Hour
	staleAfter = 15 * time.Minute
	ahead      = 10 * time.Minute
)

const somebodyElse = "somebody-else"

// IDToken mints an ID token for the first client and the person, without nonce unless overrides have one. Switches apply first,
// overrides win. A nil value takes a member out.
func (o *OIDC) IDToken(overrides Claims) string {
	o.t.Helper()
	return o.idToken(o.client, o.Person(), "", "", overrides)
}

func (o *OIDC) idToken(c Client, p Person, nonce, accessToken string, overrides Claims) string {
	o.t.Helper()
	claims := o.baseClaims(c, p, nonce, accessToken)
	o.mu.Lock()
	maps.Copy(claims, o.claims)
	o.mu.Unlock()
	o.spoil(claims, c)
	maps.Copy(claims, overrides)
	for name, value := range claims {
		if value == nil {
			delete(claims, name)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		o.t.Fatalf("idptest: claims: %v", err)
	}
	if o.is(DuplicateMember) {
		payload = append([]byte(`{"iss":"https://other.example",`), payload[1:]...)
	}
	return o.sign(payload)
}

func (o *OIDC) baseClaims(c Client, p Person, nonce, accessToken string) Claims {
	now := o.now()
	claims := Claims{
		"iss": o.Issuer(), "sub": p.Subject, "aud": c.ID, "iat": now.Unix(), "exp": now.Add(tokenLife).Unix(), "auth_time": now.Unix(),
		"jti": rand.Text(), "name": p.Name, "email": p.Email, "email_verified": p.EmailVerified,
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if accessToken != "" {
		claims["at_hash"] = leftHalf(o.current().algorithm, accessToken)
	}
	return claims
}

// leftHalf is at_hash: the first half of the hash that goes with an algorithm.
func leftHalf(algorithm, s string) string {
	sum := sha256.Sum256([]byte(s))
	half := sum[:16]
	switch algorithm {
	case "ES384", "RS384", "PS384":
		long := sha512.Sum384([]byte(s))
		half = long[:24]
	case "EdDSA", "RS512", "PS512", "ES512":
		long := sha512.Sum512([]byte(s))
		half = long[:32]
	}
	return base64.RawURLEncoding.EncodeToString(half)
}

// spoil lets the switches in force change the claims.
func (o *OIDC) spoil(claims Claims, c Client) {
	now := o.now()
	for fault, change := range map[Fault]Claims{
		WrongIssuer:        {"iss": "https://other.example"},
		WrongAudience:      {"aud": somebodyElse},
		ExtraAudience:      {"aud": []string{c.ID, somebodyElse}},
		NoAudience:         {"aud": nil},
		WrongNonce:         {"nonce": somebodyElse},
		NoNonce:            {"nonce": nil},
		WrongAZP:           {"azp": somebodyElse},
		Expired:            {"iat": now.Add(-longAgo).Unix(), "exp": now.Add(tokenLife - longAgo).Unix()},
		Stale:              {"iat": now.Add(-staleAfter).Unix()},
		IssuedInFuture:     {"iat": now.Add(ahead).Unix(), "exp": now.Add(ahead + tokenLife).Unix()},
		NotYetValid:        {"nbf": now.Add(ahead).Unix(), "exp": now.Add(ahead + tokenLife).Unix()},
		NoExpiry:           {"exp": nil},
		NoSubject:          {"sub": nil},
		NoEmail:            {"email": nil, "email_verified": nil},
		EmailUnverified:    {"email_verified": false},
		EmailVerifiedText:  {"email_verified": "true"},
		WrongAccessHash:    {"at_hash": leftHalf("RS256", somebodyElse)},
		OldAuthTime:        {"auth_time": now.AddDate(0, 0, -1).Unix()},
		LogoutToken:        {"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}}},
		OtherPersonsTokens: {"sub": somebodyElse, "nonce": somebodyElse},
	} {
		if o.is(fault) {
			maps.Copy(claims, change)
		}
	}
}

// sign makes a compact token of a payload, as the switches say.
func (o *OIDC) sign(payload []byte) string {
	o.t.Helper()
	k := o.current()
	key := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.algorithm), Key: k.key}
	typ, kid := jose.ContentType("JWT"), k.id
	if o.is(OtherType) {
		typ = "at+jwt"
	}
	switch {
	case o.is(Unsigned):
		header := fmt.Sprintf(`{"alg":"none","typ":%q}`, typ)
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
	case o.is(HS256):
		der, err := x509.MarshalPKIXPublicKey(k.key.Public())
		if err != nil {
			o.t.Fatal(err)
		}
		key = jose.SigningKey{Algorithm: jose.HS256, Key: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}
	case o.is(OtherKey):
		key.Key = o.stranger(k.algorithm)
	case o.is(UnknownKid):
		key.Key, kid = o.stranger(k.algorithm), "key-unknown"
	}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType(typ).WithHeader("kid", kid))
	if err != nil {
		o.t.Fatalf("idptest: %v", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		o.t.Fatalf("idptest: %v", err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		o.t.Fatalf("idptest: %v", err)
	}
	if o.is(BrokenSignature) {
		token = broken(token)
	}
	o.saw(token)
	return token
}

// broken changes the signature of a compact token.
func broken(token string) string {
	dot := strings.LastIndexByte(token, '.')
	first := "A"
	if strings.HasPrefix(token[dot+1:], first) {
		first = "B"
	}
	return token[:dot+1] + first + token[dot+2:]
}
