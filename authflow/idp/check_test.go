package idp_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/authflow/idp"
	"github.com/postern-audit/postern/internal/testkit/idptest"
	"github.com/postern-audit/postern/policy"
)

// said finds a finding about something, the worst first.
func said(list []policy.Finding, what string) policy.Finding {
	var worst policy.Finding
	for _, f := range list {
		if f.What == what && f.Severity > worst.Severity {
			worst = f
		}
	}
	return worst
}

// wantFinding checks the worst finding about something, and that nothing at all is worse than it.
func wantFinding(t *testing.T, list []policy.Finding, what string, severity policy.Severity, detail string) {
	t.Helper()
	got := said(list, what)
	if got.Severity != severity || !strings.Contains(got.Detail, detail) || severity > policy.SeverityOK && got.Fix == "" {
		t.Errorf("%s: %+v, want severity %d and %q\nall: %+v", what, got, severity, detail, list)
	}
	for _, f := range list {
		if f.Severity > severity || f.Detail == "" || f.What == "" {
			t.Errorf("beside it: %+v", f)
		}
	}
	for _, private := range []string{"canary", idptest.SecretText} {
		if all := fmt.Sprintf("%+v", list); strings.Contains(all, private) {
			t.Errorf("the findings hold a secret: %s", all)
		}
	}
}

func TestAnOpenIDConnectionIsTriedOut(t *testing.T) {
	key := must(jwks(t))
	o := idptest.NewOIDC(t, idptest.WithClient(idptest.Client{ID: "postern", Secret: "right-canary"}))
	const ok, warning, failure = policy.SeverityOK, policy.SeverityWarning, policy.SeverityError
	for _, c := range []struct {
		name     string
		fault    idptest.Fault
		at       idptest.Endpoint
		manner   idptest.Manner
		change   func(*policy.Connection)
		what     string
		severity policy.Severity
		detail   string
	}{
		{name: "good", what: "token endpoint", severity: ok, detail: "knows the client"},
		{name: "switched off", change: func(c *policy.Connection) { c.Disabled = true }, what: "state", severity: warning, detail: "switched off"},
		{name: "wrong issuer", fault: idptest.DiscoveryIssuer, what: "discovery", severity: failure, detail: "https://other.example"},
		{name: "nobody there", at: idptest.Discovery, manner: idptest.Unavailable, what: "discovery", severity: failure, detail: "503"},
		{name: "garbage", at: idptest.Discovery, manner: idptest.Garbage, what: "discovery", severity: failure, detail: "not a discovery document"},
		{name: "redirect", at: idptest.Discovery, manner: idptest.Redirect, what: "discovery", severity: failure, detail: "redirects are not followed"},
		{name: "inside", change: func(c *policy.Connection) { c.OIDC.Issuer = "https://10.0.0.1" }, what: "discovery", severity: failure, detail: "private address"},
		{name: "endpoint inside", change: func(c *policy.Connection) { c.OIDC.JWKSURI = "https://169.254.169.254/" }, what: "endpoints", severity: failure, detail: "metadata"},
		{name: "algorithms", change: func(c *policy.Connection) { c.OIDC.Algorithms = []string{"ES512"} }, what: "algorithms", severity: failure, detail: "none of"},
		{name: "no keys", fault: idptest.NoKeys, what: "keys", severity: failure, detail: "none of 0"},
		{name: "keys for something else", fault: idptest.KeyForEncryption, what: "keys", severity: failure, detail: "none of 1"},
		{name: "short keys", fault: idptest.ShortKey, what: "keys", severity: failure, detail: "none of 1"},
		{name: "keys are garbage", at: idptest.JWKS, manner: idptest.Garbage, what: "keys", severity: failure, detail: "not a key set"},
		{name: "keys are away", at: idptest.JWKS, manner: idptest.Unavailable, what: "keys", severity: failure, detail: "503"},
		{name: "no secret", change: func(c *policy.Connection) { c.OIDC.Secret = nil }, what: "secret", severity: failure, detail: "none"},
		{name: "secret of another", change: func(c *policy.Connection) { c.OIDC.Secret = []byte("x") }, what: "secret", severity: failure, detail: "cannot be opened"},
		{name: "no key", change: func(c *policy.Connection) {
			c.OIDC.ClientAuth, c.OIDC.Secret = policy.PrivateKeyJWT, []byte("sealed:canary")
		}, what: "secret", severity: failure, detail: "not a private key"},
		{name: "wrong secret", change: func(c *policy.Connection) { c.OIDC.Secret = []byte("sealed:wrong-canary") }, what: "token endpoint", severity: failure, detail: "invalid_client"},
		{name: "wrong client", change: func(c *policy.Connection) { c.OIDC.ClientID = "other" }, what: "token endpoint", severity: failure, detail: "invalid_client"},
		{name: "another client_auth", change: func(c *policy.Connection) {
			c.OIDC.ClientAuth, c.OIDC.Secret = policy.PrivateKeyJWT, key.sealed
		}, what: "token endpoint", severity: failure, detail: "invalid_client"},
		{name: "tokens are away", at: idptest.Token, manner: idptest.Unavailable, what: "token endpoint", severity: warning, detail: "503"},
		{name: "tokens are garbage", at: idptest.Token, manner: idptest.Garbage, what: "token endpoint", severity: warning, detail: "200"},
		{name: "tokens redirect", at: idptest.Token, manner: idptest.Redirect, what: "token endpoint", severity: failure, detail: "redirects are not followed"},
		{name: "plain redirect", change: func(c *policy.Connection) { c.OIDC.RedirectURIs = []string{"http://127.0.0.1/cb"} }, what: "redirect addresses", severity: warning, detail: "http://127.0.0.1/cb"},
		{name: "no redirect", change: func(c *policy.Connection) { c.OIDC.RedirectURIs = nil }, what: "redirect addresses", severity: failure, detail: "none"},
		{name: "nothing is verified", change: func(c *policy.Connection) { c.OIDC = nil }, what: "protocol", severity: warning, detail: "login service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer o.Mend()
			if c.fault != "" {
				o.Break(c.fault)
			}
			if c.at != "" {
				o.Answer(c.at, c.manner)
			}
			conn := openID(o)
			if c.change != nil {
				c.change(conn)
			}
			client := speaks(t, o.RootCAs(), func(cfg *idp.Config) { cfg.Now = time.Now })
			wantFinding(t, client.Test(t.Context(), orgUID, conn), c.what, c.severity, c.detail)
		})
	}
}

