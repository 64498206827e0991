package orgevents

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/interceptor"
	"github.com/postern-audit/postern/server/status"
	"github.com/postern-audit/postern/server/token"
)

// Keys recognises callers. *apikey.Keys is one.
type Keys interface {
	// Authenticate returns the key of a token. With an error of reason API_KEY_EXPIRED or API_KEY_REVOKED comes the key too.
	Authenticate(ctx context.Context, token string) (*apikey.Key, error)
}

// Reader is the part of the archive that is read here. audit.Reader is one.
type Reader interface {
	Event(ctx context.Context, organizationUID, id string) (audit.Event, error)
	Events(ctx context.Context, q audit.Query) ([]audit.Event, error)
	Position(ctx context.Context, organizationUID string) (int64, time.Time, error)
}

// Opener opens the personal part of events. audit.Codec is one.
type Opener interface {
	Open(e *audit.Event) error
}

// Config is what the handler needs. Every field is needed unless it says otherwise.
type Config struct {
	// Prefix is the path all of it lies below, /admin/v1/orgs for example: without a slash at its end.
	Prefix string
	// PublicURL begins every link: scheme, host and no path.
	PublicURL string
	// EventsPerMinute and StreamPerMinute are how many requests a key may make to /events, and to each other path.
	EventsPerMinute, StreamPerMinute int
	// Timeout bounds one request.
	Timeout time.Duration

	Keys    Keys
	Reader  Reader
	Opener  Opener
	Indexer convert.Indexer
	MAC     token.MAC // of cursors; the same in all processes and after a restart
	// OpenRecord resolves an organization's id, or answers with a NotFound error, and makes its key usable in this process.
	OpenRecord func(ctx context.Context, organization string) (uid string, err error)
	// Record puts a refusal on the record.
	Record func(ctx context.Context, r interceptor.Refusal) error
	// Read hears of every answer that shows the record. It must not wait.
	Read func(Read)
	Now  func() time.Time
	Log  *slog.Logger
	// Observe hears of every finished request. May be nil.
	Observe func(method, code string, unary bool, took time.Duration)
}

// Read is one read of an organization's record, once it was answered.
type Read struct {
	Organization, OrganizationUID string
	Caller                        string
	Call                          string        // from a closed set
	Text                          string        // what was looked for; may be personal
	Subjects                      []audit.Index // whom, by account or e-mail
}

// Handler serves the API. Safe for concurrent use.
type Handler struct {
	c      Config
	tokens *token.Tokens
	limits limits
	flying atomic.Int64
}

// maxFlying bounds how many requests are served at once, until their answers are read: each may hold a page. maxOfKey is how many of
// them one key may have, so that nobody who reads slowly keeps all others out.
const (
	maxFlying = 32
	maxOfKey  = 8
)

// New returns a handler, or an error that names what is missing.
func New(c Config) (*Handler, error) {
	switch {
	case c.Keys == nil || c.Reader == nil || c.Opener == nil || c.Indexer == nil || c.MAC == nil || c.OpenRecord == nil || c.Record == nil || c.Read == nil,
		c.Now == nil, c.Log == nil, c.EventsPerMinute < 1, c.StreamPerMinute < 1, c.Timeout <= 0:
		return nil, errors.New("orgevents: the config lacks a part")
	case !strings.HasPrefix(c.Prefix, "/") || strings.HasSuffix(c.Prefix, "/"):
		return nil, errors.New("orgevents: the prefix must begin with a slash and not end with one")
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	return &Handler{c: c, tokens: token.New(c.MAC), limits: limits{used: map[limitKey]int{}, open: map[limitKey]int{}}}, nil
}

// Serves reports whether a request is for this API, however its path is written.
func (h *Handler) Serves(r *http.Request) bool {
	return under(r.URL.Path, h.c.Prefix) || under(r.URL.EscapedPath(), h.c.Prefix)
}

func under(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// request is one request on its way.
type request struct {
	http *http.Request
	way  way
	key  *apikey.Key   // nil until proven
	uid  string        // of the organization
	whom []audit.Index // whom a list is of
	// held and counted say which of its places it has to give back.
	held, counted bool
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, func(ctx context.Context, q *request) (any, error) { return h.serve(ctx, w, q) })
}

// RefuseHost answers a request whose Host header names another host.
func (h *Handler) RefuseHost(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, func(context.Context, *request) (any, error) {
		return nil, errs.New(errs.PermissionDenied, "HOST_NOT_ALLOWED", "the Host header does not name this listener")
	})
}

