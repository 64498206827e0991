package orgevents

import (
	"slices"
	"strings"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/audit"
)

// naming is what a type of event is called here.
type naming struct {
	action string
	title  string
	group  string
	steps  bool // shown with detail STEPS only
}

// The groups of actions.
const (
	groupSignIn = "Sign-in"
	groupSteps  = "Sign-in steps"
	groupTokens = "API tokens"
	groupPeople = "Users"
	groupPolicy = "External-user policy"
	groupOrg    = "Organization"
	groupLog    = "Audit log"
)

// What consumers read from the beginning of a name.
const (
	failedStep = "user_login_failed_step_"
	passed     = "login_"
)

// namings are the names of all types. Consumers file a row by how its name begins or ends: user_login and user_logout are
// authentications that went well, user_login_failed ones that did not, _policy_update changes of policy, api_token_ tokens;
// everything else is configuration.
var namings = map[audit.Type]naming{
	audit.TypeSignInSucceeded:  {"user_login", "Signed in", groupSignIn, false},
	audit.TypeSignInDenied:     {"user_login_failed_denied", "Sign-in denied", groupSignIn, false},
	audit.TypeSignInFailed:     {"user_login_failed", "Sign-in failed", groupSignIn, false},
	audit.TypeSignInAbandoned:  {"user_login_failed_abandoned", "Sign-in abandoned", groupSignIn, false},
	audit.TypeSignInCancelled:  {"user_login_failed_cancelled", "Sign-in cancelled", groupSignIn, false},
	audit.TypeSignInSuperseded: {"user_login_failed_superseded", "Sign-in superseded by another one", groupSignIn, false},
	audit.TypeSessionEnded:     {"user_logout", "Session ended", groupSignIn, false},

	audit.TypeSignInStarted:        {passed + "started", "Sign-in started", groupSteps, true},
	audit.TypePasswordVerified:     {passed + "password_verified", "Password was right", groupSteps, true},
	audit.TypePasswordRejected:     {failedStep + "password", "Password refused", groupSteps, true},
	audit.TypePasswordlessStarted:  {passed + "passwordless_started", "Passkey, link or code asked for", groupSteps, true},
	audit.TypePasswordlessVerified: {passed + "passwordless_verified", "Passkey, link or code was right", groupSteps, true},
	audit.TypePasswordlessRejected: {failedStep + "passwordless", "Passkey, link or code refused", groupSteps, true},
	audit.TypeSocialStarted:        {passed + "social_started", "Sent to a social identity provider", groupSteps, true},
	audit.TypeSocialVerified:       {passed + "social_verified", "Social identity provider vouched", groupSteps, true},
	audit.TypeSocialRejected:       {failedStep + "social", "Social sign-in refused", groupSteps, true},
	audit.TypeSSOStarted:           {passed + "sso_started", "Sent to single sign-on", groupSteps, true},
	audit.TypeSSOVerified:          {passed + "sso_verified", "Single sign-on vouched", groupSteps, true},
	audit.TypeSSORejected:          {failedStep + "sso", "Single sign-on refused", groupSteps, true},
	audit.TypeMFAChallenged:        {passed + "mfa_challenged", "Second factor asked for", groupSteps, true},
	audit.TypeMFAVerified:          {passed + "mfa_verified", "Second factor was right", groupSteps, true},
	audit.TypeMFARejected:          {failedStep + "mfa", "Second factor refused", groupSteps, true},
	audit.TypeMFALocked:            {failedStep + "mfa_locked", "Second factor locked", groupSteps, true},
	audit.TypeSessionReused:        {passed + "session_reused", "Existing session used", groupSteps, true},
	audit.TypeSessionRejected:      {failedStep + "session", "Existing session refused", groupSteps, true},
	audit.TypeSessionStarted:       {passed + "session_started", "Session started", groupSteps, true},
	audit.TypeTokenUsed:            {passed + "token_used", "API token used", groupSteps, true},
	audit.TypeSiteTallied:          {passed + "site_tallied", "Sign-ins of an hour counted", groupSteps, true},

	audit.TypeTokenCreated: {"api_token_created", "API token created", groupTokens, false},
	audit.TypeTokenBlocked: {"user_login_failed_token_blocked", "API token blocked", groupTokens, false},
	audit.TypeTokenRevoked: {"api_token_revoked", "API token over", groupTokens, false},
	audit.TypeKeyCreated:   {"api_token_created", "API key of the organization created", groupTokens, false},
	audit.TypeKeyRevoked:   {"api_token_revoked", "API key of the organization revoked", groupTokens, false},

	audit.TypeAuthenticatorEnrolled:      {"twosv_enabled_for_user", "Second factor enrolled", groupPeople, false},
	audit.TypeAuthenticatorConfirmed:     {"twosv_confirmed_for_user", "Second factor confirmed", groupPeople, false},
	audit.TypeAuthenticatorUnlocked:      {"twosv_unlocked_for_user", "Second factor unlocked", groupPeople, false},
	audit.TypeAuthenticatorReset:         {"twosv_disabled_for_user", "Second factor reset", groupPeople, false},
	audit.TypeAuthenticatorImported:      {"twosv_imported", "Second factors imported", groupPeople, false},
	audit.TypeAuthenticatorRecoveryCodes: {"twosv_recovery_codes_generated", "Recovery codes generated", groupPeople, false},
	audit.TypeProofsRevoked:              {"login_proofs_revoked", "Proofs of earlier sign-ins revoked", groupPeople, false},
	audit.TypeAccountClaimed:             {"managed_account_claimed", "Accounts claimed", groupPeople, false},
	audit.TypeAccountUpdated:             {"managed_account_updated", "Note of a claimed account changed", groupPeople, false},
	audit.TypeAccountReleased:            {"managed_account_released", "Accounts released", groupPeople, false},
	audit.TypeAccountLinked:              {"account_identity_linked", "Identity linked to an account", groupPeople, false},
	audit.TypeAccountUnlinked:            {"account_identity_unlinked", "Identity unlinked from its account", groupPeople, false},
	audit.TypeAccountEmailChanged:        {"email_change", "E-mail at an identity provider changed", groupPeople, false},

	audit.TypeSubjectErasureRequested: {"user_erasure_requested", "Erasure of a person asked for", groupPeople, false},
	audit.TypeSubjectErased:           {"user_erased", "Person erased", groupPeople, false},

	audit.TypePolicyUpdated:   {"external_user_policy_update", "External-user policy changed", groupPolicy, false},
	audit.TypePolicySuspended: {"external_user_policy_update", "External-user policy suspended", groupPolicy, false},
	audit.TypePolicyResumed:   {"external_user_policy_update", "External-user policy resumed", groupPolicy, false},

	audit.TypeOrganizationCreated:           {"org_created", "Organization created", groupOrg, false},
	audit.TypeOrganizationUpdated:           {"org_settings_update", "Organization changed", groupOrg, false},
	audit.TypeOrganizationDeleted:           {"org_deleted", "Organization deleted", groupOrg, false},
	audit.TypeOrganizationKeyDestroyed:      {"org_key_destroyed", "Organization's key destroyed", groupOrg, false},
	audit.TypeOrganizationSetBack:           {"org_set_back", "Organization set back with its store", groupOrg, false},
	audit.TypeSiteCreated:                   {"site_created", "Site added", groupOrg, false},
	audit.TypeSiteUpdated:                   {"site_updated", "Site changed", groupOrg, false},
	audit.TypeSiteDeleted:                   {"site_deleted", "Site removed", groupOrg, false},
	audit.TypeConnectionCreated:             {"connection_created", "Connection added", groupOrg, false},
	audit.TypeConnectionUpdated:             {"connection_updated", "Connection changed", groupOrg, false},
	audit.TypeConnectionDeleted:             {"connection_deleted", "Connection removed", groupOrg, false},
	audit.TypeConnectionKeysChanged:         {"connection_keys_changed", "Keys of an identity provider changed", groupOrg, false},
	audit.TypeConnectionCertificateExpiring: {"connection_certificate_expiring", "Certificate of an identity provider ends", groupOrg, false},
	audit.TypeDomainCreated:                 {"domain_verification_started", "Domain verification begun", groupOrg, false},
	audit.TypeDomainUpdated:                 {"domain_updated", "Domain changed", groupOrg, false},
	audit.TypeDomainVerified:                {"domain_claimed", "Domain verified", groupOrg, false},
	audit.TypeDomainFailing:                 {"domain_verification_failing", "Domain verification fails", groupOrg, false},
	audit.TypeDomainLapsed:                  {"domain_verification_lapsed", "Domain verification lapsed", groupOrg, false},
	audit.TypeDomainRemoved:                 {"domain_removed", "Domain removed", groupOrg, false},

	audit.TypeLogSearched:   {"audit_log_searched", "Record searched", groupLog, false},
	audit.TypeFilterSaved:   {"audit_log_filter_saved", "Filter saved", groupLog, false},
	audit.TypeFilterDeleted: {"audit_log_filter_deleted", "Saved filter removed", groupLog, false},
	audit.TypeLogTested:     {"audit_log_tested", "Test event", groupLog, false},
	audit.TypeAccessDenied:  {"access_denied", "Call refused", groupLog, false},
	audit.TypeUnreadable:    {"audit_log_entry_unreadable", "Entry that could not be read", groupLog, false},
	audit.TypeArchivePruned: {"audit_log_pruned", "Old entries dropped as retention says", groupLog, false},

	audit.TypeExportCreated:    {"audit_log_export_requested", "Export of the record asked for", groupLog, false},
	audit.TypeExportFinished:   {"audit_log_exported", "Export of the record made", groupLog, false},
	audit.TypeExportFailed:     {"audit_log_export_failed", "Export of the record not made", groupLog, false},
	audit.TypeExportDownloaded: {"audit_log_export_downloaded", "Export of the record fetched", groupLog, false},
	audit.TypeExportDeleted:    {"audit_log_export_deleted", "Export of the record removed", groupLog, false},
}

