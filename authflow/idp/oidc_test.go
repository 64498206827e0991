package idp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/idp"
)

func TestBeginAsksForACodeWithPKCEAndNoncesOfItsOwn(t *testing.T) {
	p := newProvider(t)
	c, conn := p.client(t, nil), p.connection()
	b := beginning()
	b.LoginHint, b.MaxAge, b.Prompt = "alice@partner.example", 1500*time.Millisecond, true
	conn.OIDC.ACRValues = []string{"urn:mfa", "phr"}
	got, err := c.Begin(t.Context(), orgUID, conn, b)
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer != p.URL || len(got.Form) != 0 || !strings.HasPrefix(got.URL, p.URL+"/authorize?") {
		t.Errorf("redirect %+v", got)
	}
	want := url.Values{
		"fixed": {"1"}, "response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "scope": {"openid email profile"},
		"state": {"state-1"}, "nonce": {theNonce}, "code_challenge": {s256(theVerifier)}, "code_challenge_method": {"S256"},
		"login_hint": {"alice@partner.example"}, "max_age": {"2"}, "acr_values": {"urn:mfa phr"}, "prompt": {"login"},
	}
	if q := query(t, got.URL); q.Encode() != want.Encode() {
		t.Errorf("asks\n%s, want\n%s", q.Encode(), want.Encode())
	}
	b.ACRValues, b.CallbackURL = []string{"call"}, ""
	got, err = c.Begin(t.Context(), orgUID, conn, b)
	if q := query(t, got.URL); err != nil || q.Get("acr_values") != "call" || q.Get("redirect_uri") != redirectURI {
		t.Errorf("asks %v, %v", q, err)
	}
}

func TestACodeBecomesAnIdentity(t *testing.T) {
	p := newProvider(t)
	c := p.client(t, nil)
	id, err := c.Redeem(t.Context(), orgUID, p.connection(), code())
	if err != nil {
		t.Fatal(err)
	}
	if id.Issuer != p.URL || id.ID != "user-1" || id.Email != "alice@partner.example" || !id.EmailVerified || len(id.Uses) == 0 {
		t.Errorf("identity %+v", id)
	}
	r := <-p.posted
	want := url.Values{"grant_type": {"authorization_code"}, "code": {theCode}, "redirect_uri": {redirectURI}, "code_verifier": {theVerifier}}
	if r.PostForm.Encode() != want.Encode() || r.URL.RawQuery != "" {
		t.Errorf("posted %v", r.PostForm)
	}
	user, pass, _ := r.BasicAuth()
	if user != url.QueryEscape(clientID) || pass != url.QueryEscape(clientSecret) {
		t.Errorf("basic %q %q", user, pass)
	}
	if p.count("/token") != 1 {
		t.Errorf("%d token requests", p.count("/token"))
	}
}

