package document_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/policy/document"
)

const timed = `organization: acme
sites: [{id: wiki}]
policy:
  rules: [{id: r, match: {account_lists: [l]}}]
  account_lists:
    - name: l
      accounts: [a1, {account: a2, expires_at: 2027-01-02T00:00:00Z}]
      addresses: [{address: x@gmail.com, expires_at: 2027-01-03T04:05:06Z}]
`

func TestEntriesOfAListExpire(t *testing.T) {
	s := standing(t, timed)
	l := s.Organization.Policy.AccountLists[0]
	if len(l.Accounts) != 3 || len(l.Expiries) != 2 {
		t.Fatalf("%+v", l)
	}
	var never, first, last int
	for _, k := range l.Accounts {
		switch at := l.Expires(k); {
		case at.IsZero():
			never++
		case at.Equal(time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)):
			first++
		case at.Equal(time.Date(2027, 1, 3, 4, 5, 6, 0, time.UTC)):
			last++
		}
	}
	if never != 1 || first != 1 || last != 1 {
		t.Errorf("%d never, %d and %d: %+v", never, first, last, l)
	}
	e := unchanged(t, s) // an export applies to what it was made of without a change
	if strings.Count(e.Text, "expires_at") != 2 || !strings.Contains(e.Text, "account_key: ") {
		t.Error(e.Text)
	}
}

func TestAnEntryThatDoesNotSayWhatOrWhenIsRefused(t *testing.T) {
	for name, entry := range map[string]string{
		"no time":         "{account: a2}",
		"no value":        "{expires_at: 2027-01-02T00:00:00Z}",
		"another key":     "{address: x@gmail.com, expires_at: 2027-01-02T00:00:00Z}",
		"a bad time":      "{account: a2, expires_at: soon}",
		"a number":        "{account: 7, expires_at: 2027-01-02T00:00:00Z}",
		"twice":           "a1, {account: a1, expires_at: 2027-01-02T00:00:00Z}",
		"twice, timed":    "{account: a1, expires_at: 2027-01-02T00:00:00Z}, {account: a1, expires_at: 2027-01-03T00:00:00Z}",
		"a table of such": "{account: {account: a1}, expires_at: 2027-01-02T00:00:00Z}",
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(timed, "a1, {account: a2, expires_at: 2027-01-02T00:00:00Z}", entry, 1)
			_, problems := document.Parse([]byte(text))
			if len(problems) == 0 {
				t.Fatal("accepted")
			}
			for _, p := range problems {
				if !strings.HasPrefix(p.Path, "policy.account_lists[l].accounts[") || p.Fix == "" || p.Line != 7 {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}
