package audit

import "slices"

// Types of a sign-in flow.
const (
	TypeSignInStarted        Type = "sign_in.started"
	TypePasswordVerified     Type = "password.verified"
	TypePasswordRejected     Type = "password.rejected"
	TypePasswordlessStarted  Type = "passwordless.started"
	TypePasswordlessVerified Type = "passwordless.verified"
	TypePasswordlessRejected Type = "passwordless.rejected"
	TypeSocialStarted        Type = "social.started"
	TypeSocialVerified       Type = "social.verified"
	TypeSocialRejected       Type = "social.rejected"
	TypeSSOStarted           Type = "sso.started"
	TypeSSOVerified          Type = "sso.verified"
	TypeSSORejected          Type = "sso.rejected"
	TypeMFAChallenged        Type = "mfa.challenged"
	TypeMFAVerified          Type = "mfa.verified"
	TypeMFARejected          Type = "mfa.rejected"
	TypeMFALocked            Type = "mfa.locked"
	TypeSessionReused        Type = "session.reused"
	TypeSessionRejected      Type = "session.rejected"
	TypeSignInSucceeded      Type = "sign_in.succeeded"
	TypeSignInDenied         Type = "sign_in.denied"
	TypeSignInFailed         Type = "sign_in.failed"
	TypeSignInCancelled      Type = "sign_in.cancelled"
	TypeSignInAbandoned      Type = "sign_in.abandoned"
	TypeSignInSuperseded     Type = "sign_in.superseded"
)

// Types of what follows a sign-in, and of the record's own bookkeeping.
const (
	TypeSessionStarted Type = "session.started"
	TypeSessionEnded   Type = "session.ended"
	TypeTokenCreated   Type = "token.created"
	TypeTokenUsed      Type = "token.used"
	TypeTokenBlocked   Type = "token.blocked"
	TypeTokenRevoked   Type = "token.revoked"
	TypeSiteTallied    Type = "site.tallied"
	TypeUnreadable     Type = "unreadable"
)

// Types of administration.
const (
	TypeOrganizationCreated Type = "organization.created"
	TypeOrganizationDeleted Type = "organization.deleted"
	TypeOrganizationUpdated Type = "organization.updated"
	TypeOrganizationSetBack Type = "organization.set_back"
	TypeSiteCreated         Type = "site.created"
	TypeSiteUpdated         Type = "site.updated"
	TypeSiteDeleted         Type = "site.deleted"
	TypeConnectionCreated   Type = "connection.created"
	TypeConnectionUpdated   Type = "connection.updated"
	TypeConnectionDeleted   Type = "connection.deleted"
	// What a provider changed, or is about to have to change.
	TypeConnectionKeysChanged         Type = "connection.keys_changed"
	TypeConnectionCertificateExpiring Type = "connection.certificate_expiring"
	TypeDomainCreated                 Type = "domain.created"
	TypeDomainUpdated                 Type = "domain.updated"
	TypeDomainVerified                Type = "domain.verified"
	TypeDomainFailing                 Type = "domain.failing"
	TypeDomainLapsed                  Type = "domain.lapsed"
	TypeDomainRemoved                 Type = "domain.removed"
	TypeAccountClaimed                Type = "account.claimed"
	TypeAccountReleased               Type = "account.released"
	TypeAccountUpdated                Type = "account.updated"
	TypeAccountLinked                 Type = "account.linked"
	TypeAccountUnlinked               Type = "account.unlinked"
	TypeAccountEmailChanged           Type = "account.email_changed"
	TypePolicyUpdated                 Type = "policy.updated"
	TypePolicySuspended               Type = "policy.suspended"
	TypePolicyResumed                 Type = "policy.resumed"
	TypeKeyCreated                    Type = "key.created"
	TypeKeyRevoked                    Type = "key.revoked"
	TypeSubjectErasureRequested       Type = "subject.erasure_requested"
	TypeSubjectErased                 Type = "subject.erased"
	TypeOrganizationKeyDestroyed      Type = "organization.key_destroyed"
	TypeFilterSaved                   Type = "filter.saved"
	TypeFilterDeleted                 Type = "filter.deleted"
	TypeLogSearched                   Type = "log.searched"
	TypeLogTested                     Type = "log.tested"
	TypeArchivePruned                 Type = "archive.pruned"
	TypeExportCreated                 Type = "export.created"
	TypeExportFinished                Type = "export.finished"
	TypeExportFailed                  Type = "export.failed"
	TypeExportDownloaded              Type = "export.downloaded"
	TypeExportDeleted                 Type = "export.deleted"
	TypeAccessDenied                  Type = "access.denied"
)

