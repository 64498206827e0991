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
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

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

// library is crewjam's service provider for an identity provider: a reader that has nothing to do with the writer here.
func library(t *testing.T, s *idptest.SAML, key *rsa.PrivateKey) *saml.ServiceProvider {
	t.Helper()
	meta := &saml.EntityDescriptor{}
	if err := xml.Unmarshal(s.Metadata(), meta); err != nil {
		t.Fatal(err)
	}
	acs, err := url.Parse(s.SP().ACSURL)
	if err != nil {
		t.Fatal(err)
	}
	sp := &saml.ServiceProvider{EntityID: s.SP().EntityID, AcsURL: *acs, IDPMetadata: meta}
	if key != nil {
		sp.Key = key
	}
	return sp
}

// read is what the library makes of a response.
func (r reader) read(raw string) (assertion *saml.Assertion, refusal string) {
	defer func() {
		if recover() != nil { // the library does not expect every document
			refusal = "panic"
		}
	}()
	a, err := r.sp.ParseXMLResponse([]byte(raw), []string{requestID}, r.sp.AcsURL)
	var invalid *saml.InvalidResponseError
	if errors.As(err, &invalid) {
		return nil, invalid.PrivateErr.Error()
	}
	if err != nil {
		return nil, err.Error()
	}
	return a, ""
}

type reader struct{ sp *saml.ServiceProvider }

// TestEverySAMLSwitchSpoilsOneThing has responses read by the library where it is strict enough, and looks at the text else.
func TestEverySAMLSwitchSpoilsOneThing(t *testing.T) {
	t.Parallel()
	key, cert := idptest.KeyPair(t, time.Now())
	s := idptest.NewSAML(t, idptest.WithSP(idptest.SP{Decrypts: cert}), idptest.SignedMetadata())
	lib := reader{library(t, s, key)}
	const accepted = ""
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
		a, refusal := lib.read(raw)
		if c.refusal == accepted && refusal != "" || c.refusal != accepted && !strings.Contains(refusal, c.refusal) {
			t.Errorf("switch %q: refused because %q, want %q", f, refusal, c.refusal)
		}
		if a != nil && f != idptest.NoSubject && f != idptest.CommentInNameID && a.Subject.NameID.Value != s.Person().Subject {
			t.Errorf("switch %q: NameID %q", f, a.Subject.NameID.Value)
		}
		if c.has != "" && !strings.Contains(raw, c.has) {
			t.Errorf("switch %q: the response has no %s", f, c.has)
		}
		if c.hasNot != "" && strings.Contains(raw, c.hasNot) {
			t.Errorf("switch %q: the response has %s", f, c.hasNot)
		}
		if c.meta != "" && !strings.Contains(string(s.Metadata()), c.meta) {
			t.Errorf("switch %q: the metadata has no %s", f, c.meta)
		}
	}
}

type samlSwitch struct {
	refusal     string // of the library; "": it takes the response, rightly or not
	has, hasNot string // of the response
	meta        string // of the metadata
}

