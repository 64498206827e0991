package samltest

import (
	"strings"

	"github.com/postern-audit/postern/audit"
)

const (
	badSignature = audit.ReasonSignatureInvalid
	badAlgorithm = audit.ReasonAlgorithmNotAllowed
)

func text(s string) *string { return &s }

// signed adds a case whose assertion is signed in another way.
func (s *suite) signed(name, want string, change func(*Signing), more ...func(*Case)) {
	s.w.t.Helper()
	s.draft(name, want, func(d *Draft) { change(d.Sign) }, more...)
}

func (s *suite) signatures() {
	s.draft("unsigned", badSignature, func(d *Draft) { d.Sign = nil })
	s.draft("unsigned-when-response-only-is-allowed", badSignature, func(d *Draft) { d.Sign = nil }, responseOnly)
	s.draft("response-signed-only-when-not-allowed", badSignature, signOnlyResponse)
	s.finished("bad-digest-nameid", badSignature, ">"+NameID+"<", ">"+admin+"<")
	s.finished("bad-digest-attribute", badSignature, "Alice Example", "Mallory")
	s.finished("bad-digest-white-space", badSignature, "<saml:Subject>", "<saml:Subject> ")
	s.finished("bad-digest-audience", badSignature, ">"+SP+"<", ">"+SP+"2<")
	s.signed("bad-digest-value", badSignature, func(g *Signing) {
		g.Finish = func(t string) string { return strings.Replace(t, "<ds:DigestValue>", "<ds:DigestValue>AAAA", 1) }
	})
	s.signed("bad-signature-value", badSignature, func(g *Signing) {
		g.Finish = func(t string) string {
			return strings.Replace(t, part(t, "SignatureValue"), "<ds:SignatureValue>"+strings.Repeat("A", 342)+"==</ds:SignatureValue>", 1)
		}
	})
	s.signed("ok-signature-value-indented", "", func(g *Signing) {
		g.Finish = func(t string) string {
			return strings.Replace(t, "<ds:SignatureValue>", "<ds:SignatureValue>\n      ", 1)
		}
	}, beyond("it reads no base64 with spaces in it"))
	s.signed("signature-value-empty", badSignature, emptied("SignatureValue"))
	s.signed("signature-value-missing", badSignature, func(g *Signing) {
		g.Finish = func(t string) string { return dropped(t, "SignatureValue") }
	})
	s.signed("signed-info-missing", badSignature, func(g *Signing) {
		g.Finish = func(t string) string { return dropped(t, "SignedInfo") }
	})
	s.signed("signed-info-twice", badSignature, func(g *Signing) {
		g.Finish = func(t string) string { return into(t, "<ds:SignatureValue>", part(t, "SignedInfo")) }
	})
	s.signed("signature-with-object", badSignature, func(g *Signing) { g.Object = "<ds:Object/>" })
	s.signed("reference-uri-empty", badSignature, func(g *Signing) { g.URI = text("") })
	s.signed("reference-uri-other", badSignature, func(g *Signing) { g.URI = text("#_response-1") })
	s.signed("reference-uri-xpointer", badSignature, func(g *Signing) { g.URI = text("#xpointer(/)") })
	s.signed("reference-uri-external", badSignature, func(g *Signing) { g.URI = text("https://evil.example.com/x") })
	s.signed("reference-twice", badSignature, func(g *Signing) { g.SecondReference = true })
	s.signed("signature-twice", malformed, func(g *Signing) { g.Finish = func(t string) string { return t + t } })
	s.draft("signature-in-subject", malformed, func(d *Draft) { d.Wrap = moved("<saml:NameID") })
	s.draft("signature-in-issuer", malformed, func(d *Draft) { d.Wrap = moved("</saml:Issuer>") })
	s.draft("signature-in-extensions", malformed, func(d *Draft) {
		d.Extensions = "<samlp:Extensions>" + part(d.Assertion(), "Signature") + "</samlp:Extensions>"
		d.Wrap = unsigned
	})
	s.draft("signature-of-assertion-in-response", badSignature, func(d *Draft) {
		d.Extensions = part(d.Assertion(), "Signature")
		d.Wrap = unsigned
	}, responseOnly)
	s.draft("response-badsig-assertion-good", badSignature, func(d *Draft) {
		signResponse(d)
		d.Finish = func(t string) string { return strings.Replace(t, `Version="2.0"`, `Version="2.0" Consent="x"`, 1) }
	})
	s.draft("response-badsig-other-key", badSignature, func(d *Draft) { d.SignResponse = &Signing{By: s.w.Attacker} })
	s.draft("response-good-assertion-badsig", badSignature, func(d *Draft) {
		signResponse(d)
		d.Wrap = forged
	})
	s.draft("response-good-assertion-badsig-response-only", badSignature, func(d *Draft) {
		signResponse(d)
		d.Wrap = forged
	}, responseOnly)
	s.draft("response-signed-only-tampered", badSignature, func(d *Draft) {
		signOnlyResponse(d)
		d.Finish = forged
	}, responseOnly)
}