// namingOf is what a type is called. A type this version does not know is called by its own name, in a way that no consumer takes for
// a sign-in that went well, and shown with detail STEPS, since it may be a step.
func namingOf(t audit.Type) naming {
	if n, ok := namings[t]; ok {
		return n
	}
	name := strings.ReplaceAll(string(t), ".", "_")
	if strings.HasPrefix(name, "user_") {
		name = "other_" + name
	}
	return naming{name, "Event of type " + string(t), groupSteps, true}
}

// shown reports whether a row of this event exists for a key.
func shown(e *audit.Event, d apikey.Detail) bool {
	return d == apikey.DetailSteps || !namingOf(e.Type).steps
}

// typesOf lists the types of an action, in lower case.
func typesOf(action string) []audit.Type {
	var out []audit.Type
	for t, n := range namings {
		if n.action == action {
			out = append(out, t)
		}
	}
	return out
}

// shownTypes is the list of types that a key is shown of an action, "" for all; nil for every type there is, empty for none.
func shownTypes(d apikey.Detail, action string) []string {
	if action == "" && d == apikey.DetailSteps {
		return nil
	}
	out := []string{}
	for t, n := range namings {
		if (action == "" || n.action == action) && (d == apikey.DetailSteps || !n.steps) {
			out = append(out, string(t))
		}
	}
	slices.Sort(out)
	return out
}

type actionBody struct {
	Data  []actionRow `json:"data"`
	Links *struct{}   `json:"links"`
	Meta  *struct{}   `json:"meta"`
}

type actionRow struct {
	ID         string           `json:"id"`
	Type       string           `json:"type"`
	Attributes actionAttributes `json:"attributes"`
}

type actionAttributes struct {
	DisplayName       string   `json:"displayName"`
	GroupDisplayName  string   `json:"groupDisplayName"`
	GroupDisplayNames []string `json:"groupDisplayNames"`
}

// actionList answers /event-actions: each name a key may meet, once, in upper case as that list has it elsewhere.
func actionList(d apikey.Detail) actionBody {
	out := actionBody{Data: []actionRow{}}
	seen := map[string]bool{}
	for _, info := range audit.Types() {
		n := namingOf(info.Type)
		if seen[n.action] || n.steps && d != apikey.DetailSteps {
			continue
		}
		seen[n.action] = true
		out.Data = append(out.Data, actionRow{strings.ToUpper(n.action), "eventActions", actionAttributes{n.title, n.group, []string{n.group}}})
	}
	return out
}
