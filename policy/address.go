package policy

import (
	"strings"

	"github.com/postern-audit/postern/internal/errs"
)

// Reasons an address is refused, besides those of its domain. They are documented API.
const (
	ReasonAddressEmpty         = "ADDRESS_EMPTY"
	ReasonAddressTooLong       = "ADDRESS_TOO_LONG" // more than 254 octets
	ReasonAddressNoAt          = "ADDRESS_NO_AT"
	ReasonAddressSeveralAt     = "ADDRESS_SEVERAL_AT"
	ReasonAddressQuoted        = "ADDRESS_QUOTED"         // "quoted local part"@…
	ReasonAddressLocalEmpty    = "ADDRESS_LOCAL_EMPTY"    // @example.com
	ReasonAddressLocalTooLong  = "ADDRESS_LOCAL_TOO_LONG" // more than 64 octets
	ReasonAddressLocalInvalid  = "ADDRESS_LOCAL_INVALID"  // not a dot-atom
	ReasonAddressLocalNotASCII = "ADDRESS_LOCAL_NOT_ASCII"
	ReasonAddressEncodedWord   = "ADDRESS_ENCODED_WORD" // =?utf-8?q?…?=, which some mail software decodes
)

const (
	maxAddress = 254
	maxLocal   = 64
)

// Address is an e-mail address in canonical form: the local part as written, the domain canonical. The zero value is "none".
// Two addresses that differ in case of the local part are different values with the same Key.
type Address struct {
	local  string
	domain Domain
}

// ParseAddress reads an e-mail address and nothing around it.
//
//	address = local "@" domain              at most 254 octets in canonical form
//	local   = atom *( "." atom )            at most 64 octets
//	atom    = 1*( a-z / A-Z / 0-9 / any of !#$%&'*+-/=?^_`{|}~ )
//	domain  = as ParseDomain, without a trailing dot
//
// Nothing is trimmed, decoded, unquoted or unwrapped: no display names, comments, quoted local parts, address literals or
// source routes. "a%b@c" and "a!b@c" are local parts with a % and a !. A local part that is an encoded-word is refused, since
// mail software that decodes it would deliver elsewhere. Non-ASCII local parts are refused. Tags and dots are kept.
func ParseAddress(s string) (Address, error) {
	if s == "" {
		return Address{}, refuse(ReasonAddressEmpty, "the address is empty")
	}
	if len(s) > maxTyped {
		return Address{}, refuse(ReasonAddressTooLong, "the address has more than 254 octets")
	}
	at := strings.IndexByte(s, '@')
	switch {
	case s[0] == '"':
		return Address{}, refuse(ReasonAddressQuoted, "quoted local parts are not accepted")
	case at < 0:
		return Address{}, refuse(ReasonAddressNoAt, "the address has no @")
	case strings.IndexByte(s[at+1:], '@') >= 0:
		return Address{}, refuse(ReasonAddressSeveralAt, "the address has more than one @")
	}
	local, host := s[:at], s[at+1:]
	if err := checkLocal(local); err != nil {
		return Address{}, err
	}
	if strings.HasSuffix(host, ".") {
		return Address{}, refuse(ReasonDomainDot, "the domain of an address has no trailing dot")
	}
	d, err := ParseDomain(host)
	if err != nil {
		return Address{}, err
	}
	if len(local)+1+len(d.s) > maxAddress {
		return Address{}, refuse(ReasonAddressTooLong, "the address has more than 254 octets")
	}
	return Address{local: local, domain: d}, nil
}

// checkLocal accepts a dot-atom that is no encoded-word.
func checkLocal(s string) error {
	switch {
	case s == "":
		return refuse(ReasonAddressLocalEmpty, "nothing stands before the @")
	case len(s) > maxLocal:
		return refuse(ReasonAddressLocalTooLong, "more than 64 octets stand before the @")
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 0x80:
			return refuse(ReasonAddressLocalNotASCII, "the part before the @ has a character that is not ASCII")
		case c == '.' && (i == 0 || i == len(s)-1 || s[i-1] == '.'):
			return refuse(ReasonAddressLocalInvalid, "the part before the @ has a dot at an end or two in a row")
		case c != '.' && !atext(c):
			return refuse(ReasonAddressLocalInvalid, "the part before the @ has a character that addresses do not have")
		}
	}
	if open := strings.Index(s, "=?"); open >= 0 && strings.Contains(s[open+2:], "?=") {
		return refuse(ReasonAddressEncodedWord, "the part before the @ is an encoded-word")
	}
	return nil
}

func atext(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// ParseUsableAddress is ParseAddress for addresses at a domain that somebody can have registered: see Domain.Reachable.
func ParseUsableAddress(s string) (Address, error) {
	a, err := ParseAddress(s)
	if err != nil {
		return Address{}, err
	}
	if err := a.domain.Reachable(); err != nil {
		return Address{}, err
	}
	return a, nil
}

// String returns the canonical form, empty for "none". ParseAddress returns an equal Address for it.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	return a.local + "@" + a.domain.s
}

// Local returns the part before the "@", as written.
func (a Address) Local() string { return a.local }

// Domain returns the part after the "@".
func (a Address) Domain() Domain { return a.domain }

// IsZero reports whether a is "none".
func (a Address) IsZero() bool { return a.local == "" }

// Key returns the form under which an address is hashed and looked up: A to Z of the local part in lower case and nothing
// else changed, so that no Unicode folding can make two people one. Empty for "none".
func (a Address) Key() string {
	if a.IsZero() {
		return ""
	}
	b := make([]byte, 0, len(a.local)+1+len(a.domain.s))
	for i := range len(a.local) {
		c := a.local[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	b = append(b, '@')
	return string(append(b, a.domain.s...))
}

// AddressReport says what became of a text that may be an address: one line of `postern address check`.
type AddressReport struct {
	Input             string `json:"input"`
	Address           string `json:"address"`            // canonical form; empty when not usable, like all below
	Domain            string `json:"domain"`             // canonical form
	RegistrableDomain string `json:"registrable_domain"` // what one party registered
	FreeMail          bool   `json:"free_mail"`          // the domain of a well-known provider open to anybody
	Reason            string `json:"reason"`             // why it is not usable, empty when it is
}

// Inspect reports on a text. It is usable when it parses and its domain lies under a public suffix of the ICANN section and
// is none itself.
func Inspect(s string) AddressReport {
	a, err := ParseUsableAddress(s)
	if err != nil {
		return AddressReport{Input: s, Reason: reasonOf(err)}
	}
	return AddressReport{Input: s, Address: a.String(), Domain: a.domain.s, RegistrableDomain: a.domain.Registrable().s,
		FreeMail: a.domain.FreeMail()}
}

func reasonOf(err error) string {
	if e := errs.As(err); e != nil {
		return e.Reason
	}
	return ReasonDomainInvalid
}

// Identifier is what a person typed to say who they are: a usable address, or opaque. An opaque one may be anything, a
// password included, so the text is not kept here: whoever has it may hash it and must then forget it.
type Identifier struct{ address Address }

// ParseIdentifier sorts a typed text. It never fails and never keeps an opaque text.
func ParseIdentifier(typed string) Identifier {
	a, err := ParseUsableAddress(typed)
	if err != nil {
		return Identifier{}
	}
	return Identifier{address: a}
}

// Address returns the address, zero when the identifier is opaque.
func (i Identifier) Address() Address { return i.address }

// Opaque reports whether the text is no usable address and may only be kept as a keyed hash.
func (i Identifier) Opaque() bool { return i.address.IsZero() }
