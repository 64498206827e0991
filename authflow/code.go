package authflow

import (
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
)

// CodeInput hands in a code of the bound subject's second factor.
type CodeInput struct {
	Organization string // id
	Flow         FlowID
	RequestID    string
	Code         string   // as typed: looked at and forgotten
	Context      *Context // nil: as in the step before
}

// TotpInput hands in a one-time code.
type TotpInput CodeInput

// RecoveryInput hands in a recovery code.
type RecoveryInput CodeInput

// VerifyTotp looks at a one-time code of the bound subject's authenticator and records the step, VERIFIED. Check, count, lock,
// what is remembered of it, step and event are one commit: one round trip on a flow this process knows. A right code is used up
// by it, whatever flow it comes in.
//
// The caller is told of a refused code that it was wrong, or has not the form of a code; whether there is a factor, whether it is
// locked and why a code did not count is in the event alone, see Told.
func (f *Flows) VerifyTotp(ctx context.Context, who Caller, in TotpInput) (Answer, error) {
	code := CodeInput(in)
	return f.verify(ctx, who, "VerifyTotp", &code, func(uid string, s *SubjectRecords, now time.Time) (*Reported, error) {
		return f.totp(uid, in.Code, s, now)
	})
}

// VerifyRecoveryCode looks at a recovery code of the bound subject and records the step, VERIFIED. Everything VerifyTotp says
// holds: recovery codes draw on the same budget and are used once.
func (f *Flows) VerifyRecoveryCode(ctx context.Context, who Caller, in RecoveryInput) (Answer, error) {
	code := CodeInput(in)
	return f.verify(ctx, who, "VerifyRecoveryCode", &code, func(uid string, s *SubjectRecords, now time.Time) (*Reported, error) {
		next, out := factor.UseRecoveryCode(s.Authenticator, in.Code, f.c.Verifier.Recovery(uid, s.Key), now)
		return looked(audit.FactorRecoveryCode, next, out), nil
	})
}

// verify runs a call that hands in a code.
func (f *Flows) verify(ctx context.Context, who Caller, method string, in *CodeInput, look func(string, *SubjectRecords, time.Time) (*Reported, error)) (Answer, error) {
	if f.c.Verifier == nil {
		return Answer{}, refuse(ErrVerifierMissing)
	}
	c, err := f.call(ctx, who, method, in.Organization, in.Flow, in.RequestID, in.canonical())
	if err != nil {
		return Answer{}, err
	}
	c.proves = true
	c.input = func(flow *Loaded, now time.Time) (Input, error) {
		subject := c.concerned(flow)
		if subject == nil { // nobody is bound, or nobody who has a name: looked at like the code of somebody without a factor
			subject = &SubjectRecords{}
		}
		rep, err := look(c.uid, subject, now)
		if err != nil {
			return Input{}, err
		}
		rep.Context = in.Context
		return Input{Kind: KindStep, Step: rep}, nil
	}
	return c.run(ctx)
}

// totp looks at a one-time code.
func (f *Flows) totp(uid, code string, s *SubjectRecords, now time.Time) (*Reported, error) {
	if !f.c.Verifier.Shaped(code) {
		return looked(audit.FactorTOTP, valueOf(s.Authenticator), factor.Outcome{Reason: audit.ReasonMalformed}), nil
	}
	var c factor.Credential
	if s.Authenticator.Usable() {
		c = s.Authenticator.Active
	}
	check, err := f.c.Verifier.Totp(uid, c, code, now)
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, ErrVerifier, describe(ErrVerifier))
	}
	next, out := factor.Attempt(s.Authenticator, alike(check), now)
	if out.Reason == audit.ReasonVerifierError {
		return nil, refuse(ErrVerifier)
	}
	return looked(audit.FactorTOTP, next, out), nil
}

// alike takes a code that has the form of one, but not of this authenticator's, for a wrong one: to call it malformed would tell
// what is enrolled.
func alike(check factor.CheckFunc) factor.CheckFunc {
	return func(lastStep int64) (int64, string) {
		step, reason := check(lastStep)
		if reason == audit.ReasonMalformed {
			return 0, audit.ReasonWrongCode
		}
		return step, reason
	}
}

// looked is the step a code that was looked at makes.
func looked(what string, next factor.Authenticator, out factor.Outcome) *Reported {
	rep := &Reported{StepReport: StepReport{Type: audit.TypeMFARejected, Factor: what, Reason: out.Reason},
		Evidence: audit.EvidenceVerified, Attempt: &Attempt{Outcome: out, Next: next}}
	switch {
	case out.Accepted && what == audit.FactorTOTP:
		rep.Type, rep.Checks = audit.TypeMFAVerified, []string{"code", "time_step", "unused", "not_locked"}
	case out.Accepted:
		rep.Type, rep.Checks = audit.TypeMFAVerified, []string{"code", "unused", "not_locked"}
	}
	return rep
}

func valueOf(a *factor.Authenticator) factor.Authenticator {
	if a == nil {
		return factor.Authenticator{}
	}
	return *a
}
