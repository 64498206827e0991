// Package names reads resource names.
//
// Purpose: organizations/{organization}, …/sites/{site}, …/flows/{flow}, …/events/{event}, …/authenticators/{authenticator} and
// …/identities/{identity} become their ids, by byte loops over a known length.
// Invariant: what a parser accepts, its Format counterpart writes back unchanged; a name with anything before, between or after
// its parts is refused. Ids of organizations and sites are 1 to 63 bytes of [a-z0-9-].
// It must never look anything up: a name that reads well may name nothing.
// First file to read: this one.
package names

import (
	"encoding/hex"
	"strings"

	"github.com/postern-audit/postern/internal/errs"
)

// Longest is the length of the longest name there can be.
const Longest = len("organizations/") + maxID + len("/authenticators/") + maxTail

const (
	maxID   = 63
	maxTail = 64 // what follows flows/, events/, authenticators/ and identities/

	organizations  = "organizations/"
	sites          = "/sites/"
	flows          = "/flows/"
	events         = "/events/"
	authenticators = "/authenticators/"
	identities     = "/identities/"
)

// Organization reads organizations/{organization}. field is the request field it came from, for the error.
func Organization(field, name string) (string, error) {
	id, ok := strings.CutPrefix(name, organizations)
	if !ok || !IsID(id) {
		return "", invalid(field, "organizations/{organization}")
	}
	return id, nil
}

// Site reads organizations/{organization}/sites/{site}.
func Site(field, name string) (organization, site string, err error) {
	organization, site, ok := split(name, sites)
	if !ok || !IsID(site) {
		return "", "", invalid(field, "organizations/{organization}/sites/{site}")
	}
	return organization, site, nil
}

// Flow reads organizations/{organization}/flows/{flow}. What {flow} is (an id, a support code) is for the caller to parse.
func Flow(field, name string) (organization, flow string, err error) {
	organization, flow, ok := split(name, flows)
	if !ok || !isTail(flow) {
		return "", "", invalid(field, "organizations/{organization}/flows/{flow}")
	}
	return organization, flow, nil
}

// Event reads organizations/{organization}/events/{event}.
func Event(field, name string) (organization, event string, err error) {
	organization, event, ok := split(name, events)
	if !ok || !isTail(event) {
		return "", "", invalid(field, "organizations/{organization}/events/{event}")
	}
	return organization, event, nil
}

// Authenticator reads organizations/{organization}/authenticators/{authenticator}, the latter 32 lower-case hexadecimal digits.
func Authenticator(field, name string) (organization string, key [16]byte, err error) {
	organization, text, ok := split(name, authenticators)
	if ok && digits(key[:], text) {
		return organization, key, nil
	}
	return "", [16]byte{}, errs.Field(field, "NAME_INVALID", "must be organizations/{organization}/authenticators/{authenticator}, as an answer named it")
}

// Identity reads organizations/{organization}/identities/{identity}, the latter 64 lower-case hexadecimal digits.
func Identity(field, name string) (organization string, key [32]byte, err error) {
	organization, text, ok := split(name, identities)
	if ok && digits(key[:], text) {
		return organization, key, nil
	}
	return "", [32]byte{}, errs.Field(field, "NAME_INVALID", "must be organizations/{organization}/identities/{identity}, as an answer named it")
}

// digits reads exactly as many lower-case hexadecimal digits as fill key.
func digits(key []byte, text string) bool {
	if len(text) != hex.EncodedLen(len(key)) || text != strings.ToLower(text) {
		return false
	}
	_, err := hex.Decode(key, []byte(text))
	return err == nil
}

// OrganizationOf returns the organization any kind of name begins with, "" when it begins with none.
func OrganizationOf(name string) string {
	rest, ok := strings.CutPrefix(name, organizations)
	if !ok {
		return ""
	}
	id, _, _ := strings.Cut(rest, "/")
	if !IsID(id) {
		return ""
	}
	return id
}

// FormatOrganization writes what Organization reads.
func FormatOrganization(id string) string { return organizations + id }

// FormatSite writes what Site reads.
func FormatSite(organization, site string) string { return organizations + organization + sites + site }

// FormatFlow writes what Flow reads.
func FormatFlow(organization, flow string) string { return organizations + organization + flows + flow }

// FormatEvent writes what Event reads.
func FormatEvent(organization, event string) string {
	return organizations + organization + events + event
}

// FormatAuthenticator writes what Authenticator reads.
func FormatAuthenticator(organization string, key [16]byte) string {
	return organizations + organization + authenticators + hex.EncodeToString(key[:])
}

// FormatIdentity writes what Identity reads.
func FormatIdentity(organization string, key [32]byte) string {
	return organizations + organization + identities + hex.EncodeToString(key[:])
}

// IsID reports whether s is an id: 1 to 63 bytes of [a-z0-9-] without a hyphen at either end.
func IsID(s string) bool {
	if len(s) == 0 || len(s) > maxID || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// split takes a name of an organization's child apart.
func split(name, middle string) (organization, child string, ok bool) {
	rest, ok := strings.CutPrefix(name, organizations)
	if !ok {
		return "", "", false
	}
	organization, child, ok = strings.Cut(rest, middle)
	return organization, child, ok && IsID(organization)
}

// isTail reports whether s is 1 to 64 bytes of [A-Za-z0-9-].
func isTail(s string) bool {
	if len(s) == 0 || len(s) > maxTail {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func invalid(field, want string) error {
	return errs.Field(field, "NAME_INVALID", "must be "+want+", ids of 1 to 63 characters of a-z, 0-9 and inner hyphens")
}

// IsFlow reports whether name reads as a flow's.
func IsFlow(name string) bool {
	_, flow, ok := split(name, flows)
	return ok && isTail(flow)
}
