package idp_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/idp"
	"github.com/postern-audit/postern/internal/outbound"
	"github.com/postern-audit/postern/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	orgUID       = "org-uid"
	clientID     = "client 1"
	clientSecret = "s3cret & canary-0001"
	theCode      = "code-canary-0002"
	theVerifier  = "q7Xw0Zk9RtB4uYh2LmP6sVn1CdE8gJf5aOi3TxQe-Wr"
	theNonce     = "nonce-canary-0004"
	redirectURI  = "https://login.example/callback"
)

func now() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// clock is a clock that stands until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// opener is a sealed secret with "sealed:" in front of it.
type opener struct{ broken error }

func (o opener) Open(_ context.Context, organizationUID, connectionUID string, sealed []byte) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, []byte("sealed:"))
	if o.broken != nil || !ok || organizationUID != orgUID || connectionUID == "" {
		return nil, errors.Join(o.broken, errors.New("cannot be opened"))
	}
	return bytes.Clone(plain), nil
}

// provider is an OIDC provider; each handler can be replaced.
type provider struct {
	*httptest.Server
	key      *ecdsa.PrivateKey
	mu       sync.Mutex
	handlers map[string]http.HandlerFunc
	fetched  map[string]int
	change   func(map[string]any) // the discovery document
	claims   func(map[string]any) // of the ID token
	posted   chan *http.Request   // token requests, their form read
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, handlers: map[string]http.HandlerFunc{}, fetched: map[string]int{}, posted: make(chan *http.Request, 64)}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.StartTLS()
	t.Cleanup(p.Close)
	p.on("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.discovery()) })
	p.on("/keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &p.key.PublicKey, KeyID: "k1", Use: "sig", Algorithm: "ES256"}}})
	})
	p.on("/token", func(w http.ResponseWriter, r *http.Request) {
		p.posted <- r
		answer(w, map[string]any{"id_token": p.idToken(), "access_token": "access-canary-0005", "token_type": "Bearer"})
	})
	return p
}

func (p *provider) on(path string, h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handlers[path] = h
}

func (p *provider) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetched[path]
}

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	h := p.handlers[r.URL.Path]
	p.fetched[r.URL.Path]++
	p.mu.Unlock()
	if h == nil {
		http.NotFound(w, r)
		return
	}
	if r.Method == http.MethodPost {
		_ = r.ParseForm()
	}
	h(w, r)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (p *provider) discovery() map[string]any {
	d := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize?fixed=1&state=theirs", "token_endpoint": p.URL + "/token",
		"jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256", "ES256", "HS256", "none"},
	}
	if p.change != nil {
		p.change(d)
	}
	return d
}

func (p *provider) idToken() string {
	c := map[string]any{
		"iss": p.URL, "sub": "user-1", "aud": clientID, "exp": now().Add(5 * time.Minute).Unix(), "iat": now().Unix(), "nonce": theNonce,
		"email": "alice@partner.example", "email_verified": true, "name": "Alice",
	}
	if p.claims != nil {
		p.claims(c)
	}
	return signed(p.key, c)
}

func signed(key *ecdsa.PrivateKey, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		panic(err)
	}
	payload, _ := json.Marshal(claims)
	jws, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	raw, _ := jws.CompactSerialize()
	return raw
}

// options reach any of the test's own servers and nothing else.
func (p *provider) options() outbound.Options {
	pool := x509.NewCertPool()
	pool.AddCert(p.Certificate())
	return outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Roots: pool}
}

// client makes a client of the provider.
func (p *provider) client(t *testing.T, change func(*idp.Config)) *idp.Client {
	t.Helper()
	cfg := idp.Config{Outbound: p.options(), Secrets: opener{}, Now: now, Rand: rand.Reader}
	if change != nil {
		change(&cfg)
	}
	c, err := idp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// connection is one to the provider, by discovery.
func (p *provider) connection() *policy.Connection {
	return &policy.Connection{
		ID: "partner", UID: "conn-uid", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC,
		OIDC: &policy.OIDC{Issuer: p.URL, ClientID: clientID, Secret: []byte("sealed:" + clientSecret), RedirectURIs: []string{redirectURI}},
	}
}

func beginning() authflow.Beginning {
	return authflow.Beginning{State: "state-1", Nonce: theNonce, Verifier: theVerifier, CallbackURL: redirectURI}
}

func code() authflow.Code {
	return authflow.Code{
		Code: theCode, Verifier: theVerifier, CallbackURL: redirectURI, NonceHash: sha256.Sum256([]byte(theNonce)), Now: now(),
	}
}

func handedIn(raw string) authflow.Token {
	h := sha256.Sum256([]byte(theNonce))
	return authflow.Token{Token: raw, NonceHash: &h, Now: now()}
}

func refusal(t *testing.T, err error) *federation.Refusal {
	t.Helper()
	var r *federation.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("%v (%T) is no refusal", err, err)
	}
	return r
}

func wantReason(t *testing.T, err error, reason string) {
	t.Helper()
	if r := refusal(t, err); r.Reason != reason || r.Detail == "" {
		t.Fatalf("refused %s (%s), want %s", r.Reason, r.Detail, reason)
	}
}

func query(t *testing.T, raw string) url.Values {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func s256(verifier string) string {
	h := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// counter counts calls of Watch.
type counter struct {
	calls atomic.Int32
	last  atomic.Pointer[idp.ProviderKeys]
}

func (c *counter) watch(_ context.Context, _, _ string, k idp.ProviderKeys) {
	c.calls.Add(1)
	c.last.Store(&k)
}
