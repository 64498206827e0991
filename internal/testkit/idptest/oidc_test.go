package idptest_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/internal/testkit/idptest"
)

const verifier = "a-verifier-of-forty-three-characters-at-least"

// authorizeURL is what a relying party sends a browser to.
func authorizeURL(o *idptest.OIDC, changes ...string) string {
	challenge := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {o.Client().ID}, "redirect_uri": {idptest.RedirectURI}, "scope": {"openid email"},
		"state": {"the-state"}, "nonce": {"the-nonce"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}
	for i := 0; i < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
	}
	return o.AuthorizationEndpoint() + "?" + q.Encode()
}

// post sends a form to an endpoint and returns status and members of the answer.
func post(t *testing.T, o *idptest.OIDC, address string, form url.Values, basic bool) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if basic {
		req.SetBasicAuth(o.Client().ID, o.Client().Secret)
	}
	return do(t, o, req)
}

func do(t *testing.T, o *idptest.OIDC, req *http.Request) (int, map[string]any) {
	t.Helper()
	resp, err := o.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(content, &answer); err != nil {
		var list []any
		if json.Unmarshal(content, &list) != nil {
			t.Fatalf("%s: %v", content, err)
		}
		answer = map[string]any{"list": list}
	}
	return resp.StatusCode, answer
}

func codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {idptest.RedirectURI}, "code_verifier": {verifier}}
}

// seen is what one can find wrong with a token, in the words of this test.
func seen(t *testing.T, o *idptest.OIDC, token string, now time.Time) []string {
	t.Helper()
	var found []string
	note := func(wrong bool, what string) {
		if wrong {
			found = append(found, what)
		}
	}
	parts := strings.Split(token, ".")
	var header struct{ Alg, Kid, Typ string }
	var claims struct {
		Iss, Sub, Azp, Nonce string
		Email                *string
		Verified             any `json:"email_verified"`
		Aud                  any
		Iat, Exp, Nbf        int64
		AuthTime             int64 `json:"auth_time"`
		Events               any
	}
	payload := decode(t, parts[1])
	if err := json.Unmarshal(decode(t, parts[0]), &header); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	set := o.KeySet()
	known := set.Key(header.Kid)
	note(len(set.Keys) == 0, "no keys")
	note(len(set.Keys) > 0 && len(known) == 0 && header.Alg != "none", "kid")
	note(len(known) > 0 && known[0].Use != "sig", "use")
	note(header.Typ != "JWT", "typ")
	note(header.Alg != "RS256", header.Alg)
	if header.Alg == "RS256" && len(known) > 0 {
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		_, err = signed.Verify(known[0])
		note(err != nil, "signature")
		key, _ := known[0].Key.(interface{ Size() int })
		note(key.Size() < 256, "short key")
	}
	note(strings.Count(string(payload), `"iss":`) > 1, "two iss")
	note(claims.Iss != o.Issuer(), "iss")
	note(claims.Sub != o.Person().Subject, "sub "+claims.Sub)
	switch aud := claims.Aud.(type) {
	case string:
		note(aud != o.Client().ID, "aud")
	case nil:
		note(true, "no aud")
	default:
		note(true, "more aud")
	}
	note(claims.Azp != "", "azp")
	note(claims.Nonce != "the-nonce", "nonce "+claims.Nonce)
	note(claims.Email == nil, "no email")
	note(claims.Email != nil && claims.Verified != true, "unverified")
	note(claims.Verified == "true", "text")
	note(claims.Exp == 0, "no exp")
	note(claims.Exp != 0 && claims.Exp <= now.Unix(), "expired")
	note(claims.Iat < now.Unix(), "old")
	note(claims.Iat > now.Unix(), "future")
	note(claims.Nbf > now.Unix(), "nbf")
	note(claims.AuthTime < now.Unix(), "auth_time")
	note(claims.Events != nil, "events")
	return found
}

