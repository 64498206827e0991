package audit_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postern-audit/postern/audit"
)

func TestAWordBeginsAValueOrAPartOfIt(t *testing.T) {
	for _, c := range []struct {
		value, word string
		want        bool
	}{
		{"password.rejected", "pass", true}, {"password.rejected", "REJ", true}, {"password.rejected", "password.rej", true}, {"password.rejected", "word", false},
		{"BAD_CREDENTIALS", "cred", true}, {"BAD_CREDENTIALS", "bad_c", true}, {"spiffe://example.org/login", "org", true}, {"spiffe://example.org/login", "/login", false}, {"spiffe://example.org/login", "/example.org/l", true},
		{"a", "", false}, {"", "", false}, {"", "a", false}, {"..", ".", true}, {"x.", "x.y", false}, {"München", "mün", true}, {"München", "MÜN", false}, {"\u212a", "k", false},
		{"a b", "b", true}, {"a\tb", "b", false}, {"日本", "日", true}, {"日本", "\xe6", true},
	} {
		if got := audit.HasWord(c.value, c.word); got != c.want {
			t.Errorf("%q in %q: %v", c.word, c.value, got)
		}
	}
}

func TestATermIsCutAtTheEndOfACharacter(t *testing.T) {
	for _, end := range []string{"", "x", "é", "日", "😀", "xé", "x日", "xx😀", "é日😀"} {
		for n := 120; n < 132; n++ {
			value := strings.Repeat("v", n) + end
			got := audit.TermValue(value)
			if !strings.HasPrefix(value, got) || !utf8.ValidString(got) || len(got) > audit.MaxTerm || (len(value) <= audit.MaxTerm && got != value) || (len(value) > audit.MaxTerm && len(got) < audit.MaxTerm-3) {
				t.Errorf("%q becomes %q", value, got)
			}
		}
	}
}

// fitting has a value of every field.
func fitting() audit.Event {
	return audit.Event{OrganizationUID: "o", Time: time.Unix(1000, 5), Type: audit.TypeSignInDenied, Site: "portal", Flow: "f", SupportCode: "c", Outcome: audit.OutcomeFailure,
		Reason: "SSO_REQUIRED", Method: "password", Factor: audit.FactorTOTP, Connection: "partner", Class: audit.ClassExternal, Evidence: audit.EvidenceVerified, Caller: "unix:1",
		Decision: &audit.Decision{Rule: "guests"}, Target: &audit.Target{Type: "policy", ID: "p"},
		Indexes: []audit.Index{{Purpose: audit.IndexAccount, Value: []byte("a")}, {Purpose: audit.IndexEmailDomain, Value: []byte("d")}, {Purpose: audit.IndexName, Value: []byte("n")},
			{Purpose: audit.IndexNetwork24, Value: []byte("i")}}}
}

