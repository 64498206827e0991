package realidp_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/internal/testkit/realidp"
)

const redirectURI = "https://app.example/callback"

// visit is one sign-in as a relying party begins it.
type visit struct {
	url, state, nonce, verifier string
	token, jwks                 string // endpoints
}

// begin reads the provider's discovery document, so that nothing here knows its paths.
func begin(t *testing.T, o *realidp.OIDC) visit {
	t.Helper()
	var at struct {
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
		JWKS      string `json:"jwks_uri"`
	}
	getJSON(t, o.Issuer+"/.well-known/openid-configuration", &at)
	v := visit{state: rand.Text(), nonce: rand.Text(), verifier: rand.Text() + rand.Text(), token: at.Token, jwks: at.JWKS}
	challenge := sha256.Sum256([]byte(v.verifier))
	v.url = at.Authorize + "?" + url.Values{
		"response_type": {"code"}, "client_id": {o.Client.ID}, "redirect_uri": {o.Client.RedirectURI}, "scope": {"openid email profile"},
		"state": {v.state}, "nonce": {v.nonce}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}.Encode()
	return v
}

func TestSignInAtDex(t *testing.T) {
	t.Parallel()
	idp := realidp.Dex(t, realidp.Client{ID: "postern", Secret: rand.Text(), RedirectURI: redirectURI})
	signsIn(t, idp, jose.RS256)
}

func TestSignInAtOIDCProvider(t *testing.T) {
	t.Parallel()
	idp := realidp.OIDCProvider(t, realidp.Client{ID: "postern", Secret: rand.Text(), RedirectURI: redirectURI, Algorithm: "ES256"})
	signsIn(t, idp, jose.ES256)

	v := begin(t, idp)
	cancelled, err := idp.Cancel(t.Context(), v.url)
	if err != nil {
		t.Fatal(err)
	}
	if cancelled.Form.Get("error") != "access_denied" || cancelled.Form.Get("state") != v.state {
		t.Errorf("a cancelled sign-in came back with %v", cancelled.Form)
	}
}

func signsIn(t *testing.T, idp *realidp.OIDC, algorithm jose.SignatureAlgorithm) {
	t.Helper()
	v := begin(t, idp)
	got := idp.Login(t, v.url)
	if got.Method != http.MethodGet || got.Form.Get("state") != v.state || got.Form.Get("code") == "" {
		t.Fatalf("callback %s with %v", got.Method, got.Form)
	}
	token := v.exchange(t, idp, got.Form.Get("code"))

	var keys jose.JSONWebKeySet
	getJSON(t, v.jwks, &keys)
	signed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		t.Fatal(err)
	}
	known := keys.Key(signed.Signatures[0].Header.KeyID)
	if len(known) != 1 {
		t.Fatalf("%d keys have the id of the token's", len(known))
	}
	payload, err := signed.Verify(known[0])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		Nonce    string `json:"nonce"`
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
		Name     string `json:"name"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	want := claims
	want.Issuer, want.Audience, want.Nonce, want.Verified = idp.Issuer, idp.Client.ID, v.nonce, true
	want.Email, want.Name = idp.User.Email, idp.User.Name
	if claims != want {
		t.Errorf("claims %+v, want %+v", claims, want)
	}
}

// exchange takes the ID token for a code.
func (v visit) exchange(t *testing.T, idp *realidp.OIDC, code string) string {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {idp.Client.RedirectURI}, "code_verifier": {v.verifier}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.token, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(idp.Client.ID), url.QueryEscape(idp.Client.Secret))
	var answer struct {
		IDToken string `json:"id_token"`
	}
	doJSON(t, req, &answer)
	return answer.IDToken
}

func getJSON(t *testing.T, address string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	doJSON(t, req, into)
}

func doJSON(t *testing.T, req *http.Request, into any) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answered %s", req.URL, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}
