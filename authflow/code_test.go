package authflow

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/policy"
)

func TestACodeCheckedHereIsOneRoundTripAndOneCommit(t *testing.T) {
	c := newClinic(t, strictMFA)
	key := c.enrolled(alice)
	flow := c.bound(alice)
	var a Answer
	var err error
	trips := c.tripsOf(func() { a, err = c.totp(flow, "t", codeAt(t, key, c.clock())) })
	if err != nil || a.Verdict != audit.VerdictAllow || a.Counts == nil || !*a.Counts || trips != 1 {
		t.Fatalf("%+v %v in %d trips", a, err, trips)
	}
	e := c.last(flow)
	if e.Type != audit.TypeMFAVerified || e.Evidence != audit.EvidenceVerified || e.Factor != audit.FactorTOTP || len(e.Checks) == 0 ||
		e.Enrolment == nil || e.Enrolment.Caller != caller.Principal || e.Enrolment.Imported || e.Authenticator == "" || e.Personal.AccountID != alice {
		t.Fatalf("%+v", e)
	}
	s := c.store.subjects[c.key(alice)]
	if s.Authenticator.LastStep != c.clock().Unix()/30 || s.Authenticator.Active.UID != e.Authenticator {
		t.Fatalf("%+v", s.Authenticator)
	}
	i := slices.IndexFunc(s.Person.Proofs, func(p policy.Proof) bool { return p.Factor == audit.FactorTOTP })
	if i < 0 || s.Person.Proofs[i].Flow != flow.String() || s.Person.Proofs[i].Step != 3 || s.Person.Proofs[i].Evidence != audit.EvidenceVerified {
		t.Fatalf("%+v", s.Person)
	}
	trips = c.tripsOf(func() { a, err = c.finish(flow, "f", ActionComplete) })
	if err != nil || a.Ending != audit.EndingSucceeded || trips != 1 {
		t.Fatalf("%+v %v in %d trips", a, err, trips)
	}
	again, err := c.totp(flow, "t", codeAt(t, key, c.clock()))
	if err != nil || !again.Repeated || again.Verdict != audit.VerdictAllow {
		t.Fatalf("a retry got %+v %v", again, err)
	}
	if problem := c.store.recordProblem(); problem != "" {
		t.Fatal(problem)
	}
}

// neutral is an answer without what tells one flow from another.
func neutral(a Answer) Answer {
	a.Flow, a.SupportCode, a.Deadline = FlowID{}, "", time.Time{}
	return a
}

func TestWhoeverTypesACodeLearnsNothingButThatItWasNotAccepted(t *testing.T) {
	answers, trips, truths := map[string]Answer{}, map[string]int{}, map[string]string{}
	try := func(name, truth string, code func(c *clinic, key string) string) {
		c := newClinic(t, strictMFA)
		key := ""
		if name != "unknown" {
			key = c.enrolled(alice)
			used := c.bound(alice)
			if _, err := c.totp(used, "used", codeAt(t, key, c.clock())); err != nil {
				t.Fatal(err)
			}
			c.setNow(c.clock().Add(13 * time.Hour)) // what is remembered is too old
		}
		typed := code(c, key)
		flow := c.bound(alice)
		var a Answer
		var err error
		trips[name] = c.tripsOf(func() { a, err = c.totp(flow, "x", typed) })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answers[name], truths[name] = neutral(a), c.rejected(flow)
		if truths[name] != truth {
			t.Errorf("%s: the record says %s", name, truths[name])
		}
	}
	wrong := func(c *clinic, key string) string { return wrongAt(t, key, c.clock()) }
	guess := func(n int) func(c *clinic, key string) string {
		return func(c *clinic, key string) string {
			flow := c.bound(alice)
			for i := range n {
				if _, err := c.totp(flow, fmt.Sprint("g", i), wrong(c, key)); err != nil {
					t.Fatal(err)
				}
			}
			return wrong(c, key)
		}
	}
	try("wrong", audit.ReasonWrongCode, wrong)
	try("unknown", audit.ReasonNotEnrolled, func(*clinic, string) string { return "123456" })
	try("expired", audit.ReasonCodeExpired, func(c *clinic, key string) string { return codeAt(t, key, c.clock().Add(-3*time.Minute)) })
	try("future", audit.ReasonCodeFromFuture, func(c *clinic, key string) string { return codeAt(t, key, c.clock().Add(3*time.Minute)) })
	try("replayed", audit.ReasonCodeReplayed, func(c *clinic, key string) string {
		code := codeAt(t, key, c.clock())
		if _, err := c.totp(c.bound(alice), "before", code); err != nil {
			t.Fatal(err)
		}
		return code
	})
	try("eight digits", audit.ReasonWrongCode, func(*clinic, string) string { return "12345678" })
	try("begins a lock", audit.ReasonWrongCode, guess(factor.FailuresToLock-1))
	try("locked", audit.ReasonLocked, guess(factor.FailuresToLock))
	try("locked, right", audit.ReasonLocked, func(c *clinic, key string) string {
		guess(factor.FailuresToLock)(c, key)
		return codeAt(t, key, c.clock())
	})
	want := answers["wrong"]
	if want.Reason != audit.ReasonWrongCode || want.Message.Key != messageRejected || len(want.Next) == 0 {
		t.Fatalf("%+v", want)
	}
	for name, a := range answers {
		if name == "replayed" { // its flow stands otherwise: the code had been used a moment ago, and that is remembered
			a.Verdict, a.Next, a.Decision, a.Message, a.Phase = want.Verdict, want.Next, want.Decision, want.Message, want.Phase
		}
		if !reflect.DeepEqual(a, want) {
			t.Errorf("%s is answered\n%+v\ninstead of\n%+v", name, a, want)
		}
		if trips[name] != 1 {
			t.Errorf("%s takes %d trips", name, trips[name])
		}
	}
	c := newClinic(t, strictMFA)
	a, err := c.totp(c.bound(alice), "m", "12 345")
	if err != nil || a.Reason != audit.ReasonMalformed {
		t.Fatalf("%+v %v", a, err)
	}
}

