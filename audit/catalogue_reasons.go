package audit

import "slices"

// Reasons of password.rejected.
const (
	ReasonBadCredentials   = "BAD_CREDENTIALS"
	ReasonUserNotFound     = "USER_NOT_FOUND"
	ReasonAccountLocked    = "ACCOUNT_LOCKED"
	ReasonAccountDisabled  = "ACCOUNT_DISABLED"
	ReasonPasswordExpired  = "PASSWORD_EXPIRED"
	ReasonPasswordBreached = "PASSWORD_BREACHED"
	ReasonRateLimited      = "RATE_LIMITED"
)

// Reasons of passwordless methods and of second factors.
const (
	ReasonDeclinedByUser    = "DECLINED_BY_USER"
	ReasonTimedOut          = "TIMED_OUT"
	ReasonDeliveryFailed    = "DELIVERY_FAILED"
	ReasonCredentialUnknown = "CREDENTIAL_UNKNOWN"
	ReasonLinkExpired       = "LINK_EXPIRED"
	ReasonLinkUsed          = "LINK_USED"
	ReasonWrongCode         = "WRONG_CODE"
	ReasonCodeExpired       = "CODE_EXPIRED"
	ReasonRecoveryCodeUsed  = "RECOVERY_CODE_USED"
	ReasonLocked            = "LOCKED"
	ReasonCodeReplayed      = "CODE_REPLAYED"
	ReasonCodeFromFuture    = "CODE_FROM_FUTURE"
	ReasonNotEnrolled       = "NOT_ENROLLED"
)

// Reasons of social.rejected and sso.rejected. MALFORMED also stands on mfa.rejected with factors checked here.
const (
	ReasonUserCancelled         = "USER_CANCELLED"
	ReasonIDPError              = "IDP_ERROR"
	ReasonIDPUnreachable        = "IDP_UNREACHABLE"
	ReasonKeysUnavailable       = "KEYS_UNAVAILABLE"
	ReasonStateMismatch         = "STATE_MISMATCH"
	ReasonCodeExchangeFailed    = "CODE_EXCHANGE_FAILED"
	ReasonSignatureInvalid      = "SIGNATURE_INVALID"
	ReasonAlgorithmNotAllowed   = "ALGORITHM_NOT_ALLOWED"
	ReasonIssuerMismatch        = "ISSUER_MISMATCH"
	ReasonAudienceMismatch      = "AUDIENCE_MISMATCH"
	ReasonNonceMismatch         = "NONCE_MISMATCH"
	ReasonExpired               = "EXPIRED"
	ReasonNotYetValid           = "NOT_YET_VALID"
	ReasonRequestMismatch       = "REQUEST_MISMATCH"
	ReasonRecipientMismatch     = "RECIPIENT_MISMATCH"
	ReasonReplayed              = "REPLAYED"
	ReasonEncryptionNotAllowed  = "ENCRYPTION_NOT_ALLOWED"
	ReasonMalformed             = "MALFORMED"
	ReasonEmailUnverified       = "EMAIL_UNVERIFIED"
	ReasonEmailDomainNotAllowed = "EMAIL_DOMAIN_NOT_ALLOWED"
	ReasonAssuranceTooLow       = "ASSURANCE_TOO_LOW"
	ReasonCertificateExpired    = "CERTIFICATE_EXPIRED"
	ReasonConnectionDisabled    = "CONNECTION_DISABLED"
	ReasonVerifierError         = "VERIFIER_ERROR"
)

// Reasons of sessions and tokens.
const (
	ReasonSessionExpired = "SESSION_EXPIRED"
	ReasonSessionUnknown = "SESSION_UNKNOWN"
	ReasonTokenExpired   = "TOKEN_EXPIRED"
	ReasonTokenUnknown   = "TOKEN_UNKNOWN"
	ReasonTokenRevoked   = "TOKEN_REVOKED"
)

// Reasons of exports. EXPIRED stands on export.deleted.
const (
	ReasonCancelled          = "CANCELLED"
	ReasonOrganizationGone   = "ORGANIZATION_GONE"
	ReasonRegionMismatch     = "REGION_MISMATCH"
	ReasonExportCannotBeMade = "CANNOT_BE_MADE"
)

