package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/beevik/etree"
	"github.com/go-jose/go-jose/v4"
	dsig "github.com/russellhaering/goxmldsig"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	clientID    = "bench"
	samlEntity  = "https://idp.bench-postern-demo.com/metadata"
	samlSP      = "urn:bench:hall"
	samlACS     = "https://hall.bench-postern-demo.com/acs"
	keyID       = "bench-1"
	rsaBits     = 2048
	certificate = 24 * time.Hour
	proofLife   = 5 * time.Minute
)

// proof is evidence as a provider hands it out, once, for one request.
type proof struct {
	document string // the token, or the response as XML
	request  string // the nonce, or the id of the request
}

// minter plays one identity provider with a key of its own.
type minter struct {
	kind   string // RS256, ES256 or SAML
	issuer string
	public crypto.PublicKey
	jwks   []byte            // of a token's
	cert   *x509.Certificate // of a response's
	mint   func(subject string) (proof, error)
}

// newMinter makes the provider of one kind of evidence. An OpenID provider's keys are served under its issuer, which is below base.
func newMinter(kind, base string) (*minter, error) {
	var key crypto.Signer
	var err error
	if kind == "ES256" {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	}
	if err != nil {
		return nil, err
	}
	m := &minter{kind: kind, issuer: base + "/" + kind, public: key.Public()}
	if kind == "SAML" {
		m.issuer = samlEntity
		return m, m.certify(key)
	}
	alg := jose.SignatureAlgorithm(kind)
	if m.jwks, err = json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: m.public, KeyID: keyID, Algorithm: kind, Use: "sig"}}}); err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
	if err != nil {
		return nil, err
	}
	m.mint = func(subject string) (proof, error) { return m.token(signer, subject) }
	return m, nil
}

// token mints an ID token with the claims the common providers put in.
func (m *minter) token(signer jose.Signer, subject string) (proof, error) {
	now, nonce := time.Now(), rand.Text()
	claims, err := json.Marshal(map[string]any{"iss": m.issuer, "sub": subject, "aud": clientID, "azp": clientID, "nonce": nonce, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(proofLife).Unix(), "auth_time": now.Unix(), "amr": []string{"pwd"},
		"email": subject + "@bench-postern-demo.com", "email_verified": true, "name": "Guest " + subject})
	if err != nil {
		return proof{}, err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return proof{}, err
	}
	text, err := signed.CompactSerialize()
	return proof{text, nonce}, err
}

// certify completes a SAML provider: its certificate, and how it signs assertions.
func (m *minter) certify(key crypto.Signer) error {
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: now.Add(-certificate), NotAfter: now.Add(certificate)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	if m.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	m.mint = func(subject string) (proof, error) {
		signing, err := dsig.NewSigningContext(key, [][]byte{der}) // holds what it signs: one for each
		if err != nil {
			return proof{}, err
		}
		signing.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
		if err := signing.SetSignatureMethod(dsig.RSASHA256SignatureMethod); err != nil {
			return proof{}, err
		}
		return m.response(signing, subject)
	}
	return nil
}

// response mints a response whose assertion is signed, the common way.
func (m *minter) response(signing *dsig.SigningContext, subject string) (proof, error) {
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
	now := time.Now()
	request := "_" + rand.Text()
	fill := strings.NewReplacer("@request", request, "@response", "_"+rand.Text(), "@assertion", "_"+rand.Text(), "@now", stamp(now),
		"@end", stamp(now.Add(proofLife)), "@subject", subject, "@idp", m.issuer, "@sp", samlSP, "@acs", samlACS)
	doc := etree.NewDocument()
	if err := doc.ReadFromString(fill.Replace(responseText)); err != nil {
		return proof{}, err
	}
	assertion := doc.FindElement("/samlp:Response/saml:Assertion")
	signature, err := signing.ConstructSignature(assertion, true)
	if err != nil {
		return proof{}, err
	}
	assertion.InsertChildAt(1, signature) // behind the issuer
	text, err := doc.WriteToString()
	return proof{text, request}, err
}

const responseText = `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="@response" ` +
	`Version="2.0" IssueInstant="@now" Destination="@acs" InResponseTo="@request"><saml:Issuer>@idp</saml:Issuer>` +
	`<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>` +
	`<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="@assertion" Version="2.0" IssueInstant="@now"><saml:Issuer>@idp</saml:Issuer>` +
	`<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">@subject</saml:NameID>` +
	`<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData InResponseTo="@request" NotOnOrAfter="@end" ` +
	`Recipient="@acs"/></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="@now" NotOnOrAfter="@end"><saml:AudienceRestriction>` +
	`<saml:Audience>@sp</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="@now" SessionIndex="_s1">` +
	`<saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef>` +
	`</saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement><saml:Attribute Name="mail"><saml:AttributeValue>@subject@bench-postern-demo.com` +
	`</saml:AttributeValue></saml:Attribute><saml:Attribute Name="displayName"><saml:AttributeValue>Guest @subject</saml:AttributeValue></saml:Attribute>` +
	`</saml:AttributeStatement></saml:Assertion></samlp:Response>`

// call is the proof as a login service hands it in that ran the protocol itself.
func (m *minter) call(p proof) *posternv1.CompleteFederationRequest {
	r := &posternv1.CompleteFederationRequest{Connection: connectionOf(m.kind)}
	if m.kind == "SAML" {
		r.Expectations = &posternv1.Expectations{SamlRequestId: p.request}
		r.Evidence = &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{
			SamlResponse: base64.StdEncoding.EncodeToString([]byte(p.document))}}
		return r
	}
	r.Expectations = &posternv1.Expectations{Nonce: p.request}
	r.Evidence = &posternv1.CompleteFederationRequest_OidcToken{OidcToken: &posternv1.OidcToken{IdToken: p.document}}
	return r
}

func connectionOf(kind string) string { return fmt.Sprintf("by-%s", strings.ToLower(kind)) }
