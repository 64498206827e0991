package authflow

import (
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// joined is the session a session.reused step names by its handle, as it was recorded here.
type joined struct {
	handle  [32]byte
	session *Session // nil: none by this handle is recorded
}

// reuse says what a reused session is worth. One that was recorded here and is still live is VERIFIED: whose it is, and since
// when, says the record. One that is over is a rejection, and so is one of somebody else than the step says. One that was
// never recorded rests on the login service's word, if it gives it: who it is and when they last gave a credential.
func (rep *Reported) reuse(j *joined, now time.Time) {
	rep.Session = hexHandle(j.handle)
	s := j.session
	known := s != nil && s.Subject.AccountID != "" && s.Kind != KindOfToken
	switch {
	case !known && rep.Subject.AccountID != "" && !rep.AuthenticatedAt.IsZero() && (s == nil || s.Kind != KindOfToken):
		return
	case !known:
		rep.unfit(audit.ReasonSessionUnknown)
	case s.over(now):
		rep.unfit(audit.ReasonSessionExpired)
	case rep.Subject.AccountID != "" && rep.Subject.AccountID != s.Subject.AccountID:
		rep.unfit(audit.ReasonSubjectMismatch)
	default:
		verified := s.Subject.EmailVerified
		rep.Subject.AccountID, rep.Subject.Address, rep.Subject.EmailVerified = s.Subject.AccountID, s.Subject.Email, &verified
		rep.Subject.Kind = s.Subject.Kind
		at := s.Authenticated
		if at.IsZero() {
			at = s.Started
		}
		if asserted := rep.AuthenticatedAt; asserted.IsZero() || at.Before(asserted) {
			rep.AuthenticatedAt = at
		}
		rep.Evidence, rep.Checks = audit.EvidenceVerified, []string{"session_recorded", "session_live"}
	}
}

// unfit makes the step a rejection.
func (rep *Reported) unfit(reason string) {
	rep.Type, rep.Reason, rep.AuthenticatedAt = audit.TypeSessionRejected, reason, time.Time{}
	rep.Evidence, rep.Checks = audit.EvidenceVerified, []string{"session_recorded"}
}

// over reports whether a session or token has ended or run out.
func (s *Session) over(now time.Time) bool { return !s.Ended.IsZero() || !now.Before(s.Expires) }

// join is what a step's session handle stands for; nil when the step names none.
func (c *call) join() *joined {
	if c.handle == [32]byte{} {
		return nil
	}
	return &joined{handle: c.handle, session: c.session}
}

// prepare finds what the steps of a start need: the subject of the first proof, and the one session that is reused.
func (s *starting) prepare() error {
	found := false
	var handle []byte
	for i := range s.in.Steps {
		step := &s.in.Steps[i]
		if m, ok := stepMove(step.Type); ok && m == MoveProve && !found {
			s.binder, found = s.f.lookup(s.org.UID, &step.Subject), true
		}
		if step.Type != audit.TypeSessionReused || len(step.SessionHandle) == 0 {
			continue
		}
		if handle != nil && !slices.Equal(handle, step.SessionHandle) {
			return invalid("steps.session_handle", ErrSessionHandle)
		}
		handle = step.SessionHandle
	}
	if handle != nil {
		s.handle = s.f.c.Namer.SessionHandle(s.org.UID, handle)
	}
	return nil
}

// join is what a step's session handle stands for; nil when the step names none.
func (s *starting) join(step *StepReport) *joined {
	if step.Type != audit.TypeSessionReused || len(step.SessionHandle) == 0 {
		return nil
	}
	return &joined{handle: s.handle, session: s.session}
}

// joins reports whether the session that was found is somebody else's than what was looked up, so that another look is needed.
func (s *starting) joins() bool {
	if s.joined || s.handle == [32]byte{} {
		return false
	}
	s.joined = true
	if s.session == nil || s.session.Subject.AccountID == "" {
		return false
	}
	i := slices.IndexFunc(s.in.Steps, func(step StepReport) bool { m, ok := stepMove(step.Type); return ok && m == MoveProve })
	if len(s.in.Steps[i].SessionHandle) == 0 {
		return false // another proof binds
	}
	keys := s.f.keys(s.org.UID, s.session.Subject.AccountID, s.session.Subject.Email)
	again := keys != s.binder
	s.binder = keys
	return again
}

// remembering is s with another person record.
func (s *SubjectRecords) remembering(p *Person) *SubjectRecords {
	if s == nil || p == nil {
		return s
	}
	c := *s
	c.Person = p
	return &c
}

// attempted reports whether the flow's last move looked at a code.
func (m *Moved) attempted() bool { return m.Authenticator != nil || m.looked }