func TestATestLooksAnewAndSaysWhatOnlyThisProviderDoes(t *testing.T) {
	p := newProvider(t)
	c := p.client(t, func(cfg *idp.Config) { cfg.Now = time.Now })
	conn := p.connection()
	p.change = func(d map[string]any) {
		d["code_challenge_methods_supported"] = []string{"plain"}
		d["token_endpoint_auth_methods_supported"] = []string{"client_secret_post", "tls_client_auth"}
	}
	p.on("/token", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		answer(w, map[string]string{"error": "invalid_grant"})
	})
	list := c.Test(t.Context(), orgUID, conn)
	wantFinding(t, list, "PKCE", policy.SeverityWarning, "S256")
	wantFinding(t, list, "client_auth", policy.SeverityWarning, "client_secret_basic")
	if got := said(list, "client_auth"); got.Fix != "write one the provider takes: client_secret_post" {
		t.Errorf("%+v", got)
	}
	p.change = nil
	wantFinding(t, c.Test(t.Context(), orgUID, conn), "token endpoint", policy.SeverityOK, "knows")
	p.on("/token", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]string{"id_token": "a.b.c"}) })
	wantFinding(t, c.Test(t.Context(), orgUID, conn), "token endpoint", policy.SeverityError, "nobody was given")
	p.on("/token", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"error": "redirect_uri_mismatch"})
	})
	wantFinding(t, c.Test(t.Context(), orgUID, conn), "token endpoint", policy.SeverityError, "redirect_uri_mismatch")
}

func TestATestComparesClocks(t *testing.T) {
	for ahead, want := range map[time.Duration]string{0: "right", 2 * time.Minute: "behind", -2 * time.Minute: "ahead"} {
		o := idptest.NewOIDC(t)
		client := speaks(t, o.RootCAs(), func(cfg *idp.Config) { cfg.Now = func() time.Time { return time.Now().Add(ahead) } })
		severity := policy.SeverityWarning
		if ahead == 0 {
			severity = policy.SeverityOK
		}
		wantFinding(t, client.Test(t.Context(), orgUID, openID(o)), "clock", severity, want)
	}
}

