package factor

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
)

// copied is a deep copy, to see whether somebody changed the original.
func copied(a Authenticator) Authenticator {
	a.Active.Sealed, a.Pending.Sealed = slices.Clone(a.Active.Sealed), slices.Clone(a.Pending.Sealed)
	a.Recovery, a.RecoveryUsed = slices.Clone(a.Recovery), slices.Clone(a.RecoveryUsed)
	return a
}

// history is a random life of one authenticator, with what must hold over all of it.
type history struct {
	a   *Authenticator
	now time.Time

	secrets int // enrolled so far
	live    int // guesses looked at since the last success, unlock or reset
	codes   []string
	used    map[string]bool // "secret/step" and "code" accepted
}

// looked says whether a guess would be looked at now: whether right and wrong differ.
func (h *history) looked() bool {
	_, right := Attempt(h.a, says(1<<60, ""), h.now)
	_, wrong := Attempt(h.a, wrong, h.now)
	return right.Accepted != wrong.Accepted
}

// moved takes the next value over and checks what holds after every operation.
func (h *history) moved(t *rapid.T, op string, next Authenticator) {
	if err := next.Check(); err != nil {
		t.Fatalf("%s leaves %v", op, err)
	}
	if next.Failures > FailuresToDisable || (next.Failures == FailuresToDisable) != (next.State == Disabled) {
		t.Fatalf("%s: %d failures in state %s", op, next.Failures, next.State)
	}
	h.a = &next
}

// tried books the outcome of an attempt. looked is whether a guess was looked at before it.
func (h *history) tried(t *rapid.T, op string, looked bool, next Authenticator, out Outcome, spent string) {
	before := value(h.a)
	switch {
	case out.Accepted != (out.Reason == ""):
		t.Fatalf("%s: %+v", op, out)
	case out.Accepted && !looked:
		t.Fatalf("%s was accepted by an authenticator that looks at nothing", op)
	case out.Accepted:
		if h.used[spent] {
			t.Fatalf("%s: %s is accepted twice", op, spent)
		}
		h.used[spent], h.live = true, 0
	case out.Counted:
		if h.live++; !looked || next.Failures != h.live {
			t.Fatalf("%s: looked %t, guess %d, %d failures", op, looked, h.live, next.Failures)
		}
		if h.live > FailuresToDisable {
			t.Fatalf("%s: %d guesses without a success", op, h.live)
		}
		if out.Locked != (h.live >= FailuresToLock) || out.Disabled != (h.live == FailuresToDisable) {
			t.Fatalf("%s, guess %d: %+v", op, h.live, out)
		}
	default:
		if d := cmp.Diff(before, next); d != "" {
			t.Fatalf("%s consumed something:\n%s", op, d)
		}
	}
	h.moved(t, op, next)
}

func (h *history) step(t *rapid.T) {
	// Any time: clocks of several machines differ, and one may be set back.
	switch rapid.IntRange(0, 3).Draw(t, "clock") {
	case 0:
		h.now = h.now.Add(time.Duration(rapid.Int64Range(-7200, 7200).Draw(t, "seconds")) * time.Second)
	case 1:
		h.now = value(h.a).LockUntil
	case 2:
		h.now = h.now.Add(2 * LongestLock)
	}
	var original, kept Authenticator
	if h.a != nil {
		original, kept = *h.a, copied(*h.a)
	}
	defer func() {
		if d := cmp.Diff(kept, original); d != "" {
			t.Fatalf("the value given was changed:\n%s", d)
		}
	}()
	looked := h.looked()
	switch op := rapid.SampledFrom([]string{"wrong", "wrong", "wrong", "wrong", "wrong", "right", "right", "malformed", "bad code", "code",
		"codes", "unlock", "reset", "enrol", "confirm"}).Draw(t, "op"); op {
	case "wrong":
		reason := rapid.SampledFrom([]string{audit.ReasonWrongCode, audit.ReasonCodeExpired, audit.ReasonCodeFromFuture}).Draw(t, "reason")
		next, out := Attempt(h.a, says(0, reason), h.now)
		h.tried(t, op, looked, next, out, "")
	case "right":
		// Also of steps long spent, by a check that does not compare.
		step := rapid.Int64Range(1, 20).Draw(t, "step")
		next, out := Attempt(h.a, says(step, ""), h.now)
		h.tried(t, op, looked, next, out, fmt.Sprintf("%s/%d", value(h.a).Active.UID, step))
	case "malformed":
		next, out := Attempt(h.a, says(0, audit.ReasonMalformed), h.now)
		if out.Reason != audit.ReasonMalformed {
			t.Fatalf("%+v", out)
		}
		h.tried(t, op, looked, next, out, "")
	case "bad code":
		next, out := UseRecoveryCode(h.a, "00000-00000", keyed, h.now)
		h.tried(t, op, looked, next, out, "00000-00000")
	case "code":
		if len(h.codes) > 0 {
			code := rapid.SampledFrom(h.codes).Draw(t, "code")
			next, out := UseRecoveryCode(h.a, code, keyed, h.now)
			h.tried(t, op, looked, next, out, code)
		}
	case "codes":
		codes, hashes, err := NewRecoveryCodes(rapidReader{t}, keyed)
		if err != nil {
			return // a draw that repeats itself
		}
		if next, err := SetRecoveryCodes(h.a, hashes, h.now); err == nil {
			h.codes = append(h.codes, codes...)
			for _, c := range codes {
				delete(h.used, c) // the same code, issued anew
			}
			h.moved(t, op, next)
		}
	case "unlock":
		if next, err := Unlock(h.a); err == nil {
			h.live = 0
			h.moved(t, op, next)
		}
	case "reset":
		if next, err := Reset(h.a); err == nil {
			h.live = 0
			h.moved(t, op, next)
		}
	case "enrol":
		h.secrets++
		if next, err := Enrol(h.a, "guest-1", credential(fmt.Sprint("u", h.secrets)), rapid.Bool().Draw(t, "proven"), h.now); err == nil {
			h.moved(t, op, next)
		}
	case "confirm":
		step := rapid.Int64Range(1, 20).Draw(t, "step")
		uid := value(h.a).Pending.UID
		if next, out, err := Confirm(h.a, says(step, ""), h.now); err == nil && out.Accepted {
			h.used[fmt.Sprintf("%s/%d", uid, step)], h.live = true, 0
			h.moved(t, op, next)
		}
	}
}