func TestAnAccessTokenOfTheTokenEndpointMustFitItsHashWhenThereIsOne(t *testing.T) {
	p := newProvider(t)
	c := p.client(t, nil)
	p.claims = func(m map[string]any) { m["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" }
	_, err := c.Redeem(t.Context(), orgUID, p.connection(), code())
	wantReason(t, err, audit.ReasonSignatureInvalid)
	p.claims = nil
	handed := handedIn(p.idToken())
	handed.AccessToken = "one"
	_, err = c.Token(t.Context(), orgUID, p.connection(), handed)
	wantReason(t, err, audit.ReasonMalformed)
	if _, err = c.Token(t.Context(), orgUID, p.connection(), handedIn(p.idToken())); err != nil {
		t.Error(err)
	}
}

func TestWhatBeganElsewhereIsRefusedBeforeTheCodeLeaves(t *testing.T) {
	p := newProvider(t)
	p.change = func(d map[string]any) { d["authorization_response_iss_parameter_supported"] = true }
	c := p.client(t, nil)
	other, right := "https://other.example", p.URL
	for name, change := range map[string]func(*authflow.Code){
		"began with another issuer": func(code *authflow.Code) { code.Issuer = other },
		"callback of another":       func(code *authflow.Code) { code.ResponseIssuer = other },
		"promised iss is missing":   func(*authflow.Code) {},
	} {
		mine := code()
		change(&mine)
		_, err := c.Redeem(t.Context(), orgUID, p.connection(), mine)
		if r := refusal(t, err); r.Reason != audit.ReasonIssuerMismatch {
			t.Errorf("%s: %v", name, r)
		}
	}
	handed := handedIn(p.idToken())
	handed.Issuer = other
	_, err := c.Token(t.Context(), orgUID, p.connection(), handed)
	wantReason(t, err, audit.ReasonIssuerMismatch)
	if p.count("/token") != 0 {
		t.Errorf("%d codes left", p.count("/token"))
	}
	mine := code()
	mine.ResponseIssuer, mine.Issuer = right, right
	if _, err := c.Redeem(t.Context(), orgUID, p.connection(), mine); err != nil {
		t.Error(err)
	}
}

func TestAlgorithmsAreThoseThatBothSidesAllow(t *testing.T) {
	p := newProvider(t)
	conn := p.connection()
	conn.OIDC.Algorithms = []string{"RS256"}
	_, err := p.client(t, nil).Redeem(t.Context(), orgUID, conn, code())
	wantReason(t, err, audit.ReasonAlgorithmNotAllowed)
	p.change = func(d map[string]any) { d["id_token_signing_alg_values_supported"] = []string{"HS256", "none"} }
	_, err = p.client(t, nil).Begin(t.Context(), orgUID, p.connection(), beginning())
	wantReason(t, err, audit.ReasonAlgorithmNotAllowed)
}

func TestExplicitEndpointsNeedNoDiscovery(t *testing.T) {
	p := newProvider(t)
	conn := p.connection()
	conn.OIDC.AuthorizationEndpoint, conn.OIDC.TokenEndpoint, conn.OIDC.JWKSURI = p.URL+"/a", p.URL+"/token", p.URL+"/keys"
	c := p.client(t, nil)
	if _, err := c.Redeem(t.Context(), orgUID, conn, code()); err != nil {
		t.Fatal(err)
	}
	if n := p.count("/.well-known/openid-configuration"); n != 0 {
		t.Errorf("discovered %d times", n)
	}
	conn.OIDC.TokenEndpoint = ""
	if _, err := c.Redeem(t.Context(), orgUID, conn, code()); err != nil {
		t.Error(err)
	}
	got, err := c.Begin(t.Context(), orgUID, conn, beginning())
	if err != nil || !strings.HasPrefix(got.URL, p.URL+"/a?") {
		t.Errorf("the endpoint of the connection does not win: %v, %v", got.URL, err)
	}
}

func TestAThousandBadTokensFetchKeysOnceIn30Seconds(t *testing.T) {
	p := newProvider(t)
	at := &clock{at: now()}
	var watched counter
	c := p.client(t, func(cfg *idp.Config) { cfg.Now, cfg.Watch = at.Now, watched.watch })
	forger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"iss": p.URL, "sub": "x", "aud": clientID, "exp": now().Add(time.Hour).Unix(), "iat": now().Unix(), "nonce": theNonce}
	bad := handedIn(signed(forger, claims))
	for range 1000 {
		_, err := c.Token(t.Context(), orgUID, p.connection(), bad)
		wantReason(t, err, audit.ReasonSignatureInvalid)
	}
	if n := p.count("/keys"); n != 1 {
		t.Errorf("%d fetches", n)
	}
	at.Add(31 * time.Second)
	for range 50 {
		if _, err := c.Token(t.Context(), orgUID, p.connection(), bad); err == nil {
			t.Fatal("accepted")
		}
	}
	if n := p.count("/keys"); n != 2 {
		t.Errorf("%d fetches after 31 s", n)
	}
	if watched.calls.Load() != 1 {
		t.Errorf("told %d times of the same keys", watched.calls.Load())
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.key = key
	at.Add(31 * time.Second)
	if _, err := c.Token(t.Context(), orgUID, p.connection(), handedIn(p.idToken())); err != nil {
		t.Error(err)
	}
	if got := watched.last.Load(); watched.calls.Load() != 2 || got.Fingerprint != c.KeyFingerprint(p.connection()) {
		t.Errorf("told %d times, last %+v", watched.calls.Load(), got)
	}
}

func TestDiscoveryIsKeptForAnHourAndUsedForADayWhenItCannotBeHad(t *testing.T) {
	const path = "/.well-known/openid-configuration"
	p := newProvider(t)
	at := &clock{at: now()}
	c := p.client(t, func(cfg *idp.Config) { cfg.Now = at.Now })
	begin := func() error { _, err := c.Begin(t.Context(), orgUID, p.connection(), beginning()); return err }
	for range 10 {
		if err := begin(); err != nil {
			t.Fatal(err)
		}
	}
	if p.count(path) != 1 {
		t.Fatalf("%d fetches", p.count(path))
	}
	p.on(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	at.Add(time.Hour)
	for range 10 {
		if err := begin(); err != nil {
			t.Fatal(err)
		}
	}
	if p.count(path) != 2 {
		t.Errorf("%d fetches while it fails", p.count(path))
	}
	at.Add(23 * time.Hour)
	for range 10 {
		wantReason(t, begin(), audit.ReasonIDPError)
	}
	if p.count(path) != 3 {
		t.Errorf("%d fetches when it is too old", p.count(path))
	}
}

func TestNoMoreProvidersAreKeptThanTold(t *testing.T) {
	const path = "/.well-known/openid-configuration"
	p := newProvider(t)
	q := newProvider(t)
	c := p.client(t, func(cfg *idp.Config) { cfg.MaxProviders = 1; cfg.Outbound.Roots.AddCert(q.Certificate()) })
	for range 2 {
		for _, one := range []*provider{p, q} {
			if _, err := c.Redeem(t.Context(), orgUID, one.connection(), code()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if p.count(path) != 2 || p.count("/keys") != 2 {
		t.Errorf("%d and %d fetches", p.count(path), p.count("/keys"))
	}
}
