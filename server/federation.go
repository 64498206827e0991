package server

import (
	"context"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Federations are the use cases of sign-ins elsewhere. *authflow.Flows implements it.
type Federations interface {
	BeginFederation(ctx context.Context, who authflow.Caller, in authflow.BeginInput) (authflow.Begun, error)
	CompleteFederation(ctx context.Context, who authflow.Caller, in authflow.CompleteInput) (authflow.Completed, error)
	LinkAccount(ctx context.Context, who authflow.Caller, in authflow.LinkInput) (authflow.Answer, error)
}

// BeginFederation sends somebody to an identity provider.
func (s *signInService) BeginFederation(ctx context.Context, r *posternv1.BeginFederationRequest) (*posternv1.BeginFederationResponse, error) {
	in, err := s.in.BeginFederation(r)
	if err != nil {
		return nil, err
	}
	elsewhere, err := s.federations()
	if err != nil {
		return nil, err
	}
	begun, err := elsewhere.BeginFederation(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return s.forms.Begun(begun), nil
}

// CompleteFederation takes what came back from an identity provider and records the step.
func (s *signInService) CompleteFederation(ctx context.Context, r *posternv1.CompleteFederationRequest) (*posternv1.CompleteFederationResponse, error) {
	in, err := s.in.CompleteFederation(r)
	if err != nil {
		return nil, err
	}
	elsewhere, err := s.federations()
	if err != nil {
		return nil, err
	}
	completed, err := elsewhere.CompleteFederation(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return s.forms.Completed(completed), nil
}

// LinkAccount names the account of an identity.
func (s *signInService) LinkAccount(ctx context.Context, r *posternv1.LinkAccountRequest) (*posternv1.FlowAnswer, error) {
	in, err := s.in.LinkAccount(r)
	if err != nil {
		return nil, err
	}
	elsewhere, err := s.federations()
	if err != nil {
		return nil, err
	}
	answer, err := elsewhere.LinkAccount(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return s.forms.FlowAnswer(answer), nil
}

// federations are the use cases, or why there are none.
func (s *signInService) federations() (Federations, error) {
	if s.elsewhere == nil {
		return nil, errs.New(errs.Unimplemented, authflow.ErrProvidersMissing, "this process does not verify sign-ins elsewhere")
	}
	return s.elsewhere, nil
}
