package saml

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha512" // SHA-384 and SHA-512
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
)

// method is how a signature is made.
type method struct {
	algorithm x509.SignatureAlgorithm
	elliptic  bool
}

func methodOf(algorithm string) (method, bool) {
	switch algorithm {
	case dsig.RSASHA256SignatureMethod:
		return method{algorithm: x509.SHA256WithRSA}, true
	case dsig.RSASHA384SignatureMethod:
		return method{algorithm: x509.SHA384WithRSA}, true
	case dsig.RSASHA512SignatureMethod:
		return method{algorithm: x509.SHA512WithRSA}, true
	case dsig.ECDSASHA256SignatureMethod:
		return method{algorithm: x509.ECDSAWithSHA256, elliptic: true}, true
	case dsig.ECDSASHA384SignatureMethod:
		return method{algorithm: x509.ECDSAWithSHA384, elliptic: true}, true
	case dsig.ECDSASHA512SignatureMethod:
		return method{algorithm: x509.ECDSAWithSHA512, elliptic: true}, true
	}
	return method{}, false
}

func digestOf(algorithm string) (crypto.Hash, bool) {
	switch algorithm {
	case digestSHA256:
		return crypto.SHA256, true
	case "http://www.w3.org/2001/04/xmldsig-more#sha384":
		return crypto.SHA384, true
	case "http://www.w3.org/2001/04/xmlenc#sha512":
		return crypto.SHA512, true
	}
	return 0, false
}

// covered is what is allowed in a canonical form. It can be longer than what it was made of.
func covered() bounds { return bounds{bytes: 8 * MaxMetadata, elements: maxMetadataElements} }

// verifier verifies enveloped signatures with the keys of certificates.
type verifier struct {
	certificates []*x509.Certificate
	now          time.Time
	prefixLists  bool // the canonical form of the content may be one with a list of prefixes
}

// verify verifies the signature directly inside el, an element that stands for itself: all namespaces are declared on it. It
// returns the element as it reads in the bytes the signature covers. It changes el into what these bytes are, without that
// signature.
//
// Only exclusive canonicalization, SHA-2, RSA and ECDSA are taken, with one reference to el by its ID and nothing else in the
// signature. Certificates are tried in turn and a key that came along is not looked at, so keys can be rolled over whether the
// signature names its key or not.
func (v *verifier) verify(el *etree.Element) (*node, *federation.Refusal) {
	sig := childOf(el, dsig.SignatureTag)
	if sig == nil {
		return nil, refuseSignature("there is no signature")
	}
	value, r := signatureValue(sig, el)
	if r != nil {
		return nil, r
	}
	info, r := detach(childOf(sig, dsig.SignedInfoTag))
	if r != nil {
		return nil, r
	}
	signed, what, r := canonical(info, "")
	if r != nil {
		return nil, r
	}
	want, r := v.checkInfo(what, el.SelectAttrValue(dsig.DefaultIdAttr, ""))
	if r != nil {
		return nil, r
	}
	if r := v.try(signed, value, want.method); r != nil {
		return nil, r
	}
	el.RemoveChild(sig)
	content, found, r := canonical(el, want.prefixes)
	if r != nil {
		return nil, r
	}
	h := want.hash.New()
	h.Write(content)
	if !bytes.Equal(h.Sum(nil), want.digest) {
		return nil, refuseSignature("the signature is not one over this content: something was changed")
	}
	return found, nil
}

// canonical makes an element canonical, and returns its bytes with what they read as. Namespaces of the prefixes given stay where
// they are declared, used or not.
func canonical(el *etree.Element, prefixes string) ([]byte, *node, *federation.Refusal) {
	b, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes).Canonicalize(el)
	if err != nil {
		return nil, nil, malformed("what is signed has no canonical form")
	}
	n, err := screen(b, covered())
	if err != nil {
		return nil, nil, malformed("what is signed: %v", err)
	}
	return b, n, nil
}

// signatureValue returns the value of a signature that has the parts it must have and no other.
func signatureValue(sig, around *etree.Element) ([]byte, *federation.Refusal) {
	n, err := fromElement(sig, around)
	if err != nil {
		return nil, malformed("the signature: %v", err)
	}
	parts := n.kids
	if len(parts) == 3 && parts[2].is(nsSignature, dsig.KeyInfoTag) {
		parts = parts[:2]
	}
	if !names(parts, dsig.SignedInfoTag, dsig.SignatureValueTag) {
		return nil, refuseSignature("the signature has other parts than it must have")
	}
	value, err := fromBase64(parts[1].text)
	if err != nil || len(value) == 0 || len(parts[1].kids) > 0 {
		return nil, refuseSignature("the signature has no readable value")
	}
	return value, nil
}

// try verifies with each certificate.
func (v *verifier) try(signed, value []byte, m method) *federation.Refusal {
	refused := refuseSignature("no certificate of the identity provider has a key of the kind the signature needs")
	var expired *federation.Refusal
	for _, cert := range v.certificates {
		given := value
		switch key := cert.PublicKey.(type) {
		case *rsa.PublicKey:
			if m.elliptic {
				continue
			}
		case *ecdsa.PublicKey:
			if !m.elliptic {
				continue
			}
			given = derSignature(value, key)
		default:
			continue
		}
		switch err := cert.CheckSignature(m.algorithm, signed, given); {
		case err != nil:
			refused = refuseSignature("the signature is not one of the identity provider")
		case v.now.Before(cert.NotBefore):
			expired = federation.Refuse(audit.ReasonCertificateExpired, "signed with a certificate that is valid from %s", cert.NotBefore.UTC().Format(time.RFC3339))
		case v.now.After(cert.NotAfter):
			expired = federation.Refuse(audit.ReasonCertificateExpired, "signed with a certificate that was valid until %s", cert.NotAfter.UTC().Format(time.RFC3339))
		default:
			return nil
		}
	}
	if expired != nil {
		return expired
	}
	return refused
}

