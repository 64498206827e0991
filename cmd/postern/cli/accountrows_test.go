package cli

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func readAll(text string) (string, error) {
	rows, err := newAccountRows(strings.NewReader(text))
	var out []string
	for err == nil {
		var row accountRow
		if row, err = rows.next(); err == nil {
			out = append(out, strings.Join([]string{row.account.GetAccountId(), row.account.GetEmail(), row.account.GetNote(), row.text}, "|"))
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.Join(out, " "), err
}

func TestListsOfAccountsAreReadInEachForm(t *testing.T) {
	long := strings.Repeat("x", 129)
	for text, want := range map[string]string{
		"a\nb@c.de\r\n\n  c  ":                          "a||| |b@c.de|| c|||",
		"id:a@b\nemail:c\n":                             "a@b||| |c||",
		"\ufeffaccount_id\na\nb":                        "a||| b|||",
		"EMAIL , account_id\n \"a@b.de\",\n,c\n":        "|a@b.de|| c|||",
		"note,account_id\n\"say \"\"a, b\"\"\",c\n":     `c||say "a, b"|`,
		`{"account_id":"a","note":"n"}` + "\n\n{}":      "a||n| |||",
		"account_id\n" + long:                           "|||account_id has more than 128 bytes, email more than 320 or note more than 256",
		"account_id\na\xff":                             "|||the row is not UTF-8",
		"account_id,email\n,\n":                         "|||",
		strings.Repeat("\n", 70_000) + "a":              "a|||",
		"account_id\n" + strings.Repeat("row\n", 3_000): strings.TrimSpace(strings.Repeat("row||| ", 3_000)),
	} {
		if got, err := readAll(text); err != nil || got != want {
			t.Errorf("%.60q: %.200q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                                  "empty",
		" \n\t\n":                           "empty",
		"a,b":                               "line 1: ",
		"\n\naccount_id,name":               "line 3: ",
		"account_id,email\na":               "line 2: ",
		"account_id,email\n\n\"a\nb\",c":    "line 3: ",
		"{\"account_id\":1}":                "line 1: ",
		"{}{}":                              "line 1: ",
		"a\n" + strings.Repeat("b", 70_000): "line 2: more than",
		"account_id\n\"" + strings.Repeat("b", 10): "line 2: ",
	} {
		if got, err := readAll(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %.60q, %v", text, got, err)
		}
	}
}
