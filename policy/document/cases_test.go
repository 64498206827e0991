package document_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postern-audit/postern/policy/document"
)

func TestWhatIsWrongWithCasesIsSaidWithItsLineAndAFix(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "line 1|is empty",
		"document: a.yaml":                     "line 1|there are no cases",
		"cases: []":                            "line 1|an empty list",
		"cases:\n  - name: a":                  "line 2|nothing is expected",
		"cases:\n  - name: a\n    expect: {}":  "line 2|nothing is expected",
		"cases:\n  - expect: {verdict: ALLOW}": "line 2|no name",
		"cases:\n  - name: a\n    expect: {verdict: allow}\n    emial: x":                               "line 4|unknown key",
		"cases:\n  - name: a\n    expect: {verdickt: allow}":                                            "line 3|unknown key",
		"cases:\n  - name: a\n    expect: {verdict: PERHAPS}":                                           "line 3|unknown value",
		"cases:\n  - name: a\n    expect: {demands: [TEA]}":                                             "line 3|unknown value",
		"cases:\n  - name: a\n    expect: {verdict: ALLOW}\n  - name: a\n    expect: {verdict: ALLOW}":  "line 4|there already",
		"cases:\n  - name: a\n    expect: {verdict: ALLOW}\n    address: nobody":                        "line 4|no @",
		"cases:\n  - name: a\n    expect: {verdict: ALLOW}\n    email_verified: true":                   "line 4|no address to be verified",
		"cases:\n  - name: a\n    expect: {verdict: ALLOW}\n    ip: 192.0.2.300":                        "line 4|not an IP",
		"cases:\n  - name: a\n    expect: {verdict: ALLOW}\n    method: telepathy":                      "line 4|unknown method",
		"cases:\n  - name: a\n    expect: {verdict: ALLOW}\n    enrolled: [TEA]":                        "line 4|unknown factor",
		"cases:\n  - name: a\n    expect: {verdict: ALLOW}\n    time: yesterday":                        "line 4|not a time",
		"cases:\n  - name: a\n    expect: {verdict: ALLOW}\n    shown: [{evidence: ASSERTED}]":          "line 4|one of method and factor",
		"cases:\n  - name: a\n    expect: {verdict: ALLOW}\n    shown: [{method: password, device: d}]": "line 4|unknown key",
		"cases:\n  - name: a\n    expect: {verdict: ALLOW}\n    shown: [{method: password, ago: soon}]": "line 4|not a duration",
		"cases:\n  - name: a\n    name: b\n    expect: {verdict: ALLOW}":                                "line 3|this key is there already",
		"cases: &a\n  - *a": "line 1|anchors",
	} {
		place, about, _ := strings.Cut(want, "|")
		c, problems := document.ParseCases([]byte(text))
		found := false
		for _, p := range problems {
			found = found || strings.HasPrefix(p.String(), place+",") && strings.Contains(p.Text, about) && p.Fix != ""
		}
		if c != nil || !found {
			t.Errorf("%q: want %s, got %v", text, want, problems)
		}
	}
}

func TestCasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("cases:\n")
	for i := range document.MaxCases + 1 {
		fmt.Fprintf(&b, "- {name: c%d, expect: {verdict: ALLOW}}\n", i)
	}
	if c, problems := document.ParseCases([]byte(b.String())); c != nil || !strings.Contains(problems[0].Text, "5000") {
		t.Errorf("%v", problems)
	}
	steps := strings.Repeat("{method: password}, ", 33)
	if c, problems := document.ParseCases([]byte("cases: [{name: a, expect: {verdict: ALLOW}, shown: [" + steps + "]}]")); c != nil || !strings.Contains(problems[0].Text, "32") {
		t.Errorf("%v", problems)
	}
	if c, problems := document.ParseCases(make([]byte, document.MaxBytes+1)); c != nil || len(problems) != 1 {
		t.Errorf("%v", problems)
	}
}

func FuzzParseCases(f *testing.F) {
	f.Add([]byte("document: a.yaml\ntime: 2027-01-01T00:00:00Z\ncases:\n  - {name: a, address: a@b-x.com, shown: [{factor: TOTP}], expect: {verdict: ALLOW, next: []}}"))
	f.Add([]byte("cases: [[[["))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, problems := document.ParseCases(b)
		if (c == nil) == (len(problems) == 0) {
			t.Errorf("cases %v, problems %v", c, problems)
		}
	})
}
