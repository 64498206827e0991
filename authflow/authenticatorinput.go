package authflow

import (
	"time"

	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/policy"
)

// SubjectFactor is the authenticator of one subject, as administrators see it.
type SubjectFactor struct {
	Organization    string // id
	OrganizationUID string
	Subject         policy.AccountKey
	Authenticator   factor.Authenticator // State None: nothing is enrolled; Sealed of its credentials is not for callers
}

// EnrolInput asks for a secret.
type EnrolInput struct {
	Organization string // id
	RequestID    string
	AccountID    string
	Flow         FlowID // bound to the account, with everything but the second factor met; zero only with Reason
	Reason       string // why an administrator enrols without a flow
	Issuer       string
	Label        string
	Algorithm    factor.Algorithm // zero: SHA1
	Digits       int              // 0: 6
	Period       time.Duration    // 0: 30 s
}

// Enrolled holds the secret. It is handed out until it is confirmed, to the same request only.
type Enrolled struct {
	SubjectFactor
	HandOut HandOut
}

// ConfirmInput shows that the person has the secret.
type ConfirmInput struct {
	Organization string
	RequestID    string
	Subject      policy.AccountKey
	Code         string // looked at and forgotten
}

// MendInput unlocks or resets.
type MendInput struct {
	Organization string
	RequestID    string
	Subject      policy.AccountKey
	Reason       string // mandatory
}

// ListInput asks for a page of authenticators.
type ListInput struct {
	Organization string
	AccountID    string            // only this account's
	After        policy.AccountKey // zero: from the beginning
	Limit        int               // 1 to 1000
}

// RecoveryCodesInput asks for new recovery codes.
type RecoveryCodesInput struct {
	Organization string
	RequestID    string
	Subject      policy.AccountKey
	Flow         FlowID // bound to the account with every demand met; zero only with Reason
	Reason       string
}

// RecoveryCodes are ten new codes, to be shown once.
type RecoveryCodes struct {
	SubjectFactor
	Codes []string
}

// ImportInput takes over existing secrets, at most MaxImport.
type ImportInput struct {
	Organization string
	RequestID    string
	Reason       string
	Rows         []ImportRow
	Replace      bool // also where there is one in force
}

// MaxImport bounds one call of Import.
const MaxImport = 500

// ImportRow is one existing secret.
type ImportRow struct {
	AccountID string
	Secret    string // base32; sealed at once
	Algorithm factor.Algorithm
	Digits    int
	Period    time.Duration
}

// Imported says what was taken.
type Imported struct {
	Imported int
	Skipped  int // left alone: there is one in force
	Problems []ImportProblem
}

// ImportProblem is a row that was not taken.
type ImportProblem struct {
	Index  int
	Reason string
}

// RevokeInput says whose proofs count no more: exactly one of AccountID, Site and Whole.
type RevokeInput struct {
	Organization string
	RequestID    string
	AccountID    string
	Site         string // id
	Whole        bool
	Reason       string
}

// Revoked says from when on proofs count.
type Revoked struct {
	NotBefore time.Time
	Event     string
}
