package idptest_test

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	verify "github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/internal/testkit/idptest"
)

const requestID = "_the-request"

func authnRequest(s *idptest.SAML) string {
	return `<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ` +
		`ID="` + requestID + `" Version="2.0" IssueInstant="2026-11-20T12:00:00Z" Destination="` + s.SSOURL() + `" AssertionConsumerServiceURL="` +
		s.SP().ACSURL + `"><saml:Issuer>` + s.SP().EntityID + `</saml:Issuer></samlp:AuthnRequest>`
}

// redirectQuery is a request in the redirect binding, signed when there is a key.
func redirectQuery(t *testing.T, s *idptest.SAML, key *rsa.PrivateKey) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(w, authnRequest(s))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	query := "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(b.Bytes())) + "&RelayState=relay"
	if key == nil {
		return query
	}
	query += "&SigAlg=" + url.QueryEscape(dsig.RSASHA256SignatureMethod)
	sum := sha256.Sum256([]byte(query))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return query + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signature))
}

// expect is what a service provider that knows the identity provider by its metadata of this moment holds a response against.
func expect(t *testing.T, s *idptest.SAML) verify.Expect {
	t.Helper()
	provider, err := verify.ParseMetadata(s.Metadata(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return verify.Expect{
		EntityID: s.SP().EntityID, ACS: s.SP().ACSURL, Provider: provider, RequestID: requestID,
		EmailAttribute: idptest.EmailAttribute, NameAttribute: idptest.NameAttribute,
	}
}

// reason is the verifier's for refusing a response; "" when it takes it.
func reason(t *testing.T, response string, e verify.Expect) string {
	t.Helper()
	id, err := verify.Verify([]byte(response), e, time.Now())
	var refusal *federation.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	if err != nil {
		t.Fatal(err)
	}
	if id.ID != "gwen-7f1c" {
		t.Errorf("the subject is %q", id.ID)
	}
	return ""
}

// TestEverySAMLSwitchSpoilsOneThing has every response judged, and looks at the text for what the verdict does not tell.
func TestEverySAMLSwitchSpoilsOneThing(t *testing.T) {
	t.Parallel()
	key, cert := idptest.KeyPair(t, time.Now())
	for name, options := range map[string][]idptest.Option{"RSA": nil, "ECDSA": {idptest.ECDSA()}} {
		s := idptest.NewSAML(t, append(options, idptest.WithSP(idptest.SP{Decrypts: cert}), idptest.SignedMetadata())...)
		e := expect(t, s)
		opens := e
		opens.Decrypt = parseKey(t, key, cert)
		for _, f := range append(idptest.SAMLFaults(), "") {
			c, ok := samlSwitches[f]
			if !ok {
				t.Errorf("no expectation for the switch %q", f)
				continue
			}
			s.Mend()
			if f != "" {
				s.Break(f)
			}
			raw := s.Response(idptest.Response{InResponseTo: requestID})
			if got := reason(t, raw, e); got != c.reason {
				t.Errorf("%s, switch %q: %q, want %q\n%s", name, f, got, c.reason, raw)
			}
			if f == idptest.Encrypted {
				if got := reason(t, raw, opens); got != "" {
					t.Errorf("%s: an encrypted assertion: %q", name, got)
				}
			}
			if c.has != "" && !strings.Contains(raw, c.has) {
				t.Errorf("switch %q: the response has no %s", f, c.has)
			}
			if c.hasNot != "" && strings.Contains(raw, c.hasNot) {
				t.Errorf("switch %q: the response has %s", f, c.hasNot)
			}
		}
	}
}

// parseKey hands a key over in the form the verifier reads.
func parseKey(t *testing.T, key *rsa.PrivateKey, cert *x509.Certificate) *verify.Key {
	t.Helper()
	k, err := verify.ParseKey(idptest.KeyPEM(t, key, cert))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

type samlSwitch struct {
	reason      string // of the refusal; "": taken
	has, hasNot string
}

var samlSwitches = map[idptest.Fault]samlSwitch{
	"":                           {has: "<ds:Signature ", hasNot: "<saml:Condition "},
	idptest.WrongIssuer:          {reason: audit.ReasonIssuerMismatch},
	idptest.WrongAudience:        {reason: audit.ReasonAudienceMismatch},
	idptest.ExtraAudience:        {has: idptest.EntityID + "</saml:Audience><saml:Audience>"},
	idptest.NoAudience:           {reason: audit.ReasonAudienceMismatch},
	idptest.Expired:              {reason: audit.ReasonExpired},
	idptest.IssuedInFuture:       {reason: audit.ReasonNotYetValid},
	idptest.Unsigned:             {reason: audit.ReasonSignatureInvalid, hasNot: "<ds:Signature "},
	idptest.OtherKey:             {reason: audit.ReasonSignatureInvalid},
	idptest.NoSubject:            {reason: audit.ReasonMalformed, hasNot: "<saml:NameID"},
	idptest.NoEmail:              {hasNot: idptest.EmailAttribute},
	idptest.LoginDeclined:        {reason: audit.ReasonIDPError, has: "AuthnFailed"},
	idptest.OnlyResponseSigned:   {reason: audit.ReasonSignatureInvalid, has: "</saml:Issuer><ds:Signature "},
	idptest.BothSigned:           {has: "</saml:Issuer><ds:Signature "},
	idptest.NoKeyInfo:            {hasNot: "KeyInfo"},
	idptest.SHA1:                 {reason: audit.ReasonAlgorithmNotAllowed},
	idptest.ChangedAfterSigning:  {reason: audit.ReasonSignatureInvalid},
	idptest.WrongRecipient:       {reason: audit.ReasonRecipientMismatch},
	idptest.WrongDestination:     {reason: audit.ReasonRecipientMismatch},
	idptest.NoDestination:        {reason: audit.ReasonRecipientMismatch},
	idptest.WrongInResponseTo:    {reason: audit.ReasonRequestMismatch},
	idptest.NoInResponseTo:       {reason: audit.ReasonRequestMismatch},
	idptest.TwoAssertions:        {reason: audit.ReasonMalformed, has: ">somebody-else</saml:NameID>"},
	idptest.NoAssertion:          {reason: audit.ReasonMalformed, hasNot: "<saml:Assertion"},
	idptest.Encrypted:            {reason: audit.ReasonEncryptionNotAllowed, hasNot: "<saml:Assertion"},
	idptest.StatusFailure:        {reason: audit.ReasonIDPError, has: "<samlp:StatusMessage>"},
	idptest.HolderOfKey:          {reason: audit.ReasonMalformed, has: "cm:holder-of-key"},
	idptest.NoConditions:         {reason: audit.ReasonMalformed, hasNot: "<saml:Conditions"},
	idptest.UnknownCondition:     {reason: audit.ReasonMalformed, has: "<saml:Condition "},
	idptest.NoAuthnStatement:     {reason: audit.ReasonMalformed, hasNot: "AuthnStatement"},
	idptest.SessionOver:          {reason: audit.ReasonExpired, has: "SessionNotOnOrAfter="},
	idptest.OldVersion:           {reason: audit.ReasonMalformed, has: `Version="1.1"`},
	idptest.Doctype:              {reason: audit.ReasonMalformed, has: "<!DOCTYPE"},
	idptest.CommentInNameID:      {reason: audit.ReasonMalformed, has: "g<!-- -->wen-7f1c"},
	idptest.MetadataOfAnother:    {},
	idptest.MetadataOutdated:     {},
	idptest.MetadataWithoutKey:   {},
	idptest.MetadataBadSignature: {},
}

func TestSAMLSignInWithBothBindings(t *testing.T) {
	t.Parallel()
	key, cert := idptest.KeyPair(t, time.Now())
	other, _ := idptest.KeyPair(t, time.Now())
	s := idptest.NewSAML(t, idptest.WithSP(idptest.SP{Signs: cert}))
	e := expect(t, s)
	reads := func(form url.Values) {
		t.Helper()
		raw, err := base64.StdEncoding.DecodeString(form.Get("SAMLResponse"))
		if err != nil {
			t.Fatal(err)
		}
		if got := reason(t, string(raw), e); got != "" || form.Get("RelayState") != "relay" {
			t.Errorf("%s, RelayState %q", got, form.Get("RelayState"))
		}
	}
	reads(s.SignIn(s.SSOURL() + "?" + redirectQuery(t, s, key)).Form)

	doc := etree.NewDocument()
	if err := doc.ReadFromString(authnRequest(s)); err != nil {
		t.Fatal(err)
	}
	signing, err := dsig.NewSigningContext(key, [][]byte{cert.Raw})
	if err != nil {
		t.Fatal(err)
	}
	signing.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	signed, err := signing.SignEnveloped(doc.Root())
	if err != nil {
		t.Fatal(err)
	}
	doc.SetRoot(signed)
	text, err := doc.WriteToString()
	if err != nil {
		t.Fatal(err)
	}
	reads(s.SignInPost(url.Values{"SAMLRequest": {idptest.Encoded(text)}, "RelayState": {"relay"}}).Form)

	requests := s.Requests()
	if len(requests) != 2 || requests[0].Binding != "redirect" || requests[1].Binding != "post" || !requests[0].Signed || !requests[1].Signed ||
		requests[1].ID != requestID {
		t.Errorf("requests %+v", requests)
	}
	tampered := redirectQuery(t, s, key)
	for name, query := range map[string]string{
		"unsigned": redirectQuery(t, s, nil), "another key": redirectQuery(t, s, other),
		"changed": strings.Replace(tampered, "RelayState=relay", "RelayState=other", 1),
	} {
		if status := statusOf(t, s, s.SSOURL()+"?"+query); status != http.StatusBadRequest {
			t.Errorf("%s: status %d", name, status)
		}
	}
}

func statusOf(t *testing.T, s *idptest.SAML, address string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestMetadataAndItsSwitches(t *testing.T) {
	t.Parallel()
	s := idptest.NewSAML(t, idptest.SignedMetadata())
	read := func() (verify.Provider, error) {
		return verify.ParseSignedMetadata(s.Metadata(), s.MetadataCertificate(), time.Now())
	}
	for _, f := range []idptest.Fault{idptest.MetadataOutdated, idptest.MetadataWithoutKey, idptest.MetadataBadSignature} {
		s.Break(f)
		if _, err := read(); err == nil {
			t.Errorf("switch %q: the metadata is taken", f)
		}
		s.Mend()
	}
	s.Break(idptest.MetadataOfAnother)
	if p, err := read(); err != nil || p.EntityID == s.EntityID() {
		t.Errorf("metadata of another: %+v, %v", p, err)
	}
	s.Mend()
	p, err := read()
	if err != nil || p.EntityID != s.EntityID() || p.RedirectURL != s.SSOURL() || p.PostURL != s.SSOURL() || len(p.Certificates) != 1 {
		t.Errorf("metadata %+v, %v", p, err)
	}
}

func TestKeyRollover(t *testing.T) {
	t.Parallel()
	s := idptest.NewSAML(t, idptest.SignedMetadata())
	old := expect(t, s)
	s.RotateKey()
	response := s.Response(idptest.Response{InResponseTo: requestID})
	if got := reason(t, response, old); got != audit.ReasonSignatureInvalid {
		t.Errorf("with the old metadata: %q", got)
	}
	both := expect(t, s)
	s.ForgetOldKeys()
	if got := reason(t, response, both); got != "" || len(both.Provider.Certificates) != 2 || len(expect(t, s).Provider.Certificates) != 1 {
		t.Errorf("with the new metadata: %q", got)
	}
	if _, err := verify.ParseSignedMetadata(s.Metadata(), s.MetadataCertificate(), time.Now()); err != nil {
		t.Errorf("after the key has changed: %v", err)
	}
}

func TestCertificateThatHasRunOut(t *testing.T) {
	t.Parallel()
	s := idptest.NewSAML(t, idptest.CertificateUntil(time.Now().Add(-time.Minute)))
	if got := reason(t, s.Response(idptest.Response{InResponseTo: requestID}), expect(t, s)); got != audit.ReasonCertificateExpired {
		t.Errorf("%q", got)
	}
}