// signedInfo is what a signature says about itself, in the bytes it covers.
type signedInfo struct {
	method   method
	hash     crypto.Hash
	digest   []byte
	prefixes string
}

// checkInfo reads a SignedInfo that has nothing in it but what must be there.
func (v *verifier) checkInfo(info *node, id string) (signedInfo, *federation.Refusal) {
	var s signedInfo
	if !info.is(nsSignature, dsig.SignedInfoTag) || !names(info.kids, dsig.CanonicalizationMethodTag, dsig.SignatureMethodTag, dsig.ReferenceTag) {
		return s, refuseSignature("the signature covers not just one thing")
	}
	form, how, reference := info.kids[0], info.kids[1], info.kids[2]
	if a := form.attr("Algorithm"); a != string(dsig.CanonicalXML10ExclusiveAlgorithmId) || len(form.kids) > 0 {
		return s, refuseAlgorithm("canonicalization", a)
	}
	var ok bool
	if s.method, ok = methodOf(how.attr("Algorithm")); !ok || len(how.kids) > 0 {
		return s, refuseAlgorithm("signature", how.attr("Algorithm"))
	}
	if uri := reference.attr("URI"); id == "" || uri != "#"+id {
		return s, refuseSignature("the signature covers something else than the element it is in")
	}
	if !names(reference.kids, dsig.TransformsTag, dsig.DigestMethodTag, dsig.DigestValueTag) {
		return s, refuseSignature("the reference of the signature has other parts than it must have")
	}
	var r *federation.Refusal
	if s.prefixes, r = v.checkTransforms(reference.kids[0]); r != nil {
		return s, r
	}
	digest := reference.kids[1]
	if s.hash, ok = digestOf(digest.attr("Algorithm")); !ok || len(digest.kids) > 0 {
		return s, refuseAlgorithm("digest", digest.attr("Algorithm"))
	}
	var err error
	if s.digest, err = fromBase64(reference.kids[2].text); err != nil || len(reference.kids[2].kids) > 0 {
		return s, refuseSignature("the signature has no readable digest")
	}
	return s, nil
}

// fromBase64 reads base64 as XML has it, with white space anywhere.
func fromBase64(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
}

// maxPrefixes is the longest list of prefixes in bytes.
const maxPrefixes = 256

// checkTransforms demands that the signature itself is left out and the rest made canonical, in this order and without
// parameters but, where it is allowed, a list of prefixes. It returns that list.
func (v *verifier) checkTransforms(n *node) (string, *federation.Refusal) {
	want := []string{string(dsig.EnvelopedSignatureAltorithmId), string(dsig.CanonicalXML10ExclusiveAlgorithmId)}
	prefixes := ""
	for i, t := range n.kids {
		a := t.attr("Algorithm")
		if i >= len(want) || !t.is(nsSignature, dsig.TransformTag) || a != want[i] {
			return "", refuseAlgorithm("transform", a)
		}
		if len(t.kids) == 0 {
			continue
		}
		list := t.kids[0].attr(dsig.PrefixListAttr)
		if !v.prefixLists || i != 1 || len(t.kids) > 1 || !t.kids[0].is(want[1], dsig.InclusiveNamespacesTag) || len(list) > maxPrefixes {
			return "", federation.Refuse(audit.ReasonAlgorithmNotAllowed, "a transform has the parameter %q", t.kids[0].local)
		}
		prefixes = list
	}
	if len(n.kids) != len(want) {
		return "", federation.Refuse(audit.ReasonAlgorithmNotAllowed, "the signature has %d transforms where two are needed", len(n.kids))
	}
	return prefixes, nil
}

// names says whether the elements have these names of the signature namespace, in this order.
func names(elements []*node, want ...string) bool {
	if len(elements) != len(want) {
		return false
	}
	for i, n := range elements {
		if !n.is(nsSignature, want[i]) {
			return false
		}
	}
	return true
}

// derSignature turns a signature r‖s, as XML has it, into the form of certificates. One that is of that form stays.
func derSignature(value []byte, key *ecdsa.PublicKey) []byte {
	half := (key.Params().BitSize + 7) / 8
	if len(value) != 2*half {
		return value
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(value[:half]), new(big.Int).SetBytes(value[half:])})
	if err != nil {
		return value
	}
	return der
}

// childOf returns the first child of this name. Where it counts, the screening made sure that there is but one, of its namespace.
func childOf(el *etree.Element, tag string) *etree.Element {
	for _, k := range el.ChildElements() {
		if k.Tag == tag {
			return k
		}
	}
	return nil
}

// detach returns a copy of an element that stands for itself.
func detach(el *etree.Element) (*etree.Element, *federation.Refusal) {
	ctx, err := etreeutils.NSBuildParentContext(el)
	if err != nil {
		return nil, malformed("a namespace cannot be resolved")
	}
	alone, err := etreeutils.NSDetatch(ctx, el)
	if err != nil {
		return nil, malformed("what is signed has too many elements, or a namespace cannot be resolved")
	}
	return alone, nil
}

func refuseSignature(format string, args ...any) *federation.Refusal {
	return federation.Refuse(audit.ReasonSignatureInvalid, format, args...)
}

func refuseAlgorithm(what, algorithm string) *federation.Refusal {
	return federation.Refuse(audit.ReasonAlgorithmNotAllowed, "%s algorithm %q", what, algorithm)
}
