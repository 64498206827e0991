// Package interceptor is the chain every call of the API passes: audit of refusals ▸ status ▸ recovery ▸ deadline ▸ caller ▸
// limits ▸ decoding ▸ handler, the same for unary calls and streams.
//
// Purpose: whatever goes wrong with a call, somebody learns of it: the caller a documented code and reason, the log the cause,
// the record an access.denied event.
// Invariant: the audit of refusals is outermost, so nothing that ends a call can pass it by; a method without a rule is not
// served; identity comes from the connection and, on the in-process listener alone, from the gateway.
// It must never look into requests beyond the names of organization and flow, and never log a payload.
// First file to read: this one, then rule.go.
package interceptor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/status"
)

// Call is one call on its way through the chain. Layers fill it in; the ones around them read it afterwards.
type Call struct {
	Method   string // full method, or UnknownMethod
	Rule     Rule
	Identity caller.Identity
	request  proto.Message // nil until decoded; a stream may be read beside its handler, so mu guards it
	mu       sync.Mutex
	Code     codes.Code // set by the status layer when the call failed
	Reason   string

	frame frame
	work  work
}

// work is what stands inside the chain.
type work interface {
	run(ctx context.Context, call *Call) error
}

// UnknownMethod stands for methods this server does not have: what was asked for is the caller's text.
const UnknownMethod = "unknown"

// handler is a layer of the chain with everything inside it.
type handler func(ctx context.Context, call *Call) error

// layer puts something around a handler.
type layer func(next handler) handler

// Parts are the layers of a chain with what they need.
type Parts struct {
	Refusals  *Refusals
	Errors    *Errors
	Deadlines Deadlines
	Callers   Callers
	Limits    *Limits
	Now       func() time.Time
	// Observe hears of every finished call: method, code name, whether unary, duration. May be nil.
	Observe func(method, code string, unary bool, took time.Duration)
	// Answered hears of what a method whose rule Reads answers, and says whether that was a read of the record; then it hears no more
	// of that stream within the hour. It must not wait. May be nil.
	Answered func(ctx context.Context, call *Call, answer any) bool
}

// Chain is the built chain.
type Chain struct {
	outermost handler
	now       func() time.Time
	observe   func(method, code string, unary bool, took time.Duration)
	answered  func(ctx context.Context, call *Call, answer any) bool
}

// NewChain builds the chain, outermost layer first.
func NewChain(p Parts) *Chain {
	h := handler(func(ctx context.Context, call *Call) error { return call.work.run(ctx, call) })
	layers := []layer{p.Refusals.around, p.Errors.around, recovery, p.Deadlines.around, p.Callers.around, p.Limits.around}
	for i := len(layers) - 1; i >= 0; i-- {
		h = layers[i](h)
	}
	return &Chain{outermost: h, now: p.Now, observe: p.Observe, answered: p.Answered}
}

// NewCallID mints the id of a call: 20 random hex digits.
func NewCallID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (c *Chain) serve(ctx context.Context, call *Call) error {
	ctx = caller.WithCallID(ctx, NewCallID)
	if c.observe == nil {
		return c.outermost(ctx, call)
	}
	began := c.now()
	err := c.outermost(ctx, call)
	c.observe(call.Method, status.CodeName(call.Code), !call.Rule.Stream, c.now().Sub(began))
	return err
}

