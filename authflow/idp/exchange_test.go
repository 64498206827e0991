package idp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/idp"
	"github.com/postern-audit/postern/policy"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pkcs8(key any) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})
}

func TestClientsProveThemselvesAsTheirConnectionSays(t *testing.T) {
	p := newProvider(t)
	c, conn := p.client(t, nil), p.connection()
	conn.OIDC.ClientAuth = policy.ClientSecretPost
	if _, err := c.Redeem(t.Context(), orgUID, conn, code()); err != nil {
		t.Fatal(err)
	}
	r := <-p.posted
	if _, _, basic := r.BasicAuth(); basic || r.PostForm.Get("client_id") != clientID || r.PostForm.Get("client_secret") != clientSecret {
		t.Errorf("posted %v", r.PostForm)
	}
	conn.OIDC.ClientAuth, conn.OIDC.Secret = policy.ClientAuthNone, nil
	if _, err := c.Redeem(t.Context(), orgUID, conn, code()); err != nil {
		t.Fatal(err)
	}
	r = <-p.posted
	if _, _, basic := r.BasicAuth(); basic || r.PostForm.Get("client_id") != clientID || r.PostForm.Has("client_secret") {
		t.Errorf("posted %v", r.PostForm)
	}
}

func TestPrivateKeyJWTIsWhatRFC7523Wants(t *testing.T) {
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	p256, p384, p521 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	p := newProvider(t)
	c := p.client(t, nil)
	ids := map[string]bool{}
	for name, k := range map[string]struct {
		pem    []byte
		public crypto.PublicKey
		alg    jose.SignatureAlgorithm
	}{
		"RSA":     {pkcs8(rsaKey), rsaKey.Public(), jose.RS256},
		"PKCS #1": {pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}), rsaKey.Public(), jose.RS256},
		"P-256":   {pkcs8(p256), p256.Public(), jose.ES256},
		"P-384":   {pkcs8(p384), p384.Public(), jose.ES384},
		"P-521":   {pkcs8(p521), p521.Public(), jose.ES512},
		"SEC 1":   {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(p256))}), p256.Public(), jose.ES256},
		"Ed25519": {pkcs8(edKey), edKey.Public(), jose.EdDSA},
	} {
		t.Run(name, func(t *testing.T) {
			conn := p.connection()
			conn.OIDC.ClientAuth, conn.OIDC.KeyID, conn.OIDC.Secret = policy.PrivateKeyJWT, "key-1", append([]byte("sealed:"), k.pem...)
			if _, err := c.Redeem(t.Context(), orgUID, conn, code()); err != nil {
				t.Fatal(err)
			}
			r := <-p.posted
			if r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || r.PostForm.Has("client_secret") {
				t.Errorf("posted %v", r.PostForm)
			}
			jws, err := jose.ParseSignedCompact(r.PostForm.Get("client_assertion"), []jose.SignatureAlgorithm{k.alg})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := jws.Verify(k.public)
			if err != nil || jws.Signatures[0].Header.KeyID != "key-1" {
				t.Fatalf("%v, kid %q", err, jws.Signatures[0].Header.KeyID)
			}
			var got struct {
				Iss, Sub, Aud, Jti string
				Iat, Exp           int64
			}
			if err := json.Unmarshal(payload, &got); err != nil {
				t.Fatal(err)
			}
			if got.Iss != clientID || got.Sub != clientID || got.Aud != p.URL+"/token" || got.Iat != now().Unix() || got.Exp != now().Unix()+60 ||
				len(got.Jti) < 20 || ids[got.Jti] {
				t.Errorf("claims %+v", got)
			}
			ids[got.Jti] = true
		})
	}
}

func TestASecretThatIsNotThereOrOfNoUseIsSaidAndNotShown(t *testing.T) {
	p := newProvider(t)
	c := p.client(t, nil)
	small := must(rsa.GenerateKey(rand.Reader, 1024)) // too small on purpose
	for name, s := range map[string]struct {
		auth   string
		sealed []byte
	}{
		"none":         {policy.ClientSecretPost, nil},
		"none, basic":  {"", nil},
		"no key":       {policy.PrivateKeyJWT, []byte("sealed:hunter2-canary")},
		"a public key": {policy.PrivateKeyJWT, append([]byte("sealed:"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(small.Public()))})...)},
		"a weak key":   {policy.PrivateKeyJWT, append([]byte("sealed:"), pkcs8(small)...)},
	} {
		t.Run(name, func(t *testing.T) {
			conn := p.connection()
			conn.OIDC.ClientAuth, conn.OIDC.Secret = s.auth, s.sealed
			_, err := c.Redeem(t.Context(), orgUID, conn, code())
			wantReason(t, err, audit.ReasonCodeExchangeFailed)
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("%v shows the secret", err)
			}
		})
	}
	conn := p.connection()
	conn.OIDC.Secret = []byte("not sealed for this")
	_, err := c.Redeem(t.Context(), orgUID, conn, code())
	var r *federation.Refusal
	if err == nil || errors.As(err, &r) {
		t.Errorf("a secret that cannot be opened is a fault of this process, not %v", err)
	}
	if p.count("/token") != 0 {
		t.Error("a code left")
	}
}