// rejected is the reason of a flow's last refused code.
func (c *clinic) rejected(flow FlowID) string {
	events := c.store.ordered(flow)
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Type == audit.TypeMFARejected {
			return events[i].Reason
		}
	}
	return ""
}

func TestOneCodeFromFiftyRacersInTwoProcessesOpensOneDoor(t *testing.T) {
	c := newClinic(t, strictMFA)
	key := c.enrolled(alice)
	other, _ := c.process()
	flows := make([]FlowID, 50)
	for i := range flows {
		flows[i] = c.bound(alice)
	}
	code := codeAt(t, key, c.clock())
	var accepted, refused atomic.Int64
	var wg sync.WaitGroup
	for i, flow := range flows {
		wg.Go(func() {
			f := []*Flows{c.flows, other}[i%2]
			a, err := f.VerifyTotp(t.Context(), caller, TotpInput{Organization: "acme", Flow: flow, RequestID: "r", Code: code})
			switch {
			case err != nil:
				t.Error(err)
			case a.Counts != nil && *a.Counts:
				accepted.Add(1)
			case a.Reason == audit.ReasonWrongCode:
				refused.Add(1)
			default:
				t.Errorf("%+v", a)
			}
		})
	}
	wg.Wait()
	if accepted.Load() != 1 || refused.Load() != 49 {
		t.Fatalf("%d accepted, %d refused", accepted.Load(), refused.Load())
	}
	if problem := c.store.recordProblem(); problem != "" {
		t.Fatal(problem)
	}
}

