package directory_test

import (
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
)

// setting is a change of some settings of acme.
func setting(reason string, r policy.Retention, fields ...string) directory.OrganizationInput {
	in := directory.OrganizationInput{ResourceChange: of("acme"), Retention: r, Fields: fields}
	in.Reason = reason
	return in
}

func days(signIn int, hold bool) policy.Retention {
	return policy.Retention{Retention: audit.Retention{SignIn: signIn, Hold: hold}}
}

func TestLettingAPartOfTheRecordGoNeedsAReason(t *testing.T) {
	w := newWorld(t)
	r := w.resources()
	uid := w.must(directory.ApplyInput{Document: []byte("organization: acme\n")}).Organization.UID
	if _, err := r.UpdateOrganization(t.Context(), "unix:7", setting("", days(90, false), directory.FieldSignInDays)); !errs.Is(err, "REASON_REQUIRED") {
		t.Fatalf("fewer days without a reason: %v", err)
	}
	if n := len(w.events(uid)); n != 1 {
		t.Errorf("what was refused left %d events", n-1)
	}
	look := setting("", days(90, false), directory.FieldSignInDays)
	look.ValidateOnly = true
	if o, err := r.UpdateOrganization(t.Context(), "unix:7", look); err != nil || o.Retention.SignIn != 90 {
		t.Errorf("to look at it needs one: %v", err)
	}
	o, err := r.UpdateOrganization(t.Context(), "unix:7", setting("review", days(90, false), directory.FieldSignInDays))
	if err != nil || o.Retention.Days() != (audit.Retention{SignIn: 90, Administration: 180, Activity: 180}) || o.PolicyStamp != o.Stamp {
		t.Fatalf("%+v, %v", o, err)
	}
	if e := w.last(uid); e.Type != audit.TypeOrganizationUpdated || field(e, "retention.sign_in_days") != (audit.Change{Field: "retention.sign_in_days", Before: "180", After: "90"}) ||
		e.Personal.Detail != "review" {
		t.Errorf("%+v", e)
	}
	held := days(0, true)
	held.HoldReason = "case 7"
	if o, err = r.UpdateOrganization(t.Context(), "unix:7", setting("", held, directory.FieldHold, directory.FieldHoldReason)); err != nil || !o.Retention.Hold || o.Retention.SignIn != 90 {
		t.Fatalf("a hold: %+v, %v", o, err)
	}
	if _, err := r.UpdateOrganization(t.Context(), "unix:7", setting("", days(0, false), directory.FieldHold)); !errs.Is(err, "REASON_REQUIRED") {
		t.Errorf("lifting a hold without a reason: %v", err)
	}
	if _, err := w.apply(directory.ApplyInput{Document: []byte("organization: acme\nretention: {sign_in_days: 90}\n"), Etag: w.etag()}); !errs.Is(err, "REASON_REQUIRED") {
		t.Errorf("a document that lifts a hold without a reason: %v", err)
	}
	if o, err = r.UpdateOrganization(t.Context(), "unix:7", setting("over", days(0, false), directory.FieldHold)); err != nil || o.Retention.Hold || o.Retention.HoldReason != "" {
		t.Errorf("lifted: %+v, %v", o, err)
	}
	if o, err = r.UpdateOrganization(t.Context(), "unix:7", setting("", days(365, false), directory.FieldRetention)); err != nil || o.Retention.Days() != (audit.Retention{SignIn: 365, Administration: 180, Activity: 180}) {
		t.Errorf("more days need none: %+v, %v", o, err)
	}
	if _, err := r.UpdateOrganization(t.Context(), "unix:7", setting("x", days(3651, false), directory.FieldSignInDays)); !errs.Is(err, "FIELD_INVALID") {
		t.Errorf("too many days: %v", err)
	}
}

func TestAnOrganizationOnHoldIsNotDeleted(t *testing.T) {
	w := newWorld(t)
	w.must(directory.ApplyInput{Document: []byte("organization: acme\ndisabled: true\nretention: {hold: true}\n")})
	if err := w.resources().DeleteOrganization(t.Context(), "unix:7", w.deletion()); !errs.Is(err, directory.ReasonOnHold) {
		t.Fatalf("deleted on hold: %v", err)
	}
	w.must(directory.ApplyInput{Document: []byte("organization: acme\nretention: {}\n"), Etag: w.etag(), Reason: "over"})
	if err := w.resources().DeleteOrganization(t.Context(), "unix:7", w.deletion()); err != nil {
		t.Error(err)
	}
}

