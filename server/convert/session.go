package convert

import (
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// kindsOf and causesOf are the words of the core for what the API numbers; what is not given is "".
var (
	kindsOf = map[posternv1.RecordSessionRequest_Kind]string{
		posternv1.RecordSessionRequest_KIND_SESSION: authflow.KindOfSession, posternv1.RecordSessionRequest_KIND_TOKEN: authflow.KindOfToken,
	}
	causesOf = map[posternv1.RecordSessionRequest_EndCause]string{
		posternv1.RecordSessionRequest_END_CAUSE_LOGOUT:  authflow.EndLogout,
		posternv1.RecordSessionRequest_END_CAUSE_EXPIRED: authflow.EndExpired,
		posternv1.RecordSessionRequest_END_CAUSE_REVOKED: authflow.EndRevoked,
	}
)

// RecordSession converts a report about a session or token.
func (c *Converter) RecordSession(r *posternv1.RecordSessionRequest) (authflow.SessionInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.SessionInput{}, err
	}
	in := authflow.SessionInput{
		RequestID: r.GetRequestId(), Event: authflow.SessionEvent(r.GetEvent()), Handle: r.GetSessionHandle(), //nolint:gosec // checked against the enum
		OccurredAt: when(r.GetOccurredAt()), ExpiresAt: when(r.GetExpiresAt()), Kind: kindsOf[r.GetKind()], EndCause: causesOf[r.GetEndCause()],
	}
	var err error
	if in.Organization, in.Site, err = names.Site("parent", r.GetParent()); err != nil {
		return authflow.SessionInput{}, err
	}
	switch {
	case r.GetEvent() == posternv1.RecordSessionRequest_EVENT_UNSPECIFIED:
		return authflow.SessionInput{}, required("event")
	case len(r.GetSessionHandle()) == 0:
		return authflow.SessionInput{}, required("session_handle")
	case in.EndCause != "" && in.Event != authflow.SessionEnded:
		return authflow.SessionInput{}, unexpected("end_cause", "only what has ended has a cause")
	}
	if in.Flow, err = flowOf("flow", r.GetFlow(), in.Organization, "parent"); err != nil {
		return authflow.SessionInput{}, err
	}
	if in.Context, err = origin("context", r.GetContext()); err != nil {
		return authflow.SessionInput{}, err
	}
	return in, nil
}

// CheckAccess converts a question about a session or token.
func (c *Converter) CheckAccess(r *posternv1.CheckAccessRequest) (authflow.AccessInput, error) {
	if err := c.Check(r); err != nil {
		return authflow.AccessInput{}, err
	}
	var in authflow.AccessInput
	var err error
	if in.Organization, in.Site, err = names.Site("site", r.GetSite()); err != nil {
		return authflow.AccessInput{}, err
	}
	switch credential := r.GetCredential().(type) {
	case *posternv1.CheckAccessRequest_SessionHandle:
		in.Kind, in.Handle = authflow.KindOfSession, credential.SessionHandle
	case *posternv1.CheckAccessRequest_TokenHandle:
		in.Kind, in.Handle = authflow.KindOfToken, credential.TokenHandle
	default:
		return authflow.AccessInput{}, required("session_handle")
	}
	if in.Context, err = origin("context", r.GetContext()); err != nil {
		return authflow.AccessInput{}, err
	}
	return in, nil
}

// flowOf reads an optional flow that must be of the organization another field names.
func flowOf(field, name, organization, other string) (authflow.FlowID, error) {
	if name == "" {
		return authflow.FlowID{}, nil
	}
	of, flow, err := flowName(field, name)
	if err == nil && of != organization {
		err = wrong(field, "must be of the organization in "+other)
	}
	return flow, err
}

func unexpected(field, what string) error { return errs.Field(field, "FIELD_UNEXPECTED", what) }
