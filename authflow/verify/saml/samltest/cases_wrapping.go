package samltest

import (
	"strings"

	"github.com/postern-audit/postern/audit"
)

const admin = "admin@example.com"

// unsigned takes the signature out of a text.
func unsigned(text string) string {
	head, rest, _ := strings.Cut(text, "<ds:Signature ")
	_, tail, _ := strings.Cut(rest, "</ds:Signature>")
	return head + tail
}

// forged is a text about somebody else.
func forged(text string) string { return strings.ReplaceAll(text, NameID, admin) }

// renamed is a text with another id.
func renamed(text string) string {
	return strings.NewReplacer(`ID="_assertion-1"`, `ID="_evil"`, `ID="_response-1"`, `ID="_evil"`).Replace(text)
}

// into puts something in front of a marker.
func into(text, marker, what string) string { return strings.Replace(text, marker, what+marker, 1) }

// wrapping is the eight shapes of signature wrapping, and what else comes of several assertions. In each the signature is
// genuine, over something genuine, and somebody else is claimed.
func (s *suite) wrapping() {
	d := s.w.Draft()
	assertion := d.Assertion()
	signed := s.w.Draft()
	signOnlyResponse(signed)
	response := signed.Response()
	evil := renamed(forged(unsigned(assertion)))
	put := func(change func(string) string) func(*Draft) { return func(d *Draft) { d.Wrap = change } }

	s.raw("xsw1-response-copied-into-signature", malformed,
		into(renamed(forged(response)), "</ds:Signature>", unsigned(response)), responseOnly)
	s.raw("xsw2-response-copied-before-signature", malformed,
		into(renamed(forged(response)), "<ds:Signature ", unsigned(response)), responseOnly)
	s.draft("xsw3-forged-assertion-before", malformed, put(func(a string) string { return evil + a }))
	s.draft("xsw3-forged-assertion-after", malformed, put(func(a string) string { return a + evil }))
	s.draft("xsw4-forged-assertion-around", malformed, put(func(a string) string { return into(evil, "</saml:Assertion>", a) }))
	s.draft("xsw4-forged-assertion-inside", malformed, put(func(a string) string { return into(a, "</saml:Assertion>", evil) }))
	s.draft("xsw5-signature-moved-original-after", malformed, put(func(a string) string { return renamed(forged(a)) + unsigned(a) }))
	s.draft("xsw6-original-in-signature", malformed, put(func(a string) string {
		return into(renamed(forged(a)), "</ds:Signature>", unsigned(a))
	}))
	s.draft("xsw7-extensions", malformed, func(d *Draft) { d.Extensions = `<samlp:Extensions>` + evil + `</samlp:Extensions>` })
	s.draft("xsw8-object-in-signature", malformed, put(func(a string) string {
		return into(renamed(forged(a)), "</ds:Signature>", "<ds:Object>"+unsigned(a)+"</ds:Object>")
	}))
	s.draft("xsw-same-id", malformed, put(func(a string) string { return forged(unsigned(a)) + a }))
	s.draft("xsw-in-advice", malformed, put(func(a string) string {
		return into(renamed(forged(a)), "<saml:AttributeStatement>", "<saml:Advice>"+unsigned(a)+"</saml:Advice>")
	}))
	s.draft("xsw-in-status-detail", malformed, func(d *Draft) {
		d.Wrap = func(string) string { return evil }
		d.Change("</samlp:Status>", "<samlp:StatusDetail>"+assertion+"</samlp:StatusDetail></samlp:Status>")
	})
	s.draft("xsw-response-in-response", malformed, put(func(a string) string { return a + unsigned(s.w.Draft().Response()) }))
	s.draft("xsw-forged-with-genuine-signature", audit.ReasonSignatureInvalid, put(forged))
	s.draft("xsw-forged-renamed-with-genuine-signature", audit.ReasonSignatureInvalid, put(func(a string) string { return renamed(forged(a)) }))
	s.multiple(evil, assertion)
}

func (s *suite) multiple(evil, assertion string) {
	second := strings.NewReplacer(`ID="_assertion-1"`, `ID="_assertion-2"`)
	s.draft("multi-two-signed-assertions", malformed, func(d *Draft) {
		other := s.w.Draft()
		other.Change(`ID="_assertion-1"`, `ID="_assertion-2"`)
		d.Wrap = func(a string) string { return a + other.Assertion() }
	})
	s.draft("multi-signed-and-unsigned", malformed, func(d *Draft) {
		d.Wrap = func(a string) string { return a + second.Replace(unsigned(a)) }
	})
	s.draft("multi-in-signed-response", malformed, func(d *Draft) {
		signOnlyResponse(d)
		d.Wrap = func(a string) string { return a + evil }
	}, responseOnly)
	s.draft("multi-none", malformed, func(d *Draft) { d.Wrap = func(string) string { return "" } })
	s.draft("multi-plain-and-encrypted", malformed, func(d *Draft) {
		d.Encrypt = &Encryption{}
		d.Finish = func(doc string) string { return into(doc, "<saml:EncryptedAssertion", assertion) }
	}, s.decrypting)
	s.draft("multi-two-encrypted", malformed, func(d *Draft) {
		d.Encrypt = &Encryption{Finish: func(e string) string { return e + e }}
	}, s.decrypting)
	s.draft("multi-in-attribute", malformed, func(d *Draft) { d.Change("Alice Example", unsigned(second.Replace(assertion))) })
}
