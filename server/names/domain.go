package names

import "strings"

const domains = "/domains/"

// maxDomain is the longest domain in text.
const maxDomain = 253

// LongestDomain is the length of the longest name of a domain.
const LongestDomain = len(organizations) + maxID + len(domains) + maxDomain

// Domain reads organizations/{organization}/domains/{domain}. Whether {domain} is one is for the caller to parse.
func Domain(field, name string) (organization, domain string, err error) {
	organization, domain, ok := split(name, domains)
	if !ok || !isDomain(domain) {
		return "", "", invalid(field, "organizations/{organization}/domains/{domain}")
	}
	return organization, domain, nil
}

// FormatDomain writes what Domain reads.
func FormatDomain(organization, domain string) string {
	return organizations + organization + domains + domain
}

// isDomain reports whether s is 1 to 253 bytes of [a-z0-9.-], a point only inside.
func isDomain(s string) bool {
	if len(s) == 0 || len(s) > maxDomain || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}
