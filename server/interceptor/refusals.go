package interceptor

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
	"github.com/postern-audit/postern/server/status"
)

// Organizations finds organizations by id.
type Organizations interface {
	// Resolve returns the uid of an organization id, or a NotFound error.
	Resolve(ctx context.Context, id string) (uid string, err error)
}

// Flows knows which flows are on the record.
type Flows interface {
	// Recorded reports whether the flow exists and is on its site's record. When that cannot be found out it reports false.
	Recorded(ctx context.Context, organizationUID, flow string) bool
}

// Refusals is the outermost layer: it sees the final outcome of every call and leaves an access.denied event for each one that
// was refused, broke or failed. A call its caller cancelled is none of these.
type Refusals struct {
	Recorder      *Recorder
	Organizations Organizations
	Flows         Flows
	Log           *slog.Logger
}

// Refusal is one refused call, in words that hold nothing personal.
type Refusal struct {
	Identity     caller.Identity
	Method       string
	Code         codes.Code
	Reason       string
	CallID       string
	Organization string // id as named by the request, "" when it names none
	Flow         string // as named by the request, "" when it names none
}

func (r *Refusals) around(next handler) handler {
	return func(ctx context.Context, call *Call) error {
		err := next(ctx, call)
		if err == nil {
			return nil
		}
		request := call.kept()
		refusal := Refusal{
			Identity: call.Identity, Method: call.Method, Code: call.Code, Reason: call.Reason, CallID: caller.CallID(ctx),
			Organization: organizationOf(request), Flow: flowOf(request),
		}
		if call.Code == codes.Canceled && errors.Is(ctx.Err(), context.Canceled) {
			if !call.Rule.Stream || !linkOf(ctx).Gone() {
				return err
			}
			refusal.Code, refusal.Reason = codes.Unavailable, status.ReasonStreamBroken
		}
		failure := r.Record(ctx, refusal)
		if failure == nil || !call.Rule.AuditRequired {
			return err
		}
		return r.unrecorded(ctx, call, failure)
	}
}

// Record puts a refusal on the record: in the named organization when it exists and the caller has rights there, else in
// system. Refusals on flows that are not recorded go to system too.
//
// What failed because the store was away is recorded once it is back; a write that is tried now and fails, or takes longer than
// the caller has, is an error, and is counted for later as well.
func (r *Refusals) Record(ctx context.Context, refusal Refusal) error {
	ctx, cancel := writing(ctx)
	defer cancel()
	later := away(refusal)
	key := foldKey{
		organization: audit.SystemID, organizationUID: audit.SystemUID, principal: refusal.Identity.String(),
		method: refusal.Method, code: status.CodeName(refusal.Code), reason: refusal.Reason,
	}
	r.place(ctx, &key, refusal, later)
	return r.Recorder.add(ctx, key, refusal.CallID, later)
}

// away reports whether a call failed because what it needed did not answer: then the write of its refusal would wait as well.
func away(r Refusal) bool {
	return r.Code == codes.DeadlineExceeded ||
		r.Code == codes.Unavailable && r.Reason != status.ReasonStreamBroken && r.Reason != "SHUTTING_DOWN"
}

// place finds the organization a refusal belongs to; it stays in system unless everything says otherwise. Of what is written
// later it only notes the organization's id: looking anything up now would wait for a store that is away.
func (r *Refusals) place(ctx context.Context, key *foldKey, refusal Refusal, later bool) {
	who := refusal.Identity
	if refusal.Organization == "" || !who.Operator && who.OrganizationUID == "" || refusal.Reason == policy.ReasonRegionMismatch {
		return // what belongs into another region leaves no trace of whose it is
	}
	if later {
		if refusal.Flow == "" && who.Operator {
			key.organization, key.organizationUID = refusal.Organization, ""
		}
		return
	}
	uid, err := r.Organizations.Resolve(ctx, refusal.Organization)
	if err != nil || uid == "" || !who.Operator && uid != who.OrganizationUID || refusal.Flow != "" && !r.Flows.Recorded(ctx, uid, refusal.Flow) {
		return
	}
	key.organization, key.organizationUID = refusal.Organization, uid
}

// unrecorded replaces an answer whose refusal could not be recorded.
func (r *Refusals) unrecorded(ctx context.Context, call *Call, failure error) error {
	r.Log.LogAttrs(ctx, slog.LevelError, "refusal not recorded", slog.String("call_id", caller.CallID(ctx)), slog.String("method", call.Method),
		slog.String("code", status.CodeName(call.Code)), slog.String("reason", call.Reason), slog.String("cause", failure.Error()))
	call.Code, call.Reason = codes.Unavailable, "NOT_RECORDED"
	return status.Error(errs.New(errs.Unavailable, "NOT_RECORDED", "the call was refused, and that could not be recorded"), caller.CallID(ctx))
}

// linkOf returns the state of the call's connection, nil when it has none.
func linkOf(ctx context.Context) *Link {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	switch info := p.AuthInfo.(type) {
	case SocketInfo:
		return info.Link
	case GatewayInfo:
		return info.Link
	case OpenInfo:
		return info.Link
	}
	return nil
}

// organizationOf returns the organization a request names.
func organizationOf(request proto.Message) string {
	for _, name := range []string{parentOf(request), nameOf(request), flowOf(request), siteOf(request)} {
		if id := names.OrganizationOf(name); id != "" {
			return id
		}
	}
	return ""
}

func parentOf(request proto.Message) string {
	if m, ok := request.(*posternv1.ImportAccountsRequest); ok {
		return m.GetBegin().GetParent()
	}
	if m, ok := request.(interface{ GetParent() string }); ok {
		return m.GetParent()
	}
	return ""
}

func nameOf(request proto.Message) string {
	if m, ok := request.(interface{ GetName() string }); ok {
		return m.GetName()
	}
	return ""
}

func siteOf(request proto.Message) string {
	if m, ok := request.(interface{ GetSite() string }); ok {
		return m.GetSite()
	}
	return ""
}

// flowOf returns the flow a request names, as a resource name.
func flowOf(request proto.Message) string {
	if m, ok := request.(interface{ GetFlow() string }); ok {
		return m.GetFlow()
	}
	if name := nameOf(request); names.IsFlow(name) {
		return name
	}
	return ""
}

// How long an answer waits for its refusal to be written.
const (
	writeTimeout = 2 * time.Second
	answerWithin = 50 * time.Millisecond // kept back of the caller's time, for the answer itself
)

// writing bounds the write of a refusal: a caller that goes away does not end it, but its deadline does, so that it gets its
// answer. What is not written by then is counted.
func writing(ctx context.Context) (context.Context, context.CancelFunc) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	deadline, ok := ctx.Deadline()
	if !ok {
		return bounded, cancel
	}
	sooner, stop := context.WithDeadline(bounded, deadline.Add(-answerWithin))
	return sooner, func() { stop(); cancel() }
}
