package samltest

import (
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

const (
	badRecipient = audit.ReasonRecipientMismatch
	badRequest   = audit.ReasonRequestMismatch
	badAudience  = audit.ReasonAudienceMismatch
	badIssuer    = audit.ReasonIssuerMismatch
	expired      = audit.ReasonExpired
	early        = audit.ReasonNotYetValid
)

// swap is a change of a draft by replacing text.
func swap(old, changed string) func(*Draft) { return func(d *Draft) { d.Change(old, changed) } }

func (s *suite) responses() {
	failed := func(second, message string) func(*Draft) {
		return func(d *Draft) {
			d.Status = `<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder">` + second + `</samlp:StatusCode>` +
				message + `</samlp:Status>`
			d.Wrap = func(string) string { return "" }
		}
	}
	code := func(c string) string {
		return `<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:` + c + `"/>`
	}
	s.draft("status-authn-failed", audit.ReasonIDPError, failed(code("AuthnFailed"), ""))
	s.draft("status-request-denied-with-message", audit.ReasonIDPError,
		failed(code("RequestDenied"), "<samlp:StatusMessage>you may not\n\x09sign in</samlp:StatusMessage>"))
	s.draft("status-with-endless-message", audit.ReasonIDPError, failed("", "<samlp:StatusMessage>"+strings.Repeat("no ", 9000)+"</samlp:StatusMessage>"))
	s.draft("status-not-success-with-assertion", audit.ReasonIDPError, swap("status:Success", "status:Requester"))
	s.draft("status-not-success-response-signed", audit.ReasonIDPError, func(d *Draft) {
		failed(code("NoPassive"), "")(d)
		signResponse(d)
	})
	s.draft("status-not-success-response-badsig", badSignature, func(d *Draft) {
		failed(code("NoPassive"), "")(d)
		d.SignResponse = &Signing{By: s.w.Attacker}
	})
	s.draft("status-without-code", malformed, swap(`<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>`, ""))
	s.draft("response-version-1-1", malformed, func(d *Draft) { d.ResponseAttributes = strings.Replace(d.ResponseAttributes, `"2.0"`, `"1.1"`, 1) })
	s.draft("response-version-missing", malformed, func(d *Draft) { d.ResponseAttributes = strings.Replace(d.ResponseAttributes, `Version="2.0"`, "", 1) })
	s.draft("assertion-version-1-1", malformed, func(d *Draft) { d.AssertionAttributes = strings.Replace(d.AssertionAttributes, `"2.0"`, `"1.1"`, 1) })
	s.draft("response-issuer-wrong", badIssuer, func(d *Draft) { d.ResponseIssuer = "<saml:Issuer>https://other.example.com</saml:Issuer>" })
	s.draft("response-issuer-empty", badIssuer, func(d *Draft) { d.ResponseIssuer = "<saml:Issuer/>" })
	s.draft("response-issuer-with-format", badIssuer, func(d *Draft) {
		d.ResponseIssuer = strings.Replace(d.ResponseIssuer, "<saml:Issuer>", `<saml:Issuer Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress">`, 1)
	})
	s.draft("response-issuer-with-element", malformed, func(d *Draft) { d.ResponseIssuer = strings.Replace(d.ResponseIssuer, "</", "<x/></", 1) })
	s.draft("assertion-issuer-wrong", badIssuer, func(d *Draft) { d.Issuer = "<saml:Issuer>https://other.example.com</saml:Issuer>" })
	s.draft("assertion-issuer-with-space", badIssuer, func(d *Draft) { d.Issuer = "<saml:Issuer>" + IDP + " </saml:Issuer>" })
	s.draft("assertion-issuer-missing", malformed, func(d *Draft) { d.Issuer = "" })
	s.draft("assertion-issuer-twice", malformed, func(d *Draft) { d.Issuer += d.Issuer })
	s.draft("assertion-issuer-with-format", badIssuer, func(d *Draft) {
		d.Issuer = strings.Replace(d.Issuer, "<saml:Issuer>", `<saml:Issuer Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">`, 1)
	})
	s.draft("destination-missing", badRecipient, func(d *Draft) { d.cut("ResponseAttributes", ` Destination="`, `"`) })
	s.draft("destination-missing-response-signed", badRecipient, func(d *Draft) {
		d.cut("ResponseAttributes", ` Destination="`, `"`)
		signResponse(d)
	})
	s.draft("destination-empty", badRecipient, func(d *Draft) { d.Change(`Destination="`+ACS, `Destination="`) })
	s.draft("destination-other", badRecipient, func(d *Draft) { d.Change(`Destination="`+ACS, `Destination="https://other.example.org/acs`) })
	s.draft("destination-with-suffix", badRecipient, func(d *Draft) { d.Change(`Destination="`+ACS, `Destination="`+ACS+`/`) })
	s.draft("destination-other-case", badRecipient, func(d *Draft) { d.Change(`Destination="`+ACS, `Destination="`+strings.ToUpper(ACS)) })
	s.requests()
}

func (s *suite) requests() {
	in := ` InResponseTo="` + Request + `"`
	s.draft("inresponseto-missing", badRequest, noRequest)
	s.draft("inresponseto-other", badRequest, swap(Request, "_other"))
	s.draft("inresponseto-empty", badRequest, swap(Request, ""))
	s.draft("inresponseto-missing-in-response", badRequest, func(d *Draft) { d.ResponseAttributes = strings.Replace(d.ResponseAttributes, in, "", 1) })
	s.draft("inresponseto-missing-in-confirmation", badRequest, func(d *Draft) { d.Subject = strings.Replace(d.Subject, in, "", 1) })
	s.draft("inresponseto-other-in-response", badRequest, func(d *Draft) { d.ResponseAttributes = strings.Replace(d.ResponseAttributes, Request, "_x", 1) })
	s.draft("inresponseto-other-in-confirmation", badRequest, func(d *Draft) { d.Subject = strings.Replace(d.Subject, Request, "_x", 1) })
	s.draft("unsolicited-not-allowed", badRequest, noRequest)
	s.draft("unsolicited-names-a-request", badRequest, nil, unsolicited)
	s.draft("unsolicited-names-an-empty-request", badRequest, swap(Request, ""), unsolicited)
	s.draft("unsolicited-names-a-request-in-response", badRequest, func(d *Draft) { d.Subject = strings.Replace(d.Subject, in, "", 1) }, unsolicited)
	s.draft("unsolicited-names-a-request-in-confirmation", badRequest, func(d *Draft) {
		d.ResponseAttributes = strings.Replace(d.ResponseAttributes, in, "", 1)
	}, unsolicited)
}

func (s *suite) subjects() {
	confirmation := func(d *Draft) string {
		_, rest, _ := strings.Cut(d.Subject, "</saml:NameID>")
		return strings.TrimSuffix(rest, "</saml:Subject>")
	}
	s.draft("no-subject", malformed, func(d *Draft) { d.Subject = "" })
	s.draft("no-conditions", malformed, func(d *Draft) { d.Conditions = "" })
	s.draft("no-nameid", malformed, func(d *Draft) { d.Subject = "<saml:Subject>" + confirmation(d) + "</saml:Subject>" })
	s.draft("no-confirmation", malformed, func(d *Draft) { d.Change(confirmation(d), "") })
	s.draft("no-confirmation-data", malformed, func(d *Draft) {
		d.Change(confirmation(d), `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"/>`)
	})
	s.draft("no-authnstatement", malformed, func(d *Draft) { d.Authn = "" })
	s.draft("no-authncontext", malformed, func(d *Draft) {
		d.Authn = `<saml:AuthnStatement AuthnInstant="` + Stamp(s.w.Now) + `"/>`
	})
	s.draft("no-authninstant", malformed, func(d *Draft) { d.cut("Authn", ` AuthnInstant="`, `"`) })
	s.draft("no-issueinstant", malformed, func(d *Draft) { d.cut("AssertionAttributes", ` IssueInstant="`, `"`) })
	s.draft("no-issueinstant-in-response", malformed, func(d *Draft) { d.cut("ResponseAttributes", ` IssueInstant="`, `"`) })
	s.draft("subject-twice", malformed, func(d *Draft) { d.Subject += d.Subject })
	s.draft("conditions-twice", malformed, func(d *Draft) { d.Conditions += d.Conditions })
	s.draft("nameid-twice", malformed, swap("<saml:NameID", `<saml:NameID>admin</saml:NameID><saml:NameID`))
	s.draft("nameid-empty", malformed, swap(">"+NameID+"<", "><"))
	s.draft("nameid-too-long", malformed, swap(">"+NameID+"<", ">"+strings.Repeat("a", 257)+"<"))
	s.draft("ok-nameid-longest", "", swap(">"+NameID+"<", ">"+strings.Repeat("ä", 256)+"<"))
	s.draft("nameid-with-space-around", malformed, swap(">"+NameID+"<", "> "+NameID+"<"))
	s.draft("nameid-with-line-break", malformed, swap(">"+NameID+"<", ">alice&#10;admin<"))
	s.draft("nameid-with-element", malformed, swap(">"+NameID+"<", ">"+NameID+"<x/><"))
	s.draft("nameid-transient", malformed, transient)
	s.draft("encryptedid", audit.ReasonEncryptionNotAllowed, swap("<saml:NameID", `<saml:EncryptedID/><saml:NameID`))
	s.draft("encryptedid-with-key", audit.ReasonEncryptionNotAllowed, swap("<saml:NameID", `<saml:EncryptedID/><saml:NameID`), s.decrypting)
	s.draft("encrypted-attribute", audit.ReasonEncryptionNotAllowed, swap("</saml:AttributeStatement>", "<saml:EncryptedAttribute/></saml:AttributeStatement>"))
	s.draft("holder-of-key", malformed, swap("cm:bearer", "cm:holder-of-key"))
	s.draft("sender-vouches", malformed, swap("cm:bearer", "cm:sender-vouches"))
	s.draft("confirmation-method-missing", malformed, swap(` Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"`, ""))
	s.draft("two-confirmations", malformed, func(d *Draft) { d.Change("</saml:Subject>", confirmation(d)+"</saml:Subject>") })
	s.draft("two-confirmations-one-holder-of-key", malformed, func(d *Draft) {
		d.Change("</saml:Subject>", strings.Replace(confirmation(d), "cm:bearer", "cm:holder-of-key", 1)+"</saml:Subject>")
	})
	s.draft("recipient-missing", badRecipient, swap(` Recipient="`+ACS+`"`, ""))
	s.draft("recipient-empty", badRecipient, swap(`Recipient="`+ACS, `Recipient="`))
	s.draft("recipient-other", badRecipient, swap(`Recipient="`+ACS, `Recipient="https://other.example.org/acs`))
	s.draft("confirmation-without-end", malformed, func(d *Draft) { d.cut("Subject", ` NotOnOrAfter="`, `"`) })
	s.draft("unknown-condition", malformed, swap("</saml:Conditions>", `<saml:Condition xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:x="urn:x" xsi:type="x:Office"/></saml:Conditions>`))
	s.draft("unknown-condition-of-other-namespace", malformed, swap("</saml:Conditions>", `<x:Condition xmlns:x="urn:x"/></saml:Conditions>`))
}

func (s *suite) audiences() {
	restriction := func(names ...string) string {
		t := "<saml:AudienceRestriction>"
		for _, n := range names {
			t += "<saml:Audience>" + n + "</saml:Audience>"
		}
		return t + "</saml:AudienceRestriction>"
	}
	ours := restriction(SP)
	other := "https://other.example.org"
	s.draft("audience-missing", badAudience, swap(ours, ""))
	s.draft("audience-wrong", badAudience, swap(ours, restriction(other)))
	s.draft("audience-restriction-empty", badAudience, swap(ours, restriction()))
	s.draft("audience-with-suffix", badAudience, swap(ours, restriction(SP+"/")))
	s.draft("audience-with-space", badAudience, swap(ours, restriction(" "+SP)))
	s.draft("audience-second-restriction-wrong", badAudience, swap(ours, ours+restriction(other)))
	s.draft("audience-first-restriction-wrong", badAudience, swap(ours, restriction(other)+ours))
	s.draft("ok-audience-two-restrictions", "", swap(ours, ours+restriction(SP)))
	s.draft("ok-audience-several-ours-last", "", swap(ours, restriction(other, SP)))
	s.draft("ok-audience-several-ours-first", "", swap(ours, restriction(SP, other)), beyond("it sees only the last audience of a restriction"))
	s.draft("audience-with-element", malformed, swap(">"+SP+"<", ">"+SP+"<x/><"))
	s.draft("audience-of-other-namespace", malformed, swap(ours, strings.NewReplacer("<saml:Audience>", `<x:Audience xmlns:x="urn:x">`, "</saml:Audience>", "</x:Audience>").Replace(ours)))
}

func (s *suite) times() {
	w := s.w
	now, end := Stamp(w.Now), Stamp(w.Now.Add(5*time.Minute))
	at := func(d time.Duration) string { return Stamp(w.Now.Add(d)) }
	piece := func(get func(*Draft) *string, old, changed string) func(*Draft) {
		return func(d *Draft) {
			p := get(d)
			if !strings.Contains(*p, old) {
				w.t.Fatalf("no %q to change", old)
			}
			*p = strings.Replace(*p, old, changed, 1)
		}
	}
	response := func(d *Draft) *string { return &d.ResponseAttributes }
	assertion := func(d *Draft) *string { return &d.AssertionAttributes }
	conditions := func(d *Draft) *string { return &d.Conditions }
	subject := func(d *Draft) *string { return &d.Subject }
	authn := func(d *Draft) *string { return &d.Authn }
	ms := time.Millisecond
	edge := func(name string, want string, get func(*Draft) *string, old string, inside, outside time.Duration) {
		s.draft("ok-"+name+"-within-skew", "", piece(get, old, at(inside)))
		s.draft(name, want, piece(get, old, at(outside)))
	}
	edge("issueinstant-future", early, assertion, now, time.Minute, time.Minute+ms)
	edge("issueinstant-future-in-response", early, response, now, time.Minute, time.Minute+ms)
	edge("issueinstant-old", expired, assertion, now, -90*time.Second+ms, -90*time.Second)
	edge("issueinstant-old-in-response", expired, response, now, -90*time.Second+ms, -90*time.Second)
	edge("conditions-begin-later", early, conditions, now, time.Minute, time.Minute+ms)
	over := func(d time.Duration) func(*Draft) {
		return func(dr *Draft) {
			dr.cut("Conditions", ` NotBefore="`, `"`)
			piece(conditions, end, at(d))(dr)
		}
	}
	s.draft("ok-conditions-over-within-skew", "", over(-time.Minute+ms))
	s.draft("conditions-over", expired, over(-time.Minute))
	edge("confirmation-over", expired, subject, end, -time.Minute+ms, -time.Minute)
	edge("session-noa-past", expired, authn, Stamp(w.Now.Add(8*time.Hour)), -time.Minute+ms, -time.Minute)
	edge("authninstant-future", early, authn, now, time.Minute, time.Minute+ms)
	s.draft("confirmation-begins-later", early, swap(` Recipient="`, ` NotBefore="`+at(time.Hour)+`" Recipient="`))
	s.draft("conditions-end-before-they-begin", malformed, piece(conditions, end, at(-time.Second)))
	s.draft("conditions-without-end", malformed, func(d *Draft) { d.cut("Conditions", ` NotOnOrAfter="`, `"`) })
	s.draft("ok-conditions-without-begin", "", func(d *Draft) { d.cut("Conditions", ` NotBefore="`, `"`) })
	s.draft("time-unreadable", malformed, piece(conditions, end, "tomorrow"))
	s.draft("time-empty", malformed, piece(subject, end, ""))
	s.draft("session-end-unreadable", malformed, piece(authn, Stamp(w.Now.Add(8*time.Hour)), "later"))
	s.draft("ok-time-with-offset", "", piece(conditions, end, w.Now.Add(5*time.Minute).In(time.FixedZone("", 3600)).Format(time.RFC3339)))
	s.draft("ok-time-without-zone", "", piece(conditions, end, w.Now.Add(5*time.Minute).Format("2006-01-02T15:04:05")))
	s.draft("ok-time-with-many-digits", "", piece(conditions, end, w.Now.Add(5*time.Minute).Format("2006-01-02T15:04:05.000000000Z")))
	s.draft("judged-a-day-later", expired, nil, after(24*time.Hour))
	s.draft("judged-a-day-earlier", early, nil, after(-24*time.Hour))
	s.draft("ok-wider-skew", "", piece(conditions, now, at(4*time.Minute)), func(c *Case) { c.Expect.Skew = 5 * time.Minute },
		beyond("it tolerates three minutes, whatever is configured"))
}
