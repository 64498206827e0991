package document_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// namer hashes without a key: tests need equality, not secrecy.
type namer struct{}

func (namer) AccountKey(uid, id string) policy.AccountKey { return key(uid + "\x00account\x00" + id) }

func (namer) AddressKey(uid string, a policy.Address) policy.AccountKey {
	return key(uid + "\x00address\x00" + a.Key())
}

func key(s string) policy.AccountKey {
	sum := sha256.Sum256([]byte(s))
	return policy.AccountKey(sum[:16])
}

func counter() func() string {
	n := 0
	return func() string { n++; return fmt.Sprintf("uid-%d", n) }
}

func parse(t *testing.T, text string) *document.Document {
	t.Helper()
	d, problems := document.Parse([]byte(text))
	if d == nil {
		t.Fatalf("refused: %v", problems)
	}
	return d
}

func plan(t *testing.T, text string, now document.Current) *document.Plan {
	t.Helper()
	now.UID = "org-uid"
	p, problems := document.PlanOf(parse(t, text), now, namer{}, counter())
	if p == nil {
		t.Fatalf("not planned: %v", problems)
	}
	return p
}

func TestTheExampleApplies(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "examples", "acme.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d, problems := document.Parse(b)
	if d == nil {
		t.Fatalf("refused: %v", problems)
	}
	p, problems := document.PlanOf(d, document.Current{UID: "org-uid"}, namer{}, counter())
	if p == nil || len(problems) != 0 {
		t.Fatalf("plan %v, problems %v", p, problems)
	}
	if got := len(p.Organization.Sites); got != 2 {
		t.Errorf("%d sites", got)
	}
	if len(p.AddDomains) != 2 || len(p.AddClaims) != 2 || !p.WritePolicy {
		t.Errorf("domains %v, claims %v, write %v", p.AddDomains, p.AddClaims, p.WritePolicy)
	}
	again, _ := document.PlanOf(d, document.Current{Organization: p.Organization, UID: "org-uid", Domains: p.AddDomains,
		Claims: map[policy.AccountKey]policy.ClaimRecord{p.AddClaims[0].Record.Key: {}, p.AddClaims[1].Record.Key: {}}}, namer{}, counter())
	if again == nil || !again.Empty() || len(again.Objects) != 0 {
		t.Errorf("applying it twice still does something: %+v", again)
	}
}

func TestEveryProblemIsReportedAtOnceWithItsPlace(t *testing.T) {
	_, problems := document.Parse([]byte(`organization: Acme
display_name: 7
sites:
  - id: wiki
    colour: red
  - display_name: no id
domains:
  - gmail.com
  - co.uk
  - "*.acme.com"
  - acme.example
  - acme.com
  - ACME.com
policy:
  rules:
    - id: r1
      mode: sometimes
      enforce_from: tomorrow
      enrolment_grace: 0h
      match: {networks: [10.0.0.1/8], domains: []}
      demands: {methods: [passwordles], mfa: {max_age: 12}}
  rules: []
`))
	want := []string{
		"line 1, column 15: organization: not an id",
		"line 2, column 15: display_name: this is a number where text belongs",
		"line 5, column 5: sites[wiki].colour: unknown key",
		"line 6, column 5: sites[1]: no id; add id: NAME",
		"line 8, column 5: domains[0]: anybody can get an address",
		"line 9, column 5: domains[1]: the domain is itself a public suffix",
		"line 10, column 5: domains[2]: a wildcard",
		"line 11, column 5: domains[3]: the domain is reserved",
		"line 13, column 5: domains[5]: this is there already",
		"line 17, column 13: policy.rules[r1].mode: unknown value; write ENFORCE or REPORT_ONLY",
		"line 18, column 21: policy.rules[r1].enforce_from: not a time",
		"line 19, column 24: policy.rules[r1].enrolment_grace: a duration of zero",
		"policy.rules[r1].match.networks[0]: an address inside a network; write 10.0.0.0/8",
		"policy.rules[r1].match.domains: an empty list",
		"policy.rules[r1].demands.methods: not a method",
		"policy.rules[r1].demands.mfa.max_age: a duration without unit",
		"line 22, column 3: policy.rules: this key is there already",
	}
	all := make([]string, 0, len(problems))
	for _, p := range problems {
		all = append(all, p.String())
		if p.Fix == "" || p.Line == 0 {
			t.Errorf("no fix or no place: %s", p)
		}
	}
	got := strings.Join(all, "\n")
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("missing %q in\n%s", w, got)
		}
	}
	if err := problems.Err(); err == nil {
		t.Error("no error")
	}
}

