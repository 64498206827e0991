package document

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// writer writes the YAML that this package reads: tables, lists and text, in a fixed form.
type writer struct {
	b      strings.Builder
	indent int
	dash   bool // the next line begins an item of a list
}

func (w *writer) line(s string) {
	indent := strings.Repeat("  ", w.indent)
	if w.dash {
		indent = strings.Repeat("  ", w.indent-1) + "- "
	}
	w.dash = false
	w.b.WriteString(indent + s + "\n")
}

// value writes an item that is a text.
func (w *writer) value(s string) { w.line(scalar(s)) }

// text writes a key with a text, nothing without one.
func (w *writer) text(key, s string) {
	if s != "" {
		w.line(key + ": " + scalar(s))
	}
}

func (w *writer) bool(key string, on bool) { w.line(key + ": " + strconv.FormatBool(on)) }

// flag writes a key that is true, nothing when it is not.
func (w *writer) flag(key string, on bool) {
	if on {
		w.bool(key, on)
	}
}

// fewItems is how many items stand on one line.
const fewItems = 6

// list writes a key with texts, nothing without one.
func (w *writer) list(key string, all []string) {
	if len(all) > fewItems {
		w.items(key, len(all), func(i int) { w.value(all[i]) })
		return
	}
	if len(all) == 0 {
		return
	}
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = scalar(s)
	}
	w.line(key + ": [" + strings.Join(out, ", ") + "]")
}

// items writes a key with a list, item by item; an empty one too.
func (w *writer) items(key string, n int, item func(i int)) {
	if n == 0 {
		w.line(key + ": []")
		return
	}
	w.line(key + ":")
	w.indent += 2
	for i := range n {
		w.dash = true
		item(i)
	}
	w.indent -= 2
}

// table writes a key with what entries writes; an empty table too.
func (w *writer) table(key string, entries func(w *writer)) {
	inner := writer{indent: w.indent + 1}
	entries(&inner)
	text := inner.b.String()
	if text == "" {
		w.line(key + ": {}")
		return
	}
	w.line(key + ":")
	w.b.WriteString(text)
}

// block writes lines as they are.
func (w *writer) block(key string, lines []string) {
	w.line(key + "|")
	w.indent++
	for _, l := range lines {
		w.line(l)
	}
	w.indent--
}

// scalar is a text as it stands in a document: plain where nobody could read it as something else, else quoted.
func scalar(s string) string {
	if isPlain(s) {
		return s
	}
	var quoted, b strings.Builder
	enc := json.NewEncoder(&quoted)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	for _, r := range strings.TrimSuffix(quoted.String(), "\n") {
		if r >= 0x7f && r < 0xa0 || r == '\ufeff' {
			fmt.Fprintf(&b, `\u%04x`, r) // what documents must not hold as it is
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// words that YAML readers take for something else than text.
var ambiguous = []string{"true", "false", "yes", "no", "on", "off", "null", "nan", "inf", "y", "n"}

func isPlain(s string) bool {
	if s == "" || slices.Contains(ambiguous, strings.ToLower(s)) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return true
}

// FormatDuration writes a duration as ParseDuration reads it. Parts of a second are dropped.
func FormatDuration(d time.Duration) string {
	var b strings.Builder
	for _, u := range []struct {
		letter byte
		length time.Duration
	}{{'d', 24 * time.Hour}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}} {
		if n := d / u.length; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10))
			b.WriteByte(u.letter)
			d -= n * u.length
		}
	}
	return b.String()
}