// rapidReader makes rapid the source of random bytes, so that a failing case can be repeated.
type rapidReader struct{ t *rapid.T }

func (r rapidReader) Read(p []byte) (int, error) {
	return copy(p, rapid.SliceOfN(rapid.Byte(), len(p), len(p)).Draw(r.t, "random")), nil
}

func TestTOTP4NoHistoryExceedsTheBudget(t *testing.T) {
	reached := map[State]int{}
	rapid.Check(t, func(t *rapid.T) {
		h := &history{now: t0, used: map[string]bool{}}
		if rapid.Bool().Draw(t, "enrolled") {
			h.live = rapid.SampledFrom([]int{0, 4, 10, 18, 19}).Draw(t, "failures before")
			h.a = &Authenticator{State: Active, AccountID: "guest-1", Active: credential("u0"),
				Failures: h.live, Locks: max(0, h.live-FailuresToLock+1), LockUntil: t0}
		}
		for range rapid.IntRange(1, 120).Draw(t, "operations") {
			h.step(t)
			reached[value(h.a).State]++
		}
	})
	if len(reached) != 4 {
		t.Errorf("the histories reached %v only: they show too little", reached)
	}
}

// The budget is exact: however the guesses are spread over time, a guesser gets twenty, and then never one again.
func TestTOTP4AGuesserGetsExactlyTwenty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Authenticator{State: Active, Active: credential("u0")}
		now, looked := t0, 0
		try := func() {
			_, right := Attempt(&a, says(1, ""), now)
			if right.Accepted {
				looked++
			}
			a, _ = Attempt(&a, wrong, now)
		}
		for range rapid.IntRange(0, 60).Draw(t, "hasty") {
			now = now.Add(time.Duration(rapid.Int64Range(-600, 3000).Draw(t, "seconds")) * time.Second)
			try()
		}
		for range 2 * FailuresToDisable {
			now = now.Add(30 * 24 * time.Hour)
			try()
		}
		if looked != FailuresToDisable || a.State != Disabled {
			t.Fatalf("%d guesses were looked at, state %s", looked, a.State)
		}
	})
}

func TestTOTP4TimeRunningBackwardsNeverUnlocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Authenticator{State: Active, Active: credential("u0")}
		now := t0
		for range rapid.IntRange(FailuresToLock, FailuresToDisable).Draw(t, "failures") {
			if a.LockUntil.After(now) {
				now = a.LockUntil
			}
			a, _ = Attempt(&a, wrong, now)
		}
		if locked, _ := a.Locked(now); !locked {
			t.Fatalf("not locked after its failures: %+v", a)
		}
		back := now.Add(-time.Duration(rapid.Int64Range(0, 1<<62).Draw(t, "back")))
		next, out := Attempt(&a, says(1<<60, ""), back)
		if out.Reason != audit.ReasonLocked || !next.LockUntil.Equal(a.LockUntil) || next.State != a.State {
			t.Fatalf("locked at %s, at %s: %+v", now, back, out)
		}
		// A lock that begins after the clock was set back never ends before one that had been there.
		if locked, until := next.Locked(back); !locked || until.Before(a.LockUntil) {
			t.Fatalf("until %s, was %s", until, a.LockUntil)
		}
	})
}
