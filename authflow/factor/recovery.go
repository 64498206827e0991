package factor

import (
	"crypto/subtle"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// RecoveryCodes is how many recovery codes are made at a time.
const RecoveryCodes = 10

// crockford is Crockford's base32 alphabet: no I, L, O and U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// recoveryLength is the number of characters of a code, five random bits each, without the hyphen.
const recoveryLength = 10

// Hasher makes the keyed hash of a code in canonical form (ten characters, no hyphen). The key, and with it the organization
// and the subject the hash is good for, are the caller's business.
type Hasher func(canonical string) Hash

// NewRecoveryCodes makes ten codes XXXXX-XXXXX from random bytes, to be shown once, and their hashes, to be kept.
func NewRecoveryCodes(random io.Reader, hash Hasher) ([]string, []Hash, error) {
	codes := make([]string, 0, RecoveryCodes)
	hashes := make([]Hash, 0, RecoveryCodes)
	for range RecoveryCodes {
		var raw [recoveryLength]byte
		if _, err := io.ReadFull(random, raw[:]); err != nil {
			return nil, nil, errs.Wrap(fmt.Errorf("random bytes: %w", err), errs.Internal, "RANDOM_UNAVAILABLE", "no recovery codes could be made")
		}
		for i, r := range raw {
			raw[i] = crockford[r&31]
		}
		code := string(raw[:])
		h := hash(code)
		if slices.Contains(hashes, h) {
			return nil, nil, errs.New(errs.Internal, "RANDOM_UNAVAILABLE", "recovery codes repeat: the source of random bytes is broken")
		}
		codes, hashes = append(codes, code[:5]+"-"+code[5:]), append(hashes, h)
	}
	return codes, hashes, nil
}

// SetRecoveryCodes replaces all recovery codes, used ones included, by new ones. Only a factor in force has any.
func SetRecoveryCodes(a *Authenticator, hashes []Hash, now time.Time) (Authenticator, error) {
	next := value(a)
	if next.State != Active {
		return next, errNone()
	}
	next.Recovery, next.RecoveryUsed = slices.Clone(hashes), nil
	next.RecoveryIssued, next.RecoveryMade = len(hashes), now
	return next, nil
}

// CanonicalRecoveryCode reads a code as people type it: any case, spaces and hyphens wherever, O for 0, I and L for 1.
func CanonicalRecoveryCode(typed string) (string, bool) {
	out := make([]byte, 0, recoveryLength)
	for i := range len(typed) {
		c := typed[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		switch c {
		case ' ', '-':
			continue
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		case 'U':
			return "", false
		}
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z') || len(out) == recoveryLength {
			return "", false
		}
		out = append(out, c)
	}
	return string(out), len(out) == recoveryLength
}

// UseRecoveryCode tries a recovery code on a, nil for a subject without an authenticator. It draws on the same budget as codes
// of the app and is refused by the same locks; a right one is spent. Hashing is done in every case, so that unknown, wrong and
// locked cost the same; MALFORMED is told in every case and costs nothing.
func UseRecoveryCode(a *Authenticator, typed string, hash Hasher, now time.Time) (Authenticator, Outcome) {
	next := value(a)
	code, ok := CanonicalRecoveryCode(typed)
	if !ok {
		return next, Outcome{Reason: audit.ReasonMalformed}
	}
	h := hash(code)
	live, used := find(next.Recovery, h), find(next.RecoveryUsed, h)
	if refused := next.gate(now); refused != nil {
		return next, *refused
	}
	switch {
	case next.RecoveryIssued == 0:
		return next, Outcome{Reason: audit.ReasonNotEnrolled}
	case live >= 0:
		next.Recovery = slices.Delete(slices.Clone(next.Recovery), live, live+1)
		next.RecoveryUsed = append(slices.Clone(next.RecoveryUsed), h)
		return next.succeeded(), Outcome{Accepted: true, Counted: true}
	case used >= 0:
		return next.failed(audit.ReasonRecoveryCodeUsed, now)
	}
	return next.failed(audit.ReasonWrongCode, now)
}

// find compares h with every hash, in the same time whether and wherever it is there.
func find(hashes []Hash, h Hash) int {
	at := -1
	for i := range hashes {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hashes[i][:], h[:]), i, at)
	}
	return at
}