// answer runs one request to its end: what it finds, or what was wrong with it, which goes on the record.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, serve func(context.Context, *request) (any, error)) {
	ctx, cancel := context.WithTimeout(caller.WithCallID(r.Context(), interceptor.NewCallID), h.c.Timeout)
	defer cancel()
	began := h.c.Now()
	q := &request{http: r, way: wayOf(r.URL.EscapedPath(), h.c.Prefix)}
	defer h.leave(q)
	head := w.Header()
	head.Set("Content-Type", "application/json")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	body, err := h.guarded(ctx, q, serve)
	code := codes.OK
	if err != nil {
		h.leave(q)
		var f *fault
		f, code = h.refuse(ctx, q, err)
		f.headers(head)
		w.WriteHeader(f.status)
		body = f.body(caller.CallID(ctx))
	}
	if err := write(w, body); err != nil {
		h.c.Log.LogAttrs(ctx, slog.LevelDebug, "answer not written", slog.String("cause", err.Error()))
	}
	if h.c.Observe != nil {
		h.c.Observe(q.way.method(), status.CodeName(code), true, h.c.Now().Sub(began))
	}
}

// guarded turns a panic into an error.
func (h *Handler) guarded(ctx context.Context, q *request, serve func(context.Context, *request) (any, error)) (body any, err error) {
	defer func() {
		if v := recover(); v != nil {
			h.c.Log.LogAttrs(ctx, slog.LevelError, "request of the events API failed", slog.String("call_id", caller.CallID(ctx)),
				slog.String("cause", errs.Recovered(v).Error()+"\n"+string(debug.Stack())))
			body, err = nil, errs.New(errs.Internal, "PANIC", "the request failed")
		}
	}()
	return serve(ctx, q)
}

// serve lets a request in and runs it: method and path, then who it is, whose record it is, and how often it came.
func (h *Handler) serve(ctx context.Context, w http.ResponseWriter, q *request) (any, error) {
	if q.http.Method != http.MethodGet {
		return nil, faultOf(http.StatusMethodNotAllowed, "ADMIN-405-1", "Method not allowed", "only GET is served")
	}
	if q.way.kind == document {
		return openAPI(), nil
	}
	if q.way.kind == nothing {
		return nil, faultOf(http.StatusNotFound, "ADMIN-404-1", "Resource not found", "there is nothing at this path")
	}
	q.held = true
	if h.flying.Add(1) > maxFlying {
		return nil, errs.New(errs.ResourceExhausted, "OVERLOADED", "this process serves as many requests as it can")
	}
	if err := h.admit(ctx, q); err != nil {
		return nil, err
	}
	if err := h.count(w.Header(), q); err != nil {
		return nil, err
	}
	if q.counted = h.limits.enter(q.key); !q.counted {
		return nil, errs.New(errs.ResourceExhausted, "OVERLOADED", "this key has as many requests open as it may")
	}
	if q.http.ContentLength != 0 {
		return nil, faultOf(http.StatusBadRequest, "ADMIN-400-24", "Invalid request body", "a GET request takes no body")
	}
	values, err := valuesOf(q.http.URL)
	if err != nil {
		return nil, err
	}
	var body any
	switch q.way.kind {
	case events:
		body, err = h.events(ctx, q, values)
	case stream:
		body, err = h.stream(ctx, q, values)
	case event:
		body, err = h.event(ctx, q)
	case actions, nothing, document:
		return actionList(q.key.Detail), nil
	}
	if err == nil {
		h.c.Read(q.read(values))
	}
	return body, err
}

// read is what goes on the record of an answered request. Where a list goes on is nothing that was looked for.
func (q *request) read(values url.Values) Read {
	text := q.way.event
	values.Del("cursor")
	values.Del("limit")
	if text == "" {
		text = asked(values)
	}
	return Read{
		Organization: q.way.organization, OrganizationUID: q.uid, Caller: principal(q.key), Call: q.way.method(), Text: text, Subjects: q.whom,
	}
}

