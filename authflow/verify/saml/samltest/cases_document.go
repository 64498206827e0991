package samltest

import (
	"strings"

	"github.com/postern-audit/postern/audit"
)

const malformed = audit.ReasonMalformed

// cut takes an attribute out of a piece: from the first begin to the end that follows.
func (d *Draft) cut(piece, begin, end string) {
	d.w.t.Helper()
	p := map[string]*string{
		"ResponseAttributes": &d.ResponseAttributes, "AssertionAttributes": &d.AssertionAttributes, "Subject": &d.Subject,
		"Conditions": &d.Conditions, "Authn": &d.Authn,
	}[piece]
	head, rest, found := strings.Cut(*p, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		d.w.t.Fatalf("%s has no %q", piece, begin)
	}
	*p = head + tail
}

// finished adds a case whose document is changed after it was signed.
func (s *suite) finished(name, want, old, changed string, more ...func(*Case)) {
	s.w.t.Helper()
	document := s.w.Draft().Response()
	if !strings.Contains(document, old) {
		s.w.t.Fatalf("%s: the document has no %q", name, old)
	}
	s.raw(name, want, strings.Replace(document, old, changed, 1), more...)
}

// documents are the shapes of document that must not get anywhere.
func (s *suite) documents() {
	honest := s.w.Draft().Response()
	s.raw("empty", malformed, "")
	s.raw("no-xml", malformed, "hello")
	s.raw("white-space-only", malformed, " \n")
	s.raw("not-a-response", malformed, `<samlp:LogoutResponse xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="a"/>`)
	s.raw("bare-assertion", malformed, s.w.Draft().Assertion())
	s.raw("response-of-other-namespace", malformed, strings.Replace(honest, "SAML:2.0:protocol", "SAML:1.0:protocol", 1))
	s.raw("too-long", malformed, honest+strings.Repeat(" ", 256<<10))
	s.raw("byte-order-mark", malformed, "\ufeff"+honest)
	s.raw("invalid-utf8", malformed, strings.Replace(honest, "Alice", "Al\xffice", 1))
	s.raw("utf16", malformed, `<?xml version="1.0" encoding="UTF-16"?>`+honest)
	s.raw("nul", malformed, strings.Replace(honest, "Alice", "Al\x00ice", 1))
	s.raw("cut-off", malformed, honest[:len(honest)/2])
	s.raw("doctype", malformed, `<!DOCTYPE r>`+honest)
	s.raw("doctype-external", malformed, `<!DOCTYPE r SYSTEM "http://evil.example.com/x.dtd">`+honest)
	s.raw("doctype-entity", malformed, `<!DOCTYPE r [<!ENTITY who "admin@example.com">]>`+strings.Replace(honest, ">"+NameID+"<", ">&who;<", 1))
	s.raw("doctype-inside", malformed, strings.Replace(honest, `<samlp:Status>`, `<!DOCTYPE r><samlp:Status>`, 1))
	s.raw("billion-laughs", malformed, `<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;"><!ENTITY lol3 "&lol2;&lol2;&lol2;">]>`+
		strings.Replace(honest, "Alice", "&lol3;", 1))
	s.raw("unknown-entity", malformed, strings.Replace(honest, "Alice", "&lol;", 1))
	s.raw("processing-instruction-before", malformed, `<?xml-stylesheet href="x"?>`+honest)
	s.raw("processing-instruction-inside", malformed, strings.Replace(honest, "<samlp:Status>", "<?x y?><samlp:Status>", 1))
	s.raw("xml-declaration-twice", malformed, `<?xml version="1.0"?><?xml version="1.0"?>`+honest)
	s.raw("xml-declaration-after-space", malformed, ` <?xml version="1.0"?>`+honest)
	s.raw("xml-1-1", malformed, `<?xml version="1.1"?>`+honest)
	s.raw("trailing-second-root", malformed, honest+honest)
	s.raw("trailing-element", malformed, honest+"<x/>")
	s.raw("trailing-text", malformed, honest+"x")
	s.raw("leading-text", malformed, "x"+honest)
	s.raw("trailing-comment", malformed, honest+"<!-- x -->")
	s.raw("tags-crossed", malformed, strings.Replace(honest, "</samlp:Status>", "</samlp:Statu>", 1))
	s.raw("deep-nesting", malformed, strings.Replace(honest, "<samlp:Status>",
		"<samlp:Extensions>"+strings.Repeat("<a>", 40)+strings.Repeat("</a>", 40)+"</samlp:Extensions><samlp:Status>", 1))
	s.raw("very-deep-nesting", malformed, strings.Repeat("<a>", 30000)+strings.Repeat("</a>", 30000))
	s.raw("too-many-elements", malformed, strings.Replace(honest, "<samlp:Status>",
		"<samlp:Extensions>"+strings.Repeat("<a/>", 2100)+"</samlp:Extensions><samlp:Status>", 1))
	s.draft("ok-many-elements-signed", "", func(d *Draft) { d.Details = groups(900) })
	s.draft("too-many-elements-signed", malformed, func(d *Draft) { d.Details = groups(1200) })
	s.draft("too-many-elements-in-signed-response", malformed, func(d *Draft) {
		d.Details = groups(970)
		signOnlyResponse(d)
	}, responseOnly)
	s.draft("enc-too-many-elements-in-signed-response", malformed, func(d *Draft) {
		d.Details = groups(960)
		d.Encrypt = &Encryption{}
		signResponse(d)
	}, s.decrypting)
	s.raw("too-many-attributes", malformed, strings.Replace(honest, "<samlp:Status>", "<samlp:Status"+strings.Repeat(` a`, 1)+manyAttributes(80)+">", 1))
	s.comments()
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(" a" + strings.Repeat("b", i) + `="x"`)
	}
	return b.String()
}

