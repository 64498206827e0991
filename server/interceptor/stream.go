package interceptor

import (
	"context"
	"time"

	"google.golang.org/grpc"
)

// stream is a server stream with the chain's context and decoding.
type stream struct {
	grpc.ServerStream
	ctx   context.Context //nolint:containedctx // a stream is its context
	call  *Call
	chain *Chain
	told  time.Time // the hour of the last answer that was a read of the record
}

// Context returns the context the chain made.
func (s *stream) Context() context.Context { return s.ctx }

// RecvMsg decodes the next request.
func (s *stream) RecvMsg(m any) error { return s.call.receive(s.ServerStream.RecvMsg, m) }

// SendMsg sends an answer.
func (s *stream) SendMsg(m any) error {
	if err := s.ServerStream.SendMsg(m); err != nil {
		return err //nolint:wrapcheck // for the chain to read
	}
	if !s.call.Rule.Reads || s.chain.answered == nil {
		return nil
	}
	if hour := s.chain.now().UTC().Truncate(time.Hour); hour.After(s.told) && s.chain.answered(s.ctx, s.call, m) {
		s.told = hour
	}
	return nil
}
