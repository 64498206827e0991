package convert

import (
	"fmt"
	"time"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// EnrollTotp converts a request for a secret.
func (c *Converter) EnrollTotp(r *posternv1.EnrollTotpRequest) (authflow.EnrolInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.EnrolInput{}, err
	}
	in := authflow.EnrolInput{
		RequestID: r.GetRequestId(), AccountID: r.GetAccountId(), Reason: r.GetReason(), Issuer: r.GetIssuer(), Label: r.GetLabel(),
		Digits: int(r.GetDigits()), Period: seconds(r.GetPeriod()),
	}
	var err error
	if in.Organization, err = names.Organization("parent", r.GetParent()); err != nil {
		return authflow.EnrolInput{}, err
	}
	for _, f := range []struct{ name, value string }{{"account_id", in.AccountID}, {"issuer", in.Issuer}, {"label", in.Label}} {
		if f.value == "" {
			return authflow.EnrolInput{}, required(f.name)
		}
	}
	if in.Flow, err = flowOrReason(r, in.Organization, "parent"); err != nil {
		return authflow.EnrolInput{}, err
	}
	in.Algorithm, err = algorithm("algorithm", r.GetAlgorithm())
	return in, err
}

// ConfirmTotp converts the first code of a new secret.
func (c *Converter) ConfirmTotp(r *posternv1.ConfirmTotpRequest) (authflow.ConfirmInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.ConfirmInput{}, err
	}
	organization, subject, err := authenticator(r.GetName())
	if err != nil {
		return authflow.ConfirmInput{}, err
	}
	if r.GetCode() == "" {
		return authflow.ConfirmInput{}, required("code")
	}
	return authflow.ConfirmInput{Organization: organization, RequestID: r.GetRequestId(), Subject: subject, Code: r.GetCode()}, nil
}

// GetAuthenticator converts a request for one authenticator.
func (c *Converter) GetAuthenticator(r *posternv1.GetAuthenticatorRequest) (organization string, subject policy.AccountKey, err error) {
	if err := c.Check(r); err != nil {
		return "", policy.AccountKey{}, err
	}
	return authenticator(r.GetName())
}

// ListAuthenticators converts a request for a page. Its token is for the caller to open.
func (c *Converter) ListAuthenticators(r *posternv1.ListAuthenticatorsRequest) (authflow.ListInput, error) {
	organization, err := c.Parent(r)
	return authflow.ListInput{Organization: organization, AccountID: r.GetAccountId(), Limit: PageSize(r.GetPageSize())}, err
}

// mending is a request of the help desk.
type mending interface {
	request
	GetName() string
	GetRequestId() string
	GetReason() string
}

// Mend converts a request to unlock or to reset.
func (c *Converter) Mend(r mending) (authflow.MendInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.MendInput{}, err
	}
	organization, subject, err := authenticator(r.GetName())
	if err != nil {
		return authflow.MendInput{}, err
	}
	if r.GetReason() == "" {
		return authflow.MendInput{}, required("reason")
	}
	return authflow.MendInput{Organization: organization, RequestID: r.GetRequestId(), Subject: subject, Reason: r.GetReason()}, nil
}

// GenerateRecoveryCodes converts a request for recovery codes.
func (c *Converter) GenerateRecoveryCodes(r *posternv1.GenerateRecoveryCodesRequest) (authflow.RecoveryCodesInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.RecoveryCodesInput{}, err
	}
	organization, subject, err := authenticator(r.GetName())
	if err != nil {
		return authflow.RecoveryCodesInput{}, err
	}
	in := authflow.RecoveryCodesInput{Organization: organization, RequestID: r.GetRequestId(), Subject: subject, Reason: r.GetReason()}
	in.Flow, err = flowOrReason(r, organization, "name")
	return in, err
}

// ImportAuthenticators converts existing secrets. What is wrong with a secret itself is a problem of its row, not of the call.
func (c *Converter) ImportAuthenticators(r *posternv1.ImportAuthenticatorsRequest) (authflow.ImportInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.ImportInput{}, err
	}
	in := authflow.ImportInput{RequestID: r.GetRequestId(), Reason: r.GetReason(), Replace: r.GetReplace()}
	var err error
	if in.Organization, err = names.Organization("parent", r.GetParent()); err != nil {
		return authflow.ImportInput{}, err
	}
	switch {
	case in.Reason == "":
		return authflow.ImportInput{}, required("reason")
	case len(r.GetAuthenticators()) == 0:
		return authflow.ImportInput{}, required("authenticators")
	}
	for i, a := range r.GetAuthenticators() {
		field := fmt.Sprintf("authenticators[%d]", i)
		row := authflow.ImportRow{AccountID: a.GetAccountId(), Secret: a.GetSecret(), Digits: int(a.GetDigits()), Period: seconds(a.GetPeriod())}
		switch {
		case row.AccountID == "":
			return authflow.ImportInput{}, required(field + ".account_id")
		case row.Secret == "":
			return authflow.ImportInput{}, required(field + ".secret")
		}
		if row.Algorithm, err = algorithm(field+".algorithm", a.GetAlgorithm()); err != nil {
			return authflow.ImportInput{}, err
		}
		in.Rows = append(in.Rows, row)
	}
	return in, nil
}

// RevokeProofs converts a request to take proofs back.
func (c *Converter) RevokeProofs(r *posternv1.RevokeProofsRequest) (authflow.RevokeInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.RevokeInput{}, err
	}
	in := authflow.RevokeInput{RequestID: r.GetRequestId(), Reason: r.GetReason()}
	var err error
	if in.Organization, err = names.Organization("parent", r.GetParent()); err != nil {
		return authflow.RevokeInput{}, err
	}
	switch scope := r.GetScope().(type) {
	case *posternv1.RevokeProofsRequest_AccountId:
		if in.AccountID = scope.AccountId; in.AccountID == "" {
			return authflow.RevokeInput{}, required("account_id")
		}
	case *posternv1.RevokeProofsRequest_Site:
		if in.Site = scope.Site; in.Site == "" {
			return authflow.RevokeInput{}, required("site")
		}
	case *posternv1.RevokeProofsRequest_Organization:
		if in.Whole = scope.Organization; !in.Whole {
			return authflow.RevokeInput{}, wrong("organization", "must be true")
		}
	default:
		return authflow.RevokeInput{}, required("account_id")
	}
	if in.Reason == "" {
		return authflow.RevokeInput{}, required("reason")
	}
	return in, nil
}

// flowOrReason reads the flow a request rests on. A request without one needs a reason.
func flowOrReason(r interface {
	GetFlow() string
	GetReason() string
}, organization, other string,
) (authflow.FlowID, error) {
	if r.GetFlow() == "" && r.GetReason() == "" {
		return authflow.FlowID{}, required("flow")
	}
	return flowOf("flow", r.GetFlow(), organization, other)
}

func authenticator(name string) (string, policy.AccountKey, error) {
	organization, key, err := names.Authenticator("name", name)
	return organization, policy.AccountKey(key), err
}

// algorithm converts the name of a hash; none is the zero Algorithm.
func algorithm(field, name string) (factor.Algorithm, error) {
	if name == "" {
		return 0, nil
	}
	a, err := factor.ParseAlgorithm(name)
	if err != nil {
		return 0, about(field, err)
	}
	return a, nil
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }
