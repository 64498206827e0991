package saml

import (
	"crypto/x509"
	"runtime"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
)

// Provider is a SAML identity provider as its metadata describes it.
type Provider struct {
	EntityID     string
	RedirectURL  string // single sign-on service for HTTP-Redirect; "": there is none
	PostURL      string // the same for HTTP-POST
	Certificates []*x509.Certificate
	WantsSigned  bool          // it demands signed requests
	ValidUntil   time.Time     // of the metadata, which is not used from then on; zero: not said
	CacheFor     time.Duration // after which the metadata wants to be read anew; zero: not said
}

// Expect is what a response is held against.
type Expect struct {
	EntityID string // ours
	ACS      string // where the response was sent
	Provider Provider
	// RequestID is the id of the request that is answered; empty only with Unsolicited.
	RequestID string
	// Unsolicited expects a response nobody asked for: then neither it nor its confirmation may name a request.
	Unsolicited           bool
	ResponseSignatureOnly bool // a signed response is enough, its assertion need not be signed itself
	// AllowTransient takes a NameID of format transient, which names somebody else the next time. An identity that is to be
	// remembered must not have one.
	AllowTransient bool
	// AllowPrefixLists takes signatures whose canonical form keeps the namespaces of a list of prefixes (InclusiveNamespaces), as
	// providers make them that write types of attribute values with prefixes, Okta and Shibboleth among them. No other parameter of
	// a transform is ever taken.
	AllowPrefixLists bool
	Decrypt          *Key          // an RSA key; nil: encrypted assertions are refused
	Skew             time.Duration // tolerated between clocks; 0: DefaultSkew
	// EmailAttribute and NameAttribute name the attributes with the e-mail and the name to show; empty: the usual ones.
	EmailAttribute, NameAttribute string
}

// DefaultSkew is how far the clocks of two parties may be apart.
const DefaultSkew = time.Minute

// MaxAge is how long after its making a response is taken at most, as the library has it.
const MaxAge = 90 * time.Second

// Verify judges a decoded response and returns who it is about. Its error is always a *federation.Refusal with a reason of the
// catalogue. It does not know which assertions were seen before: Uses of the identity says what must not be taken twice.
func Verify(response []byte, e Expect, now time.Time) (id federation.Identity, err error) {
	defer func() {
		if p := recover(); p != nil {
			id, err = federation.Identity{}, failure(p)
		}
	}()
	id, r := verify(response, e, now)
	if r != nil {
		return federation.Identity{}, r
	}
	return id, nil
}

func failure(p any) *federation.Refusal {
	what := "panic"
	if e, ok := p.(runtime.Error); ok {
		what = e.Error()
	}
	return federation.Refuse(audit.ReasonVerifierError, "the verifier failed: %s", what)
}

// MaxForm is the longest SAMLResponse form value that is looked at.
const MaxForm = (MaxResponse+2)/3*4 + 8<<10

// DecodeResponse returns the document of a SAMLResponse form value. Its error is always a *federation.Refusal.
func DecodeResponse(form string) ([]byte, error) {
	if len(form) > MaxForm {
		return nil, malformed("the response is longer than %d bytes", MaxResponse)
	}
	doc, err := fromBase64(form)
	switch {
	case err != nil:
		return nil, malformed("the response is no base64")
	case len(doc) > MaxResponse:
		return nil, malformed("the response is longer than %d bytes", MaxResponse)
	}
	return doc, nil
}

func verify(raw []byte, e Expect, now time.Time) (federation.Identity, *federation.Refusal) {
	if r := e.usable(now); r != nil {
		return federation.Identity{}, r
	}
	root, err := screen(raw, bounds{bytes: MaxResponse, elements: maxElements})
	if err != nil {
		return federation.Identity{}, malformed("the document: %v", err)
	}
	if r := places(root); r != nil {
		return federation.Identity{}, r
	}
	m, r := readReply(root)
	if r != nil {
		return federation.Identity{}, r
	}
	if m.hasIssuer && m.issuer != e.Provider.EntityID {
		return federation.Identity{}, federation.Refuse(audit.ReasonIssuerMismatch, "the response is of %q", m.issuer)
	}
	t := trial{Expect: e, verifier: verifier{certificates: e.Provider.Certificates, now: now, prefixLists: e.AllowPrefixLists}, reply: m}
	if m.status.code != statusSuccess {
		return federation.Identity{}, t.failed(raw)
	}
	if m.encrypted != nil {
		r = t.encrypted(raw, root)
	} else {
		r = t.plain(raw, root)
	}
	if r != nil {
		return federation.Identity{}, r
	}
	return t.identity()
}

// usable refuses expectations nothing could meet, and keys whose time is over.
func (e *Expect) usable(now time.Time) *federation.Refusal {
	switch {
	case e.EntityID == "" || e.ACS == "" || e.Provider.EntityID == "" || (e.RequestID == "") != e.Unsolicited || e.Skew < 0:
		return federation.Refuse(audit.ReasonVerifierError, "the connection does not say what to expect")
	case len(e.Provider.Certificates) == 0:
		return federation.Refuse(audit.ReasonKeysUnavailable, "the connection has no certificate of the identity provider")
	case !e.Provider.ValidUntil.IsZero() && !now.Before(e.Provider.ValidUntil):
		return federation.Refuse(audit.ReasonKeysUnavailable, "the identity provider's metadata was valid until %s", e.Provider.ValidUntil.UTC().Format(time.RFC3339))
	}
	if e.Skew == 0 {
		e.Skew = DefaultSkew
	}
	return nil
}
