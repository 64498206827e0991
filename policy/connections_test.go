package policy_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// keys are made once: RSA keys take their time.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	rsaKey := func(bits int) crypto.Signer { k, _ := rsa.GenerateKey(rand.Reader, bits); return k }
	curve := func(c elliptic.Curve) crypto.Signer { k, _ := ecdsa.GenerateKey(c, rand.Reader); return k }
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	return map[string]crypto.Signer{"rsa": rsaKey(2048), "short": rsaKey(1024), "p256": curve(elliptic.P256()), "p224": curve(elliptic.P224()), "ed": ed}
})

// certificateOf is the DER of a certificate of a key.
func certificateOf(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func keyPEM(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("PRIVATE KEY", der)
}

// connected has one connection of each protocol with something in every field.
func connected(t *testing.T) *policy.Organization {
	t.Helper()
	o := sound()
	o.Connections = append(o.Connections,
		policy.Connection{ID: "corp", UID: "u1", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC,
			Domains: []policy.DomainMatch{{Domain: mustDomain("partner-x.com")}}, TrustsEmail: true, LinksByEmail: true,
			OIDC: &policy.OIDC{Issuer: "https://idp.partner-x.com/realms/a", ClientID: "us", AuthorizationEndpoint: "https://idp.partner-x.com/authorize?audience=us",
				TokenEndpoint: "https://idp.partner-x.com/token", JWKSURI: "https://idp.partner-x.com/keys", ClientAuth: policy.PrivateKeyJWT, KeyID: "k",
				Scopes: []string{"openid", "email"}, Algorithms: []string{"RS256", "EdDSA"}, RedirectURIs: []string{"https://login.acme-x.com/cb", "http://127.0.0.1:8080/cb"},
				Audiences: []string{"api"}, AuthorizedParties: []string{"app"}, ACRValues: []string{"urn:mfa"}}},
		policy.Connection{ID: "agency", UID: "u2", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolSAML,
			SAML: &policy.SAML{EntityID: "urn:agency:idp", RedirectURL: "https://idp.agency-x.com/sso", PostURL: "https://idp.agency-x.com/post",
				Certificates: [][]byte{certificateOf(t, keys()["rsa"]), certificateOf(t, keys()["p256"])}, MetadataURL: "https://idp.agency-x.com/metadata",
				MetadataCertificate: certificateOf(t, keys()["rsa"]), SPEntityID: "https://login.acme-x.com/saml", ACSURLs: []string{"https://login.acme-x.com/acs"},
				SignsRequests: true, AllowsUnsolicited: true, ResponseSignatureOnly: true, AllowsEncryption: true, AllowsPrefixLists: true, NameIDFormat: "urn:f",
				EmailAttribute: "mail", NameAttribute: "cn", RequestedContexts: []string{"urn:c"}}},
		policy.Connection{ID: "entra", UID: "u3", Kind: policy.ConnectionSocial, Protocol: policy.ProtocolOIDC, Preset: policy.PresetMicrosoft,
			OIDC: &policy.OIDC{ClientID: "us", Tenant: "11111111-2222-3333-4444-55555555555F", RedirectURIs: []string{"https://login.acme-x.com/cb"}}},
		policy.Connection{ID: "apple", UID: "u4", Kind: policy.ConnectionSocial, Protocol: policy.ProtocolOIDC, Preset: policy.PresetApple,
			OIDC: &policy.OIDC{ClientID: "us", Tenant: "TEAM", KeyID: "KEY", RedirectURIs: []string{"https://login.acme-x.com/cb"}}},
		policy.Connection{ID: "github", UID: "u5", Kind: policy.ConnectionSocial, Protocol: policy.ProtocolOIDC, Preset: policy.PresetGitHub,
			OIDC: &policy.OIDC{Issuer: "https://git.acme-x.com", ClientID: "us", Scopes: []string{"read:user"}, UserinfoEndpoint: "https://git.acme-x.com/api/v3/user",
				RedirectURIs: []string{"https://login.acme-x.com/cb"}}})
	return o
}

func TestSoundConnectionsHaveNoProblems(t *testing.T) {
	if got := connected(t).Validate(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestEachProblemOfAConnectionIsFoundWithItsPathAndAFix(t *testing.T) {
	type conn = policy.Connection
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, "https://login.acme-x.com/"+strings.Repeat("x", i+1))
		}
		return list
	}
	for want, spoil := range map[string]struct {
		id    string
		spoil func(c *conn)
	}{
		"preset|unknown preset":                 {"entra", func(c *conn) { c.Preset = "yahoo" }},
		"preset|for OIDC":                       {"agency", func(c *conn) { c.Preset = policy.PresetGoogle }},
		"preset|not named":                      {"entra", func(c *conn) { c.OIDC = nil }},
		"kind|has a kind":                       {"entra", func(c *conn) { c.Kind = 0 }},
		"saml|one protocol":                     {"corp", func(c *conn) { c.SAML = &policy.SAML{} }},
		"protocol|oidc is given":                {"corp", func(c *conn) { c.Protocol = policy.ProtocolSAML }},
		"protocol|saml is given":                {"agency", func(c *conn) { c.Protocol = policy.ProtocolOIDC }},
		"trusts_email|not said":                 {"corp", func(c *conn) { c.Domains = nil }},
		"links_by_email|any e-mail":             {"corp", func(c *conn) { c.Domains, c.TrustsEmail = nil, false }},
		"domains[1]|twice":                      {"corp", func(c *conn) { c.Domains = append(c.Domains, c.Domains[0]) }},
		"oidc.issuer|not said":                  {"corp", func(c *conn) { c.OIDC.Issuer = "" }},
		"oidc.issuer|no query":                  {"corp", func(c *conn) { c.OIDC.Issuer += "?" }},
		"oidc.issuer|https":                     {"corp", func(c *conn) { c.OIDC.Issuer = "http://idp.partner-x.com" }},
		"oidc.client_id|missing":                {"corp", func(c *conn) { c.OIDC.ClientID = "" }},
		"oidc.client_id|longer":                 {"corp", func(c *conn) { c.OIDC.ClientID = strings.Repeat("x", 513) }},
		"oidc.token_endpoint|user":              {"corp", func(c *conn) { c.OIDC.TokenEndpoint = "https://a:b@idp.partner-x.com/" }},
		"oidc.token_endpoint|web address":       {"corp", func(c *conn) { c.OIDC.TokenEndpoint = "https:idp.partner-x.com" }},
		"oidc.jwks_uri|fragment":                {"corp", func(c *conn) { c.OIDC.JWKSURI += "#" }},
		"oidc.jwks_uri|longer":                  {"corp", func(c *conn) { c.OIDC.JWKSURI += strings.Repeat("x", 2048) }},
		"oidc.authorization_endpoint|web":       {"corp", func(c *conn) { c.OIDC.AuthorizationEndpoint += " " }},
		"oidc.userinfo_endpoint|github":         {"corp", func(c *conn) { c.OIDC.UserinfoEndpoint = c.OIDC.TokenEndpoint }},
		"oidc.client_auth|unknown way":          {"corp", func(c *conn) { c.OIDC.ClientAuth = "tls_client_auth" }},
		"oidc.key_id|belongs to":                {"corp", func(c *conn) { c.OIDC.ClientAuth = policy.ClientSecretPost }},
		"oidc|key of a team":                    {"apple", func(c *conn) { c.OIDC.Tenant = "" }},
		"oidc.scopes[0]|not a scope":            {"corp", func(c *conn) { c.OIDC.Scopes[0] = "openid email" }},
		"oidc.scopes|no ID token":               {"corp", func(c *conn) { c.OIDC.Scopes = []string{"email"} }},
		"oidc.algorithms[0]|not an algorithm":   {"corp", func(c *conn) { c.OIDC.Algorithms[0] = "HS256" }},
		"oidc.algorithms[1]|not an algorithm":   {"corp", func(c *conn) { c.OIDC.Algorithms[1] = "none" }},
		"oidc.algorithms[1]|twice":              {"corp", func(c *conn) { c.OIDC.Algorithms[1] = "RS256" }},
		"oidc.redirect_uris[0]|pattern":         {"corp", func(c *conn) { c.OIDC.RedirectURIs[0] = "https://*.acme-x.com/cb" }},
		"oidc.redirect_uris[1]|https":           {"corp", func(c *conn) { c.OIDC.RedirectURIs[1] = "http://127.0.0.1.evil-x.com/" }},
		"oidc.redirect_uris[1]|twice":           {"corp", func(c *conn) { c.OIDC.RedirectURIs[1] = c.OIDC.RedirectURIs[0] }},
		"oidc.redirect_uris|at most 16":         {"corp", func(c *conn) { c.OIDC.RedirectURIs = many(17) }},
		"oidc.audiences|at most 16":             {"corp", func(c *conn) { c.OIDC.Audiences = many(17) }},
		"oidc.authorized_parties[0]|missing":    {"corp", func(c *conn) { c.OIDC.AuthorizedParties[0] = "" }},
		"oidc.acr_values[0]|control":            {"corp", func(c *conn) { c.OIDC.ACRValues[0] = "a\nb" }},
		"oidc.tenant|one tenant":                {"entra", func(c *conn) { c.OIDC.Tenant = "common" }},
		"oidc.tenant|longer":                    {"corp", func(c *conn) { c.OIDC.Tenant = strings.Repeat("x", 257) }},
		"saml.entity_id|missing":                {"agency", func(c *conn) { c.SAML.EntityID = "" }},
		"saml.sp_entity_id|missing":             {"agency", func(c *conn) { c.SAML.SPEntityID = "" }},
		"saml.post_url|https":                   {"agency", func(c *conn) { c.SAML.PostURL = "javascript://x/%0aalert(1)" }},
		"saml.certificates|not said":            {"agency", func(c *conn) { c.SAML.Certificates, c.SAML.MetadataURL = nil, "" }},
		"saml.certificates[0]|2048":             {"agency", func(c *conn) { c.SAML.Certificates[0] = certificateOf(t, keys()["short"]) }},
		"saml.certificates[0]|X.509":            {"agency", func(c *conn) { c.SAML.Certificates[0] = []byte("x") }},
		"saml.certificates[0]|8 KiB":            {"agency", func(c *conn) { c.SAML.Certificates[0] = make([]byte, 8<<10+1) }},
		"saml.certificates[1]|twice":            {"agency", func(c *conn) { c.SAML.Certificates[1] = c.SAML.Certificates[0] }},
		"saml.certificates|at most 8":           {"agency", func(c *conn) { c.SAML.Certificates = make([][]byte, 9) }},
		"saml.metadata_certificate[0]|curve":    {"agency", func(c *conn) { c.SAML.MetadataCertificate = certificateOf(t, keys()["p224"]) }},
		"saml.metadata_certificate|no metadata": {"agency", func(c *conn) { c.SAML.MetadataURL = "" }},
		"saml.acs_urls|not said":                {"agency", func(c *conn) { c.SAML.ACSURLs = nil }},
		"saml.acs_urls|at most 16":              {"agency", func(c *conn) { c.SAML.ACSURLs = many(17) }},
		"saml.email_attribute|longer":           {"agency", func(c *conn) { c.SAML.EmailAttribute = strings.Repeat("x", 257) }},
		"saml.requested_contexts[0]|missing":    {"agency", func(c *conn) { c.SAML.RequestedContexts[0] = "" }},
		"oidc.redirect_uris|no sign-in":         {"corp", func(c *conn) { c.OIDC.RedirectURIs = nil }},
		"saml.redirect_url|no sign-in": {"agency", func(c *conn) {
			c.SAML.RedirectURL, c.SAML.PostURL, c.SAML.MetadataURL, c.SAML.MetadataCertificate = "", "", "", nil
		}},
		"|count only where the sign-in is verif": {"corp", func(c *conn) { c.OIDC = nil }},
	} {
		o := connected(t)
		spoil.spoil(o.Connection(spoil.id))
		path, text, _ := strings.Cut(want, "|")
		at := strings.TrimSuffix("connections["+spoil.id+"]."+path, ".")
		found := false
		for _, p := range o.Validate() {
			warns := strings.Contains(text, "no sign-in") || strings.Contains(text, "count only") || text == "any e-mail"
			found = found || p.Path == at && strings.Contains(p.Text, text) && p.Fix != "" && p.Warning == warns
		}
		if !found {
			t.Errorf("%s: %+v", want, o.Validate())
		}
	}
}

