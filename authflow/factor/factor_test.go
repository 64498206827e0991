package factor

import (
	"slices"
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

func TestTOTP5Enrolment(t *testing.T) {
	a, err := Enrol(nil, "guest-1", credential("u1"), false, t0)
	if err != nil || a.State != Pending || !a.Pending.Enrolled.Equal(t0) || !a.Active.IsZero() || a.AccountID != "guest-1" {
		t.Fatalf("%+v, %v", a, err)
	}
	// Nobody confirmed: another one takes its place.
	a, err = Enrol(&a, "guest-1", credential("u2"), false, t0)
	if err != nil || a.State != Pending || a.Pending.UID != "u2" {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, reason := range []string{audit.ReasonWrongCode, audit.ReasonMalformed, audit.ReasonCodeExpired} {
		next, out, err := Confirm(&a, says(0, reason), t0)
		if err != nil || out.Accepted || out.Reason != reason {
			t.Errorf("%+v, %v", out, err)
		}
		same(t, next, a)
	}
	t1 := t0.Add(time.Minute)
	a, out, err := Confirm(&a, says(200, ""), t1)
	if err != nil || !out.Accepted || a.State != Active || a.Active.UID != "u2" || !a.Active.Confirmed.Equal(t1) || !a.Active.Enrolled.Equal(t0) ||
		a.LastStep != 200 || !a.Pending.IsZero() || a.Active.After.Method != audit.MethodPassword {
		t.Fatalf("%+v, %+v, %v", a, out, err)
	}
	if _, _, err := Confirm(&a, says(201, ""), t1); !errs.Is(err, "NOTHING_TO_CONFIRM") {
		t.Errorf("confirmed twice: %v", err)
	}
	if _, out := Attempt(&a, says(200, ""), t1); out.Reason != audit.ReasonCodeReplayed {
		t.Errorf("the confirming code again: %+v", out)
	}
}

func TestTOTP5ReEnrolmentKeepsTheOldSecretUntilTheNewOneIsConfirmed(t *testing.T) {
	a := active(t)
	a, err := SetRecoveryCodes(&a, []Hash{{1}, {2}}, t0)
	if err != nil {
		t.Fatal(err)
	}
	if next, err := Enrol(&a, "guest-1", credential("u2"), false, t0); !errs.Is(err, "AUTHENTICATOR_ACTIVE") {
		t.Errorf("without the old factor: %+v, %v", next, err)
	}
	b, err := Enrol(&a, "guest-1", credential("u2"), true, t0)
	if err != nil || b.State != Active || b.Active.UID != "u1" || b.Pending.UID != "u2" || b.LastStep != 100 {
		t.Fatalf("%+v, %v", b, err)
	}
	if _, out := Attempt(&b, says(101, ""), t0); !out.Accepted {
		t.Errorf("the old secret no longer works: %+v", out)
	}
	b, out, err := Confirm(&b, says(7, ""), t0)
	if err != nil || !out.Accepted || b.Active.UID != "u2" || b.LastStep != 7 || len(b.Recovery) != 2 {
		t.Fatalf("%+v, %+v, %v", b, out, err)
	}
	disabled, _ := failing(t, FailuresToDisable)
	disabled.Pending = credential("u3")
	if _, err := Enrol(&disabled, "guest-1", credential("u2"), true, t0); !errs.Is(err, "AUTHENTICATOR_DISABLED") {
		t.Errorf("over a disabled one: %v", err)
	}
	if _, _, err := Confirm(&disabled, says(7, ""), t0); !errs.Is(err, "NOTHING_TO_CONFIRM") {
		t.Errorf("confirming brings a disabled one back: %v", err)
	}
}

func TestReset(t *testing.T) {
	disabled, _ := failing(t, FailuresToDisable)
	ready := active(t)
	pending, err := Enrol(nil, "guest-1", credential("u1"), false, t0)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []Authenticator{disabled, ready, pending} {
		next, err := Reset(&a)
		if err != nil {
			t.Fatal(err)
		}
		same(t, next, Authenticator{AccountID: "guest-1"})
		if _, err := Enrol(&next, "guest-1", credential("u2"), false, t0); err != nil {
			t.Errorf("enrolling after a reset: %v", err)
		}
	}
	for _, a := range []*Authenticator{nil, {}} {
		if _, err := Reset(a); !errs.Is(err, "NOT_ENROLLED") {
			t.Errorf("nothing to reset: %v", err)
		}
	}
}

func TestImport(t *testing.T) {
	pending, err := Enrol(nil, "guest-1", credential("u0"), false, t0)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []*Authenticator{nil, {}, &pending} {
		next, err := Import(a, "guest-1", credential("u1"), 50, t0)
		if err != nil || next.State != Active || next.Active.UID != "u1" || next.LastStep != 50 || !next.Active.Confirmed.Equal(t0) || next.Check() != nil {
			t.Errorf("%+v, %v", next, err)
		}
	}
	ready, disabled := active(t), Authenticator{State: Disabled, Active: credential("u1")}
	for _, a := range []*Authenticator{&ready, &disabled} {
		if next, err := Import(a, "guest-1", credential("u2"), 0, t0); errs.KindOf(err) != errs.AlreadyExists || next.Active.UID != "u1" {
			t.Errorf("over %s: %+v, %v", a.State, next, err)
		}
	}
	if _, err := Import(nil, "guest-1", credential("u1"), -1, t0); err == nil {
		t.Error("a negative last step is taken")
	}
}

func TestWhatCannotBeUsedIsNotTaken(t *testing.T) {
	for name, spoil := range map[string]func(*Credential){
		"no uid":        func(c *Credential) { c.UID = "" },
		"no secret":     func(c *Credential) { c.Sealed = nil },
		"huge secret":   func(c *Credential) { c.Sealed = make([]byte, maxSealed+1) },
		"no algorithm":  func(c *Credential) { c.Algorithm = 0 },
		"unknown":       func(c *Credential) { c.Algorithm = 4 },
		"5 digits":      func(c *Credential) { c.Digits = 5 },
		"9 digits":      func(c *Credential) { c.Digits = 9 },
		"14 seconds":    func(c *Credential) { c.Period = 14 * time.Second },
		"121 seconds":   func(c *Credential) { c.Period = 121 * time.Second },
		"half a second": func(c *Credential) { c.Period = 30*time.Second + time.Second/2 },
	} {
		c := credential("u1")
		spoil(&c)
		if a, err := Enrol(nil, "guest-1", c, false, t0); err == nil {
			t.Errorf("%s enrolled: %+v", name, a)
		}
		if a, err := Import(nil, "guest-1", c, 0, t0); err == nil {
			t.Errorf("%s imported: %+v", name, a)
		}
		a := active(t)
		if a.Active = c; a.Check() == nil {
			t.Errorf("%s read from a store passes", name)
		}
	}
}

func TestCheckOfAStoredAuthenticator(t *testing.T) {
	ready := active(t)
	pending, err := Enrol(nil, "guest-1", credential("u1"), false, t0)
	if err != nil {
		t.Fatal(err)
	}
	disabled, _ := failing(t, FailuresToDisable)
	for _, a := range []Authenticator{{}, {AccountID: "x"}, ready, pending, disabled} {
		if err := a.Check(); err != nil {
			t.Errorf("%+v: %v", a, err)
		}
	}
	for name, spoil := range map[string]func(*Authenticator){
		"unknown state":        func(a *Authenticator) { a.State = 4 },
		"none with secret":     func(a *Authenticator) { a.State = None },
		"pending with active":  func(a *Authenticator) { a.State = Pending },
		"active without":       func(a *Authenticator) { a.Active = Credential{} },
		"disabled without":     func(a *Authenticator) { a.State, a.Active = Disabled, Credential{} },
		"negative step":        func(a *Authenticator) { a.LastStep = -1 },
		"negative failures":    func(a *Authenticator) { a.Failures = -1 },
		"negative locks":       func(a *Authenticator) { a.Locks = -1 },
		"codes out of nowhere": func(a *Authenticator) { a.Recovery = []Hash{{1}} },
		"half a pending":       func(a *Authenticator) { a.Pending.UID = "u2" },
	} {
		a := active(t)
		spoil(&a)
		if err := a.Check(); errs.KindOf(err) != errs.Internal || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, s := range []State{None, Pending, Active, Disabled} {
		if back, err := ParseState(s.String()); err != nil || back != s {
			t.Errorf("%s: %v, %v", s, back, err)
		}
	}
	for _, a := range []Algorithm{SHA1, SHA256, SHA512} {
		if back, err := ParseAlgorithm(a.String()); err != nil || back != a {
			t.Errorf("%s: %v, %v", a, back, err)
		}
	}
	for _, bad := range []string{"", "active", "UNKNOWN", "UNSPECIFIED", "MD5", "NONE "} {
		if s, err := ParseState(bad); err == nil {
			t.Errorf("%q is state %s", bad, s)
		}
		if a, err := ParseAlgorithm(bad); err == nil {
			t.Errorf("%q is algorithm %s", bad, a)
		}
	}
	if State(9).String() != "UNKNOWN" || Algorithm(9).String() != "UNKNOWN" || Algorithm(0).Known() || Algorithm(4).Known() {
		t.Error("values nobody knows have names")
	}
	if !slices.Equal(stateNames, []string{"NONE", "PENDING", "ACTIVE", "DISABLED"}) {
		t.Error("state names are stored: they must stay")
	}
}
