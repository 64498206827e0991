package federation_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postern-audit/postern/authflow/federation"
)

func TestTextKeepsWhatIsPrintableAndEscapesTheRest(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"plain text, ümlaut", 100, "plain text, ümlaut"},
		{"line\nbreak\x00", 100, `line\nbreak\x00`},
		{"bad \xff byte", 100, `bad \xff byte`},
		{"\u202egnp", 100, `\u202egnp`},
		{`back\slash`, 100, `back\\slash`},
		{"üü", 3, "ü"},
		{"a\n", 2, "a"},
		{"", 10, ""},
	} {
		if got := federation.Text(c.in, c.limit); got != c.want {
			t.Errorf("Text(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\nb\xff", 8)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit %= 1024
		got := federation.Text(s, limit)
		if len(got) > max(limit, 0) || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r\x1b") {
			t.Errorf("Text(%q, %d) = %q", s, limit, got)
		}
	})
}
