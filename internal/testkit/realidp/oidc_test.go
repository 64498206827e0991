package realidp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/authflow/federation"
	verify "github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/internal/outbound"
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
	id := signsIn(t, idp)
	if id.ID == "" || id.ID == idp.User.Email {
		t.Errorf("Dex's subject is %q", id.ID)
	}
}

func TestSignInAtOIDCProvider(t *testing.T) {
	t.Parallel()
	idp := realidp.OIDCProvider(t, realidp.Client{ID: "postern", Secret: rand.Text(), RedirectURI: redirectURI, Algorithm: "ES256"})
	if id := signsIn(t, idp); id.ID != idp.User.Email || id.AuthTime.IsZero() {
		t.Errorf("the identity is %+v", id)
	}
	v := begin(t, idp)
	cancelled, err := idp.Cancel(t.Context(), v.url)
	if err != nil {
		t.Fatal(err)
	}
	if cancelled.Form.Get("error") != "access_denied" || cancelled.Form.Get("state") != v.state {
		t.Errorf("a cancelled sign-in came back with %v", cancelled.Form)
	}
}

func TestWrongPasswordIsAnError(t *testing.T) {
	t.Parallel()
	idp := realidp.Dex(t, realidp.Client{ID: "postern", Secret: rand.Text(), RedirectURI: redirectURI})
	idp.User.Password = "wrong"
	if got, err := idp.SignIn(t.Context(), begin(t, idp).url); err == nil {
		t.Errorf("a wrong password led to %v", got.Form)
	}
}

// signsIn goes from the login page to an identity that the verifier of this project takes.
func signsIn(t *testing.T, idp *realidp.OIDC) federation.Identity {
	t.Helper()
	logs(t, idp)
	v := begin(t, idp)
	got := idp.Login(t, v.url)
	if got.Method != http.MethodGet || got.Form.Get("state") != v.state || got.Form.Get("code") == "" {
		t.Fatalf("callback %s with %v", got.Method, got.Form)
	}
	keys := verify.NewRemoteKeys(v.jwks, outbound.New(outbound.Options{
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, AllowHTTP: true,
	}), time.Now)
	defer keys.Close()
	nonce := sha256.Sum256([]byte(v.nonce))
	token := v.exchange(t, idp, got.Form.Get("code"))
	id, err := verify.Verify(t.Context(), []byte(token), verify.Expect{Issuer: idp.Issuer, ClientID: idp.Client.ID, Nonce: &nonce}, keys, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if id.Issuer != idp.Issuer || id.Email != idp.User.Email || !id.EmailVerified || id.Name != idp.User.Name {
		t.Errorf("the identity is %+v", id)
	}
	return id
}

// logs shows what the provider has to say about a failure.
func logs(t *testing.T, idp *realidp.OIDC) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(idp.Log())
		}
	})
}

// exchange takes the ID token for a code.
func (v visit) exchange(t *testing.T, idp *realidp.OIDC, code string) string {
	t.Helper()
	req := v.tokenRequest(t, idp, code, nil)
	req.SetBasicAuth(url.QueryEscape(idp.Client.ID), url.QueryEscape(idp.Client.Secret))
	var answer struct {
		IDToken string `json:"id_token"`
	}
	doJSON(t, req, &answer)
	return answer.IDToken
}

func (v visit) tokenRequest(t *testing.T, idp *realidp.OIDC, code string, more url.Values) *http.Request {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {idp.Client.RedirectURI}, "code_verifier": {v.verifier}}
	maps.Copy(form, more)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.token, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
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

// TestClientsProveThemselvesWithAKey has the client sign an assertion instead of sending a secret.
func TestClientsProveThemselvesWithAKey(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	idp := realidp.OIDCProvider(t, realidp.Client{ID: "postern", RedirectURI: redirectURI, Auth: "private_key_jwt", Keys: set})
	logs(t, idp)
	v := begin(t, idp)
	code := idp.Login(t, v.url).Form.Get("code")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"iss": idp.Client.ID, "sub": idp.Client.ID, "aud": idp.Issuer, "jti": rand.Text(), "iat": time.Now().Unix(), "exp": time.Now().Unix() + 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		IDToken string `json:"id_token"`
	}
	doJSON(t, v.tokenRequest(t, idp, code, url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	}), &answer)
	if answer.IDToken == "" {
		t.Error("there is no ID token")
	}
}
