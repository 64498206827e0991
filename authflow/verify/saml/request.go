package saml

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// MaxRelayState is the longest RelayState in bytes.
const MaxRelayState = 80

// Request is what an identity provider is asked.
type Request struct {
	ID       string // what the response will name; 128 random bits or more, beginning with a letter or "_"
	Issued   time.Time
	EntityID string // ours
	ACS      string
	Provider Provider
	// RelayState comes back beside the response; at most MaxRelayState bytes. Empty: none.
	RelayState   string
	NameIDFormat string   // asked for; empty: whatever the provider likes
	Contexts     []string // AuthnContextClassRef asked for, any of them
	ForceAuthn   bool     // the person is to sign in even if the provider remembers them
	Key          *Key     // signs the request; nil: it is not signed
}

// Binding says how a request gets to the provider.
type Binding uint8

// The bindings.
const (
	Redirect Binding = 1 // HTTP-Redirect: the browser is sent to a URL
	Post     Binding = 2 // HTTP-POST: the browser posts a form
)

// Message is a request ready to be sent by a browser.
type Message struct {
	URL         string // to go to; with Post, where the form goes
	SAMLRequest string // form value; empty with Redirect
	RelayState  string // form value; empty with Redirect
}

// NewRequest makes an AuthnRequest for a binding. It is an error if the provider has no service for the binding, or wants
// requests signed and there is no key.
func NewRequest(r Request, b Binding) (Message, error) {
	to := r.Provider.RedirectURL
	if b == Post {
		to = r.Provider.PostURL
	}
	switch {
	case to == "":
		return Message{}, errors.New("saml: the identity provider has no service for this binding")
	case !identifier(r.ID), r.EntityID == "", r.ACS == "", r.Issued.IsZero():
		return Message{}, errors.New("saml: the request lacks its ID, time, issuer or the URL of the answer")
	case len(r.RelayState) > MaxRelayState:
		return Message{}, fmt.Errorf("saml: RelayState is longer than %d bytes", MaxRelayState)
	case r.Provider.WantsSigned && r.Key == nil:
		return Message{}, errors.New("saml: the identity provider wants requests signed, and there is no key")
	}
	el := r.element(to)
	if b == Redirect {
		return r.redirect(el, to)
	}
	return r.post(el, to)
}

func (r *Request) element(to string) *etree.Element {
	el := etree.NewElement("samlp:AuthnRequest")
	el.CreateAttr("xmlns:samlp", nsProtocol)
	el.CreateAttr("xmlns:saml", nsAssertion)
	el.CreateAttr("ID", r.ID)
	el.CreateAttr("Version", "2.0")
	el.CreateAttr("IssueInstant", r.Issued.UTC().Format("2006-01-02T15:04:05.000Z"))
	el.CreateAttr("Destination", to)
	el.CreateAttr("AssertionConsumerServiceURL", r.ACS)
	el.CreateAttr("ProtocolBinding", bindingPost)
	if r.ForceAuthn {
		el.CreateAttr("ForceAuthn", "true")
	}
	el.CreateElement("saml:Issuer").SetText(r.EntityID)
	policy := el.CreateElement("samlp:NameIDPolicy")
	policy.CreateAttr("AllowCreate", "true")
	if r.NameIDFormat != "" {
		policy.CreateAttr("Format", r.NameIDFormat)
	}
	if len(r.Contexts) > 0 {
		wanted := el.CreateElement("samlp:RequestedAuthnContext")
		wanted.CreateAttr("Comparison", "exact")
		for _, c := range r.Contexts {
			wanted.CreateElement("saml:AuthnContextClassRef").SetText(c)
		}
	}
	return el
}

// redirect signs the query, not the document, as this binding has it: what is signed is the query as it is sent.
func (r *Request) redirect(el *etree.Element, to string) (Message, error) {
	doc, err := write(el)
	if err != nil {
		return Message{}, err
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return Message{}, fmt.Errorf("saml: %w", err)
	}
	if _, err := w.Write(doc); err != nil {
		return Message{}, fmt.Errorf("saml: %w", err)
	}
	if err := w.Close(); err != nil {
		return Message{}, fmt.Errorf("saml: %w", err)
	}
	query := "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(packed.Bytes()))
	if r.RelayState != "" {
		query += "&RelayState=" + url.QueryEscape(r.RelayState)
	}
	if r.Key != nil {
		query += "&SigAlg=" + url.QueryEscape(r.Key.method())
		sum := sha256.Sum256([]byte(query))
		sig, err := r.Key.sign(sum[:])
		if err != nil {
			return Message{}, err
		}
		query += "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(sig))
	}
	u, err := url.Parse(to)
	if err != nil {
		return Message{}, errors.New("saml: the URL of the identity provider is none")
	}
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	return Message{URL: u.String()}, nil
}

func (r *Request) post(el *etree.Element, to string) (Message, error) {
	if r.Key != nil {
		if err := r.Key.envelop(el); err != nil {
			return Message{}, err
		}
	}
	doc, err := write(el)
	if err != nil {
		return Message{}, err
	}
	return Message{URL: to, SAMLRequest: base64.StdEncoding.EncodeToString(doc), RelayState: r.RelayState}, nil
}

func write(el *etree.Element) ([]byte, error) {
	doc := etree.NewDocument()
	doc.SetRoot(el)
	b, err := doc.WriteToBytes()
	if err != nil {
		return nil, fmt.Errorf("saml: write the request: %w", err)
	}
	return b, nil
}

func (k *Key) method() string {
	if k.opens() != nil {
		return dsig.RSASHA256SignatureMethod
	}
	return dsig.ECDSASHA256SignatureMethod
}

// sign signs a SHA-256 sum. An ECDSA signature is r‖s, as XML signatures have it.
func (k *Key) sign(sum []byte) ([]byte, error) {
	sig, err := k.signer.Sign(rand.Reader, sum, crypto.SHA256)
	if err != nil {
		return nil, errors.New("saml: the request could not be signed")
	}
	key, ok := k.signer.(*ecdsa.PrivateKey)
	if !ok {
		return sig, nil
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &pair); err != nil {
		return nil, errors.New("saml: the request could not be signed")
	}
	half := (key.Params().BitSize + 7) / 8
	raw := make([]byte, 2*half)
	pair.R.FillBytes(raw[:half])
	pair.S.FillBytes(raw[half:])
	return raw, nil
}

// signer is a key as the library signs with it.
type signer struct{ key *Key }

// Public implements crypto.Signer.
func (s signer) Public() crypto.PublicKey { return s.key.signer.Public() }

// Sign implements crypto.Signer for SHA-256.
func (s signer) Sign(_ io.Reader, sum []byte, _ crypto.SignerOpts) ([]byte, error) {
	return s.key.sign(sum)
}

// envelop signs an element and puts the signature behind its issuer.
func (k *Key) envelop(el *etree.Element) error {
	ctx, err := dsig.NewSigningContext(signer{k}, [][]byte{k.certificate.Raw})
	if err != nil {
		return errors.New("saml: the request could not be signed")
	}
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	if err := ctx.SetSignatureMethod(k.method()); err != nil {
		return errors.New("saml: the request could not be signed")
	}
	sig, err := ctx.ConstructSignature(el.Copy(), true) // it moves declarations of namespaces about
	if err != nil {
		return errors.New("saml: the request could not be signed")
	}
	el.InsertChildAt(1, sig)
	return nil
}
