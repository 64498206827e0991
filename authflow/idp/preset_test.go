package idp_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/idp"
	"github.com/postern-audit/postern/policy"
)

const tenant = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"

func TestAPresetNeedsAClientAndASecretOnly(t *testing.T) {
	for name, want := range map[string]policy.OIDC{
		policy.PresetGoogle: {Issuer: "https://accounts.google.com", ClientAuth: policy.ClientSecretPost, Algorithms: []string{"RS256"},
			Scopes: []string{"openid", "email", "profile"}},
		policy.PresetMicrosoft: {Issuer: "https://login.microsoftonline.com/" + tenant + "/v2.0", ClientAuth: policy.ClientSecretPost,
			Algorithms: []string{"RS256"}, Scopes: []string{"openid", "email", "profile"}},
		policy.PresetApple: {Issuer: "https://appleid.apple.com", ClientAuth: policy.ClientSecretPost, Algorithms: []string{"RS256"},
			Scopes: []string{"openid", "email", "name"}},
		policy.PresetGitHub: {Issuer: "https://github.com", ClientAuth: policy.ClientSecretPost,
			AuthorizationEndpoint: "https://github.com/login/oauth/authorize", TokenEndpoint: "https://github.com/login/oauth/access_token",
			UserinfoEndpoint: "https://api.github.com/user", Scopes: []string{"read:user", "user:email"}},
		policy.PresetSlack: {Issuer: "https://slack.com", ClientAuth: policy.ClientSecretPost, Algorithms: []string{"RS256"},
			Scopes: []string{"openid", "email", "profile"}},
	} {
		t.Run(name, func(t *testing.T) {
			given := policy.OIDC{ClientID: "id", Secret: []byte("sealed"), Tenant: strings.ToUpper(tenant)}
			// What is written beside a preset's own issuer does not lead its codes and secrets elsewhere.
			given.TokenEndpoint, given.JWKSURI = "https://evil.example/token", "https://evil.example/keys"
			conn := policy.Connection{Preset: name, OIDC: &given}
			got := idp.ApplyPreset(conn).OIDC
			if got.Issuer != want.Issuer || got.ClientAuth != want.ClientAuth || !slices.Equal(got.Scopes, want.Scopes) ||
				!slices.Equal(got.Algorithms, want.Algorithms) || got.AuthorizationEndpoint != want.AuthorizationEndpoint ||
				got.TokenEndpoint != want.TokenEndpoint || got.UserinfoEndpoint != want.UserinfoEndpoint || got.JWKSURI != "" {
				t.Errorf("got %+v", got)
			}
			if got.ClientID != "id" || string(got.Secret) != "sealed" || given.Issuer != "" || conn.OIDC != &given {
				t.Errorf("the connection itself was changed: %+v", given)
			}
			again := idp.ApplyPreset(policy.Connection{Preset: name, OIDC: got}).OIDC
			if again.Issuer != got.Issuer || again.TokenEndpoint != got.TokenEndpoint {
				t.Errorf("twice is not once: %+v", again)
			}
		})
	}
	if len(policy.Presets()) != 5 {
		t.Errorf("presets %v; the table above has 5", policy.Presets())
	}
}

func TestAPresetLeavesWhatIsSaidOtherwise(t *testing.T) {
	said := policy.OIDC{
		Issuer: "https://ghe.example", AuthorizationEndpoint: "https://ghe.example/a", TokenEndpoint: "https://ghe.example/t",
		UserinfoEndpoint: "https://ghe.example/api/v3/user", ClientAuth: policy.ClientSecretBasic, Scopes: []string{"user:email"},
	}
	got := idp.ApplyPreset(policy.Connection{Preset: policy.PresetGitHub, OIDC: &said}).OIDC
	if got.Issuer != said.Issuer || got.TokenEndpoint != said.TokenEndpoint || got.UserinfoEndpoint != said.UserinfoEndpoint ||
		got.ClientAuth != said.ClientAuth || !slices.Equal(got.Scopes, said.Scopes) {
		t.Errorf("got %+v", got)
	}
	apple := policy.OIDC{KeyID: "K", Tenant: "T"}
	if got := idp.ApplyPreset(policy.Connection{Preset: policy.PresetApple, OIDC: &apple}).OIDC; got.ClientAuth != policy.PrivateKeyJWT {
		t.Errorf("a key of Apple's is a secret: %+v", got)
	}
	plain := policy.Connection{OIDC: &policy.OIDC{Issuer: "https://x.example"}}
	if got := idp.ApplyPreset(plain); got.OIDC != plain.OIDC {
		t.Error("no preset, and something was applied")
	}
	if got := idp.ApplyPreset(policy.Connection{Preset: policy.PresetGoogle}); got.OIDC != nil {
		t.Error("no OIDC, and something was applied")
	}
}

