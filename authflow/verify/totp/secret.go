package totp

import (
	"encoding/base32"
	"fmt"
	"io"
	"strings"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/secret"
)

// Sizes of secrets in bytes.
const (
	MaxSecret = 128
	MinStrong = 14 // 112 bits, the least NIST SP 800-63B allows; older services handed out 80
)

// sizes are those of the hash's output, as RFC 4226 recommends for HMAC.
var sizes = map[Algorithm]int{SHA1: 20, SHA256: 32, SHA512: 64}

// NewSecret draws a secret as long as the hash's output: 20, 32 or 64 bytes.
func NewSecret(random io.Reader, a Algorithm) (secret.Bytes, error) {
	size, ok := sizes[a]
	if !ok {
		return secret.Bytes{}, errs.New(errs.Invalid, "ENUM_UNKNOWN", "not an algorithm of TOTP; known are SHA1, SHA256, SHA512")
	}
	raw := make([]byte, size)
	if _, err := io.ReadFull(random, raw); err != nil {
		return secret.Bytes{}, errs.Wrap(fmt.Errorf("random bytes: %w", err), errs.Internal, "RANDOM_UNAVAILABLE", "no secret could be made")
	}
	return secret.NewBytes(raw), nil
}

// DummySecret is what codes of subjects without a secret are checked against, for the work of it. It is no secret: what it
// matches is never accepted.
func DummySecret(a Algorithm) []byte { return make([]byte, max(sizes[a], sizes[SHA1])) }

// Base32 is the secret as apps take it: base32 without padding.
func Base32(s secret.Bytes) secret.String {
	return secret.NewString(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(s.Reveal()))
}

// ParseBase32 reads a secret as people and other systems write it: upper or lower case, in groups divided by spaces or hyphens,
// with or without padding. It takes 1 to MaxSecret bytes; who enrols or imports also asks CheckStrength.
func ParseBase32(s string) (secret.Bytes, error) {
	bad := errs.New(errs.Invalid, "SECRET_INVALID", "a secret is base32: letters A to Z and digits 2 to 7, at most 128 bytes of it")
	if len(s) > 2*MaxSecret*8/5 {
		return secret.Bytes{}, bad
	}
	clean := make([]byte, 0, len(s))
	for _, c := range []byte(strings.TrimRight(s, "= ")) {
		switch {
		case c >= 'A' && c <= 'Z', c >= '2' && c <= '7':
			clean = append(clean, c)
		case c >= 'a' && c <= 'z':
			clean = append(clean, c-'a'+'A')
		case c == ' ', c == '-':
		default:
			return secret.Bytes{}, bad
		}
	}
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(clean))
	if err != nil || len(raw) == 0 || len(raw) > MaxSecret {
		return secret.Bytes{}, bad // the decoder's own text stays here: it is about the secret
	}
	return secret.NewBytes(raw), nil
}

// CheckStrength refuses secrets that are too short to keep: below 112 bits, or absurdly long.
func CheckStrength(s secret.Bytes) error {
	if n := len(s.Reveal()); n < MinStrong || n > MaxSecret {
		return errs.New(errs.Invalid, "SECRET_TOO_WEAK", "a secret has 14 to 128 bytes (112 bits at least)")
	}
	return nil
}
