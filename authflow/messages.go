package authflow

import (
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// MessageInfo documents one user message: its stable key and its English text.
type MessageInfo struct {
	Key  string
	Text string
}

// Keys of user messages. They are documented API; texts may change.
const (
	messageContinue    = "sign_in.continue"
	messageMethod      = "sign_in.method_not_allowed"
	messageSSO         = "sign_in.sso_required"
	messageEvidence    = "sign_in.evidence_too_weak"
	messageMFA         = "sign_in.mfa_required"
	messageReverify    = "sign_in.reverification_required"
	messageRejected    = "sign_in.try_again"
	messageOther       = "sign_in.other_account"
	messageLocked      = "sign_in.locked"
	messageAllowed     = "sign_in.allowed"
	messageDenied      = "sign_in.denied"
	messageExternal    = "sign_in.external_blocked"
	messageNetwork     = "sign_in.network_blocked"
	messageSite        = "sign_in.site_closed"
	messageConnection  = "sign_in.connection_closed"
	messageUnreadable  = "sign_in.policy_unreadable"
	messageNoAccess    = "sign_in.no_access"
	messageInvite      = "sign_in.not_invited"
	messageFailed      = "sign_in.failed"
	messageTooMany     = "sign_in.too_many_attempts"
	messageCancelled   = "sign_in.cancelled"
	messageAbandoned   = "sign_in.expired"
	messageSuperseded  = "sign_in.superseded"
	messageSessionOpen = "session.recorded"
	messageSessionOver = "session.over"
	messageTokenOver   = "token.over"
)

// messages is every user message in reading order. Never changed. A text never says whether an account exists.
var messages = []MessageInfo{
	{messageContinue, "Please continue to sign in."},
	{messageMethod, "This way of signing in is not accepted here. Please choose another one."},
	{messageSSO, "Please sign in with your company's single sign-on."},
	{messageEvidence, "Please sign in again: this organization has to check it itself."},
	{messageMFA, "Please confirm it is you with a second factor."},
	{messageReverify, "It has been a while. Please sign in again."},
	{messageRejected, "That did not work. Please try again."},
	{messageOther, "That belongs to another account. Please use the account you began with."},
	{messageLocked, "Too many attempts. Please use another way or try again later."},
	{messageAllowed, "You are signed in."},
	{messageDenied, "You cannot sign in here. Please contact the site's administrator."},
	{messageExternal, "This organization does not let external users in. Please contact the site's administrator."},
	{messageNetwork, "You cannot sign in from this network."},
	{messageSite, "This site is closed at the moment."},
	{messageConnection, "This way of signing in is switched off. Please choose another one."},
	{messageUnreadable, "Signing in is not possible at the moment. Please contact the site's administrator."},
	{messageNoAccess, "You have no access to this site. Please ask its administrator."},
	{messageInvite, "You have not been invited to this site. Please ask its administrator."},
	{messageFailed, "Signing in did not work. Please start again."},
	{messageTooMany, "Too many attempts. Please start again later."},
	{messageCancelled, "Signing in was cancelled."},
	{messageAbandoned, "This took too long. Please start again."},
	{messageSuperseded, "You have started to sign in again in another window. Please go on there."},
	{messageSessionOpen, "The session was recorded."},
	{messageSessionOver, "Your session is over. Please sign in again."},
	{messageTokenOver, "This token is not valid here."},
}

// Messages returns every user message in reading order, as a fresh slice.
func Messages() []MessageInfo { return slices.Clone(messages) }

// messageFor chooses what to show for an outcome: how it ended, else what was refused just now, else what is missing.
func messageFor(o *Outcome) string {
	switch o.Ending {
	case audit.EndingSucceeded:
		return messageAllowed
	case audit.EndingDenied:
		return messageForRefusal(o.Reason)
	case audit.EndingFailed:
		if o.Reason == audit.ReasonTooManySteps {
			return messageTooMany
		}
		return messageFailed
	case audit.EndingCancelled:
		return messageCancelled
	case audit.EndingAbandoned:
		return messageAbandoned
	case audit.EndingSuperseded:
		return messageSuperseded
	default: // live
		return messageForLive(o)
	}
}

// messageForLive tells where a live flow stands.
func messageForLive(o *Outcome) string {
	switch {
	case o.Verdict == audit.VerdictAllow:
		return messageAllowed
	case o.Verdict == audit.VerdictDeny:
		return messageForRefusal(o.Decision.Reason)
	case o.Reason == audit.ReasonSubjectMismatch:
		return messageOther
	case o.Reason == audit.ReasonLocked || o.Reason == audit.ReasonAccountLocked || o.Reason == audit.ReasonRateLimited:
		return messageLocked
	case o.Reason != "" && o.Counts == nil:
		return messageRejected
	case o.Decision.Advisory && o.Decision.Reason != audit.ReasonSSORequired:
		return messageContinue // nobody is proven yet, so that nothing the person did falls short
	}
	return messageForMissing(o.Decision.Reason)
}

// messageForMissing tells what would move the flow on.
func messageForMissing(reason string) string {
	switch reason {
	case audit.ReasonMethodNotAllowed:
		return messageMethod
	case audit.ReasonSSORequired:
		return messageSSO
	case audit.ReasonEvidenceTooWeak:
		return messageEvidence
	case audit.ReasonMFARequired:
		return messageMFA
	case audit.ReasonReverificationRequired:
		return messageReverify
	}
	return messageContinue
}

// messageForRefusal tells why it is over.
func messageForRefusal(reason string) string {
	switch reason {
	case audit.ReasonOrganizationBlocksExternal, audit.ReasonDomainBlocked:
		return messageExternal
	case audit.ReasonNetworkBlocked:
		return messageNetwork
	case audit.ReasonSiteDisabled:
		return messageSite
	case audit.ReasonConnectionDisabled:
		return messageConnection
	case audit.ReasonPolicyUnreadable:
		return messageUnreadable
	case audit.ReasonNoSiteAccess:
		return messageNoAccess
	case audit.ReasonNotInvited:
		return messageInvite
	case audit.ReasonSessionExpired, audit.ReasonSessionUnknown:
		return messageSessionOver
	case audit.ReasonTokenExpired, audit.ReasonTokenRevoked, audit.ReasonTokenUnknown:
		return messageTokenOver
	}
	if m := messageForMissing(reason); m != messageContinue {
		return m
	}
	return messageDenied
}

// render makes the user message of an outcome. The rule's own words are looked up now: outcomes are stored without texts.
func render(o *Outcome, org *policy.Organization) UserMessage {
	m := UserMessage{Key: messageFor(o)}
	if o.Session != "" {
		m.Key = messageSessionOpen
	}
	if i := slices.IndexFunc(messages, func(i MessageInfo) bool { return i.Key == m.Key }); i >= 0 {
		m.Text = messages[i].Text
	}
	if o.Decision.Rule == "" || org == nil {
		return m
	}
	for i := range org.Policy.Rules {
		if rule := &org.Policy.Rules[i]; rule.ID == o.Decision.Rule {
			m.RuleMessage, m.HelpURL = rule.Message, rule.HelpURL
		}
	}
	return m
}
