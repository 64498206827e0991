package authflow

import (
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// ProofBounds moves the moment before which proofs count no more, at a site or in a whole organization. Keepers of policy
// records implement it.
type ProofBounds interface {
	// RevokeProofs sets the bound of a site (by uid), or of the organization when siteUID is empty, and moves the policy stamp,
	// with the event in the same commit. A key that was used for the same request changes nothing and returns the first answer;
	// used for another one it is REQUEST_ID_REUSED. It returns the bound and the id of the event as they were committed.
	RevokeProofs(ctx context.Context, organizationUID, siteUID string, notBefore time.Time, ev audit.Event, key policy.ApplyKey) (time.Time, string, error)
}

// AuthenticatorsConfig is what the administration of second factors needs besides Flows. Every field is needed.
type AuthenticatorsConfig struct {
	Flows    *Flows
	Subjects SubjectStore
	Secrets  Secrets
	Verifier Verifier
	Bounds   ProofBounds
}

// Authenticators are the use cases around second factors. Safe for concurrent use. Every change is one commit with its event;
// a call whose request id was answered before changes nothing.
type Authenticators struct {
	f *Flows
	c AuthenticatorsConfig
}

// NewAuthenticators returns the use cases, or an error that names the missing part.
func NewAuthenticators(c AuthenticatorsConfig) (*Authenticators, error) {
	for name, missing := range map[string]bool{
		"Flows": c.Flows == nil, "Subjects": c.Subjects == nil, "Secrets": c.Secrets == nil, "Verifier": c.Verifier == nil, "Bounds": c.Bounds == nil,
	} {
		if missing {
			return nil, errs.Newf(errs.Internal, "CONFIG_INCOMPLETE", "authflow.AuthenticatorsConfig: %s is missing", name)
		}
	}
	return &Authenticators{f: c.Flows, c: c}, nil
}

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

func unfinished() error { return errs.New(errs.Unimplemented, "UNFINISHED", "not there yet") }

// Enrol makes a secret.
func (a *Authenticators) Enrol(ctx context.Context, who Caller, in EnrolInput) (Enrolled, error) {
	return Enrolled{}, unfinished()
}

// Confirm proves possession.
func (a *Authenticators) Confirm(ctx context.Context, who Caller, in ConfirmInput) (SubjectFactor, error) {
	return SubjectFactor{}, unfinished()
}

// Get returns one.
func (a *Authenticators) Get(ctx context.Context, organization string, subject policy.AccountKey) (SubjectFactor, error) {
	return SubjectFactor{}, unfinished()
}

// List returns a page, and the key to go on after; zero at the end.
func (a *Authenticators) List(ctx context.Context, in ListInput) ([]SubjectFactor, policy.AccountKey, error) {
	return nil, policy.AccountKey{}, unfinished()
}

// Unlock ends a lock.
func (a *Authenticators) Unlock(ctx context.Context, who Caller, in MendInput) (SubjectFactor, error) {
	return SubjectFactor{}, unfinished()
}

// Reset takes the factor away.
func (a *Authenticators) Reset(ctx context.Context, who Caller, in MendInput) (SubjectFactor, error) {
	return SubjectFactor{}, unfinished()
}

// GenerateRecoveryCodes replaces the recovery codes.
func (a *Authenticators) GenerateRecoveryCodes(ctx context.Context, who Caller, in RecoveryCodesInput) (RecoveryCodes, error) {
	return RecoveryCodes{}, unfinished()
}

// Import takes over existing secrets.
func (a *Authenticators) Import(ctx context.Context, who Caller, in ImportInput) (Imported, error) {
	return Imported{}, unfinished()
}

// RevokeProofs makes what was proven before now count no more.
func (a *Authenticators) RevokeProofs(ctx context.Context, who Caller, in RevokeInput) (Revoked, error) {
	return Revoked{}, unfinished()
}
