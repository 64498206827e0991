package cli

import (
	"encoding/csv"
	"fmt"
	"os"
	"strconv"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// shownRefusals is how many refused rows are named where there is no file for them.
const shownRefusals = 20

// refusedRow is a row that was passed over, as it is shown.
type refusedRow struct {
	Line    int    `json:"line"`
	Account string `json:"account"`
	Reason  string `json:"reason"`
	Text    string `json:"text"`
}

// refusedRows keeps the rows that were passed over: all in a file, the first few in memory.
type refusedRows struct {
	path    string // "": no file
	resumed bool   // the file goes on where an earlier run was
	count   int64
	unnamed int64 // refused in a batch whose answer was lost
	first   []refusedRow
	file    *os.File
	w       *csv.Writer
}

func (r *refusedRows) add(row *accountRow, why *posternv1.ImportAccountsResponse_Refusal) error {
	r.count++
	reason, text := why.GetReason(), why.GetText()
	if row.text != "" {
		text = row.text
	}
	if len(r.first) < shownRefusals {
		r.first = append(r.first, refusedRow{row.line, row.raw[0] + row.raw[1], reason, text})
	}
	if r.path == "" {
		return nil
	}
	if err := r.open(); err != nil {
		return err
	}
	_ = r.w.Write([]string{strconv.Itoa(row.line), row.raw[0], row.raw[1], row.raw[2], reason, text}) // flush tells
	return nil
}

// open opens the file when the first row comes.
func (r *refusedRows) open() error {
	if r.file != nil {
		return nil
	}
	how := os.O_TRUNC
	if r.resumed {
		how = os.O_APPEND
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|how, 0o600)
	if err != nil {
		return fmt.Errorf("write the refused rows: %w", err)
	}
	r.file, r.w = f, csv.NewWriter(f)
	if info, err := f.Stat(); err != nil || info.Size() == 0 {
		_ = r.w.Write([]string{"line", "account_id", "email", "note", "reason", "text"}) // as above
	}
	return nil
}

// flush writes what was added. It is called once a batch, before the next is sent.
func (r *refusedRows) flush() error {
	if r.w == nil {
		return nil
	}
	r.w.Flush()
	if err := r.w.Error(); err != nil {
		return fmt.Errorf("write the refused rows: %w", err)
	}
	return nil
}

func (r *refusedRows) close() {
	if r.file != nil {
		_ = r.file.Close() // flush told
	}
}
