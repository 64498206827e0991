package authflow

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

func TestStepsThatCannotBeAreRefusedAndChangeNothing(t *testing.T) {
	yes := true
	bad := func(typ audit.Type, f func(*Reported)) Input { return with(reports(typ, alice), f) }
	for name, c := range map[string]struct {
		in     Input
		reason string
	}{
		"a type nobody reports":                      {bad("sign_in.started", func(*Reported) {}), ErrStepType},
		"an unknown type":                            {bad("password.maybe", func(*Reported) {}), ErrStepType},
		"a passwordless step without its method":     {bad(audit.TypePasswordlessStarted, func(r *Reported) { r.Method = "" }), ErrMethod},
		"a passwordless step by password":            {bad(audit.TypePasswordlessStarted, func(r *Reported) { r.Method = "password" }), ErrMethod},
		"a password step that names a method":        {bad(audit.TypePasswordVerified, func(r *Reported) { r.Method = "passkey" }), ErrMethod},
		"single sign-on through nothing":             {bad(audit.TypeSSOStarted, func(r *Reported) { r.Connection = "" }), ErrConnectionRequired},
		"single sign-on through an unknown one":      {bad(audit.TypeSSOVerified, func(r *Reported) { r.Connection = "nowhere" }), ErrConnectionUnknown},
		"single sign-on through a social connection": {bad(audit.TypeSSOVerified, func(r *Reported) { r.Connection = "google" }), ErrConnectionUnknown},
		"social sign-in through an SSO connection":   {bad(audit.TypeSocialVerified, func(r *Reported) { r.Connection = "okta" }), ErrConnectionUnknown},
		"a password step through a connection":       {bad(audit.TypePasswordVerified, func(r *Reported) { r.Connection = "okta" }), ErrConnectionUnexpected},
		"a factor that is none":                      {bad(audit.TypeMFAVerified, func(r *Reported) { r.Factor = "totp" }), ErrFactor},
		"a password step with a factor":              {bad(audit.TypePasswordVerified, func(r *Reported) { r.Factor = "TOTP" }), ErrFactor},
		"a rejection without a reason":               {bad(audit.TypePasswordRejected, func(r *Reported) { r.Reason = "" }), ErrReason},
		"a rejection with another method's reason":   {bad(audit.TypePasswordRejected, func(r *Reported) { r.Reason = audit.ReasonNonceMismatch }), ErrReason},
		"a proof with a reason":                      {bad(audit.TypePasswordVerified, func(r *Reported) { r.Reason = audit.ReasonMFARequired }), ErrReason},
		"reason OTHER without a detail":              {bad(audit.TypePasswordRejected, func(r *Reported) { r.Reason = audit.ReasonOther }), ErrDetailRequired},
		"a password that verified the user":          {bad(audit.TypePasswordVerified, func(r *Reported) { r.UserVerified = &yes }), ErrUserVerified},
		"an asserted proof of nobody":                {bad(audit.TypePasswordVerified, func(r *Reported) { r.Subject.AccountID = "" }), ErrAccountIDRequired},
		"an asserted step with checks":               {bad(audit.TypePasswordVerified, func(r *Reported) { r.Checks = []string{"nonce"} }), ErrEvidence},
		"a step on nobody's word":                    {bad(audit.TypePasswordVerified, func(r *Reported) { r.Evidence = 0 }), ErrEvidence},
		"a session without its credential's time":    {bad(audit.TypeSessionReused, func(r *Reported) { r.AuthenticatedAt = time.Time{} }), ErrAuthenticatedAt},
		"a session with a credential yet to come":    {bad(audit.TypeSessionReused, func(r *Reported) { r.AuthenticatedAt = noon.Add(time.Second) }), ErrAuthenticatedAhead},
		"a password with a credential's time":        {bad(audit.TypePasswordVerified, func(r *Reported) { r.AuthenticatedAt = noon }), ErrAuthenticatedAtOdd},
		"a step before the one in front":             {bad(audit.TypePasswordVerified, func(r *Reported) { r.OccurredAt = noon.Add(-time.Second) }), ErrOccurredAtOrder},
		"a step of tomorrow":                         {bad(audit.TypePasswordVerified, func(r *Reported) { r.OccurredAt = noon.Add(MaxAhead + 1) }), ErrOccurredAtAhead},
		"a step of last week":                        {bad(audit.TypePasswordVerified, func(r *Reported) { r.OccurredAt = noon.Add(-MaxPast - 1) }), ErrOccurredAtTooOld},
		"a second factor before anybody is bound":    {reports(audit.TypeMFAVerified, ""), ErrNotBound},
		"a refusal without a reason":                 {Input{Kind: KindFinish, Finish: &Finish{Action: ActionRefuse}}, ErrReason},
		"a refusal for a reason of policy":           {Input{Kind: KindFinish, Finish: &Finish{Action: ActionRefuse, Reason: audit.ReasonMFARequired}}, ErrReason},
		"a completion with a reason":                 {Input{Kind: KindFinish, Finish: &Finish{Action: ActionComplete, Reason: audit.ReasonNotInvited}}, ErrReason},
		"an action that is none":                     {Input{Kind: KindFinish, Finish: &Finish{Action: 9}}, ErrAction},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t, acme(noDemands))
			d.put(starts(t, external(t)))
			before := fmt.Sprintf("%+v", d.s)
			wantReason(t, d.try(c.in), c.reason)
			if after := fmt.Sprintf("%+v", d.s); after != before {
				t.Fatal("a refused call changed the flow")
			}
		})
	}
}

