package policy

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// specialUse are names that never are anybody's on the public internet (RFC 6761, 6762, 7686, 8375, 9476 and ICANN's
// "internal"). The example domains example.com, .net and .org do exist and are left out: documentation and tests use them.
var specialUse = []string{"test", "localhost", "invalid", "example", "onion", "local", "internal", "alt", "arpa"}

// UnderPublicSuffix reports whether the domain lies below a suffix of the ICANN section of the public suffix list, so that
// somebody can have registered it. A suffix itself does not.
func (d Domain) UnderPublicSuffix() bool {
	s := d.icannSuffix()
	return s != "" && len(d.s) > len(s)
}

// Reachable returns nil for a domain that somebody can have registered, else an error with reason DOMAIN_SPECIAL_USE,
// DOMAIN_NOT_PUBLIC or DOMAIN_PUBLIC_SUFFIX. Only addresses at reachable domains are usable.
func (d Domain) Reachable() error {
	suffix := d.icannSuffix()
	switch {
	case d.IsZero():
		return refuse(ReasonDomainEmpty, "the domain is empty")
	case d.special():
		return refuse(ReasonDomainSpecialUse, "the domain is reserved for special use")
	case suffix == "":
		return refuse(ReasonDomainNotPublic, "the domain is not under a public suffix")
	case suffix == d.s:
		return refuse(ReasonDomainSuffix, "the domain is itself a public suffix")
	}
	return nil
}

// Registrable returns the part of the domain that one party registered: the public suffix and one label more. Suffixes of
// the list's private section (github.io) count, so that their customers stay apart; such a suffix itself is registrable
// under its ICANN suffix. "None" when the domain is not reachable.
func (d Domain) Registrable() Domain {
	if d.Reachable() != nil {
		return Domain{}
	}
	suffix, _ := publicsuffix.PublicSuffix(d.s)
	if len(suffix) >= len(d.s) {
		suffix = d.icannSuffix()
	}
	head := d.s[:len(d.s)-len(suffix)-1]
	return Domain{d.s[strings.LastIndexByte(head, '.')+1:]}
}

// icannSuffix returns the longest suffix of the list's ICANN section, "" when there is none.
func (d Domain) icannSuffix() string {
	// PublicSuffix answers with private suffixes too, and with the last label (and false) when it knows nothing.
	for rest := d.s; rest != ""; {
		suffix, icann := publicsuffix.PublicSuffix(rest)
		if icann {
			return suffix
		}
		_, rest, _ = strings.Cut(suffix, ".")
	}
	return ""
}

func (d Domain) special() bool {
	last := d.s[strings.LastIndexByte(d.s, '.')+1:]
	for _, s := range specialUse {
		if last == s {
			return true
		}
	}
	return false
}

// ParseOwnedDomain parses a domain that an organization may call its own. Besides what ParseDomain refuses, it refuses
// unreachable domains, public suffixes of both sections of the list, wildcards and free-mail providers.
func ParseOwnedDomain(s string) (Domain, error) {
	if strings.IndexByte(s, '*') >= 0 {
		return Domain{}, refuse(ReasonDomainWildcard, "a wildcard is not a domain; use include_subdomains")
	}
	d, err := ParseDomain(s)
	if err != nil {
		return Domain{}, err
	}
	if err := d.Reachable(); err != nil {
		return Domain{}, err
	}
	if suffix, _ := publicsuffix.PublicSuffix(d.s); suffix == d.s {
		return Domain{}, refuse(ReasonDomainSuffix, "others register names below this domain: it is a public suffix")
	}
	if d.FreeMail() {
		return Domain{}, refuse(ReasonDomainFreeMail, "anybody can get an address at this mail provider")
	}
	return d, nil
}
