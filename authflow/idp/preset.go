package idp

import (
	"strings"

	"github.com/postern-audit/postern/policy"
)

// preset is what is known of a provider, so that nobody has to look it up. An empty endpoint comes from discovery.
type preset struct {
	issuer        string // {tenant} stands for the connection's tenant
	authorization string
	token         string
	userinfo      string
	clientAuth    string
	scopes        []string
	algorithms    []string
	formPost      bool   // answers come as a form, not in the address
	teamSecret    bool   // the client secret is a token that a private key signs, in the name of the tenant
	tenantHint    string // parameter that says the tenant to the provider
	tenantClaim   string // claim that must be the tenant when one is set
	emailClaim    string // claim that says of an e-mail that it is verified; "": email_verified
	plainOAuth    bool   // there is no ID token: the user API is asked
}

// presets is the one table of them. Sources are the providers' own developer pages.
func presets(name string) (preset, bool) {
	switch name {
	case policy.PresetGoogle:
		return preset{
			issuer: "https://accounts.google.com", clientAuth: policy.ClientSecretPost,
			scopes: []string{"openid", "email", "profile"}, algorithms: []string{"RS256"},
			tenantHint: "hd", tenantClaim: "hd",
		}, true
	case policy.PresetMicrosoft:
		return preset{
			issuer: "https://login.microsoftonline.com/{tenant}/v2.0", clientAuth: policy.ClientSecretPost,
			scopes: []string{"openid", "email", "profile"}, algorithms: []string{"RS256"},
			tenantClaim: "tid", emailClaim: "xms_edov",
		}, true
	case policy.PresetApple:
		return preset{
			issuer: "https://appleid.apple.com", clientAuth: policy.PrivateKeyJWT,
			scopes: []string{"openid", "email", "name"}, algorithms: []string{"RS256"},
			formPost: true, teamSecret: true, emailClaim: "email_verified", // which may be the text "true"
		}, true
	case policy.PresetGitHub:
		return preset{ //nolint:gosec // addresses, no credentials
			issuer:        "https://github.com",
			authorization: "https://github.com/login/oauth/authorize",
			token:         "https://github.com/login/oauth/access_token",
			userinfo:      "https://api.github.com/user",
			clientAuth:    policy.ClientSecretPost,
			scopes:        []string{"read:user", "user:email"},
			plainOAuth:    true,
		}, true
	case policy.PresetSlack:
		return preset{
			issuer: "https://slack.com", clientAuth: policy.ClientSecretPost,
			scopes: []string{"openid", "email", "profile"}, algorithms: []string{"RS256"},
			tenantHint: "team", tenantClaim: "https://slack.com/team_id",
		}, true
	}
	return preset{}, false
}

// ApplyPreset fills in what the connection's preset knows, so that a social connection needs a client id and a secret only. The
// issuer of a preset and its endpoints come together: with that issuer the endpoints are the preset's, whatever is written;
// with another one (GitHub Enterprise, a national cloud) they are the connection's. With apple, private_key_jwt means a client
// secret signed with the key KeyID of the team Tenant; with another client_auth the secret is such a token, made elsewhere.
func ApplyPreset(c policy.Connection) policy.Connection {
	p, known := presets(c.Preset)
	if !known || c.OIDC == nil {
		return c
	}
	o := *c.OIDC
	issuer := strings.ReplaceAll(p.issuer, "{tenant}", strings.ToLower(o.Tenant))
	if o.Issuer == "" || o.Issuer == issuer {
		o.Issuer, o.AuthorizationEndpoint, o.TokenEndpoint, o.UserinfoEndpoint = issuer, p.authorization, p.token, p.userinfo
		o.JWKSURI = ""
	}
	if o.ClientAuth == "" {
		o.ClientAuth = p.clientAuth
		if p.teamSecret && o.KeyID == "" {
			o.ClientAuth = policy.ClientSecretPost
		}
	}
	if len(o.Scopes) == 0 {
		o.Scopes = p.scopes
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = p.algorithms
	}
	c.OIDC = &o
	return c
}

// presetOf is the table's row of a connection; the zero preset when it has none.
func presetOf(c *policy.Connection) preset {
	p, _ := presets(c.Preset)
	return p
}