func TestAnEventHasATermForEachFieldItHas(t *testing.T) {
	e := fitting()
	var fields []audit.Field
	for _, term := range audit.Terms(&e) {
		fields = append(fields, term.Field)
	}
	want := []audit.Field{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}
	if !slices.Equal(fields, want) {
		t.Errorf("fields %v, want %v", fields, want)
	}
	if got := audit.Terms(&audit.Event{Decision: &audit.Decision{}, Target: &audit.Target{}}); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestAQueryFitsWhenEveryListDoesAndNoExclusion(t *testing.T) {
	index := func(p audit.Purpose, v string) []audit.Index {
		return []audit.Index{{Purpose: p, Value: []byte("other")}, {Purpose: p, Value: []byte(v)}}
	}
	for name, c := range map[string]struct{ fits, not audit.Match }{
		"site":       {audit.Match{Sites: []string{"x", "portal"}}, audit.Match{Sites: []string{"Portal"}}},
		"flow":       {audit.Match{Flows: []string{"f"}}, audit.Match{Flows: []string{""}}},
		"code":       {audit.Match{SupportCodes: []string{"c"}}, audit.Match{SupportCodes: []string{"C"}}},
		"type":       {audit.Match{Types: []string{"sign_in.denied"}}, audit.Match{Types: []string{"sign_in"}}},
		"family":     {audit.Match{Types: []string{"sign_in.*"}}, audit.Match{Types: []string{"sign_in*"}}},
		"outcome":    {audit.Match{Outcomes: []audit.Outcome{audit.OutcomeFailure}}, audit.Match{Outcomes: []audit.Outcome{0}}},
		"reason":     {audit.Match{Reasons: []string{"SSO_REQUIRED"}}, audit.Match{Reasons: []string{"SSO"}}},
		"method":     {audit.Match{Methods: []string{"password"}}, audit.Match{Methods: []string{"sso"}}},
		"factor":     {audit.Match{Factors: []string{audit.FactorTOTP}}, audit.Match{Factors: []string{audit.FactorSMS}}},
		"connection": {audit.Match{Connections: []string{"partner"}}, audit.Match{Connections: []string{"x"}}},
		"class":      {audit.Match{Classes: []audit.Class{audit.ClassExternal}}, audit.Match{Classes: []audit.Class{0, audit.ClassManaged}}},
		"evidence":   {audit.Match{Evidences: []audit.Evidence{audit.EvidenceVerified}}, audit.Match{Evidences: []audit.Evidence{audit.EvidenceAsserted}}},
		"rule":       {audit.Match{Rules: []string{"guests"}}, audit.Match{Rules: []string{"x"}}},
		"target":     {audit.Match{TargetTypes: []string{"policy"}, TargetIDs: []string{"p"}}, audit.Match{TargetIDs: []string{"q"}}},
		"caller":     {audit.Match{Callers: []string{"unix:1"}}, audit.Match{Callers: []string{"unix:"}}},
		"subject":    {audit.Match{Subjects: index(audit.IndexAccount, "a")}, audit.Match{Subjects: index(audit.IndexEmail, "a")}},
		"domain":     {audit.Match{Domains: index(audit.IndexEmailDomain, "d")}, audit.Match{Domains: index(audit.IndexEmailDomain, "a")}},
		"name":       {audit.Match{Names: index(audit.IndexName, "n")}, audit.Match{Names: index(audit.IndexName, "")}},
		"network":    {audit.Match{Networks: index(audit.IndexNetwork24, "i")}, audit.Match{Networks: index(audit.IndexNetwork32, "i")}},
	} {
		e := fitting()
		for _, x := range []struct {
			q    audit.Query
			want bool
		}{{audit.Query{Match: c.fits}, true}, {audit.Query{Match: c.not}, false}, {audit.Query{Exclude: c.fits}, false}, {audit.Query{Exclude: c.not}, true}} {
			if x.q.OrganizationUID = "o"; x.q.Fits(&e) != x.want {
				t.Errorf("%s: %+v fits: %v", name, x.q, !x.want)
			}
		}
	}
}

func TestAQueryAsksForOrganizationTimeSandboxAndWords(t *testing.T) {
	at := fitting().Time
	for _, c := range []struct {
		q    audit.Query
		want bool
	}{
		{audit.Query{}, true}, {audit.Query{Start: at}, true}, {audit.Query{Start: at.Add(1)}, false}, {audit.Query{End: at}, false}, {audit.Query{End: at.Add(1)}, true},
		{audit.Query{NoSandbox: true}, false}, {audit.Query{Text: []string{"sso", "GUE", "p"}}, true}, {audit.Query{Text: []string{"sso", "nothing"}}, false},
		{audit.Query{Text: []string{"3"}}, false}, // outcomes have no words
	} {
		e := fitting()
		e.Sandbox = true
		if c.q.OrganizationUID = "o"; c.q.Fits(&e) != c.want {
			t.Errorf("%+v fits: %v", c.q, !c.want)
		}
		if c.q.OrganizationUID = "p"; c.q.Fits(&e) {
			t.Errorf("%+v fits another organization's", c.q)
		}
	}
}
