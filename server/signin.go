package server

import (
	"context"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/caller"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

// signInService takes sign-ins from login services.
type signInService struct {
	posternv1.UnsafeSignInServiceServer
	flows     SignIns
	elsewhere Federations // nil: not verified by this process
	in        *convert.Converter
	forms     convert.Forms
}

// who is the caller as use cases know it.
func who(ctx context.Context) authflow.Caller {
	return authflow.Caller{Principal: caller.From(ctx).Principal}
}

// StartFlow opens a flow.
func (s *signInService) StartFlow(ctx context.Context, r *posternv1.StartFlowRequest) (*posternv1.FlowAnswer, error) {
	in, err := s.in.StartFlow(r)
	if err != nil {
		return nil, err
	}
	answer, err := s.flows.Start(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return s.forms.FlowAnswer(answer), nil
}

// ReportStep records one step.
func (s *signInService) ReportStep(ctx context.Context, r *posternv1.ReportStepRequest) (*posternv1.FlowAnswer, error) {
	in, err := s.in.ReportStep(r)
	if err != nil {
		return nil, err
	}
	answer, err := s.flows.Step(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return s.forms.FlowAnswer(answer), nil
}

// FinishFlow ends a flow.
func (s *signInService) FinishFlow(ctx context.Context, r *posternv1.FinishFlowRequest) (*posternv1.FlowAnswer, error) {
	in, err := s.in.FinishFlow(r)
	if err != nil {
		return nil, err
	}
	answer, err := s.flows.Finish(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return s.forms.FlowAnswer(answer), nil
}

// VerifyTotp checks a one-time code and records the step.
func (s *signInService) VerifyTotp(ctx context.Context, r *posternv1.VerifyTotpRequest) (*posternv1.FlowAnswer, error) {
	in, err := s.in.VerifyTotp(r)
	if err != nil {
		return nil, err
	}
	answer, err := s.flows.VerifyTotp(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return s.forms.FlowAnswer(answer), nil
}

// VerifyRecoveryCode checks a recovery code and records the step.
func (s *signInService) VerifyRecoveryCode(ctx context.Context, r *posternv1.VerifyRecoveryCodeRequest) (*posternv1.FlowAnswer, error) {
	in, err := s.in.VerifyRecoveryCode(r)
	if err != nil {
		return nil, err
	}
	answer, err := s.flows.VerifyRecoveryCode(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return s.forms.FlowAnswer(answer), nil
}

// CheckAccess holds a session or token to the policy.
func (s *signInService) CheckAccess(ctx context.Context, r *posternv1.CheckAccessRequest) (*posternv1.CheckAccessResponse, error) {
	in, err := s.in.CheckAccess(r)
	if err != nil {
		return nil, err
	}
	access, err := s.flows.CheckAccess(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return s.forms.Access(access), nil
}

// RecordSession joins a session to the flow that let it in.
func (s *signInService) RecordSession(ctx context.Context, r *posternv1.RecordSessionRequest) (*posternv1.RecordSessionResponse, error) {
	in, err := s.in.RecordSession(r)
	if err != nil {
		return nil, err
	}
	answer, err := s.flows.RecordSession(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return convert.SessionAnswer(answer), nil
}
