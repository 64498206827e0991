package codec_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// TestEnumNumbersAgree holds audit's enums and those of the API together: same numbers, same names.
func TestEnumNumbersAgree(t *testing.T) {
	for _, each := range []struct {
		prefix string
		enum   protoreflect.EnumDescriptor
		name   func(uint8) string
		parse  func(string) (uint8, error)
	}{
		{"CLASS_", posternv1.Class(0).Descriptor(), func(n uint8) string { return audit.Class(n).String() }, number(audit.ParseClass)},
		{"EVIDENCE_", posternv1.Evidence(0).Descriptor(), func(n uint8) string { return audit.Evidence(n).String() }, number(audit.ParseEvidence)},
		{"VERDICT_", posternv1.Verdict(0).Descriptor(), func(n uint8) string { return audit.Verdict(n).String() }, number(audit.ParseVerdict)},
		{"ENDING_", posternv1.Ending(0).Descriptor(), func(n uint8) string { return audit.Ending(n).String() }, number(audit.ParseEnding)},
		{"OUTCOME_", posternv1.Outcome(0).Descriptor(), func(n uint8) string { return audit.Outcome(n).String() }, number(audit.ParseOutcome)},
		{"CLIENT_", posternv1.Client(0).Descriptor(), func(n uint8) string { return audit.Client(n).String() }, number(audit.ParseClient)},
		{"SUBJECT_KIND_", posternv1.SubjectKind(0).Descriptor(), func(n uint8) string { return audit.SubjectKind(n).String() }, number(audit.ParseSubjectKind)},
		{"ORIGIN_", posternv1.Origin(0).Descriptor(), func(n uint8) string { return audit.Origin(n).String() }, number(audit.ParseOrigin)},
	} {
		values := each.enum.Values()
		for i := range values.Len() {
			v := values.Get(i)
			n := uint8(v.Number())
			want := strings.TrimPrefix(string(v.Name()), each.prefix)
			got := each.name(n)
			if n > 0 && got != want {
				t.Errorf("%s: audit calls number %d %s", v.Name(), n, got)
			}
			if back, err := each.parse(got); err != nil || back != n {
				t.Errorf("%s: parsed %s as %d, %v", v.Name(), got, back, err)
			}
		}
		beyond := uint8(values.Len())
		if got := each.name(beyond); got != each.prefix+string('0'+rune(beyond)) {
			t.Errorf("%s has number %d in audit only: %s", each.enum.Name(), beyond, got)
		}
		for _, s := range []string{"", strings.ToLower(each.name(1)), each.prefix + each.name(1), each.name(1) + " "} {
			if n, err := each.parse(s); err == nil {
				t.Errorf("%s: %q was parsed as %d", each.enum.Name(), s, n)
			}
		}
	}
}

func number[E ~uint8](parse func(string) (E, error)) func(string) (uint8, error) {
	return func(s string) (uint8, error) {
		e, err := parse(s)
		return uint8(e), err
	}
}