func TestAnotherProvenSubjectIsRecordedAsARejection(t *testing.T) {
	for _, typ := range []audit.Type{audit.TypePasswordVerified, audit.TypePasswordlessVerified, audit.TypeSocialVerified,
		audit.TypeSSOVerified, audit.TypeSessionReused, audit.TypeMFAVerified} {
		t.Run(string(typ), func(t *testing.T) {
			d := at(t, PhaseBound)
			m := d.put(reports(typ, mallory))
			checkFlow(t, d)
			e := m.Events[len(m.Events)-1]
			if e.Type != rejection(typ) || e.Reason != audit.ReasonSubjectMismatch || m.Reason != e.Reason || e.Counts != nil {
				t.Fatalf("%s %q %v", e.Type, e.Reason, e.Counts)
			}
			if e.Personal.PresentedAccountID != mallory || e.Personal.AccountID != alice || d.s.Bound.AccountID != alice || d.s.Rejections != 1 {
				t.Fatalf("%+v, bound %+v", e.Personal, d.s.Bound)
			}
			if m.Verdict != audit.VerdictContinue {
				t.Fatalf("verdict %v", m.Verdict)
			}
		})
	}
}

func TestAnotherVerifiedIdentityIsAMismatch(t *testing.T) {
	verified := func(key, account string) Input {
		return with(reports(audit.TypeSSOVerified, account), func(r *Reported) {
			r.Evidence, r.IdentityKey, r.Checks = audit.EvidenceVerified, []byte(key), []string{"signature"}
			r.Issuer, r.SubjectID = "https://idp.example", key
		})
	}
	d := newDriver(t, acme(noDemands))
	d.put(starts(t, external(t)))
	if m := d.put(verified("key-1", "")); m.Verdict != audit.VerdictContinue || m.Decision.Reason != audit.ReasonNoSubject {
		t.Fatalf("an identity without an account: %v %q", m.Verdict, m.Decision.Reason)
	}
	if m := d.put(verified("key-2", "")); m.Reason != audit.ReasonSubjectMismatch {
		t.Fatalf("another identity: %q", m.Reason)
	}
	if m := d.put(verified("key-1", alice)); m.Verdict != audit.VerdictAllow || d.s.Bound.AccountID != alice {
		t.Fatalf("the same identity, now with its account: %v %+v", m.Verdict, d.s.Bound)
	}
	if m := d.put(verified("key-1", mallory)); m.Reason != audit.ReasonSubjectMismatch {
		t.Fatalf("the same identity with another account: %q", m.Reason)
	}
	checkFlow(t, d)
}