var samlSwitches = map[idptest.Fault]samlSwitch{
	"":                           {has: "<ds:Signature ", hasNot: "<!"},
	idptest.WrongIssuer:          {refusal: "response Issuer"},
	idptest.WrongAudience:        {refusal: "Audience"},
	idptest.ExtraAudience:        {has: idptest.EntityID + "</saml:Audience><saml:Audience>", refusal: "Audience"},
	idptest.NoAudience:           {hasNot: "AudienceRestriction"},
	idptest.Expired:              {refusal: "expired"},
	idptest.IssuedInFuture:       {refusal: "not yet valid"},
	idptest.Unsigned:             {refusal: "signature element not present", hasNot: "<ds:Signature "},
	idptest.OtherKey:             {refusal: "ignature"},
	idptest.NoSubject:            {hasNot: "<saml:NameID"},
	idptest.NoEmail:              {hasNot: idptest.EmailAttribute},
	idptest.LoginDeclined:        {refusal: "status:Responder", has: "AuthnFailed", hasNot: "<saml:Assertion"},
	idptest.OnlyResponseSigned:   {has: "</saml:Issuer><ds:Signature "},
	idptest.BothSigned:           {has: "</saml:Issuer><ds:Signature "},
	idptest.NoKeyInfo:            {hasNot: "KeyInfo"},
	idptest.SHA1:                 {has: "rsa-sha1"},
	idptest.ChangedAfterSigning:  {refusal: "ignature"},
	idptest.WrongRecipient:       {refusal: "Recipient"},
	idptest.WrongDestination:     {refusal: "Destination"},
	idptest.NoDestination:        {hasNot: "Destination="},
	idptest.WrongInResponseTo:    {refusal: "InResponseTo"},
	idptest.NoInResponseTo:       {refusal: "InResponseTo"},
	idptest.TwoAssertions:        {has: ">somebody-else</saml:NameID>"},
	idptest.NoAssertion:          {refusal: "ssertion", hasNot: "<saml:Assertion"},
	idptest.Encrypted:            {has: "<saml:EncryptedAssertion", hasNot: "<saml:Assertion"},
	idptest.StatusFailure:        {refusal: "status:Responder", has: "<samlp:StatusMessage>"},
	idptest.HolderOfKey:          {has: "cm:holder-of-key"},
	idptest.NoConditions:         {hasNot: "<saml:Conditions", refusal: "panic"},
	idptest.UnknownCondition:     {has: "<saml:Condition "},
	idptest.NoAuthnStatement:     {hasNot: "AuthnStatement"},
	idptest.SessionOver:          {has: "SessionNotOnOrAfter="},
	idptest.OldVersion:           {has: `Version="1.1"`},
	idptest.Doctype:              {has: "<!DOCTYPE"},
	idptest.CommentInNameID:      {has: "g<!-- -->wen-7f1c"},
	idptest.MetadataOfAnother:    {meta: `entityID="https://other.example/idp"`},
	idptest.MetadataOutdated:     {meta: "validUntil="},
	idptest.MetadataWithoutKey:   {meta: "WantAuthnRequestsSigned"},
	idptest.MetadataBadSignature: {meta: "<ds:Signature "},
}

func TestSAMLSignInWithBothBindings(t *testing.T) {
	t.Parallel()
	key, cert := idptest.KeyPair(t, time.Now())
	other, _ := idptest.KeyPair(t, time.Now())
	s := idptest.NewSAML(t, idptest.WithSP(idptest.SP{Signs: cert}))
	lib := reader{library(t, s, nil)}
	reads := func(form url.Values) {
		t.Helper()
		raw, err := base64.StdEncoding.DecodeString(form.Get("SAMLResponse"))
		if err != nil {
			t.Fatal(err)
		}
		if _, refusal := lib.read(string(raw)); refusal != "" || form.Get("RelayState") != "relay" {
			t.Errorf("%s, RelayState %q", refusal, form.Get("RelayState"))
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

func TestMetadataSignatureAndKeyRollover(t *testing.T) {
	t.Parallel()
	s := idptest.NewSAML(t, idptest.SignedMetadata())
	check := func() error {
		doc := etree.NewDocument()
		if err := doc.ReadFromBytes(s.Metadata()); err != nil {
			t.Fatal(err)
		}
		_, err := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{
			Roots: []*x509.Certificate{s.MetadataCertificate()},
		}).Validate(doc.Root())
		return err
	}
	if err := check(); err != nil {
		t.Error(err)
	}
	before := s.Certificate()
	old := reader{library(t, s, nil)}
	s.RotateKey()
	if err := check(); err != nil {
		t.Errorf("after the key has changed: %v", err)
	}
	response := s.Response(idptest.Response{InResponseTo: requestID})
	if _, refusal := old.read(response); refusal == "" {
		t.Error("a reader of the old metadata took the new key")
	}
	if _, refusal := (reader{library(t, s, nil)}).read(response); refusal != "" {
		t.Error(refusal)
	}
	certificates := func() int { return strings.Count(string(s.Metadata()), "<md:KeyDescriptor") }
	if n := certificates(); n != 2 || s.Certificate().Equal(before) {
		t.Errorf("%d certificates", n)
	}
	s.ForgetOldKeys()
	if n := certificates(); n != 1 {
		t.Errorf("%d certificates", n)
	}
	s.Break(idptest.MetadataBadSignature)
	if check() == nil {
		t.Error("a bad signature of metadata fits")
	}
}
