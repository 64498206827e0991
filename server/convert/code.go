package convert

import (
	"github.com/postern-audit/postern/authflow"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// VerifyTotp converts a one-time code that was typed.
func (c *Converter) VerifyTotp(r *posternv1.VerifyTotpRequest) (authflow.TotpInput, error) {
	in, err := c.code(r)
	return authflow.TotpInput(in), err
}

// VerifyRecoveryCode converts a recovery code that was typed.
func (c *Converter) VerifyRecoveryCode(r *posternv1.VerifyRecoveryCodeRequest) (authflow.RecoveryInput, error) {
	in, err := c.code(r)
	return authflow.RecoveryInput(in), err
}

// typed is a request that hands in a code.
type typed interface {
	request
	GetFlow() string
	GetRequestId() string
	GetCode() string
	GetContext() *posternv1.Context
}

func (c *Converter) code(r typed) (authflow.CodeInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.CodeInput{}, err
	}
	in := authflow.CodeInput{RequestID: r.GetRequestId(), Code: r.GetCode()}
	var err error
	if in.Organization, in.Flow, err = flowName("flow", r.GetFlow()); err != nil {
		return authflow.CodeInput{}, err
	}
	if in.Code == "" {
		return authflow.CodeInput{}, required("code")
	}
	if r.GetContext() != nil {
		ctx, err := origin("context", r.GetContext())
		if err != nil {
			return authflow.CodeInput{}, err
		}
		in.Context = &ctx
	}
	return in, nil
}