// exportFailed and exportDeleted are the types of exports that have reasons.
func exportFailed() TypeInfo {
	return TypeInfo{Type: TypeExportFailed, Category: CategoryAdministration, Outcome: OutcomeFailure, NeedsReason: true,
		Description: "An export will not be made. The detail says why somebody called it off.", Reasons: []ReasonInfo{
			{Reason: ReasonCancelled, Description: "Somebody called it off."},
			{Reason: ReasonOrganizationGone, Description: "The organization is not there any more, or its key."},
			{Reason: ReasonRegionMismatch, Description: "What it asks for belongs to a site of another region."},
			{Reason: ReasonExportCannotBeMade, Description: "Something went wrong again and again that time does not heal; the log says what."},
		}}
}

func exportDeleted() TypeInfo {
	return TypeInfo{Type: TypeExportDeleted, Category: CategoryAdministration, Outcome: OutcomeSuccess,
		Description: "An export is gone with its file. The detail says why, when somebody deleted it.", Reasons: []ReasonInfo{
			{Reason: ReasonExpired, Description: "Its time was over."},
		}}
}

// Reasons of several methods.
const (
	ReasonSubjectMismatch = "SUBJECT_MISMATCH"
	ReasonOther           = "OTHER"
)

// Reasons of endings.
const (
	ReasonNothingProven  = "NOTHING_PROVEN"
	ReasonTooManySteps   = "TOO_MANY_STEPS"
	ReasonNotConfirmed   = "NOT_CONFIRMED"
	ReasonStoreLost      = "STORE_LOST"
	ReasonOutageWaived   = "OUTAGE_WAIVED"
	ReasonNoSiteAccess   = "NO_SITE_ACCESS"
	ReasonNotInvited     = "NOT_INVITED"
	ReasonRiskBlocked    = "RISK_BLOCKED"
	ReasonServiceRefused = "SERVICE_REFUSED"
)

// Reasons of policy.
const (
	ReasonPolicyUnreadable           = "POLICY_UNREADABLE"
	ReasonSSORequired                = "SSO_REQUIRED"
	ReasonMFARequired                = "MFA_REQUIRED"
	ReasonMethodNotAllowed           = "METHOD_NOT_ALLOWED"
	ReasonEvidenceTooWeak            = "EVIDENCE_TOO_WEAK"
	ReasonReverificationRequired     = "REVERIFICATION_REQUIRED"
	ReasonOrganizationBlocksExternal = "ORGANIZATION_BLOCKS_EXTERNAL"
	ReasonDomainBlocked              = "DOMAIN_BLOCKED"
	ReasonNetworkBlocked             = "NETWORK_BLOCKED"
	ReasonSiteDisabled               = "SITE_DISABLED"
	ReasonNoSubject                  = "NO_SUBJECT"
)

