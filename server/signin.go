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
	flows SignIns
	in    *convert.Converter
	forms convert.Forms
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
