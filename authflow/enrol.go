package authflow

import (
	"bytes"
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// What apps understand without being told.
const (
	defaultDigits = 6
	defaultPeriod = 30 * time.Second
)

func (in *EnrolInput) canonical() []byte {
	var c canonical
	c.text(1, in.Organization)
	c.text(3, in.AccountID)
	c.text(4, in.Flow.String())
	c.text(5, in.Reason)
	c.text(6, in.Issuer)
	c.text(7, in.Label)
	c.number(8, int64(in.Algorithm))
	c.number(9, int64(in.Digits))
	c.number(10, int64(in.Period))
	return c.b
}

// Enrol makes a secret for an account and hands it out; it counts once Confirm has seen a code of it. It needs a flow that is
// bound to the account and has met every demand but the second factor, or an administrator's reason. A factor in force stays
// until then, and can only be followed by another in a flow in which it was proven. The same request id gets the same secret
// until it is confirmed.
func (a *Authenticators) Enrol(ctx context.Context, who Caller, in EnrolInput) (Enrolled, error) {
	c, err := a.change(ctx, who, "EnrollTotp", in.Organization, in.RequestID, in.canonical())
	if err != nil {
		return Enrolled{}, err
	}
	c.subject = a.f.c.Namer.AccountKey(c.org.UID, in.AccountID)
	var out HandOut
	s, first, err := c.run(ctx, func(s *SubjectRecords, now time.Time) (*alteration, error) {
		basis, err := a.basis(ctx, c.org, &in.Flow, in.AccountID, in.Reason, false)
		if err != nil {
			return nil, err
		}
		credential := newCredential(a.f.c.NewID(), in.Algorithm, in.Digits, in.Period)
		credential.By, credential.Flow, credential.After = who.Principal, in.Flow.String(), basis.after
		if err := factor.CheckCodeForm(credential.Algorithm, credential.Digits, credential.Period); err != nil {
			return nil, err
		}
		if credential.Sealed, err = a.c.Secrets.New(c.org.UID, credential); err != nil {
			return nil, err
		}
		next, err := factor.Enrol(s.Authenticator, in.AccountID, credential, basis.proved(s.Authenticator), now)
		if err != nil {
			return nil, err
		}
		if out, err = a.c.Secrets.HandOut(c.org.UID, next.Pending, in.Issuer, in.Label); err != nil {
			return nil, err
		}
		e := c.about(audit.TypeAuthenticatorEnrolled, &next, &next.Pending, in.Reason, now)
		e.Flow, e.Enrolment = in.Flow.String(), enrolmentOf(&next.Pending)
		return &alteration{authenticator: &next, event: e, sealed: a.fingerprint(credential.Sealed)}, nil
	})
	if err != nil {
		return Enrolled{}, err
	}
	if first != nil {
		pending := &valueRef(s.Authenticator).Pending
		if pending.IsZero() || !bytes.Equal(first.Sealed, a.fingerprint(pending.Sealed)) {
			return Enrolled{}, refuse(ErrSecretShown)
		}
		if out, err = a.c.Secrets.HandOut(c.org.UID, *pending, in.Issuer, in.Label); err != nil {
			return Enrolled{}, err
		}
	}
	return Enrolled{SubjectFactor: c.seen(s), HandOut: out}, nil
}

func newCredential(uid string, algorithm factor.Algorithm, digits int, period time.Duration) factor.Credential {
	c := factor.Credential{UID: uid, Algorithm: algorithm, Digits: digits, Period: period}
	if c.Algorithm == 0 {
		c.Algorithm = factor.SHA1
	}
	if c.Digits == 0 {
		c.Digits = defaultDigits
	}
	if c.Period == 0 {
		c.Period = defaultPeriod
	}
	return c
}

// fingerprint tells one sealed secret from another.
func (a *Authenticators) fingerprint(sealed []byte) []byte {
	h := a.f.named("sealed", string(sealed))
	return h[:]
}

func valueRef(a *factor.Authenticator) *factor.Authenticator {
	v := valueOf(a)
	return &v
}

// basis is what a change of a factor rests on.
type basis struct {
	after  factor.Basis
	flow   *State // nil: an administrator's word
	factor string // uid of the credential that was proven in it
}

// proved reports whether the factor in force was proven in the flow itself.
func (b *basis) proved(a *factor.Authenticator) bool {
	return a.Usable() && b.factor != "" && b.factor == a.Active.UID
}

// basis looks at the flow a change rests on: it must be live, bound to the account, not stopped, and have met every demand; all
// but the second factor when that is what the change is about. Without a flow it needs an administrator's reason.
func (a *Authenticators) basis(ctx context.Context, org *policy.Organization, flow *FlowID, accountID, reason string, all bool) (*basis, error) {
	if flow.IsZero() {
		if reason == "" {
			return nil, invalid("reason", ErrReasonRequired)
		}
		return &basis{}, nil
	}
	reading, err := a.f.read(ctx, Read{OrganizationUID: org.UID, Flow: *flow, Organization: true})
	if err != nil {
		return nil, err
	}
	l := reading.Flow
	if l == nil || l.State.OrganizationUID != org.UID {
		return nil, refuse(ErrFlowNotFound)
	}
	if reading.Organization != nil {
		org = reading.Organization
	}
	subject, err := a.f.regard(ctx, l)
	if err != nil {
		return nil, err
	}
	s := l.State
	live := s.Bound != nil && s.Phase != PhaseEnded && l.SupersededBy.IsZero() && a.f.c.Now().Before(s.Deadline)
	if !live || s.Bound.AccountID != accountID || !a.f.ready(l, subject, org, all) {
		return nil, refuse(ErrEnrolFlow)
	}
	b := &basis{flow: s}
	if n := s.Bound.Step; n >= 1 && n <= len(s.Steps) {
		e := s.Steps[n-1].Event
		b.after = factor.Basis{Method: e.Method, Connection: e.ConnectionUID, Evidence: e.Evidence}
	}
	for i := range s.Steps {
		if e := s.Steps[i].Event; e.Type == audit.TypeMFAVerified && e.Evidence == audit.EvidenceVerified && e.Authenticator != "" {
			b.factor = e.Authenticator
		}
	}
	return b, nil
}

// ready reports whether nothing but the second factor is missing, or nothing at all.
func (f *Flows) ready(flow *Loaded, subject *SubjectRecords, org *policy.Organization, all bool) bool {
	s := flow.State
	var r run
	r.begin(*s, Input{Kind: KindTick, Organization: org, Site: siteByUID(org, s.SiteUID), Subject: subject, Device: f.device(s.OrganizationUID)}, f.c.Now())
	r.judge()
	if r.stop() != nil || r.decision.Verdict == audit.VerdictDeny || all && r.decision.Verdict != audit.VerdictAllow {
		return false
	}
	for i := range r.decision.Demands {
		if d := &r.decision.Demands[i]; !d.Met && d.Kind != policy.DemandMFA {
			return false
		}
	}
	return true
}

func (in *ConfirmInput) canonical() []byte {
	var c canonical
	c.text(1, in.Organization)
	c.field(2, in.Subject[:])
	c.text(3, in.Code)
	return c.b
}

// Confirm looks at a code of the secret that waits: a right one puts it in force, and is used up. A wrong one changes nothing
// and is refused with what the person can do something about.
func (a *Authenticators) Confirm(ctx context.Context, who Caller, in ConfirmInput) (SubjectFactor, error) {
	c, err := a.change(ctx, who, "ConfirmTotp", in.Organization, in.RequestID, in.canonical())
	if err != nil {
		return SubjectFactor{}, err
	}
	c.subject = in.Subject
	s, _, err := c.run(ctx, func(s *SubjectRecords, now time.Time) (*alteration, error) {
		if s.Authenticator == nil {
			return nil, refuse(ErrAuthenticatorNotFound)
		}
		if !a.c.Verifier.Shaped(in.Code) {
			return nil, invalid("code", ErrCodeForm)
		}
		check, err := a.c.Verifier.Totp(c.org.UID, s.Authenticator.Pending, in.Code, now)
		if err != nil {
			return nil, errs.Wrap(err, errs.Internal, ErrVerifier, describe(ErrVerifier))
		}
		next, out, err := factor.Confirm(s.Authenticator, check, now)
		switch {
		case err != nil:
			return nil, err
		case out.Reason == audit.ReasonVerifierError:
			return nil, refuse(ErrVerifier)
		case !out.Accepted:
			return nil, errs.New(errs.FailedPrecondition, ErrCodeWrong, describe(ErrCodeWrong)).WithMeta("reason", out.Reason)
		}
		e := c.about(audit.TypeAuthenticatorConfirmed, &next, &next.Active, "", now)
		e.Flow, e.Enrolment = next.Active.Flow, enrolmentOf(&next.Active)
		return &alteration{authenticator: &next, event: e}, nil
	})
	if err != nil {
		return SubjectFactor{}, err
	}
	return c.seen(s), nil
}