// Types of the administration of second factors and of what is remembered.
const (
	TypeAuthenticatorEnrolled      Type = "authenticator.enrolled"
	TypeAuthenticatorConfirmed     Type = "authenticator.confirmed"
	TypeAuthenticatorUnlocked      Type = "authenticator.unlocked"
	TypeAuthenticatorReset         Type = "authenticator.reset"
	TypeAuthenticatorImported      Type = "authenticator.imported"
	TypeAuthenticatorRecoveryCodes Type = "authenticator.recovery_codes_generated"
	TypeProofsRevoked              Type = "proofs.revoked"
)

// catalogue is every type there is, in reading order. Never changed.
var catalogue = slices.Concat(signInTypes(), endingTypes(), followingTypes(), administrationTypes())

func signInTypes() []TypeInfo {
	started := TypeInfo{Outcome: OutcomeInfo}
	verified := TypeInfo{Outcome: OutcomeSuccess, Binds: true, Reasons: notCounted()}
	federated := TypeInfo{Outcome: OutcomeSuccess, Binds: true, Reasons: notCounted(disabledReason)}
	rejected := func(reasons []ReasonInfo) TypeInfo {
		return TypeInfo{Outcome: OutcomeFailure, NeedsReason: true, Reasons: reasons}
	}
	step := func(t Type, f Family, kind TypeInfo, description string) TypeInfo {
		kind.Type, kind.Family, kind.Description = t, f, description
		kind.Category, kind.Step, kind.Reportable = CategorySignIn, true, true
		return kind
	}
	first := step(TypeSignInStarted, FamilyNone, started, "Somebody began to sign in at a site. Step 1 of every flow.")
	first.Reportable = false
	factor := step(TypeMFAVerified, FamilyMFA, verified, "A second factor was proven.")
	factor.Binds = false
	return []TypeInfo{
		first,
		step(TypePasswordVerified, FamilyPassword, verified, "The password was right."),
		step(TypePasswordRejected, FamilyPassword, rejected(passwordReasons), "A password was refused."),
		step(TypePasswordlessStarted, FamilyPasswordless, started, "A passkey was asked for, or a link or code was sent."),
		step(TypePasswordlessVerified, FamilyPasswordless, verified, "The passkey, link or code was right."),
		step(TypePasswordlessRejected, FamilyPasswordless, rejected(passwordlessReasons), "A passkey, link or code was refused."),
		step(TypeSocialStarted, FamilySocial, started, "The person was sent to a social identity provider."),
		step(TypeSocialVerified, FamilySocial, federated, "The social identity provider vouched for the person."),
		step(TypeSocialRejected, FamilySocial, rejected(federationReasons), "Social sign-in failed."),
		step(TypeSSOStarted, FamilySSO, started, "The person was sent to an organization's identity provider."),
		step(TypeSSOVerified, FamilySSO, federated, "The organization's identity provider vouched for the person."),
		step(TypeSSORejected, FamilySSO, rejected(federationReasons), "Single sign-on failed."),
		step(TypeMFAChallenged, FamilyMFA, started, "A second factor was asked for."),
		factor,
		step(TypeMFARejected, FamilyMFA, rejected(mfaReasons), "A second factor was refused. One event for each attempt."),
		step(TypeMFALocked, FamilyMFA, rejected(lockReasons), "A second factor was locked after too many attempts."),
		step(TypeSessionReused, FamilySession, verified,
			"An existing session of the login service was used instead of a fresh credential. Meets no demand for SSO, MFA or age "+
				"by itself. Step 0 when the site asked whether the session may go on; uses that are alike are folded and counted."),
		step(TypeSessionRejected, FamilySession, rejected(slices.Concat(sessionReasons, outside(disabledReason))),
			"An existing session was not accepted. Step 0 when the site asked whether it may go on."),
	}
}

