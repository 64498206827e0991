package idp

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/policy"
)

// token is an ID token with what it must fit.
type token struct {
	raw      secret.String
	access   secret.String
	code     secret.String
	nonce    *[32]byte
	maxAge   time.Duration
	now      time.Time
	fromCode bool // this process got it from the token endpoint
}

// Token implements authflow.Providers.
func (c *Client) Token(ctx context.Context, organizationUID string, conn *policy.Connection, t authflow.Token) (federation.Identity, error) {
	applied := ApplyPreset(*conn)
	if applied.OIDC == nil {
		return federation.Identity{}, errProtocol
	}
	if presetOf(&applied).plainOAuth {
		return federation.Identity{}, federation.Refuse(audit.ReasonMalformed, "the provider issues no ID tokens; hand in the code")
	}
	p, err := c.resolve(ctx, &applied)
	if err != nil {
		return federation.Identity{}, err
	}
	if err := sameIssuer(p, t.Issuer); err != nil {
		return federation.Identity{}, err
	}
	return c.idToken(ctx, organizationUID, &applied, p, token{
		raw: secret.NewString(t.Token), access: secret.NewString(t.AccessToken), nonce: t.NonceHash, maxAge: t.MaxAge, now: t.Now,
	})
}

// idToken judges an ID token with the keys of its provider.
func (c *Client) idToken(
	ctx context.Context, organizationUID string, conn *policy.Connection, p *provider, t token,
) (federation.Identity, error) {
	o := conn.OIDC
	expect := oidc.Expect{
		Issuer: p.issuer, ClientID: o.ClientID, Nonce: t.nonce, MaxAge: t.maxAge, AccessToken: t.access.Reveal(), Code: t.code.Reveal(),
		Algorithms: p.algorithms, Audiences: o.Audiences, AuthorizedParties: o.AuthorizedParties, Tenant: tenantExpected(conn),
	}
	raw := t.raw.Reveal()
	if t.fromCode && !hasClaim(raw, "at_hash") {
		expect.AccessToken = "" // both came over one connection to the provider, and it may leave the hash out
	}
	keys := c.keysOf(p.jwks)
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	id, err := oidc.Verify(ctx, []byte(raw), expect, keys, t.now)
	c.tell(ctx, organizationUID, conn.UID, ProviderKeys{Fingerprint: keys.Fingerprint()})
	if err != nil {
		return federation.Identity{}, err
	}
	return presetClaims(conn, raw, id)
}

// tenantExpected is the tenant that the verifier itself looks at.
func tenantExpected(conn *policy.Connection) string {
	switch known := presetOf(conn); {
	case conn.Preset == "" || known.tenantClaim == "hd":
		return conn.OIDC.Tenant
	case known.tenantClaim == "tid":
		return strings.ToLower(conn.OIDC.Tenant)
	}
	return ""
}

// presetClaims looks at what a preset says otherwise than OpenID Connect. The token was checked.
func presetClaims(conn *policy.Connection, raw string, id federation.Identity) (federation.Identity, error) {
	known := presetOf(conn)
	if known.emailClaim == "" && known.tenantClaim == "" {
		return id, nil
	}
	claims := claimsOf(raw)
	if known.emailClaim != "" {
		id.EmailVerified = id.Email != "" && jsonTrue(claims[known.emailClaim])
	}
	if tenantExpected(conn) == "" && known.tenantClaim != "" {
		var tenant string
		if json.Unmarshal(claims[known.tenantClaim], &tenant) == nil {
			id.Tenant = federation.Text(tenant, maxWords)
		}
		if want := conn.OIDC.Tenant; want != "" && tenant != want {
			return federation.Identity{}, federation.Refuse(audit.ReasonIssuerMismatch, "the tenant is %q, not %q", tenant, want)
		}
	}
	return id, nil
}

// claimsOf reads the claims of a compact token, as they stand there. Nothing it returns proves anything by itself.
func claimsOf(raw string) map[string]json.RawMessage {
	parts := strings.Split(raw, ".")
	if len(raw) > oidc.MaxToken || len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var claims map[string]json.RawMessage
	if json.Unmarshal(payload, &claims) != nil {
		return nil
	}
	return claims
}

func hasClaim(raw, name string) bool {
	_, has := claimsOf(raw)[name]
	return has
}
