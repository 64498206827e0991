package saml

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postern-audit/postern/authflow/federation"
)

// maxNameID is the longest NameID in characters.
const maxNameID = 256

// claims is an Assertion as it stands in the document, with everything in it that every assertion must have.
type claims struct {
	id, issuer   string
	issued       time.Time
	nameID       string
	format       string // of the NameID
	confirmation confirmation
	conditions   conditions
	statements   []statement // at least one
	attributes   []attribute
}

type confirmation struct {
	method, recipient       string
	inResponseTo            *string // nil: not said
	notBefore, notOnOrAfter time.Time
}

type conditions struct {
	notBefore, notOnOrAfter time.Time
	audiences               [][]string // each restriction binds
}

type statement struct {
	instant, sessionEnds time.Time
	class                string
}

type attribute struct {
	name   string
	values []string // those that are nothing but text
}

// readAssertion reads an assertion. It refuses one that lacks a part, has a part twice or has something in it that is not known,
// so that the library is never asked about such a one, which some of them make panic.
func readAssertion(n *node) (claims, *federation.Refusal) {
	c := claims{id: n.attr("ID")}
	if v := n.attr("Version"); v != "2.0" {
		return claims{}, malformed("the assertion is of version %q", v)
	}
	if !identifier(c.id) {
		return claims{}, malformed("the assertion has no usable ID")
	}
	var ok bool
	if c.issued, ok = instant(n.attr("IssueInstant")); !ok {
		return claims{}, malformed("the assertion has no readable IssueInstant")
	}
	seen := map[string]int{}
	for _, k := range n.kids {
		seen[k.local]++
		if r := c.part(k); r != nil {
			return claims{}, r
		}
	}
	for _, part := range []string{"Issuer", "Subject", "Conditions"} {
		if seen[part] != 1 {
			return claims{}, malformed("the assertion has %d of %s", seen[part], part)
		}
	}
	if len(c.statements) == 0 {
		return claims{}, malformed("the assertion has no AuthnStatement")
	}
	return c, nil
}

func (c *claims) part(k *node) (r *federation.Refusal) {
	if k.space != nsAssertion && !k.is(nsSignature, "Signature") {
		return malformed("the assertion holds %q of another namespace", k.local)
	}
	switch k.local {
	case "Issuer":
		c.issuer, r = readIssuer(k)
	case "Subject":
		r = c.subject(k)
	case "Conditions":
		c.conditions, r = readConditions(k)
	case "AuthnStatement":
		var s statement
		s, r = readStatement(k)
		c.statements = append(c.statements, s)
	case "AttributeStatement":
		r = c.attributeStatement(k)
	case "Signature", "Advice", "Statement", "AuthzDecisionStatement":
	default:
		r = malformed("the assertion holds %q", k.local)
	}
	return r
}

func (c *claims) subject(n *node) *federation.Refusal {
	names, confirmations := 0, 0
	for _, k := range n.kids {
		var r *federation.Refusal
		switch {
		case k.is(nsAssertion, "NameID"):
			names++
			r = c.name(k)
		case k.is(nsAssertion, "SubjectConfirmation"):
			confirmations++
			c.confirmation, r = readConfirmation(k)
		default:
			r = malformed("the subject holds %q", k.local)
		}
		if r != nil {
			return r
		}
	}
	if names != 1 || confirmations != 1 {
		return malformed("the subject has %d NameIDs and %d confirmations, where one of each is taken", names, confirmations)
	}
	return nil
}

func (c *claims) name(n *node) *federation.Refusal {
	name, ok := n.plain()
	switch {
	case !ok:
		return malformed("the NameID holds more than text")
	case name == "" || utf8.RuneCountInString(name) > maxNameID:
		return malformed("the NameID has %d characters", utf8.RuneCountInString(name))
	case strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl):
		return malformed("the NameID begins or ends with a space, or has control characters")
	}
	c.nameID, c.format = name, n.attr("Format")
	return nil
}

