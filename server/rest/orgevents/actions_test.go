package orgevents_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
)

// Rule 9: what consumers read from the names of actions.

// consumer files a row as the ingest pipelines of today do: by the beginning or end of its action.
func consumer(action string) (category, outcome string) {
	switch {
	case strings.HasPrefix(action, "user_login_failed"):
		return "authentication", "failure"
	case strings.HasPrefix(action, "user_login"), strings.HasPrefix(action, "user_logout"):
		return "authentication", "success"
	case strings.HasSuffix(action, "_policy_update"), strings.HasPrefix(action, "api_token_"), strings.HasPrefix(action, "user_"):
		return "iam", "success"
	}
	return "configuration", "success"
}

// one archives one event of a type and returns how each detail shows it, "" for not.
func one(t *testing.T, kind audit.Type) (flows, steps string) {
	t.Helper()
	r := newRig(t)
	r.archive.add(uidA, audit.Event{Type: kind, Flow: "01a1f978-9437-79a1-9c85-dce7e8e2197e", Step: 1})
	for key, to := range map[string]*string{"flows": &flows, "steps": &steps} {
		for _, path := range []string{"/acme/events", "/acme/events-stream"} {
			l := r.list(path, key)
			if len(l.Data) == 1 {
				*to = l.Data[0].Attributes.Action
			}
		}
	}
	return flows, steps
}

var name = regexp.MustCompile(`^[a-z][a-z0-9_]{2,63}$`)

func TestRule9EveryTypeOfTheCatalogueHasANameThatConsumersFileRight(t *testing.T) {
	r := newRig(t)
	var listed struct{ Data []struct{ ID, Type string } }
	if err := json.Unmarshal(r.get("/acme/event-actions", "steps").body, &listed); err != nil {
		t.Fatal(err)
	}
	for _, info := range audit.Types() {
		flows, steps := one(t, info.Type)
		if !name.MatchString(steps) || flows != "" && flows != steps {
			t.Errorf("%s is called %q and %q", info.Type, steps, flows)
		}
		if !slices.ContainsFunc(listed.Data, func(a struct{ ID, Type string }) bool {
			return a.ID == strings.ToUpper(steps) && a.Type == "eventActions"
		}) {
			t.Errorf("%s is not in the list of actions", steps)
		}
		category, outcome := consumer(steps)
		switch signIn := info.Category != audit.CategoryAdministration && info.Type != audit.TypeUnreadable; {
		case signIn && info.Outcome == audit.OutcomeFailure && (category != "authentication" || outcome != "failure"),
			info.Ending == audit.EndingSucceeded && steps != "user_login",
			info.Ending != audit.EndingNone && info.Ending != audit.EndingSucceeded && outcome != "failure",
			info.Ending == audit.EndingNone && info.Type != audit.TypeSessionEnded && category == "authentication" && outcome == "success",
			strings.HasPrefix(string(info.Type), "policy.") && !strings.HasSuffix(steps, "_policy_update"):
			t.Errorf("%s is called %s, which is filed as %s %s", info.Type, steps, category, outcome)
		}
		if info.Step && info.Ending == audit.EndingNone && flows != "" || (info.Ending != audit.EndingNone || info.Category == audit.CategoryAdministration) && flows == "" {
			t.Errorf("%s with detail flows is %q", info.Type, flows)
		}
		if strings.HasPrefix(steps, "event_of") || strings.Contains(steps, "other_") {
			t.Errorf("%s has no name of its own", info.Type)
		}
	}
}

func TestRule9AsTheTableSays(t *testing.T) {
	for kind, want := range map[audit.Type]string{
		audit.TypeSignInSucceeded: "user_login", audit.TypeSignInDenied: "user_login_failed_denied", audit.TypeSignInFailed: "user_login_failed",
		audit.TypeSignInAbandoned: "user_login_failed_abandoned", audit.TypeSignInCancelled: "user_login_failed_cancelled",
		audit.TypeSignInSuperseded: "user_login_failed_superseded", audit.TypeTokenBlocked: "user_login_failed_token_blocked",
		audit.TypeAuthenticatorEnrolled: "twosv_enabled_for_user", audit.TypeAuthenticatorReset: "twosv_disabled_for_user",
		audit.TypePolicySuspended: "external_user_policy_update", audit.TypeDomainVerified: "domain_claimed",
		audit.TypePasswordRejected: "user_login_failed_step_password", audit.TypeMFALocked: "user_login_failed_step_mfa_locked",
		audit.TypeSSOVerified: "login_sso_verified", audit.TypeSocialStarted: "login_social_started", audit.TypeSessionReused: "login_session_reused",
		audit.TypeTokenUsed: "login_token_used", audit.TypeSignInStarted: "login_started", audit.TypeMFAChallenged: "login_mfa_challenged",
		audit.TypeKeyCreated: "api_token_created", audit.TypeLogTested: "audit_log_tested", audit.TypeSessionEnded: "user_logout",
	} {
		if _, got := one(t, kind); got != want {
			t.Errorf("%s is called %s", kind, got)
		}
	}
}

func TestATypeOfALaterVersionIsShownWithStepsAndNeverTakenForASignIn(t *testing.T) {
	for kind, want := range map[audit.Type]string{"user.login": "other_user_login", "wallet.opened": "wallet_opened"} {
		flows, steps := one(t, kind)
		if flows != "" || steps != want {
			t.Errorf("%s: %q, %q", kind, flows, steps)
		}
	}
}

func TestNFlowsCountAsNSignInsAndWrongCodesAsNone(t *testing.T) {
	r := newRig(t)
	const flows = 7
	for range flows {
		r.archive.add(uidA, signIn(4)...)
	}
	logins, failures := 0, 0
	l := r.list("/acme/events-stream?limit=500", "flows")
	for _, row := range l.Data {
		switch category, outcome := consumer(row.Attributes.Action); {
		case category == "authentication" && outcome == "success":
			logins++
		case category == "authentication":
			failures++
		}
		steps := 0
		for _, c := range row.Attributes.Context {
			if c.Type == "steps" {
				steps++
			}
		}
		if steps != 7 {
			t.Errorf("%d steps in the context of %s", steps, row.Attributes.Action)
		}
	}
	if logins != flows || failures != 0 {
		t.Errorf("%d sign-ins, %d failures", logins, failures)
	}
	logins = 0
	for _, row := range r.list("/acme/events-stream?limit=500", "steps").Data {
		if category, outcome := consumer(row.Attributes.Action); category == "authentication" && outcome == "success" {
			logins++
		}
	}
	if logins != flows {
		t.Errorf("with steps: %d sign-ins", logins)
	}
}