// as makes the provider's connection one of a preset that is elsewhere than the real one.
func (p *provider) as(preset, tenant string) *policy.Connection {
	conn := p.connection()
	conn.Preset, conn.OIDC.Tenant, conn.OIDC.Algorithms, conn.Kind = preset, tenant, []string{"ES256"}, policy.ConnectionSocial
	return conn
}

func TestPresetsJudgeTenantsAndEmailsAsTheirProvidersMeanThem(t *testing.T) {
	const slackTeam = "https://slack.com/team_id"
	for _, c := range []struct {
		name, preset, tenant string
		claims               map[string]any
		reason               string
		verified             bool
	}{
		{"Google, any", policy.PresetGoogle, "", nil, "", true},
		{"Google, domain", policy.PresetGoogle, "partner.example", map[string]any{"hd": "partner.example"}, "", true},
		{"Google, another domain", policy.PresetGoogle, "partner.example", map[string]any{"hd": "other.example"}, audit.ReasonIssuerMismatch, false},
		{"Google, a private account", policy.PresetGoogle, "partner.example", nil, audit.ReasonIssuerMismatch, false},
		{"Google, unverified", policy.PresetGoogle, "", map[string]any{"email_verified": "true"}, "", false},
		{"Microsoft without xms_edov", policy.PresetMicrosoft, tenant, map[string]any{"tid": tenant}, "", false},
		{"Microsoft with it", policy.PresetMicrosoft, tenant, map[string]any{"tid": tenant, "xms_edov": true}, "", true},
		{"Microsoft, id in capitals", policy.PresetMicrosoft, strings.ToUpper(tenant), map[string]any{"tid": tenant, "xms_edov": "1"}, "", true},
		{"Microsoft, xms_edov false", policy.PresetMicrosoft, tenant, map[string]any{"tid": tenant, "xms_edov": false}, "", false},
		{"Microsoft, another tenant", policy.PresetMicrosoft, tenant, map[string]any{"tid": "9188040d-6c67-4c5b-b112-36a304b66dad"}, audit.ReasonIssuerMismatch, false},
		{"Microsoft, no tenant", policy.PresetMicrosoft, tenant, nil, audit.ReasonIssuerMismatch, false},
		{"Slack, any", policy.PresetSlack, "", map[string]any{slackTeam: "T1"}, "", true},
		{"Slack, team", policy.PresetSlack, "T1", map[string]any{slackTeam: "T1"}, "", true},
		{"Slack, another team", policy.PresetSlack, "T1", map[string]any{slackTeam: "T2"}, audit.ReasonIssuerMismatch, false},
		{"Slack, no team", policy.PresetSlack, "T1", nil, audit.ReasonIssuerMismatch, false},
		{"Apple says it as a text", policy.PresetApple, "", map[string]any{"email_verified": "true"}, "", true},
		{"Apple says no", policy.PresetApple, "", map[string]any{"email_verified": "false"}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProvider(t)
			p.claims = func(m map[string]any) {
				for k, v := range c.claims {
					m[k] = v
				}
			}
			id, err := p.client(t, nil).Redeem(t.Context(), orgUID, p.as(c.preset, c.tenant), code())
			if c.reason != "" {
				wantReason(t, err, c.reason)
				return
			}
			if err != nil || id.EmailVerified != c.verified {
				t.Fatalf("%+v, %v", id, err)
			}
			if c.preset == policy.PresetSlack && id.Tenant != "T1" {
				t.Errorf("tenant %q", id.Tenant)
			}
		})
	}
}

func TestPresetsAskAsTheirProvidersWant(t *testing.T) {
	p := newProvider(t)
	c := p.client(t, nil)
	for _, x := range []struct{ preset, tenant, parameter, want string }{
		{policy.PresetApple, "TEAM", "response_mode", "form_post"}, {policy.PresetGoogle, "partner.example", "hd", "partner.example"},
		{policy.PresetSlack, "T1", "team", "T1"}, {policy.PresetMicrosoft, tenant, "response_mode", ""}, {policy.PresetGoogle, "", "hd", ""},
	} {
		to, err := c.Begin(t.Context(), orgUID, p.as(x.preset, x.tenant), beginning())
		if err != nil {
			t.Fatal(err)
		}
		if got := query(t, to.URL).Get(x.parameter); got != x.want {
			t.Errorf("%s asks %s=%q, want %q", x.preset, x.parameter, got, x.want)
		}
	}
	conn := p.as(policy.PresetGitHub, "")
	conn.OIDC.AuthorizationEndpoint, conn.OIDC.TokenEndpoint, conn.OIDC.UserinfoEndpoint = p.URL+"/a", p.URL+"/t", p.URL+"/user"
	b := beginning()
	b.ACRValues = []string{"x"}
	to, err := c.Begin(t.Context(), orgUID, conn, b)
	if err != nil {
		t.Fatal(err)
	}
	if q := query(t, to.URL); q.Has("nonce") || q.Has("acr_values") || q.Get("scope") != "read:user user:email" || q.Get("code_challenge") != s256(theVerifier) {
		t.Errorf("asks %v", q)
	}
}