func TestASecretFitsWhatTheConnectionTakes(t *testing.T) {
	k := keys()
	both := func(key, certified string) []byte {
		return append(keyPEM(t, k[key]), pemOf("CERTIFICATE", certificateOf(t, k[certified]))...)
	}
	sec1, _ := x509.MarshalECPrivateKey(k["p256"].(*ecdsa.PrivateKey))
	for name, c := range map[string]struct {
		kind   policy.SecretKind
		secret []byte
		reason string
	}{
		"a client secret":              {policy.SecretClient, []byte("12345678"), ""},
		"a short one":                  {policy.SecretClient, []byte("1234567"), "CLIENT_SECRET_INVALID"},
		"a long one":                   {policy.SecretClient, bytes.Repeat([]byte("x"), 1025), "CLIENT_SECRET_INVALID"},
		"one with a line break":        {policy.SecretClient, []byte("12345678\n"), "CLIENT_SECRET_INVALID"},
		"RSA":                          {policy.SecretPrivateKey, keyPEM(t, k["rsa"]), ""},
		"P-256 of SEC 1":               {policy.SecretPrivateKey, pemOf("EC PRIVATE KEY", sec1), ""},
		"SEC 1 with its curve":         {policy.SecretPrivateKey, append(pemOf("EC PARAMETERS", []byte{6, 0}), pemOf("EC PRIVATE KEY", sec1)...), ""},
		"RSA of PKCS #1":               {policy.SecretPrivateKey, pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k["rsa"].(*rsa.PrivateKey))), ""},
		"Ed25519":                      {policy.SecretPrivateKey, keyPEM(t, k["ed"]), ""},
		"RSA of 1024 bits":             {policy.SecretPrivateKey, keyPEM(t, k["short"]), "PRIVATE_KEY_INVALID"},
		"P-224":                        {policy.SecretPrivateKey, keyPEM(t, k["p224"]), "PRIVATE_KEY_INVALID"},
		"two keys":                     {policy.SecretPrivateKey, append(keyPEM(t, k["rsa"]), keyPEM(t, k["ed"])...), "PRIVATE_KEY_INVALID"},
		"a certificate for nothing":    {policy.SecretPrivateKey, both("rsa", "rsa"), "PRIVATE_KEY_INVALID"},
		"no PEM":                       {policy.SecretPrivateKey, []byte("canary"), "PRIVATE_KEY_INVALID"},
		"text behind it":               {policy.SecretPrivateKey, append(keyPEM(t, k["rsa"]), "canary"...), "PRIVATE_KEY_INVALID"},
		"a public key":                 {policy.SecretPrivateKey, pemOf("PUBLIC KEY", []byte("canary")), "PRIVATE_KEY_INVALID"},
		"nothing":                      {policy.SecretPrivateKey, nil, "PRIVATE_KEY_INVALID"},
		"far too long":                 {policy.SecretPrivateKey, append(keyPEM(t, k["rsa"]), make([]byte, 16<<10)...), "PRIVATE_KEY_INVALID"},
		"SAML":                         {policy.SecretSAMLKey, both("rsa", "rsa"), ""},
		"SAML on a curve":              {policy.SecretSAMLKey, both("p256", "p256"), ""},
		"SAML without certificate":     {policy.SecretSAMLKey, keyPEM(t, k["rsa"]), "PRIVATE_KEY_INVALID"},
		"SAML with another's":          {policy.SecretSAMLKey, both("rsa", "p256"), "PRIVATE_KEY_INVALID"},
		"SAML with Ed25519":            {policy.SecretSAMLKey, both("ed", "ed"), "PRIVATE_KEY_INVALID"},
		"SAML with a bad certificate":  {policy.SecretSAMLKey, append(keyPEM(t, k["rsa"]), pemOf("CERTIFICATE", []byte("canary"))...), "PRIVATE_KEY_INVALID"},
		"a secret where none is taken": {policy.SecretNone, []byte("12345678"), "CONNECTION_TAKES_NO_SECRET"},
	} {
		err := c.kind.CheckSecret(c.secret)
		if c.reason == "" && err != nil || c.reason != "" && !errs.Is(err, c.reason) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
}

