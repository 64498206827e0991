package document_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// unchanged exports what a document made and applies that: nothing may change, and nothing be left to be found out at applying.
func unchanged(t testing.TB, s document.Standing) document.Exported {
	t.Helper()
	e := document.Export(s)
	d, problems := document.Parse([]byte(e.Text))
	if d == nil {
		t.Fatalf("its own export is refused: %v\n%s", problems, e.Text)
	}
	p, problems := document.PlanOf(d, document.Current{Organization: s.Organization, UID: s.Organization.UID, Domains: s.Domains}, namer{}, counter())
	if p == nil || !p.Empty() || len(p.Objects) != 0 {
		t.Fatalf("applying its own export does something: %+v %v\n%s", p, problems, e.Text)
	}
	return e
}

// standing is what applying a document to nothing leaves behind.
func standing(t testing.TB, text string) document.Standing {
	t.Helper()
	d, problems := document.Parse([]byte(text))
	if d == nil {
		t.Fatalf("refused: %v", problems)
	}
	p, problems := document.PlanOf(d, document.Current{UID: "org-uid"}, namer{}, counter())
	if p == nil {
		t.Fatalf("not planned: %v", problems)
	}
	return document.Standing{Organization: p.Organization, Domains: p.AddDomains, DomainCount: int64(len(p.AddDomains)), ClaimCount: int64(len(p.AddClaims))}
}

func TestWhatIsExportedChangesNothingWhenApplied(t *testing.T) {
	texts := map[string]string{}
	for _, pattern := range []string{"../../examples/*.yaml", "../../examples/policies/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(string(b), "#") && strings.Contains(string(b), "\norganization:") {
				texts[path] = string(b)
			}
		}
	}
	cases, err := filepath.Glob("../testdata/cases/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range cases {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var f struct{ Document string }
		if err := yaml.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		if f.Document != "" {
			texts[path] = f.Document
		}
	}
	if len(texts) < 12 {
		t.Fatalf("only %d documents", len(texts))
	}
	for path, text := range texts {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s := standing(t, text)
			e := unchanged(t, s)
			again := unchanged(t, document.Standing{Organization: s.Organization, Domains: s.Domains, DomainCount: s.DomainCount, ClaimCount: s.ClaimCount})
			if e.Text != again.Text {
				t.Error("exported twice, it is not the same")
			}
		})
	}
}

func TestAnExportAppliesToNothingAsWell(t *testing.T) {
	s := standing(t, "organization: acme\nsites: [{id: wiki}]\npolicy: {rules: [{id: a, match: {accounts: [a1], addresses: [x@gmail.com]}}], account_lists: [{name: l, accounts: [a2]}]}")
	again := standing(t, unchanged(t, s).Text)
	if len(again.Organization.Policy.Rules[0].Match.Accounts) != 2 || again.Organization.Policy.AccountLists[0].Accounts[0] != s.Organization.Policy.AccountLists[0].Accounts[0] {
		t.Errorf("%+v", again.Organization.Policy)
	}
}

func TestAnyTextSurvivesAnExport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.OneOf(rapid.SampledFrom([]rune(" \n\t\"'\\:#-{}[]&*!|>%@`,?~=.e0xnty")), rapid.Rune()), 1, 40, 500).Draw(t, "text")
		if strings.TrimSpace(text) == "" || strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == '\ufffd' }) >= 0 {
			return
		}
		r := policy.Rule{ID: "r", Mode: policy.ModeEnforce, Origin: audit.OriginDocument, Description: text, Message: text,
			EnforceFrom: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Demands: policy.Demands{SessionLength: time.Duration(rapid.IntRange(1, 400*86400).Draw(t, "seconds")) * time.Second}}
		o := policy.Organization{ID: "acme", UID: "org-uid", DisplayName: text, Policy: policy.Policy{Rules: []policy.Rule{r}}}
		d, problems := document.Parse([]byte(document.Export(document.Standing{Organization: &o}).Text))
		if d == nil {
			t.Fatalf("%q is refused: %v", text, problems)
		}
		got := (*d.Policy.Rules)[0]
		if *d.DisplayName != text || got.Description != text || got.Demands.SessionLength != r.Demands.SessionLength || !got.EnforceFrom.Equal(r.EnforceFrom) {
			t.Fatalf("%q became %q", text, got.Description)
		}
	})
}