var (
	mismatchReason = ReasonInfo{Reason: ReasonSubjectMismatch, Description: "It proved somebody else than the flow is bound to."}
	otherReason    = ReasonInfo{Reason: ReasonOther, Description: "Something else: the detail says what.", AssertedOnly: true}

	passwordReasons = []ReasonInfo{
		{Reason: ReasonBadCredentials, Description: "The password was wrong."},
		{Reason: ReasonUserNotFound, Description: "No account goes by what was typed."},
		{Reason: ReasonAccountLocked, Description: "The account is locked for now."},
		{Reason: ReasonAccountDisabled, Description: "The account is switched off."},
		{Reason: ReasonPasswordExpired, Description: "The password was right but has expired."},
		{Reason: ReasonPasswordBreached, Description: "The password was right but is known from a breach."},
		{Reason: ReasonRateLimited, Description: "Too many attempts: the password was not looked at."},
		mismatchReason, otherReason,
	}

	passwordlessReasons = []ReasonInfo{
		{Reason: ReasonDeclinedByUser, Description: "The person said no."},
		{Reason: ReasonTimedOut, Description: "The person did not answer in time."},
		{Reason: ReasonDeliveryFailed, Description: "The link or code could not be delivered.", For: []string{MethodMagicLink, MethodEmailCode}},
		{Reason: ReasonCredentialUnknown, Description: "The passkey, link or code belongs to no account."},
		{Reason: ReasonLinkExpired, Description: "The link was used too late.", For: []string{MethodMagicLink}},
		{Reason: ReasonLinkUsed, Description: "The link had been used before.", For: []string{MethodMagicLink}},
		{Reason: ReasonWrongCode, Description: "The code was wrong.", For: []string{MethodEmailCode}},
		{Reason: ReasonCodeExpired, Description: "The code was right but too old.", For: []string{MethodEmailCode}},
		{Reason: ReasonLocked, Description: "The method is locked after too many attempts."},
		mismatchReason, otherReason,
	}

	sentFactors  = []string{FactorEmailOTP, FactorSMS, FactorPush, FactorPartner}
	otherFactors = []string{FactorEmailOTP, FactorSMS, FactorPush, FactorWebAuthn, FactorRecoveryCode, FactorPartner}
	codeFactors  = []string{FactorTOTP, FactorEmailOTP, FactorSMS, FactorRecoveryCode, FactorPartner}
	typedFactors = []string{FactorTOTP, FactorEmailOTP, FactorSMS, FactorPush, FactorRecoveryCode, FactorPartner}
	totp         = []string{FactorTOTP}
	checkedHere  = []string{FactorTOTP, FactorRecoveryCode}

	mfaReasons = []ReasonInfo{
		{Reason: ReasonWrongCode, Description: "The code was wrong.", For: typedFactors},
		{Reason: ReasonCodeExpired, Description: "The code was right but too old.", For: codeFactors},
		{Reason: ReasonCodeReplayed, Description: "The code was right and had been used before.", For: totp},
		{Reason: ReasonCodeFromFuture, Description: "The code is right for a time that has not come: a clock is wrong.", For: totp},
		{Reason: ReasonMalformed, Description: "What was typed has not the form of a code.", For: checkedHere},
		{Reason: ReasonNotEnrolled, Description: "The subject has no such factor.", For: checkedHere},
		{Reason: ReasonDeclinedByUser, Description: "The person said no.", For: otherFactors},
		{Reason: ReasonTimedOut, Description: "The person did not answer in time.", For: otherFactors},
		{Reason: ReasonDeliveryFailed, Description: "The code or prompt could not be delivered.", For: sentFactors},
		{Reason: ReasonCredentialUnknown, Description: "The key, device or code belongs to no account.", For: otherFactors},
		{Reason: ReasonRecoveryCodeUsed, Description: "The recovery code had been used before.", For: []string{FactorRecoveryCode}},
		{Reason: ReasonLocked, Description: "The factor is locked after too many attempts."},
		mismatchReason, otherReason,
	}

	lockReasons = []ReasonInfo{
		{Reason: ReasonLocked, Description: "Too many attempts: the factor is locked from now on."},
		otherReason,
	}

	federationReasons = []ReasonInfo{
		{Reason: ReasonUserCancelled, Description: "The person turned back at the identity provider."},
		{Reason: ReasonIDPError, Description: "The identity provider answered with an error."},
		{Reason: ReasonIDPUnreachable, Description: "The identity provider could not be reached."},
		{Reason: ReasonKeysUnavailable, Description: "The identity provider's keys could not be fetched."},
		{Reason: ReasonStateMismatch, Description: "The answer belongs to no request of this flow (state)."},
		{Reason: ReasonCodeExchangeFailed, Description: "The identity provider did not take the authorization code."},
		{Reason: ReasonSignatureInvalid, Description: "The signature does not fit."},
		{Reason: ReasonAlgorithmNotAllowed, Description: "It is signed with an algorithm that is not allowed."},
		{Reason: ReasonIssuerMismatch, Description: "It was issued by somebody else."},
		{Reason: ReasonAudienceMismatch, Description: "It was issued for somebody else."},
		{Reason: ReasonNonceMismatch, Description: "The nonce is not the one of this flow."},
		{Reason: ReasonExpired, Description: "It is no longer valid."},
		{Reason: ReasonNotYetValid, Description: "It is not valid yet."},
		{Reason: ReasonRequestMismatch, Description: "It answers another request (InResponseTo)."},
		{Reason: ReasonRecipientMismatch, Description: "It was sent to another address (Recipient, Destination)."},
		{Reason: ReasonReplayed, Description: "It had been used before."},
		{Reason: ReasonEncryptionNotAllowed, Description: "It is encrypted in a way that is not allowed."},
		{Reason: ReasonMalformed, Description: "It cannot be read as a token or assertion."},
		mismatchReason,
		{Reason: ReasonEmailUnverified, Description: "The identity provider does not vouch for the address."},
		{Reason: ReasonEmailDomainNotAllowed, Description: "The address is on a domain this connection may not speak for."},
		{Reason: ReasonAssuranceTooLow, Description: "The identity provider authenticated the person too weakly (acr, amr)."},
		{Reason: ReasonCertificateExpired, Description: "The identity provider's certificate has expired."},
		{Reason: ReasonConnectionDisabled, Description: "The connection is switched off."},
		{Reason: ReasonVerifierError, Description: "The check itself failed; nothing was taken as proven."},
		otherReason,
	}

	sessionReasons = []ReasonInfo{
		{Reason: ReasonSessionExpired, Description: "The session is over."},
		{Reason: ReasonSessionUnknown, Description: "There is no such session."},
		mismatchReason, otherReason,
	}

	tokenReasons = []ReasonInfo{
		{Reason: ReasonTokenExpired, Description: "The token is past its time."},
		{Reason: ReasonTokenRevoked, Description: "The token was revoked."},
		{Reason: ReasonTokenUnknown, Description: "There is no such token."},
	}

	policyReasons = []ReasonInfo{
		{Reason: ReasonPolicyUnreadable, Description: "The organization's policy could not be read."},
		{Reason: ReasonMethodNotAllowed, Description: "The deciding rule does not allow this method."},
		{Reason: ReasonSSORequired, Description: "The deciding rule demands single sign-on through a named connection."},
		{Reason: ReasonEvidenceTooWeak, Description: "The deciding rule demands that this process checks it; an assertion is not enough."},
		{Reason: ReasonMFARequired, Description: "The deciding rule demands a second factor."},
		{Reason: ReasonReverificationRequired, Description: "The deciding rule demands a fresher credential."},
		{Reason: ReasonOrganizationBlocksExternal, Description: "The organization lets no external user in, or the deciding rule blocks this one."},
		{Reason: ReasonDomainBlocked, Description: "The organization blocks external users of this e-mail domain."},
		{Reason: ReasonNetworkBlocked, Description: "The organization blocks this network."},
		{Reason: ReasonSiteDisabled, Description: "The site or its organization is switched off."},
		{Reason: ReasonNoSubject, Description: "No account was named for who was proven."},
	}

	disabledReason = ReasonInfo{Reason: ReasonConnectionDisabled, Description: "The connection is switched off."}

	refusalReasons = []ReasonInfo{
		{Reason: ReasonNoSiteAccess, Description: "The login service: this person has no access to the site."},
		{Reason: ReasonNotInvited, Description: "The login service: this person was not invited."},
		{Reason: ReasonRiskBlocked, Description: "The login service: too risky."},
		{Reason: ReasonServiceRefused, Description: "The login service refused for a reason of its own; the detail may say which."},
	}

	unconfirmedReason = ReasonInfo{Reason: ReasonNotConfirmed,
		Description: "The flow had been answered ALLOW and nobody confirmed it: the person may have been let in."}
	lostReason = ReasonInfo{Reason: ReasonStoreLost, Description: "The live state was lost; the flow was ended on recovery."}
)

