package idptest

import (
	"net/http"
	"net/url"
	"strings"
)

// serveGitHubToken answers as GitHub does: errors come with status 200, and JSON only when it is asked for.
func (o *OIDC) serveGitHubToken(w http.ResponseWriter, r *http.Request) {
	answer := map[string]string{}
	if g, no := o.redeem(r); no != nil {
		code := no.code
		if code == "invalid_grant" {
			code = "bad_verification_code"
		}
		answer["error"], answer["error_description"] = code, no.description
	} else {
		answer["access_token"], answer["token_type"], answer["scope"] = o.accessToken(g.person), "bearer", "read:user,user:email"
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		reply(w, http.StatusOK, answer)
		return
	}
	form := url.Values{}
	for name, value := range answer {
		form.Set(name, value)
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
	_, _ = w.Write([]byte(form.Encode()))
}

// bearer is whose access token a request carries.
func (o *OIDC) bearer(w http.ResponseWriter, r *http.Request) (Person, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	o.mu.Lock()
	p, ok := o.access[token]
	o.mu.Unlock()
	if !ok || !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token") {
		reply(w, http.StatusUnauthorized, map[string]string{"message": "Bad credentials"})
		return Person{}, false
	}
	return p, true
}

// serveUser is the user API. The e-mail of the profile is what somebody made public, and proves nothing.
func (o *OIDC) serveUser(w http.ResponseWriter, r *http.Request) {
	p, ok := o.bearer(w, r)
	if !ok {
		return
	}
	user := map[string]any{"id": p.ID, "login": p.Login, "name": p.Name, "email": "public@elsewhere.example", "type": "User"}
	if o.is(NoSubject) {
		delete(user, "id")
	}
	reply(w, http.StatusOK, user)
}

// serveUserEmails lists the primary e-mail behind another one that is verified too.
func (o *OIDC) serveUserEmails(w http.ResponseWriter, r *http.Request) {
	p, ok := o.bearer(w, r)
	if !ok {
		return
	}
	type email struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if o.is(NoEmail) {
		reply(w, http.StatusOK, []email{})
		return
	}
	reply(w, http.StatusOK, []email{
		{Email: "gwen@private.example", Verified: true},
		{Email: p.Email, Primary: true, Verified: p.EmailVerified && !o.is(EmailUnverified)},
	})
}
