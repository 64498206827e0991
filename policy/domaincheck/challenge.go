package domaincheck

import (
	"crypto/subtle"
	"encoding/base32"
	"strings"
	"time"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Label is the first label of every name that is looked at.
const Label = "_postern-challenge"

// maxName is the longest name of a host, in text.
const maxName = 253

// encoding is RFC 4648's base32 without padding: 32 characters of A-Z and 2-7 for a token.
var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Name is where a domain's record goes, without a dot at the end.
func Name(d policy.Domain) string { return Label + "." + d.String() }

// IsChallengeName reports whether a name is one that records of this kind go under: another one may be an alias of it.
func IsChallengeName(name string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(name), Label+".")
	return ok && rest != ""
}

// Text is the record: "token=<base32> expiry=<date|never>".
func Text(token policy.ChallengeToken, expires time.Time) string {
	expiry := "never"
	if !expires.IsZero() {
		expiry = expires.UTC().Format(time.DateOnly)
	}
	return "token=" + encoding.EncodeToString(token[:]) + " expiry=" + expiry
}

// Check refuses domains that nobody can prove: those policy.ParseOwnedDomain refuses, and those whose name is too long for the
// record's own.
func Check(text string) (policy.Domain, error) {
	d, err := policy.ParseOwnedDomain(text)
	if err != nil {
		return policy.Domain{}, err //nolint:wrapcheck // an errs.Error of the core
	}
	if len(Name(d)) > maxName {
		return policy.Domain{}, errs.New(errs.Invalid, policy.ReasonDomainTooLong, "the domain is too long for a record below it")
	}
	return d, nil
}

// Shown reports whether any of the TXT records is the one that is asked for. A record is the concatenation of its character-strings. How
// long it takes does not depend on which record it is, or on how much of one is right.
func Shown(records [][]string, token policy.ChallengeToken, expires time.Time) bool {
	want := []byte(Text(token, expires))
	found := 0
	for _, strs := range records {
		found |= subtle.ConstantTimeCompare([]byte(strings.Join(strs, "")), want)
	}
	return found == 1
}
