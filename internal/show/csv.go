package show

import (
	"encoding/csv"
	"io"
	"strings"
	"unicode/utf8"
)

// CSV writes rows as RFC 4180 says, lines ending in CR LF. A cell that a spreadsheet would take for a formula gets an apostrophe in
// front, which spreadsheets take for "this is text".
type CSV struct{ w *csv.Writer }

// NewCSV writes to w, the header first. What is written may wait until Flush.
func NewCSV(w io.Writer, header []string) (*CSV, error) {
	c := &CSV{csv.NewWriter(w)}
	c.w.UseCRLF = true
	return c, c.w.Write(header)
}

// Row writes one row.
func (c *CSV) Row(cells []string) error {
	safe := make([]string, len(cells))
	for i, s := range cells {
		safe[i] = harmless(s)
	}
	return c.w.Write(safe)
}

// Flush writes what waits.
func (c *CSV) Flush() error {
	c.w.Flush()
	return c.w.Error()
}

// harmless keeps a cell from being taken for a formula, and from holding what is no text.
func harmless(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
	if first, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + s
	}
	return s
}
