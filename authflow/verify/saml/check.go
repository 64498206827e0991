package saml

import (
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
)

const (
	methodBearer    = "urn:oasis:names:tc:SAML:2.0:cm:bearer" //nolint:gosec // the name of a method, no secret
	formatTransient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
)

// identity holds what is proven against what is expected, and says who it is about.
func (t *trial) identity() (federation.Identity, *federation.Refusal) {
	t.passed("shape", "issuer", "status")
	c, r := t.proven()
	if r != nil {
		return federation.Identity{}, r
	}
	for _, check := range []func(*claims) *federation.Refusal{t.addressed, t.requested, t.issuer, t.audience, t.confirmed, t.subject, t.times} {
		if r := check(&c); r != nil {
			return federation.Identity{}, r
		}
	}
	if t.vetoed {
		return federation.Identity{}, malformed("the document does not survive being written and read again, or the library refuses it for a reason of its own")
	}
	return t.describe(&c), nil
}

func (t *trial) passed(checks ...string) { t.checks = append(t.checks, checks...) }

// proven reads the assertion from what a signature covers.
func (t *trial) proven() (claims, *federation.Refusal) {
	if t.signed != nil {
		t.passed("response_signature")
	}
	switch {
	case t.assertion != nil:
		t.passed("assertion_signature", "certificate")
		return readAssertion(t.assertion)
	case t.signed != nil && t.ResponseSignatureOnly && t.opened != nil:
		t.passed("certificate")
		return readAssertion(t.opened)
	case t.signed != nil && t.ResponseSignatureOnly:
		t.passed("certificate")
		return readAssertion(t.reply.assertion)
	case t.signed != nil:
		return claims{}, refuseSignature("the response is signed but not the assertion in it")
	}
	return claims{}, refuseSignature("neither the response nor the assertion is signed")
}

func (t *trial) addressed(*claims) *federation.Refusal {
	switch t.reply.destination {
	case "":
		return federation.Refuse(audit.ReasonRecipientMismatch, "the response has no Destination")
	case t.ACS:
		t.passed("destination")
		return nil
	}
	return federation.Refuse(audit.ReasonRecipientMismatch, "the response is meant for %q", t.reply.destination)
}

// requested demands the same of the response and of the confirmation: both name our request, or neither names any.
func (t *trial) requested(c *claims) *federation.Refusal {
	for _, place := range []struct {
		name string
		id   *string
	}{{"response", t.reply.inResponseTo}, {"subject confirmation", c.confirmation.inResponseTo}} {
		switch {
		case t.Unsolicited && place.id != nil:
			return federation.Refuse(audit.ReasonRequestMismatch, "the %s answers a request, and none was expected to be answered", place.name)
		case t.Unsolicited:
		case place.id == nil:
			return federation.Refuse(audit.ReasonRequestMismatch, "the %s does not say which request it answers", place.name)
		case *place.id != t.RequestID:
			return federation.Refuse(audit.ReasonRequestMismatch, "the %s answers another request", place.name)
		}
	}
	if t.Unsolicited {
		t.passed("unsolicited")
	} else {
		t.passed("request")
	}
	return nil
}

func (t *trial) issuer(c *claims) *federation.Refusal {
	if c.issuer != t.Provider.EntityID {
		return federation.Refuse(audit.ReasonIssuerMismatch, "the assertion is of %q", c.issuer)
	}
	return nil
}

func (t *trial) audience(c *claims) *federation.Refusal {
	if len(c.conditions.audiences) == 0 {
		return federation.Refuse(audit.ReasonAudienceMismatch, "the assertion is not restricted to an audience")
	}
	for _, names := range c.conditions.audiences {
		if !slices.Contains(names, t.EntityID) {
			return federation.Refuse(audit.ReasonAudienceMismatch, "the assertion is meant for %q", names)
		}
	}
	t.passed("audience")
	return nil
}

func (t *trial) confirmed(c *claims) *federation.Refusal {
	switch {
	case c.confirmation.method != methodBearer:
		return malformed("the subject confirmation is of method %q", c.confirmation.method)
	case c.confirmation.recipient == "":
		return federation.Refuse(audit.ReasonRecipientMismatch, "the subject confirmation has no Recipient")
	case c.confirmation.recipient != t.ACS:
		return federation.Refuse(audit.ReasonRecipientMismatch, "the subject confirmation is meant for %q", c.confirmation.recipient)
	}
	t.passed("bearer", "recipient")
	return nil
}

func (t *trial) subject(c *claims) *federation.Refusal {
	if c.format == formatTransient && !t.AllowTransient {
		return malformed("the NameID is transient: it names somebody for this once, so there is nobody to remember")
	}
	return nil
}

// times looks at what has not begun before it looks at what is over. Age is the one thing clocks are not given time for: MaxAge
// is more than they may be apart.
func (t *trial) times(c *claims) *federation.Refusal {
	if c.conditions.notBefore.After(c.conditions.notOnOrAfter) {
		return malformed("the conditions end before they begin")
	}
	begin := []moment{
		{"the response is issued", t.reply.issued, t.Skew}, {"the assertion is issued", c.issued, t.Skew},
		{"the conditions begin", c.conditions.notBefore, t.Skew}, {"the subject confirmation begins", c.confirmation.notBefore, t.Skew},
	}
	end := []moment{
		{"the response was issued", t.reply.issued, MaxAge}, {"the assertion was issued", c.issued, MaxAge},
		{"the conditions ended", c.conditions.notOnOrAfter, t.Skew}, {"the subject confirmation ended", c.confirmation.notOnOrAfter, t.Skew},
	}
	for _, s := range c.statements {
		begin = append(begin, moment{"the sign-in happens", s.instant, t.Skew})
		if !s.sessionEnds.IsZero() {
			end = append(end, moment{"the session ended", s.sessionEnds, t.Skew})
		}
	}
	for _, m := range begin {
		if m.at.After(t.now.Add(m.tolerance)) {
			return federation.Refuse(audit.ReasonNotYetValid, "%s at %s", m.what, m.at.Format(time.RFC3339Nano))
		}
	}
	for _, m := range end {
		if !t.now.Before(m.at.Add(m.tolerance)) {
			return federation.Refuse(audit.ReasonExpired, "%s at %s", m.what, m.at.Format(time.RFC3339Nano))
		}
	}
	t.passed("times")
	return nil
}

type moment struct {
	what      string
	at        time.Time
	tolerance time.Duration
}