func TestFiftyFlowsGuessingShareOneBudgetAndLockOnce(t *testing.T) {
	c := newClinic(t, strictMFA)
	key := c.enrolled(alice)
	other, _ := c.process()
	flows := make([]FlowID, 50)
	for i := range flows {
		flows[i] = c.bound(alice)
	}
	code := wrongAt(t, key, c.clock())
	var wg sync.WaitGroup
	for i, flow := range flows {
		wg.Go(func() {
			f := []*Flows{c.flows, other}[i%2]
			in := RecoveryInput{Organization: "acme", Flow: flow, RequestID: "r", Code: code}
			var err error
			if i%10 == 0 {
				in.Code = "AAAAA-AAAAA"
				_, err = f.VerifyRecoveryCode(t.Context(), caller, in)
			} else {
				_, err = f.VerifyTotp(t.Context(), caller, TotpInput(in))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	count := map[string]int{}
	for _, e := range c.store.outbox {
		if e.Type == audit.TypeMFARejected || e.Type == audit.TypeMFALocked {
			count[string(e.Type)+" "+e.Reason]++
		}
	}
	// Recovery codes of somebody without any are NOT_ENROLLED before the lock and LOCKED after it, and no guess.
	guesses, locked := count["mfa.rejected WRONG_CODE"], count["mfa.rejected LOCKED"]+count["mfa.rejected NOT_ENROLLED"]
	if guesses != factor.FailuresToLock || locked != 50-factor.FailuresToLock || count["mfa.locked LOCKED"] != 1 {
		t.Fatalf("%v", count)
	}
	if a := c.store.subjects[c.key(alice)].Authenticator; a.Failures != factor.FailuresToLock {
		t.Fatalf("%+v", a)
	}
	if problem := c.store.recordProblem(); problem != "" {
		t.Fatal(problem)
	}
}

func TestALockIsAnEventOfItsOwnBehindTheAttempt(t *testing.T) {
	c := newClinic(t, strictMFA)
	key := c.enrolled(alice)
	flow := c.bound(alice)
	for i := range factor.FailuresToLock {
		a, err := c.totp(flow, fmt.Sprint(i), wrongAt(t, key, c.clock()))
		if err != nil || a.Step != 3+i {
			t.Fatalf("%+v %v", a, err)
		}
	}
	events := c.store.ordered(flow)
	n := len(events)
	if events[n-2].Type != audit.TypeMFARejected || events[n-1].Type != audit.TypeMFALocked || events[n-1].Step != n || events[n-1].Personal.AccountID != alice {
		t.Fatalf("%+v", events[n-2:])
	}
	if !strings.HasPrefix(events[n-1].Personal.Detail, "until ") || events[n-1].Authenticator == "" {
		t.Fatalf("%+v", events[n-1])
	}
	for i := range 5 { // ten rejections end the flow, with the lock standing
		if _, err := c.totp(flow, fmt.Sprint("l", i), codeAt(t, key, c.clock())); err != nil {
			t.Fatal(err)
		}
	}
	a, err := c.totp(flow, "l4", codeAt(t, key, c.clock()))
	if err != nil || a.Ending != audit.EndingFailed || a.Reason != audit.ReasonWrongCode || c.last(flow).Reason != audit.ReasonLocked {
		t.Fatalf("%+v %v", a, err)
	}
	c.setNow(c.clock().Add(factor.FirstLock))
	if a, err := c.totp(c.bound(alice), "after", codeAt(t, key, c.clock())); err != nil || a.Verdict != audit.VerdictAllow {
		t.Fatalf("%+v %v", a, err)
	}
	if problem := c.store.recordProblem(); problem != "" {
		t.Fatal(problem)
	}
}

func TestAFlowWithoutRoomForALockLooksAtNoCode(t *testing.T) {
	for _, right := range []bool{true, false} {
		c := newClinic(t, strictMFA)
		key := c.enrolled(alice)
		flow := c.bound(alice)
		for i := range MaxSteps - 4 {
			c.step(flow, fmt.Sprint("n", i), reports(audit.TypeMFAChallenged, ""))
		}
		before := *c.store.subjects[c.key(alice)].Authenticator
		code := wrongAt(t, key, c.clock())
		if right {
			code = codeAt(t, key, c.clock())
		}
		a, err := c.totp(flow, "x", code)
		if err != nil || a.Ending != audit.EndingFailed || a.Reason != audit.ReasonTooManySteps {
			t.Fatalf("%+v %v", a, err)
		}
		if !reflect.DeepEqual(before, *c.store.subjects[c.key(alice)].Authenticator) {
			t.Error("the code was looked at")
		}
	}
}

func TestACodeNeedsABoundFlowAndAVerifier(t *testing.T) {
	c := newClinic(t, strictMFA)
	_, err := c.totp(c.start("s").Flow, "x", "123456")
	wantReason(t, err, ErrNotBound)
	c.flows.c.Verifier = nil
	_, err = c.totp(c.bound(alice), "y", "123456")
	wantReason(t, err, ErrVerifierMissing)
}

func TestARecoveryCodeIsUsedOnce(t *testing.T) {
	c := newClinic(t, strictMFA)
	c.enrolled(alice)
	made, err := c.auth.GenerateRecoveryCodes(t.Context(), caller, RecoveryCodesInput{Organization: "acme", RequestID: "g", Subject: c.key(alice), Reason: "lost phone"})
	if err != nil || len(made.Codes) != factor.RecoveryCodes {
		t.Fatalf("%+v %v", made, err)
	}
	use := func(code string) (Answer, FlowID) {
		flow := c.bound(alice)
		a, err := c.flows.VerifyRecoveryCode(t.Context(), caller, RecoveryInput{Organization: "acme", Flow: flow, RequestID: "r", Code: code})
		if err != nil {
			t.Fatal(err)
		}
		return a, flow
	}
	a, flow := use(strings.ToLower(made.Codes[3]))
	if a.Verdict != audit.VerdictAllow || c.last(flow).Factor != audit.FactorRecoveryCode {
		t.Fatalf("%+v", a)
	}
	c.setNow(c.clock().Add(13 * time.Hour))
	if a, flow = use(made.Codes[3]); a.Verdict != audit.VerdictContinue || a.Reason != audit.ReasonWrongCode || c.rejected(flow) != audit.ReasonRecoveryCodeUsed {
		t.Fatalf("%+v", a)
	}
	again, err := c.auth.GenerateRecoveryCodes(t.Context(), caller, RecoveryCodesInput{Organization: "acme", RequestID: "g", Subject: c.key(alice), Reason: "lost phone"})
	if err != nil || !slices.Equal(again.Codes, made.Codes) {
		t.Fatalf("a repeated call got %v %v", again.Codes, err)
	}
}
