// Package rest serves the API's unary methods as JSON over HTTP, with health, metrics and the OpenAPI document beside them.
//
// Purpose: a listener of its own on loopback. Requests are translated by the generated gateway and travel to the gRPC server over
// a connection within this process, through the same chain as every other call.
// Invariant: whom a call proves to be is decided here from the Authorization header alone, and said to the server in metadata
// that counts on that connection only; no header of a request becomes metadata. What is refused before it becomes a call is
// recorded like a refused call.
// It must never log a body or a credential, and never answer with a permission for other origins (CORS).
// First file to read: this one.
package rest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	_ "embed" // for the OpenAPI document

	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/server/interceptor"
)

//go:generate cp ../../docs/reference/openapi/postern.swagger.json openapi.json

//go:embed openapi.json
var openAPI []byte

// Config is what the listener needs. Every field is needed unless it says otherwise.
type Config struct {
	Key   secret.String // what a caller sends as Authorization: Bearer
	Hosts []string      // names besides localhost, 127.0.0.1 and [::1] that a Host header may have; may be empty
	// Record puts a refusal on the record that never became a call.
	Record  func(ctx context.Context, r interceptor.Refusal) error
	Ready   func() (ok bool, details any) // for /readyz; details are shown as JSON
	Metrics http.Handler                  // for /metrics
	Events  Events                        // the events API; may be nil
	Exports Exports                       // files of exports; may be nil
	Log     *slog.Logger
}

// Events is an API beside this one, with credentials and answers of its own: package orgevents. It records its own refusals.
type Events interface {
	http.Handler
	// Serves reports whether a request is for it.
	Serves(r *http.Request) bool
	// RefuseHost answers a request whose Host header names another host.
	RefuseHost(w http.ResponseWriter, r *http.Request)
}

// Gateway is the HTTP side of the API.
type Gateway struct {
	config   Config
	key      [sha256.Size]byte
	hosts    map[string]bool
	listener *bufconn.Listener
	client   *grpc.ClientConn
	http     *http.Server

	downloads atomic.Int64 // files being written
}

// Sizes and times of HTTP.
const (
	pipeSize       = 1 << 20
	maxBody        = 2 << 20 // of JSON; the request within is bounded by its method
	maxHeader      = 16 << 10
	maxAnswer      = 17 << 20
	headerTime     = 5 * time.Second
	readTime       = 30 * time.Second
	writeTime      = 60 * time.Second
	idleTime       = 2 * time.Minute
	bearer         = "bearer "
	contentType    = "Content-Type"
	jsonType       = "application/json"
	shortAnswerOK  = "ok\n"
	plainTextUTF8  = "text/plain; charset=utf-8"
	noStore        = "no-store"
	cacheControl   = "Cache-Control"
	authentication = "WWW-Authenticate"
)

// New builds the gateway. Nothing is served before Serve; the server must serve Listener.
func New(c Config) (*Gateway, error) {
	if c.Key.IsZero() || c.Record == nil || c.Ready == nil || c.Metrics == nil || c.Log == nil {
		return nil, errors.New("rest: the config lacks a part")
	}
	g := &Gateway{
		config: c, key: sha256.Sum256([]byte(c.Key.Reveal())), listener: bufconn.Listen(pipeSize),
		hosts: map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true},
	}
	for _, h := range c.Hosts {
		g.hosts[strings.ToLower(h)] = true
	}
	var err error
	g.client, err = grpc.NewClient("passthrough:///gateway",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return g.listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // both ends are this process
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
	)
	if err != nil {
		return nil, err
	}
	calls, err := g.calls()
	if err != nil {
		return nil, errors.Join(err, g.client.Close())
	}
	g.http = &http.Server{
		Handler: g.guard(g.routes(calls)), ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
	}
	return g, nil
}

// Listener is the in-process listener that the gRPC server must serve as its gateway.
func (g *Gateway) Listener() net.Listener { return g.listener }

// Serve serves HTTP until Shutdown. l must be on loopback.
func (g *Gateway) Serve(l net.Listener) error {
	if err := g.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown lets requests being served finish until ctx ends. Call it before the gRPC server is stopped, which closes Listener.
func (g *Gateway) Shutdown(ctx context.Context) error {
	err := g.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, g.http.Close())
	}
	return errors.Join(err, g.client.Close())
}

// routes puts what is no call beside the calls.
func (g *Gateway) routes(calls http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(contentType, plainTextUTF8)
		_, _ = w.Write([]byte(shortAnswerOK)) // a probe that went away hears nothing
	})
	mux.HandleFunc("GET /readyz", g.ready)
	mux.Handle("GET /metrics", g.config.Metrics)
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(contentType, jsonType)
		_, _ = w.Write(openAPI)
	})
	mux.Handle("/", calls)
	return mux
}

// ready says whether the process can do its work, and what stands in its way.
func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) {
	ok, details := g.config.Ready()
	w.Header().Set(contentType, jsonType)
	w.Header().Set(cacheControl, noStore)
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if err := json.NewEncoder(w).Encode(details); err != nil {
		g.config.Log.LogAttrs(r.Context(), slog.LevelDebug, "readiness not written", slog.String("cause", err.Error()))
	}
}

// principal says what the Authorization header proves, as the server reads it.
func (g *Gateway) principal(r *http.Request) string {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return interceptor.PrincipalNone
	}
	value := values[0]
	if len(values) > 1 || len(value) < len(bearer) || !strings.EqualFold(value[:len(bearer)], bearer) {
		return interceptor.PrincipalInvalid
	}
	got := sha256.Sum256([]byte(strings.TrimSpace(value[len(bearer):])))
	if subtle.ConstantTimeCompare(got[:], g.key[:]) != 1 {
		return interceptor.PrincipalInvalid
	}
	return interceptor.PrincipalKeyLocal
}
