package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/postern-audit/postern/internal/errs"
)

// Reasons a domain is refused. They are documented API: callers and tests compare them.
const (
	ReasonDomainEmpty       = "DOMAIN_EMPTY"
	ReasonDomainTooLong     = "DOMAIN_TOO_LONG"     // more than 253 octets, or a label of more than 63
	ReasonDomainHidden      = "DOMAIN_HIDDEN"       // a character that shows nothing and that lookups drop, or not UTF-8
	ReasonDomainDot         = "DOMAIN_DOT"          // a dot that is no ASCII dot, an empty label, a trailing dot in an address
	ReasonDomainLiteral     = "DOMAIN_LITERAL"      // [192.0.2.1] and its like
	ReasonDomainInvalid     = "DOMAIN_INVALID"      // anything else that is no host name: spaces, URLs, "_", bad punycode …
	ReasonDomainNumeric     = "DOMAIN_NUMERIC"      // an IP address or a last label that is a number
	ReasonDomainSingleLabel = "DOMAIN_SINGLE_LABEL" // "com", "localhost"
	ReasonDomainSpecialUse  = "DOMAIN_SPECIAL_USE"  // reserved: test, localhost, invalid, example, onion, home.arpa …
	ReasonDomainNotPublic   = "DOMAIN_NOT_PUBLIC"   // its last label is no top-level domain of the ICANN list
	ReasonDomainSuffix      = "DOMAIN_PUBLIC_SUFFIX"
	ReasonDomainWildcard    = "DOMAIN_WILDCARD"
	ReasonDomainFreeMail    = "DOMAIN_FREE_MAIL"
)

const (
	maxDomain = 253
	// maxTyped bounds what is looked at before it is parsed: a U-label form may be longer than its A-label form.
	maxTyped = 1024
)

// Domain is a domain name in canonical form: at least two labels, lower-case A-labels, no trailing dot. The zero value is
// "none". Two domains are the same exactly when they compare equal; never compare their text by prefix or suffix.
type Domain struct{ s string }

// lookup is the one IDNA profile of this project (UTS 46, non-transitional, all checks on).
var lookup = idna.New(idna.MapForLookup(), idna.StrictDomainName(true), idna.CheckHyphens(true), idna.CheckJoiners(true),
	idna.BidiRule(), idna.VerifyDNSLength(true), idna.Transitional(false))

// ParseDomain returns the canonical form of a domain name.
//
//	domain = label 1*( "." label ) [ "." ]     at most 253 octets as A-labels
//	label  = 1 to 63 octets of a-z, 0-9 and inner hyphens, or what UTS 46 maps to that or to a valid A-label
//
// One trailing dot (the root) is dropped. Refused: characters that display as nothing (lookups drop them silently, so that
// two different texts would be one domain), dots that are not ASCII, a numeric last label (IP addresses), single labels,
// and whatever does not survive a round trip through its Unicode form. Whether mail can go there is Reachable's question.
func ParseDomain(s string) (Domain, error) {
	if s == "" || s == "." {
		return Domain{}, refuse(ReasonDomainEmpty, "the domain is empty")
	}
	if len(s) > maxTyped {
		return Domain{}, refuse(ReasonDomainTooLong, "the domain is too long")
	}
	s = strings.TrimSuffix(s, ".")
	if err := checkTyped(s); err != nil {
		return Domain{}, err
	}
	// ToASCII returns usable-looking text together with an error ("xn--example-.com" gives example.com): no error, or nothing.
	ascii, err := lookup.ToASCII(s)
	if err != nil {
		return Domain{}, explain(s)
	}
	back, err := lookup.ToUnicode(ascii)
	if err != nil {
		return Domain{}, explain(s)
	}
	if again, err := lookup.ToASCII(back); err != nil || again != ascii {
		return Domain{}, refuse(ReasonDomainInvalid, "the domain does not survive conversion to Unicode and back")
	}
	return checkCanonical(ascii)
}

// checkTyped refuses what must be seen before anything is mapped.
func checkTyped(s string) error {
	if !utf8.ValidString(s) {
		return refuse(ReasonDomainHidden, "the domain is not UTF-8 text")
	}
	if s[0] == '[' {
		return refuse(ReasonDomainLiteral, "an address literal is not a domain")
	}
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
		case r == '\u3002' || r == '\uff0e' || r == '\uff61':
			return refuse(ReasonDomainDot, "the domain has a dot that is not the ASCII dot")
		case hidden(r):
			return refuse(ReasonDomainHidden, "the domain has a character that displays as nothing")
		}
	}
	if s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return refuse(ReasonDomainDot, "the domain has an empty label")
	}
	return nil
}

