package saml

import (
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
)

// maxID is the longest id of a message in bytes.
const maxID = 256

// reply is a Response as it stands in the document: nothing of it is proven by having been read.
type reply struct {
	id, version, destination, issuer string
	hasIssuer                        bool
	issued                           time.Time
	inResponseTo                     *string // nil: not said
	status                           status
	signed                           bool
	assertion, encrypted             *node // one of them, or none when the status is not success
}

type status struct{ code, second, message string }

const statusSuccess = "urn:oasis:names:tc:SAML:2.0:status:Success"

func malformed(format string, args ...any) *federation.Refusal {
	return federation.Refuse(audit.ReasonMalformed, format, args...)
}

// places refuses elements where they must not be: assertions but one, directly in the response; signatures but directly in the
// response or the assertion, and one in each. It goes by names without their namespaces, because others have.
func places(root *node) *federation.Refusal {
	if !root.is(nsProtocol, "Response") {
		return malformed("the document is no SAML 2.0 Response")
	}
	var walk func(parent *node, depth int) *federation.Refusal
	walk = func(parent *node, depth int) *federation.Refusal {
		signatures := 0
		for _, n := range parent.kids {
			switch n.local {
			case "Response":
				return malformed("a Response is inside the response")
			case "Assertion", "EncryptedAssertion":
				if depth > 0 || n.space != nsAssertion {
					return malformed("an %s is where none may be", n.local)
				}
			case "Signature":
				if signatures++; n.space != nsSignature || signatures > 1 || depth > 0 && !(depth == 1 && parent.is(nsAssertion, "Assertion")) {
					return malformed("a Signature is where none may be")
				}
			case "EncryptedID", "EncryptedAttribute", "NewEncryptedID":
				return federation.Refuse(audit.ReasonEncryptionNotAllowed, "%s is not taken", n.local)
			}
			if r := walk(n, depth+1); r != nil {
				return r
			}
		}
		return nil
	}
	return walk(root, 0)
}

// readReply reads a response whose elements are in their places.
func readReply(root *node) (reply, *federation.Refusal) {
	m := reply{id: root.attr("ID"), version: root.attr("Version"), destination: root.attr("Destination")}
	if v, ok := root.lookup("InResponseTo"); ok {
		m.inResponseTo = &v
	}
	issued, ok := instant(root.attr("IssueInstant"))
	if !ok {
		return reply{}, malformed("the response has no readable IssueInstant")
	}
	m.issued = issued
	if !identifier(m.id) {
		return reply{}, malformed("the response has no usable ID")
	}
	if m.version != "2.0" {
		return reply{}, malformed("the response is of version %q", m.version)
	}
	assertions := 0
	seen := map[string]bool{}
	for _, k := range root.kids {
		switch {
		case k.is(nsAssertion, "Issuer"):
			var r *federation.Refusal
			if m.issuer, r = readIssuer(k); r != nil {
				return reply{}, r
			}
			m.hasIssuer = true
		case k.is(nsAssertion, "Assertion"):
			m.assertion = k
			assertions++
			continue
		case k.is(nsAssertion, "EncryptedAssertion"):
			m.encrypted = k
			assertions++
			continue
		case k.is(nsProtocol, "Status"):
			m.status = readStatus(k)
		case k.is(nsSignature, "Signature"):
			m.signed = true
		case k.is(nsProtocol, "Extensions"):
		default:
			return reply{}, malformed("the response holds %q", k.local)
		}
		if seen[k.local] {
			return reply{}, malformed("the response has more than one %s", k.local)
		}
		seen[k.local] = true
	}
	switch {
	case m.status.code == "":
		return reply{}, malformed("the response has no status")
	case assertions > 1, assertions == 0 && m.status.code == statusSuccess:
		return reply{}, malformed("the response has %d assertions", assertions)
	}
	return m, nil
}

func readStatus(n *node) status {
	var s status
	if code := n.one(nsProtocol, "StatusCode"); code != nil {
		s.code = code.attr("Value")
		if second := code.first(nsProtocol, "StatusCode"); second != nil {
			s.second = second.attr("Value")
		}
	}
	if message := n.first(nsProtocol, "StatusMessage"); message != nil {
		s.message = message.text
	}
	return s
}

// formatEntity is the only format the name of an issuer may have.
const formatEntity = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"

func readIssuer(n *node) (string, *federation.Refusal) {
	name, ok := n.plain()
	if !ok {
		return "", malformed("an Issuer holds more than text")
	}
	if f := n.attr("Format"); f != "" && f != formatEntity {
		return "", federation.Refuse(audit.ReasonIssuerMismatch, "the Issuer is of format %q", f)
	}
	return name, nil
}

// identifier says whether s can be the id of a message: short, and one word.
func identifier(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c == 0x7f || c == '#' || c == '"' || c == '\'' {
			return false
		}
	}
	return true
}

// instant reads a time. One without a zone is UTC, as all times of SAML are.
func instant(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC(), true
	}
	t, err := time.ParseInLocation("2006-01-02T15:04:05.999999999", s, time.UTC)
	return t, err == nil
}