func TestAGitHubConnectionIsTriedOut(t *testing.T) {
	o := idptest.NewOIDC(t, idptest.WithClient(idptest.Client{ID: "gh", Auth: "client_secret_post"}))
	client := speaks(t, o.RootCAs(), func(cfg *idp.Config) { cfg.Now = time.Now })
	wantFinding(t, client.Test(t.Context(), orgUID, github(o)), "token endpoint", policy.SeverityOK, "knows")
	wantFinding(t, client.Test(t.Context(), orgUID, github(o)), "user API", policy.SeverityOK, "wants a token")
	o.Answer(idptest.User, idptest.Garbage)
	wantFinding(t, client.Test(t.Context(), orgUID, github(o)), "user API", policy.SeverityWarning, "200")
	o.Answer(idptest.User, idptest.Redirect)
	wantFinding(t, client.Test(t.Context(), orgUID, github(o)), "user API", policy.SeverityError, "redirects")
	wrong := github(o)
	wrong.OIDC.Secret = []byte("sealed:wrong-canary")
	o.Mend()
	wantFinding(t, client.Test(t.Context(), orgUID, wrong), "token endpoint", policy.SeverityError, "invalid_client")
}

func TestASAMLConnectionIsTriedOut(t *testing.T) {
	sealed, _ := samlPair(t)
	usual := idptest.NewSAML(t, idptest.Clock(now))
	const ok, warning, failure = policy.SeverityOK, policy.SeverityWarning, policy.SeverityError
	for _, c := range []struct {
		name     string
		until    time.Duration
		fault    idptest.Fault
		manner   idptest.Manner
		change   func(*policy.SAML)
		what     string
		severity policy.Severity
		detail   string
	}{
		{name: "good", what: "request", severity: ok, detail: "can be made"},
		{name: "certificates are good", what: "certificates", severity: ok, detail: "valid until"},
		{name: "signs", change: func(s *policy.SAML) { s.SignsRequests, s.Key = true, sealed }, what: "private key", severity: ok, detail: "can be used"},
		{name: "certificate ends soon", until: 20 * 24 * time.Hour, what: "certificates", severity: warning, detail: "expires at"},
		{name: "certificate has ended", until: -time.Hour, what: "certificates", severity: failure, detail: "none of 1"},
		{name: "no certificate", change: func(s *policy.SAML) { s.Certificates = nil }, what: "certificates", severity: failure, detail: "none of 0"},
		{name: "no sign-in address", change: func(s *policy.SAML) { s.RedirectURL, s.PostURL = "", "" }, what: "sign-in address", severity: failure, detail: "none"},
		{name: "plain sign-in address", change: func(s *policy.SAML) { s.PostURL = "http://127.0.0.1/sso" }, what: "sign-in address", severity: warning, detail: "not https"},
		{name: "no ACS", change: func(s *policy.SAML) { s.ACSURLs = nil }, what: "ACS addresses", severity: failure, detail: "none"},
		{name: "no key to sign with", change: func(s *policy.SAML) { s.SignsRequests = true }, what: "private key", severity: failure, detail: "no private key"},
		{name: "no key to decrypt with", change: func(s *policy.SAML) { s.AllowsEncryption, s.Key = true, []byte("sealed:canary") }, what: "private key", severity: failure, detail: "no private key"},
		{name: "key of another", change: func(s *policy.SAML) { s.SignsRequests, s.Key = true, []byte("x") }, what: "private key", severity: failure, detail: "cannot be opened"},
		{name: "metadata", change: func(s *policy.SAML) { s.MetadataURL, s.Certificates = s.EntityID, nil }, what: "metadata", severity: warning, detail: "valid until"},
		{name: "metadata of another", fault: idptest.MetadataOfAnother, change: func(s *policy.SAML) { s.MetadataURL = s.EntityID }, what: "metadata", severity: failure, detail: "other.example"},
		{name: "metadata run out", fault: idptest.MetadataOutdated, change: func(s *policy.SAML) { s.MetadataURL = s.EntityID }, what: "metadata", severity: failure, detail: "valid until"},
		{name: "metadata away", manner: idptest.Unavailable, change: func(s *policy.SAML) { s.MetadataURL, s.Certificates = s.EntityID, nil }, what: "metadata", severity: failure, detail: "503"},
		{name: "metadata unsigned", change: func(s *policy.SAML) { s.MetadataURL, s.MetadataCertificate = s.EntityID, s.Certificates[0] }, what: "metadata", severity: failure, detail: "not signed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := usual
			if c.until != 0 {
				s = idptest.NewSAML(t, idptest.Clock(now), idptest.CertificateUntil(now().Add(c.until)))
			}
			defer s.Mend()
			if c.fault != "" {
				s.Break(c.fault)
			}
			s.Answer(idptest.Metadata, c.manner)
			conn := assertions(s)
			if c.change != nil {
				c.change(conn.SAML)
			}
			at := now()
			if c.name == "metadata" {
				at = at.Add(time.Minute) // less than a day is left
			}
			client := speaks(t, s.RootCAs(), func(cfg *idp.Config) { cfg.Now = func() time.Time { return at } })
			list := client.Test(t.Context(), orgUID, conn)
			if conn.SAML.MetadataURL != "" && c.manner == "" {
				list = withoutClock(t, list)
			}
			wantFinding(t, list, c.what, c.severity, c.detail)
		})
	}
}

