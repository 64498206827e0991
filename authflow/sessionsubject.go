package authflow

import (
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// let keeps in a session whom the flow let in, and what they had proven: a session goes on as what it began as.
func (s *Session) let(st *State, device func(string) [16]byte) {
	b := st.Bound
	s.Subject = SessionSubject{AccountID: b.AccountID, Email: b.Email, EmailVerified: b.EmailVerified, Kind: b.Kind, Class: st.Class}
	for i := range st.Steps {
		e := st.Steps[i].Event
		m, ok := stepMove(e.Type)
		if !ok || m != MoveProve && m != MoveFactorProve {
			continue
		}
		v := shown(e)
		s.Authenticated = later(s.Authenticated, v.At) // of a session that was reused: since when it goes on
		if v.Method == audit.MethodSession || len(s.Shown) == MaxProofs {
			continue
		}
		p := policy.Proof{Method: v.Method, Factor: v.Factor, Connection: v.Connection, ConnectionUID: e.ConnectionUID, At: v.At,
			Evidence: v.Evidence, UserVerified: v.UserVerified, PartnerAMR: v.PartnerAMR, PartnerACR: v.PartnerACR,
			Flow: e.Flow, Step: e.Step, SiteUID: e.SiteUID}
		if e.Personal.DeviceID != "" {
			p.Device = device(e.Personal.DeviceID)
		}
		s.Shown = append(s.Shown, p)
	}
}

// personal adds whose session it is to an event.
func (s *SessionSubject) personal(p *audit.Personal) {
	p.AccountID = s.AccountID
	if !s.Email.IsZero() {
		verified := s.EmailVerified
		p.Email, p.EmailVerified = s.Email.String(), &verified
	}
}

// shownAt is what a session or token shows at a site: itself, going back to when the person last gave a credential, and what
// the flow behind it had proven, as far as that still counts.
func (s *Session) shownAt(method string, in *policy.Input) []policy.Shown {
	at := s.Authenticated
	if at.IsZero() {
		at = s.Started
	}
	out := []policy.Shown{{Method: method, Evidence: audit.EvidenceVerified, At: at}}
	for _, p := range s.Shown {
		p.Device = [16]byte{} // it is this session's own, wherever it is used
		if policy.Usable(p, *in) {
			out = append(out, policy.Shown{Step: p.Step, Method: p.Method, Connection: p.Connection, Factor: p.Factor, Evidence: p.Evidence,
				At: p.At, UserVerified: p.UserVerified, PartnerAMR: p.PartnerAMR, PartnerACR: p.PartnerACR})
		}
	}
	return out
}

// method is the method token of what is presented.
func (s *Session) method() string {
	if s.Kind == KindOfToken {
		return audit.MethodToken
	}
	return audit.MethodSession
}

// over is why what is presented is over, "" while it is live.
func (s *Session) overBecause(now time.Time) string {
	ended, out := !s.Ended.IsZero(), !now.Before(s.Expires)
	switch {
	case !ended && !out:
		return ""
	case s.Kind != KindOfToken:
		return audit.ReasonSessionExpired
	case ended && s.EndCause != EndExpired:
		return audit.ReasonTokenRevoked
	}
	return audit.ReasonTokenExpired
}