// comments cut text in two for readers that look at the first piece only. The signature does not see them.
func (s *suite) comments() {
	s.finished("comment-in-nameid", malformed, ">"+NameID+"<", ">alice<!-- -->@example.com<")
	s.draft("comment-in-nameid-signed", malformed, func(d *Draft) { d.Change(">"+NameID+"<", ">admin@example.com<!---->.evil.example<") })
	s.draft("comment-in-attribute-signed", malformed, func(d *Draft) { d.Change(">Alice Example<", ">Alice<!-- --> Example<") })
	s.draft("comment-in-issuer-signed", malformed, func(d *Draft) { d.Change("idp.example.com/metadata<", "idp.example.com<!-- -->/metadata<") })
	s.draft("comment-in-audience-signed", malformed, func(d *Draft) { d.Change(">"+SP+"<", ">"+SP+"<!-- -->.evil<") })
	s.finished("comment-between-elements", malformed, "<samlp:Status>", "<!-- x --><samlp:Status>")
	s.raw("comment-before", malformed, "<!-- x -->"+s.w.Draft().Response())
}

// names are the tricks with namespaces and attributes that make two readers see two documents.
func (s *suite) names() {
	s.finished("colon-attribute", malformed, `<samlp:Status>`, `<samlp:Status :x="y">`)
	s.finished("colon-attribute-behind", malformed, `<samlp:Status>`, `<samlp:Status x:="y">`)
	s.finished("roundtrip-colon-element", malformed, `<samlp:Status>`, `<:x/><samlp:Status>`)
	s.finished("roundtrip-double-colon", malformed, `<samlp:Status>`, `<a:b:c/><samlp:Status>`)
	s.finished("roundtrip-xmlns-prefix", malformed, `<samlp:Status>`, `<samlp:Status xmlns:xmlns="urn:x">`)
	s.finished("namespace-xml-rebound", malformed, `<samlp:Status>`, `<samlp:Status xmlns:xml="urn:x">`)
	s.finished("namespace-undeclared", malformed, `<samlp:Status>`, `<samlp:Extensions><x:y/></samlp:Extensions><samlp:Status>`)
	s.finished("namespace-undeclared-attribute", malformed, `<samlp:Status>`, `<samlp:Status x:y="z">`)
	s.finished("namespace-emptied", malformed, `<samlp:Status>`, `<samlp:Status xmlns:q="">`)
	s.finished("namespace-twice", malformed, `<samlp:Status>`, `<samlp:Status xmlns:q="urn:a" xmlns:q="urn:b">`)
	s.finished("attribute-twice", malformed, ` Version="2.0"`, ` Version="2.0" Version="2.0"`)
	s.finished("attribute-twice-by-two-prefixes", malformed, `<samlp:Status>`, `<samlp:Status xmlns:q="urn:a" xmlns:r="urn:a" q:z="1" r:z="2">`)
	s.finished("attribute-pollution-destination", malformed, ` Destination="`, ` samlp:Destination="https://x" Destination="`)
	s.finished("attribute-pollution-id", malformed, ` ID="_response-1"`, ` samlp:ID="_x" ID="_response-1"`)
	s.finished("attribute-xml-id", malformed, ` ID="_response-1"`, ` xml:id="_assertion-1" ID="_response-1"`)
	s.finished("duplicate-id", malformed, `ID="_response-1"`, `ID="_assertion-1"`)
	s.finished("duplicate-id-elsewhere", malformed, `<samlp:Status>`, `<samlp:Status Id="_assertion-1">`)
	s.finished("id-missing", malformed, ` ID="_response-1"`, ``)
	s.draft("id-missing-assertion", malformed, func(d *Draft) { d.Change(`ID="_assertion-1" `, "") })
	s.draft("id-with-space", malformed, func(d *Draft) { d.Change(`ID="_assertion-1"`, `ID="_assertion 1"`) })
	s.draft("id-too-long", malformed, func(d *Draft) { d.Change(`ID="_assertion-1"`, `ID="_`+strings.Repeat("a", 300)+`"`) })
	s.draft("namespace-confusion-nameid", malformed, func(d *Draft) {
		d.Change(`<saml:NameID `, `<x:NameID xmlns:x="urn:x">admin@example.com</x:NameID><saml:NameID `)
	})
	s.draft("namespace-confusion-subject", malformed, func(d *Draft) { d.Subject += `<Subject xmlns="urn:x"/>` })
	s.draft("namespace-confusion-conditions", malformed, func(d *Draft) { d.Conditions += `<x:Conditions xmlns:x="urn:x"/>` })
	s.draft("namespace-confusion-assertion", malformed, func(d *Draft) { d.Extensions = `<x:Assertion xmlns:x="urn:x"/>` })
	s.draft("namespace-confusion-signature", malformed, func(d *Draft) { d.Extensions = `<Signature xmlns="urn:x"/>` })
	s.draft("response-with-unknown-child", malformed, func(d *Draft) { d.Extensions = `<samlp:Other/>` })
	s.draft("response-with-two-statuses", malformed, func(d *Draft) { d.Status += d.Status })
	s.draft("response-with-two-issuers", malformed, func(d *Draft) { d.ResponseIssuer += d.ResponseIssuer })
	s.draft("response-without-status", malformed, func(d *Draft) { d.Status = "" })
	s.draft("assertion-with-unknown-child", malformed, func(d *Draft) { d.Details += `<saml:Other/>` })
}
