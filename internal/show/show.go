// Package show turns answers of the API into what people and programs read on a terminal or in a pipe.
//
// Purpose: one way to print events, flows and tables, shared by the commands and the demo. Invariant: nothing that came from
// elsewhere reaches the output with control, bidirectional or invisible characters in it; JSON lines hold exactly one message
// each. It must never call the API or decide anything. First file to read: show.go; flow.go prints a sign-in.
package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/mattn/go-isatty"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/internal/printable"
)

// IsTerminal reports whether somebody is looking at w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// Table prints rows under a header: with lines on a terminal, else in columns that cut and awk understand.
func Table(w io.Writer, header []string, rows [][]string) error {
	if IsTerminal(w) {
		return pretty(w, header, rows)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(header, "\t"))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			if cells[i] = printable.Escape(c); c == "" {
				cells[i] = "-" // an empty column would shift the ones after it
			}
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

// maxColumn is how wide a column gets on a terminal before its text goes on below.
const maxColumn = 60

func pretty(w io.Writer, header []string, rows [][]string) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	columns := make([]table.ColumnConfig, len(header))
	for i := range columns {
		columns[i] = table.ColumnConfig{Number: i + 1, WidthMax: maxColumn, WidthMaxEnforcer: text.WrapSoft}
	}
	t.SetColumnConfigs(columns)
	t.AppendHeader(cells(header))
	for _, row := range rows {
		t.AppendRow(cells(row))
	}
	_, err := io.WriteString(w, t.Render()+"\n")
	return err
}

func cells(texts []string) table.Row {
	row := make(table.Row, len(texts))
	for i, s := range texts {
		row[i] = printable.Escape(s)
	}
	return row
}

// JSON returns a message in proto JSON form on one line, with a newline at its end. The same message always gives the same line.
func JSON(m proto.Message) ([]byte, error) {
	b, err := protojson.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("proto JSON: %w", err)
	}
	return line(b)
}

// Line returns v as JSON on one line, with a newline at its end. Messages inside v must be given as json.RawMessage.
func Line(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	return line(b.Bytes())
}

// line removes the white space protojson varies on purpose, and writes what terminals might act on as \u escapes. Both leave
// the meaning alone: such characters stand in JSON only within strings.
func line(b []byte) ([]byte, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, b); err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	out := make([]byte, 0, compact.Len()+1)
	for rest := compact.Bytes(); len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case unicode.IsGraphic(r):
			out = append(out, rest[:n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		rest = rest[n:]
	}
	return append(out, '\n'), nil
}
