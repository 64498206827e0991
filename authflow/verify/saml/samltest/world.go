package samltest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/authflow/verify/saml"
)

// Names everybody uses.
const (
	IDP     = "https://idp.example.com/metadata"
	SP      = "https://sp.example.org/saml"
	ACS     = "https://sp.example.org/saml/acs"
	Request = "_request-1f0b0d4a"
	NameID  = "alice@example.com"
)

// Signer is a key with its certificate.
type Signer struct {
	Key         crypto.Signer
	Certificate *x509.Certificate
}

// World is an identity provider, those who attack it, and the moment everything happens at.
type World struct {
	t   testing.TB
	Now time.Time
	// Main signs; Next is the key it will roll over to; Attacker is nobody's.
	Main, Next, Attacker, Expired, Early, P256, P384, P521, Edwards Signer
	// SPKey is ours, as PEM.
	SPKey []byte
	sp    Signer
}

// keys are made once: they take long, and nothing changes them.
var keys = sync.OnceValues(func() (k struct {
	rsa     [4]*rsa.PrivateKey
	ec      [3]*ecdsa.PrivateKey
	edwards ed25519.PrivateKey
}, err error,
) {
	for i := range k.rsa {
		if k.rsa[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return k, err
		}
	}
	for i, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if k.ec[i], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			return k, err
		}
	}
	_, k.edwards, err = ed25519.GenerateKey(rand.Reader)
	return k, err
})

// New makes a world at a moment.
func New(t testing.TB, now time.Time) *World {
	t.Helper()
	k, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	w := &World{t: t, Now: now.UTC().Truncate(time.Second)}
	year := 365 * 24 * time.Hour
	w.Main = w.signer(k.rsa[0], -year, year)
	w.Next = w.signer(k.rsa[1], -year, year)
	w.Attacker = w.signer(k.rsa[2], -year, year)
	w.Expired = w.signer(k.rsa[0], -year, -time.Second)
	w.Early = w.signer(k.rsa[0], time.Second, year)
	w.P256 = w.signer(k.ec[0], -year, year)
	w.P384 = w.signer(k.ec[1], -year, year)
	w.P521 = w.signer(k.ec[2], -year, year)
	w.Edwards = w.signer(k.edwards, -year, year)
	w.sp = w.signer(k.rsa[3], -year, year)
	der, err := x509.MarshalPKCS8PrivateKey(k.rsa[3])
	if err != nil {
		t.Fatal(err)
	}
	w.SPKey = append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.sp.Certificate.Raw})...)
	return w
}

// signer makes a certificate for a key, valid around the world's moment.
func (w *World) signer(key crypto.Signer, from, until time.Duration) Signer {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp.example.com"},
		NotBefore: w.Now.Add(from), NotAfter: w.Now.Add(until),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return Signer{Key: key, Certificate: cert}
}

// Expect is what honest responses are held against.
func (w *World) Expect() saml.Expect {
	return saml.Expect{EntityID: SP, ACS: ACS, RequestID: Request, Provider: w.Provider(w.Main)}
}

// Provider is the identity provider with these certificates.
func (w *World) Provider(signers ...Signer) saml.Provider {
	p := saml.Provider{
		EntityID: IDP, RedirectURL: "https://idp.example.com/sso?tenant=1", PostURL: "https://idp.example.com/sso/post",
	}
	for _, s := range signers {
		p.Certificates = append(p.Certificates, s.Certificate)
	}
	return p
}

// Decrypt returns our key.
func (w *World) Decrypt() *saml.Key {
	k, err := saml.ParseKey(w.SPKey)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

// Metadata is the metadata of a provider.
func Metadata(p saml.Provider) string {
	text := `<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="_metadata" entityID="` + p.EntityID + `">` +
		`<md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">`
	for _, cert := range p.Certificates {
		text += `<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>` +
			base64.StdEncoding.EncodeToString(cert.Raw) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`
	}
	return text + `<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="` + p.RedirectURL + `"/>` +
		`<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="` + p.PostURL + `"/>` +
		`</md:IDPSSODescriptor></md:EntityDescriptor>`
}

// SignedMetadata is the metadata of a provider, signed.
func (w *World) SignedMetadata(p saml.Provider, s *Signing) string {
	w.t.Helper()
	return w.sign(strings.Replace(Metadata(p), "<md:IDPSSODescriptor", placeholder+"<md:IDPSSODescriptor", 1), s)
}