func TestAVerifiedIdentityThatSharesNoNameWithTheBoundSubjectIsAMismatch(t *testing.T) {
	d := at(t, PhaseBound)
	m := d.put(with(reports(audit.TypeSSOVerified, ""), func(r *Reported) {
		r.Evidence, r.IdentityKey = audit.EvidenceVerified, []byte("key-1")
		r.Issuer, r.SubjectID = "https://idp.example", "s1"
	}))
	if m.Reason != audit.ReasonSubjectMismatch {
		t.Fatalf("%q", m.Reason)
	}
}

func TestEMailIsNeverCompared(t *testing.T) {
	d := at(t, PhaseBound)
	m := d.put(with(reports(audit.TypePasswordVerified, alice), func(r *Reported) { r.Subject.Address = address(t, "other@elsewhere.example.org") }))
	if m.Reason != "" || m.Counts == nil || !*m.Counts {
		t.Fatalf("%q %v", m.Reason, m.Counts)
	}
}

func TestAMethodThatDoesNotCountIsRecordedAsWhatHappened(t *testing.T) {
	d := newDriver(t, acme(policy.Policy{Default: policy.Demands{Methods: []string{"sso:okta"}, SSOEvidence: audit.EvidenceAsserted}}))
	d.put(starts(t, external(t)))
	m := d.put(reports(audit.TypePasswordVerified, alice))
	e := m.Events[0]
	if e.Type != audit.TypePasswordVerified || e.Counts == nil || *e.Counts || e.Reason != audit.ReasonMethodNotAllowed || d.s.Phase != PhaseBound {
		t.Fatalf("%s counts %v %q in %v", e.Type, e.Counts, e.Reason, d.s.Phase)
	}
	if e.Decision == nil || m.Counts == nil || *m.Counts || m.Reason != e.Reason || len(m.Next) != 1 || m.Next[0].Connection != "okta" {
		t.Fatalf("%+v", m)
	}
	if m = d.put(reports(audit.TypeSSOVerified, alice)); m.Verdict != audit.VerdictAllow || d.s.Bound.Step != 2 {
		t.Fatalf("%v, bound at step %d", m.Verdict, d.s.Bound.Step)
	}
	checkFlow(t, d)
}

func TestAStepThroughADisabledConnectionHappenedAndDoesNotCount(t *testing.T) {
	d := newDriver(t, acme(noDemands))
	d.put(starts(t, external(t)))
	d.org = changed(d.org, stops["connection"])
	m := d.put(reports(audit.TypeSSOVerified, alice))
	e := m.Events[0]
	if len(m.Events) != 2 || e.Counts == nil || *e.Counts || e.Reason != audit.ReasonConnectionDisabled || d.s.Ending != audit.EndingDenied {
		t.Fatalf("%d events, counts %v %q, %v", len(m.Events), e.Counts, e.Reason, d.s.Ending)
	}
	checkFlow(t, d)
}

func TestAConnectionThatIsRemovedStopsWhomItBound(t *testing.T) {
	d := newDriver(t, acme(demandsMFA))
	d.put(starts(t, external(t)))
	d.put(reports(audit.TypeSSOVerified, alice))
	d.org = changed(d.org, func(o *policy.Organization) { o.Connections = o.Connections[1:] })
	if d.put(reports(audit.TypeMFAVerified, "")); d.s.Reason != audit.ReasonConnectionDisabled || d.s.Ending != audit.EndingDenied {
		t.Fatalf("%v %q", d.s.Ending, d.s.Reason)
	}
}

