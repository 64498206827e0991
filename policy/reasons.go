package policy

import "github.com/postern-audit/postern/audit"

// Sources of a decision: what stood behind it.
const (
	SourceRule       = "RULE"
	SourceDefault    = "DEFAULT"
	SourceInternal   = "INTERNAL" // managed and claimed subjects: no rules run
	SourceStop       = "STOP"
	SourceSuspended  = "SUSPENDED"  // the policy is suspended: would_be says what it would have done
	SourceUnreadable = "UNREADABLE" // the policy, or something the decision needs, could not be had
)

// What decided a class: audit.ClassBasis.By.
const (
	ByNothing         = "NOTHING" // nothing names the subject yet
	ByClaimedAccount  = "CLAIMED_ACCOUNT"
	ByClaimedAddress  = "CLAIMED_ADDRESS"
	ByVerifiedDomain  = "VERIFIED_DOMAIN"
	ByNoVerifiedEmail = "NO_VERIFIED_EMAIL" // bound without an e-mail that counts
	ByNoMatch         = "NO_MATCH"
)

// Kinds of demand: audit.Demand.Kind, in the order they are listed.
const (
	DemandBlock          = "BLOCK"
	DemandMethod         = "METHOD"
	DemandSSO            = "SSO"
	DemandEvidence       = "EVIDENCE"
	DemandMFA            = "MFA"
	DemandReverification = "REVERIFICATION"
	DemandSessionLength  = "SESSION_LENGTH"
)

// Who vouches for a domain.
const (
	VerifiedByOperator = "OPERATOR" // whoever applied the document that lists it
	VerifiedByDNS      = "DNS"      // its own zone, looked at here
)

// rank orders the reasons of unmet demands: the first one is the decision's reason.
func rank(reason string) int {
	switch reason {
	case audit.ReasonOrganizationBlocksExternal, audit.ReasonPolicyUnreadable:
		return 1
	case audit.ReasonMethodNotAllowed:
		return 2
	case audit.ReasonSSORequired:
		return 3
	case audit.ReasonEvidenceTooWeak:
		return 4
	case audit.ReasonMFARequired:
		return 5
	case audit.ReasonReverificationRequired:
		return 6
	}
	return 7
}