// Wrap returns a copy of a service description whose handlers pass the chain. Every method needs exactly one rule: a method
// without one, or a rule without a method, is an error.
func (c *Chain) Wrap(desc *grpc.ServiceDesc, rules map[string]Rule) (*grpc.ServiceDesc, error) {
	out := *desc
	out.Methods, out.Streams = nil, nil
	if n := len(desc.Methods) + len(desc.Streams); n != len(rules) {
		return nil, errs.Newf(errs.Internal, "INTERNAL", "%s has %d methods and %d rules", desc.ServiceName, n, len(rules))
	}
	for _, m := range desc.Methods {
		method := "/" + desc.ServiceName + "/" + m.MethodName
		rule, ok := rules[m.MethodName]
		if !ok || rule.Stream {
			return nil, errs.Newf(errs.Internal, "INTERNAL", "%s has no rule for a unary method", method)
		}
		out.Methods = append(out.Methods, grpc.MethodDesc{MethodName: m.MethodName, Handler: c.unary(method, rule, m.Handler)})
	}
	for _, s := range desc.Streams {
		method := "/" + desc.ServiceName + "/" + s.StreamName
		rule, ok := rules[s.StreamName]
		if !ok || !rule.Stream {
			return nil, errs.Newf(errs.Internal, "INTERNAL", "%s has no rule for a stream", method)
		}
		wrapped := s
		wrapped.Handler = c.stream(method, rule, s.Handler)
		out.Streams = append(out.Streams, wrapped)
	}
	return &out, nil
}

// unary puts the chain around a generated handler. The handler decodes inside the chain, so that a request nobody can read is
// refused and recorded like any other.
func (c *Chain) unary(method string, rule Rule, inner grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		u := &unary{Call: Call{Method: method, Rule: rule}, srv: srv, dec: dec, inner: inner}
		u.work = u
		if err := c.serve(ctx, &u.Call); err != nil {
			return nil, err
		}
		if rule.Reads && c.answered != nil {
			c.answered(ctx, &u.Call, u.reply)
		}
		return u.reply, nil
	}
}

// unary is a unary call with its handler.
type unary struct {
	Call
	srv   any
	dec   func(any) error
	inner grpc.MethodHandler
	reply any
}

func (u *unary) run(ctx context.Context, _ *Call) (err error) {
	u.reply, err = u.inner(u.srv, ctx, u.decode, nil)
	return err
}

func (u *unary) decode(v any) error { return u.receive(u.dec, v) }

// stream is unary's counterpart.
func (c *Chain) stream(method string, rule Rule, inner grpc.StreamHandler) grpc.StreamHandler {
	return func(srv any, ss grpc.ServerStream) error {
		return c.serve(ss.Context(), &Call{Method: method, Rule: rule, work: streaming(func(ctx context.Context, call *Call) error {
			return inner(srv, &stream{ServerStream: ss, ctx: ctx, call: call, chain: c})
		})})
	}
}

// streaming is work that is a function.
type streaming func(ctx context.Context, call *Call) error

func (s streaming) run(ctx context.Context, call *Call) error { return s(ctx, call) }

// Unknown refuses methods this server does not have, through the chain.
func (c *Chain) Unknown(_ any, ss grpc.ServerStream) error {
	return c.serve(ss.Context(), &Call{Method: UnknownMethod, Rule: Rule{Stream: true}, work: streaming(func(context.Context, *Call) error {
		return errs.New(errs.Unimplemented, "METHOD_UNKNOWN_HERE", "this server has no such method")
	})})
}

// keep keeps a request: of a stream the first one, which names what it is about.
func (call *Call) keep(v any) {
	call.mu.Lock()
	defer call.mu.Unlock()
	if call.request == nil {
		call.request, _ = v.(proto.Message)
	}
}

// kept is the request as far as it is known.
func (call *Call) kept() proto.Message {
	call.mu.Lock()
	defer call.mu.Unlock()
	return call.request
}

// receive decodes a request and keeps it for the layers outside.
func (call *Call) receive(recv func(any) error, v any) error {
	err := call.frame.decode(recv, v, call.Rule.limit())
	if err == nil {
		call.keep(v)
		return nil
	}
	if errors.Is(err, io.EOF) || errs.As(err) != nil {
		return err
	}
	return received(err)
}

// Request is what was asked, nil when nobody could read it; of a stream the first request.
func (call *Call) Request() proto.Message { return call.kept() }

// Organization is the id of the organization a request names, "" when it names none.
func (call *Call) Organization() string { return organizationOf(call.kept()) }