func TestTheContextOfAStepIsThatOfTheStepBeforeUnlessGiven(t *testing.T) {
	d := newDriver(t, acme(noDemands))
	d.put(starts(t, external(t)))
	if e := d.put(reports(audit.TypePasswordRejected, "")).Events[0]; e.Personal.IP != "192.0.2.7" || e.Personal.DeviceID != "dev-1" || e.Client != audit.ClientWeb {
		t.Fatalf("%+v", e.Personal)
	}
	moved := Context{IP: netip.MustParseAddr("2001:db8::1")}
	d.put(with(reports(audit.TypePasswordRejected, ""), func(r *Reported) { r.Context = &moved }))
	e := d.put(finishes(ActionCancel)).Events[0]
	if e.Personal.IP != "2001:db8::1" || e.Personal.DeviceID != "" || e.Client != audit.ClientUnspecified {
		t.Fatalf("%+v", e.Personal)
	}
}

func TestAStepReportedLongAfterItHappenedIsLate(t *testing.T) {
	d := newDriver(t, acme(noDemands))
	start := starts(t, external(t))
	start.Start.OccurredAt = noon.Add(-3 * 24 * time.Hour)
	d.put(start)
	m := d.put(with(reports(audit.TypePasswordVerified, alice), func(r *Reported) { r.OccurredAt = noon.Add(-LateAfter) }))
	if !d.s.Late || !d.events[0].Late || m.Events[0].Late || !d.s.Deadline.Equal(noon.Add(DefaultLifetime)) || !d.s.Started.Equal(start.Start.OccurredAt) {
		t.Fatalf("late %v %v %v, deadline %v", d.s.Late, d.events[0].Late, m.Events[0].Late, d.s.Deadline)
	}
}

func TestAClockThatRunsBackDoesNotTurnTimeBack(t *testing.T) {
	d := newDriver(t, acme(noDemands))
	d.put(starts(t, external(t)))
	d.put(with(reports(audit.TypePasswordRejected, ""), func(r *Reported) { r.OccurredAt = noon.Add(4 * time.Second) }))
	d.now = noon.Add(-time.Second)
	d.put(reports(audit.TypePasswordRejected, ""))
	checkFlow(t, d)
}

func TestATypedTextThatIsNoAddressAppearsNowhere(t *testing.T) {
	const typed = "correct horse battery staple"
	d := newDriver(t, acme(noDemands))
	d.put(starts(t, Claimed{IdentifierHash: "hash-1"}))
	d.put(with(reports(audit.TypePasswordRejected, ""), func(r *Reported) { r.Subject.Identifier, r.IdentifierHash = typed, "hash-2" }))
	d.put(with(reports(audit.TypePasswordVerified, alice), func(r *Reported) { r.Subject.Identifier = typed }))
	d.put(finishes(ActionComplete))
	if all := fmt.Sprintf("%+v %+v", d.s, d.events); strings.Contains(all, typed) || !strings.Contains(all, "hash-1") || !strings.Contains(all, "hash-2") {
		t.Fatal("a typed text is in the state or in an event, or its hash is not")
	}
	if d.events[0].IdentifierHash != "hash-1" || d.events[1].IdentifierHash != "hash-2" {
		t.Fatalf("%q %q", d.events[0].IdentifierHash, d.events[1].IdentifierHash)
	}
}

func TestASessionIsAsOldAsItsCredential(t *testing.T) {
	d := newDriver(t, acme(policy.Policy{Default: policy.Demands{SessionLength: 30 * time.Minute}}))
	d.put(starts(t, external(t)))
	if m := d.put(reports(audit.TypeSessionReused, alice)); m.Verdict != audit.VerdictContinue || m.Decision.Reason != audit.ReasonReverificationRequired {
		t.Fatalf("an hour-old credential: %v %q", m.Verdict, m.Decision.Reason)
	}
	m := d.put(with(reports(audit.TypeSessionReused, alice), func(r *Reported) { r.AuthenticatedAt = noon.Add(-time.Minute) }))
	if m.Verdict != audit.VerdictAllow {
		t.Fatalf("a fresh one: %v %q", m.Verdict, m.Decision.Reason)
	}
}