func TestTheProvidersOwnErrorIsKeptShortAndWithoutWhatWasSent(t *testing.T) {
	for name, c := range map[string]struct {
		status           int
		body, want, hide string
	}{
		"an OAuth error":      {400, `{"error":"invalid_grant","error_description":"code expired\n\u202e"}`, `invalid_grant: code expired\n\u202e`, ""},
		"no description":      {401, `{"error":"invalid_client"}`, "invalid_client", ""},
		"with status 200":     {200, `{"error":"bad_verification_code"}`, "bad_verification_code", ""},
		"Slack's":             {200, `{"ok":false,"error":"invalid_code"}`, "invalid_code", ""},
		"Slack's without one": {200, `{"ok":false}`, "no", ""},
		"long":                {400, `{"error":"e","error_description":"` + strings.Repeat("x", 10000) + `"}`, "e: xxx", ""},
		"echo of the code":    {400, `{"error":"e","error_description":"unknown code ` + theCode + `"}`, "repeats", theCode},
		"a piece of the code": {400, `{"error":"e","error_description":"unknown code ` + theCode[2:11] + `…"}`, "repeats", theCode[2:11]},
		"echo in the error":   {400, `{"error":"` + theVerifier + `"}`, "repeats", theVerifier},
		"echo of the secret":  {400, `{"error":"e","error_description":"bad ` + clientSecret + `"}`, "repeats", clientSecret},
		"echo of the header":  {400, `{"error":"e","error_description":"bad Y2xpZW50KzE6czNjcmV0"}`, "repeats", "Y2xpZW50KzE6"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.on("/token", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status); _, _ = w.Write([]byte(c.body)) })
			_, err := p.client(t, nil).Redeem(t.Context(), orgUID, p.connection(), code())
			wantReason(t, err, audit.ReasonCodeExchangeFailed)
			r := refusal(t, err)
			if !strings.Contains(r.Detail, c.want) || len(r.Detail) > federation.MaxDetail || c.hide != "" && strings.Contains(r.Detail, c.hide) {
				t.Errorf("detail %q", r.Detail)
			}
		})
	}
}

func TestApplesSecretIsATokenThatTheTeamSigns(t *testing.T) {
	p := newProvider(t)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	conn := p.connection()
	conn.Preset, conn.OIDC.Tenant, conn.OIDC.KeyID, conn.OIDC.Secret = policy.PresetApple, "TEAM1", "KEY1", append([]byte("sealed:"), pkcs8(key)...)
	conn.OIDC.Algorithms = []string{"ES256"}
	p.claims = func(m map[string]any) { m["email_verified"] = "true" }
	c := p.client(t, func(cfg *idp.Config) { cfg.Now = func() time.Time { return now() } })
	id, err := c.Redeem(t.Context(), orgUID, conn, code())
	if err != nil || !id.EmailVerified {
		t.Fatalf("%+v, %v", id, err)
	}
	r := <-p.posted
	jws, err := jose.ParseSignedCompact(r.PostForm.Get("client_secret"), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(key.Public())
	var got struct {
		Iss, Sub, Aud string
		Iat, Exp      int64
	}
	if err != nil || json.Unmarshal(payload, &got) != nil || jws.Signatures[0].Header.KeyID != "KEY1" ||
		got.Iss != "TEAM1" || got.Sub != clientID || got.Aud != p.URL || got.Iat != now().Unix() || got.Exp <= got.Iat {
		t.Errorf("secret %s, %v", payload, err)
	}
	if r.PostForm.Get("client_id") != clientID || r.PostForm.Has("client_assertion") {
		t.Errorf("posted %v", r.PostForm)
	}
	conn.OIDC.KeyID, conn.OIDC.Secret = "", []byte("sealed:made.elsewhere.token")
	if _, err := c.Redeem(t.Context(), orgUID, conn, code()); err != nil {
		t.Fatal(err)
	}
	if r := <-p.posted; r.PostForm.Get("client_secret") != "made.elsewhere.token" {
		t.Errorf("posted %v", r.PostForm)
	}
}

// smallCertificate is one of a key that is too small.
func smallCertificate(t *testing.T) []byte {
	t.Helper()
	key := must(rsa.GenerateKey(rand.Reader, 1024)) // too small on purpose
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now().Add(-time.Hour), NotAfter: now().AddDate(1, 0, 0)}
	return must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
}

// ecdsaPair is an ECDSA key of the service provider and its certificate, sealed.
func ecdsaPair(t *testing.T) []byte {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now().Add(-time.Hour), NotAfter: now().AddDate(1, 0, 0)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return append([]byte("sealed:"), append(pkcs8(key), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)...)
}
