package authflow

import "github.com/postern-audit/postern/internal/errs"

// Reasons of the errors this package answers. They are documented API.
const (
	ErrFlowNotFound         = "FLOW_NOT_FOUND"
	ErrFlowExists           = "FLOW_EXISTS"
	ErrFlowEnded            = "FLOW_ENDED"
	ErrNotBound             = "NOT_BOUND"
	ErrSiteNotFound         = "SITE_NOT_FOUND"
	ErrSessionNotFound      = "SESSION_NOT_FOUND"
	ErrSessionEnded         = "SESSION_ENDED"
	ErrSessionExists        = "SESSION_EXISTS"
	ErrConflict             = "CONFLICT"
	ErrRequestIDReused      = "REQUEST_ID_REUSED"
	ErrStepType             = "STEP_TYPE_UNKNOWN"
	ErrMethod               = "METHOD_INVALID"
	ErrConnectionRequired   = "CONNECTION_REQUIRED"
	ErrConnectionUnknown    = "CONNECTION_UNKNOWN"
	ErrConnectionUnexpected = "CONNECTION_UNEXPECTED"
	ErrFactor               = "FACTOR_INVALID"
	ErrReason               = "REASON_INVALID"
	ErrDetailRequired       = "DETAIL_REQUIRED"
	ErrAccountIDRequired    = "ACCOUNT_ID_REQUIRED"
	ErrAuthenticatedAt      = "AUTHENTICATED_AT_REQUIRED"
	ErrAuthenticatedAhead   = "AUTHENTICATED_AT_AHEAD"
	ErrAuthenticatedAtOdd   = "AUTHENTICATED_AT_UNEXPECTED"
	ErrUserVerified         = "USER_VERIFIED_UNEXPECTED"
	ErrEvidence             = "EVIDENCE_INVALID"
	ErrOccurredAtOrder      = "OCCURRED_AT_ORDER"
	ErrOccurredAtAhead      = "OCCURRED_AT_AHEAD"
	ErrOccurredAtTooOld     = "OCCURRED_AT_TOO_OLD"
	ErrLifetime             = "LIFETIME_INVALID"
	ErrTooManyReported      = "TOO_MANY_REPORTED_STEPS"
	ErrAction               = "ACTION_INVALID"
	ErrExpiresAt            = "EXPIRES_AT_INVALID"
	ErrSessionEvent         = "SESSION_EVENT_INVALID"
	ErrSessionFlow          = "SESSION_FLOW_INVALID"
	ErrSessionHandle        = "SESSION_HANDLE_UNEXPECTED"
	ErrSessionKind          = "SESSION_KIND_INVALID"
	ErrEndCause             = "END_CAUSE_INVALID"
	ErrVerifierMissing      = "VERIFIER_MISSING"
	ErrVerifier             = "VERIFIER_ERROR"
	ErrProvidersMissing     = "FEDERATION_MISSING"
	ErrConnectionUnverified = "CONNECTION_NOT_VERIFIED_HERE"
	ErrCallbackURL          = "CALLBACK_URL_UNKNOWN"
	ErrFederationNotBegun   = "FEDERATION_NOT_BEGUN"
	ErrRedirectUsed         = "REDIRECT_USED"
	ErrRedirectLost         = "REDIRECT_UNAVAILABLE"
	ErrEvidenceKind         = "EVIDENCE_KIND_INVALID"
	ErrUnsolicited          = "UNSOLICITED_NOT_ALLOWED"
	ErrExchangeRunning      = "EXCHANGE_RUNNING"
	ErrAccountKnown         = "ACCOUNT_KNOWN"
	ErrLinkProof            = "LINK_NEEDS_PROOF"
	ErrIdentityLinked       = "IDENTITY_LINKED"
	ErrIdentityNotFound     = "IDENTITY_NOT_FOUND"

	ErrAuthenticatorNotFound = "AUTHENTICATOR_NOT_FOUND"
	ErrEnrolFlow             = "FLOW_NOT_READY"
	ErrReasonRequired        = "REASON_REQUIRED"
	ErrSecretShown           = "SECRET_SHOWN"
	ErrCodeWrong             = "WRONG_CODE"
	ErrCodeForm              = "CODE_MALFORMED"
	ErrScope                 = "SCOPE_INVALID"
	ErrRows                  = "TOO_MANY_ROWS"
)

