// Package printable makes text from elsewhere safe to show.
//
// Purpose: what people and programs sent reaches terminals and logs; it must not move cursors, forge lines or reorder text.
// Invariant: the result holds only graphic characters and plain spaces, and text that was harmless is unchanged.
// It must never be used for what machines read back: the escapes are for eyes. First file to read: this one.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape returns s with every control, bidirectional, invisible or invalid character written out, for example \u202e or \x1b.
func Escape(s string) string {
	if !strings.ContainsFunc(s, hidden) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1, r < 0x80 && hidden(r):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case hidden(r) && r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		case hidden(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

func hidden(r rune) bool { return !unicode.IsGraphic(r) }
