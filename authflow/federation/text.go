package federation

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text makes what somebody else wrote fit to be kept: what is not printable is escaped as in Go, and at most limit bytes are
// left, never half a character or half an escape.
func Text(s string, limit int) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		piece := s[:n]
		if r == utf8.RuneError && n == 1 {
			piece = `\x` + string("0123456789abcdef"[s[0]>>4]) + string("0123456789abcdef"[s[0]&15])
		} else if r == '\\' || !unicode.IsPrint(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			piece = quoted[1 : len(quoted)-1]
		}
		if b.Len()+len(piece) > limit {
			break
		}
		b.WriteString(piece)
		s = s[n:]
	}
	return b.String()
}
