package authflow

import "context"

// CodeInput hands in a code of the bound subject's second factor.
type CodeInput struct {
	Organization string // id
	Flow         FlowID
	RequestID    string
	Code         string   // as typed: looked at and forgotten
	Context      *Context // nil: as in the step before
}

// TotpInput hands in a one-time code.
type TotpInput CodeInput

// RecoveryInput hands in a recovery code.
type RecoveryInput CodeInput

// VerifyTotp checks a one-time code.
func (f *Flows) VerifyTotp(ctx context.Context, who Caller, in TotpInput) (Answer, error) {
	return Answer{}, unfinished()
}

// VerifyRecoveryCode checks a recovery code.
func (f *Flows) VerifyRecoveryCode(ctx context.Context, who Caller, in RecoveryInput) (Answer, error) {
	return Answer{}, unfinished()
}
