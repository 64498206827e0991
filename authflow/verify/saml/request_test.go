package saml_test

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	library "github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/authflow/verify/saml/samltest"
)

func request(w *samltest.World) saml.Request {
	return saml.Request{
		ID: "_4f2a", Issued: moment, EntityID: samltest.SP, ACS: samltest.ACS, Provider: w.Provider(w.Main), RelayState: "a b&c=d+e",
		NameIDFormat: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent", Contexts: []string{"urn:a", "urn:b"}, ForceAuthn: true,
	}
}

// pemOf is a key with its certificate.
func pemOf(t *testing.T, s samltest.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate.Raw})...)
}

func keyOf(t *testing.T, s samltest.Signer) *saml.Key {
	t.Helper()
	k, err := saml.ParseKey(pemOf(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// asked demands that a document is the request, as the library reads it for an identity provider.
func asked(t *testing.T, doc []byte, to string) {
	t.Helper()
	var got library.AuthnRequest
	if err := xml.Unmarshal(doc, &got); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	if got.ID != "_4f2a" || got.Version != "2.0" || !got.IssueInstant.Equal(moment) || got.Destination != to || got.Issuer.Value != samltest.SP ||
		got.AssertionConsumerServiceURL != samltest.ACS || got.ProtocolBinding != library.HTTPPostBinding || got.ForceAuthn == nil || !*got.ForceAuthn ||
		*got.NameIDPolicy.Format != "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent" || !*got.NameIDPolicy.AllowCreate {
		t.Errorf("%+v", got)
	}
	if !bytes.Contains(doc, []byte("<saml:AuthnContextClassRef>urn:a</saml:AuthnContextClassRef><saml:AuthnContextClassRef>urn:b<")) {
		t.Errorf("the classes asked for are not there: %s", doc)
	}
}

func TestARequestByRedirect(t *testing.T) {
	w := samltest.New(t, moment)
	for name, signer := range map[string]*samltest.Signer{"unsigned": nil, "RSA": &w.Next, "P-256": &w.P256, "P-384": &w.P384} {
		t.Run(name, func(t *testing.T) {
			r := request(w)
			if signer != nil {
				r.Key = keyOf(t, *signer)
			}
			m, err := saml.NewRequest(r, saml.Redirect)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(m.URL)
			if err != nil || u.Host != "idp.example.com" || m.SAMLRequest != "" {
				t.Fatalf("%+v %v", m, err)
			}
			q := u.Query()
			packed, err := base64.StdEncoding.DecodeString(q.Get("SAMLRequest"))
			if err != nil {
				t.Fatal(err)
			}
			doc, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
			if err != nil {
				t.Fatal(err)
			}
			asked(t, doc, r.Provider.RedirectURL)
			if q.Get("RelayState") != r.RelayState || q.Get("tenant") != "1" {
				t.Errorf("%v", q)
			}
			checkQuery(t, u, signer)
		})
	}
}

// checkQuery verifies the signature over the query as it was sent.
func checkQuery(t *testing.T, u *url.URL, signer *samltest.Signer) {
	t.Helper()
	begin := strings.Index(u.RawQuery, "SAMLRequest=")
	signed, signature, found := strings.Cut(u.RawQuery[begin:], "&Signature=")
	if found != (signer != nil) {
		t.Fatalf("signed: %v", found)
	}
	if signer == nil {
		return
	}
	text, err := url.QueryUnescape(signature)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(signed))
	switch key := signer.Certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig); err != nil || u.Query().Get("SigAlg") != dsig.RSASHA256SignatureMethod {
			t.Error(err, u.Query().Get("SigAlg"))
		}
	case *ecdsa.PublicKey:
		half := (key.Params().BitSize + 7) / 8
		if len(sig) != 2*half || u.Query().Get("SigAlg") != dsig.ECDSASHA256SignatureMethod ||
			!ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])) {
			t.Errorf("%d bytes of %s", len(sig), u.Query().Get("SigAlg"))
		}
	}
}

func TestARequestByForm(t *testing.T) {
	w := samltest.New(t, moment)
	for name, signer := range map[string]*samltest.Signer{"unsigned": nil, "RSA": &w.Next, "P-256": &w.P256} {
		t.Run(name, func(t *testing.T) {
			r := request(w)
			if signer != nil {
				r.Key = keyOf(t, *signer)
			}
			m, err := saml.NewRequest(r, saml.Post)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := base64.StdEncoding.DecodeString(m.SAMLRequest)
			if err != nil || m.URL != r.Provider.PostURL || m.RelayState != r.RelayState {
				t.Fatalf("%+v %v", m, err)
			}
			asked(t, doc, r.Provider.PostURL)
			if signed := bytes.Contains(doc, []byte("<ds:Signature ")); signed != (signer != nil) {
				t.Fatalf("signed: %v", signed)
			}
			if signer == nil {
				return
			}
			tree := etree.NewDocument()
			if err := tree.ReadFromBytes(doc); err != nil {
				t.Fatal(err)
			}
			if key, ok := signer.Certificate.PublicKey.(*ecdsa.PublicKey); ok {
				toDER(t, tree.FindElement("//ds:SignatureValue"), key)
			}
			ctx := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{signer.Certificate}})
			ctx.Clock = dsig.NewFakeClockAt(moment)
			if _, err := ctx.Validate(tree.Root()); err != nil {
				t.Error(err)
			}
		})
	}
}