func endingTypes() []TypeInfo {
	end := func(t Type, e Ending, o Outcome, description string, reasons ...ReasonInfo) TypeInfo {
		return TypeInfo{Type: t, Ending: e, Outcome: o, Description: description, Reasons: reasons, Category: CategorySignIn, Step: true}
	}
	nothing := ReasonInfo{Reason: ReasonNothingProven, Description: "The sign-in was called complete and nothing had been proven."}
	tooMany := ReasonInfo{Reason: ReasonTooManySteps, Description: "The flow would have needed more than 64 steps."}
	waived := ReasonInfo{Reason: ReasonOutageWaived, Description: "A demand was waived while the identity provider was down, as the organization chose."}
	unreadable := ReasonInfo{Reason: ReasonPolicyUnreadable,
		Description: "The organization's policy could not be read, and it chose to let people in then."}
	failed := end(TypeSignInFailed, EndingFailed, OutcomeFailure,
		"Nobody was proven, or the tenth rejection came. The reason is that of the last rejection where there was one.",
		rejections(nothing, tooMany)...)
	failed.NeedsReason = true
	denied := end(TypeSignInDenied, EndingDenied, OutcomeFailure, "Policy, a stop or the login service refused the person.",
		slices.Concat(policyReasons, []ReasonInfo{disabledReason}, refusalReasons)...)
	denied.NeedsReason = true
	return []TypeInfo{
		end(TypeSignInSucceeded, EndingSucceeded, OutcomeSuccess,
			"Every demand was met and the verdict was ALLOW. That a session exists is session.started.", unreadable, waived),
		denied,
		failed,
		end(TypeSignInCancelled, EndingCancelled, OutcomeInfo, "The person or the login service called it off."),
		end(TypeSignInAbandoned, EndingAbandoned, OutcomeInfo, "The deadline passed.", unconfirmedReason, lostReason),
		end(TypeSignInSuperseded, EndingSuperseded, OutcomeInfo,
			"A newer flow of the same person on the same device and site took its place.", unconfirmedReason),
	}
}

func followingTypes() []TypeInfo {
	blocked := slices.Concat(tokenReasons, policyReasons, []ReasonInfo{disabledReason})
	return []TypeInfo{
		{Type: TypeSessionStarted, Category: CategorySignIn, Outcome: OutcomeSuccess, Family: FamilySession,
			Description: "The site opened a session. Flagged when the flow had not been allowed."},
		{Type: TypeSessionEnded, Category: CategorySignIn, Outcome: OutcomeInfo, Family: FamilySession,
			Description: "A session of the site is over. Says why: LOGOUT, EXPIRED or REVOKED."},
		{Type: TypeTokenCreated, Category: CategorySignIn, Outcome: OutcomeSuccess, Family: FamilyToken,
			Description: "An API token was made for whoever the flow is bound to. Flagged when the flow had not been allowed."},
		{Type: TypeTokenUsed, Category: CategoryActivity, Outcome: OutcomeSuccess, Family: FamilyToken,
			Description: "An API token was used at a site. Recorded on first use and when the network address or the answer changes; other uses " +
				"are folded by the hour and counted."},
		{Type: TypeTokenBlocked, Category: CategoryActivity, Outcome: OutcomeFailure, Family: FamilyToken, NeedsReason: true,
			Description: "An API token was refused at a site. Folded like token.used.", Reasons: blocked},
		{Type: TypeTokenRevoked, Category: CategorySignIn, Outcome: OutcomeSuccess, Family: FamilyToken,
			Description: "An API token is over. Says why: LOGOUT, EXPIRED or REVOKED."},
		{Type: TypeSiteTallied, Category: CategorySignIn, Outcome: OutcomeInfo,
			Description: "How many flows of one site and hour were opened, and how each class ended, recorded or not."},
		{Type: TypeUnreadable, Category: CategorySignIn, Outcome: OutcomeFailure,
			Description: "An outbox entry the archive could not read. Its bytes are kept."},
	}
}

