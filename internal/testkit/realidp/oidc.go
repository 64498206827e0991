package realidp

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/postern-audit/postern/internal/testkit/browser"
)

// Client is the relying party an OpenID provider knows.
type Client struct {
	ID          string
	Secret      string
	RedirectURI string
	// Algorithm signs its ID tokens: RS256 when empty, else PS256, ES256 or EdDSA. Dex knows RS256 alone.
	Algorithm string
	// Auth is how it proves itself at the token endpoint: client_secret_basic when empty, else client_secret_post,
	// private_key_jwt or none. Dex takes either of the first two and none of the others.
	Auth string
	// Keys is the JWK Set of private_key_jwt.
	Keys json.RawMessage
}

// OIDC is an OpenID provider that runs.
type OIDC struct {
	Issuer string
	Client Client
	User   User

	process *process
}

// SignIn opens an authorization URL, signs the provider's user in, agrees to what is asked, and returns the callback.
func (o *OIDC) SignIn(ctx context.Context, authorizeURL string) (browser.Callback, error) {
	return o.visit(ctx, authorizeURL, false)
}

// Cancel opens an authorization URL and cancels on the login page. Dex has no way to.
func (o *OIDC) Cancel(ctx context.Context, authorizeURL string) (browser.Callback, error) {
	return o.visit(ctx, authorizeURL, true)
}

func (o *OIDC) visit(ctx context.Context, authorizeURL string, cancels bool) (browser.Callback, error) {
	b, err := person(o.User, o.Client.RedirectURI)
	if err != nil {
		return browser.Callback{}, err
	}
	b.Cancels = cancels
	return signIn(ctx, func(ctx context.Context) (browser.Callback, error) { return b.Open(ctx, authorizeURL) })
}

// Login is SignIn for a test.
func (o *OIDC) Login(t testing.TB, authorizeURL string) browser.Callback {
	t.Helper()
	c, err := o.SignIn(t.Context(), authorizeURL)
	if err != nil {
		t.Fatalf("sign in at %s: %v", o.Issuer, err)
	}
	return c
}

// Log is what the provider has printed so far, for messages of failed tests.
func (o *OIDC) Log() string { return o.process.out.String() }

// Stop ends the provider. It may be called twice.
func (o *OIDC) Stop() error { return o.process.stop() }

// Dex starts a Dex for one test.
func Dex(t testing.TB, c Client) *OIDC {
	t.Helper()
	return oidcFor(t, c, StartDex)
}

// OIDCProvider starts an oidc-provider for one test.
func OIDCProvider(t testing.TB, c Client) *OIDC {
	t.Helper()
	return oidcFor(t, c, StartOIDCProvider)
}

func oidcFor(t testing.TB, c Client, start func(string, Client) (*OIDC, error)) *OIDC {
	t.Helper()
	o, err := start(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, o)
	return o
}

// StartOIDCProvider runs npm oidc-provider, with its settings in dir. It knows the subject by what is typed: the user's e-mail.
func StartOIDCProvider(dir string, c Client) (*OIDC, error) {
	user := newUser()
	client := map[string]any{
		"client_id": c.ID, "redirect_uris": []string{c.RedirectURI}, "response_types": []string{"code"},
		"grant_types": []string{"authorization_code"}, "id_token_signed_response_alg": or(c.Algorithm, "RS256"),
		"token_endpoint_auth_method": or(c.Auth, "client_secret_basic"),
	}
	if c.Secret != "" {
		client["client_secret"] = c.Secret
	}
	if c.Keys != nil {
		client["jwks"] = c.Keys
	}
	p, base, err := startNode(dir, "oidc-provider.mjs", map[string]any{
		"client": client, "cookieKey": newUser().Password,
		"user": map[string]string{"email": user.Email, "name": user.Name},
	})
	if err != nil {
		return nil, fmt.Errorf("oidc-provider: %w", err)
	}
	return &OIDC{Issuer: base, Client: c, User: user, process: p}, nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
