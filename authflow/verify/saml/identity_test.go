package saml_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/authflow/verify/saml/samltest"
)

// use is what a use must be, written down a second time: stored ones must be found again.
func use(parts ...string) federation.Use {
	var b []byte
	for _, p := range append([]string{"saml"}, parts...) {
		b = append(append(b, 0, 0, 0, 0, 0, 0, 0, byte(len(p))), p...)
	}
	return sha256.Sum256(b)
}

func accepted(t *testing.T, d *samltest.Draft, e saml.Expect) federation.Identity {
	t.Helper()
	id, err := saml.Verify([]byte(d.Response()), e, moment)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAnIdentityHoldsWhatTheAssertionSays(t *testing.T) {
	w := samltest.New(t, moment)
	want := federation.Identity{
		Issuer: samltest.IDP, ID: samltest.NameID, Format: "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
		Email: samltest.NameID, Name: "Alice Example", ACR: "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
		AuthTime: moment, Issued: moment, Until: moment.Add(6 * time.Minute), SessionEnds: moment.Add(8 * time.Hour),
		Uses:   []federation.Use{use("assertion", samltest.IDP, "_assertion-1"), use("response", samltest.IDP, "_response-1")},
		Checks: []string{"shape", "issuer", "status", "assertion_signature", "certificate", "destination", "request", "audience", "bearer", "recipient", "times"},
	}
	if diff := cmp.Diff(want, accepted(t, w.Draft(), w.Expect())); diff != "" {
		t.Error(diff)
	}
	if got := hex.EncodeToString(want.Uses[0][:8]); got != "80d701a5d81a8ea2" {
		t.Errorf("uses are stored and must stay what they are: %s", got)
	}
}

func TestChecksNameWhatWasDone(t *testing.T) {
	w := samltest.New(t, moment)
	for _, c := range w.Cases() {
		if c.Want != "" {
			continue
		}
		id, err := saml.Verify([]byte(c.Response), c.Expect, c.Now)
		if err != nil {
			t.Fatal(c.Name, err)
		}
		signedInside := slices.Contains(id.Checks, "assertion_signature")
		if !signedInside && !(c.Expect.ResponseSignatureOnly && slices.Contains(id.Checks, "response_signature")) {
			t.Errorf("%s: no signature was checked: %v", c.Name, id.Checks)
		}
		if id.Unsolicited != slices.Contains(id.Checks, "unsolicited") || id.Unsolicited == slices.Contains(id.Checks, "request") {
			t.Errorf("%s: %v, unsolicited %v", c.Name, id.Checks, id.Unsolicited)
		}
	}
}

// attributes is an attribute statement; each is a name and its values.
func attributes(list ...[]string) string {
	var b strings.Builder
	b.WriteString("<saml:AttributeStatement>")
	for _, a := range list {
		b.WriteString(`<saml:Attribute Name="` + a[0] + `">`)
		for _, v := range a[1:] {
			b.WriteString("<saml:AttributeValue>" + v + "</saml:AttributeValue>")
		}
		b.WriteString("</saml:Attribute>")
	}
	return b.String() + "</saml:AttributeStatement>"
}

func TestTheEmailComesFromWhereItIsLookedFor(t *testing.T) {
	w := samltest.New(t, moment)
	const persistent = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	for _, c := range []struct {
		name, attribute, want string
		email                 bool // the NameID is an e-mail
		sent                  [][]string
	}{
		{name: "the NameID, when it is one", email: true, want: samltest.NameID, sent: [][]string{{"mail", "other@example.com"}}},
		{name: "a usual name, when the NameID is none", want: "b@example.com", sent: [][]string{{"mail", "b@example.com"}}},
		{name: "the usual name of Entra", want: "b@example.com", sent: [][]string{{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress", "b@example.com"}}},
		{name: "the usual name of directories", want: "b@example.com", sent: [][]string{{"urn:oid:0.9.2342.19200300.100.1.3", " b@example.com\n"}}},
		{name: "the configured attribute before the NameID", attribute: "work", email: true, want: "b@example.com", sent: [][]string{{"work", "b@example.com"}}},
		{name: "the configured attribute and no other", attribute: "work", email: true, sent: [][]string{{"mail", "b@example.com"}}},
		{name: "none of two", attribute: "work", sent: [][]string{{"work", "a@example.com", "b@example.com"}}},
		{name: "none of two attributes of one name", sent: [][]string{{"mail", "a@example.com"}, {"mail", "b@example.com"}}},
		{name: "one given twice", want: "a@example.com", sent: [][]string{{"mail", "a@example.com", "a@example.com"}}},
		{name: "not what is no address", sent: [][]string{{"mail", "alice"}}},
		{name: "not what has a line break", sent: [][]string{{"mail", "a@example.com&#10;b"}}},
		{name: "not what has two domains", sent: [][]string{{"mail", "a@example.com@evil.example"}}},
		{name: "not what holds elements", sent: [][]string{{"mail", "a@example.com<x/>"}}},
		{name: "nowhere", sent: [][]string{{"groups", "a@example.com"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := w.Draft()
			d.Details = attributes(c.sent...)
			if !c.email {
				d.Change("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress", persistent)
			}
			e := w.Expect()
			e.EmailAttribute = c.attribute
			if id := accepted(t, d, e); id.Email != c.want || id.EmailVerified {
				t.Errorf("%q, verified %v; want %q, not verified", id.Email, id.EmailVerified, c.want)
			}
		})
	}
}

func TestSeveralStatementsGiveTheMostCautiousReading(t *testing.T) {
	w := samltest.New(t, moment)
	d := w.Draft()
	d.Authn += `<saml:AuthnStatement AuthnInstant="` + samltest.Stamp(moment.Add(-time.Hour)) + `" SessionNotOnOrAfter="` +
		samltest.Stamp(moment.Add(time.Hour)) + `"><saml:AuthnContext><saml:AuthnContextClassRef>urn:x:mfa</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>`
	id := accepted(t, d, w.Expect())
	if id.ACR != "" || !id.AuthTime.Equal(moment.Add(-time.Hour)) || !id.SessionEnds.Equal(moment.Add(time.Hour)) {
		t.Errorf("class %q, signed in %s, session until %s", id.ACR, id.AuthTime, id.SessionEnds)
	}
}

func TestUsesAreNotKeptForEver(t *testing.T) {
	w := samltest.New(t, moment)
	d := w.Draft()
	d.Change(samltest.Stamp(moment.Add(5*time.Minute)), "9999-01-01T00:00:00Z")
	if id := accepted(t, d, w.Expect()); !id.Until.Equal(moment.Add(24 * time.Hour)) {
		t.Errorf("kept until %s", id.Until)
	}
}

func TestTheNameIsFitToBeShown(t *testing.T) {
	w := samltest.New(t, moment)
	d := w.Draft()
	d.Details = attributes([]string{"n", "Eve\u202egnp&#10;" + strings.Repeat("e", 400)})
	e := w.Expect()
	e.NameAttribute = "n"
	if id := accepted(t, d, e); !strings.HasPrefix(id.Name, `Eve\u202egnp\neee`) || len(id.Name) > 256 {
		t.Errorf("%q", id.Name)
	}
}

func TestExpectationsThatCannotBeMetAreOurFault(t *testing.T) {
	w := samltest.New(t, moment)
	response := []byte(w.Draft().Response())
	for name, change := range map[string]func(*saml.Expect){
		"no request and not unsolicited": func(e *saml.Expect) { e.RequestID = "" },
		"a request and unsolicited":      func(e *saml.Expect) { e.Unsolicited = true },
		"no entity id":                   func(e *saml.Expect) { e.EntityID = "" },
		"no URL":                         func(e *saml.Expect) { e.ACS = "" },
		"no provider":                    func(e *saml.Expect) { e.Provider.EntityID = "" },
		"a negative skew":                func(e *saml.Expect) { e.Skew = -1 },
		"a certificate that is none":     func(e *saml.Expect) { e.Provider.Certificates = []*x509.Certificate{nil} },
	} {
		t.Run(name, func(t *testing.T) {
			e := w.Expect()
			change(&e)
			id, err := saml.Verify(response, e, moment)
			if r := refusal(t, err); r.Reason != audit.ReasonVerifierError || id.ID != "" {
				t.Errorf("%v", r)
			}
		})
	}
}

func TestTheProvidersOwnErrorIsKept(t *testing.T) {
	w := samltest.New(t, moment)
	for _, c := range w.Cases() {
		if c.Name != "status-request-denied-with-message" && c.Name != "status-with-endless-message" {
			continue
		}
		_, err := saml.Verify([]byte(c.Response), c.Expect, c.Now)
		d := refusal(t, err).Detail
		if !strings.Contains(d, "status:Responder") || !strings.Contains(d, "no") || len(d) > federation.MaxDetail {
			t.Errorf("%q", d)
		}
		if c.Name == "status-request-denied-with-message" && !strings.Contains(d, "status:RequestDenied you may not sign in") {
			t.Errorf("%q", d)
		}
	}
}

func TestEverythingAboutAnEncryptedKeyIsAnsweredAlike(t *testing.T) {
	w := samltest.New(t, moment)
	details := map[string]bool{}
	for _, c := range w.Cases() {
		if !slices.Contains([]string{"enc-key-changed", "enc-key-short", "enc-gcm-changed", "enc-cbc-bad-padding", "enc-plaintext-is-no-xml", "enc-wrong-key-size"}, c.Name) {
			continue
		}
		_, err := saml.Verify([]byte(c.Response), c.Expect, c.Now)
		details[refusal(t, err).Error()] = true
	}
	if len(details) != 1 {
		t.Errorf("there are %d answers: %v", len(details), details)
	}
}
