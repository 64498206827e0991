package idp

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/policy"
)

func (c *Client) testOIDC(ctx context.Context, organizationUID string, conn *policy.Connection, f *findings) {
	f.addresses("redirect addresses", conn.OIDC.RedirectURIs)
	usable := c.testSecret(ctx, organizationUID, conn, f)
	p := c.testDiscovery(ctx, conn, f)
	if p == nil {
		return
	}
	if presetOf(conn).plainOAuth {
		c.testUserAPI(ctx, p, f)
	} else {
		c.testKeys(ctx, p, f)
	}
	if usable {
		c.testTokens(ctx, organizationUID, conn, p, f)
	}
}

// testSecret reports whether the client could prove itself.
func (c *Client) testSecret(ctx context.Context, organizationUID string, conn *policy.Connection, f *findings) bool {
	const what, fix = "secret", "set it: postern connection secret"
	if conn.OIDC.ClientAuth == policy.ClientAuthNone {
		f.ok(what, "the client proves itself by PKCE alone")
		return true
	}
	plain, err := c.open(ctx, organizationUID, conn)
	defer clear(plain)
	switch {
	case errors.Is(err, errNoSecret):
		f.fail(what, fix, "the connection has none")
		return false
	case err != nil:
		f.fail(what, "set it again", "it cannot be opened")
		return false
	case conn.OIDC.ClientAuth != policy.PrivateKeyJWT:
		f.ok(what, "there is one")
		return true
	}
	_, alg, err := privateKey(plain)
	if err != nil {
		f.fail(what, "set a private key in PEM", "%v", err)
		return false
	}
	if presetOf(conn).teamSecret && (alg != jose.ES256 || conn.OIDC.Tenant == "" || conn.OIDC.KeyID == "") {
		f.fail(what, "set the key as Apple gave it (P-256), its id as key_id and the team id as tenant", "the team's key, its id or the team is missing")
		return false
	}
	f.ok(what, "a private key that signs with %s", alg)
	return true
}

// testDiscovery says where the provider is, nil when that cannot be told.
func (c *Client) testDiscovery(ctx context.Context, conn *policy.Connection, f *findings) *provider {
	o := conn.OIDC
	p, needed := stated(conn)
	if needed {
		d, _, err := c.fetchDiscovery(ctx, o.Issuer)
		if err != nil {
			f.failWith("discovery", err)
			return nil
		}
		f.ok("discovery", "the provider calls itself %s", d.Issuer)
		f.clock(d.date, c.now())
		p.fill(d)
	}
	if len(p.algorithms) == 0 {
		f.failWith("algorithms", errAlgorithms())
		return nil
	}
	if err := c.checkEndpoints(p, presetOf(conn).plainOAuth); err != nil {
		f.failWith("endpoints", err)
		return nil
	}
	f.ok("endpoints", "all are https, or allowed")
	if !presetOf(conn).plainOAuth {
		f.ok("algorithms", "%s", strings.Join(p.algorithms, ", "))
	}
	if p.challenges != nil && !slices.Contains(p.challenges, "S256") {
		f.warn("PKCE", "ask whoever runs the provider for S256", "the provider does not say that it checks S256; it is sent all the same")
	}
	way := o.ClientAuth
	if way == "" {
		way = policy.ClientSecretBasic
	}
	if p.clientAuths != nil && !presetOf(conn).teamSecret && !slices.Contains(p.clientAuths, way) {
		f.warn("client_auth", "write one the provider takes: "+strings.Join(p.clientAuths, ", "), "the provider does not say that it takes %s", way)
	}
	return p
}

func (c *Client) testKeys(ctx context.Context, p *provider, f *findings) {
	const what = "keys"
	a, err := c.get(ctx, what, p.jwks, "", oidc.MaxKeySet)
	if err != nil {
		f.failWith(what, err)
		return
	}
	if !p.discovered {
		f.clock(a.date, c.now())
	}
	set, err := oidc.ParseKeys(a.body)
	if err != nil {
		f.fail(what, "point jwks_uri at the provider's key set", "the answer is not a key set: %v", err)
		return
	}
	all, err := set.Keys(ctx, "")
	if err != nil {
		f.failWith(what, err)
		return
	}
	good := 0
	for i := range all {
		if slices.ContainsFunc(p.algorithms, func(alg string) bool { return checks(&all[i], alg) }) {
			good++
		}
	}
	if good == 0 {
		f.fail(what, "allow what the provider's keys are for, or ask it for RSA keys of 2048 bits or more",
			"none of %d keys can check a signature of %s", len(all), strings.Join(p.algorithms, ", "))
		return
	}
	f.ok(what, "%d of %d can be used", good, len(all))
}

// checks reports whether a key can check signatures of an algorithm.
func checks(k *jose.JSONWebKey, alg string) bool {
	if k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= minRSABits && (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS"))
	case *ecdsa.PublicKey:
		return map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[alg] == key.Params().BitSize
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// testUserAPI looks whether the user API answers; without a token it must say no.
func (c *Client) testUserAPI(ctx context.Context, p *provider, f *findings) {
	const what = "user API"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.userinfo, nil)
	if err != nil {
		f.fail(what, "write a URL", "it is not a URL")
		return
	}
	a, err := c.do(ctx, req, maxDocument)
	switch {
	case err != nil:
		f.failWith(what, troubled(what, err))
	case a.status != http.StatusUnauthorized && a.status != http.StatusForbidden:
		f.warn(what, "check userinfo_endpoint", "it answers HTTP status %d to somebody without a token", a.status)
	default:
		f.ok(what, "it answers, and wants a token")
		f.clock(a.date, c.now())
	}
}

// testTokens sends a code that nobody was given. A provider that knows the client says that the code is wrong; one that does not
// says so of the client first.
func (c *Client) testTokens(ctx context.Context, organizationUID string, conn *policy.Connection, p *provider, f *findings) {
	const what = "token endpoint"
	made := make([]byte, 32)
	if _, err := io.ReadFull(c.rand, made); err != nil {
		f.fail(what, "see the log of the sidecar", "the test itself failed")
		return
	}
	text := base64.RawURLEncoding.EncodeToString(made)
	t, err := c.ask(ctx, organizationUID, conn, p, authflow.Code{Code: "test-" + text, Verifier: text})
	switch {
	case err != nil:
		f.failWith(what, err)
	case !t.IDToken.IsZero() || !t.AccessToken.IsZero():
		f.fail(what, "do not use this provider: anybody could sign in as somebody", "it takes a code that nobody was given")
	case slices.Contains([]string{"invalid_grant", "bad_verification_code", "invalid_code"}, t.Error):
		f.ok(what, "the provider knows the client, and says no to a made-up code")
	case slices.Contains([]string{"invalid_client", "unauthorized_client", "incorrect_client_credentials", "invalid_client_id", "bad_client_secret"}, t.Error),
		t.words == "" && t.status == http.StatusUnauthorized:
		f.fail(what, "check client_id and client_auth, and set the secret again: it may have been replaced or have expired at the provider",
			"the provider does not take the client's id and secret: %s", t.outcome())
	case t.Error == "redirect_uri_mismatch":
		f.fail(what, "register the redirect addresses at the provider exactly as they stand here", "%s", t.outcome())
	default:
		f.warn(what, "try a sign-in; if it fails, check client_id, client_auth and the secret", "whether the provider knows the client cannot be told: %s", t.outcome())
	}
}

// outcome is what a token endpoint answered, in a few words.
func (t *told) outcome() string {
	if t.words != "" {
		return t.words
	}
	return "HTTP status " + strconv.Itoa(t.status)
}
