package idp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/internal/outbound"
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/policy"
)

// tokens is what a code was exchanged for.
type tokens struct {
	id     secret.String
	access secret.String
}

// tokenAnswer is what is read of a token endpoint's answer, right or wrong.
type tokenAnswer struct {
	IDToken     secret.String `json:"id_token"`
	AccessToken secret.String `json:"access_token"`
	OK          *bool         `json:"ok"` // Slack
	Error       string        `json:"error"`
	Description string        `json:"error_description"`
}

// told is how a token endpoint answered.
type told struct {
	tokenAnswer
	status   int
	readable bool
	words    string // its own error, fit to be kept; "": it reports none
}

// exchange sends a code to its provider, once, and returns what it was taken for. A refusal IDP_UNREACHABLE means that nothing
// was sent; every other one that the code may be used up.
func (c *Client) exchange(ctx context.Context, organizationUID string, conn *policy.Connection, p *provider, code authflow.Code) (tokens, error) {
	t, err := c.ask(ctx, organizationUID, conn, p, code)
	if err != nil {
		return tokens{}, err
	}
	plain := presetOf(conn).plainOAuth
	why := ""
	switch {
	case t.words != "":
		why = "the provider answered " + t.words
	case t.status != http.StatusOK:
		why = "the provider answered with HTTP status " + strconv.Itoa(t.status)
	case !t.readable:
		why = "the provider's answer is not JSON"
	case plain && t.AccessToken.IsZero():
		why = "the provider's answer has no access token"
	case !plain && t.IDToken.IsZero():
		why = "the provider's answer has no ID token; is the scope openid asked for?"
	default:
		return tokens{id: t.IDToken, access: t.AccessToken}, nil
	}
	return tokens{}, federation.Refuse(audit.ReasonCodeExchangeFailed, "%s", why)
}

// ask sends a code and reads the answer, whatever it is.
func (c *Client) ask(ctx context.Context, organizationUID string, conn *policy.Connection, p *provider, code authflow.Code) (told, error) {
	who, err := c.prove(ctx, organizationUID, conn, p)
	if errors.Is(err, errNoSecret) || errors.Is(err, errKey) {
		return told{}, federation.Refuse(audit.ReasonCodeExchangeFailed, "%s", err.Error())
	} else if err != nil {
		return told{}, err
	}
	form := map[string]secret.String{
		"grant_type":    secret.NewString("authorization_code"),
		"code":          secret.NewString(code.Code),
		"redirect_uri":  secret.NewString(callback(code.CallbackURL, conn.OIDC.RedirectURIs)),
		"code_verifier": secret.NewString(code.Verifier),
	}
	hidden := slices.Concat(who.hidden, []secret.String{form["code"], form["code_verifier"]})
	maps.Copy(form, who.form)
	a, err := c.post(ctx, p.token, form, who.header)
	if err != nil {
		return told{}, notExchanged(err)
	}
	t := told{status: a.status}
	t.readable = decode(a.body, &t.tokenAnswer) == nil
	if t.readable && (t.Error != "" || t.OK != nil && !*t.OK) {
		t.words = said(t.tokenAnswer, hidden)
	}
	return t, nil
}

// post sends a form, once: no redirect is followed, and the transport tries another connection for a POST only when the one it
// had was closed before a byte of it was written.
func (c *Client) post(ctx context.Context, at string, form map[string]secret.String, authorization secret.String) (answer, error) {
	var body bytes.Buffer
	for i, name := range slices.Sorted(maps.Keys(form)) {
		if i > 0 {
			body.WriteByte('&')
		}
		body.WriteString(url.QueryEscape(name) + "=" + url.QueryEscape(form[name].Reveal()))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, &body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !authorization.IsZero() {
		req.Header.Set("Authorization", authorization.Reveal())
	}
	return c.do(ctx, req, maxDocument)
}

// notExchanged makes a refusal of an error of the network: unreachable only when nothing was sent.
func notExchanged(err error) *federation.Refusal {
	e := outbound.As(err)
	switch {
	case e == nil:
		return federation.Refuse(audit.ReasonCodeExchangeFailed, "the token endpoint: no answer")
	case !e.Sent:
		return unreachable("the token endpoint: %s", e.Detail)
	default:
		return federation.Refuse(audit.ReasonCodeExchangeFailed, "the token endpoint: %s", e.Detail)
	}
}

// said is a provider's own error and description, short, and without anything that was sent: some echo it.
func said(t tokenAnswer, hidden []secret.String) string {
	text := "no"
	if t.Error != "" {
		text = scrub(cut(t.Error, maxWords), hidden)
	}
	if t.Description != "" {
		text += ": " + scrub(cut(t.Description, maxWords), hidden)
	}
	return text
}

// shortest is the length in bytes from which on a piece of something private is too much of it.
const shortest = 8

// scrub drops a text that holds something private, or a piece of it.
func scrub(text string, hidden []secret.String) string {
	for _, h := range hidden {
		p := h.Reveal()
		for _, form := range []string{p, url.QueryEscape(p)} {
			if holds(text, form) {
				return "[not kept: it repeats what was sent]"
			}
		}
	}
	return text
}

// holds reports whether text has all of p in it, or shortest bytes of it in a row.
func holds(text, p string) bool {
	if len(p) == 0 {
		return false
	}
	if len(p) <= shortest {
		return strings.Contains(text, p)
	}
	for i := 0; i+shortest <= len(p); i++ {
		if strings.Contains(text, p[i:i+shortest]) {
			return true
		}
	}
	return false
}

// jsonTrue reports whether a claim says yes: some providers write "true" or 1 for true.
func jsonTrue(raw json.RawMessage) bool {
	switch string(bytes.TrimSpace(raw)) {
	case "true", `"true"`, "1", `"1"`:
		return true
	}
	return false
}
