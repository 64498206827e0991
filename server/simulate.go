package server

import (
	"context"

	"google.golang.org/grpc"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy/simulate"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

// Simulations goes through flows on record. tell hears of progress; its error ends the call.
type Simulations interface {
	Simulate(ctx context.Context, in convert.Simulation, tell simulate.Tell) (*simulate.Result, error)
	Impact(ctx context.Context, in convert.Impact, tell simulate.Tell) ([]simulate.RuleImpact, error)
}

// Simulate says what a draft would have done to the flows on record.
func (s *policyService) Simulate(r *posternv1.SimulateRequest, stream grpc.ServerStreamingServer[posternv1.SimulateResponse]) error {
	in, err := s.in.Simulate(r, s.now())
	if err != nil {
		return err
	}
	return s.scanning(stream.Context(), in.Draft.Organization, func(ctx context.Context) error {
		found, err := s.Simulations.Simulate(ctx, in, s.telling(func(p *posternv1.Progress) error { return stream.Send(&posternv1.SimulateResponse{Progress: p}) }))
		if err != nil {
			return err
		}
		return stream.Send(&posternv1.SimulateResponse{Result: convert.Simulated(in.Draft.Organization, found)})
	})
}

// GetPolicyImpact says what rules did to the flows on record.
func (s *policyService) GetPolicyImpact(r *posternv1.GetPolicyImpactRequest, stream grpc.ServerStreamingServer[posternv1.GetPolicyImpactResponse]) error {
	in, err := s.in.GetPolicyImpact(r, s.now())
	if err != nil {
		return err
	}
	return s.scanning(stream.Context(), in.Organization, func(ctx context.Context) error {
		found, err := s.Simulations.Impact(ctx, in, s.telling(func(p *posternv1.Progress) error { return stream.Send(&posternv1.GetPolicyImpactResponse{Progress: p}) }))
		if err != nil {
			return err
		}
		return stream.Send(&posternv1.GetPolicyImpactResponse{Rules: convert.Impacts(in.Organization, found)})
	})
}

// scanning runs what goes through an organization's record, once that can be opened. A server that stops ends it.
func (s *policyService) scanning(ctx context.Context, organization string, do func(context.Context) error) error {
	if s.Simulations == nil {
		return errs.New(errs.Unimplemented, "METHOD_UNKNOWN_HERE", "this process goes through no records")
	}
	if _, err := s.access.open(ctx, organization); err != nil {
		return err
	}
	return do(ctx)
}

// telling sends progress on.
func (s *policyService) telling(send func(*posternv1.Progress) error) simulate.Tell {
	return func(done, total int64) error {
		select {
		case <-s.stopping:
			return errs.New(errs.Unavailable, "SHUTTING_DOWN", "the server is stopping; ask again")
		default:
		}
		return send(&posternv1.Progress{Done: done, Total: total})
	}
}
