package authflow

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// TestEndings is the truth table of how flows end.
func TestEndings(t *testing.T) {
	proves := func(d *driver) { d.put(reports(audit.TypePasswordVerified, alice)) }
	second := func(d *driver) { d.put(reports(audit.TypeMFAVerified, "")) }
	wrongCode := func(d *driver) { d.put(reports(audit.TypeMFARejected, "")) }
	refusedPassword := func(d *driver) { d.put(reports(audit.TypePasswordRejected, "")) }
	blockExternal := func(d *driver) { d.org = changed(d.org, stops["external"]) }
	timePasses := func(d *driver) { d.now = d.s.Deadline }
	newer := func(d *driver) { d.marked = true }
	ends := func(a Action) func(*driver) { return func(d *driver) { d.put(finishes(a)) } }
	completes, cancels, refuses := ends(ActionComplete), ends(ActionCancel), ends(ActionRefuse)
	ticks := func(d *driver) { d.put(Input{Kind: KindTick}) }
	identity := func(d *driver) {
		d.put(with(reports(audit.TypeSSOVerified, ""), func(r *Reported) {
			r.Evidence, r.Checks, r.IdentityKey = audit.EvidenceVerified, []string{"signature"}, []byte("key-1")
			r.Issuer, r.SubjectID = "https://idp.example", "s1"
		}))
	}
	only := func(method string) policy.Policy {
		return policy.Policy{Default: policy.Demands{Methods: []string{method}}}
	}
	ssoVerified := policy.Policy{Default: policy.Demands{SSOConnection: "okta"}}
	fresh := policy.Policy{Default: policy.Demands{Reverify: 5 * time.Minute}}
	block := policy.Policy{Default: policy.Demands{Block: true}}

	for _, c := range []struct {
		name   string
		policy policy.Policy
		do     []func(*driver)
		ending audit.Ending
		reason string
	}{
		{"completed with every demand met it succeeds", demandsMFA, []func(*driver){proves, second, completes}, audit.EndingSucceeded, ""},
		{"completed with no demands it succeeds on any proof", noDemands, []func(*driver){proves, completes}, audit.EndingSucceeded, ""},
		{"completed after wrong codes and a right one it succeeds", demandsMFA, []func(*driver){proves, wrongCode, wrongCode, second, completes}, audit.EndingSucceeded, ""},
		{"a rejection takes no ALLOW back", demandsMFA, []func(*driver){proves, second, wrongCode, completes}, audit.EndingSucceeded, ""},
		{"completed with nothing proven it fails", noDemands, []func(*driver){completes}, audit.EndingFailed, audit.ReasonNothingProven},
		{"completed after only rejections it fails with the last one's reason", noDemands, []func(*driver){refusedPassword, completes}, audit.EndingFailed, audit.ReasonBadCredentials},
		{"completed without a second factor it is denied", demandsMFA, []func(*driver){proves, wrongCode, completes}, audit.EndingDenied, audit.ReasonMFARequired},
		{"completed with a method that is not allowed it is denied", only(audit.MethodPasskey), []func(*driver){proves, completes}, audit.EndingDenied, audit.ReasonMethodNotAllowed},
		{"completed without single sign-on it is denied", ssoVerified, []func(*driver){proves, completes}, audit.EndingDenied, audit.ReasonSSORequired},
		{"completed with asserted single sign-on where it must be verified it is denied", ssoVerified,
			[]func(*driver){func(d *driver) { d.put(reports(audit.TypeSSOVerified, alice)) }, completes}, audit.EndingDenied, audit.ReasonEvidenceTooWeak},
		{"completed with nothing but an old session it is denied where a fresh credential is demanded", fresh,
			[]func(*driver){func(d *driver) { d.put(reports(audit.TypeSessionReused, alice)) }, completes}, audit.EndingDenied, audit.ReasonReverificationRequired},
		{"completed by somebody the deciding rule blocks it is denied", block, []func(*driver){proves, completes}, audit.EndingDenied, audit.ReasonOrganizationBlocksExternal},
		{"completed with a verified identity that no account goes with it is denied", noDemands, []func(*driver){identity, completes}, audit.EndingDenied, audit.ReasonNoSubject},
		{"an identity gets its account from the next call that names one", noDemands, []func(*driver){identity, proves, completes}, audit.EndingSucceeded, ""},
		{"a stop that came meanwhile denies the completion", demandsMFA, []func(*driver){proves, second, blockExternal, completes}, audit.EndingDenied, audit.ReasonOrganizationBlocksExternal},
		{"a stop on a later step ends what was granted", demandsMFA, []func(*driver){proves, second, blockExternal, wrongCode}, audit.EndingDenied, audit.ReasonOrganizationBlocksExternal},
		{"the login service refuses somebody granted", noDemands, []func(*driver){proves, refuses}, audit.EndingDenied, audit.ReasonNotInvited},
		{"the login service refuses before anything was proven", noDemands, []func(*driver){refuses}, audit.EndingDenied, audit.ReasonNotInvited},
		{"called off it is cancelled, proven or not", noDemands, []func(*driver){proves, cancels}, audit.EndingCancelled, ""},
		{"called off while a stop bites it is cancelled", noDemands, []func(*driver){proves, blockExternal, cancels}, audit.EndingCancelled, ""},
		{"called off after the deadline it was abandoned", noDemands, []func(*driver){timePasses, cancels}, audit.EndingAbandoned, ""},
		{"completed at the deadline it was abandoned", noDemands, []func(*driver){proves, timePasses, completes}, audit.EndingAbandoned, audit.ReasonNotConfirmed},
		{"abandoned before anybody was allowed it needs no confirmation", demandsMFA, []func(*driver){proves, timePasses, ticks}, audit.EndingAbandoned, ""},
		{"superseded while it was open", noDemands, []func(*driver){newer, ticks}, audit.EndingSuperseded, ""},
		{"superseded after ALLOW it may have let somebody in", noDemands, []func(*driver){proves, newer, completes}, audit.EndingSuperseded, audit.ReasonNotConfirmed},
		{"past the deadline a superseded flow is abandoned", noDemands, []func(*driver){newer, timePasses, ticks}, audit.EndingAbandoned, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDriver(t, acme(c.policy))
			d.put(starts(t, external(t)))
			for _, do := range c.do {
				do(d)
				checkFlow(t, d)
			}
			if d.s.Phase != PhaseEnded || d.s.Ending != c.ending || d.s.Reason != c.reason {
				t.Fatalf("ended %v %q, want %v %q", d.s.Ending, d.s.Reason, c.ending, c.reason)
			}
			want := audit.VerdictDeny
			if c.ending == audit.EndingSucceeded {
				want = audit.VerdictAllow
			}
			end := d.events[len(d.events)-1]
			if d.last.Verdict != want || end.Type != audit.EndingType(c.ending) || end.Decision == nil || d.last.Reason != c.reason {
				t.Fatalf("verdict %v, %s, decision %v, reason %q", d.last.Verdict, end.Type, end.Decision != nil, d.last.Reason)
			}
			wantReason(t, d.try(finishes(ActionComplete)), ErrFlowEnded)
		})
	}
}

