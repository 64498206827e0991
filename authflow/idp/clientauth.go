package idp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/policy"
)

// Secrets opens what a connection proves itself with.
type Secrets interface {
	// Open returns the plaintext, which the caller wipes. It keeps none.
	Open(ctx context.Context, organizationUID, connectionUID string, sealed []byte) ([]byte, error)
}

// How long what is signed here may be used.
const (
	assertionLife = time.Minute
	teamLife      = 5 * time.Minute
	minRSABits    = 2048

	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// What is wrong with a connection's own secret. Neither says anything of it.
var (
	errNoSecret = errors.New("the connection has no secret")
	errKey      = errors.New("the connection's secret is not a private key: RSA of 2048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519, in PEM")
)

// proof is what a token request says about who sends it.
type proof struct {
	form   map[string]secret.String
	header secret.String   // Authorization; empty: none
	hidden []secret.String // what must not come back in an error
}

// prove makes the proof that a connection's client is who it says. Its errors are errNoSecret, errKey and faults of this
// process.
func (c *Client) prove(ctx context.Context, organizationUID string, conn *policy.Connection, p *provider) (proof, error) {
	o := conn.OIDC
	id := secret.NewString(o.ClientID)
	if o.ClientAuth == policy.ClientAuthNone {
		return proof{form: map[string]secret.String{"client_id": id}}, nil
	}
	plain, err := c.open(ctx, organizationUID, conn)
	if err != nil {
		return proof{}, err
	}
	defer clear(plain)
	switch {
	case o.ClientAuth == policy.PrivateKeyJWT && presetOf(conn).teamSecret:
		token, err := sign(plain, o.KeyID, teamClaims(conn, c.now()))
		return proof{form: map[string]secret.String{"client_id": id, "client_secret": token}, hidden: []secret.String{token}}, err
	case o.ClientAuth == policy.PrivateKeyJWT:
		claims, err := c.assertionClaims(o.ClientID, p.token)
		if err != nil {
			return proof{}, err
		}
		token, err := sign(plain, o.KeyID, claims)
		return proof{hidden: []secret.String{token}, form: map[string]secret.String{
			"client_id": id, "client_assertion": token, "client_assertion_type": secret.NewString(assertionType),
		}}, err
	case o.ClientAuth == policy.ClientSecretPost:
		s := secret.NewString(string(plain))
		return proof{form: map[string]secret.String{"client_id": id, "client_secret": s}, hidden: []secret.String{s}}, nil
	default:
		pair := url.QueryEscape(o.ClientID) + ":" + url.QueryEscape(string(plain))
		encoded := base64.StdEncoding.EncodeToString([]byte(pair))
		return proof{header: secret.NewString("Basic " + encoded),
			hidden: []secret.String{secret.NewString(encoded), secret.NewString(string(plain))}}, nil
	}
}

// open returns a connection's secret. The caller wipes it.
func (c *Client) open(ctx context.Context, organizationUID string, conn *policy.Connection) ([]byte, error) {
	sealed := conn.Sealed()
	if len(sealed) == 0 {
		return nil, errNoSecret
	}
	plain, err := c.secrets.Open(ctx, organizationUID, conn.UID, sealed)
	if err != nil {
		return nil, fmt.Errorf("open the secret of connection %s: %w", conn.UID, err)
	}
	return plain, nil
}

// assertionClaims are those of private_key_jwt (RFC 7523).
func (c *Client) assertionClaims(clientID, tokenEndpoint string) (map[string]any, error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(c.rand, id); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	now := c.now()
	return map[string]any{
		"iss": clientID, "sub": clientID, "aud": tokenEndpoint, "jti": base64.RawURLEncoding.EncodeToString(id),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	}, nil
}

// teamClaims are those of a client secret that a team signs with its key.
func teamClaims(conn *policy.Connection, now time.Time) map[string]any {
	return map[string]any{
		"iss": conn.OIDC.Tenant, "sub": conn.OIDC.ClientID, "aud": conn.OIDC.Issuer, "iat": now.Unix(), "exp": now.Add(teamLife).Unix(),
	}
}

// sign makes a compact token of claims with a key in PEM.
func sign(pemBytes []byte, keyID string, claims map[string]any) (secret.String, error) {
	key, alg, err := privateKey(pemBytes)
	if err != nil {
		return secret.String{}, err
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, options)
	if err != nil {
		return secret.String{}, errKey
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return secret.String{}, fmt.Errorf("encode claims: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return secret.String{}, fmt.Errorf("sign: %w", err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return secret.String{}, fmt.Errorf("sign: %w", err)
	}
	return secret.NewString(token), nil
}

// privateKey reads the first private key in PEM, and says what it signs with.
func privateKey(pemBytes []byte) (crypto.Signer, jose.SignatureAlgorithm, error) {
	for rest := pemBytes; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, "", errKey
		}
		key, err := parseKey(block.Bytes)
		clear(block.Bytes)
		if err != nil {
			continue
		}
		alg := algorithmOf(key)
		if alg == "" {
			return nil, "", errKey
		}
		return key, alg, nil
	}
}

func parseKey(der []byte) (crypto.Signer, error) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	return nil, errors.New("no private key")
}

// algorithmOf is what a key signs with; "": nothing.
func algorithmOf(key crypto.Signer) jose.SignatureAlgorithm {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() >= minRSABits {
			return jose.RS256
		}
	case *ecdsa.PrivateKey:
		switch k.Curve.Params().BitSize {
		case 256:
			return jose.ES256
		case 384:
			return jose.ES384
		case 521:
			return jose.ES512
		}
	case ed25519.PrivateKey:
		return jose.EdDSA
	}
	return ""
}