func TestReferencesAreCheckedAgainstWhatTheOrganizationWillHave(t *testing.T) {
	d := parse(t, `organization: acme
connections:
  - {id: google, kind: social}
policy:
  rules:
    - id: a
      match: {sites: [wiki], account_lists: [vips]}
      demands: {sso: google}
    - id: b
      demands: {methods: ["sso:okta"]}
    - id: b
      demands: {block: true, session_length: 1h}
`)
	_, problems := document.PlanOf(d, document.Current{UID: "u"}, namer{}, counter())
	got := ""
	for _, p := range problems {
		got += p.String() + "\n"
	}
	for _, want := range []string{
		`line 7, column 23: policy.rules[a].match.sites[0]: there is no site "wiki"`,
		`policy.rules[a].match.account_lists[0]: there is no account list "vips"`,
		`policy.rules[a].demands.sso: connection "google" is not of kind sso; name a connection of kind sso, or write social:google`,
		`policy.rules[b].demands.methods[0]: there is no connection "okta"`,
		`policy.rules[b].id: this id is there already`,
		`policy.rules[b].demands.block: a block refuses whatever else is met`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in\n%s", want, got)
		}
	}
}

func TestHostileTextIsRefusedQuickly(t *testing.T) {
	deep := func(s string) string { return strings.Repeat(s, document.MaxBytes/len(s)) }
	for name, text := range map[string]string{
		"empty":               "",
		"only comments":       "# nothing\n",
		"too long":            strings.Repeat("#", document.MaxBytes+1),
		"not UTF-8":           "organization: \xff",
		"a NUL":               "organization: a\x00b",
		"a bidi-like control": "organization: a\u2028b",
		"deep lists":          deep("["),
		"deep tables":         deep("{a: "),
		"deep block lists":    deep("- "),
		"deep keys":           deep("? "),
		"deep tags":           "a: " + strings.Repeat("!t ", 1000),
		"alias bomb":          "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
		"merge":               "a: &a {b: c}\norganization: acme\n<<: *a\n",
		"tag":                 "organization: !!str acme",
		"two documents":       "organization: acme\n---\norganization: acme\n",
		"a list":              "- organization: acme\n",
		"a word":              "acme",
		"no organization":     "display_name: Acme",
		"unknown key":         "organization: acme\nsite: []\n",
		"null section":        "organization: acme\nsites:\n",
		"bad quotes":          "organization: \"acme",
		"stray bracket":       "organization: acme]\nsites: [",
	} {
		t.Run(name, func(t *testing.T) {
			d, problems := document.Parse([]byte(text))
			if d != nil || problems.Err() == nil {
				t.Fatalf("accepted: %+v", d)
			}
			if len(problems.Err().Error()) > 4000 {
				t.Errorf("the error repeats the document: %d bytes", len(problems.Err().Error()))
			}
		})
	}
}

func TestProblemsAreCappedAndCounted(t *testing.T) {
	text := "organization: acme\ndomains:\n" + strings.Repeat("  - nonsense\n", 50)
	_, problems := document.Parse([]byte(text))
	err := problems.Err()
	if err == nil || !strings.Contains(err.Error(), "50 problems") {
		t.Fatalf("got %v", err)
	}
}

func TestJSONIsRead(t *testing.T) {
	d := parse(t, `{"organization": "acme", "sites": [{"id": "wiki", "disabled": true}],
	  "policy": {"default": {"session_length": "1d12h"}}}`)
	if d.Sites == nil || !(*d.Sites)[0].Disabled || d.Policy.Default.SessionLength.Hours() != 36 {
		t.Errorf("got %+v", d)
	}
	if d.Domains != nil || d.Claims != nil || d.Policy.Rules != nil {
		t.Error("absent sections are not nil")
	}
}

