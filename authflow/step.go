package authflow

import (
	"bytes"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// step applies one reported step. A stop ends the flow after the step was recorded, unless the step cannot be: then at once.
func (r *run) step(move Move, effect Effect) (Moved, error) {
	if err := r.check(move); err != nil {
		return Moved{}, err
	}
	if r.in.Step.Context != nil {
		r.ctx = *r.in.Step.Context
	}
	full := len(r.s.Steps)+r.in.Step.needs() >= MaxSteps // the last number is the ending's
	if effect == EffectNotBound || full {
		switch st := r.stop(); {
		case st != nil:
			r.judge()
			return r.stopped(st), nil
		case !full:
			return Moved{}, refuse(ErrNotBound)
		}
		r.judge()
		return r.end(audit.EndingFailed, audit.ReasonTooManySteps, ""), nil
	}
	r.apply(effect)
	if st := r.stop(); st != nil {
		r.judge()
		r.markStopped(st)
		return r.stopped(st), nil
	}
	if r.s.Rejections >= MaxRejections {
		r.judge()
		return r.end(audit.EndingFailed, r.s.LastRejection, ""), nil
	}
	return r.settle(), nil
}

// apply makes the step's event and what follows from it.
func (r *run) apply(effect Effect) {
	e := r.reported()
	switch effect {
	case EffectBind:
		r.bind(e)
	case EffectShow:
		if !r.same() {
			r.mismatch(e)
			break
		}
		r.show(e)
	case EffectReject:
		r.reject(e)
	default: // EffectRecord
		r.about(&e.Personal)
		r.reason = e.Reason
	}
	r.append(e)
	r.attempted(e)
	r.pend()
	if effect == EffectBind {
		r.judge()
		d := r.decision
		bound := r.s.Steps[len(r.s.Steps)-1].Event
		bound.Decision, bound.Revision = &d, d.PolicyRevision
	}
}

// bind makes the step's subject the flow's: class, rule and demands are decided from its records and frozen.
func (r *run) bind(e *audit.Event) {
	rep := r.in.Step
	verified := rep.Subject.EmailVerified != nil && *rep.Subject.EmailVerified
	kind := rep.Subject.Kind
	if kind == audit.SubjectUnspecified {
		kind = r.s.Claimed.Kind
	}
	in := r.policyInput()
	in.Subject = policy.Subject{
		AccountID: rep.Subject.AccountID, AccountKey: rep.Keys.Account, Address: rep.Subject.Address, AddressKey: rep.Keys.Address,
		EmailVerified: verified, Kind: kind,
	}
	in.Records = rep.Records
	in.Context.Method, in.Context.Connection = e.Method, e.Connection
	frozen := policy.Bind(in)
	r.s.Frozen = &frozen
	r.s.Class = frozen.SubjectClass
	r.s.Phase = PhaseBound
	r.s.Bound = &Bound{
		AccountID: rep.Subject.AccountID, IdentityKey: bytes.Clone(rep.IdentityKey), Email: rep.Subject.Address,
		EmailVerified: verified, Kind: kind, Step: e.Step,
	}
	e.Class, e.Provisional, e.SubjectKind = r.s.Class, false, kind
	r.show(e)
}

// show records a proof of the bound subject, with whether it counts.
func (r *run) show(e *audit.Event) {
	rep := r.in.Step
	if mv, _ := stepMove(e.Type); mv == MoveProve {
		r.s.Proven = true
	}
	r.person(&e.Personal)
	if !rep.Subject.Address.IsZero() {
		e.Personal.Email, e.Personal.EmailVerified = rep.Subject.Address.String(), rep.Subject.EmailVerified
	}
	if len(rep.IdentityKey) > 0 && rep.Subject.Address.IsZero() {
		e.Personal.Email, e.Personal.EmailVerified = "", nil // the provider gave none
	}
	r.join(e)
	e.Personal.AccountID = r.s.Bound.AccountID
	counts, reason := policy.Counts(*r.s.Frozen, shown(e))
	e.Counts = &counts
	if !counts {
		e.Reason = reason
	}
	r.counts, r.reason = e.Counts, e.Reason
	if r.s.Bound.own(e) {
		r.remember(e)
	}
}

// mismatch records a proof of somebody else as what it is: a rejection.
func (r *run) mismatch(e *audit.Event) {
	e.Type = rejection(e.Type)
	e.Outcome = audit.OutcomeOf(e.Type)
	e.Reason = audit.ReasonSubjectMismatch
	r.person(&e.Personal)
	e.Personal.PresentedAccountID = r.in.Step.Subject.AccountID
	if r.s.Bound.AccountID == "" {
		r.in.Subject, r.known = nil, nil // they are of the account that was shown
	}
	r.countRejection(e.Reason)
}

// reject records a refused attempt.
func (r *run) reject(e *audit.Event) {
	r.about(&e.Personal)
	r.countRejection(e.Reason)
}

func (r *run) countRejection(reason string) {
	r.s.Rejections++
	r.s.LastRejection = reason
	r.reason = reason
}

// same reports whether the step's subject is the bound one. Account ids and identity keys are compared, e-mail never. What
// names nobody is a factor of the bound subject; a proof of its own must share a name, or give a first name to an identity.
func (r *run) same() bool {
	rep, b := r.in.Step, r.s.Bound
	account, key := rep.Subject.AccountID, rep.IdentityKey
	if account != "" && b.AccountID != "" && account != b.AccountID {
		return false
	}
	if len(key) > 0 && len(b.IdentityKey) > 0 && !bytes.Equal(key, b.IdentityKey) {
		return false
	}
	if mv, _ := stepMove(rep.Type); mv == MoveFactorProve {
		return true
	}
	return account != "" || len(key) > 0 && (len(b.IdentityKey) > 0 || rep.Links && b.AccountID != "")
}

// markStopped says on a federated proof itself that its connection is switched off: it happened, it does not count.
func (r *run) markStopped(st *policy.Stop) {
	last := r.s.Steps[len(r.s.Steps)-1].Event
	if st.Reason != audit.ReasonConnectionDisabled || last.Counts == nil || last.Connection == "" {
		return
	}
	if c := connection(r.in.Organization, last.Connection); c != nil && !c.Disabled {
		return // it is the connection that bound which is off
	}
	no := false
	last.Counts, last.Reason = &no, st.Reason
	r.counts = &no
}
