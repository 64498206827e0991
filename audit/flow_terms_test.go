package audit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
)

func TestASetHasWhatWasPutIn(t *testing.T) {
	var s audit.TermSet
	for _, term := range []audit.Term{{audit.FieldMethod, "sso"}, {audit.FieldRule, "sso"}, {audit.FieldConnection, "okta"}, {audit.FieldMethod, "sso"}, {audit.FieldMethod, "a:b"}} {
		s = s.With(term)
	}
	if got := s.Values(audit.FieldMethod); !slices.Equal(got, []string{"a:b", "sso"}) {
		t.Errorf("methods %q", got)
	}
	for _, absent := range []audit.Term{{audit.FieldMethod, "ss"}, {audit.FieldMethod, "o"}, {audit.FieldFactor, "sso"}, {audit.FieldMethod, ""}, {audit.FieldMethod, "\x1f"},
		{audit.FieldMethod, "sso\x1f9:sso"}, {audit.FieldMethod, "\x00"}, {audit.FieldMethod, "\xff"}} {
		if s.Has(absent) || s.With(absent).Has(absent) && absent.Value != "ss" && absent.Value != "o" && absent.Value != "sso" {
			t.Errorf("%q is in %q", absent, s)
		}
	}
	if s.With(audit.Term{audit.FieldMethod, "sso"}) != s {
		t.Error("what is there is put in again")
	}
}

func TestASetIsTheSameWhateverTheOrder(t *testing.T) {
	terms := []audit.Term{{audit.FieldMethod, "b"}, {audit.FieldMethod, "a"}, {audit.FieldRule, "c"}, {audit.FieldEvidence, "2"}}
	want := audit.TermSet("").With(terms...)
	slices.Reverse(terms)
	one := audit.TermSet("")
	for _, term := range terms {
		one = one.With(term)
	}
	if one != want {
		t.Errorf("%q and %q", one, want)
	}
}

func TestASetIsBoundedAndCutsWhatIsLong(t *testing.T) {
	var s audit.TermSet
	for n := range 2 * audit.MaxTermSet {
		s = s.With(audit.Term{audit.FieldConnection, fmt.Sprint("connection-", n)})
	}
	if got := s.Values(audit.FieldConnection); len(got) != audit.MaxTermSet {
		t.Errorf("%d terms", len(got))
	}
	long := audit.Term{audit.FieldRule, strings.Repeat("ä", audit.MaxTerm)}
	if s = audit.TermSet("").With(long); !s.Has(long) || len(s.Values(audit.FieldRule)[0]) != audit.MaxTerm {
		t.Errorf("%q", s)
	}
}
