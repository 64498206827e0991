package realidp_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/crewjam/saml"

	"github.com/postern-audit/postern/internal/testkit/browser"
	"github.com/postern-audit/postern/internal/testkit/realidp"
)

var partner = realidp.SP{EntityID: "https://postern.example/saml", ACSURL: "https://app.example/acs"}

// authnRequest is a request as a service provider makes it.
func authnRequest(id string, s *realidp.SAML) []byte {
	return []byte(`<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="` + id +
		`" Version="2.0" IssueInstant="` + time.Now().UTC().Format("2006-01-02T15:04:05Z") + `" Destination="` + s.SSOURL +
		`" AssertionConsumerServiceURL="` + s.SP.ACSURL + `" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"><saml:Issuer>` +
		s.SP.EntityID + `</saml:Issuer></samlp:AuthnRequest>`)
}

func redirectURL(t *testing.T, s *realidp.SAML, id, relayState string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(authnRequest(id, s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return s.SSOURL + "?" + url.Values{"SAMLRequest": {base64.StdEncoding.EncodeToString(b.Bytes())}, "RelayState": {relayState}}.Encode()
}

func TestSignInAtSamlify(t *testing.T) {
	t.Parallel()
	idp := realidp.Samlify(t, partner)
	signsInWithSAML(t, idp)

	got, err := idp.Cancel(t.Context(), redirectURL(t, idp, "id-cancel", "relay"))
	if err != nil {
		t.Fatal(err)
	}
	response := responseOf(t, idp, got, "relay")
	if code := response.Status.StatusCode; code.StatusCode == nil || code.StatusCode.Value != saml.StatusAuthnFailed || response.InResponseTo != "id-cancel" {
		t.Errorf("a cancelled sign-in came back as %+v in response to %q", code, response.InResponseTo)
	}
}

func TestSignInAtSamlidp(t *testing.T) {
	t.Parallel()
	signsInWithSAML(t, realidp.Samlidp(t, partner))
}

func signsInWithSAML(t *testing.T, idp *realidp.SAML) {
	t.Helper()
	descriptor := &saml.EntityDescriptor{}
	if err := xml.Unmarshal(idp.Metadata, descriptor); err != nil {
		t.Fatal(err)
	}
	if descriptor.EntityID != idp.EntityID {
		t.Errorf("metadata names %q, want %q", descriptor.EntityID, idp.EntityID)
	}
	verifies(t, idp, descriptor, idp.Login(t, redirectURL(t, idp, "id-redirect", "relay")), "id-redirect", "relay")

	posted, err := idp.SignInPost(t.Context(), url.Values{
		"SAMLRequest": {base64.StdEncoding.EncodeToString(authnRequest("id-post", idp))}, "RelayState": {"relay"},
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, idp.Log())
	}
	verifies(t, idp, descriptor, posted, "id-post", "relay")

	unsolicited, err := idp.SignInUnsolicited(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, idp.Log())
	}
	verifies(t, idp, descriptor, unsolicited, "", "from-the-idp")
}

func responseOf(t *testing.T, idp *realidp.SAML, got browser.Callback, relayState string) *saml.Response {
	t.Helper()
	if got.Method != http.MethodPost || got.URL.String() != idp.SP.ACSURL || got.Form.Get("RelayState") != relayState {
		t.Fatalf("callback %s %s with RelayState %q", got.Method, got.URL, got.Form.Get("RelayState"))
	}
	raw, err := base64.StdEncoding.DecodeString(got.Form.Get("SAMLResponse"))
	if err != nil {
		t.Fatal(err)
	}
	response := &saml.Response{}
	if err := xml.Unmarshal(raw, response); err != nil {
		t.Fatal(err)
	}
	return response
}

// verifies has the response checked by a library that has nothing to do with our verifier.
func verifies(t *testing.T, idp *realidp.SAML, descriptor *saml.EntityDescriptor, got browser.Callback, id, relayState string) {
	t.Helper()
	response := responseOf(t, idp, got, relayState)
	if response.InResponseTo != id {
		t.Errorf("response to %q, want %q", response.InResponseTo, id)
	}
	acs, err := url.Parse(idp.SP.ACSURL)
	if err != nil {
		t.Fatal(err)
	}
	sp := saml.ServiceProvider{EntityID: idp.SP.EntityID, AcsURL: *acs, IDPMetadata: descriptor, AllowIDPInitiated: id == ""}
	raw, err := base64.StdEncoding.DecodeString(got.Form.Get("SAMLResponse"))
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := sp.ParseXMLResponse(raw, []string{id}, *acs)
	if err != nil {
		t.Fatalf("%v: %v\n%s", err, err.(*saml.InvalidResponseError).PrivateErr, raw) //nolint:errorlint // the library returns nothing else
	}
	if assertion.Signature == nil {
		t.Error("the assertion is not signed")
	}
	if n := assertion.Subject.NameID; n.Value != idp.User.Email {
		t.Errorf("NameID %+v, want %q", n, idp.User.Email)
	}
	attributes := map[string]string{}
	for _, statement := range assertion.AttributeStatements {
		for _, a := range statement.Attributes {
			attributes[a.Name] = a.Values[0].Value
		}
	}
	if attributes[idp.EmailAttribute] != idp.User.Email || attributes[idp.NameAttribute] != idp.User.Name {
		t.Errorf("attributes %v", attributes)
	}
}