func TestWhatCannotBeExportedIsSaidAndLeftAlone(t *testing.T) {
	s := standing(t, "organization: acme\nsites: [{id: wiki}, {id: shop}]\ndomains: [acme-x.com, b-x.com]\nclaims: {accounts: [a]}\npolicy: {rules: [{id: a, match: {accounts: [z]}}]}")
	api := s.Organization.Sites[1]
	api.Origin = audit.OriginAPI
	s.Organization.Sites[1] = api
	s.Domains[1].Origin = audit.OriginAPI
	e := unchanged(t, s)
	for _, want := range []string{"1 claimed accounts", "1 sites that", "1 domains that", "account_keys"} {
		if !strings.Contains(e.Text, want) {
			t.Errorf("%q is not said:\n%s", want, e.Text)
		}
	}
	for _, never := range []string{"shop", "b-x.com", "\nclaims:"} {
		if strings.Contains(e.Text, never) {
			t.Errorf("%q is exported:\n%s", never, e.Text)
		}
	}
	s.DomainCount = 1_000_000
	if e := unchanged(t, s); strings.Contains(e.Text, "\ndomains:") || !strings.Contains(e.Text, "1000000 domains") {
		t.Errorf("a part of the domains is exported:\n%s", e.Text)
	}
	s.Organization.Unreadable, s.Organization.Policy = true, policy.Policy{}
	if e := unchanged(t, s); strings.Contains(e.Text, "\npolicy:") || len(e.LeftOut) != 4 {
		t.Errorf("%v:\n%s", e.LeftOut, e.Text)
	}
}

func TestDomainsThatFillADocumentAreLeftOut(t *testing.T) {
	s := standing(t, "organization: acme")
	for i := range 20_000 {
		d, err := policy.ParseDomain(fmt.Sprintf("%s%05d.com", strings.Repeat("a", 50), i))
		if err != nil {
			t.Fatal(err)
		}
		s.Domains = append(s.Domains, policy.DomainRecord{Domain: d, Origin: audit.OriginDocument})
	}
	s.DomainCount = int64(len(s.Domains))
	if e := unchanged(t, s); len(e.Text) > document.MaxBytes || !strings.Contains(e.Text, "20000 domains") {
		t.Errorf("%d bytes", len(e.Text))
	}
	s.Domains = s.Domains[:10_000]
	s.DomainCount = int64(len(s.Domains))
	if e := unchanged(t, s); !strings.Contains(e.Text, s.Domains[9_999].Domain.String()) {
		t.Error("10000 domains are not exported")
	}
}

func TestAccountKeysAreRefusedWhereTheyMeanNothing(t *testing.T) {
	for text, want := range map[string]string{
		"organization: acme\nclaims: {account_keys: [\"00000000000000000000000000000001\"]}":                                                                  "unknown key",
		"organization: acme\npolicy: {rules: [{id: a, match: {account_keys: [\"0001\"]}}]}":                                                                   "32 hex digits",
		"organization: acme\npolicy: {rules: [{id: a, match: {account_keys: [\"00000000000000000000000000000001\", \"00000000000000000000000000000001\"]}}]}": "there already",
	} {
		if _, problems := document.Parse([]byte(text)); len(problems) != 1 || !strings.Contains(problems[0].String(), want) || problems[0].Line != 2 {
			t.Errorf("%s: %v", text, problems)
		}
	}
}

func TestLintHasThePlacesOfTheDocument(t *testing.T) {
	text := "organization: acme\nsites: [{id: wiki}]\npolicy:\n  rules:\n    - id: all\n    - id: late\n      match:\n        sites: [wiki]\n"
	s := standing(t, text)
	got := parse(t, text).Lint(s.Organization, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	if len(got) != 1 || got[0].Code != policy.CodeRuleUnreachable || got[0].Rule != "late" || got[0].Line != 6 || !got[0].Warning {
		t.Errorf("%+v", got)
	}
}
