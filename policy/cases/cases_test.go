package cases_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/policy/cases"
	"github.com/postern-audit/postern/policy/document"
)

var noon = time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)

const acme = `organization: acme
sites: [{id: wiki}, {id: shop, trusts_account_email: true}, {id: closed, disabled: true}]
connections:
  - {id: okta, kind: sso, protocol: oidc}
  - {id: google, kind: social}
domains: [acme-x.com]
claims: {accounts: [contractor], addresses: [board@gmail.com]}
policy:
  rules:
    - {id: bots, match: {kinds: [APP]}, demands: {methods: [token]}}
    - {id: partner, match: {domains: [partner-x.com]}, demands: {sso: okta, evidence: asserted}, message: Use SSO.}
    - {id: office, match: {networks: [192.0.2.0/24]}, demands: {}}
    - {id: trial, mode: report_only, demands: {block: true}}
    - {id: shop, match: {sites: [shop]}, demands: {mfa: {factors: [TOTP], max_age: 12h}}, enforce_from: 2027-01-01T00:00:00Z}
  default: {session_length: 1d}
`

func directoryOf(t *testing.T, text string) *cases.Directory {
	t.Helper()
	doc, problems := document.Parse([]byte(text))
	if doc == nil {
		t.Fatal(problems)
	}
	d, problems := cases.New(doc)
	if d == nil {
		t.Fatal(problems)
	}
	return d
}

func TestCasesThatHold(t *testing.T) {
	file, problems := document.ParseCases([]byte(`
cases:
  - {name: employee, address: ann@acme-x.com, shown: [{method: password}], expect: {class: MANAGED, source: INTERNAL, verdict: ALLOW}}
  - {name: employee unproven, address: ann@acme-x.com, email_verified: false, shown: [{method: password}], expect: {class: EXTERNAL}}
  - {name: unproven at a site that trusts, site: shop, address: ann@acme-x.com, email_verified: false, shown: [{method: password}], expect: {class: MANAGED}}
  - {name: claimed account, account_id: contractor, shown: [{method: password}], expect: {class: CLAIMED}}
  - {name: claimed address, address: board@gmail.com, shown: [{method: password}], expect: {class: CLAIMED}}
  - {name: nobody yet, expect: {class: UNDETERMINED, verdict: CONTINUE}}
  - {name: a partner is asked, address: p@partner-x.com, expect: {rule: partner, source: RULE, verdict: CONTINUE, reason: SSO_REQUIRED, message: Use SSO., demands: [EVIDENCE, SSO], unmet: [SSO, EVIDENCE], next: ["sso:okta"]}}
  - {name: a partner's password, address: p@partner-x.com, method: password, expect: {verdict: CONTINUE, reason: SSO_REQUIRED}}
  - {name: a partner enters, address: p@partner-x.com, method: "sso:okta", expect: {verdict: ALLOW, unmet: [], next: []}}
  - {name: an app, kind: APP, account_id: a1, method: token, expect: {rule: bots, verdict: ALLOW}}
  - {name: the office, address: g@gmail.com, ip: 192.0.2.9, method: password, expect: {rule: office, verdict: ALLOW}}
  - {name: on trial, address: g@gmail.com, method: password, expect: {source: DEFAULT, verdict: ALLOW, would_be: DENY, would_be_rule: trial}}
  - {name: the shop, site: shop, address: g@gmail.com, method: password, enrolled: [TOTP], expect: {rule: shop, verdict: CONTINUE, next: ["mfa:TOTP"]}}
  - {name: the shop remembers, site: shop, address: g@gmail.com, method: password, device: d1, remembered: [{factor: TOTP, evidence: VERIFIED, ago: 11h, device: d1}], expect: {verdict: ALLOW}}
  - {name: another device, site: shop, address: g@gmail.com, method: password, device: d2, remembered: [{factor: TOTP, evidence: VERIFIED, ago: 11h, device: d1}], expect: {verdict: CONTINUE, reason: MFA_REQUIRED}}
  - {name: the shop forgot, site: shop, address: g@gmail.com, method: password, remembered: [{factor: TOTP, evidence: VERIFIED, ago: 13h}], expect: {verdict: CONTINUE}}
  - {name: the shop in 2026, site: shop, address: g@gmail.com, method: password, time: 2026-06-01T12:00:00Z, expect: {source: DEFAULT, verdict: ALLOW}}
  - {name: closed, site: closed, address: g@gmail.com, method: password, expect: {source: STOP, verdict: DENY, reason: SITE_DISABLED}}
`))
	if file == nil {
		t.Fatal(problems)
	}
	d := directoryOf(t, acme)
	for i := range file.List {
		c := &file.List[i]
		o, err := d.Run(c, noon)
		if err != nil || len(o.Differences) > 0 {
			t.Errorf("line %d, %s: %v %v", c.Line, c.Name, o.Differences, err)
		}
	}
}

func TestEachExpectationCanFail(t *testing.T) {
	d := directoryOf(t, acme)
	for expect, want := range map[string]string{
		"class: MANAGED":            "class is EXTERNAL, not MANAGED",
		"source: DEFAULT":           "source is RULE, not DEFAULT",
		"rule: office":              "rule is partner, not office",
		"verdict: ALLOW":            "verdict is CONTINUE, not ALLOW",
		"reason: MFA_REQUIRED":      "reason is SSO_REQUIRED, not MFA_REQUIRED",
		"message: Hello":            "message is Use SSO., not Hello",
		"demands: [SSO]":            "demands is [SSO, EVIDENCE], not [SSO]",
		"unmet: []":                 "unmet is [SSO, EVIDENCE], not []",
		"next: [password]":          "next is [sso:okta], not [password]",
		"would_be: DENY":            "would_be is CONTINUE, not DENY",
		"would_be_rule: trial":      "would_be_rule is partner, not trial",
		"verdict: DENY, reason: X1": "verdict is CONTINUE, not DENY; reason is SSO_REQUIRED, not X1",
	} {
		file, problems := document.ParseCases([]byte("cases: [{name: a, address: p@partner-x.com, expect: {" + expect + "}}]"))
		if file == nil {
			t.Fatal(expect, problems)
		}
		o, err := d.Run(&file.List[0], noon)
		var got []string
		for _, f := range o.Differences {
			got = append(got, f.String())
		}
		if s := strings.Join(got, "; "); err != nil || s != want {
			t.Errorf("%s: %q, %v", expect, s, err)
		}
	}
}

func TestACaseAboutWhatIsNotThereIsNotDecided(t *testing.T) {
	for text, want := range map[string]string{
		`site: nowhere`:                           `no site "nowhere"`,
		`method: "sso:nobody"`:                    `no connection "nobody"`,
		`shown: [{method: "sso:nobody"}]`:         `no connection "nobody"`,
		`remembered: [{method: "social:nobody"}]`: `no connection "nobody"`,
	} {
		file, problems := document.ParseCases([]byte("cases: [{name: a, " + text + ", expect: {verdict: ALLOW}}]"))
		if file == nil {
			t.Fatal(text, problems)
		}
		if _, err := directoryOf(t, acme).Run(&file.List[0], noon); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestADocumentThatCannotStandIsNoDirectory(t *testing.T) {
	doc, problems := document.Parse([]byte("organization: acme\npolicy: {rules: [{id: a, match: {sites: [nowhere]}}]}"))
	if doc == nil {
		t.Fatal(problems)
	}
	if d, problems := cases.New(doc); d != nil || problems.Err() == nil {
		t.Errorf("%v", problems)
	}
}
