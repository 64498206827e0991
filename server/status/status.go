// Package status turns errors into what a caller of the API reads.
//
// Purpose: the only place that knows gRPC codes. An errs.Error becomes a standard code with its public text, one ErrorInfo
// (reason, domain, call id), field violations and, where waiting helps, a RetryInfo. Everything else becomes a constant text
// and the call id; its cause is for the log.
// Invariant: nothing but errs.Error.Public, Violations and Meta reaches a caller.
// It must never log, and never look into an error's text.
// First file to read: this one; reasons.go is the table behind docs/reference/errors.md.
package status

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postern-audit/postern/internal/errs"
)

// Domain is the ErrorInfo domain of every reason in the table.
const Domain = "postern.dev"

// Reasons of this package: errors that come from outside errs.
const (
	ReasonInternal         = "INTERNAL"
	ReasonDeadlineExceeded = "DEADLINE_EXCEEDED"
	ReasonCanceled         = "CANCELED"
	ReasonStreamBroken     = "STREAM_BROKEN"
)

// metaCallID is the ErrorInfo metadata key of the call id.
const metaCallID = "call_id"

// internalText is all a caller reads of an error that is our fault.
const internalText = "internal error; the log has the cause under this call id"

var codeOf = [...]codes.Code{
	errs.Internal:           codes.Internal,
	errs.Invalid:            codes.InvalidArgument,
	errs.NotFound:           codes.NotFound,
	errs.AlreadyExists:      codes.AlreadyExists,
	errs.FailedPrecondition: codes.FailedPrecondition,
	errs.Conflict:           codes.Aborted,
	errs.PermissionDenied:   codes.PermissionDenied,
	errs.Unauthenticated:    codes.Unauthenticated,
	errs.ResourceExhausted:  codes.ResourceExhausted,
	errs.Unavailable:        codes.Unavailable,
	errs.DeadlineExceeded:   codes.DeadlineExceeded,
	errs.Canceled:           codes.Canceled,
	errs.Unimplemented:      codes.Unimplemented,
}

// Code returns the gRPC code of a kind; a kind without one is Internal.
func Code(k errs.Kind) codes.Code {
	if int(k) < len(codeOf) {
		return codeOf[k]
	}
	return codes.Internal
}

// codeNames gives the documented names, as events and the error reference show them.
var codeNames = map[codes.Code]string{
	codes.OK: "OK", codes.Canceled: "CANCELLED", codes.InvalidArgument: "INVALID_ARGUMENT", codes.DeadlineExceeded: "DEADLINE_EXCEEDED",
	codes.NotFound: "NOT_FOUND", codes.AlreadyExists: "ALREADY_EXISTS", codes.PermissionDenied: "PERMISSION_DENIED",
	codes.ResourceExhausted: "RESOURCE_EXHAUSTED", codes.FailedPrecondition: "FAILED_PRECONDITION", codes.Aborted: "ABORTED",
	codes.Unimplemented: "UNIMPLEMENTED", codes.Internal: "INTERNAL", codes.Unavailable: "UNAVAILABLE",
	codes.Unauthenticated: "UNAUTHENTICATED",
}

// CodeName returns the documented name of a code, such as INVALID_ARGUMENT.
func CodeName(c codes.Code) string {
	if n, ok := codeNames[c]; ok {
		return n
	}
	return "UNKNOWN"
}

// Normal returns err as an errs.Error: itself when it is one, a fixed one for what contexts and grpc say, else Internal.
func Normal(err error) *errs.Error {
	if e := errs.As(err); e != nil {
		return e
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errs.Wrap(err, errs.DeadlineExceeded, ReasonDeadlineExceeded, "the call's deadline passed")
	case errors.Is(err, context.Canceled):
		return errs.Wrap(err, errs.Canceled, ReasonCanceled, "the caller gave up")
	}
	if s, ok := status.FromError(err); ok {
		switch s.Code() { //nolint:exhaustive // the rest is our fault
		case codes.Canceled:
			return errs.Wrap(err, errs.Canceled, ReasonCanceled, "the caller gave up")
		case codes.DeadlineExceeded:
			return errs.Wrap(err, errs.DeadlineExceeded, ReasonDeadlineExceeded, "the call's deadline passed")
		case codes.Unavailable:
			return errs.Wrap(err, errs.Unavailable, ReasonStreamBroken, "the connection broke")
		}
	}
	return errs.Wrap(err, errs.Internal, ReasonInternal, internalText)
}

// Error returns the gRPC error of e for the call with this id. It is complete: nothing may be added to it on its way out.
func Error(e *errs.Error, callID string) error {
	text, reason := e.Public, e.Reason
	if e.Kind == errs.Internal || reason == "" {
		text, reason = internalText, ReasonInternal // which defect it is, is for the log
	}
	info := &errdetails.ErrorInfo{Reason: reason, Domain: Domain, Metadata: map[string]string{metaCallID: callID}}
	for k, v := range e.Meta {
		if k != metaCallID && e.Kind != errs.Internal {
			info.Metadata[k] = v
		}
	}
	details := []protoadapt.MessageV1{info}
	if len(e.Violations) > 0 && e.Kind != errs.Internal {
		bad := &errdetails.BadRequest{}
		for _, v := range e.Violations {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: v.Field, Description: v.Description, Reason: reason,
			})
		}
		details = append(details, bad)
	}
	if after := RetryAfter(e.Kind, reason); after > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	}
	plain := status.New(Code(e.Kind), text)
	full, err := plain.WithDetails(details...)
	if err != nil {
		return plain.Err() // not reached: the details are known messages
	}
	return full.Err()
}

// RetryAfter says how long to wait before the same call may work, 0 when repeating it does not help.
func RetryAfter(k errs.Kind, reason string) time.Duration {
	switch {
	case k == errs.Conflict && Retryable(reason):
		return 50 * time.Millisecond
	case k == errs.Unavailable, k == errs.ResourceExhausted && Retryable(reason):
		return time.Second
	}
	return 0
}

// Reason returns the ErrorInfo reason and call id of an error that came from this API, empty ones when it has none.
func Reason(err error) (reason, callID string) {
	s, ok := status.FromError(err)
	if !ok {
		return "", ""
	}
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return info.GetReason(), info.GetMetadata()[metaCallID]
		}
	}
	return "", ""
}
