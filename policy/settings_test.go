package policy_test

import (
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

func retention(signIn, administration, activity int, hold bool) policy.Retention {
	return policy.Retention{Retention: audit.Retention{SignIn: signIn, Administration: administration, Activity: activity, Hold: hold}}
}

func TestWhatLetsAPartOfTheRecordGo(t *testing.T) {
	for _, try := range []struct {
		was, is policy.Retention
		loses   bool
	}{
		{retention(0, 0, 0, false), retention(180, 180, 180, false), false},
		{retention(0, 0, 0, false), retention(179, 0, 0, false), true},
		{retention(90, 0, 0, false), retention(0, 0, 0, false), false},
		{retention(0, 200, 0, false), retention(0, 0, 0, false), true},
		{retention(0, 0, 10, false), retention(300, 300, 9, true), true},
		{retention(0, 0, 0, true), retention(0, 0, 0, false), true},
		{retention(0, 0, 0, false), retention(0, 0, 0, true), false},
	} {
		if got := try.was.Loses(&try.is); got != try.loses {
			t.Errorf("%+v to %+v: %t", try.was, try.is, got)
		}
	}
	standard := policy.Retention{}
	if standard.Days() != audit.StandardRetention() || standard.Days().Validate() != nil {
		t.Errorf("nothing said is %+v", standard.Days())
	}
}

func TestAnEventSaysWhatItsOrganizationAndSiteSay(t *testing.T) {
	o := &policy.Organization{UID: "o", Sandbox: true, Privacy: audit.Privacy{Email: audit.EmailPseudonym, IP: audit.IPOmitted}, Sites: []policy.Site{
		{ID: "wiki", UID: "w", Privacy: audit.Privacy{IP: audit.IPFull, UserContent: audit.ContentOmitted}, Region: "eu"}, {ID: "shop", UID: "s"}}}
	for _, try := range []struct {
		e    audit.Event
		want audit.Event
	}{
		{audit.Event{}, audit.Event{Privacy: audit.Privacy{Email: audit.EmailPseudonym, IP: audit.IPOmitted}}},
		{audit.Event{SiteUID: "s"}, audit.Event{Privacy: audit.Privacy{Email: audit.EmailPseudonym, IP: audit.IPOmitted}}},
		{audit.Event{SiteUID: "w"}, audit.Event{Privacy: audit.Privacy{Email: audit.EmailPseudonym, IP: audit.IPFull, UserContent: audit.ContentOmitted}, Region: "eu"}},
		{audit.Event{SiteUID: "gone"}, audit.Event{Privacy: audit.Privacy{Email: audit.EmailPseudonym, IP: audit.IPOmitted}}},
		{audit.Event{SiteUID: "w", Region: "us", Privacy: audit.Privacy{Email: audit.EmailOmitted}},
			audit.Event{Privacy: audit.Privacy{Email: audit.EmailOmitted, IP: audit.IPFull, UserContent: audit.ContentOmitted}, Region: "us"}},
	} {
		o.Marks(&try.e)
		if try.e.Privacy != try.want.Privacy || try.e.Region != try.want.Region || !try.e.Sandbox {
			t.Errorf("site %q: %+v of %q, want %+v of %q", try.e.SiteUID, try.e.Privacy, try.e.Region, try.want.Privacy, try.want.Region)
		}
	}
}

func TestASiteIsTakenInItsRegionOnly(t *testing.T) {
	for _, try := range []struct {
		site, process string
		taken         bool
	}{{"", "", true}, {"", "eu", true}, {"eu", "eu", true}, {"eu", "us", false}, {"eu", "", false}} {
		err := (&policy.Site{ID: "wiki", Region: try.site}).InRegion(try.process)
		if (err == nil) != try.taken || err != nil && (!errs.Is(err, "REGION_MISMATCH") || errs.KindOf(err) != errs.FailedPrecondition) {
			t.Errorf("site of %q at a process of %q: %v", try.site, try.process, err)
		}
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	for _, try := range []struct {
		change func(o *policy.Organization)
		path   string
	}{
		{func(o *policy.Organization) { o.Retention = retention(3651, 0, 0, false) }, "retention.sign_in_days"},
		{func(o *policy.Organization) { o.Retention = retention(0, -1, 0, false) }, "retention.administration_days"},
		{func(o *policy.Organization) { o.Retention = retention(0, 0, 1<<40, false) }, "retention.activity_days"},
		{func(o *policy.Organization) { o.Retention.HoldReason = "case 7" }, "retention.hold_reason"},
		{func(o *policy.Organization) {
			o.Retention = policy.Retention{HoldReason: "a\x00b"}
			o.Retention.Hold = true
		}, "retention.hold_reason"},
		{func(o *policy.Organization) { o.Sites[0].Region = "EU" }, "sites[wiki].region"},
		{func(o *policy.Organization) { o.Sites[0].Region = "1eu" }, "sites[wiki].region"},
		{func(o *policy.Organization) { o.Sites[0].Region = strings.Repeat("e", 64) }, "sites[wiki].region"},
		{func(o *policy.Organization) { o.Sites[0].Region = "eu\n" }, "sites[wiki].region"},
	} {
		o := &policy.Organization{ID: "acme", Sites: []policy.Site{{ID: "wiki", UID: "w", Region: "eu-west-1"}}, Retention: retention(1, 3650, 0, false)}
		if p := o.Validate(); len(p) != 0 {
			t.Fatalf("what can be has problems: %+v", p)
		}
		try.change(o)
		if p := o.Validate(); len(p) == 0 || p[0].Path != try.path {
			t.Errorf("want a problem at %s, have %+v", try.path, p)
		}
	}
}
