package oidc

import (
	"bytes"
	"encoding/base64"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
)

// compact is a token taken apart, nothing of it believed.
type compact struct {
	raw       []byte
	signed    []byte // header and payload as the signature covers them
	payload   []byte
	signature []byte
	alg       string
	kid       string
	typ       string
}

// headerNames are the header members that steer a reader.
var headerNames = []string{"alg", "kid", "typ", "cty", "crit", "b64", "enc", "zip", "jku", "jwk", "x5u", "x5c", "x5t"}

// strict reads base64url as an encoder writes it: no padding, no bits left over, so that a token has one spelling.
var strict = base64.RawURLEncoding.Strict()

// parse takes a token apart by its form alone. Only the compact form is taken: what go-jose would also read, such as JSON
// serialisations with an unsigned header, or text with white space in it, is refused before it gets there.
func parse(token []byte, e Expect) (*compact, *federation.Refusal) {
	if len(token) == 0 {
		return nil, malformed("an empty token")
	}
	if len(token) > MaxToken {
		return nil, malformed("longer than %d bytes", MaxToken)
	}
	if i := bytes.IndexFunc(token, notCompact); i >= 0 {
		return nil, malformed("not a compact token: byte %d is neither of base64url nor a dot", i)
	}
	parts := bytes.Split(token, []byte("."))
	switch {
	case len(parts) == 5:
		return nil, malformed("five parts: encrypted tokens are not taken")
	case len(parts) != 3:
		return nil, malformed("%d parts instead of three", len(parts))
	case len(parts[0]) == 0 || len(parts[1]) == 0:
		return nil, malformed("an empty part")
	}
	c := &compact{raw: token, signed: token[:len(parts[0])+1+len(parts[1])]}
	header, err := strict.DecodeString(string(parts[0]))
	if err != nil {
		return nil, malformed("the header is not base64url")
	}
	if c.payload, err = strict.DecodeString(string(parts[1])); err != nil {
		return nil, malformed("the payload is not base64url")
	}
	if c.signature, err = strict.DecodeString(string(parts[2])); err != nil {
		return nil, malformed("the signature is not base64url")
	}
	if refusal := c.header(header); refusal != nil {
		return nil, refusal
	}
	if !e.allows(c.alg) {
		return nil, federation.Refuse(audit.ReasonAlgorithmNotAllowed, "signed with %q; allowed are %q", c.alg, e.Algorithms)
	}
	if len(c.signature) == 0 {
		return nil, malformed("no signature")
	}
	return c, nil
}

func notCompact(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}

// header reads what the header says. Keys in it, and links to keys, are not looked at.
func (c *compact) header(header []byte) *federation.Refusal {
	members, err := object(header)
	if err != nil {
		return malformed("header: %v", err)
	}
	if name, found := folded(members, headerNames); found {
		return malformed("header: member %q", name)
	}
	if !slices.ContainsFunc(members, func(m member) bool { return m.name == "alg" }) {
		return malformed("header: no alg")
	}
	for _, m := range members {
		text, isText := unquote(m.value)
		var to *string
		switch m.name {
		case "crit", "b64", "enc", "zip":
			return malformed("header: %s is not understood here", m.name)
		case "alg":
			to = &c.alg
		case "kid":
			to = &c.kid
		case "typ":
			to = &c.typ
		default:
			continue
		}
		if !isText {
			return malformed("header: %s is no text", m.name)
		}
		*to = text
	}
	return nil
}

func malformed(format string, args ...any) *federation.Refusal {
	return federation.Refuse(audit.ReasonMalformed, format, args...)
}
