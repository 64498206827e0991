package authflow

import (
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// check refuses a step that cannot be what it says: nothing of it depends on what the flow has shown so far, but for the
// order of times.
func (r *run) check(move Move) error {
	rep := r.in.Step
	f, method := family(rep.Type)
	if err := r.checkMethod(f); err != nil {
		return err
	}
	what := method + rep.Method + rep.Factor // exactly one of them is set
	switch {
	case !audit.MayReport(rep.Type, what, rep.Reason):
		return invalid("step.reason", ErrReason)
	case rep.Reason == audit.ReasonOther && (rep.Detail == "" || rep.Evidence != audit.EvidenceAsserted):
		return invalid("step.detail", ErrDetailRequired)
	case rep.UserVerified != nil && rep.Method != audit.MethodPasskey:
		return invalid("step.user_verified", ErrUserVerified)
	}
	if err := r.checkEvidence(move); err != nil {
		return err
	}
	if err := r.when("step.occurred_at", rep.OccurredAt); err != nil {
		return err
	}
	return r.checkAuthenticatedAt()
}

// checkMethod looks at method, connection and factor.
func (r *run) checkMethod(f audit.Family) error {
	rep := r.in.Step
	if (f == audit.FamilyPasswordless) != audit.IsPasswordless(rep.Method) || f != audit.FamilyPasswordless && rep.Method != "" {
		return invalid("step.method", ErrMethod)
	}
	if (f == audit.FamilyMFA) != audit.IsFactor(rep.Factor) || f != audit.FamilyMFA && rep.Factor != "" {
		return invalid("step.factor", ErrFactor)
	}
	var kind policy.ConnectionKind
	switch f {
	case audit.FamilySSO:
		if rep.Connection == "" {
			return invalid("step.connection", ErrConnectionRequired)
		}
		kind = policy.ConnectionSSO
	case audit.FamilySocial:
		kind = policy.ConnectionSocial
	default:
		if rep.Connection != "" {
			return invalid("step.connection", ErrConnectionUnexpected)
		}
	}
	if rep.Connection == "" {
		return nil
	}
	if c := connection(r.in.Organization, rep.Connection); c == nil || c.Kind != kind {
		return invalid("step.connection", ErrConnectionUnknown)
	}
	return nil
}

// checkEvidence looks at what a step rests on and whom it proves.
func (r *run) checkEvidence(move Move) error {
	rep := r.in.Step
	switch {
	case rep.Evidence == audit.EvidenceAsserted && (len(rep.Checks) > 0 || len(rep.IdentityKey) > 0),
		rep.Evidence != audit.EvidenceAsserted && rep.Evidence != audit.EvidenceVerified,
		rep.Type == audit.TypeSessionReused && rep.Evidence == audit.EvidenceVerified && rep.Session == "",
		rep.Attempt != nil && !rep.Attempt.fits(rep):
		return invalid("step.type", ErrEvidence)
	case rep.Begins != nil && (move != MoveNote || rep.Evidence != audit.EvidenceVerified),
		(len(rep.IdentityKey) > 0) != (rep.Issuer != "" && rep.SubjectID != ""):
		return invalid("step.type", ErrEvidence)
	case len(rep.SessionHandle) > 0 && rep.Session == "":
		return invalid("step.session_handle", ErrSessionHandle)
	case move == MoveFactorProve && rep.Subject.AccountID != "" && r.s.Bound != nil && r.s.Bound.AccountID == "":
		return refuse(ErrLinkProof) // a factor is no proof of the account it is named with
	case move == MoveProve && rep.Subject.AccountID == "" && len(rep.IdentityKey) == 0:
		return invalid("step.subject.account_id", ErrAccountIDRequired)
	}
	return nil
}

// checkAuthenticatedAt: mandatory on session.reused, never after the step or ahead of now. An identity provider may say it too.
func (r *run) checkAuthenticatedAt() error {
	t := r.in.Step.AuthenticatedAt
	reused, federated := r.in.Step.Type == audit.TypeSessionReused, len(r.in.Step.IdentityKey) > 0
	switch {
	case !reused && !federated && !t.IsZero():
		return invalid("step.authenticated_at", ErrAuthenticatedAtOdd)
	case !reused && t.IsZero():
		return nil
	case t.IsZero():
		return invalid("step.authenticated_at", ErrAuthenticatedAt)
	case t.After(r.now) || t.After(r.at):
		return invalid("step.authenticated_at", ErrAuthenticatedAhead)
	}
	return nil
}

// connection returns an organization's connection by id, nil when it has none.
func connection(org *policy.Organization, id string) *policy.Connection {
	for i := range org.Connections {
		if org.Connections[i].ID == id {
			return &org.Connections[i]
		}
	}
	return nil
}
