package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/interceptor"
)

type principalKey struct{}

// calls builds the translation of requests into calls.
func (g *Gateway) calls() (http.Handler, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
			MarshalOptions:   protojson.MarshalOptions{EmitUnpopulated: false},
			UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
		}),
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithMetadata(func(_ context.Context, r *http.Request) metadata.MD {
			principal, _ := r.Context().Value(principalKey{}).(string)
			return metadata.Pairs(interceptor.PrincipalKey, principal)
		}),
		runtime.WithErrorHandler(g.failed),
		runtime.WithRoutingErrorHandler(g.unrouted),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.SetQueryParameterParser(strictQuery{}),
	)
	for _, register := range []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{
		posternv1.RegisterSignInServiceHandler, posternv1.RegisterFlowServiceHandler, posternv1.RegisterEventServiceHandler,
		posternv1.RegisterDirectoryServiceHandler, posternv1.RegisterPolicyServiceHandler,
		posternv1.RegisterAuthenticatorServiceHandler, posternv1.RegisterIdentityServiceHandler,
		posternv1.RegisterKeyServiceHandler,
	} {
		if err := register(context.Background(), mux, g.client); err != nil {
			return nil, err
		}
	}
	return mux, nil
}

// guard lets a request in: Host first, then who it is, then its body. A request that proves nobody loses body and query and
// goes on all the same, so that the server refuses and records it as the call it is.
func (g *Gateway) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.config.Events != nil && g.config.Events.Serves(r) {
			if !g.hosts[hostOf(r.Host)] {
				g.config.Events.RefuseHost(w, r)
				return
			}
			g.config.Events.ServeHTTP(w, r)
			return
		}
		if g.config.Exports != nil && r.URL.Path == DownloadPath {
			g.download(w, r)
			return
		}
		principal := g.principal(r)
		r.Header.Del("Authorization")
		ctx := context.WithValue(r.Context(), principalKey{}, principal)
		r = r.WithContext(ctx) // a copy: net/http still needs to know of the body it has to skip
		defer g.recovered(ctx, w, r)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if !g.hosts[hostOf(r.Host)] {
			g.refuse(ctx, w, r, http.StatusForbidden, errs.New(errs.PermissionDenied, "HOST_NOT_ALLOWED", "the Host header does not name this listener"))
			return
		}
		if principal != interceptor.PrincipalKeyLocal {
			bare := *r.URL
			bare.RawQuery = ""
			r.Body, r.ContentLength, r.URL = http.NoBody, 0, &bare
		} else if code, err := readBody(w, r); err != nil {
			g.refuse(ctx, w, r, code, err)
			return
		}
		r.Header.Del(contentType) // there is one form, and the gateway would log a header that it cannot read
		r.Header.Del("Accept")
		next.ServeHTTP(w, r)
	})
}

// readBody reads a body whole, so that what is behind the first JSON value cannot be smuggled past.
func readBody(w http.ResponseWriter, r *http.Request) (int, *errs.Error) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if r.ContentLength != 0 {
			return http.StatusBadRequest, malformed("a " + r.Method + " request takes no body")
		}
		return 0, nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get(contentType))
	if err != nil || kind != jsonType {
		return http.StatusUnsupportedMediaType, malformed("send Content-Type: " + jsonType)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, errs.Newf(errs.ResourceExhausted, "MESSAGE_TOO_LARGE", "no body may have more than %d bytes", maxBody)
	case err != nil:
		return http.StatusBadRequest, malformed("the body could not be read")
	case len(body) > 0 && !json.Valid(body):
		return http.StatusBadRequest, malformed("the body is not one JSON value")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return 0, nil
}

func malformed(text string) *errs.Error { return errs.New(errs.Invalid, "REQUEST_MALFORMED", text) }

// hostOf returns a Host header without its port, in lower case.
func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
}

// unrouted answers for paths and methods that are no call.
func (g *Gateway) unrouted(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	g.refuse(ctx, w, r, code, errs.New(errs.NotFound, "PATH_NOT_FOUND", "there is no such path, or not for this method: see /openapi.json"))
}

// codeOf is what HTTP calls a code, where this package did not choose.
func codeOf(c codes.Code) int { return runtime.HTTPStatusFromCode(c) }