func decode(t *testing.T, part string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEveryTokenSwitchSpoilsOneThing goes through a whole sign-in for each switch, which also shows what it does elsewhere.
func TestEveryTokenSwitchSpoilsOneThing(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	o := idptest.NewOIDC(t, idptest.Clock(func() time.Time { return now }))
	spoiled := map[idptest.Fault][]string{
		"":                         nil,
		idptest.WrongIssuer:        {"iss"},
		idptest.WrongAudience:      {"aud"},
		idptest.ExtraAudience:      {"more aud"},
		idptest.NoAudience:         {"no aud"},
		idptest.Expired:            {"expired", "old"},
		idptest.IssuedInFuture:     {"future"},
		idptest.Unsigned:           {"none"},
		idptest.OtherKey:           {"signature"},
		idptest.NoSubject:          {"sub "},
		idptest.NoEmail:            {"no email"},
		idptest.WrongNonce:         {"nonce somebody-else"},
		idptest.NoNonce:            {"nonce "},
		idptest.WrongAZP:           {"azp"},
		idptest.Stale:              {"old"},
		idptest.NotYetValid:        {"nbf"},
		idptest.NoExpiry:           {"no exp"},
		idptest.UnknownKid:         {"kid"},
		idptest.HS256:              {"HS256"},
		idptest.WrongAccessHash:    {"at_hash"},
		idptest.EmailUnverified:    {"unverified"},
		idptest.EmailVerifiedText:  {"unverified", "text"},
		idptest.OldAuthTime:        {"auth_time"},
		idptest.OtherType:          {"typ"},
		idptest.LogoutToken:        {"events"},
		idptest.DuplicateMember:    {"two iss"},
		idptest.BrokenSignature:    {"signature"},
		idptest.NoKeys:             {"no keys"},
		idptest.KeyForEncryption:   {"use"},
		idptest.ShortKey:           {"short key"},
		idptest.OtherPersonsTokens: {"sub somebody-else", "nonce somebody-else"},
		idptest.DiscoveryIssuer:    {"discovery"},
		idptest.LoginDeclined:      {"access_denied"},
		idptest.ServerFailure:      {"server_error"},
		idptest.NoIssParameter:     {"iss parameter "},
		idptest.WrongIssParameter:  {"iss parameter https://other.example"},
		idptest.WrongState:         {"state somebody-else"},
		idptest.NoCode:             {"no code"},
		idptest.CodeUsed:           {"400 invalid_grant"},
		idptest.ClientRefused:      {"401 invalid_client"},
		idptest.NoIDToken:          {"no ID token"},
	}
	for _, f := range append(idptest.OIDCFaults(), "") {
		want, ok := spoiled[f]
		if !ok {
			t.Errorf("no expectation for the switch %s", f)
			continue
		}
		o.Mend()
		if f != "" {
			o.Break(f)
		}
		if diff := cmp.Diff(want, walk(t, o, now)); diff != "" {
			t.Errorf("switch %q (-want +got):\n%s", f, diff)
		}
	}
}

// walk makes one sign-in and says what was wrong on the way.
func walk(t *testing.T, o *idptest.OIDC, now time.Time) []string {
	t.Helper()
	var found []string
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.Issuer()+"/.well-known/openid-configuration", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if _, doc := do(t, o, req); doc["issuer"] != o.Issuer() {
		found = append(found, "discovery")
	}
	got := o.Authorize(authorizeURL(o)).Form
	if e := got.Get("error"); e != "" {
		return append(found, e)
	}
	if iss := got.Get("iss"); iss != o.Issuer() {
		found = append(found, "iss parameter "+iss)
	}
	if s := got.Get("state"); s != "the-state" {
		found = append(found, "state "+s)
	}
	if !got.Has("code") {
		return append(found, "no code")
	}
	status, answer := post(t, o, o.TokenEndpoint(), codeForm(got.Get("code")), true)
	if status != http.StatusOK {
		e, _ := answer["error"].(string)
		return append(found, strconv.Itoa(status)+" "+e)
	}
	token, ok := answer["id_token"].(string)
	if !ok {
		return append(found, "no ID token")
	}
	access, _ := answer["access_token"].(string)
	sum := sha256.Sum256([]byte(access))
	var claims struct {
		AtHash string `json:"at_hash"`
	}
	if err := json.Unmarshal(decode(t, strings.Split(token, ".")[1]), &claims); err != nil {
		t.Fatal(err)
	}
	if claims.AtHash != base64.RawURLEncoding.EncodeToString(sum[:16]) {
		found = append(found, "at_hash")
	}
	return append(found, seen(t, o, token, now)...)
}

func TestCodesAndClientsAreChecked(t *testing.T) {
	t.Parallel()
	o := idptest.NewOIDC(t)
	code := func() string { return o.Authorize(authorizeURL(o)).Form.Get("code") }
	used := code()
	if status, answer := post(t, o, o.TokenEndpoint(), codeForm(used), true); status != http.StatusOK {
		t.Fatalf("%d %v", status, answer)
	}
	key, _ := idptest.KeyPair(t, time.Now())
	o.Register(idptest.Client{ID: "signs", RedirectURIs: []string{idptest.RedirectURI}, Auth: "private_key_jwt", Keys: &jose.JSONWebKeySet{
		Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}},
	}})
	assertion := func(aud string) url.Values {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(map[string]any{"iss": "signs", "sub": "signs", "aud": aud, "jti": rand.Text(), "exp": time.Now().Unix() + 60})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(body)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		form := codeForm(o.Authorize(authorizeURL(o, "client_id", "signs")).Form.Get("code"))
		form.Set("client_assertion", token)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		return form
	}
	changed := func(name, value string) url.Values { f := codeForm(code()); f.Set(name, value); return f }
	posted := changed("client_secret", o.Client().Secret)
	posted.Set("client_id", o.Client().ID)
	for name, c := range map[string]struct {
		form  url.Values
		basic bool
		want  string
	}{
		"a code twice":                 {codeForm(used), true, "invalid_grant"},
		"another verifier":             {changed("code_verifier", "another"), true, "invalid_grant"},
		"another redirect URI":         {changed("redirect_uri", "https://app.example/other"), true, "invalid_grant"},
		"no client":                    {codeForm(code()), false, "invalid_client"},
		"a way it is not set for":      {posted, false, "invalid_client"},
		"another client's code":        {codeForm(o.Authorize(authorizeURL(o, "client_id", "signs")).Form.Get("code")), true, "invalid_grant"},
		"an assertion":                 {assertion(o.TokenEndpoint()), false, ""},
		"an assertion for another one": {assertion("https://other.example"), false, "invalid_client"},
	} {
		_, answer := post(t, o, o.TokenEndpoint(), c.form, c.basic)
		if got, _ := answer["error"].(string); got != c.want {
			t.Errorf("%s: error %q, want %q", name, got, c.want)
		}
	}
	if n := o.Exchanged(); n != 2 {
		t.Errorf("%d codes were exchanged, want 2", n)
	}
	for _, missing := range []string{"code_challenge", "state", "nonce"} {
		if got := o.Authorize(authorizeURL(o, missing, "")).Form.Get("error"); got != "invalid_request" {
			t.Errorf("without %s: error %q", missing, got)
		}
	}
	if got := o.Authorize(authorizeURL(o, "response_mode", "form_post")); got.Method != http.MethodPost || got.Form.Get("code") == "" {
		t.Errorf("form_post came as %s with %v", got.Method, got.Form)
	}
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	o := idptest.NewOIDC(t)
	at := strings.Replace(authorizeURL(o, "scope", "read:user user:email"), o.AuthorizationEndpoint(), o.GitHubAuthorizeURL(), 1)
	code := o.Authorize(at).Form.Get("code")
	_, answer := post(t, o, o.GitHubTokenURL(), codeForm(code), true)
	access, _ := answer["access_token"].(string)
	get := func(address, token string) (int, map[string]any) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		return do(t, o, req)
	}
	if _, user := get(o.GitHubUserURL(), access); user["id"] != float64(o.Person().ID) {
		t.Errorf("user %v", user)
	}
	_, emails := get(o.GitHubUserURL()+"/emails", access)
	list, _ := emails["list"].([]any)
	if len(list) != 2 || !cmp.Equal(list[1], any(map[string]any{"email": o.Person().Email, "primary": true, "verified": true})) {
		t.Errorf("e-mails %v", list)
	}
	if status, _ := get(o.GitHubUserURL(), "another"); status != http.StatusUnauthorized {
		t.Errorf("another token got %d", status)
	}
	if status, again := post(t, o, o.GitHubTokenURL(), codeForm(code), true); status != http.StatusOK || again["error"] != "bad_verification_code" {
		t.Errorf("a used code got %d %v", status, again)
	}
}

func TestKeysChange(t *testing.T) {
	t.Parallel()
	o := idptest.NewOIDC(t)
	before := o.KeySet().Keys[0].KeyID
	o.SignWith("ES256")
	both := o.KeySet().Keys
	o.RotateKey()
	after := o.KeySet().Keys
	if len(both) != 2 || both[1].KeyID != before || len(after) != 1 || after[0].Algorithm != "ES256" ||
		slices.ContainsFunc(both, func(k jose.JSONWebKey) bool { return k.KeyID == after[0].KeyID }) {
		t.Errorf("first %s, then %+v, at last %+v", before, both, after)
	}
}
