package format

import (
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postern-audit/postern/audit"
)

// csvFile writes RFC 4180: a line of names, a comma between cells, CR LF behind each line, quotes around what needs them.
type csvFile struct {
	w       io.Writer
	b       []byte
	columns []column
}

func newCSV(w io.Writer, at int64) *csvFile {
	c := &csvFile{w: w, columns: columns(), b: make([]byte, 0, bufferSize+bufferSize/4)}
	if at == 0 {
		for i := range c.columns {
			c.b = append(c.separate(i), c.columns[i].name...)
		}
		c.b = append(c.b, '\r', '\n')
	}
	return c
}

// separate puts a comma in front of every cell but the first.
func (c *csvFile) separate(i int) []byte {
	if i == 0 {
		return c.b
	}
	return append(c.b, ',')
}

// Append implements export.Encoder.
func (c *csvFile) Append(e *audit.Event) error {
	for i := range c.columns {
		c.b = c.columns[i].cell(c.separate(i), e)
	}
	c.b = append(c.b, '\r', '\n')
	if len(c.b) < bufferSize {
		return nil
	}
	return c.write()
}

func (c *csvFile) write() error {
	_, err := c.w.Write(c.b)
	c.b = c.b[:0]
	return err
}

// Settle implements export.Encoder.
func (c *csvFile) Settle() (bool, error) { return true, c.write() }

// Close implements export.Encoder.
func (c *csvFile) Close() error { return c.write() }

// cell appends the column's cell of an event.
func (c *column) cell(b []byte, e *audit.Event) []byte {
	switch {
	case c.text != nil:
		return appendCell(b, c.text(e))
	case c.number != nil:
		if n, ok := c.number(e); ok {
			return strconv.AppendInt(b, n, 10)
		}
	case c.flag != nil:
		if v, ok := c.flag(e); ok {
			return strconv.AppendBool(b, v)
		}
	case c.moment != nil:
		if t := c.moment(e); !t.IsZero() {
			return t.UTC().AppendFormat(b, time.RFC3339Nano)
		}
	}
	return b
}

// appendCell appends a text so that a spreadsheet takes it for one: what it would take for the beginning of a formula gets an
// apostrophe in front. What is no text is made one.
func appendCell(b []byte, s string) []byte {
	if s == "" {
		return b
	}
	plain := true
	for i := range len(s) {
		if ch := s[i]; ch < ' ' || ch == '"' || ch == ',' || ch >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain && s[0] != ' ' && s[len(s)-1] != ' ' {
		if isFormula(s[0]) {
			b = append(b, '\'')
		}
		return append(b, s...)
	}
	return appendQuoted(b, s)
}

func appendQuoted(b []byte, s string) []byte {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
	b = append(b, '"')
	if r, _ := utf8.DecodeRuneInString(s); r < utf8.RuneSelf && isFormula(byte(r)) || strings.ContainsRune("＝＋－＠", r) { //nolint:gosec // ASCII
		b = append(b, '\'')
	}
	for i := range len(s) {
		if s[i] == '"' {
			b = append(b, '"')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// isFormula reports whether spreadsheets take a cell that begins so for a formula.
func isFormula(c byte) bool {
	switch c {
	case '=', '+', '-', '@', '\t', '\r', '\n':
		return true
	}
	return false
}
