package cli

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// accountRow is a row of a list of accounts. Of what the API cannot hold nothing is sent, and text says why.
type accountRow struct {
	line    int // of the file, from 1
	account *posternv1.Account
	text    string
	raw     [3]string // as it stands there, cut where it is long
}

// accountRows reads rows until io.EOF. Errors are about the file's form, and name the line.
type accountRows interface{ next() (accountRow, error) }

// accountColumns are what a row may have; one of the first two it must.
var accountColumns = []string{"account_id", "email", "note"}

// maxRow bounds a row of a file: whatever it is, it is no list of accounts.
const maxRow = 64 << 10

// newAccountRows tells JSON lines, which begin with '{', from CSV, which begins with a header, and from a list of one value a line.
func newAccountRows(from io.Reader) (accountRows, error) {
	b := bufio.NewReaderSize(from, maxRow)
	head, err := b.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(head) == "\ufeff" {
		_, _ = b.Discard(len(head)) // they are there
	}
	l := &lines{b: b}
	first, err := l.next()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the list is empty")
	}
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(first, "{") {
		return &accountJSON{lines: l, first: first}, nil
	}
	columns := strings.Split(strings.ToLower(first), ",")
	for i := range columns {
		columns[i] = strings.Trim(strings.TrimSpace(columns[i]), `"`)
	}
	switch known := slices.Contains(columns, accountColumns[0]) || slices.Contains(columns, accountColumns[1]); {
	case known:
		return newAccountCSV(l, columns)
	case len(columns) > 1:
		return nil, fmt.Errorf("line %d: a list with commas needs a header: account_id, email and note, the first or second at least", l.number)
	}
	return &accountValues{lines: l, first: first}, nil
}

// lines reads lines that are not empty, without what surrounds them.
type lines struct {
	b      *bufio.Reader
	number int // of the line last read
}

func (l *lines) next() (string, error) {
	for {
		text, err := l.read()
		if err != nil {
			return "", err
		}
		if text = strings.TrimSpace(text); text != "" {
			return text, nil
		}
	}
}

// read reads one line with its end.
func (l *lines) read() (string, error) {
	b, err := l.b.ReadSlice('\n')
	if len(b) > 0 {
		l.number++
	}
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("line %d: more than %d bytes", l.number, maxRow)
	case err != nil && (!errors.Is(err, io.EOF) || len(b) == 0):
		return "", err
	}
	return string(b), nil
}

// accountValues is a list of one value a line.
type accountValues struct {
	*lines
	first string
}

func (v *accountValues) next() (accountRow, error) {
	text := v.first
	v.first = ""
	if text == "" {
		var err error
		if text, err = v.lines.next(); err != nil {
			return accountRow{}, err
		}
	}
	one := claimed(text)
	return newAccountRow(v.number, one.GetAccountId(), one.GetEmail(), ""), nil
}

// accountCSV is CSV behind its header. Each row is one line: what goes on over several is no list of accounts.
type accountCSV struct {
	*lines
	columns int
	index   [3]int // of each column in the file, -1 without it
}

func newAccountCSV(l *lines, columns []string) (*accountCSV, error) {
	c := &accountCSV{lines: l, columns: len(columns)}
	for i, name := range accountColumns {
		c.index[i] = slices.Index(columns, name)
	}
	for _, name := range columns {
		if !slices.Contains(accountColumns, name) {
			return nil, fmt.Errorf("line %d: the header has a column that is none of %s", l.number, strings.Join(accountColumns, ", "))
		}
	}
	return c, nil
}

func (c *accountCSV) next() (accountRow, error) {
	text, err := c.lines.next()
	if err != nil {
		return accountRow{}, err
	}
	r := csv.NewReader(strings.NewReader(text))
	record, err := r.Read()
	if err != nil || len(record) != c.columns || r.InputOffset() < int64(len(text)) {
		return accountRow{}, fmt.Errorf("line %d: not CSV with the columns of the header", c.number)
	}
	var cells [3]string
	for i, at := range c.index {
		if at >= 0 {
			cells[i] = strings.TrimSpace(record[at])
		}
	}
	return newAccountRow(c.number, cells[0], cells[1], cells[2]), nil
}

// accountJSON is one JSON object a line.
type accountJSON struct {
	*lines
	first string
}

func (j *accountJSON) next() (accountRow, error) {
	text := j.first
	j.first = ""
	if text == "" {
		var err error
		if text, err = j.lines.next(); err != nil {
			return accountRow{}, err
		}
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	var raw struct {
		AccountID string `json:"account_id"`
		Email     string `json:"email"`
		Note      string `json:"note"`
	}
	if d.Decode(&raw) != nil || d.More() {
		return accountRow{}, fmt.Errorf("line %d: not one JSON object of %s", j.number, strings.Join(accountColumns, ", "))
	}
	return newAccountRow(j.number, raw.AccountID, raw.Email, raw.Note), nil
}

// Bounds of the API, beyond which a row is not sent as it is: the whole batch would be too large.
const (
	longestID    = 128
	longestEmail = 320
	longestNote  = 256
	shownCell    = 400
)

func newAccountRow(line int, id, email, note string) accountRow {
	row := accountRow{line: line, account: &posternv1.Account{}}
	for i, s := range []string{id, email, note} {
		row.raw[i] = strings.ToValidUTF8(s[:min(len(s), shownCell)], "\ufffd")
	}
	switch {
	case !utf8.ValidString(id) || !utf8.ValidString(email) || !utf8.ValidString(note):
		row.text = "the row is not UTF-8"
	case len(id) > longestID || len(email) > longestEmail || len(note) > longestNote:
		row.text = fmt.Sprintf("account_id has more than %d bytes, email more than %d or note more than %d", longestID, longestEmail, longestNote)
	default:
		row.account = &posternv1.Account{AccountId: id, Email: email, Note: note}
	}
	return row
}
