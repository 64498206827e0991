package saml

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"math/big"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
)

// keyKind is what kind of key a signature method needs.
type keyKind uint8

const (
	keyRSA   keyKind = 1
	keyECDSA keyKind = 2
)

func methodKind(algorithm string) keyKind {
	switch algorithm {
	case dsig.RSASHA256SignatureMethod, dsig.RSASHA384SignatureMethod, dsig.RSASHA512SignatureMethod:
		return keyRSA
	case dsig.ECDSASHA256SignatureMethod, dsig.ECDSASHA384SignatureMethod, dsig.ECDSASHA512SignatureMethod:
		return keyECDSA
	}
	return 0
}

func digestAllowed(algorithm string) bool {
	switch algorithm {
	case "http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384",
		"http://www.w3.org/2001/04/xmlenc#sha512":
		return true
	}
	return false
}

// verifier verifies enveloped signatures with the keys of certificates.
type verifier struct {
	certificates []*x509.Certificate
	now          time.Time
}

// verify verifies the signature directly inside el, an element that stands for itself: all namespaces are declared on it. It
// returns the element as it reads in the bytes the signature covers, without that signature. It changes el: the key that came
// along is thrown away.
//
// Only exclusive canonicalization, SHA-2, RSA and ECDSA are taken, with one reference to el by its ID and nothing else in the
// signature. Certificates are tried in turn, so keys can be rolled over whether the signature names its key or not.
func (v *verifier) verify(el *etree.Element) (*etree.Element, *federation.Refusal) {
	sig := signatureIn(el)
	if sig == nil {
		return nil, refuseSignature("there is no signature")
	}
	shape, err := fromElement(sig, el)
	if err != nil {
		return nil, malformed("the signature: %v", err)
	}
	method, r := checkSignature(shape, el.SelectAttrValue(dsig.DefaultIdAttr, ""))
	if r != nil {
		return nil, r
	}
	for _, k := range sig.ChildElements() {
		if k.Tag == dsig.KeyInfoTag {
			sig.RemoveChild(k)
		}
	}
	return v.try(el, sig, methodKind(method))
}

// try verifies with each certificate.
func (v *verifier) try(el, sig *etree.Element, kind keyKind) (*etree.Element, *federation.Refusal) {
	value := valueOf(sig)
	if value == nil {
		return nil, refuseSignature("there is no signature value")
	}
	written := value.Text()
	refused := refuseSignature("no certificate of the identity provider has a key of the kind the signature needs")
	var expired *federation.Refusal
	for _, cert := range v.certificates {
		switch key := cert.PublicKey.(type) {
		case *rsa.PublicKey:
			if kind != keyRSA {
				continue
			}
		case *ecdsa.PublicKey:
			if kind != keyECDSA {
				continue
			}
			value.SetText(derSignature(written, key))
		default:
			continue
		}
		at, early, late := v.now, v.now.Before(cert.NotBefore), v.now.After(cert.NotAfter)
		if early || late {
			at = cert.NotBefore
		}
		found, err := validate(el, cert, at)
		switch {
		case errors.Is(err, etreeutils.ErrTraversalLimit):
			return nil, malformed("what is signed has too many elements")
		case err != nil:
			refused = refuseSignature("the signature is not one of the identity provider over this content")
		case early:
			expired = federation.Refuse(audit.ReasonCertificateExpired, "signed with a certificate that is valid from %s", cert.NotBefore.UTC().Format(time.RFC3339))
		case late:
			expired = federation.Refuse(audit.ReasonCertificateExpired, "signed with a certificate that was valid until %s", cert.NotAfter.UTC().Format(time.RFC3339))
		default:
			return found, nil
		}
	}
	if expired != nil {
		return nil, expired
	}
	return nil, refused
}

func validate(el *etree.Element, cert *x509.Certificate, at time.Time) (*etree.Element, error) {
	ctx := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{cert}})
	ctx.Clock = dsig.NewFakeClockAt(at)
	found, err := ctx.Validate(el)
	if err != nil {
		return nil, err
	}
	if found == nil || found.Tag != el.Tag {
		return nil, dsig.ErrInvalidSignature
	}
	return found, nil
}

// checkSignature returns the method of a signature that has nothing in it but what must be there.
func checkSignature(sig *node, id string) (string, *federation.Refusal) {
	parts := sig.kids
	if len(parts) == 3 && parts[2].is(nsSignature, dsig.KeyInfoTag) {
		parts = parts[:2]
	}
	if !names(parts, dsig.SignedInfoTag, dsig.SignatureValueTag) {
		return "", refuseSignature("the signature has other parts than it must have")
	}
	info := parts[0]
	if !names(info.kids, dsig.CanonicalizationMethodTag, dsig.SignatureMethodTag, dsig.ReferenceTag) {
		return "", refuseSignature("the signature covers not just one thing")
	}
	canonical, method, reference := info.kids[0], info.kids[1], info.kids[2]
	if a := canonical.attr("Algorithm"); a != string(dsig.CanonicalXML10ExclusiveAlgorithmId) || len(canonical.kids) > 0 {
		return "", refuseAlgorithm("canonicalization", a)
	}
	if a := method.attr("Algorithm"); methodKind(a) == 0 || len(method.kids) > 0 {
		return "", refuseAlgorithm("signature", a)
	}
	if uri := reference.attr("URI"); id == "" || uri != "#"+id {
		return "", refuseSignature("the signature covers something else than the element it is in")
	}
	if !names(reference.kids, dsig.TransformsTag, dsig.DigestMethodTag, dsig.DigestValueTag) {
		return "", refuseSignature("the reference of the signature has other parts than it must have")
	}
	if r := checkTransforms(reference.kids[0]); r != nil {
		return "", r
	}
	if a := reference.kids[1].attr("Algorithm"); !digestAllowed(a) {
		return "", refuseAlgorithm("digest", a)
	}
	return method.attr("Algorithm"), nil
}

// checkTransforms demands that the signature itself is left out and the rest made canonical, in this order and without
// parameters.
func checkTransforms(n *node) *federation.Refusal {
	want := []string{string(dsig.EnvelopedSignatureAltorithmId), string(dsig.CanonicalXML10ExclusiveAlgorithmId)}
	for i, t := range n.kids {
		a := t.attr("Algorithm")
		if i >= len(want) || !t.is(nsSignature, dsig.TransformTag) || a != want[i] {
			return refuseAlgorithm("transform", a)
		}
		if len(t.kids) > 0 {
			return federation.Refuse(audit.ReasonAlgorithmNotAllowed, "a transform has the parameter %q", t.kids[0].local)
		}
	}
	if len(n.kids) != len(want) {
		return federation.Refuse(audit.ReasonAlgorithmNotAllowed, "the signature has %d transforms where two are needed", len(n.kids))
	}
	return nil
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

// derSignature turns a signature r‖s, as XML has it, into the form the library reads. One that is of that form stays.
func derSignature(written string, key *ecdsa.PublicKey) string {
	raw, err := base64.StdEncoding.DecodeString(written)
	half := (key.Params().BitSize + 7) / 8
	if err != nil || len(raw) != 2*half {
		return written
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
	if err != nil {
		return written
	}
	return base64.StdEncoding.EncodeToString(der)
}

func signatureIn(el *etree.Element) *etree.Element { return childOf(el, dsig.SignatureTag) }

func valueOf(sig *etree.Element) *etree.Element { return childOf(sig, dsig.SignatureValueTag) }

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
