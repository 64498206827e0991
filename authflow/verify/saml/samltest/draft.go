package samltest

import (
	"strings"
	"time"
)

// Draft is a response in pieces of text, to be changed before it is put together.
type Draft struct {
	w *World
	// The pieces. Each is whole elements, but for the two of attributes.
	Before, ResponseAttributes, ResponseIssuer, Extensions, Status   string
	AssertionAttributes, Issuer, Subject, Conditions, Authn, Details string
	// Sign and SignResponse say how the assertion and the response are signed; nil: not at all.
	Sign, SignResponse *Signing
	// Wrap changes the signed assertion before it goes into the response, Encrypt encrypts it.
	Wrap    func(assertion string) string
	Encrypt *Encryption
	// Finish changes the finished document.
	Finish func(document string) string
}

// placeholder stands where a signature will be.
const placeholder = "@SIGNATURE@"

// Stamp writes a time as SAML does.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Draft returns an honest response that is signed in the assertion.
func (w *World) Draft() *Draft {
	now, end := Stamp(w.Now), Stamp(w.Now.Add(5*time.Minute))
	return &Draft{
		w: w,
		ResponseAttributes: `ID="_response-1" Version="2.0" IssueInstant="` + now + `" Destination="` + ACS +
			`" InResponseTo="` + Request + `"`,
		ResponseIssuer:      `<saml:Issuer>` + IDP + `</saml:Issuer>`,
		Status:              `<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>`,
		AssertionAttributes: `ID="_assertion-1" Version="2.0" IssueInstant="` + now + `"`,
		Issuer:              `<saml:Issuer>` + IDP + `</saml:Issuer>`,
		Subject: `<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress">` + NameID + `</saml:NameID>` +
			`<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData InResponseTo="` + Request +
			`" NotOnOrAfter="` + end + `" Recipient="` + ACS + `"/></saml:SubjectConfirmation></saml:Subject>`,
		Conditions: `<saml:Conditions NotBefore="` + now + `" NotOnOrAfter="` + end + `"><saml:AudienceRestriction><saml:Audience>` +
			SP + `</saml:Audience></saml:AudienceRestriction></saml:Conditions>`,
		Authn: `<saml:AuthnStatement AuthnInstant="` + now + `" SessionIndex="_s1" SessionNotOnOrAfter="` + Stamp(w.Now.Add(8*time.Hour)) +
			`"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport` +
			`</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>`,
		Details: `<saml:AttributeStatement><saml:Attribute Name="mail"><saml:AttributeValue xmlns:xs="http://www.w3.org/2001/XMLSchema" ` +
			`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="xs:string">alice@example.com</saml:AttributeValue></saml:Attribute>` +
			`<saml:Attribute Name="displayName"><saml:AttributeValue>Alice Example</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>`,
		Sign: &Signing{By: w.Main},
	}
}

// Change replaces text in all pieces. Replacing what is not there is a mistake in the test.
func (d *Draft) Change(old, changed string) *Draft {
	found := false
	for _, piece := range []*string{
		&d.Before, &d.ResponseAttributes, &d.ResponseIssuer, &d.Extensions, &d.Status, &d.AssertionAttributes, &d.Issuer, &d.Subject,
		&d.Conditions, &d.Authn, &d.Details,
	} {
		found = found || strings.Contains(*piece, old)
		*piece = strings.ReplaceAll(*piece, old, changed)
	}
	if !found {
		d.w.t.Helper()
		d.w.t.Fatalf("the draft has no %q to change", old)
	}
	return d
}

// Assertion returns the assertion as text, signed if it is to be.
func (d *Draft) Assertion() string {
	mark := ""
	if d.Sign != nil {
		mark = placeholder
	}
	text := `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ` + d.AssertionAttributes + `>` + d.Issuer + mark +
		d.Subject + d.Conditions + d.Authn + d.Details + `</saml:Assertion>`
	if d.Sign != nil {
		text = d.w.sign(text, d.Sign)
	}
	return text
}

// Response returns the document.
func (d *Draft) Response() string {
	assertion := d.Assertion()
	if d.Wrap != nil {
		assertion = d.Wrap(assertion)
	}
	if d.Encrypt != nil {
		assertion = d.w.encrypt(assertion, d.Encrypt)
	}
	mark := ""
	if d.SignResponse != nil {
		mark = placeholder
	}
	text := `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ` +
		d.ResponseAttributes + `>` + d.ResponseIssuer + mark + d.Extensions + d.Status + assertion + `</samlp:Response>`
	if d.SignResponse != nil {
		text = d.w.sign(text, d.SignResponse)
	}
	text = d.Before + text
	if d.Finish != nil {
		text = d.Finish(text)
	}
	return text
}