// toDER writes an ECDSA signature as the library reads it.
func toDER(t *testing.T, value *etree.Element, key *ecdsa.PublicKey) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(value.Text())
	half := (key.Params().BitSize + 7) / 8
	if err != nil || len(raw) != 2*half {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
	if err != nil {
		t.Fatal(err)
	}
	value.SetText(base64.StdEncoding.EncodeToString(der))
}

func TestARequestThatCannotBeMade(t *testing.T) {
	w := samltest.New(t, moment)
	for name, change := range map[string]func(*saml.Request){
		"no service":             func(r *saml.Request) { r.Provider.RedirectURL = "" },
		"no id":                  func(r *saml.Request) { r.ID = "" },
		"no time":                func(r *saml.Request) { r.Issued = time.Time{} },
		"no issuer":              func(r *saml.Request) { r.EntityID = "" },
		"no answer":              func(r *saml.Request) { r.ACS = "" },
		"a long state":           func(r *saml.Request) { r.RelayState = strings.Repeat("a", 81) },
		"a signature wanted":     func(r *saml.Request) { r.Provider.WantsSigned = true },
		"a location that is not": func(r *saml.Request) { r.Provider.RedirectURL = "https://a b%zz" },
	} {
		t.Run(name, func(t *testing.T) {
			r := request(w)
			change(&r)
			if m, err := saml.NewRequest(r, saml.Redirect); err == nil {
				t.Errorf("%+v", m)
			}
		})
	}
}

func TestKeysAreReadAndNeverShown(t *testing.T) {
	w := samltest.New(t, moment)
	k := keyOf(t, w.Next)
	if !k.Certificate().Equal(w.Next.Certificate) {
		t.Error("another certificate")
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		for _, v := range []any{k, struct{ K *saml.Key }{k}, saml.Expect{Decrypt: k}.Decrypt} {
			if got := fmt.Sprintf(format, v); len(got) > 60 {
				t.Errorf("%s shows %d bytes", format, len(got))
			}
		}
	}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "key", k)
	if !strings.Contains(b.String(), `"key":"saml.Key"`) {
		t.Error(b.String())
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := string(pemOf(t, w.Next))
	_, certificate, _ := strings.Cut(good, "-----END PRIVATE KEY-----\n")
	other := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.Main.Certificate.Raw}))
	for name, text := range map[string]string{
		"nothing":                          "",
		"text":                             "hello",
		"a certificate alone":              certificate,
		"a key alone":                      strings.TrimSuffix(good, certificate),
		"a key with another's certificate": strings.Replace(good, certificate, other, 1),
		"Ed25519":                          string(pemOf(t, w.Edwards)),
		"an RSA key that is short":         string(pemOf(t, samltest.Signer{Key: short, Certificate: selfSigned(t, short)})),
	} {
		if k, err := saml.ParseKey([]byte(text)); err == nil || k != nil || strings.Contains(err.Error(), "MII") {
			t.Errorf("%s is read", name)
		}
	}
}

func selfSigned(t *testing.T, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestTheFormValueIsDecoded(t *testing.T) {
	for name, c := range map[string]struct {
		form, want string
		refused    bool
	}{
		"plain":            {form: "PGE+", want: "<a>"},
		"wrapped":          {form: "PG\r\nE+\n", want: "<a>"},
		"padded":           {form: "PGEvPg==", want: "<a/>"},
		"empty":            {},
		"not that":         {form: "<a>", refused: true},
		"url form":         {form: "PGE-", refused: true},
		"too long":         {form: strings.Repeat("A", saml.MaxForm+1), refused: true},
		"too long decoded": {form: base64.StdEncoding.EncodeToString(make([]byte, saml.MaxResponse+1)), refused: true},
		"just fits":        {form: base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), saml.MaxResponse)), want: strings.Repeat("x", saml.MaxResponse)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := saml.DecodeResponse(c.form)
			if c.refused {
				if r := refusal(t, err); r.Reason != "MALFORMED" {
					t.Error(r)
				}
			} else if err != nil || string(got) != c.want {
				t.Errorf("%q %v", got, err)
			}
		})
	}
}
