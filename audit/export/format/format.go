// Package format writes events as the files that people and programs read: CSV, JSON Lines, Parquet.
//
// Purpose: one encoder for each form over one table of columns, which docs/export.md is generated from. Invariant: what an encoder has
// settled is on its way whole, so that a file which is cut there and gone on with is, byte for byte, the file nobody cut; a cell never
// begins with what a spreadsheet takes for a formula. It must never hold more than one group of rows, nor change an event.
// First file to read: this one, then columns.go.
package format

import (
	"fmt"
	"io"

	"github.com/postern-audit/postern/audit/export"
)

// Schema is the version of the columns: it grows by one with each change of them. Columns are only ever added, at the end.
const Schema = 1

// New returns an encoder that writes to w. at is how long the file is already, and kept what an encoder before this one has given
// to keep until then; keep takes what this one wants kept, before Settle says that it is done.
func New(f export.Format, w io.Writer, at int64, kept []byte, keep func([]byte) error) (export.Encoder, error) {
	switch f {
	case export.FormatCSV:
		return newCSV(w, at), nil
	case export.FormatJSONL:
		return &jsonLines{w: w}, nil
	case export.FormatParquet:
		return newParquet(w, at, kept, keep)
	case export.FormatUnspecified:
	}
	return nil, fmt.Errorf("format: there is no encoder for %d", f)
}

// bufferSize is how much is gathered before it is written.
const bufferSize = 64 << 10
