package status

import (
	"cmp"
	"slices"

	"github.com/postern-audit/postern/internal/errs"
)

// Reason of an error as docs/reference/errors.md shows it.
type ReasonInfo struct {
	Reason  string
	Kind    errs.Kind
	Meaning string
	Do      string // what a caller should do
	Retry   bool   // the same call may work after the delay in RetryInfo
}

// What to do, where many reasons say the same.
const (
	doCorrect  = "Correct the request; the field violations name the fields."
	doReport   = "Nothing in the request helps. Report the call id to the operator of the sidecar."
	doOperator = "The operator of the sidecar has to act: the text says what to do."
	doSame     = "Send the same call with the same request id."
	doOlder    = "Update the sidecar, or use a client of its version."
)

// reasons is every reason an error of this project carries, by kind, then name.
var reasons = slices.Concat(reasonsOfRequests(), reasonsOfState(), reasonsOfAccess(), reasonsOfTrouble())

func reasonsOfRequests() []ReasonInfo {
	invalid := func(reason, meaning string) ReasonInfo {
		return ReasonInfo{Reason: reason, Kind: errs.Invalid, Meaning: meaning, Do: doCorrect}
	}
	return []ReasonInfo{
		invalid("ENUM_UNKNOWN", "A name is none of the documented ones."),
		invalid("FACTOR_UNKNOWN", "A factor is none of the documented ones."),
		invalid("FIELD_INVALID", "A field has a value it may not have: too long, too many, not a documented number, a control character, out of range."),
		invalid("FIELD_REQUIRED", "A field that must be given is missing."),
		invalid("FIELD_UNEXPECTED", "A field is given that may not be given together with the others."),
		invalid("FLOW_ID_INVALID", "A flow id is not a UUIDv7."),
		invalid("METHOD_CONNECTION", "A method token names a connection where it may not, or names none properly."),
		invalid("METHOD_UNKNOWN", "A method token is none of the documented ones."),
		invalid("NAME_INVALID", "A resource name does not read as documented."),
		invalid("NETWORK_INVALID", "An address or network is not one, or has bits set outside its length."),
		invalid("NETWORK_LENGTH", "Networks are searched by a few lengths only."),
		invalid("REASON_INVALID", "A reason is not of the catalogue for this type, method or factor."),
		invalid("REQUEST_MALFORMED", "The request cannot be read: not protobuf or JSON, a text that is not UTF-8, an unknown JSON field, a wrong content type."),
		invalid("STEP_TYPE_INVALID", "A type is not one that a login service may report as a step."),
		invalid("SUPPORT_CODE_INVALID", "A support code is not 10 characters of Crockford base32."),
		invalid("TOKEN_INVALID", "A page token or cursor is damaged, from another installation, or belongs to another query."),
	}
}

func reasonsOfState() []ReasonInfo {
	return []ReasonInfo{
		{"EVENT_NOT_FOUND", errs.NotFound, "The organization has no such event in its archive.", "Look for a newer event again in a moment; else correct the name.", false},
		{"PATH_NOT_FOUND", errs.NotFound, "There is nothing at this HTTP path, or not for this HTTP method.", "See the OpenAPI document.", false},
		{"RECORD_FORMAT_NEWER", errs.FailedPrecondition, "A stored record was written by a newer version.", doOperator, false},
		{"SERVICE_UNKNOWN", errs.NotFound, "A health check names a service this server does not have.", "Correct the name; an empty one asks for all.", false},
	}
}

func reasonsOfAccess() []ReasonInfo {
	return []ReasonInfo{
		{"CREDENTIALS_INVALID", errs.Unauthenticated, "The credential is not one of this listener.", "Send the content of the key file of this listener.", false},
		{"CREDENTIALS_MISSING", errs.Unauthenticated, "Nothing proves who is calling.", "Send a credential.", false},
		{"HOST_NOT_ALLOWED", errs.PermissionDenied, "The HTTP Host header names none of this listener's hosts.", "Call it by localhost, 127.0.0.1, [::1] or a configured name.", false},
		{"PERMISSION_DENIED", errs.PermissionDenied, "The caller is known and may not do that.", "Call as a user that may.", false},
		{"METHOD_UNKNOWN_HERE", errs.Unimplemented, "The server has no such gRPC method.", doOlder, false},
	}
}

func reasonsOfTrouble() []ReasonInfo {
	return []ReasonInfo{
		{ReasonCanceled, errs.Canceled, "The caller gave up.", "A change may have happened: send the same call with the same request id to know.", false},
		{ReasonDeadlineExceeded, errs.DeadlineExceeded, "The deadline passed.", "A change may have happened: " + "send the same call with the same request id.", false},
		{ReasonInternal, errs.Internal, "A defect of the sidecar.", doReport, false},
		{"MESSAGE_TOO_LARGE", errs.ResourceExhausted, "The request has more bytes than the method takes.", "Send less at once.", false},
		{"NOT_RECORDED", errs.Unavailable, "Nothing happened: the store could not be asked, or answered an error.", doSame, true},
		{"OUTCOME_UNKNOWN", errs.Unavailable, "The change was sent and the answer never came: it may have happened.", doSame, true},
		{"OVERLOADED", errs.ResourceExhausted, "The process serves as many calls as it can.", "Wait as RetryInfo says, then send the same call.", true},
		{"PANIC", errs.Internal, "A defect of the sidecar: the handler failed.", doReport, false},
		{"RECORD_MALFORMED", errs.Internal, "A stored record cannot be read.", doReport, false},
		{"SHUTTING_DOWN", errs.Unavailable, "The server is stopping.", "Connect again and go on from the last cursor.", true},
		{"STORE_UNAVAILABLE", errs.Unavailable, "A read could not be answered: Redis or the archive is away.", "Send the same call again.", true},
		{ReasonStreamBroken, errs.Unavailable, "The connection broke while the call was served.", "Connect again and go on from the last cursor.", true},
	}
}

// Reasons returns the whole table, by kind, then name.
func Reasons() []ReasonInfo {
	out := slices.Clone(reasons)
	slices.SortFunc(out, func(a, b ReasonInfo) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

// Retryable reports whether the table says that the same call may work later.
func Retryable(reason string) bool {
	i := slices.IndexFunc(reasons, func(r ReasonInfo) bool { return r.Reason == reason })
	return i >= 0 && reasons[i].Retry
}
