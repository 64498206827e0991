package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/interceptor"
)

// Listeners are where gRPC is served. Each kind proves its callers in its own way.
type Listeners struct {
	Socket  net.Listener // a unix socket; peers are known by their user id
	Gateway net.Listener // within this process, for the HTTP gateway alone; may be nil
	Open    net.Listener // lets in everybody: insecure_no_authentication; may be nil
}

// Serve serves until Shutdown, or until a listener fails or a part of the server breaks. Shutdown is due in any case.
func (s *Server) Serve(l Listeners) error {
	var all []net.Listener
	if l.Socket != nil {
		all = append(all, l.Socket)
	}
	if l.Gateway != nil {
		all = append(all, interceptor.GatewayListener(l.Gateway))
	}
	if l.Open != nil {
		all = append(all, interceptor.OpenListener(l.Open))
	}
	if len(all) == 0 {
		return errors.New("server: no listener")
	}
	failed := make(chan error, len(all))
	for _, listener := range all {
		go func() { failed <- s.grpc.Serve(listener) }()
	}
	var problems []error
	for range all {
		var err error
		select {
		case err = <-failed:
		case broken := <-s.recorder.Broken():
			return errors.Join(append(problems, broken)...) // calls being served may finish: Shutdown waits for them
		case broken := <-s.readings.Broken():
			return errors.Join(append(problems, broken)...)
		}
		if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			problems = append(problems, fmt.Errorf("server: %w", err))
			s.grpc.Stop() // one dead listener must not leave half a server
		}
	}
	return errors.Join(problems...)
}

// SetServing tells health checks whether the process can do its work.
func (s *Server) SetServing(ok bool) {
	state := healthv1.HealthCheckResponse_NOT_SERVING
	if ok {
		state = healthv1.HealthCheckResponse_SERVING
	}
	for _, name := range append(s.Services(), "") {
		s.health.SetServingStatus(name, state)
	}
}

// Shutdown stops the server: health says NOT_SERVING, streams are told to come back elsewhere, calls being served may finish
// until ctx ends, and refusals and reads that were counted are written. The error says what could not be finished or written. Call it once
// nothing else records refusals or reads: after the gateway's.
func (s *Server) Shutdown(ctx context.Context) error {
	s.health.Shutdown()
	s.stopOnce.Do(func() { close(s.stopping) })
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.grpc.GracefulStop()
	}()
	var problem error
	select {
	case <-drained:
	case <-ctx.Done():
		s.grpc.Stop()
		<-drained
		problem = errors.New("server: calls were cut off at the end of the time for stopping")
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	return errors.Join(problem, s.recorder.Close(flush), s.readings.Close(flush))
}

// flushTimeout bounds the last writing of refusals and reads.
const flushTimeout = 3 * time.Second

// healthService answers health checks through the chain, with errors of this API.
type healthService struct {
	healthv1.HealthServer
	stopping chan struct{}
}

// Check answers for one service, "" for all.
func (h healthService) Check(ctx context.Context, r *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	out, err := h.HealthServer.Check(ctx, r)
	if status.Code(err) == codes.NotFound {
		return nil, errs.New(errs.NotFound, "SERVICE_UNKNOWN", "this server has no such service")
	}
	return out, err
}

// Watch follows one service until the server stops: a watcher must not hold up the drain.
func (h healthService) Watch(r *healthv1.HealthCheckRequest, stream grpc.ServerStreamingServer[healthv1.HealthCheckResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	done := make(chan struct{})
	var ended error
	go func() {
		defer close(done)
		ended = h.HealthServer.Watch(r, within{stream, ctx})
	}()
	select {
	case <-done:
		return ended
	case <-h.stopping:
		cancel()
		<-done
		return errs.New(errs.Unavailable, "SHUTTING_DOWN", "the server is stopping")
	}
}

// within is a stream with another context.
type within struct {
	grpc.ServerStreamingServer[healthv1.HealthCheckResponse]
	ctx context.Context //nolint:containedctx // a stream is its context
}

// Context returns that context.
func (w within) Context() context.Context { return w.ctx }
