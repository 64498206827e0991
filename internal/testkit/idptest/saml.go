package idptest

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/testkit/browser"
)

// SP is the service provider the SAML identity provider knows.
type SP struct {
	EntityID string
	ACSURL   string
	// Signs is the certificate its requests must be signed with; nil: they need no signature.
	Signs *x509.Certificate
	// Decrypts is the certificate assertions are encrypted to when the switch Encrypted is on.
	Decrypts *x509.Certificate
}

// WithSP replaces the service provider the identity provider knows. What is empty is filled in.
func WithSP(sp SP) Option { return func(c *config) { c.sp = sp } }

// ECDSA signs with P-256 instead of RSA, with signature values as the XML signature standard wants them.
func ECDSA() Option { return func(c *config) { c.ecdsa = true } }

// SignedMetadata signs the metadata with the first key.
func SignedMetadata() Option { return func(c *config) { c.signsMeta = true } }

// CertificateUntil ends the validity of the provider's certificates.
func CertificateUntil(end time.Time) Option { return func(c *config) { c.notAfter = end } }

// SAML is a SAML identity provider.
type SAML struct {
	*web
	sp       SP
	ecdsa    bool
	notAfter time.Time
	metaKey  *samlKey // signs the metadata; nil: nothing does

	// Guarded by web.mu.
	keys     []samlKey // the newest signs; all are in the metadata
	person   Person
	context  string
	requests []AuthnRequest
}

type samlKey struct {
	key  crypto.Signer
	cert *x509.Certificate
}

// NewSAML starts a SAML identity provider that ends with the test.
func NewSAML(t testing.TB, opts ...Option) *SAML {
	t.Helper()
	c := settings(opts)
	if c.sp.EntityID == "" {
		c.sp.EntityID = EntityID
	}
	if c.sp.ACSURL == "" {
		c.sp.ACSURL = ACSURL
	}
	mux := http.NewServeMux()
	s := &SAML{
		web: serve(t, c, SAMLFaults(), mux), sp: c.sp, ecdsa: c.ecdsa, notAfter: c.notAfter, context: PasswordContext,
		person: Person{Subject: "gwen-7f1c", Email: "gwen@partner-postern-demo.com", EmailVerified: true, Name: "Gwen Guest"},
	}
	if s.notAfter.IsZero() {
		s.notAfter = s.now().AddDate(1, 0, 0)
	}
	first := s.newKey()
	s.keys = []samlKey{first}
	if c.signsMeta {
		s.metaKey = &first
	}
	mux.HandleFunc("GET /metadata", s.endpoint(Metadata, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/samlmetadata+xml")
		_, _ = w.Write(s.Metadata())
	}))
	mux.HandleFunc("/sso", s.endpoint(SSO, s.serveSSO))
	return s
}

// PasswordContext is the AuthnContextClassRef of a sign-in, unless SetContext says otherwise.
const PasswordContext = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"

// EmailAttribute and NameAttribute are the attributes of an assertion.
const (
	EmailAttribute = "urn:oid:0.9.2342.19200300.100.1.3"
	NameAttribute  = "urn:oid:2.16.840.1.113730.3.1.241"
)

// EntityID is the provider's name.
func (s *SAML) EntityID() string { return s.URL() + "/metadata" }

// MetadataURL is where Metadata is served.
func (s *SAML) MetadataURL() string { return s.URL() + "/metadata" }

// SSOURL is the single sign-on service, for HTTP-Redirect and HTTP-POST.
func (s *SAML) SSOURL() string { return s.URL() + "/sso" }

// SP is the service provider it knows.
func (s *SAML) SP() SP { return s.sp }

// Certificate is what the provider signs with.
func (s *SAML) Certificate() *x509.Certificate { return s.current().cert }

// MetadataCertificate is what SignedMetadata signs with; it does not change with RotateKey.
func (s *SAML) MetadataCertificate() *x509.Certificate {
	s.t.Helper()
	if s.metaKey == nil {
		s.t.Fatal("idptest: this provider does not sign its metadata")
	}
	return s.metaKey.cert
}

// SetPerson says who signs in from now on. The NameID is the subject, persistent.
func (s *SAML) SetPerson(p Person) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.person = p
}

// Person is who signs in.
func (s *SAML) Person() Person {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.person
}

// SetContext is the AuthnContextClassRef of every sign-in from now on.
func (s *SAML) SetContext(class string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.context = class
}

// RotateKey signs with a new key from now on. The old ones stay in the metadata until ForgetOldKeys.
func (s *SAML) RotateKey() {
	k := s.newKey()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append([]samlKey{k}, s.keys...)
}

// ForgetOldKeys leaves one key in the metadata, the one that signs.
func (s *SAML) ForgetOldKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = s.keys[:1]
}

func (s *SAML) newKey() samlKey {
	s.t.Helper()
	algorithm := "RS256"
	if s.ecdsa {
		algorithm = "ES256"
	}
	key := newKey(s.t, algorithm)
	notBefore := s.now().Add(-time.Hour)
	if s.notAfter.Before(notBefore) {
		notBefore = s.notAfter.AddDate(-1, 0, 0)
	}
	return samlKey{key: key, cert: certify(s.t, key, notBefore, s.notAfter)}
}

func (s *SAML) current() samlKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[0]
}

// Requests are the requests that were accepted, in order.
func (s *SAML) Requests() []AuthnRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]AuthnRequest(nil), s.requests...)
}

// SignIn opens a redirect-binding URL as the person's browser does and returns the callback.
func (s *SAML) SignIn(redirectURL string) browser.Callback {
	s.t.Helper()
	return s.open(redirectURL, s.sp.ACSURL)
}

// SignInPost posts a form with SAMLRequest to the single sign-on service, as HTTP-POST does, and returns the callback.
func (s *SAML) SignInPost(form url.Values) browser.Callback {
	s.t.Helper()
	return s.post(s.SSOURL(), form, s.sp.ACSURL)
}

// Encoded is a response as it travels in a form.
func Encoded(response string) string { return base64.StdEncoding.EncodeToString([]byte(response)) }
