package idptest

import (
	"crypto"
	"crypto/rand"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/internal/testkit/browser"
)

// Client is a relying party the OpenID provider knows.
type Client struct {
	ID           string
	Secret       string
	RedirectURIs []string
	Auth         string              // client_secret_basic when empty, client_secret_post, private_key_jwt or none; no other is taken
	Keys         *jose.JSONWebKeySet // of private_key_jwt
}

// WithClient replaces the relying party that the provider knows from the start, which is called postern. What is empty is filled in.
func WithClient(client Client) Option { return func(c *config) { c.client = client } }

// Algorithm is what ID tokens are signed with from the start, RS256 otherwise. SignWith changes it later.
func Algorithm(name string) Option { return func(c *config) { c.algorithm = name } }

// Person is who signs in.
type Person struct {
	Subject       string
	Email         string
	EmailVerified bool
	Name          string
	Login         string // at the GitHub-like API
	ID            int64  // the same
}

// Claims are members of an ID token. A nil value takes the member out.
type Claims map[string]any

// OIDC is an OpenID provider, and a provider that speaks OAuth 2.0 as GitHub does.
type OIDC struct {
	*web
	client Client            // known from the start
	short  func() signingKey // made when it is asked for

	// Guarded by web.mu.
	clients   map[string]Client
	person    Person
	claims    Claims
	deny      [2]string // error and description of every authorization; "": none
	algorithm string
	keys      []signingKey // the newest first; all are in the key set
	grants    map[string]*grant
	access    map[string]Person // by access token
	exchanged int
	strangers map[string]crypto.Signer // keys that are in no key set, by algorithm
}

type signingKey struct {
	id        string
	algorithm string
	key       crypto.Signer
}

// NewOIDC starts an OpenID provider that ends with the test.
func NewOIDC(t testing.TB, opts ...Option) *OIDC {
	t.Helper()
	c := settings(opts)
	if c.client.Secret == "" {
		c.client.Secret = rand.Text()
	}
	if len(c.client.RedirectURIs) == 0 {
		c.client.RedirectURIs = []string{RedirectURI}
	}
	mux := http.NewServeMux()
	o := &OIDC{
		web: serve(t, c, OIDCFaults(), mux), client: c.client, clients: map[string]Client{},
		person:    Person{Subject: "248289761001", Email: "gwen@partner-postern-demo.com", EmailVerified: true, Name: "Gwen Guest", Login: "gwen", ID: 583231},
		claims:    Claims{},
		algorithm: c.algorithm, grants: map[string]*grant{}, access: map[string]Person{}, strangers: map[string]crypto.Signer{},
	}
	o.short = sync.OnceValue(func() signingKey { return signingKey{id: "key-short", algorithm: "RS256", key: shortKey(t)} })
	o.keys = []signingKey{o.newSigningKey(c.algorithm)}
	o.Register(c.client)
	for path, e := range map[string]struct {
		name   Endpoint
		handle http.HandlerFunc
	}{
		"GET /.well-known/openid-configuration": {Discovery, o.serveDiscovery},
		"GET /jwks":                             {JWKS, o.serveJWKS},
		"GET /authorize":                        {Authorize, o.serveAuthorize},
		"POST /token":                           {Token, o.serveToken},
		"GET /login/oauth/authorize":            {Authorize, o.serveAuthorize},
		"POST /login/oauth/access_token":        {Token, o.serveGitHubToken},
		"GET /user":                             {User, o.serveUser},
		"GET /user/emails":                      {UserEmails, o.serveUserEmails},
	} {
		mux.HandleFunc(path, o.endpoint(e.name, e.handle))
	}
	return o
}

// Issuer is the issuer identifier.
func (o *OIDC) Issuer() string { return o.URL() }

// AuthorizationEndpoint is where sign-ins begin.
func (o *OIDC) AuthorizationEndpoint() string { return o.URL() + "/authorize" }

// TokenEndpoint is where codes are exchanged.
func (o *OIDC) TokenEndpoint() string { return o.URL() + "/token" }

// JWKSURI is where the keys are.
func (o *OIDC) JWKSURI() string { return o.URL() + "/jwks" }

// GitHubAuthorizeURL is the authorization endpoint of the provider that speaks as GitHub does.
func (o *OIDC) GitHubAuthorizeURL() string { return o.URL() + "/login/oauth/authorize" }

// GitHubTokenURL is its token endpoint.
func (o *OIDC) GitHubTokenURL() string { return o.URL() + "/login/oauth/access_token" }

// GitHubUserURL is its user API; the e-mails are below it.
func (o *OIDC) GitHubUserURL() string { return o.URL() + "/user" }

// Client is the relying party that is known from the start.
func (o *OIDC) Client() Client { return o.client }

// Register makes a relying party known.
func (o *OIDC) Register(c Client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clients[c.ID] = c
}

// SetPerson says who signs in from now on.
func (o *OIDC) SetPerson(p Person) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.person = p
}

// Person is who signs in.
func (o *OIDC) Person() Person {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.person
}

// SetClaims changes every ID token from now on: acr, amr, auth_time, tid and the like.
func (o *OIDC) SetClaims(c Claims) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claims = maps.Clone(c)
}

// Deny answers every authorization with an error and its description, until both are empty.
func (o *OIDC) Deny(code, description string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deny = [2]string{code, description}
}

// SignWith makes a new key for an algorithm and signs with it; keys made before stay in the key set.
func (o *OIDC) SignWith(algorithm string) {
	k := o.newSigningKey(algorithm)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.algorithm = algorithm
	o.keys = append([]signingKey{k}, o.keys...)
}

// RotateKey signs with a new key of the same algorithm and takes all others out of the key set.
func (o *OIDC) RotateKey() {
	o.mu.Lock()
	algorithm := o.algorithm
	o.mu.Unlock()
	k := o.newSigningKey(algorithm)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys = []signingKey{k}
}

// Exchanged is how many codes were turned into tokens.
func (o *OIDC) Exchanged() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.exchanged
}

func (o *OIDC) newSigningKey(algorithm string) signingKey {
	o.t.Helper()
	return signingKey{id: "key-" + rand.Text()[:8], algorithm: algorithm, key: newKey(o.t, algorithm)}
}

// stranger is a key that is in no key set.
func (o *OIDC) stranger(algorithm string) crypto.Signer {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.strangers[algorithm] == nil {
		o.strangers[algorithm] = newKey(o.t, algorithm)
	}
	return o.strangers[algorithm]
}

// current is the key tokens are signed with.
func (o *OIDC) current() signingKey {
	if o.is(ShortKey) {
		return o.short()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.keys[0]
}

// KeySet is the JWK Set as it is served.
func (o *OIDC) KeySet() jose.JSONWebKeySet {
	if o.is(NoKeys) {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	}
	o.mu.Lock()
	keys := slices.Clone(o.keys)
	o.mu.Unlock()
	if o.is(ShortKey) {
		keys = []signingKey{o.short()}
	}
	use := "sig"
	if o.is(KeyForEncryption) {
		use = "enc"
	}
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.key.Public(), KeyID: k.id, Algorithm: k.algorithm, Use: use})
	}
	return set
}

// Authorize opens an authorization URL as the person's browser does and returns the callback.
func (o *OIDC) Authorize(authorizeURL string) browser.Callback {
	o.t.Helper()
	u, err := url.Parse(authorizeURL)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.open(authorizeURL, u.Query().Get("redirect_uri"))
}