func readConfirmation(n *node) (confirmation, *federation.Refusal) {
	c := confirmation{method: n.attr("Method")}
	data := n.one(nsAssertion, "SubjectConfirmationData")
	if data == nil {
		return c, malformed("the subject confirmation has no data")
	}
	for _, k := range n.kids {
		if k != data {
			return c, malformed("the subject confirmation holds %q", k.local)
		}
	}
	c.recipient = data.attr("Recipient")
	if v, ok := data.lookup("InResponseTo"); ok {
		c.inResponseTo = &v
	}
	var ok bool
	if c.notOnOrAfter, ok = instant(data.attr("NotOnOrAfter")); !ok {
		return c, malformed("the subject confirmation has no readable NotOnOrAfter")
	}
	if c.notBefore, ok = maybeInstant(data, "NotBefore"); !ok {
		return c, malformed("NotBefore of the subject confirmation is not readable")
	}
	return c, nil
}

// readConditions demands an end of the time, as the library does. OneTimeUse binds us to nothing more: everything here is taken
// once. ProxyRestriction neither: nothing is issued on its strength. Any other condition is one we cannot keep.
func readConditions(n *node) (conditions, *federation.Refusal) {
	var c conditions
	var ok bool
	if c.notOnOrAfter, ok = instant(n.attr("NotOnOrAfter")); !ok {
		return c, malformed("the conditions have no readable NotOnOrAfter")
	}
	if c.notBefore, ok = maybeInstant(n, "NotBefore"); !ok {
		return c, malformed("NotBefore of the conditions is not readable")
	}
	for _, k := range n.kids {
		switch {
		case k.is(nsAssertion, "AudienceRestriction"):
			names, r := readAudiences(k)
			if r != nil {
				return c, r
			}
			c.audiences = append(c.audiences, names)
		case k.is(nsAssertion, "OneTimeUse"), k.is(nsAssertion, "ProxyRestriction"):
		default:
			return c, malformed("there is a condition that is not known: %q", k.local)
		}
	}
	return c, nil
}

func readAudiences(n *node) ([]string, *federation.Refusal) {
	names := []string{}
	for _, k := range n.kids {
		name, ok := k.plain()
		if !ok || !k.is(nsAssertion, "Audience") {
			return nil, malformed("an audience restriction holds more than audiences")
		}
		names = append(names, name)
	}
	return names, nil
}

func readStatement(n *node) (statement, *federation.Refusal) {
	var s statement
	var ok bool
	if s.instant, ok = instant(n.attr("AuthnInstant")); !ok {
		return s, malformed("an AuthnStatement has no readable AuthnInstant")
	}
	if s.sessionEnds, ok = maybeInstant(n, "SessionNotOnOrAfter"); !ok {
		return s, malformed("SessionNotOnOrAfter is not readable")
	}
	around := n.one(nsAssertion, "AuthnContext")
	if around == nil {
		return s, malformed("an AuthnStatement has not one AuthnContext")
	}
	if ref := around.one(nsAssertion, "AuthnContextClassRef"); ref != nil {
		if s.class, ok = ref.plain(); !ok {
			return s, malformed("the AuthnContextClassRef holds more than text")
		}
	} else if around.first(nsAssertion, "AuthnContextClassRef") != nil {
		return s, malformed("an AuthnContext has more than one class")
	}
	return s, nil
}

func (c *claims) attributeStatement(n *node) *federation.Refusal {
	for _, k := range n.kids {
		if !k.is(nsAssertion, "Attribute") {
			return malformed("an attribute statement holds %q", k.local)
		}
		a := attribute{name: k.attr("Name")}
		for _, v := range k.kids {
			if !v.is(nsAssertion, "AttributeValue") {
				return malformed("an attribute holds %q", v.local)
			}
			if text, ok := v.plain(); ok {
				a.values = append(a.values, text)
			}
		}
		c.attributes = append(c.attributes, a)
	}
	return nil
}

// maybeInstant reads a time that need not be there; it is zero then.
func maybeInstant(n *node, name string) (time.Time, bool) {
	v, ok := n.lookup(name)
	if !ok {
		return time.Time{}, true
	}
	return instant(v)
}
