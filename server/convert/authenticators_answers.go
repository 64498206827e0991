package convert

import (
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/factor"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// Access converts what CheckAccess answered. Conditions are left out: they are for Explain and GetFlow.
func (f Forms) Access(a authflow.Access) *posternv1.CheckAccessResponse {
	a.Decision.Conditions = nil
	form := &struct { // one allocation
		answer  posternv1.CheckAccessResponse
		message posternv1.UserMessage
	}{answer: posternv1.CheckAccessResponse{
		Verdict: posternv1.Verdict(a.Verdict), Reason: a.Reason, Decision: f.Decision(&a.Decision), ValidUntil: timestamp(a.ValidUntil),
		Session: a.Session,
	}}
	out := &form.answer
	fillMessage(&form.message, &a.Message)
	out.UserMessage = &form.message
	if a.Verdict != audit.VerdictAllow {
		out.Verdict = posternv1.Verdict_VERDICT_DENY // there is no third answer, and no way to allow by mistake
	}
	if !a.Flow.IsZero() {
		out.Flow = names.FormatFlow(a.Organization, a.Flow.String())
	}
	return out
}

var statesOf = map[factor.State]posternv1.Authenticator_State{
	factor.None: posternv1.Authenticator_STATE_NONE, factor.Pending: posternv1.Authenticator_STATE_PENDING,
	factor.Active: posternv1.Authenticator_STATE_ACTIVE, factor.Disabled: posternv1.Authenticator_STATE_DISABLED,
}

// Authenticator converts an authenticator, without secrets. Which secret the codes are of is shown: the one in force, else the
// one that waits.
func Authenticator(s authflow.SubjectFactor, now time.Time) *posternv1.Authenticator {
	a := &s.Authenticator
	out := &posternv1.Authenticator{
		Name: names.FormatAuthenticator(s.Organization, s.Subject), AccountId: a.AccountID, State: statesOf[a.State],
		Failures: int32(a.Failures), RecoveryCodesLeft: int32(len(a.Recovery)), //nolint:gosec // at most 20 and 10
		ReplacementPending: !a.Active.IsZero() && !a.Pending.IsZero(),
	}
	if locked, until := a.Locked(now); locked {
		out.LockUntil = timestamp(until)
	}
	c := a.Active
	if c.IsZero() {
		c = a.Pending
	}
	if c.IsZero() {
		return out
	}
	out.Uid, out.Algorithm, out.Digits, out.Period = c.UID, c.Algorithm.String(), int32(c.Digits), int32(c.Period/time.Second) //nolint:gosec // at most 8 and 120
	out.EnrollTime, out.ConfirmTime, out.EnrolledBy = timestamp(c.Enrolled), timestamp(c.Confirmed), c.By
	if c.Flow != "" {
		out.EnrolledFlow = names.FormatFlow(s.Organization, c.Flow)
	}
	return out
}

// Enrolled converts a secret for its holder.
func Enrolled(e authflow.Enrolled, now time.Time) *posternv1.EnrollTotpResponse {
	return &posternv1.EnrollTotpResponse{
		Authenticator: Authenticator(e.SubjectFactor, now), OtpauthUri: e.HandOut.URI, Secret: e.HandOut.Secret, QrPng: e.HandOut.QR,
	}
}

// RecoveryCodes converts recovery codes for their holder.
func RecoveryCodes(r authflow.RecoveryCodes, now time.Time) *posternv1.GenerateRecoveryCodesResponse {
	return &posternv1.GenerateRecoveryCodesResponse{Codes: r.Codes, Authenticator: Authenticator(r.SubjectFactor, now)}
}

// Imported converts what an import took.
func Imported(r authflow.Imported) *posternv1.ImportAuthenticatorsResponse {
	out := &posternv1.ImportAuthenticatorsResponse{Imported: int32(r.Imported), Skipped: int32(r.Skipped)} //nolint:gosec // at most 500
	for _, p := range r.Problems {
		out.Problems = append(out.Problems, &posternv1.ImportProblem{Index: int32(p.Index), Reason: p.Reason}) //nolint:gosec // at most 500
	}
	return out
}

// Revoked converts from when on proofs count.
func Revoked(r authflow.Revoked) *posternv1.RevokeProofsResponse {
	return &posternv1.RevokeProofsResponse{NotBefore: timestamp(r.NotBefore), Event: r.Event}
}
