package idptest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// refusal is an OAuth 2.0 error.
type refusal struct {
	status            int
	code, description string
}

func badRequest(code, description string) *refusal {
	return &refusal{http.StatusBadRequest, code, description}
}

func (o *OIDC) serveToken(w http.ResponseWriter, r *http.Request) {
	g, no := o.redeem(r)
	if no != nil {
		reply(w, no.status, map[string]string{"error": no.code, "error_description": no.description})
		return
	}
	access := o.accessToken(g.person)
	answer := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "scope": "openid email profile"}
	if g.openid && !o.is(NoIDToken) {
		answer["id_token"] = o.idToken(g.client, g.person, g.nonce, access, nil)
	}
	reply(w, http.StatusOK, answer)
}

func (o *OIDC) accessToken(p Person) string {
	access := "at-" + rand.Text()
	o.saw(access)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.access[access] = p
	o.exchanged++
	return access
}

// redeem checks a token request and uses its code up.
func (o *OIDC) redeem(r *http.Request) (grant, *refusal) {
	if err := r.ParseForm(); err != nil {
		return grant{}, badRequest("invalid_request", "the form cannot be read")
	}
	o.saw(r.PostForm.Get("code_verifier"), r.PostForm.Get("client_secret"), r.PostForm.Get("client_assertion"))
	c, no := o.authenticate(r)
	if no != nil {
		return grant{}, no
	}
	if o.is(ClientRefused) {
		return grant{}, &refusal{http.StatusUnauthorized, "invalid_client", "the client secret " + SecretText + " is wrong"}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.grants[r.PostForm.Get("code")]
	verifier := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	switch {
	case r.PostForm.Get("grant_type") != "authorization_code" && r.PostForm.Has("grant_type"):
		return grant{}, badRequest("unsupported_grant_type", "authorization_code only")
	case g == nil || g.used || o.faults[CodeUsed]:
		return grant{}, badRequest("invalid_grant", "the code "+r.PostForm.Get("code")+" is unknown or was used")
	case g.client.ID != c.ID || g.redirectURI != r.PostForm.Get("redirect_uri"):
		return grant{}, badRequest("invalid_grant", "the code was issued to another client or redirect URI")
	case base64.RawURLEncoding.EncodeToString(verifier[:]) != g.challenge:
		return grant{}, badRequest("invalid_grant", "PKCE verification failed")
	}
	g.used = true
	return *g, nil
}

// authenticate finds the client and checks that it proves itself in the way it is registered for, and in no other.
func (o *OIDC) authenticate(r *http.Request) (Client, *refusal) {
	unauthorized := &refusal{http.StatusUnauthorized, "invalid_client", "client authentication failed"}
	form := r.PostForm
	id, secret, way := form.Get("client_id"), "", "none"
	if user, password, ok := r.BasicAuth(); ok {
		way = "client_secret_basic"
		var err1, err2 error
		id, err1 = url.QueryUnescape(user)
		secret, err2 = url.QueryUnescape(password)
		if err1 != nil || err2 != nil || form.Has("client_secret") {
			return Client{}, unauthorized
		}
	} else if form.Has("client_secret") {
		way, secret = "client_secret_post", form.Get("client_secret")
	} else if form.Has("client_assertion") {
		way = "private_key_jwt"
		if id == "" {
			id = unverifiedSubject(form.Get("client_assertion"))
		}
	}
	o.mu.Lock()
	c, known := o.clients[id]
	o.mu.Unlock()
	want := c.Auth
	if want == "" {
		want = "client_secret_basic"
	}
	switch {
	case !known || way != want:
		return Client{}, unauthorized
	case strings.HasPrefix(way, "client_secret") && secret != c.Secret:
		return Client{}, unauthorized
	case way == "private_key_jwt" && !o.asserts(c, form):
		return Client{}, unauthorized
	}
	return c, nil
}

// assertion is the body of a client assertion.
type assertion struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	ID       string          `json:"jti"`
	Expires  int64           `json:"exp"`
}

func unverifiedSubject(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var a assertion
	if err := json.Unmarshal(payload, &a); err != nil {
		return ""
	}
	return a.Subject
}

// asserts checks private_key_jwt.
func (o *OIDC) asserts(c Client, form url.Values) bool {
	if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || c.Keys == nil {
		return false
	}
	signed, err := jose.ParseSignedCompact(form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA})
	if err != nil {
		return false
	}
	payload, err := signed.Verify(c.Keys)
	if err != nil {
		return false
	}
	var a assertion
	if err := json.Unmarshal(payload, &a); err != nil {
		return false
	}
	var one string
	many := []string{}
	if json.Unmarshal(a.Audience, &one) == nil {
		many = append(many, one)
	} else if json.Unmarshal(a.Audience, &many) != nil {
		return false
	}
	now := o.now().Unix()
	return a.Issuer == c.ID && a.Subject == c.ID && a.ID != "" && a.Expires > now && a.Expires <= now+int64(ahead.Seconds()) &&
		(slices.Contains(many, o.TokenEndpoint()) || slices.Contains(many, o.Issuer()))
}
