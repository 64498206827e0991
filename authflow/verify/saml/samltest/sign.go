package samltest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	_ "crypto/sha1" // for what must be refused
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// The algorithms tests sign with.
const (
	RSA256     = dsig.RSASHA256SignatureMethod
	ECDSA256   = dsig.ECDSASHA256SignatureMethod
	SHA256     = "http://www.w3.org/2001/04/xmlenc#sha256"
	SHA1       = "http://www.w3.org/2000/09/xmldsig#sha1"
	Exclusive  = "http://www.w3.org/2001/10/xml-exc-c14n#"
	Enveloped  = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	HMAC256    = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
	Ed25519    = "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed25519"
	signatures = "http://www.w3.org/2000/09/xmldsig#"
)

// Signing says how something is signed. What is empty is as it should be.
type Signing struct {
	By                        Signer
	Method, Digest, Canonical string
	URI                       *string
	Transforms                []string // elements
	SecondReference           bool
	DER                       bool // ECDSA in the form the library has
	NoKeyInfo                 bool
	Prefixes                  string // of the canonical form
	KeyInfo                   string // element
	Object                    string // element
	MethodParameter           string // element
	// Finish changes the signature element.
	Finish func(signature string) string
}

func or(s, standard string) string {
	if s == "" {
		return standard
	}
	return s
}

func element(name, algorithm, inside string) string {
	return `<ds:` + name + ` Algorithm="` + algorithm + `">` + inside + `</ds:` + name + `>`
}

// sign puts a signature where the placeholder is.
func (w *World) sign(text string, s *Signing) string {
	w.t.Helper()
	content := w.canonical(strings.Replace(text, placeholder, "", 1), s.Prefixes)
	id := content.id
	method := or(s.Method, RSA256)
	if _, ok := s.By.Key.(*ecdsa.PrivateKey); ok && s.Method == "" {
		method = ECDSA256
	}
	reference := "#" + id
	if s.URI != nil {
		reference = *s.URI
	}
	transforms := s.Transforms
	if transforms == nil {
		parameter := ""
		if s.Prefixes != "" {
			parameter = `<ec:InclusiveNamespaces xmlns:ec="` + Exclusive + `" PrefixList="` + s.Prefixes + `"></ec:InclusiveNamespaces>`
		}
		transforms = []string{element("Transform", Enveloped, ""), element("Transform", Exclusive, parameter)}
	}
	digest := or(s.Digest, SHA256)
	ref := `<ds:Reference URI="` + reference + `"><ds:Transforms>` + strings.Join(transforms, "") + `</ds:Transforms>` +
		element("DigestMethod", digest, "") + `<ds:DigestValue>` + encode(sum(digest, content.bytes)) + `</ds:DigestValue></ds:Reference>`
	if s.SecondReference {
		ref += ref
	}
	info := `<ds:SignedInfo xmlns:ds="` + signatures + `">` + element("CanonicalizationMethod", or(s.Canonical, Exclusive), "") +
		element("SignatureMethod", method, s.MethodParameter) + ref + `</ds:SignedInfo>`
	keyInfo := `<ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + encode(s.By.Certificate.Raw) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo>`
	if s.NoKeyInfo || s.KeyInfo != "" {
		keyInfo = s.KeyInfo
	}
	signature := `<ds:Signature xmlns:ds="` + signatures + `">` + info + `<ds:SignatureValue>` + encode(w.value(s, method, []byte(info))) +
		`</ds:SignatureValue>` + keyInfo + s.Object + `</ds:Signature>`
	if s.Finish != nil {
		signature = s.Finish(signature)
	}
	return strings.Replace(text, placeholder, signature, 1)
}

type canonical struct {
	id    string
	bytes []byte
}

// canonical returns an element as it is signed.
func (w *World) canonical(text, prefixes string) canonical {
	w.t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromString(text); err != nil {
		w.t.Fatal(err)
	}
	id := doc.Root().SelectAttrValue("ID", "")
	b, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes).Canonicalize(doc.Root())
	if err != nil {
		w.t.Fatal(err)
	}
	return canonical{id: id, bytes: b}
}

func hashOf(algorithm string) crypto.Hash {
	switch {
	case strings.HasSuffix(algorithm, "sha1"):
		return crypto.SHA1
	case strings.HasSuffix(algorithm, "sha384"):
		return crypto.SHA384
	case strings.HasSuffix(algorithm, "sha512"):
		return crypto.SHA512
	}
	return crypto.SHA256
}

func sum(algorithm string, b []byte) []byte {
	h := hashOf(algorithm).New()
	h.Write(b)
	return h.Sum(nil)
}

// value signs the canonical SignedInfo.
func (w *World) value(s *Signing, method string, info []byte) []byte {
	if method == HMAC256 { // the provider's public key as the secret, which everybody knows
		h := hmac.New(crypto.SHA256.New, s.By.Certificate.RawSubjectPublicKeyInfo)
		h.Write(info)
		return h.Sum(nil)
	}
	var sig []byte
	var err error
	if key, ok := s.By.Key.(ed25519.PrivateKey); ok {
		sig, err = key.Sign(rand.Reader, info, crypto.Hash(0))
	} else {
		sig, err = s.By.Key.Sign(rand.Reader, sum(method, info), hashOf(method))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	key, ok := s.By.Key.(*ecdsa.PrivateKey)
	if !ok || s.DER {
		return sig
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &pair); err != nil {
		w.t.Fatal(err)
	}
	half := (key.Params().BitSize + 7) / 8
	raw := make([]byte, 2*half)
	pair.R.FillBytes(raw[:half])
	pair.S.FillBytes(raw[half:])
	return raw
}

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
