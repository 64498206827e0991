package factor

import (
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// errNone refuses to administer what is not there.
func errNone() error {
	return errs.New(errs.FailedPrecondition, "NOT_ENROLLED", "the account has no second factor here")
}

// Enrol puts a new secret beside what is there; it counts once Confirm has seen a code of it. A pending secret is replaced. An
// active one stays in force until then, and may only be followed by another when its holder has proven it in the same flow
// (oldProven); else the help desk has to reset it first. A disabled one must be reset in any case.
func Enrol(a *Authenticator, accountID string, c Credential, oldProven bool, now time.Time) (Authenticator, error) {
	next := value(a)
	c.Enrolled, c.Confirmed = now, time.Time{}
	if err := c.check(); err != nil {
		return next, err
	}
	switch {
	case next.State == Disabled:
		return next, errs.New(errs.FailedPrecondition, "AUTHENTICATOR_DISABLED", "the second factor is disabled: reset it first")
	case next.State == Active && !oldProven:
		return next, errs.New(errs.FailedPrecondition, "AUTHENTICATOR_ACTIVE",
			"there is a second factor already: prove it in this flow, or have it reset")
	case next.State != Active:
		next = Authenticator{State: Pending} // what a reset left, or an enrolment nobody confirmed
	}
	next.AccountID, next.Pending = accountID, c
	return next, nil
}

// Confirm tries a code of the pending secret. The right one puts it in force, spends its step and starts the budget anew;
// recovery codes stay. A wrong one changes nothing: who confirms has been shown the secret, there is nothing to guess.
func Confirm(a *Authenticator, check CheckFunc, now time.Time) (Authenticator, Outcome, error) {
	next := value(a)
	if next.Pending.IsZero() || (next.State != Pending && next.State != Active) {
		return next, Outcome{}, errs.New(errs.FailedPrecondition, "NOTHING_TO_CONFIRM", "no second factor waits for its first code")
	}
	step, reason := check(0)
	if reason != "" {
		return next, Outcome{Reason: reason}, nil
	}
	next.activate(next.Pending, step, now)
	return next.succeeded(), Outcome{Accepted: true, Step: step, Counted: true}, nil
}

// Import puts a secret in force that another system had confirmed; lastStep is the last step it accepted, 0 if not known.
// It never replaces one that is in force or disabled here.
func Import(a *Authenticator, accountID string, c Credential, lastStep int64, now time.Time) (Authenticator, error) {
	next := value(a)
	if next.Usable() {
		return next, errs.New(errs.FailedPrecondition, "AUTHENTICATOR_ACTIVE", "there is a second factor already: reset it first")
	}
	if lastStep < 0 {
		return next, errs.Field("last_step", "FIELD_INVALID", "not negative")
	}
	c.Enrolled = now
	if err := c.check(); err != nil {
		return next, err
	}
	next = Authenticator{AccountID: accountID}
	next.activate(c, lastStep, now)
	return next, nil
}

func (a *Authenticator) activate(c Credential, step int64, now time.Time) {
	c.Confirmed = now
	a.State, a.Active, a.Pending, a.LastStep = Active, c, Credential{}, step
}

// Unlock is the help desk giving the person another try: failures and locks are forgotten, the spent steps are not. A disabled
// factor cannot be unlocked, only reset.
func Unlock(a *Authenticator) (Authenticator, error) {
	next := value(a)
	switch {
	case !next.Usable():
		return next, errNone()
	case next.State == Disabled || next.Failures >= FailuresToDisable:
		return next, errs.New(errs.FailedPrecondition, "AUTHENTICATOR_DISABLED",
			"the second factor is disabled after too many failures: it cannot be unlocked, only reset")
	}
	return next.succeeded(), nil
}

// Reset forgets the factor, pending secret and recovery codes included, so that the person can enrol again without it.
func Reset(a *Authenticator) (Authenticator, error) {
	next := value(a)
	if next.State == None {
		return next, errNone()
	}
	return Authenticator{AccountID: next.AccountID}, nil
}