// checkCanonical finishes what IDNA leaves open, on its output.
func checkCanonical(s string) (Domain, error) {
	if len(s) > maxDomain {
		return Domain{}, refuse(ReasonDomainTooLong, "the domain has more than 253 octets")
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return Domain{}, refuse(ReasonDomainInvalid, "the domain has a character that host names do not have")
		}
	}
	last := s[strings.LastIndexByte(s, '.')+1:]
	if numeric(last) {
		return Domain{}, refuse(ReasonDomainNumeric, "the last label is a number: an IP address is not a domain")
	}
	if len(last) == len(s) {
		return Domain{}, refuse(ReasonDomainSingleLabel, "a domain has at least two labels")
	}
	return Domain{s}, nil
}

// explain finds the reason for a text that IDNA refused.
func explain(s string) error {
	if strings.IndexByte(s, '*') >= 0 {
		return refuse(ReasonDomainWildcard, "a wildcard is not a domain; use include_subdomains")
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 && strings.IndexFunc(label, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
			return refuse(ReasonDomainTooLong, "a label has more than 63 octets")
		}
	}
	if len(s) > maxDomain {
		return refuse(ReasonDomainTooLong, "the domain has more than 253 octets")
	}
	return refuse(ReasonDomainInvalid, "not a domain name")
}

// numeric reports whether a resolver may read the label as a number: decimal, or hexadecimal with 0x.
func numeric(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// hidden reports whether r is default-ignorable (Unicode's property), that is dropped by lookups or by displays.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Cf) ||
		r >= 0xE0000 && r <= 0xE0FFF
}

// refuse makes the error of a text that cannot be parsed. The text itself is never repeated: people type passwords here.
func refuse(reason, public string) error { return errs.New(errs.Invalid, reason, public) }

// String returns the canonical form, empty for "none". ParseDomain returns an equal Domain for it.
func (d Domain) String() string { return d.s }

// IsZero reports whether d is "none".
func (d Domain) IsZero() bool { return d.s == "" }

// Unicode returns the form for people. A name that would display hidden characters stays in its A-label form, so that
// ParseDomain returns an equal Domain for either.
func (d Domain) Unicode() string {
	u, err := lookup.ToUnicode(d.s)
	if err != nil || strings.IndexFunc(u, hidden) >= 0 {
		return d.s
	}
	return u
}

// Labels returns the labels from left to right, nil for "none".
func (d Domain) Labels() []string {
	if d.s == "" {
		return nil
	}
	return strings.Split(d.s, ".")
}

// Parent returns the domain without its first label, or "none" when that would leave a single label.
func (d Domain) Parent() Domain {
	_, rest, _ := strings.Cut(d.s, ".")
	if strings.IndexByte(rest, '.') < 0 {
		return Domain{}
	}
	return Domain{rest}
}

// Within reports whether d is a subdomain of parent, by whole labels. A domain is not within itself.
func (d Domain) Within(parent Domain) bool {
	cut := len(d.s) - len(parent.s)
	return parent.s != "" && cut > 1 && d.s[cut-1] == '.' && d.s[cut:] == parent.s
}

// Covers reports whether m matches d: the same domain, or a subdomain of it where m includes them.
func (m DomainMatch) Covers(d Domain) bool {
	return !d.IsZero() && (d == m.Domain || m.Subdomains && d.Within(m.Domain))
}

// Covers reports whether r speaks for d: the same domain, or a subdomain of it where r includes them.
func (r DomainRecord) Covers(d Domain) bool {
	return DomainMatch{Domain: r.Domain, Subdomains: r.Subdomains}.Covers(d)
}

// MostSpecific returns the record with the longest domain that covers d, nil when none does.
func MostSpecific(records []DomainRecord, d Domain) *DomainRecord {
	best := -1
	for i := range records {
		if records[i].Covers(d) && (best < 0 || len(records[i].Domain.s) > len(records[best].Domain.s)) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	found := records[best]
	return &found
}
