package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
)

// floorScript is the least a commit can be: one state, one event.
const floorScript = `redis.call('HSET', KEYS[1], 's', ARGV[1])
return redis.call('XADD', KEYS[2], '*', 'e', ARGV[2])`

// floorServer gives one of our own answers to every call after one EVALSHA; Explain after one HMGET.
type floorServer struct {
	posternv1.UnimplementedSignInServiceServer
	posternv1.UnimplementedPolicyServiceServer
	posternv1.UnimplementedAuthenticatorServiceServer
	client       redis.UniversalClient
	sha          string
	state, event []byte
	next         atomic.Uint64
	answer       *posternv1.FlowAnswer
	access       *posternv1.CheckAccessResponse
}

func (f *floorServer) commit(ctx context.Context, flow string) (*posternv1.FlowAnswer, error) {
	if err := f.client.EvalSha(ctx, f.sha, []string{"floor:{00}:flow:" + flow, "floor:{00}:outbox"}, f.state, f.event).Err(); err != nil {
		return nil, err
	}
	return f.answer, nil
}

func (f *floorServer) StartFlow(ctx context.Context, _ *posternv1.StartFlowRequest) (*posternv1.FlowAnswer, error) {
	return f.commit(ctx, strconv.FormatUint(f.next.Add(1), 36))
}

func (f *floorServer) ReportStep(ctx context.Context, r *posternv1.ReportStepRequest) (*posternv1.FlowAnswer, error) {
	return f.commit(ctx, r.GetFlow())
}

func (f *floorServer) FinishFlow(ctx context.Context, r *posternv1.FinishFlowRequest) (*posternv1.FlowAnswer, error) {
	return f.commit(ctx, r.GetFlow())
}

func (f *floorServer) VerifyTotp(ctx context.Context, r *posternv1.VerifyTotpRequest) (*posternv1.FlowAnswer, error) {
	return f.commit(ctx, r.GetFlow())
}

// CompleteFederation says it knows somebody, as ours does after it has looked.
func (f *floorServer) CompleteFederation(ctx context.Context, r *posternv1.CompleteFederationRequest) (*posternv1.CompleteFederationResponse, error) {
	a, err := f.commit(ctx, r.GetFlow())
	return &posternv1.CompleteFederationResponse{Answer: a, Identity: &posternv1.FederatedIdentity{Connection: r.GetConnection(), Issuer: samlEntity,
		SubjectId: "guest-0", Email: "guest-0@bench-postern-demo.com", EmailVerified: true, DisplayName: "Guest guest-0", AccountId: "SAML-0"}}, err
}

func (f *floorServer) RecordSession(context.Context, *posternv1.RecordSessionRequest) (*posternv1.RecordSessionResponse, error) {
	return &posternv1.RecordSessionResponse{}, nil
}

// CheckAccess is a bare call: ours answers from memory too.
func (f *floorServer) CheckAccess(context.Context, *posternv1.CheckAccessRequest) (*posternv1.CheckAccessResponse, error) {
	return f.access, nil
}

func (f *floorServer) ImportAuthenticators(context.Context, *posternv1.ImportAuthenticatorsRequest) (*posternv1.ImportAuthenticatorsResponse, error) {
	return &posternv1.ImportAuthenticatorsResponse{}, nil
}

func (f *floorServer) Explain(ctx context.Context, _ *posternv1.ExplainRequest) (*posternv1.ExplainResponse, error) {
	if err := f.client.HMGet(ctx, "floor:{00}:org", "st", "ps", "p").Err(); err != nil {
		return nil, err
	}
	return &posternv1.ExplainResponse{Decision: f.answer.GetDecision()}, nil
}

func floorMain(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("floor", flag.ContinueOnError)
	addr := fs.String("redis", "", "address of the redis-server")
	socket := fs.String("socket", "", "unix socket to serve on")
	metrics := fs.String("http", "", "address of /metrics")
	statePath := fs.String("state", "", "file with state bytes")
	eventPath := fs.String("event", "", "file with event bytes")
	answerPath := fs.String("answer", "", "file with the answer to give, encoded")
	accessPath := fs.String("access", "", "file with the answer to CheckAccess, encoded")
	if err := fs.Parse(args); err != nil {
		return err
	}
	state, err := os.ReadFile(*statePath)
	if err != nil {
		return err
	}
	event, err := os.ReadFile(*eventPath)
	if err != nil {
		return err
	}
	answer, access := &posternv1.FlowAnswer{}, &posternv1.CheckAccessResponse{}
	if err := errors.Join(kept(*answerPath, answer), kept(*accessPath, access)); err != nil {
		return fmt.Errorf("the floor's answers: %w", err)
	}
	client, err := redisClient(*addr)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	sha, err := client.ScriptLoad(ctx, floorScript).Result()
	if err != nil {
		return fmt.Errorf("load the floor's script: %w", err)
	}
	f := &floorServer{client: client, sha: sha, state: state, event: event, answer: answer, access: access}
	l, err := net.Listen("unix", *socket)
	if err != nil {
		return err
	}
	s := grpc.NewServer(server.TransportLimits()...)
	posternv1.RegisterSignInServiceServer(s, f)
	posternv1.RegisterPolicyServiceServer(s, f)
	posternv1.RegisterAuthenticatorServiceServer(s, f)
	go serveMetrics(ctx, *metrics)
	trimming, err := trim(ctx, *addr, "floor:{00}:outbox")
	if err != nil {
		return err
	}
	defer trimming.stop()
	go func() { <-ctx.Done(); s.Stop() }()
	if err := s.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

func serveMetrics(ctx context.Context, addr string) {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(prometheus.DefaultGatherer, promhttp.HandlerOpts{}))
	srv := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { <-ctx.Done(); _ = srv.Close() }()
	_ = srv.ListenAndServe() // ends with the process; a missing /metrics shows in the caller
}
