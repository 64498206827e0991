package saml

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"
	"unicode"

	"github.com/postern-audit/postern/authflow/federation"
)

const (
	formatEmail = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
	maxEmail    = 254
	maxName     = 256
	maxClass    = 256
	// maxKept bounds how long uses are kept, whatever a provider says its assertions are good for: MaxAge refuses them long before.
	maxKept = 24 * time.Hour
)

// usualEmail and usualName are the names under which providers send these without being told to.
func usualEmail() []string {
	return []string{
		"mail", "email", "urn:oid:0.9.2342.19200300.100.1.3", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
	}
}

func usualName() []string {
	return []string{
		"displayName", "urn:oid:2.16.840.1.113730.3.1.241", "http://schemas.microsoft.com/identity/claims/displayname",
	}
}

// describe puts together what is known. SAML has no word for a verified e-mail, so none is: the organization says which domains
// a provider may speak for.
func (t *trial) describe(c *claims) federation.Identity {
	id := federation.Identity{
		Issuer: c.issuer, ID: c.nameID, Format: c.format,
		Email: t.email(c), Name: t.name(c),
		Issued: c.issued, Until: t.until(c),
		Uses:        []federation.Use{use("assertion", c.issuer, c.id), use("response", c.issuer, t.reply.id)},
		Unsolicited: t.Unsolicited,
	}
	for i, s := range c.statements {
		class := federation.Text(s.class, maxClass)
		switch {
		case i == 0:
			id.ACR, id.AuthTime = class, s.instant
		case id.ACR != class:
			id.ACR = "" // which one holds is not said
		}
		if s.instant.Before(id.AuthTime) {
			id.AuthTime = s.instant
		}
		if ends := s.sessionEnds; !ends.IsZero() && (id.SessionEnds.IsZero() || ends.Before(id.SessionEnds)) {
			id.SessionEnds = ends
		}
	}
	id.Checks = t.checks
	return id
}

// until is when the last end has passed on the slowest clock.
func (t *trial) until(c *claims) time.Time {
	end := c.conditions.notOnOrAfter
	if c.confirmation.notOnOrAfter.After(end) {
		end = c.confirmation.notOnOrAfter
	}
	end = end.Add(t.Skew)
	if last := t.now.Add(maxKept); end.After(last) {
		return last
	}
	return end
}

func (t *trial) email(c *claims) string {
	var found string
	switch {
	case t.EmailAttribute != "":
		found = c.only(t.EmailAttribute)
	case c.format == formatEmail:
		found = c.nameID
	default:
		found = c.only(usualEmail()...)
	}
	if !looksLikeEmail(found) {
		return ""
	}
	return found
}

func (t *trial) name(c *claims) string {
	if t.NameAttribute != "" {
		return federation.Text(c.only(t.NameAttribute), maxName)
	}
	return federation.Text(c.only(usualName()...), maxName)
}

// only returns the value of the first of these attributes that has one, if it has but one: of several it is not said which one
// counts.
func (c *claims) only(names ...string) string {
	for _, name := range names {
		found := ""
		for _, a := range c.attributes {
			if a.name != name {
				continue
			}
			for _, v := range a.values {
				if v = strings.TrimSpace(v); v == "" || v == found {
					continue
				}
				if found != "" {
					return ""
				}
				found = v
			}
		}
		if found != "" {
			return found
		}
	}
	return ""
}

// looksLikeEmail keeps out what cannot be an address. Whether it is one is for the domain rules to say.
func looksLikeEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && domain != "" && len(s) <= maxEmail && !strings.Contains(domain, "@") &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}

// use names what counts once. Lengths stand before the parts, so that no two triples read the same. Stored: never change it.
func use(kind, issuer, id string) federation.Use {
	h := sha256.New()
	for _, part := range []string{"saml", kind, issuer, id} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return federation.Use(h.Sum(nil))
}
