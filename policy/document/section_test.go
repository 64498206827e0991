package document_test

import (
	"strings"
	"testing"

	"github.com/postern-audit/postern/policy/document"
)

func TestAPolicyStandsByItselfWithOrWithoutItsKey(t *testing.T) {
	for name, text := range map[string]string{
		"bare":           "rules: [{id: a, mode: report_only}]\nstops: {external: true}",
		"under its key":  "policy:\n  rules: [{id: a, mode: report_only}]\n  stops: {external: true}",
		"with its owner": "organization: acme\npolicy: {rules: [{id: a, mode: report_only}], stops: {external: true}}",
		"as JSON":        `{"rules": [{"id": "a", "mode": "REPORT_ONLY"}], "stops": {"external": true}}`,
	} {
		d, problems := document.ParsePolicy("acme", []byte(text))
		if d == nil {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		p := d.Policy
		if d.ID != "acme" || len(*p.Rules) != 1 || !p.Stops.External || d.Sites != nil || d.Connections != nil || d.Domains != nil || d.Claims != nil {
			t.Errorf("%s: %+v", name, d)
		}
		if p.Default == nil || p.AccountLists == nil || p.Record == nil || p.AllowUnreadable == nil || *p.AllowUnreadable {
			t.Errorf("%s: what is left out is not empty: %+v", name, p)
		}
	}
}

func TestProblemsOfAPolicyHaveTheirPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"rules:\n- {id: a, mod: enforce}":              "line 2, column 11: policy.rules[a].mod: unknown key",
		"policy:\n  rules:\n  - {id: a, mod: enforce}": "line 3, column 13: policy.rules[a].mod: unknown key",
		"organization: other\npolicy: {}":              "line 1, column 15: organization: the policy is for organization other, not acme",
		"policy: {}\nsites: []":                        "line 2, column 1: sites: unknown key",
		"just text":                                    "policy: this is text where a table belongs",
		"rules: [":                                     "line 1",
		"":                                             "",
	} {
		d, problems := document.ParsePolicy("acme", []byte(text))
		if d != nil || problems.Err() == nil || !strings.Contains(problems.Err().Error(), want) {
			t.Errorf("%q: %v, %v", text, d, problems)
		}
	}
}