// withoutClock drops the finding about the clock: the provider's Date is of the real one.
func withoutClock(t *testing.T, list []policy.Finding) []policy.Finding {
	t.Helper()
	var rest []policy.Finding
	for _, f := range list {
		if f.What != "clock" {
			rest = append(rest, f)
		}
	}
	if len(rest) == len(list) {
		t.Errorf("nothing about the clock: %+v", list)
	}
	return rest
}

func TestASmallKeyOfAProviderIsSaid(t *testing.T) {
	s := idptest.NewSAML(t, idptest.Clock(now))
	conn := assertions(s)
	conn.SAML.Certificates = append(conn.SAML.Certificates, smallCertificate(t))
	client := speaks(t, s.RootCAs(), nil)
	wantFinding(t, client.Test(t.Context(), orgUID, conn), "certificates", policy.SeverityWarning, "1024 bits")
	if _, err := x509.ParseCertificate(conn.SAML.Certificates[1]); err != nil {
		t.Fatal(err)
	}
}

func TestOwnKeysAreLookedAt(t *testing.T) {
	s := idptest.NewSAML(t, idptest.Clock(now))
	conn := assertions(s)
	conn.SAML.AllowsEncryption, conn.SAML.Key = true, ecdsaPair(t)
	wantFinding(t, speaks(t, s.RootCAs(), nil).Test(t.Context(), orgUID, conn), "private key", policy.SeverityError, "no RSA key")
	conn.SAML.AllowsEncryption, conn.SAML.SignsRequests = false, true
	later := speaks(t, s.RootCAs(), func(cfg *idp.Config) { cfg.Now = func() time.Time { return now().AddDate(0, 11, 20) } })
	wantFinding(t, later.Test(t.Context(), orgUID, conn), "private key", policy.SeverityWarning, "its certificate ends at")

	p := newProvider(t)
	apple := p.as(policy.PresetApple, "")
	apple.OIDC.KeyID, apple.OIDC.Secret = "K", append([]byte("sealed:"), pkcs8(p.key)...)
	client := p.client(t, func(cfg *idp.Config) { cfg.Now = time.Now })
	p.on("/token", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]string{"error": "invalid_grant"}) })
	wantFinding(t, client.Test(t.Context(), orgUID, apple), "secret", policy.SeverityError, "team")
	apple.OIDC.Tenant = "TEAM"
	wantFinding(t, client.Test(t.Context(), orgUID, apple), "secret", policy.SeverityOK, "ES256")
	open := p.connection()
	open.OIDC.ClientAuth, open.OIDC.Secret = policy.ClientAuthNone, nil
	wantFinding(t, client.Test(t.Context(), orgUID, open), "secret", policy.SeverityOK, "PKCE")
}