func TestAnAbsentSectionIsLeftAloneAndAPresentOneReplacesWhatDocumentsOwn(t *testing.T) {
	first := plan(t, `organization: acme
display_name: Acme
sites: [{id: wiki}, {id: tracker}]
policy:
  rules: [{id: r1, demands: {block: true}}]
  stops: {external: true}
`, document.Current{})
	org := first.Organization
	org.Sites = append(org.Sites, policy.Site{ID: "shop", UID: "shop-uid", Origin: audit.OriginAPI})
	second := plan(t, `organization: acme
sites: [{id: wiki, display_name: The Wiki}]
policy: {rules: []}
`, document.Current{Organization: org})
	next := second.Organization
	if next.DisplayName != "Acme" || !next.Policy.Stops.External {
		t.Errorf("an absent section changed: %+v", next)
	}
	if len(next.Policy.Rules) != 0 {
		t.Errorf("rules stay: %+v", next.Policy.Rules)
	}
	if len(next.Sites) != 2 || next.Sites[0].ID != "shop" || next.Sites[1].UID != org.Sites[0].UID {
		t.Errorf("sites: %+v", next.Sites)
	}
	var kinds []string
	for _, o := range second.Objects {
		kinds = append(kinds, string(o.Type)+" "+o.Target.ID)
	}
	if got := strings.Join(kinds, ", "); got != "site.updated wiki, site.deleted tracker, policy.updated acme" {
		t.Errorf("objects: %s", got)
	}
	if len(org.Sites) != 3 || org.Sites[0].DisplayName != "" || len(org.Policy.Rules) != 1 {
		t.Errorf("the current organization was changed in place: %+v", org)
	}
}

func TestADocumentBringsNothingBackThatWasRevoked(t *testing.T) {
	bound := time.Date(2027, 6, 1, 12, 0, 0, 5, time.UTC)
	org := plan(t, "organization: acme\nsites: [{id: wiki}, {id: tracker}]\n", document.Current{}).Organization
	org.ProofsNotBefore, org.Sites[1].ProofsNotBefore = bound, bound.Add(time.Hour)
	next := plan(t, "organization: acme\nsites: [{id: tracker, display_name: T}, {id: new}]\npolicy: {rules: []}\n", document.Current{Organization: org}).Organization
	if !next.ProofsNotBefore.Equal(bound) || next.Sites[0].ID != "tracker" || !next.Sites[0].ProofsNotBefore.Equal(bound.Add(time.Hour)) {
		t.Errorf("%v, %+v", next.ProofsNotBefore, next.Sites)
	}
	if !next.Sites[1].ProofsNotBefore.IsZero() {
		t.Errorf("a new site has a bound: %v", next.Sites[1].ProofsNotBefore)
	}
}

func TestADocumentThatNamesAnObjectOfTheAPIIsInConflict(t *testing.T) {
	d, _ := policy.ParseDomain("acme-x.com")
	org := &policy.Organization{ID: "acme", UID: "org-uid", Sites: []policy.Site{{ID: "shop", UID: "s", Origin: audit.OriginAPI}},
		Policy: policy.Policy{Rules: []policy.Rule{{ID: "r", Mode: policy.ModeEnforce, Origin: audit.OriginAPI}}}}
	doc := parse(t, `organization: acme
sites: [{id: shop}]
domains: [acme-x.com]
policy: {rules: [{id: r}]}
`)
	p, problems := document.PlanOf(doc, document.Current{Organization: org, UID: "org-uid",
		Domains: []policy.DomainRecord{{Domain: d, Origin: audit.OriginAPI}}}, namer{}, counter())
	if p != nil || len(problems) != 3 || problems[0].Line != 2 || problems[1].Line != 3 || problems[2].Line != 4 {
		t.Errorf("plan %v, problems %v", p, problems)
	}
}

func TestAConnectionOfAnotherKindIsAnotherConnection(t *testing.T) {
	first := plan(t, "organization: acme\nconnections: [{id: x, kind: social}, {id: y, kind: social}]\n", document.Current{})
	d := parse(t, "organization: acme\nconnections: [{id: x, kind: sso, protocol: oidc}, {id: y, kind: social}]\n")
	p, problems := document.PlanOf(d, document.Current{Organization: first.Organization, UID: "org-uid"}, namer{}, func() string { return "fresh" })
	if p == nil || p.Organization.Connections[0].UID != "fresh" || p.Organization.Connections[1].UID != first.Organization.Connections[1].UID {
		t.Errorf("%+v, %v", p, problems)
	}
}

