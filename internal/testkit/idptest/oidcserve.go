package idptest

import (
	"crypto/rand"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// grant is one code.
type grant struct {
	client      Client
	redirectURI string
	nonce       string
	challenge   string
	openid      bool
	person      Person
	used        bool
}

func (o *OIDC) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	issuer := o.Issuer()
	if o.is(DiscoveryIssuer) {
		issuer = "https://other.example"
	}
	reply(w, http.StatusOK, map[string]any{
		"issuer": issuer, "authorization_endpoint": o.AuthorizationEndpoint(), "token_endpoint": o.TokenEndpoint(), "jwks_uri": o.JWKSURI(),
		"response_types_supported": []string{"code"}, "response_modes_supported": []string{"query", "form_post"},
		"subject_types_supported": []string{"public"}, "code_challenge_methods_supported": []string{"S256"},
		"id_token_signing_alg_values_supported":          []string{"RS256", "PS256", "ES256", "EdDSA"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
		"authorization_response_iss_parameter_supported": true,
	})
}

func (o *OIDC) serveJWKS(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, o.KeySet()) }

// serveAuthorize signs the person in without asking and sends the browser back.
func (o *OIDC) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	o.mu.Lock()
	c, known := o.clients[q.Get("client_id")]
	o.mu.Unlock()
	switch {
	case !known:
		http.Error(w, "the client is not known", http.StatusBadRequest)
		return
	case !slices.Contains(c.RedirectURIs, q.Get("redirect_uri")):
		http.Error(w, "the redirect URI is not registered", http.StatusBadRequest)
		return
	}
	answer := o.authorize(c, q)
	if q.Get("state") != "" {
		answer.Set("state", q.Get("state"))
	}
	o.spoilCallback(answer)
	if q.Get("response_mode") == "form_post" {
		selfPost(w, q.Get("redirect_uri"), answer)
		return
	}
	to, err := url.Parse(q.Get("redirect_uri"))
	if err != nil {
		http.Error(w, "the redirect URI is no URI", http.StatusBadRequest)
		return
	}
	to.RawQuery = answer.Encode()
	http.Redirect(w, r, to.String(), http.StatusFound)
}

// authorize checks a request and makes a code, or says what is wrong with it.
func (o *OIDC) authorize(c Client, q url.Values) url.Values {
	refuse := func(code, description string) url.Values {
		return url.Values{"error": {code}, "error_description": {description}}
	}
	o.mu.Lock()
	deny, person := o.deny, o.person
	o.mu.Unlock()
	openid := slices.Contains(strings.Fields(q.Get("scope")), "openid")
	switch {
	case o.is(LoginDeclined):
		return refuse("access_denied", "The resource owner said no")
	case o.is(ServerFailure):
		return refuse("server_error", "line one\r\nlevel=error msg=forged \x1b[31m\u202e "+strings.Repeat("long ", 400))
	case deny[0] != "":
		return refuse(deny[0], deny[1])
	case q.Get("response_type") != "code" && (openid || q.Get("response_type") != ""): // GitHub's has none
		return refuse("unsupported_response_type", "code only")
	case q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256":
		return refuse("invalid_request", "PKCE with S256 is required")
	case q.Get("state") == "":
		return refuse("invalid_request", "state is required")
	case openid && q.Get("nonce") == "":
		return refuse("invalid_request", "nonce is required")
	}
	code := rand.Text()
	o.saw(q.Get("state"), q.Get("nonce"), code)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.grants[code] = &grant{
		client: c, redirectURI: q.Get("redirect_uri"), nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), openid: openid, person: person,
	}
	return url.Values{"code": {code}}
}

// spoilCallback adds the issuer and lets the switches change what goes back to the relying party.
func (o *OIDC) spoilCallback(answer url.Values) {
	answer.Set("iss", o.Issuer())
	if o.is(NoIssParameter) {
		answer.Del("iss")
	}
	if o.is(WrongIssParameter) {
		answer.Set("iss", "https://other.example")
	}
	if o.is(WrongState) {
		answer.Set("state", somebodyElse)
	}
	if o.is(NoCode) {
		answer.Del("code")
	}
}

func reply(w http.ResponseWriter, status int, content any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(content) // a client that hung up is its own affair
}

// selfPost is a page with a form that submits itself.
func selfPost(w http.ResponseWriter, action string, fields url.Values) {
	page, err := template.New("post").Parse(`<!doctype html><form method="post" action="{{.Action}}">` +
		`{{range $name, $values := .Fields}}<input type="hidden" name="{{$name}}" value="{{index $values 0}}">{{end}}</form>`)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, struct {
		Action template.URL
		Fields url.Values
	}{template.URL(action), fields})
}