// notCounted returns the policy reasons as they stand on a step that happened and does not count. Connection and method
// dependent ones apply to every method: a rule may demand SSO of a password.
func notCounted(more ...ReasonInfo) []ReasonInfo {
	out := slices.Concat(policyReasons, more)
	for i := range out {
		out[i].NotCounted = true
	}
	return out
}

// outside returns the policy reasons as they stand on a session that was not let on where access is checked.
func outside(more ...ReasonInfo) []ReasonInfo {
	out := slices.Concat(policyReasons, more)
	for i := range out {
		out[i].Outside = true
	}
	return out
}

// rejections returns every reason of every kind of rejection, each (reason, description) once: what may end a flow as FAILED.
func rejections(more ...ReasonInfo) []ReasonInfo {
	var out []ReasonInfo
	add := func(list []ReasonInfo, methods ...string) {
		for _, r := range list {
			if r.For == nil {
				r.For = methods
			}
			i := slices.IndexFunc(out, func(have ReasonInfo) bool {
				return have.Reason == r.Reason && have.Description == r.Description
			})
			if i < 0 {
				r.For = slices.Clone(r.For)
				r.AssertedOnly = false // the step it stood on was asserted; the ending has no evidence of its own
				out = append(out, r)
				continue
			}
			for _, m := range r.For {
				if !slices.Contains(out[i].For, m) {
					out[i].For = append(out[i].For, m)
				}
			}
		}
	}
	add(passwordReasons, MethodPassword)
	add(passwordlessReasons, PasswordlessMethods()...)
	add(federationReasons, MethodSocial, MethodSSO)
	add(mfaReasons, Factors()...)
	add(sessionReasons, MethodSession)
	return append(out, more...)
}
