package printable_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/postern-audit/postern/internal/printable"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"Zoë 山田　太郎 😀":               "Zoë 山田　太郎 😀",
		"a\x1b[31mred\nnext\tcol\r": `a\x1b[31mred\x0anext\x09col\x0d`,
		"\u202egpj.exe":             `\u202egpj.exe`,
		"a\u0085b\u2028c\u200ed":    `a\u0085b\u2028c\u200ed`,
		"\xff\xc3":                  `\xff\xc3`,
		"x\U000e0041":               `x\U000e0041`,
		"\uFFFD":                    "\uFFFD",
	} {
		if got := printable.Escape(in); got != want {
			t.Errorf("Escape(%+q) = %s, want %s", in, got, want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a\x1b\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := printable.Escape(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			t.Errorf("Escape(%+q) = %+q", s, got)
		}
		if again := printable.Escape(got); again != got {
			t.Errorf("Escape(%+q) = %+q, want it unchanged", got, again)
		}
	})
}
