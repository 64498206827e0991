package authflow

import (
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/policy"
)

// needs is how many numbers the step may take. A code that is looked at here may begin a lock, which is an event of its own.
// Room is needed before the code is looked at, right or wrong: else a flow that is nearly full would tell one from the other
// without a guess being counted.
func (rep *Reported) needs() int {
	if rep.Attempt != nil {
		return 2
	}
	return 1
}

// fits reports whether the step says what the attempt came to.
func (a *Attempt) fits(rep *Reported) bool {
	t := audit.TypeMFARejected
	if a.Outcome.Accepted {
		t = audit.TypeMFAVerified
	}
	return rep.Type == t && rep.Reason == a.Outcome.Reason && rep.Evidence == audit.EvidenceVerified &&
		(rep.Factor == audit.FactorTOTP || rep.Factor == audit.FactorRecoveryCode)
}

// attempted is what a code that was looked at leaves behind: the authenticator, and the lock it may have begun.
func (r *run) attempted(e *audit.Event) {
	a := r.in.Step.Attempt
	if a == nil {
		return
	}
	if a.Outcome.Counted {
		next := a.Next
		r.authenticator = &next
	}
	if !a.Outcome.Locked {
		return
	}
	r.locked = true
	l := r.event(r.in.IDs.Lock, audit.TypeMFALocked)
	l.Factor, l.Reason, l.Evidence, l.Authenticator = e.Factor, audit.ReasonLocked, audit.EvidenceVerified, e.Authenticator
	r.about(&l.Personal)
	if l.Personal.Detail = "disabled until it is reset"; !a.Outcome.Disabled {
		l.Personal.Detail = "until " + a.Outcome.Until.UTC().Format(time.RFC3339)
	}
	r.append(l)
}

// Told is what a caller learns of why a code was refused here: MALFORMED is about what was typed and is told, everything else
// is one and the same, so that nobody learns who has a factor, which codes were right once, or that a lock has begun. The
// event has the true reason.
func Told(reason string) string {
	switch reason {
	case audit.ReasonCodeExpired, audit.ReasonCodeReplayed, audit.ReasonCodeFromFuture, audit.ReasonNotEnrolled, audit.ReasonLocked,
		audit.ReasonRecoveryCodeUsed:
		return audit.ReasonWrongCode
	}
	return reason
}

// withhold makes the answers to unknown, wrong, late, early, used and locked codes alike.
func (r *run) withhold(m *Moved) {
	m.Reason = Told(m.Reason)
	if r.locked && r.s.Phase != PhaseEnded {
		m.Step-- // of the code; the lock behind it is for the record
	}
	if r.in.Step.Attempt.Outcome.Accepted {
		return
	}
	m.Next = slices.Clone(m.Next)
	for i := range m.Next {
		m.Next[i].Enrolled = nil
	}
}

// remember makes what was just proven a proof, to be kept with the step. Rules run for external users only, so that of
// nobody else anything is kept. The time of a proof is never after now: an asserted one can only make it older.
func (r *run) remember(e *audit.Event) {
	if r.in.Subject == nil || r.s.Class != audit.ClassExternal || r.s.Bound.AccountID == "" {
		return
	}
	s := shown(e)
	before := r.recalled()
	proof := policy.Proof{
		Method: s.Method, Factor: s.Factor, Connection: s.Connection, ConnectionUID: e.ConnectionUID, Device: r.device(),
		At: policy.ProvenAt(r.now, s.At), Evidence: s.Evidence, UserVerified: s.UserVerified, PartnerAMR: s.PartnerAMR, PartnerACR: s.PartnerACR,
		Flow: e.Flow, Step: e.Step, SiteUID: e.SiteUID,
	}
	older := proof
	if older.At = later(proof.At.Add(-refreshAfter), r.bound(&before)); older.At.After(proof.At) {
		older.At = proof.At
	}
	if same(policy.Remember(before.Proofs, older), before.Proofs) {
		return // it says nothing new
	}
	r.remembered = &Person{Proofs: policy.Remember(before.Proofs, proof), NotBefore: before.NotBefore}
}

// refreshAfter is how old what is remembered must be before the same again takes its place: an account that signs in many times
// a second does not have all its flows meet in one record. What is remembered is older by that at most, never younger.
const refreshAfter = 5 * time.Second

// bound is the last moment before which proofs count no more somewhere in the organization: what is older takes no new proof's
// place.
func (r *run) bound(p *Person) time.Time {
	at := later(p.NotBefore, r.in.Organization.ProofsNotBefore)
	for i := range r.in.Organization.Sites {
		at = later(at, r.in.Organization.Sites[i].ProofsNotBefore)
	}
	return at
}

// same reports whether two lists are of the same proofs.
func same(a, b []policy.Proof) bool {
	return slices.EqualFunc(a, b, func(a, b policy.Proof) bool { return a.Flow == b.Flow && a.Step == b.Step })
}

// recalled is what is remembered of the subject, with what this input added.
func (r *run) recalled() Person {
	switch {
	case r.remembered != nil:
		return *r.remembered
	case r.known != nil:
		return *r.known
	}
	return Person{}
}

// recall gives the policy what is kept of the subject.
func (r *run) recall(in *policy.Input) {
	in.Device = r.device()
	if r.in.Subject == nil {
		return
	}
	p := r.recalled()
	in.Proofs, in.NotBefore, in.Enrolment = p.Proofs, p.NotBefore, r.in.Subject.enrolment()
}

// device is the keyed hash of the device the step comes from, zero without one.
func (r *run) device() [16]byte {
	if r.in.Device == nil || r.ctx.DeviceID == "" {
		return [16]byte{}
	}
	return r.in.Device(r.ctx.DeviceID)
}

// enrolment says which factors the subject has here. One that failures have disabled is still enrolled, and so are recovery
// codes that are used up: using up a factor must not bring its holder back into a grace for those who have none.
func (s *SubjectRecords) enrolment() policy.Enrolment {
	e := policy.Enrolment{Known: true}
	if a := s.Authenticator; a.Usable() {
		e.Factors = append(e.Factors, audit.FactorTOTP)
		if a.RecoveryIssued > 0 {
			e.Factors = append(e.Factors, audit.FactorRecoveryCode)
		}
	}
	return e
}

// enrolmentOf is how a secret came to be there, as events carry it. What was taken over from elsewhere is in force from the
// moment it comes.
func enrolmentOf(c *factor.Credential) *audit.Enrolment {
	return &audit.Enrolment{Time: c.Enrolled, Caller: c.By, Flow: c.Flow, Method: c.After.Method, Evidence: c.After.Evidence,
		Imported: c.Flow == "" && c.Confirmed.Equal(c.Enrolled)}
}