func TestPrivacyIsSetByFieldsAndBindsTheEventThatSetsIt(t *testing.T) {
	w := newWorld(t)
	r := w.resources()
	uid := w.must(directory.ApplyInput{Document: []byte("organization: acme\nprivacy: {ip: truncated}\nsites: [{id: wiki}]\n")}).Organization.UID
	in := directory.OrganizationInput{ResourceChange: of("acme"), Privacy: audit.Privacy{Email: audit.EmailPseudonym, UserContent: audit.ContentOmitted},
		Fields: []string{directory.FieldPrivacyEmail}}
	in.Reason = "asked by ada@gmail.com"
	o, err := r.UpdateOrganization(t.Context(), "unix:7", in)
	if err != nil || o.Privacy != (audit.Privacy{Email: audit.EmailPseudonym, IP: audit.IPTruncated}) {
		t.Fatalf("%+v, %v", o.Privacy, err)
	}
	e := w.last(uid)
	if e.Privacy != o.Privacy || field(e, "privacy.email") != (audit.Change{Field: "privacy.email", Before: "FULL", After: "PSEUDONYM"}) ||
		e.Personal.Detail != "asked by "+w.keyring.Pseudonym(uid, "ada@gmail.com") {
		t.Errorf("%+v", e)
	}
	s := site("wiki", directory.FieldPrivacy)
	s.Site.Privacy = audit.Privacy{Email: audit.EmailFull}
	if o, err = r.UpdateSite(t.Context(), "unix:7", s); err != nil || o.PrivacyAt(o.Sites[0].UID) != (audit.Privacy{Email: audit.EmailFull, IP: audit.IPTruncated}) {
		t.Errorf("%+v, %v", o, err)
	}
	if e := w.last(uid); e.Type != audit.TypeSiteUpdated || field(e, "privacy.email").After != "FULL" {
		t.Errorf("%+v", e)
	}
}

func TestClaimsOfAnOrganizationThatKeepsNoAddressesAreNotNamed(t *testing.T) {
	w := newWorld(t)
	r := w.must(directory.ApplyInput{Reason: "for ada@gmail.com", Document: []byte("organization: acme\nprivacy: {email: omitted}\n" +
		"claims: {accounts: [acct-1], addresses: [ada@gmail.com]}\n")})
	for _, e := range w.events(r.Organization.UID) {
		if e.Privacy.Email != audit.EmailOmitted || e.Personal.Detail != "" && e.Personal.Detail != "for [omitted]" {
			t.Errorf("%s keeps %+v", e.Type, e.Personal)
		}
		if e.Type == audit.TypeAccountClaimed && (len(e.Personal.Items) != 1 || e.Personal.Items[0] != "acct-1" || e.Target.Count != 2) {
			t.Errorf("claimed %v of %d", e.Personal.Items, e.Target.Count)
		}
	}
}

func TestASiteIsBoundToTheRegionOfTheProcessAlone(t *testing.T) {
	for _, region := range []string{"", "us"} {
		w := newWorld(t)
		w.deps.Region = region
		document := []byte("organization: acme\nsites: [{id: wiki, region: eu}]\n")
		if _, err := w.apply(directory.ApplyInput{Document: document}); !errs.Is(err, "REGION_MISMATCH") || errs.KindOf(err) != errs.FailedPrecondition {
			t.Fatalf("a process of %q took it: %v", region, err)
		}
		if _, err := w.apply(directory.ApplyInput{Document: document, ValidateOnly: true}); !errs.Is(err, "REGION_MISMATCH") {
			t.Errorf("a look at it does not say so: %v", err)
		}
		w.deps.Region = "eu"
		w.must(directory.ApplyInput{Document: document})
		w.deps.Region = region
		r := w.resources()
		s := site("shop")
		s.Site.Region = "eu"
		if _, err := r.CreateSite(t.Context(), "unix:7", s); !errs.Is(err, "REGION_MISMATCH") {
			t.Errorf("made: %v", err)
		}
		s = site("wiki", directory.FieldRegion)
		s.Site.Region = "ap"
		if _, err := r.UpdateSite(t.Context(), "unix:7", s); !errs.Is(err, "REGION_MISMATCH") {
			t.Errorf("moved: %v", err)
		}
		if o, err := r.UpdateSite(t.Context(), "unix:7", site("wiki", directory.FieldDisplayName)); err != nil || o.Sites[0].Region != "eu" {
			t.Errorf("another field: %v", err)
		}
	}
}