func TestACertificateIsReadFromPEM(t *testing.T) {
	der := certificateOf(t, keys()["rsa"])
	good := pemOf("CERTIFICATE", der)
	if got, err := policy.ParseCertificate(append([]byte("subject: x\n"), good...)); err != nil || !bytes.Equal(got, der) {
		t.Errorf("%v", err)
	}
	if f := policy.Fingerprint(der); len(f) != 64 || f == policy.Fingerprint(der[1:]) {
		t.Errorf("fingerprint %s", f)
	}
	for name, text := range map[string][]byte{
		"no PEM": []byte("MIIB"), "a key": keyPEM(t, keys()["p256"]), "two": append(good, good...), "no certificate": pemOf("CERTIFICATE", []byte("x")),
		"a weak one": pemOf("CERTIFICATE", certificateOf(t, keys()["short"])),
	} {
		if _, err := policy.ParseCertificate(text); !errs.Is(err, "CERTIFICATE_INVALID") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASecretFollowsTheConnectionUnlessItWouldGoToSomebodyElse(t *testing.T) {
	type conn = policy.Connection
	for name, c := range map[string]struct {
		id     string
		change func(c *conn)
		keeps  bool
	}{
		"nothing":                    {"corp", func(*conn) {}, true},
		"names, scopes and stops":    {"corp", func(c *conn) { c.DisplayName, c.Disabled, c.OIDC.Scopes, c.Domains = "x", true, nil, nil }, true},
		"keys of the provider":       {"corp", func(c *conn) { c.OIDC.JWKSURI = "https://other-x.com/" }, true},
		"the issuer":                 {"corp", func(c *conn) { c.OIDC.Issuer = "https://other-x.com" }, false},
		"the client":                 {"corp", func(c *conn) { c.OIDC.ClientID = "them" }, false},
		"where codes are exchanged":  {"corp", func(c *conn) { c.OIDC.TokenEndpoint = "https://other-x.com/token" }, false},
		"that to discovery":          {"corp", func(c *conn) { c.OIDC.TokenEndpoint = "" }, false},
		"a private key to a secret":  {"corp", func(c *conn) { c.OIDC.ClientAuth = policy.ClientSecretPost }, false},
		"a secret to a public one":   {"entra", func(c *conn) { c.OIDC.ClientAuth = policy.ClientAuthNone }, false},
		"how the secret is sent":     {"entra", func(c *conn) { c.OIDC.ClientAuth = policy.ClientSecretBasic }, true},
		"the tenant":                 {"entra", func(c *conn) { c.OIDC.Tenant = "11111111-2222-3333-4444-555555555550" }, false},
		"the preset":                 {"entra", func(c *conn) { c.Preset = policy.PresetSlack }, false},
		"no verification here":       {"corp", func(c *conn) { c.OIDC = nil }, false},
		"the protocol":               {"corp", func(c *conn) { c.OIDC, c.SAML = nil, &policy.SAML{EntityID: c.OIDC.Issuer} }, false},
		"certificates of a provider": {"agency", func(c *conn) { c.SAML.Certificates = nil }, true},
		"the SAML provider":          {"agency", func(c *conn) { c.SAML.EntityID = "urn:other" }, false},
	} {
		before, next := *connected(t).Connection(c.id), *connected(t).Connection(c.id)
		old := before.WithSecret([]byte("sealed"), now)
		c.change(&next)
		got := next.Follow(&old)
		if keeps := string(got.Sealed()) == "sealed" && got.SecretUpdated.Equal(now); keeps != c.keeps || !keeps && (got.Sealed() != nil || !got.SecretUpdated.IsZero()) {
			t.Errorf("%s: %q, %v", name, got.Sealed(), got.SecretUpdated)
		}
		if len(next.Sealed()) != 0 || len(before.Sealed()) != 0 {
			t.Errorf("%s: what was given has changed", name)
		}
		if again := got.WithSecret(nil, now); len(again.Sealed()) != 0 || !again.SecretUpdated.IsZero() {
			t.Errorf("%s: not cleared", name)
		}
	}
}