func TestTheTenthRejectionEndsTheFlowInItsOwnCommit(t *testing.T) {
	d := newDriver(t, acme(noDemands))
	d.put(starts(t, external(t)))
	for range MaxRejections - 1 {
		if m := d.put(reports(audit.TypePasswordRejected, "")); m.State.Phase != PhaseOpen {
			t.Fatal("ended too early")
		}
	}
	m := d.put(reports(audit.TypeSocialRejected, ""))
	checkFlow(t, d)
	if d.s.Ending != audit.EndingFailed || d.s.Reason != audit.ReasonUserCancelled || len(m.Events) != 2 || m.Step != MaxRejections+2 {
		t.Fatalf("%v %q, %d events, step %d", d.s.Ending, d.s.Reason, len(m.Events), m.Step)
	}
}

func TestStepSixtyFourIsTheEndings(t *testing.T) {
	d := newDriver(t, acme(noDemands))
	d.put(starts(t, external(t)))
	for len(d.s.Steps) < MaxSteps-1 {
		d.put(reports(audit.TypeSSOStarted, ""))
	}
	m := d.put(reports(audit.TypePasswordVerified, alice))
	checkFlow(t, d)
	if d.s.Ending != audit.EndingFailed || d.s.Reason != audit.ReasonTooManySteps || m.Step != MaxSteps || d.s.Bound != nil {
		t.Fatalf("%v %q at step %d, bound %v", d.s.Ending, d.s.Reason, m.Step, d.s.Bound)
	}
}

func TestAFullFlowMeetsAStopAsAStop(t *testing.T) {
	d := newDriver(t, acme(noDemands))
	d.put(starts(t, external(t)))
	for len(d.s.Steps) < MaxSteps-1 {
		d.put(reports(audit.TypeSSOStarted, ""))
	}
	d.org = changed(d.org, stops["network"])
	d.put(reports(audit.TypePasswordRejected, alice))
	if d.s.Ending != audit.EndingDenied || d.s.Reason != audit.ReasonNetworkBlocked || len(d.s.Steps) != MaxSteps {
		t.Fatalf("%v %q after %d steps", d.s.Ending, d.s.Reason, len(d.s.Steps))
	}
}

func TestWhatWasGrantedDoesNotAge(t *testing.T) {
	d := newDriver(t, acme(policy.Policy{Default: policy.Demands{
		MFA: &policy.MFADemand{Evidence: audit.EvidenceAsserted, MaxAge: 2 * time.Minute}}}))
	d.put(starts(t, external(t)))
	d.put(reports(audit.TypePasswordVerified, alice))
	d.put(reports(audit.TypeMFAVerified, ""))
	d.now = d.now.Add(10 * time.Minute)
	d.put(reports(audit.TypePasswordVerified, alice))
	checkFlow(t, d)
	if m := d.put(finishes(ActionComplete)); m.State.Ending != audit.EndingSucceeded {
		t.Fatalf("%v %q", m.State.Ending, m.State.Reason)
	}
}

func TestWhatWasNeverGrantedDoesAge(t *testing.T) {
	d := newDriver(t, acme(policy.Policy{Default: policy.Demands{Reverify: 2 * time.Minute,
		MFA: &policy.MFADemand{Evidence: audit.EvidenceAsserted}}}))
	d.put(starts(t, external(t)))
	d.put(reports(audit.TypePasswordVerified, alice))
	d.now = d.now.Add(10 * time.Minute)
	if m := d.put(finishes(ActionComplete)); m.State.Ending != audit.EndingDenied {
		t.Fatalf("%v %q", m.State.Ending, m.State.Reason)
	}
}
