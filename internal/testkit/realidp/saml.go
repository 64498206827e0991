package realidp

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/testkit/browser"
)

const keyLength = 2048

// UnsolicitedRelayState comes with sign-ins that begin at the identity provider.
const UnsolicitedRelayState = "from-the-idp"

// SP is the service provider a SAML identity provider knows.
type SP struct {
	EntityID string
	ACSURL   string
	// Certificate is the service provider's, DER: for SignsRequests and Encrypts.
	Certificate []byte
	// SignsRequests makes the provider refuse requests that are not signed with it. samlidp looks at no signature.
	SignsRequests bool
	// Encrypts makes the provider encrypt assertions to it: samlify with AES-256-GCM, samlidp with AES-128-CBC.
	Encrypts bool
	// SignsResponse makes samlify sign the response beside the assertion. samlidp signs both always.
	SignsResponse bool
}

// SAML is a SAML identity provider that runs.
type SAML struct {
	EntityID    string
	MetadataURL string
	Metadata    []byte // as served
	SSOURL      string // for HTTP-Redirect and HTTP-POST
	SP          SP
	User        User
	// The attributes that carry them.
	EmailAttribute, NameAttribute string

	unsolicited string // where a sign-in starts that nobody asked for
	log         func() string
	stop        func() error
}

// SignIn opens a redirect-binding URL (the single sign-on service with SAMLRequest, RelayState and so on), signs the provider's
// user in and returns the callback, whose form has SAMLResponse and RelayState.
func (s *SAML) SignIn(ctx context.Context, redirectURL string) (browser.Callback, error) {
	return s.visit(ctx, false, func(ctx context.Context, b *browser.Browser) (browser.Callback, error) {
		return b.Open(ctx, redirectURL)
	})
}

// SignInPost is SignIn with the HTTP-POST binding: the form goes to the single sign-on service.
func (s *SAML) SignInPost(ctx context.Context, form url.Values) (browser.Callback, error) {
	return s.visit(ctx, false, func(ctx context.Context, b *browser.Browser) (browser.Callback, error) {
		return b.Post(ctx, s.SSOURL, form)
	})
}

// SignInUnsolicited starts at the identity provider.
func (s *SAML) SignInUnsolicited(ctx context.Context) (browser.Callback, error) {
	return s.visit(ctx, false, func(ctx context.Context, b *browser.Browser) (browser.Callback, error) {
		return b.Open(ctx, s.unsolicited)
	})
}

// Cancel opens a redirect-binding URL and cancels on the login page; samlify answers with a failure. samlidp has no way to.
func (s *SAML) Cancel(ctx context.Context, redirectURL string) (browser.Callback, error) {
	return s.visit(ctx, true, func(ctx context.Context, b *browser.Browser) (browser.Callback, error) {
		return b.Open(ctx, redirectURL)
	})
}

func (s *SAML) visit(ctx context.Context, cancels bool, start func(context.Context, *browser.Browser) (browser.Callback, error)) (browser.Callback, error) {
	b, err := person(s.User, s.SP.ACSURL)
	if err != nil {
		return browser.Callback{}, err
	}
	b.Cancels = cancels
	return signIn(ctx, func(ctx context.Context) (browser.Callback, error) { return start(ctx, b) })
}

// Login is SignIn for a test.
func (s *SAML) Login(t testing.TB, redirectURL string) browser.Callback {
	t.Helper()
	c, err := s.SignIn(t.Context(), redirectURL)
	if err != nil {
		t.Fatalf("sign in at %s: %v\n%s", s.EntityID, err, s.Log())
	}
	return c
}

// Log is what the provider has printed so far, for messages of failed tests.
func (s *SAML) Log() string { return s.log() }

// Stop ends the provider. It may be called twice.
func (s *SAML) Stop() error { return s.stop() }

// Samlify starts a samlify for one test.
func Samlify(t testing.TB, sp SP) *SAML {
	t.Helper()
	return samlFor(t, sp, StartSamlify)
}

// Samlidp starts crewjam's samlidp for one test.
func Samlidp(t testing.TB, sp SP) *SAML {
	t.Helper()
	return samlFor(t, sp, StartSamlidp)
}

func samlFor(t testing.TB, sp SP, start func(string, SP) (*SAML, error)) *SAML {
	t.Helper()
	s, err := start(t.TempDir(), sp)
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, s)
	return s
}

// StartSamlify runs npm samlify, with its settings in dir. Its NameID is the user's e-mail.
func StartSamlify(dir string, sp SP) (*SAML, error) {
	key, cert, err := newCertificate("samlify of a test")
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("realidp: %w", err)
	}
	user := newUser()
	partner := map[string]any{
		"entityID": sp.EntityID, "acsURL": sp.ACSURL, "signsRequests": sp.SignsRequests, "encrypts": sp.Encrypts, "signsResponse": sp.SignsResponse,
	}
	if sp.Certificate != nil {
		partner["certificate"] = base64.StdEncoding.EncodeToString(sp.Certificate)
	}
	p, base, err := startNode(dir, "samlify.mjs", map[string]any{
		"key":         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"certificate": base64.StdEncoding.EncodeToString(cert.Raw),
		"sp":          partner,
		"user":        map[string]string{"email": user.Email, "name": user.Name, "password": user.Password},
	})
	if err != nil {
		return nil, fmt.Errorf("samlify: %w", err)
	}
	s := &SAML{
		SP: sp, User: user, EmailAttribute: "mail", NameAttribute: "displayName",
		unsolicited: base + "/unsolicited?RelayState=" + UnsolicitedRelayState, log: p.out.String, stop: p.stop,
	}
	return s.described(base)
}

// described completes s with what the provider serves under base; a provider that cannot be read is stopped.
func (s *SAML) described(base string) (*SAML, error) {
	s.EntityID, s.MetadataURL, s.SSOURL = base+"/metadata", base+"/metadata", base+"/sso"
	var err error
	if s.Metadata, err = fetch(s.MetadataURL); err != nil {
		log := s.Log()
		_ = s.Stop()
		return nil, fmt.Errorf("%w: %s", err, log)
	}
	return s, nil
}

func fetch(address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), upWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("realidp: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("realidp: %w", err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("realidp: %s: %w", address, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("realidp: %s answered %s", address, resp.Status)
	}
	return content, nil
}

// newCertificate makes an RSA key and a certificate that it signs itself.
func newCertificate(name string) (*rsa.PrivateKey, *x509.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyLength)
	if err != nil {
		return nil, nil, fmt.Errorf("realidp: %w", err)
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
	}, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("realidp: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("realidp: %w", err)
	}
	return key, cert, nil
}
