package factor

import (
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

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
		if next, err := Import(a, "guest-1", credential("u2"), 0, t0); !errs.Is(err, "AUTHENTICATOR_ACTIVE") || next.Active.UID != "u1" {
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