// asked writes a query as JSON, "" when there is none: addresses stand in it as they are, so that privacy finds them.
func asked(values url.Values) string {
	if len(values) == 0 {
		return ""
	}
	text, err := json.Marshal(values)
	if err != nil {
		return "" // not reached: texts can be written
	}
	return string(text)
}

// principal names a key on the record.
func principal(key *apikey.Key) string { return "apikey:" + key.ID.String() }

// leave gives back the places of a request whose answer is written, or is a refusal.
func (h *Handler) leave(q *request) {
	if q.held {
		h.flying.Add(-1)
	}
	if q.counted {
		h.limits.leave(q.key)
	}
	q.held, q.counted = false, false
}

// bearer is the scheme of the Authorization header.
const bearer = "bearer "

// admit finds out whose request it is, and whether the path names its organization.
func (h *Handler) admit(ctx context.Context, q *request) error {
	given := q.http.Header.Values("Authorization")
	if len(given) == 0 {
		return errs.New(errs.Unauthenticated, "CREDENTIALS_MISSING", "send Authorization: Bearer with an API key")
	}
	if len(given) > 1 || len(given[0]) < len(bearer) || !strings.EqualFold(given[0][:len(bearer)], bearer) {
		return errs.New(errs.Unauthenticated, "CREDENTIALS_INVALID", "send one Authorization: Bearer header with an API key")
	}
	key, err := h.c.Keys.Authenticate(ctx, strings.TrimSpace(given[0][len(bearer):]))
	q.key = key
	if err != nil {
		return err //nolint:wrapcheck // an errs.Error of the keys
	}
	if key.Role != apikey.RoleAuditor {
		return faultOf(http.StatusForbidden, "ADMIN-403-3", "Forbidden", "this key may not read the organization's record")
	}
	uid, err := h.c.OpenRecord(ctx, q.way.organization)
	if err != nil && errs.KindOf(err) != errs.NotFound {
		return err
	}
	if err != nil || uid != key.OrganizationUID {
		return faultOf(http.StatusNotFound, "ADMIN-404-2", "Organization not found", "there is no such organization for this key")
	}
	q.uid = uid
	return nil
}

// count counts the request against its key's limit, and tells the caller where it stands.
func (h *Handler) count(head http.Header, q *request) error {
	limit := h.c.StreamPerMinute
	if q.way.kind == events {
		limit = h.c.EventsPerMinute
	}
	now := h.c.Now()
	left, ok := h.limits.take(limitKey{q.key.OrganizationUID, q.key.ID, q.way.kind}, limit, now)
	reset := now.Truncate(time.Minute).Add(time.Minute).UTC()
	head.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	head.Set("X-RateLimit-Remaining", strconv.Itoa(left))
	head.Set("X-RateLimit-Reset", reset.Format("2006-01-02T15:04Z"))
	if ok {
		return nil
	}
	f := faultOf(http.StatusTooManyRequests, "ADMIN-429-1", "Rate limit exceeded", "at most "+strconv.Itoa(limit)+" requests a minute: wait until the next one")
	f.retry = int((reset.Sub(now) + time.Second - 1) / time.Second)
	return f
}

// refuse puts a refusal on the record, logs its cause once, and says what to answer.
func (h *Handler) refuse(ctx context.Context, q *request, err error) (*fault, codes.Code) {
	f := faultFrom(err)
	refusal := interceptor.Refusal{
		Method: q.way.method(), Code: f.code, Reason: f.reason, CallID: caller.CallID(ctx), Organization: q.way.organization,
	}
	if q.key != nil { // proven, also when it has ended: its own organization should see what is done with it
		refusal.Identity = caller.Identity{Kind: caller.KindKey, Principal: principal(q.key), OrganizationUID: q.key.OrganizationUID}
	}
	if errRecord := h.c.Record(ctx, refusal); errRecord != nil {
		h.c.Log.LogAttrs(ctx, slog.LevelError, "refusal not recorded", slog.String("call_id", refusal.CallID), slog.String("cause", errRecord.Error()))
	}
	level := slog.LevelDebug
	if f.status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	h.c.Log.LogAttrs(ctx, level, "request of the events API refused", slog.String("call_id", refusal.CallID), slog.String("method", refusal.Method),
		slog.String("caller", refusal.Identity.String()), slog.String("code", f.name), slog.String("cause", err.Error()))
	return f, f.code
}
