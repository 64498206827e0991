package samltest

import (
	"fmt"
	"time"

	"github.com/postern-audit/postern/authflow/verify/saml"
)

// Case is a response with the verdict it must get.
type Case struct {
	Name     string
	Response string
	Expect   saml.Expect
	Now      time.Time
	Want     string // reason of the refusal; empty: it is accepted
	// Beyond says what the bare library is known to get wrong about a case that is accepted; empty: it accepts it too.
	Beyond string
}

// suite collects cases.
type suite struct {
	w     *World
	cases []Case
}

// Cases returns every case, each with a name of its own.
func (w *World) Cases() []Case {
	s := &suite{w: w}
	s.honest()
	s.documents()
	s.wrapping()
	s.names()
	s.signatures()
	s.algorithms()
	s.keys()
	s.responses()
	s.subjects()
	s.audiences()
	s.times()
	s.encrypted()
	s.brokenEncryption()
	s.order()
	return s.cases
}

// draft adds a case: want, a draft changed by change, and expectations changed by more.
func (s *suite) draft(name, want string, change func(*Draft), more ...func(*Case)) {
	s.w.t.Helper()
	d := s.w.Draft()
	if change != nil {
		change(d)
	}
	s.raw(name, want, d.Response(), more...)
}

// raw adds a case with a finished document.
func (s *suite) raw(name, want, document string, more ...func(*Case)) {
	c := Case{Name: name, Want: want, Response: document, Expect: s.w.Expect(), Now: s.w.Now}
	for _, f := range more {
		f(&c)
	}
	s.cases = append(s.cases, c)
}

// after moves the moment at which the response is judged.
func after(d time.Duration) func(*Case) { return func(c *Case) { c.Now = c.Now.Add(d) } }

func unsolicited(c *Case) { c.Expect.RequestID, c.Expect.Unsolicited = "", true }

func responseOnly(c *Case) { c.Expect.ResponseSignatureOnly = true }

func (s *suite) trusting(signers ...Signer) func(*Case) {
	return func(c *Case) { c.Expect.Provider = s.w.Provider(signers...) }
}

func (s *suite) decrypting(c *Case) { c.Expect.Decrypt = s.w.Decrypt() }

func beyond(what string) func(*Case) { return func(c *Case) { c.Beyond = what } }

// noRequest takes the names of the request out of a draft.
func noRequest(d *Draft) { d.Change(` InResponseTo="`+Request+`"`, "") }

// noRequestInSubject does it for the confirmation, where the attribute comes first.
func signResponse(d *Draft) { d.SignResponse = &Signing{By: d.w.Main} }

func signOnlyResponse(d *Draft) { d.Sign, d.SignResponse = nil, &Signing{By: d.w.Main} }

func (s *suite) honest() {
	s.draft("ok-assertion-signed", "", nil)
	s.draft("ok-both-signed", "", signResponse)
	s.draft("ok-response-signed-only-when-allowed", "", signOnlyResponse, responseOnly)
	s.draft("ok-assertion-signed-when-response-only-is-allowed", "", nil, responseOnly)
	s.draft("ok-unsolicited", "", noRequest, unsolicited)
	s.draft("ok-xml-declaration", "", func(d *Draft) { d.Before = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" })
	s.draft("ok-pretty-printed", "", func(d *Draft) {
		for _, piece := range []*string{&d.ResponseIssuer, &d.Status, &d.Issuer, &d.Subject, &d.Conditions, &d.Authn, &d.Details} {
			*piece = "\n  " + *piece + "\n"
		}
	})
	s.draft("ok-no-response-issuer", "", func(d *Draft) { d.ResponseIssuer = "" })
	s.draft("ok-issuer-format-entity", "", func(d *Draft) {
		d.Change(`<saml:Issuer>`, `<saml:Issuer Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity">`)
	})
	s.draft("ok-no-attributes", "", func(d *Draft) { d.Details = "" })
	s.draft("ok-no-session-end", "", func(d *Draft) { d.cut("Authn", ` SessionNotOnOrAfter="`, `"`) })
	s.draft("ok-extensions", "", func(d *Draft) {
		d.Extensions = `<samlp:Extensions><x:y xmlns:x="urn:x">z</x:y></samlp:Extensions>`
	})
	s.draft("ok-cdata-nameid", "", func(d *Draft) { d.Change(">"+NameID+"<", "><![CDATA["+NameID+"]]><") })
	s.draft("ok-entities-in-attribute", "", func(d *Draft) { d.Change("Alice Example", "Alice &lt;&amp;&gt; Example") })
	s.draft("ok-persistent-nameid", "", func(d *Draft) {
		d.Change("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress", "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent")
	})
	s.draft("ok-one-time-use", "", func(d *Draft) { d.Change("</saml:Conditions>", "<saml:OneTimeUse/></saml:Conditions>") })
	s.draft("ok-proxy-restriction", "", func(d *Draft) {
		d.Change("</saml:Conditions>", `<saml:ProxyRestriction Count="0"/></saml:Conditions>`)
	})
	s.draft("ok-transient-when-allowed", "", transient, func(c *Case) { c.Expect.AllowTransient = true })
	s.draft("ok-two-authn-statements", "", func(d *Draft) { d.Authn += d.Authn })
}

func transient(d *Draft) {
	d.Change("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress", "urn:oasis:names:tc:SAML:2.0:nameid-format:transient")
}

// groups is an attribute statement with many values.
func groups(n int) string {
	text := `<saml:AttributeStatement><saml:Attribute Name="groups">`
	for i := range n {
		text += fmt.Sprintf("<saml:AttributeValue>group-%d</saml:AttributeValue>", i)
	}
	return text + `</saml:Attribute></saml:AttributeStatement>`
}
