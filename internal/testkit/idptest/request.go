package idptest

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

const maxRequest = 64 << 10

// AuthnRequest is a request that the provider accepted.
type AuthnRequest struct {
	ID          string `xml:"ID,attr"`
	Version     string `xml:"Version,attr"`
	Destination string `xml:"Destination,attr"`
	ACSURL      string `xml:"AssertionConsumerServiceURL,attr"`
	ForceAuthn  string `xml:"ForceAuthn,attr"`
	Issuer      string `xml:"urn:oasis:names:tc:SAML:2.0:assertion Issuer"`
	Policy      struct {
		Format      string `xml:"Format,attr"`
		AllowCreate string `xml:"AllowCreate,attr"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:protocol NameIDPolicy"`
	Contexts struct {
		Comparison string   `xml:"Comparison,attr"`
		Classes    []string `xml:"urn:oasis:names:tc:SAML:2.0:assertion AuthnContextClassRef"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:protocol RequestedAuthnContext"`

	RelayState string `xml:"-"`
	Binding    string `xml:"-"` // redirect or post
	Signed     bool   `xml:"-"` // and the signature was checked
}

// serveSSO signs the person in without asking and lets the browser post the response.
func (s *SAML) serveSSO(w http.ResponseWriter, r *http.Request) {
	request, err := s.request(r)
	if err != nil {
		http.Error(w, "the request is refused: "+err.Error(), http.StatusBadRequest)
		return
	}
	s.saw(request.ID, request.RelayState)
	s.mu.Lock()
	s.requests = append(s.requests, request)
	s.mu.Unlock()
	form := url.Values{"SAMLResponse": {Encoded(s.Response(Response{InResponseTo: request.ID}))}}
	if request.RelayState != "" {
		form.Set("RelayState", request.RelayState)
	}
	selfPost(w, s.sp.ACSURL, form)
}

// request reads a request and checks it.
func (s *SAML) request(r *http.Request) (AuthnRequest, error) {
	var request AuthnRequest
	if err := r.ParseForm(); err != nil {
		return request, err
	}
	raw, err := base64.StdEncoding.DecodeString(r.Form.Get("SAMLRequest"))
	if err != nil {
		return request, fmt.Errorf("SAMLRequest: %w", err)
	}
	binding := "post"
	if r.Method == http.MethodGet {
		binding = "redirect"
		if raw, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(raw)), maxRequest)); err != nil {
			return request, fmt.Errorf("SAMLRequest: %w", err)
		}
	}
	if err := xml.Unmarshal(raw, &request); err != nil {
		return request, fmt.Errorf("SAMLRequest: %w", err)
	}
	request.Binding, request.RelayState = binding, r.Form.Get("RelayState")
	switch {
	case request.ID == "" || request.Version != "2.0":
		return request, errors.New("the ID or Version is missing or wrong")
	case request.Issuer != s.sp.EntityID:
		return request, errors.New("the service provider is not known")
	case request.Destination != s.SSOURL():
		return request, errors.New("the Destination is not this provider")
	case request.ACSURL != "" && request.ACSURL != s.sp.ACSURL:
		return request, errors.New("the ACS URL is not registered")
	case len(request.RelayState) > 80:
		return request, errors.New("RelayState is longer than 80 bytes")
	}
	if s.sp.Signs == nil {
		return request, nil
	}
	check := s.signedForm
	if binding == "redirect" {
		check = func([]byte) error { return signedQuery(r.URL.RawQuery, s.sp.Signs) }
	}
	if err := check(raw); err != nil {
		return request, fmt.Errorf("signature: %w", err)
	}
	request.Signed = true
	return request, nil
}

// signedForm checks the enveloped signature of a posted request.
func (s *SAML) signedForm(raw []byte) error {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(raw); err != nil {
		return err
	}
	check := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{s.sp.Signs}})
	check.Clock = dsig.NewFakeClockAt(s.now())
	_, err := check.Validate(doc.Root())
	return err
}

// signedQuery checks the signature of a redirect: it is over the parameters as they were sent, in the order the standard gives.
func signedQuery(query string, cert *x509.Certificate) error {
	parts := strings.Split(query, "&")
	var signed []string
	values := map[string]string{}
	for _, name := range []string{"SAMLRequest", "RelayState", "SigAlg", "Signature"} {
		i := slices.IndexFunc(parts, func(p string) bool { return strings.HasPrefix(p, name+"=") })
		if i < 0 {
			continue
		}
		value, err := url.QueryUnescape(strings.TrimPrefix(parts[i], name+"="))
		if err != nil {
			return err
		}
		values[name] = value
		if name != "Signature" {
			signed = append(signed, parts[i])
		}
	}
	signature, err := base64.StdEncoding.DecodeString(values["Signature"])
	if err != nil {
		return err
	}
	sum := digest(crypto.SHA256, []byte(strings.Join(signed, "&")))
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if values["SigAlg"] != dsig.RSASHA256SignatureMethod {
			return fmt.Errorf("algorithm %q", values["SigAlg"])
		}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, signature)
	case *ecdsa.PublicKey:
		if values["SigAlg"] != dsig.ECDSASHA256SignatureMethod {
			return fmt.Errorf("algorithm %q", values["SigAlg"])
		}
		return verifyECDSA(key, sum, signature)
	default:
		return fmt.Errorf("a key of type %T", key)
	}
}

// verifyECDSA takes a value that is r and s side by side.
func verifyECDSA(key *ecdsa.PublicKey, sum, signature []byte) error {
	size := (key.Curve.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return errors.New("the length of the signature")
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])})
	if err != nil {
		return err
	}
	if !ecdsa.VerifyASN1(key, sum, der) {
		return errors.New("it does not fit")
	}
	return nil
}
