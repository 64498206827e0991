package server

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// WatchFlow sends a flow now and after every change, until it has ended.
func (s *flowService) WatchFlow(r *posternv1.WatchFlowRequest, stream grpc.ServerStreamingServer[posternv1.Flow]) error {
	ctx := stream.Context()
	ref, err := s.in.WatchFlow(r)
	if err != nil {
		return err
	}
	uid, err := s.access.open(ctx, ref.Organization)
	if err != nil {
		return err
	}
	poll := time.NewTicker(s.Poll)
	defer poll.Stop()
	var sent policy.Stamp
	for known := false; ; known = true {
		ended, stamp, err := s.sendChanged(ctx, stream, uid, ref.IDOrCode, sent, known)
		if ended || err != nil {
			return err
		}
		sent = stamp
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stopping:
			return errs.New(errs.Unavailable, "SHUTTING_DOWN", "the server is stopping; ask again")
		case <-poll.C:
		}
	}
}

// sendChanged sends the flow when its stamp moved, and reports whether nothing more will come. Once the flow was known, a
// store that is away for a moment is waited for.
func (s *flowService) sendChanged(ctx context.Context, stream grpc.ServerStreamingServer[posternv1.Flow], uid, idOrCode string,
	sent policy.Stamp, known bool,
) (ended bool, stamp policy.Stamp, err error) {
	flow, live, err := s.flow(ctx, uid, idOrCode)
	switch {
	case err != nil && known && errs.KindOf(err) == errs.Unavailable && ctx.Err() == nil:
		s.log.LogAttrs(ctx, slog.LevelWarn, "watch waits for the store", slog.String("cause", err.Error()))
		return false, sent, nil
	case err != nil:
		return false, sent, err
	case live != nil && live.Stamp == sent:
		return false, sent, nil
	}
	if err := stream.Send(flow); err != nil {
		return false, sent, err //nolint:wrapcheck // for the chain to read
	}
	if live != nil {
		sent = live.Stamp
	}
	return live == nil || flow.GetPhase() == posternv1.Phase_PHASE_ENDED, sent, nil
}