// ErrorInfo documents one reason.
type ErrorInfo struct {
	Kind        errs.Kind
	Reason      string
	Description string // what it means and what the caller does about it
}

// Errors returns every reason this package answers, in reading order.
func Errors() []ErrorInfo {
	return []ErrorInfo{
		{errs.NotFound, ErrSiteNotFound, "The organization has no such site."},
		{errs.NotFound, ErrFlowNotFound, "The organization has no such flow, or it has ended and left the live store."},
		{errs.FailedPrecondition, ErrFlowEnded, "The flow has its ending; nothing more is accepted. Start a new one."},
		{errs.FailedPrecondition, ErrFlowExists, "A flow with this id has begun already."},
		{errs.FailedPrecondition, ErrNotBound, "A second factor was reported before anything proved who the person is. Report the first proof first."},
		{errs.NotFound, ErrSessionNotFound, "The site has no session by this handle."},
		{errs.FailedPrecondition, ErrSessionEnded, "The session has ended already."},
		{errs.AlreadyExists, ErrSessionExists, "A session by this handle was recorded already."},
		{errs.Conflict, ErrConflict, "Three other calls on the same flow came first. The same call may work now: retry with the same request id."},
		{errs.AlreadyExists, ErrRequestIDReused, "The request id was used for another request. Mint a new one for each call."},
		{errs.Invalid, ErrStepType, "The step type is not one that a login service reports."},
		{errs.Invalid, ErrMethod, "passwordless.* steps name passkey, magic_link or email_code; other steps name no method."},
		{errs.Invalid, ErrConnectionRequired, "sso.* steps name a connection."},
		{errs.Invalid, ErrConnectionUnknown, "The organization has no such connection of this kind."},
		{errs.Invalid, ErrConnectionUnexpected, "Only social.* and sso.* steps name a connection."},
		{errs.Invalid, ErrFactor, "mfa.* steps name a factor; other steps name none."},
		{errs.Invalid, ErrReason, "*.rejected and mfa.locked carry a reason of the catalogue that fits their method, a refusal carries one of its own; nothing else does."},
		{errs.Invalid, ErrDetailRequired, "Reason OTHER needs a detail."},
		{errs.Invalid, ErrAccountIDRequired, "A step that proves somebody carries the account id."},
		{errs.Invalid, ErrAuthenticatedAt, "session.reused says when the person last gave a credential."},
		{errs.Invalid, ErrAuthenticatedAhead, "authenticated_at lies after the step."},
		{errs.Invalid, ErrAuthenticatedAtOdd, "Only session.reused carries authenticated_at."},
		{errs.Invalid, ErrUserVerified, "Only passkey steps say whether the user was verified."},
		{errs.Invalid, ErrEvidence, "The step rests on nobody's word, or claims checks that were not made."},
		{errs.Invalid, ErrOccurredAtOrder, "occurred_at lies before the step in front of it."},
		{errs.Invalid, ErrOccurredAtAhead, "occurred_at lies more than 5 seconds ahead."},
		{errs.Invalid, ErrOccurredAtTooOld, "occurred_at lies more than 7 days back."},
		{errs.Invalid, ErrLifetime, "A flow lives 1 minute to 1 hour."},
		{errs.Invalid, ErrTooManyReported, "StartFlow takes at most 62 steps."},
		{errs.Invalid, ErrAction, "The action is COMPLETE, REFUSE or CANCEL."},
		{errs.Invalid, ErrExpiresAt, "A session ends after it started and within 400 days."},
		{errs.Invalid, ErrSessionEvent, "A session was STARTED or ENDED."},
		{errs.Invalid, ErrSessionFlow, "STARTED names a flow of this site, ENDED names none."},
		{errs.Invalid, ErrSessionHandle, "Only session.reused carries a session handle, and only one step of a StartFlow."},
		{errs.Invalid, ErrSessionKind, "A handle is of a SESSION or a TOKEN."},
		{errs.Invalid, ErrEndCause, "ENDED says LOGOUT, EXPIRED or REVOKED; STARTED says none."},
		{errs.Unimplemented, ErrVerifierMissing, "This process does not check codes."},
		{errs.Internal, ErrVerifier, "The check itself failed; nothing was taken as proven and no attempt was used up."},
		{errs.Unimplemented, ErrProvidersMissing, "This process does not verify sign-ins elsewhere."},
		{errs.FailedPrecondition, ErrConnectionUnverified, "The connection has no oidc or saml settings, so that nothing of it can be verified here: report its steps with ReportStep."},
		{errs.Invalid, ErrCallbackURL, "The callback URL is not one of the connection's."},
		{errs.FailedPrecondition, ErrFederationNotBegun, "This flow has not begun a sign-in elsewhere. Call BeginFederation first, or say what the evidence must fit in expectations."},
		{errs.FailedPrecondition, ErrRedirectUsed, "What this request id was answered with was used up, or another sign-in elsewhere was begun since. Begin again with a new request id."},
		{errs.Unavailable, ErrRedirectLost, "The provider cannot be reached, so that the redirect of the first answer cannot be made again. Retry with the same request id."},
		{errs.Invalid, ErrEvidenceKind, "What was handed in is not what the connection's protocol brings back."},
		{errs.FailedPrecondition, ErrUnsolicited, "The connection takes no response that nobody asked for."},
		{errs.Conflict, ErrExchangeRunning, "Another call with this request id is exchanging the code at this moment: retry with the same request id."},
		{errs.FailedPrecondition, ErrAccountKnown, "The identity the flow is bound to has an account already, or the flow is bound to no identity."},
		{errs.FailedPrecondition, ErrLinkProof, "The account is known here, or not said to be new: linking an identity to it needs a proof of the account in this flow, or a connection that links by verified e-mail and an equal e-mail."},
		{errs.FailedPrecondition, ErrIdentityLinked, "The identity was linked to an account meanwhile. Start a new flow."},
		{errs.NotFound, ErrIdentityNotFound, "No such identity is linked to an account."},
		{errs.NotFound, ErrAuthenticatorNotFound, "The account has never had a second factor in this organization."},
		{errs.FailedPrecondition, ErrEnrolFlow, "The flow must be live, bound to this account, and have met every demand but the second factor (for recovery codes: every demand)."},
		{errs.Invalid, ErrReasonRequired, "An administrator says why."},
		{errs.FailedPrecondition, ErrSecretShown, "What this request id was answered with is not shown again: it was confirmed, replaced or reset, or too much time has passed."},
		{errs.FailedPrecondition, ErrCodeWrong, "The code is not one of the new secret at this time. Metadata reason says more: CODE_EXPIRED and CODE_FROM_FUTURE mean a clock is wrong."},
		{errs.Invalid, ErrCodeForm, "A code is 6 to 8 digits."},
		{errs.Invalid, ErrScope, "Proofs are revoked of exactly one account, one site or the whole organization."},
		{errs.Invalid, ErrRows, "At most 500 secrets are taken over in one call."},
	}
}

// invalid refuses one field of the call.
func invalid(field, reason string) error { return errs.Field(field, reason, describe(reason)) }

// refuse makes the error of a reason, with its documented text.
func refuse(reason string) error {
	for _, e := range Errors() {
		if e.Reason == reason {
			return errs.New(e.Kind, e.Reason, e.Description)
		}
	}
	return errs.New(errs.Internal, reason, "internal error")
}

func describe(reason string) string {
	for _, e := range Errors() {
		if e.Reason == reason {
			return e.Description
		}
	}
	return ""
}
