package cli

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postern-audit/postern/authflow/verify/totp"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// importRow is one row of an import file: a secret to send, or why it cannot be.
type importRow struct {
	line    int // of the file, from 1
	totp    *posternv1.ImportedTotp
	problem string // reason; then totp is nil
}

// importRows reads rows until io.EOF. Errors are about the file's form, name the line and hold nothing of its content.
type importRows interface{ next() (importRow, error) }

// columns are what a row may have; the first two it must.
var columns = []string{"account_id", "secret", "algorithm", "digits", "period"}

// rawRow is a row as it stands in the file.
type rawRow struct {
	AccountID string      `json:"account_id"`
	Secret    string      `json:"secret"`
	Algorithm string      `json:"algorithm"`
	Digits    json.Number `json:"digits"`
	Period    json.Number `json:"period"`
}

// newImportRows tells JSON lines, which begin with '{', from CSV with a header.
func newImportRows(from io.Reader) (importRows, error) {
	b := bufio.NewReader(from)
	for {
		c, err := b.ReadByte()
		if err != nil {
			return nil, errors.New("the file is empty")
		}
		if c == '\r' || c == '\n' || c == ' ' || c == '\t' {
			continue
		}
		if err := b.UnreadByte(); err != nil {
			return nil, err
		}
		if c == '{' {
			return &jsonRows{lines: bufio.NewScanner(b)}, nil
		}
		return newCSVRows(b)
	}
}

// csvRows reads CSV.
type csvRows struct {
	r     *csv.Reader
	index [5]int // of each column in the file, -1 without it
}

func newCSVRows(from io.Reader) (*csvRows, error) {
	c := &csvRows{r: csv.NewReader(from)}
	c.r.ReuseRecord = true
	header, err := c.r.Read()
	if err != nil {
		return nil, errors.New("line 1: not CSV")
	}
	names := make([]string, len(header))
	for i, h := range header {
		names[i] = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))
	}
	for i, name := range columns {
		if c.index[i] = slices.Index(names, name); c.index[i] < 0 && i < 2 {
			return nil, fmt.Errorf("line 1: the header needs the columns account_id and secret, and may have algorithm, digits and period")
		}
	}
	for _, n := range names {
		if !slices.Contains(columns, n) {
			return nil, errors.New("line 1: the header has a column that is none of " + strings.Join(columns, ", "))
		}
	}
	return c, nil
}

func (c *csvRows) next() (importRow, error) {
	record, err := c.r.Read()
	if errors.Is(err, io.EOF) {
		return importRow{}, io.EOF
	}
	if err != nil {
		var p *csv.ParseError
		if errors.As(err, &p) {
			return importRow{}, fmt.Errorf("line %d: not CSV with the columns of the header", p.Line)
		}
		return importRow{}, fmt.Errorf("read the file: %w", err)
	}
	cell := func(i int) string {
		if c.index[i] < 0 {
			return ""
		}
		return strings.TrimSpace(record[c.index[i]])
	}
	line, _ := c.r.FieldPos(0)
	raw := rawRow{AccountID: cell(0), Secret: cell(1), Algorithm: cell(2), Digits: json.Number(cell(3)), Period: json.Number(cell(4))}
	return raw.row(line), nil
}

// jsonRows reads one JSON object a line.
type jsonRows struct {
	lines *bufio.Scanner
	line  int
}

func (j *jsonRows) next() (importRow, error) {
	for j.lines.Scan() {
		j.line++
		text := strings.TrimSpace(j.lines.Text())
		if text == "" {
			continue
		}
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		var raw rawRow
		if d.Decode(&raw) != nil || d.More() {
			return importRow{}, fmt.Errorf("line %d: not one JSON object of %s", j.line, strings.Join(columns, ", "))
		}
		return raw.row(j.line), nil
	}
	if err := j.lines.Err(); err != nil {
		return importRow{}, fmt.Errorf("line %d: %w", j.line+1, err)
	}
	return importRow{}, io.EOF
}

// row reads the values. The secret is written back in the one form the API counts.
func (r *rawRow) row(line int) importRow {
	bad := func(reason string) importRow { return importRow{line: line, problem: reason} }
	switch {
	case r.AccountID == "" || r.Secret == "":
		return bad("FIELD_REQUIRED")
	case len(r.AccountID) > 128 || !utf8.ValidString(r.AccountID) || strings.ContainsFunc(r.AccountID, unicode.IsControl):
		return bad("FIELD_INVALID")
	}
	digits, errDigits := number(r.Digits)
	period, errPeriod := number(r.Period)
	if errDigits != nil || errPeriod != nil {
		return bad("FIELD_INVALID")
	}
	if _, err := totp.ParseParams(strings.ToUpper(r.Algorithm), digits, time.Duration(period)*time.Second); err != nil {
		return bad(errs.As(err).Reason)
	}
	key, err := totp.ParseBase32(r.Secret)
	if err == nil {
		err = totp.CheckStrength(key)
	}
	if err != nil {
		return bad(errs.As(err).Reason)
	}
	return importRow{line: line, totp: &posternv1.ImportedTotp{
		AccountId: r.AccountID, Secret: totp.Base32(key).Reveal(), Algorithm: strings.ToUpper(r.Algorithm), Digits: int32(digits), Period: int32(period), //nolint:gosec // checked
	}}
}

// number reads a count; none is 0.
func number(n json.Number) (int, error) {
	if n == "" {
		return 0, nil
	}
	v, err := strconv.ParseUint(string(n), 10, 16)
	return int(v), err
}
