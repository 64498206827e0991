package idptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	_ "crypto/sha1" // the switch SHA1
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

const xmldsig = "http://www.w3.org/2000/09/xmldsig#"

// suite is what a signature is made with.
type suite struct {
	hash                   crypto.Hash
	digestURI, signatureID string
}

func (s *SAML) suite(k samlKey) suite {
	_, ec := k.key.(*ecdsa.PrivateKey)
	switch {
	case s.is(SHA1) && ec:
		return suite{crypto.SHA1, xmldsig + "sha1", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1"}
	case s.is(SHA1):
		return suite{crypto.SHA1, xmldsig + "sha1", xmldsig + "rsa-sha1"}
	case ec:
		return suite{crypto.SHA256, "http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"}
	default:
		return suite{crypto.SHA256, "http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"}
	}
}

// sign puts an enveloped signature behind the issuer of a response or assertion, or first into metadata. The library canonicalises;
// the signature itself is made here, because the library's ECDSA signatures are not what the standard wants.
func (s *SAML) sign(text string, k samlKey) string {
	s.t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromString(text); err != nil {
		s.t.Fatalf("idptest: sign: %v", err)
	}
	root, use := doc.Root(), s.suite(k)
	canonicalizer := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	canonical, err := canonicalizer.Canonicalize(root.Copy())
	if err != nil {
		s.t.Fatalf("idptest: sign: %v", err)
	}
	info := `<ds:SignedInfo xmlns:ds="` + xmldsig + `"><ds:CanonicalizationMethod Algorithm="` + canonicalizer.Algorithm().String() +
		`"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="` + use.signatureID + `"></ds:SignatureMethod><ds:Reference URI="#` +
		root.SelectAttrValue("ID", "") + `"><ds:Transforms><ds:Transform Algorithm="` + xmldsig + `enveloped-signature"></ds:Transform>` +
		`<ds:Transform Algorithm="` + canonicalizer.Algorithm().String() + `"></ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="` +
		use.digestURI + `"></ds:DigestMethod><ds:DigestValue>` + base64.StdEncoding.EncodeToString(digest(use.hash, canonical)) +
		`</ds:DigestValue></ds:Reference></ds:SignedInfo>` // written in canonical form
	value, err := signatureValue(k.key, use.hash, []byte(info))
	if err != nil {
		s.t.Fatalf("idptest: sign: %v", err)
	}
	signature := `<ds:Signature xmlns:ds="` + xmldsig + `">` + strings.Replace(info, ` xmlns:ds="`+xmldsig+`"`, "", 1) +
		`<ds:SignatureValue>` + base64.StdEncoding.EncodeToString(value) + `</ds:SignatureValue>`
	if !s.is(NoKeyInfo) {
		signature += `<ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + base64.StdEncoding.EncodeToString(k.cert.Raw) +
			`</ds:X509Certificate></ds:X509Data></ds:KeyInfo>`
	}
	return inserted(text, signature+`</ds:Signature>`)
}

// inserted puts a signature where the schema wants it.
func inserted(text, signature string) string {
	const issuer = "</saml:Issuer>"
	at := strings.Index(text, ">") + 1 // metadata: first
	if i := strings.Index(text, issuer); i >= 0 {
		at = i + len(issuer)
	}
	return text[:at] + signature + text[at:]
}

func digest(h crypto.Hash, b []byte) []byte {
	sum := h.New()
	sum.Write(b)
	return sum.Sum(nil)
}

// signatureValue signs; an ECDSA value is r and s side by side.
func signatureValue(key crypto.Signer, h crypto.Hash, b []byte) ([]byte, error) {
	value, err := key.Sign(rand.Reader, digest(h, b), h)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return value, nil
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(value, &pair); err != nil {
		return nil, fmt.Errorf("ECDSA signature: %w", err)
	}
	size := (ec.Curve.Params().BitSize + 7) / 8
	out := make([]byte, 2*size)
	pair.R.FillBytes(out[:size])
	pair.S.FillBytes(out[size:])
	return out, nil
}

// Metadata is the provider's metadata as it is served.
func (s *SAML) Metadata() []byte {
	s.t.Helper()
	s.mu.Lock()
	keys := append([]samlKey(nil), s.keys...)
	s.mu.Unlock()
	var certificates []string
	for _, k := range keys {
		if !s.is(MetadataWithoutKey) {
			certificates = append(certificates, base64.StdEncoding.EncodeToString(k.cert.Raw))
		}
	}
	until := s.now().Add(24 * time.Hour)
	if s.is(MetadataOutdated) {
		until = s.now().Add(-time.Hour)
	}
	text := s.render(metadataTemplate, map[string]any{
		"ID": newID(), "EntityID": s.pick(MetadataOfAnother, "https://other.example/idp", s.EntityID()), "ValidUntil": until,
		"Signed": s.sp.Signs != nil, "Certificates": certificates, "SSO": s.SSOURL(),
	})
	if s.metaKey == nil {
		return []byte(text)
	}
	k := *s.metaKey
	if s.is(MetadataBadSignature) {
		k.key = newKey(s.t, "RS256")
	}
	return []byte(s.sign(text, k))
}
