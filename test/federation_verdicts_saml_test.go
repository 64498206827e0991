package test

import (
	"encoding/base64"
	"encoding/pem"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/authflow/verify/saml/samltest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// responsesLeftOut are the cases that cannot come through a call, and why.
var responsesLeftOut = map[string]string{
	"ok-wider-skew":             "no connection says how far clocks may differ: it is a minute",
	"ok-transient-when-allowed": "no connection takes names that last for one sign-in: an identity is remembered by its name",
	"metadata-over":             "a connection with certificates of its own has no metadata that could end",
	"ok-metadata-nearly-over":   "as metadata-over",
	"no-certificate-known":      "no document may leave out certificates and metadata both",
	"ed25519":                   "no document may name a certificate with such a key",
	"ed25519-as-ecdsa":          "as ed25519",
}

// responsesAtTheDoor are the cases that are no call that is taken.
var responsesAtTheDoor = []string{"empty", "enc-oversized"}

// responsesAtTheEdge are the cases that another second, or less, would change. They are well inside here.
var responsesAtTheEdge = []string{
	"issueinstant-future", "issueinstant-future-in-response", "conditions-begin-later", "authninstant-future", "certificate-not-yet-valid",
	"ok-issueinstant-old-within-skew", "ok-issueinstant-old-in-response-within-skew", "ok-conditions-over-within-skew",
	"ok-confirmation-over-within-skew", "ok-session-noa-past-within-skew",
}

// responses are the cases of the suite that can be handed in. A case that is judged at another time than it was made at is made at
// another time here.
func (c *court) responses(now time.Time) []*handed {
	c.t.Helper()
	w := samltest.New(c.t, now)
	shifted := map[time.Duration]map[string]samltest.Case{}
	var out []*handed
	left := 0
	for _, k := range w.Cases() {
		if responsesLeftOut[k.Name] != "" {
			left++
			continue
		}
		shift, edge := w.Now.Sub(k.Now), slices.Contains(responsesAtTheEdge, k.Name)
		if edge {
			shift += inside
		}
		if shift != 0 {
			if shifted[shift] == nil {
				shifted[shift] = named(samltest.New(c.t, now.Add(shift)).Cases())
			}
			k = shifted[shift][k.Name]
		}
		if !reflect.DeepEqual(k.Expect, answerable(k.Expect)) {
			c.t.Errorf("the response %s expects what no call can say: %+v", k.Name, k.Expect)
		}
		h := response(k)
		h.edge, h.door = edge, slices.Contains(responsesAtTheDoor, k.Name)
		if k.Expect.Decrypt != nil {
			h.key = string(w.SPKey)
		}
		out = append(out, h)
	}
	if left != len(responsesLeftOut) {
		c.t.Errorf("%d responses are left out, %d are named", left, len(responsesLeftOut))
	}
	return out
}

func named(cases []samltest.Case) map[string]samltest.Case {
	out := map[string]samltest.Case{}
	for _, k := range cases {
		out[k.Name] = k
	}
	return out
}

// answerable is what a connection and a call can say of expectations.
func answerable(e saml.Expect) saml.Expect {
	p := e.Provider
	return saml.Expect{EntityID: e.EntityID, ACS: e.ACS, RequestID: e.RequestID, Unsolicited: e.Unsolicited, ResponseSignatureOnly: e.ResponseSignatureOnly,
		AllowPrefixLists: e.AllowPrefixLists, Decrypt: e.Decrypt, Provider: saml.Provider{EntityID: p.EntityID, RedirectURL: p.RedirectURL, PostURL: p.PostURL, Certificates: p.Certificates}}
}

// response is a case as it is handed in.
func response(k samltest.Case) *handed {
	e := k.Expect
	var certificates []string
	for _, cert := range e.Provider.Certificates {
		certificates = append(certificates, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
	}
	p := table{"entity_id": e.Provider.EntityID, "redirect_url": e.Provider.RedirectURL, "post_url": e.Provider.PostURL, "sp_entity_id": e.EntityID,
		"acs_urls": []string{"https://first.example.org/acs", e.ACS}, "certificates": certificates}
	for name, on := range map[string]bool{
		"allows_unsolicited": e.Unsolicited, "response_signature_only": e.ResponseSignatureOnly, "allows_encryption": e.Decrypt != nil,
		"allows_prefix_lists": e.AllowPrefixLists} {
		if on {
			p[name] = true
		}
	}
	return &handed{
		name: k.Name, protocol: "SAML", connection: table{"protocol": "SAML", "saml": p}, want: k.Want, unasked: e.Unsolicited,
		evidence: &posternv1.CompleteFederationRequest{
			Expectations: &posternv1.Expectations{SamlRequestId: e.RequestID, CallbackUrl: e.ACS},
			Evidence: &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{
				SamlResponse: base64.StdEncoding.EncodeToString([]byte(k.Response))}}},
		right: func(id *posternv1.FederatedIdentity) bool {
			longest := k.Name == "ok-nameid-longest" && id.GetSubjectId() == strings.Repeat("ä", 256)
			return id.GetIssuer() == samltest.IDP && (longest || id.GetSubjectId() == samltest.NameID) && !id.GetEmailVerified()
		},
	}
}
