package idp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// authorization makes the address that a sign-in at an OIDC provider begins with. PKCE is always asked for, with S256.
func (c *Client) authorization(ctx context.Context, conn *policy.Connection, b authflow.Beginning) (authflow.Redirect, error) {
	p, err := c.resolve(ctx, conn)
	if err != nil {
		return authflow.Redirect{}, err
	}
	at, err := url.Parse(p.authorization)
	if err != nil {
		return authflow.Redirect{}, unreachable("the authorization endpoint is not a URL")
	}
	q := at.Query()
	fill(q, conn, b)
	at.RawQuery = q.Encode()
	at.Fragment = ""
	return authflow.Redirect{URL: at.String(), Issuer: p.issuer}, nil
}

// fill writes the parameters. What the endpoint's own query says of one of them does not stand.
func fill(q url.Values, conn *policy.Connection, b authflow.Beginning) {
	known, o := presetOf(conn), conn.OIDC
	set := func(name, value string) {
		q.Del(name)
		if value != "" {
			q.Set(name, value)
		}
	}
	set("response_type", "code")
	set("client_id", o.ClientID)
	set("redirect_uri", callback(b.CallbackURL, o.RedirectURIs))
	set("scope", strings.Join(scopes(o), " "))
	set("state", b.State)
	set("code_challenge", challenge(b.Verifier))
	set("code_challenge_method", "S256")
	if !known.plainOAuth {
		set("nonce", b.Nonce)
		set("acr_values", strings.Join(wanted(b.ACRValues, o.ACRValues), " "))
		set("max_age", seconds(b.MaxAge))
	}
	set("login_hint", b.LoginHint)
	if b.Prompt {
		set("prompt", "login")
	}
	if known.formPost {
		set("response_mode", "form_post")
	}
	if known.tenantHint != "" && o.Tenant != "" {
		set(known.tenantHint, o.Tenant)
	}
}

func scopes(o *policy.OIDC) []string {
	if len(o.Scopes) == 0 {
		return []string{"openid", "email", "profile"}
	}
	return o.Scopes
}

// wanted is what the call asks for, else what the connection does.
func wanted(call, connection []string) []string {
	if call != nil {
		return call
	}
	return connection
}

// callback is the address people come back to: the one named, else the connection's first.
func callback(named string, list []string) string {
	if named == "" && len(list) > 0 {
		return list[0]
	}
	return named
}

// seconds rounds up, so that a short age does not become "whatever the age".
func seconds(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// challenge is the S256 challenge of a PKCE verifier.
func challenge(verifier string) string {
	h := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(h[:])
}
