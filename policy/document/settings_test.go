package document_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

const settings = `organization: acme
retention: {sign_in_days: 90, activity_days: 3650, hold: true, hold_reason: case 7}
privacy: {email: pseudonym, ip: TRUNCATED}
sites:
  - {id: wiki, region: eu-west-1, privacy: {ip: full, user_content: omitted}}
  - {id: shop}
`

func TestSettingsAreReadAndExported(t *testing.T) {
	s := standing(t, settings)
	o := s.Organization
	want := policy.Retention{HoldReason: "case 7", Retention: audit.Retention{SignIn: 90, Activity: 3650, Hold: true}}
	if o.Retention != want || o.Privacy != (audit.Privacy{Email: audit.EmailPseudonym, IP: audit.IPTruncated}) {
		t.Errorf("read %+v and %+v", o.Retention, o.Privacy)
	}
	wiki := o.Sites[0]
	if wiki.Region != "eu-west-1" || wiki.Privacy != (audit.Privacy{IP: audit.IPFull, UserContent: audit.ContentOmitted}) || o.Sites[1].Region != "" {
		t.Errorf("read %+v", o.Sites)
	}
	text := unchanged(t, s).Text
	for _, line := range []string{"retention:\n  sign_in_days: 90\n  administration_days: 180\n  activity_days: 3650\n  hold: true\n", "privacy:\n  email: pseudonym\n  ip: truncated\n",
		"    privacy:\n      ip: full\n      user_content: omitted\n", "region: eu-west-1\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is not in\n%s", line, text)
		}
	}
	plain := standing(t, "organization: acme\n")
	if text := unchanged(t, plain).Text; !strings.Contains(text, "\nretention: {}\nprivacy: {}\n") {
		t.Errorf("an export that would not take settings back:\n%s", text)
	}
}

// changed is what applying a document to what another one made does to the organization and its first site.
func changed(t *testing.T, from, to string) map[string][2]string {
	t.Helper()
	was := standing(t, from)
	d, problems := document.Parse([]byte(to))
	if d == nil {
		t.Fatal(problems)
	}
	p, problems := document.PlanOf(d, document.Current{Organization: was.Organization, UID: was.Organization.UID}, namer{}, counter())
	if p == nil {
		t.Fatal(problems)
	}
	out := map[string][2]string{}
	for _, o := range p.Objects {
		for _, c := range o.Changes {
			out[o.Target.ID+" "+c.Field] = [2]string{c.Before, c.After}
		}
	}
	return out
}

func TestAChangeOfSettingsSaysWhatWasInForceAndWhatIs(t *testing.T) {
	got := changed(t, "organization: acme\nsites: [{id: wiki}]\n", "organization: acme\nretention: {sign_in_days: 90, hold: true, hold_reason: case 7}\n"+
		"privacy: {email: omitted, ip: full}\nsites: [{id: wiki, region: eu, privacy: {email: full}}]\n")
	want := map[string][2]string{"acme retention.sign_in_days": {"180", "90"}, "acme retention.hold": {"", "true"}, "acme retention.hold_reason": {"", "case 7"},
		"acme privacy.email": {"FULL", "OMITTED"}, "wiki privacy.email": {"", "FULL"}, "wiki region": {"", "eu"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	got = changed(t, settings, "organization: acme\nretention: {}\nprivacy: {}\n")
	want = map[string][2]string{"acme retention.sign_in_days": {"90", "180"}, "acme retention.activity_days": {"3650", "180"}, "acme retention.hold": {"true", ""},
		"acme retention.hold_reason": {"case 7", ""}, "acme privacy.email": {"PSEUDONYM", "FULL"}, "acme privacy.ip": {"TRUNCATED", "FULL"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	if got := changed(t, settings, "organization: acme\n"); len(got) != 0 {
		t.Errorf("what is not named changes: %v", got)
	}
	if got := changed(t, "organization: acme\n", "organization: acme\nretention: {sign_in_days: 180}\nprivacy: {email: full}\n"); len(got) != 0 {
		t.Errorf("what is in force anyway is a change: %v", got)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	for text, path := range map[string]string{
		"retention: {sign_in_days: 0}":               "retention.sign_in_days",
		"retention: {sign_in_days: 3651}":            "retention.sign_in_days",
		"retention: {sign_in_days: -1}":              "retention.sign_in_days",
		"retention: {sign_in_days: 90.5}":            "retention.sign_in_days",
		"retention: {activity_days: 90d}":            "retention.activity_days",
		"retention: {activity_days: 99999999999999}": "retention.activity_days",
		"retention: {forever: true}":                 "retention.forever",
		"retention: 90":                              "retention",
		"privacy: {email: hashed}":                   "privacy.email",
		"privacy: {ip: pseudonym}":                   "privacy.ip",
		"privacy: {user_content: full}":              "privacy.user_content",
		"sites: [{id: wiki, privacy: full}]":         "sites[wiki].privacy",
	} {
		d, problems := document.Parse([]byte("organization: acme\n" + text + "\n"))
		if d != nil || len(problems) == 0 || problems[0].Path != path || problems[0].Line != 2 {
			t.Errorf("%s: %v", text, problems)
		}
	}
}
