package samltest

import (
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

// order are responses with two things wrong: the reason is the one that is looked at first, from the outside in.
func (s *suite) order() {
	attacked := func(change func(*Draft)) func(*Draft) {
		return func(d *Draft) {
			d.Sign.By = s.w.Attacker
			change(d)
		}
	}
	other := "https://other.example.org"
	s.draft("order-shape-before-signature", malformed, attacked(func(d *Draft) { d.Subject = "" }))
	s.draft("order-response-issuer-before-signature", badIssuer, attacked(func(d *Draft) {
		d.ResponseIssuer = "<saml:Issuer>" + other + "</saml:Issuer>"
	}))
	s.draft("order-signature-before-status", badSignature, func(d *Draft) {
		d.Change("status:Success", "status:Requester")
		d.SignResponse = &Signing{By: s.w.Attacker}
	})
	s.draft("order-signature-before-destination", badSignature, attacked(swap(`Destination="`+ACS, `Destination="`+other)))
	s.draft("order-signature-before-request", badSignature, attacked(swap(Request, "_other")))
	s.draft("order-signature-before-assertion-issuer", badSignature, attacked(func(d *Draft) {
		d.Issuer = "<saml:Issuer>" + other + "</saml:Issuer>"
	}))
	s.draft("order-signature-before-audience", badSignature, attacked(swap(">"+SP+"<", ">"+other+"<")))
	s.draft("order-signature-before-times", badSignature, attacked(func(*Draft) {}), after(24*time.Hour))
	s.draft("order-algorithm-before-signature", badAlgorithm, attacked(func(d *Draft) { d.Sign.Digest = SHA1 }))
	s.draft("order-destination-before-request", badRecipient, func(d *Draft) {
		d.Change(`Destination="`+ACS, `Destination="`+other)
		d.Change(Request, "_other")
	})
	s.draft("order-request-before-audience", badRequest, func(d *Draft) {
		d.Change(Request, "_other")
		d.Change(">"+SP+"<", ">"+other+"<")
	})
	s.draft("order-audience-before-recipient", badAudience, func(d *Draft) {
		d.Change(">"+SP+"<", ">"+other+"<")
		d.Subject = strings.Replace(d.Subject, ACS, other, 1)
	})
	s.draft("order-recipient-before-times", badRecipient, func(d *Draft) {
		d.Subject = strings.Replace(d.Subject, ACS, other, 1)
	}, after(24*time.Hour))
	s.draft("order-audience-before-times", badAudience, swap(">"+SP+"<", ">"+other+"<"), after(24*time.Hour))
	s.draft("order-not-yet-valid-before-expired", audit.ReasonNotYetValid, func(d *Draft) {
		d.AssertionAttributes = strings.Replace(d.AssertionAttributes, Stamp(s.w.Now), Stamp(s.w.Now.Add(time.Hour)), 1)
		d.ResponseAttributes = strings.Replace(d.ResponseAttributes, Stamp(s.w.Now), Stamp(s.w.Now.Add(-time.Hour)), 1)
	})
	s.draft("order-certificate-before-times", audit.ReasonCertificateExpired, nil, s.trusting(s.w.Expired), after(24*time.Hour))
	s.draft("order-encryption-before-signature", notEncrypted, attacked(func(d *Draft) { d.Encrypt = &Encryption{} }))
}
