package rest

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/interceptor"
	"github.com/postern-audit/postern/server/names"
	"github.com/postern-audit/postern/server/status"
)

// failed answers for a call that failed. What the server refused it has recorded; what never reached it is recorded here.
func (g *Gateway) failed(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	if reason, _ := status.Reason(err); reason != "" {
		g.write(ctx, w, codeOf(grpcstatus.Code(err)), err)
		return
	}
	switch grpcstatus.Code(err) {
	case codes.InvalidArgument, codes.Unknown:
		g.refuse(ctx, w, r, http.StatusBadRequest, malformed(explain(err)))
	case codes.ResourceExhausted: // of the transport, recorded by the server
		e := errs.Newf(errs.ResourceExhausted, "MESSAGE_TOO_LARGE", "no request may have more than %d bytes", interceptor.MaxMessage)
		g.write(ctx, w, codeOf(codes.ResourceExhausted), status.Error(e, interceptor.NewCallID()))
	default:
		e := status.Normal(err)
		g.write(ctx, w, codeOf(status.Code(e.Kind)), status.Error(e, interceptor.NewCallID()))
	}
}

// explain says where a body or query went wrong, without its values: a field name and a position at most.
func explain(err error) string {
	text := grpcstatus.Convert(err).Message()
	_, where, found := strings.Cut(text, "(line ")
	where, _, closed := strings.Cut(where, ")")
	at := ""
	if found && closed && len(where) < 20 {
		at = " at line " + where
	}
	if _, rest, ok := strings.Cut(text, "unknown field "); ok {
		if name, err := strconv.QuotedPrefix(rest); err == nil && len(name) < 80 {
			return "unknown field " + name + at
		}
	}
	if strings.HasPrefix(text, unknownParameter) {
		return text
	}
	return "the JSON is not that of this request" + at
}

// refuse answers a request that never became a call, and records it.
func (g *Gateway) refuse(ctx context.Context, w http.ResponseWriter, r *http.Request, code int, e *errs.Error) {
	callID := interceptor.NewCallID()
	method, ok := runtime.RPCMethod(ctx)
	if !ok {
		method = interceptor.UnknownMethod
	}
	refusal := interceptor.Refusal{
		Identity: identity(ctx), Method: method, Code: status.Code(e.Kind), Reason: e.Reason, CallID: callID,
	}
	if name, found := strings.CutPrefix(r.URL.Path, "/v1/"); found {
		refusal.Organization = names.OrganizationOf(name)
		if flow, _, _ := strings.Cut(name, ":"); names.IsFlow(flow) {
			refusal.Flow = flow
		}
	}
	if err := g.config.Record(ctx, refusal); err != nil {
		g.config.Log.LogAttrs(ctx, slog.LevelError, "refusal not recorded", slog.String("call_id", callID), slog.String("cause", err.Error()))
	}
	g.write(ctx, w, code, status.Error(e, callID))
}

// identity is whom the request proved to be, as the server would see it.
func identity(ctx context.Context) caller.Identity {
	if ctx.Value(principalKey{}) == interceptor.PrincipalKeyLocal {
		return caller.Identity{Kind: caller.KindKey, Principal: interceptor.PrincipalKeyLocal, Operator: true}
	}
	return caller.Identity{}
}

// write answers with a google.rpc.Status in JSON.
func (g *Gateway) write(ctx context.Context, w http.ResponseWriter, code int, err error) {
	s := grpcstatus.Convert(err)
	h := w.Header()
	h.Set(contentType, jsonType)
	h.Set(cacheControl, noStore)
	if code == http.StatusUnauthorized {
		h.Set(authentication, "Bearer")
	}
	for _, d := range s.Details() {
		if retry, ok := d.(*errdetails.RetryInfo); ok {
			h.Set("Retry-After", strconv.Itoa(int(retry.GetRetryDelay().AsDuration().Seconds()+0.999)))
		}
	}
	body, failure := protojson.Marshal(s.Proto())
	if failure != nil {
		code, body = http.StatusInternalServerError, []byte(`{"code":13,"message":"internal error"}`)
	}
	w.WriteHeader(code)
	if _, failure = w.Write(body); failure != nil { //nolint:gosec // JSON, and the header says so
		g.config.Log.LogAttrs(ctx, slog.LevelDebug, "answer not written", slog.String("cause", failure.Error()))
	}
}

// recovered answers for a panic in this package or the gateway.
func (g *Gateway) recovered(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	if v := recover(); v != nil {
		g.config.Log.LogAttrs(ctx, slog.LevelError, "http request failed", slog.String("cause", "panic\n"+string(debug.Stack())))
		g.refuse(ctx, w, r, http.StatusInternalServerError, errs.New(errs.Internal, "PANIC", "the request failed"))
	}
}
