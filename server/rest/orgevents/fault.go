package orgevents

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/status"
)

// fault is a refusal in the words of this API. Nothing in it comes from the request.
type fault struct {
	status int
	name   string // ADMIN-404-2
	title  string
	detail string
	retry  int        // seconds, 0: not said
	code   codes.Code // for the record
	reason string     // for the record
}

// Error implements error.
func (f *fault) Error() string { return f.name + ": " + f.detail }

// faultOf makes a fault. Its reason on the record is its name with underscores.
func faultOf(status int, name, title, detail string) *fault {
	f := &fault{status: status, name: name, title: title, detail: detail, code: codes.InvalidArgument}
	switch status {
	case http.StatusUnauthorized:
		f.code = codes.Unauthenticated
	case http.StatusForbidden:
		f.code = codes.PermissionDenied
	case http.StatusNotFound:
		f.code = codes.NotFound
	case http.StatusMethodNotAllowed:
		f.code = codes.Unimplemented
	case http.StatusTooManyRequests:
		f.code = codes.ResourceExhausted
	}
	b := []byte(name)
	for i := range b {
		if b[i] == '-' {
			b[i] = '_'
		}
	}
	f.reason = string(b)
	return f
}

// badParameter refuses the value of a parameter.
func badParameter(what string) *fault {
	return faultOf(http.StatusBadRequest, "ADMIN-400-4", "Invalid request parameter", what)
}

func badDate(name string) *fault {
	return faultOf(http.StatusBadRequest, "ADMIN-400-3", "Invalid time date", name+" must be milliseconds since 1970-01-01T00:00:00Z in decimal digits")
}

func badCursor() *fault {
	return faultOf(http.StatusBadRequest, "ADMIN-400-1", "Invalid page cursor", "the cursor is not one of this organization and path")
}

// retryAfter is how long to wait, in seconds, for something that is away.
const retryAfter = 5

// faultFrom says what to answer to an error from anywhere.
func faultFrom(err error) *fault {
	if f, ok := err.(*fault); ok { //nolint:errorlint // made here, never wrapped
		return f
	}
	e := status.Normal(err)
	f := faultOf(http.StatusInternalServerError, "ADMIN-500-1", "Internal error", "the request failed; the log has its id")
	switch e.Kind { //nolint:exhaustive // the rest is a defect here
	case errs.Unauthenticated:
		f = faultOf(http.StatusUnauthorized, "ADMIN-401-1", "Unauthorized", e.Public)
	case errs.PermissionDenied:
		f = faultOf(http.StatusForbidden, "ADMIN-403-3", "Forbidden", e.Public)
	case errs.Invalid:
		f = badParameter(e.Public)
	case errs.NotFound:
		f = faultOf(http.StatusNotFound, "ADMIN-404-4", "Event not found", "there is no such event")
	case errs.Unavailable, errs.DeadlineExceeded, errs.Canceled, errs.ResourceExhausted:
		f = faultOf(http.StatusServiceUnavailable, "ADMIN-503-1", "Service unavailable", "the record cannot be read at the moment; try again")
		f.retry = retryAfter
	}
	f.code, f.reason = status.Code(e.Kind), e.Reason
	return f
}

// headers are what an answer says beside its body.
func (f *fault) headers(h http.Header) {
	switch f.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodGet)
	}
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(f.retry))
	}
}

type errorBody struct {
	Errors []errorItem `json:"errors"`
}

type errorItem struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

func (f *fault) body(id string) errorBody {
	return errorBody{[]errorItem{{ID: id, Status: strconv.Itoa(f.status), Code: f.name, Title: f.title, Detail: f.detail}}}
}

// write writes a body as JSON; a document is written as it is.
func write(w io.Writer, body any) error {
	b, ok := body.([]byte)
	if !ok {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return err
		}
	}
	_, err := w.Write(b)
	return err
}