// emptied makes a part of the signature empty.
func emptied(name string) func(*Signing) {
	return func(g *Signing) {
		g.Finish = func(t string) string {
			return strings.Replace(t, part(t, name), "<ds:"+name+"></ds:"+name+">", 1)
		}
	}
}

// part returns an element of a signature as text.
func part(t, name string) string {
	begin := strings.Index(t, "<ds:"+name)
	end := strings.Index(t, "</ds:"+name+">")
	return t[begin : end+len("</ds:"+name+">")]
}

func dropped(t, name string) string { return strings.Replace(t, part(t, name), "", 1) }

// moved puts the signature of an assertion somewhere else.
func moved(before string) func(string) string {
	return func(a string) string { return into(unsigned(a), before, part(a, "Signature")) }
}

func (s *suite) algorithms() {
	sha := "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
	s.signed("rsa-sha1", badAlgorithm, func(g *Signing) { g.Method = sha })
	s.signed("digest-sha1", badAlgorithm, func(g *Signing) { g.Digest = SHA1 })
	s.signed("rsa-sha1-and-digest-sha1", badAlgorithm, func(g *Signing) { g.Method, g.Digest = sha, SHA1 })
	s.draft("response-rsa-sha1", badAlgorithm, func(d *Draft) { d.SignResponse = &Signing{By: s.w.Main, Method: sha} })
	s.signed("hmac-with-public-key", badAlgorithm, func(g *Signing) { g.Method = HMAC256 })
	s.signed("method-none", badAlgorithm, func(g *Signing) { g.Method = "none" })
	s.signed("method-empty", badAlgorithm, func(g *Signing) {
		g.Finish = func(t string) string { return strings.Replace(t, RSA256, "", 1) }
	})
	s.signed("method-unknown", badAlgorithm, func(g *Signing) { g.Method = "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1" })
	s.signed("method-with-parameter", badAlgorithm, func(g *Signing) {
		g.MethodParameter = "<ds:HMACOutputLength>8</ds:HMACOutputLength>"
	})
	s.signed("digest-unknown", badAlgorithm, func(g *Signing) { g.Digest = "http://www.w3.org/2001/04/xmldsig-more#md5" })
	s.signed("canonical-inclusive", badAlgorithm, func(g *Signing) { g.Canonical = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315" })
	s.signed("canonical-with-comments", badAlgorithm, func(g *Signing) { g.Canonical = Exclusive + "WithComments" })
	s.signed("transform-xpath", badAlgorithm, func(g *Signing) {
		g.Transforms = []string{
			element("Transform", Enveloped, ""),
			element("Transform", "http://www.w3.org/TR/1999/REC-xpath-19991116", "<ds:XPath>not(//saml:Subject)</ds:XPath>"),
			element("Transform", Exclusive, ""),
		}
	})
	s.signed("transform-xslt", badAlgorithm, func(g *Signing) {
		g.Transforms = []string{element("Transform", Enveloped, ""), element("Transform", "http://www.w3.org/TR/1999/REC-xslt-19991116", "")}
	})
	lists := func(c *Case) { c.Expect.AllowPrefixLists = true }
	xs := func(d *Draft) {
		d.Conditions = strings.Replace(d.Conditions, "<saml:Conditions", `<saml:Conditions xmlns:xs="http://www.w3.org/2001/XMLSchema"`, 1)
		d.Sign.Prefixes = "xs saml"
	}
	s.draft("transform-inclusive-namespaces", badAlgorithm, xs)
	s.draft("ok-inclusive-namespaces-when-allowed", "", xs, lists)
	s.draft("inclusive-namespaces-when-allowed-changed", badSignature, func(d *Draft) {
		xs(d)
		d.Wrap = forged
	}, lists)
	s.draft("inclusive-namespaces-of-the-signature", badAlgorithm, func(d *Draft) {
		d.Sign.Finish = func(t string) string {
			return strings.Replace(t, `Algorithm="`+Exclusive+`"></ds:Can`, `Algorithm="`+Exclusive+
				`"><ec:InclusiveNamespaces xmlns:ec="`+Exclusive+`" PrefixList="xs"></ec:InclusiveNamespaces></ds:Can`, 1)
		}
	}, lists)
	s.signed("transform-xpath-when-lists-are-allowed", badAlgorithm, func(g *Signing) {
		g.Transforms = []string{element("Transform", Enveloped, ""), element("Transform", Exclusive, "<ds:XPath>true()</ds:XPath>")}
	}, lists)
	s.signed("transform-inclusive", badAlgorithm, func(g *Signing) {
		g.Transforms = []string{element("Transform", Enveloped, ""), element("Transform", "http://www.w3.org/2006/12/xml-c14n11", "")}
	})
	s.signed("transform-none", badAlgorithm, func(g *Signing) { g.Transforms = []string{} })
	s.signed("transform-enveloped-only", badAlgorithm, func(g *Signing) { g.Transforms = []string{element("Transform", Enveloped, "")} })
	s.signed("transform-exclusive-only", badAlgorithm, func(g *Signing) { g.Transforms = []string{element("Transform", Exclusive, "")} })
	s.signed("transform-base64", badAlgorithm, func(g *Signing) {
		g.Transforms = []string{
			element("Transform", Enveloped, ""), element("Transform", Exclusive, ""),
			element("Transform", "http://www.w3.org/2000/09/xmldsig#base64", ""),
		}
	})
	for _, bits := range []string{"384", "512"} {
		s.signed("ok-rsa-sha"+bits, "", func(g *Signing) {
			g.Method = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha" + bits
			if g.Digest = "http://www.w3.org/2001/04/xmldsig-more#sha384"; bits == "512" {
				g.Digest = "http://www.w3.org/2001/04/xmlenc#sha512"
			}
		})
	}
}

// keys are about who signed.
func (s *suite) keys() {
	w := s.w
	by := func(k Signer) func(*Signing) { return func(g *Signing) { g.By = k } }
	s.signed("attacker-key-with-keyinfo", badSignature, by(w.Attacker))
	s.signed("attacker-key-no-keyinfo", badSignature, func(g *Signing) { g.By, g.NoKeyInfo = w.Attacker, true })
	s.signed("attacker-key-with-trusted-keyinfo", badSignature, func(g *Signing) {
		g.By = w.Attacker
		g.KeyInfo = `<ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + encode(w.Main.Certificate.Raw) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo>`
	})
	s.signed("attacker-key-next-to-several", badSignature, by(w.Attacker), s.trusting(w.Main, w.Next, w.P256))
	s.signed("ok-no-keyinfo", "", func(g *Signing) { g.NoKeyInfo = true })
	s.signed("ok-foreign-keyinfo-is-not-looked-at", "", func(g *Signing) {
		g.KeyInfo = `<ds:KeyInfo><ds:KeyName>main</ds:KeyName></ds:KeyInfo>`
	})
	s.signed("ok-rollover-old-key", "", by(w.Main), s.trusting(w.Main, w.Next))
	s.signed("ok-rollover-new-key", "", by(w.Next), s.trusting(w.Main, w.Next))
	s.signed("ok-rollover-no-keyinfo", "", func(g *Signing) { g.By, g.NoKeyInfo = w.Next, true }, s.trusting(w.Main, w.Next),
		beyond("it cannot tell which of several certificates to take when the signature names none"))
	s.signed("ok-rollover-from-rsa-to-ecdsa", "", func(g *Signing) { g.By, g.NoKeyInfo = w.P256, true }, s.trusting(w.Main, w.P256),
		beyond("it cannot tell which of several certificates to take when the signature names none"))
	s.signed("rollover-old-key-taken-away", badSignature, by(w.Main), s.trusting(w.Next))
	s.signed("certificate-expired", audit.ReasonCertificateExpired, by(w.Expired), s.trusting(w.Expired))
	s.signed("certificate-expired-of-another", badSignature, by(w.Attacker), s.trusting(w.Expired))
	s.signed("certificate-not-yet-valid", audit.ReasonCertificateExpired, by(w.Early), s.trusting(w.Early))
	s.signed("ok-certificate-renewed-with-the-same-key", "", by(w.Main), s.trusting(w.Expired, w.Main))
	raw := beyond("it reads ECDSA signatures in DER only, which XML signatures never are")
	s.signed("ok-ecdsa-p256", "", by(w.P256), s.trusting(w.P256), raw)
	s.signed("ok-ecdsa-p384", "", func(g *Signing) { g.By, g.Method = w.P384, "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384" }, s.trusting(w.P384), raw)
	s.signed("ok-ecdsa-p521", "", func(g *Signing) { g.By, g.Method = w.P521, "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512" }, s.trusting(w.P521), raw)
	s.signed("ok-ecdsa-der", "", func(g *Signing) { g.By, g.DER = w.P256, true }, s.trusting(w.P256))
	s.signed("ecdsa-other-key", badSignature, by(w.P256), s.trusting(w.P384))
	s.signed("ecdsa-sha1", badAlgorithm, func(g *Signing) { g.By, g.Method = w.P256, "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1" }, s.trusting(w.P256))
	s.signed("rsa-method-with-ecdsa-key", badSignature, func(g *Signing) { g.By, g.Method = w.P256, RSA256 }, s.trusting(w.P256))
	s.signed("ecdsa-method-with-rsa-key", badSignature, func(g *Signing) { g.Method = ECDSA256 })
	s.signed("ed25519", badAlgorithm, func(g *Signing) { g.By, g.Method = w.Edwards, Ed25519 }, s.trusting(w.Edwards))
	s.signed("ed25519-as-ecdsa", badSignature, func(g *Signing) { g.By, g.Method = w.Edwards, ECDSA256 }, s.trusting(w.Edwards))
	s.signed("metadata-over", audit.ReasonKeysUnavailable, func(*Signing) {}, func(c *Case) { c.Expect.Provider.ValidUntil = w.Now })
	s.signed("ok-metadata-nearly-over", "", func(*Signing) {}, func(c *Case) { c.Expect.Provider.ValidUntil = w.Now.Add(1) })
	s.signed("no-certificate-known", audit.ReasonKeysUnavailable, func(*Signing) {}, s.trusting())
}
