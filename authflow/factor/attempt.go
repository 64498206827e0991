package factor

import (
	"time"

	"github.com/postern-audit/postern/audit"
)

// The budget of an authenticator: failures in a row, whatever flow, process or kind of code they come from.
const (
	FailuresToLock    = 5
	FailuresToDisable = 20
	FirstLock         = 30 * time.Second
	LongestLock       = time.Hour
)

// CheckFunc looks at a code. It gets the last step spent and returns the step the code is of and why it is refused, "" when
// it is right. For a subject without a factor it must do the same work on a dummy secret.
type CheckFunc func(lastStep int64) (step int64, reason string)

// Outcome is what an attempt came to. Reason is the true one, for the event; callers of the API get less.
type Outcome struct {
	Accepted bool
	Reason   string    // of the audit catalogue; empty exactly when accepted
	Step     int64     // the time step accepted
	Counted  bool      // it was a guess: the budget moved, or was restored; the next value must be committed
	Locked   bool      // this attempt began a lock, or disabled the factor: one mfa.locked event
	Disabled bool      // the factor is locked for good, by this attempt or before
	Until    time.Time // end of the lock, if there is one that ends
}

// Attempt tries a code on a, nil for a subject without an authenticator, and returns the authenticator as it is afterwards.
//
// The code is handed to check in every case, so that unknown, wrong and locked cost the same; while locked, and without a
// confirmed factor, what check says is not used. MALFORMED alone is told in every case and costs nothing: it is about the
// form of what was typed, no guess, and telling it only sometimes would tell a lock. VERIFIER_ERROR is a defect, not an
// answer: the caller turns it into an error.
func Attempt(a *Authenticator, check CheckFunc, now time.Time) (Authenticator, Outcome) {
	next := value(a)
	step, reason := check(next.LastStep)
	if reason == audit.ReasonMalformed {
		return next, Outcome{Reason: reason}
	}
	if refused := next.gate(now); refused != nil {
		return next, *refused
	}
	if reason == audit.ReasonVerifierError {
		return next, Outcome{Reason: reason} // nothing was looked at, so nothing is spent
	}
	if reason == "" && step <= next.LastStep {
		reason = audit.ReasonCodeReplayed // one use of a step does not rest on check alone
	}
	if reason != "" {
		return next.failed(reason, now)
	}
	next.LastStep = step
	return next.succeeded(), Outcome{Accepted: true, Step: step, Counted: true}
}

// value is what a points to; no authenticator is the zero one.
func value(a *Authenticator) Authenticator {
	if a == nil {
		return Authenticator{}
	}
	return *a
}

// gate is why no code can be right now, whatever it is.
func (a Authenticator) gate(now time.Time) *Outcome {
	if !a.Usable() {
		return &Outcome{Reason: audit.ReasonNotEnrolled}
	}
	if locked, until := a.Locked(now); locked {
		return &Outcome{Reason: audit.ReasonLocked, Disabled: until.IsZero(), Until: until}
	}
	return nil
}

// failed takes one guess from the budget and locks as far as it is used up.
func (a Authenticator) failed(reason string, now time.Time) (Authenticator, Outcome) {
	out := Outcome{Reason: reason, Counted: true}
	a.Failures++
	switch {
	case a.Failures >= FailuresToDisable:
		a.State, a.Disabled, a.LockUntil = Disabled, now, time.Time{}
		a.Locks++
		out.Locked, out.Disabled = true, true
	case a.Failures >= FailuresToLock:
		a.LockUntil = now.Add(lockFor(a.Locks))
		a.Locks++
		out.Locked, out.Until = true, a.LockUntil
	}
	return a, out
}

// lockFor is how long a lock lasts after so many before it.
func lockFor(before int) time.Duration {
	d := FirstLock
	for ; before > 0 && d < LongestLock; before-- {
		d *= 2
	}
	return min(d, LongestLock)
}

// succeeded starts the budget anew.
func (a Authenticator) succeeded() Authenticator {
	a.Failures, a.Locks, a.LockUntil = 0, 0, time.Time{}
	return a
}
