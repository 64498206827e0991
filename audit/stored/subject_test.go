package stored_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
	"github.com/postern-audit/postern/internal/errs"
)

func TestARowOfAPersonComesBackWhole(t *testing.T) {
	at := func(n int) time.Time { return time.Date(2026, 11, 20, 8, 0, n, n, time.UTC) }
	full := audit.SubjectRow{OrganizationUID: "org", Subject: audit.Index{Purpose: audit.IndexAccount, Value: []byte{1, 0, 255}}, Site: "wiki\x00\xff", SiteUID: "uid",
		Class: audit.ClassManaged, ClassSince: at(1), First: at(2), Last: at(3), LastSignIn: at(4), SignIns: 5, Refusals: 6, Rejections: 7,
		Methods: []string{"", "a\xff"}, LastMFA: at(8), LastMFAFactor: "TOTP", LastMFAEvidence: audit.EvidenceVerified, Enrolled: at(9), Locked: at(10),
		NewestEventID: "event", Newest: 11}
	v := reflect.ValueOf(full)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not tested", v.Type().Field(i).Name)
		}
	}
	for _, want := range []audit.SubjectRow{full, {OrganizationUID: "org", Subject: audit.Index{Purpose: audit.IndexAccount, Value: []byte{1}}}} {
		b, err := stored.Subject(&want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := stored.SubjectFrom("org", b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
}

func TestARowThatCannotBeReadIsAnError(t *testing.T) {
	for text, reason := range map[string]string{"": "RECORD_FORMAT_NEWER", "\x02": "RECORD_FORMAT_NEWER", "\x01\xff": "RECORD_MALFORMED"} {
		if _, err := stored.SubjectFrom("org", []byte(text)); !errs.Is(err, reason) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPlacesAreShortPlainAndTheirOwn(t *testing.T) {
	seen := map[string]audit.SubjectRow{}
	for _, r := range []audit.SubjectRow{{}, {Site: "wiki"}, {Site: "wiki", SiteUID: "uid"}, {Site: "shop"}, {Site: "a", SiteUID: "b\x00"}, {Site: "a\x00", SiteUID: "b"},
		{Site: "\x00a", SiteUID: "b\x00"}, {Site: "x", SiteUID: strings.Repeat("u", 65)}, {Site: "x", SiteUID: "ä"}, {Site: "x", SiteUID: "~"}} {
		p := stored.Place(&r)
		if other, ok := seen[p]; ok || len(p) > 64 || strings.ContainsFunc(p, func(c rune) bool { return c < '-' || c > '~' }) {
			t.Errorf("%+v is at %q, as %+v", r, p, other)
		}
		seen[p] = r
	}
	if a, b := (audit.SubjectRow{Site: "old-id", SiteUID: "uid"}), (audit.SubjectRow{Site: "new-id", SiteUID: "uid"}); stored.Place(&a) != stored.Place(&b) {
		t.Error("a site is its uid")
	}
}