func TestClaimsAreOnlyAddedAndDomainsFollowTheDocument(t *testing.T) {
	keep, _ := policy.ParseDomain("keep-x.com")
	gone, _ := policy.ParseDomain("gone-x.com")
	api, _ := policy.ParseDomain("api-x.com")
	org := &policy.Organization{ID: "acme", UID: "org-uid"}
	known := namer{}.AccountKey("org-uid", "a1")
	p := plan(t, `organization: acme
domains: [{domain: keep-x.com, include_subdomains: true}, new-x.com]
claims: {accounts: [a1, a2], addresses: [Ann@Partner-X.com]}
`, document.Current{Organization: org, Claims: map[policy.AccountKey]policy.ClaimRecord{known: {}}, Domains: []policy.DomainRecord{
		{Domain: keep, Origin: audit.OriginDocument}, {Domain: gone, Origin: audit.OriginDocument}, {Domain: api, Origin: audit.OriginAPI}}})
	if len(p.AddDomains) != 2 || !p.AddDomains[0].Subdomains || p.AddDomains[1].VerifiedBy != "OPERATOR" {
		t.Errorf("add %+v", p.AddDomains)
	}
	if len(p.DropDomains) != 1 || p.DropDomains[0].Domain != gone {
		t.Errorf("drop %+v", p.DropDomains)
	}
	if len(p.AddClaims) != 2 || p.AddClaims[0].Name != "a2" || p.AddClaims[1].Name != "Ann@partner-x.com" {
		t.Errorf("claims %+v", p.AddClaims)
	}
	if p.WritePolicy {
		t.Error("the policy record is written without a change")
	}
}

func TestChangesNameFieldsAndNeverAccounts(t *testing.T) {
	first := plan(t, `organization: acme
policy:
  account_lists: [{name: vips, accounts: [secret-account]}]
  rules: [{id: r1, match: {account_lists: [vips], addresses: [ann@partner-x.com]}, demands: {mfa: {factors: [TOTP]}}}]
`, document.Current{})
	second := plan(t, `organization: acme
policy:
  rules: [{id: r1, match: {account_lists: [vips], addresses: [ann@partner-x.com, bob@partner-x.com]}, demands: {mfa: {factors: [TOTP, SMS], max_age: 1d}}}]
`, document.Current{Organization: first.Organization})
	if len(second.Objects) != 1 {
		t.Fatalf("objects %+v", second.Objects)
	}
	text := fmt.Sprintf("%+v %+v", first.Objects, second.Objects)
	for _, w := range []string{"rules[r1].match.accounts", "1 accounts", "2 accounts", "{Field:rules[r1].demands.mfa.factors Before:TOTP After:TOTP, SMS}",
		"{Field:rules[r1].demands.mfa.max_age Before: After:24h0m0s}"} {
		if !strings.Contains(text, w) {
			t.Errorf("missing %q in %s", w, text)
		}
	}
	for _, personal := range []string{"secret-account", "ann@", "bob@"} {
		if strings.Contains(text, personal) {
			t.Errorf("%q stands in %s", personal, text)
		}
	}
}

func TestAnUnreadablePolicyIsNotOverwrittenByAccident(t *testing.T) {
	now := document.Current{UID: "u", Organization: &policy.Organization{ID: "acme", UID: "u", Unreadable: true}}
	if p, problems := document.PlanOf(parse(t, "organization: acme\ndisplay_name: Acme\n"), now, namer{}, counter()); p != nil || problems.Err() == nil {
		t.Errorf("planned %+v", p)
	}
	if p := plan(t, "organization: acme\ndomains: [acme-x.com]\n", now); p.WritePolicy || len(p.AddDomains) != 1 || !p.Organization.Unreadable {
		t.Errorf("domains cannot be added: %+v", p)
	}
	p, problems := document.PlanOf(parse(t, "organization: acme\npolicy: {rules: []}\n"), now, namer{}, counter())
	if p == nil || p.Organization.Unreadable || !p.WritePolicy {
		t.Errorf("a whole policy does not repair it: %v", problems)
	}
}

func TestDurations(t *testing.T) {
	for s, want := range map[string]string{"12h": "12h0m0s", "7d": "168h0m0s", "1d12h": "36h0m0s", "90m": "1h30m0s", "1h30m": "1h30m0s", "0h": "0s"} {
		if d, ok := document.ParseDuration(s); !ok || d.String() != want {
			t.Errorf("%s is %v, %v", s, d, ok)
		}
	}
	for _, s := range []string{"", "12", "h", "-1h", "1h1d", "1h1h", "1.5h", "1w", "12345678d", "1h ", "１h"} {
		if d, ok := document.ParseDuration(s); ok {
			t.Errorf("%q is accepted as %v", s, d)
		}
	}
}