func administrationTypes() []TypeInfo {
	admin := func(t Type, description string) TypeInfo {
		return TypeInfo{Type: t, Description: description, Category: CategoryAdministration, Outcome: OutcomeSuccess}
	}
	searched := admin(TypeLogSearched, "Somebody read the record. Its target names the call, and its personal part what was looked for. Alike reads are folded by "+
		"reader, call and hour, and counted.")
	searched.Outcome = OutcomeInfo
	pruned := admin(TypeArchivePruned, "A part of the record went, as the organization's retention says. Its target names what the archive dropped and "+
		"counts the events; the tally counts events and flows by category, and the changes say from which to which sequence number and time.")
	pruned.Outcome = OutcomeInfo
	tested := admin(TypeLogTested, "A test: somebody wants to see whether whoever reads the record does so. The detail holds their word for it.")
	tested.Outcome = OutcomeInfo
	denied := admin(TypeAccessDenied, "A call was refused. Its denial names the method, the status and the reason; alike refusals are folded.")
	denied.Outcome = OutcomeFailure
	expiring := admin(TypeConnectionCertificateExpiring,
		"A certificate that a connection's provider signs with ends soon or has ended. Its changes hold the fingerprint and when.")
	expiring.Outcome = OutcomeInfo
	failing := admin(TypeDomainFailing, "A domain's zone does not show the record any more that it was verified by. It goes on counting, and what rests on "+
		"it says STALE. Again as a warning before it lapses, where the organization chose that it may.")
	failing.Outcome = OutcomeInfo
	lapsed := admin(TypeDomainLapsed, "A domain that failed, or that another organization has verified, no longer counts as the organization's.")
	lapsed.Outcome = OutcomeInfo
	return []TypeInfo{
		admin(TypeOrganizationCreated, "An organization was created."),
		admin(TypeOrganizationUpdated, "An organization was changed."),
		admin(TypeOrganizationSetBack, "The store was set back, and the organization with it: sites, connections and policy are again what they were at an earlier "+
			"revision, which its change names. Written by recovery."),
		admin(TypeOrganizationDeleted, "An organization was deleted. Its sites, domains, claims and policy are gone, its id is free, its record stays."),
		admin(TypeSiteCreated, "A site was added."),
		admin(TypeSiteUpdated, "A site was changed."),
		admin(TypeSiteDeleted, "A site was removed."),
		admin(TypeConnectionCreated, "A connection was added."),
		admin(TypeConnectionUpdated, "A connection was changed, or its secret was set, cleared or dropped. A secret itself is never told."),
		admin(TypeConnectionDeleted, "A connection was removed."),
		admin(TypeConnectionKeysChanged,
			"The keys or certificates that a connection's provider signs with are others than before. Its changes hold fingerprints."),
		expiring,
		admin(TypeDomainCreated, "The verification of a domain was begun. It counts for nothing yet."),
		admin(TypeDomainUpdated, "What an organization chose about a domain was changed: whether its subdomains count, or when it lapses."),
		admin(TypeDomainVerified, "Domains count as the organization's from now on. Says on whose word, and lists them in its personal part."),
		failing,
		lapsed,
		admin(TypeDomainRemoved, "Domains no longer count as the organization's."),
		admin(TypeAccountClaimed, "Accounts or addresses were claimed by the organization. Lists them in its personal part."),
		admin(TypeAccountReleased, "Accounts or addresses are no longer claimed by the organization. Lists them in its personal part."),
		admin(TypeAccountUpdated, "The note of a claimed account was changed. Its personal part lists the account, the note before and the note after."),
		admin(TypeAccountLinked, "An identity elsewhere was linked to an account. Says on what the link rests: NEW_ACCOUNT, PROOF or VERIFIED_EMAIL."),
		admin(TypeAccountUnlinked, "An identity elsewhere was taken from its account. The detail says why."),
		admin(TypeAccountEmailChanged, "An identity provider gives another e-mail for a linked identity than the last time. Both are in its personal part."),
		admin(TypePolicyUpdated, "The external-user policy was changed, field by field."),
		admin(TypePolicySuspended, "The rules of the external-user policy were suspended until a moment; stops still bite. The detail says why."),
		admin(TypePolicyResumed, "The rules of the external-user policy bite again, before their suspension ended by itself. The detail says why."),
		admin(TypeAuthenticatorEnrolled,
			"A second factor was given to a subject and waits to be confirmed. Says who did it and after which proof."),
		admin(TypeAuthenticatorConfirmed, "The subject showed a first right code: the second factor counts from now on."),
		admin(TypeAuthenticatorUnlocked, "A locked second factor was opened again. The detail says why."),
		admin(TypeAuthenticatorReset, "A second factor was taken away, so that a new one can be enrolled. The detail says why."),
		admin(TypeAuthenticatorImported, "Second factors were taken over from another system. Its target counts them."),
		admin(TypeAuthenticatorRecoveryCodes, "Recovery codes were made; older ones no longer work."),
		admin(TypeProofsRevoked, "What was proven before now is no longer remembered of a subject, at a site or in the organization. The detail says why."),
		admin(TypeKeyCreated, "An API key was made. Its changes say what for, what it is shown and when it ends; its secret is never told."),
		admin(TypeKeyRevoked, "An API key was revoked. The detail says why."),
		admin(TypeSubjectErasureRequested, "Somebody asked to erase a person. The target is a keyed hash of the account, or of the address; the detail says why."),
		admin(TypeSubjectErased, "A person is erased: what was on record says no more who it was. The changes count what went."),
		admin(TypeOrganizationKeyDestroyed, "The organization's key was destroyed: nothing personal on its record can be read again."),
		admin(TypeFilterSaved, "A filter of events was saved, or what it says was changed. Its changes go field by field, without what is personal; the detail is its name."),
		admin(TypeFilterDeleted, "A saved filter was removed. Its changes hold what it said, without what is personal; the detail is its name."),
		admin(TypeExportCreated, "Somebody asked for an export: a file of the record up to the sequence number in its changes. The detail says why."),
		admin(TypeExportFinished, "An export is whole. Its target counts the rows; its changes hold size, first and last sequence number and SHA-256."),
		exportFailed(),
		admin(TypeExportDownloaded, "A link to an export's file or manifest was used for the first time. The caller is who was given the link."),
		exportDeleted(),
		searched,
		tested,
		pruned,
		denied,
	}
}
