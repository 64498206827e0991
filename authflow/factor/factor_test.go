package factor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

var t0 = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// says is a check that answers what it is told to.
func says(step int64, reason string) CheckFunc {
	return func(int64) (int64, string) { return step, reason }
}

// wrong is a check of a wrong code.
func wrong(int64) (int64, string) { return 0, audit.ReasonWrongCode }

func credential(uid string) Credential {
	return Credential{UID: uid, Sealed: []byte("sealed " + uid), Algorithm: SHA1, Digits: 6, Period: 30 * time.Second,
		By: "login", Flow: "f1", After: Basis{Method: audit.MethodPassword, Evidence: audit.EvidenceAsserted}}
}

// active is an authenticator in force, its last step 100.
func active(t testing.TB) Authenticator {
	t.Helper()
	a, err := Enrol(nil, "guest-1", credential("u1"), false, t0)
	if err != nil {
		t.Fatal(err)
	}
	a, out, err := Confirm(&a, says(100, ""), t0)
	if err != nil || !out.Accepted {
		t.Fatalf("%+v, %v", out, err)
	}
	return a
}

// failing is an active authenticator after n failures, each as soon as the lock before it ends, and the time after the last lock.
func failing(t testing.TB, n int) (Authenticator, time.Time) {
	t.Helper()
	a, now := active(t), t0
	for range n {
		if a.LockUntil.After(now) {
			now = a.LockUntil
		}
		a, _ = Attempt(&a, wrong, now)
	}
	if a.LockUntil.After(now) {
		now = a.LockUntil
	}
	return a, now
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestTOTP4EveryFailure goes through the whole budget, failure by failure.
func TestTOTP4EveryFailure(t *testing.T) {
	locks := map[int]time.Duration{5: 30 * time.Second, 6: time.Minute, 7: 2 * time.Minute, 8: 4 * time.Minute, 9: 8 * time.Minute,
		10: 16 * time.Minute, 11: 32 * time.Minute}
	for n := 12; n < FailuresToDisable; n++ {
		locks[n] = time.Hour
	}
	a, now := active(t), t0
	for n := 1; n <= FailuresToDisable; n++ {
		now = now.Add(time.Second)
		next, out := Attempt(&a, wrong, now)
		want := Outcome{Reason: audit.ReasonWrongCode, Counted: true}
		lock, locks := locks[n]
		if locks {
			want.Locked, want.Until = true, now.Add(lock)
		}
		if n == FailuresToDisable {
			want.Locked, want.Disabled = true, true
		}
		same(t, out, want)
		if next.Failures != n || next.Locks != max(0, n-FailuresToLock+1) || !next.LockUntil.Equal(want.Until) {
			t.Fatalf("failure %d: %+v", n, next)
		}
		a = next
		if !locks {
			continue
		}
		// While locked, right and wrong are the same and nothing is consumed.
		for _, at := range []time.Time{now.Add(-time.Hour), now, now.Add(lock - 1)} {
			for _, check := range []CheckFunc{wrong, says(1<<40, ""), says(100, audit.ReasonCodeReplayed)} {
				during, out := Attempt(&a, check, at)
				same(t, out, Outcome{Reason: audit.ReasonLocked, Until: want.Until})
				same(t, during, a)
			}
		}
		now = now.Add(lock)
	}
	if a.State != Disabled || !a.Disabled.Equal(now) {
		t.Fatalf("after the last failure: %+v", a)
	}
	for _, at := range []time.Time{now, now.AddDate(100, 0, 0), now.AddDate(-100, 0, 0)} {
		next, out := Attempt(&a, says(1<<40, ""), at)
		same(t, out, Outcome{Reason: audit.ReasonLocked, Disabled: true})
		same(t, next, a)
	}
}

// TestTOTP4ReasonsThatCount is about every state and every reason a check may give.
func TestTOTP4ReasonsThatCount(t *testing.T) {
	pending, err := Enrol(nil, "guest-1", credential("u1"), false, t0)
	if err != nil {
		t.Fatal(err)
	}
	ready := active(t)
	locked, _ := failing(t, FailuresToLock)
	disabled, _ := failing(t, FailuresToDisable)
	reset, err := Reset(&ready)
	if err != nil {
		t.Fatal(err)
	}
	overdrawn := ready
	overdrawn.Failures = FailuresToDisable // as no code of this package leaves it
	states := map[string]struct {
		a      *Authenticator
		reason string // of everything but a malformed code; empty: what check says
	}{
		"none":      {nil, audit.ReasonNotEnrolled},
		"zero":      {&Authenticator{}, audit.ReasonNotEnrolled},
		"pending":   {&pending, audit.ReasonNotEnrolled},
		"reset":     {&reset, audit.ReasonNotEnrolled},
		"locked":    {&locked, audit.ReasonLocked},
		"disabled":  {&disabled, audit.ReasonLocked},
		"overdrawn": {&overdrawn, audit.ReasonLocked},
		"active":    {&ready, ""},
	}
	checks := []struct {
		says, reason string
		step         int64
		counted      bool
	}{
		{"", "", 101, true},
		{"", audit.ReasonCodeReplayed, 100, true}, // a check that forgot to compare
		{"", audit.ReasonCodeReplayed, 99, true},
		{audit.ReasonWrongCode, audit.ReasonWrongCode, 0, true},
		{audit.ReasonCodeReplayed, audit.ReasonCodeReplayed, 100, true},
		{audit.ReasonCodeExpired, audit.ReasonCodeExpired, 90, true},
		{audit.ReasonCodeFromFuture, audit.ReasonCodeFromFuture, 110, true},
		{audit.ReasonNotEnrolled, audit.ReasonNotEnrolled, 0, true},
		{"SOMETHING_NEW", "SOMETHING_NEW", 0, true},
		{audit.ReasonVerifierError, audit.ReasonVerifierError, 0, false},
		{audit.ReasonMalformed, audit.ReasonMalformed, 0, false},
	}
	for name, s := range states {
		for _, c := range checks {
			called := 0
			next, out := Attempt(s.a, func(last int64) (int64, string) {
				called++
				if want := value(s.a).LastStep; last != want {
					t.Errorf("%s: check was given last step %d, want %d", name, last, want)
				}
				return c.step, c.says
			}, t0.Add(time.Second))
			reason, counted := c.reason, c.counted
			if s.reason != "" && c.says != audit.ReasonMalformed {
				reason, counted = s.reason, false
			}
			if called != 1 || out.Reason != reason || out.Counted != counted || out.Accepted != (reason == "") {
				t.Errorf("%s, check says %q: %+v (check called %d times), want %q counted %t", name, c.says, out, called, reason, counted)
			}
			switch {
			case out.Accepted:
				if next.LastStep != c.step || out.Step != c.step || next.Failures != 0 {
					t.Errorf("%s: accepted, and then %+v", name, next)
				}
			case counted:
				if next.Failures != value(s.a).Failures+1 || next.LastStep != value(s.a).LastStep {
					t.Errorf("%s, check says %q: %+v", name, c.says, next)
				}
			default:
				same(t, next, value(s.a))
			}
		}
	}
}

func TestASuccessStartsTheBudgetAnew(t *testing.T) {
	for n := range FailuresToDisable {
		a, now := failing(t, n)
		a, out := Attempt(&a, says(101, ""), now)
		if !out.Accepted || a.Failures != 0 || a.Locks != 0 || !a.LockUntil.IsZero() || a.LastStep != 101 {
			t.Fatalf("after %d failures: %+v, %+v", n, out, a)
		}
		for range FailuresToLock {
			a, out = Attempt(&a, wrong, now)
		}
		if !out.Locked || !out.Until.Equal(now.Add(FirstLock)) {
			t.Fatalf("after %d failures, a success and five more: %+v", n, out)
		}
	}
}

func TestUnlock(t *testing.T) {
	for n := range FailuresToDisable + 1 {
		a, _ := failing(t, n)
		before := a
		next, err := Unlock(&a)
		if n == FailuresToDisable {
			if !errs.Is(err, "AUTHENTICATOR_DISABLED") {
				t.Errorf("disabled: %v", err)
			}
			same(t, next, before)
			continue
		}
		if err != nil || next.Failures != 0 || next.LastStep != 100 {
			t.Errorf("after %d failures: %+v, %v", n, next, err)
		}
		if _, out := Attempt(&next, says(101, ""), t0); !out.Accepted {
			t.Errorf("unlocked after %d failures, the right code: %+v", n, out)
		}
		if _, out := Attempt(&next, says(100, ""), t0); out.Reason != audit.ReasonCodeReplayed {
			t.Errorf("unlocking gave a spent step back: %+v", out)
		}
	}
	pending, err := Enrol(nil, "guest-1", credential("u1"), false, t0)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []*Authenticator{nil, {}, &pending} {
		if _, err := Unlock(a); !errs.Is(err, "NOT_ENROLLED") {
			t.Errorf("nothing to unlock: %v", err)
		}
	}
}
