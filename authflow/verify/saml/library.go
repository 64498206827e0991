package saml

import (
	"encoding/base64"
	"net/url"
	"time"

	"github.com/beevik/etree"
	library "github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/postern-audit/postern/authflow/federation"
)

// forever is longer than any time the library looks at.
const forever = 1<<63 - 1

// The library keeps its tolerances in variables of its package. They are widened here, before anything can run, so that it never
// decides about time: that is done in check.go, with the time given, and by nobody else.
var _ = widen(&library.MaxIssueDelay, &library.MaxClockSkew)

func widen(tolerances ...*time.Duration) struct{} {
	for _, t := range tolerances {
		*t = forever
	}
	return struct{}{}
}

// hook is how the library verifies signatures: as we do.
type hook struct {
	*trial
	outer   bool           // the signature of the response was verified before
	inner   *etree.Element // the assertion in a verified response: the library does not look whether it is signed too
	refusal *federation.Refusal
}

// VerifySignature implements the library's SignatureVerifier. The element stands for itself.
func (h *hook) VerifySignature(_ *dsig.ValidationContext, el *etree.Element) error {
	var r *federation.Refusal
	switch {
	case el.Tag != "Response":
		h.assertion, r = h.verify(el)
	case h.outer:
		return nil
	default:
		r = h.takeResponse(el)
		h.inner = childOf(el, "Assertion")
	}
	if r != nil {
		h.refusal = r
		return r
	}
	return nil
}

// ask asks the library. Audiences are left to check.go: the library sees only the last audience of a restriction, and takes any
// one of several restrictions. Requests it does not look at when the response is unsolicited; check.go does.
func (t *trial) ask(raw []byte, h *hook) bool {
	sp := library.ServiceProvider{
		EntityID:                    t.EntityID,
		AcsURL:                      url.URL{Opaque: t.ACS},
		IDPMetadata:                 describe(t.Provider),
		AllowIDPInitiated:           t.Unsolicited,
		SignatureVerifier:           h,
		ValidateAudienceRestriction: func(*library.Assertion) error { return nil },
	}
	var requests []string
	if !t.Unsolicited {
		requests = []string{t.RequestID}
	}
	_, err := sp.ParseXMLResponse(raw, requests, sp.AcsURL)
	return err == nil
}

// describe gives the library metadata of the provider. One certificate is enough: it only looks whether there are any.
func describe(p Provider) *library.EntityDescriptor {
	key := library.KeyDescriptor{Use: "signing"}
	key.KeyInfo.X509Data.X509Certificates = []library.X509Certificate{{Data: base64.StdEncoding.EncodeToString(p.Certificates[0].Raw)}}
	role := library.IDPSSODescriptor{}
	role.KeyDescriptors = []library.KeyDescriptor{key}
	return &library.EntityDescriptor{EntityID: p.EntityID, IDPSSODescriptors: []library.IDPSSODescriptor{role}}
}
