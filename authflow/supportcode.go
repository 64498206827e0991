package authflow

import (
	"strings"

	"github.com/postern-audit/postern/internal/errs"
)

// crockford is Crockford's base32 alphabet: no I, L, O and U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// FormatSupportCode turns random bytes into a support code, XXXXX-XXXXX: ten characters of five random bits each.
func FormatSupportCode(random [10]byte) string {
	var b strings.Builder
	for i, r := range random {
		if i == 5 {
			b.WriteByte('-')
		}
		b.WriteByte(crockford[r&31])
	}
	return b.String()
}

// ParseSupportCode accepts a code as people read it out: ten characters of Crockford base32 in any case, with or without the
// hyphen, O for 0 and I or L for 1. It returns the canonical form.
func ParseSupportCode(s string) (string, error) {
	bad := errs.New(errs.Invalid, "SUPPORT_CODE_INVALID", "a support code is XXXXX-XXXXX in letters and digits")
	if len(s) == 11 && s[5] == '-' {
		s = s[:5] + s[6:]
	}
	if len(s) != 10 {
		return "", bad
	}
	out := make([]byte, 0, 11)
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		switch c {
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		if strings.IndexByte(crockford, c) < 0 {
			return "", bad
		}
		if i == 5 {
			out = append(out, '-')
		}
		out = append(out, c)
	}
	return string(out), nil
}
