package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Failure is a refused or failed call as a person can act on it.
type Failure struct {
	Code       codes.Code
	Reason     string // of docs/reference/errors.md; empty when the answer did not come from Postern
	Text       string
	CallID     string // what the server's log and an access.denied event have for this call
	Violations []Violation
	Retry      time.Duration // 0: repeating the same call does not help
	Broken     bool          // the connection was there and broke
}

// Violation is one field of the request and what is wrong with it.
type Violation struct{ Field, Description string }

// Error implements error, on one line.
func (f *Failure) Error() string {
	var b strings.Builder
	if f.Reason != "" {
		b.WriteString(f.Reason + ": ")
	}
	b.WriteString(f.Text)
	for _, v := range f.Violations {
		if !strings.HasPrefix(f.Text, v.Field+": ") {
			fmt.Fprintf(&b, "; %s: %s", v.Field, v.Description)
		}
	}
	if f.CallID != "" {
		b.WriteString(" (call " + f.CallID + ")")
	}
	return b.String()
}

// Unreachable reports whether the call failed because somebody did not answer: the sidecar, or what it depends on.
func (f *Failure) Unreachable() bool {
	return f.Code == codes.Unavailable || f.Code == codes.DeadlineExceeded
}

// Explain returns what err means, or nil when err is nil or did not come from a call.
func Explain(err error) *Failure {
	if err == nil {
		return nil
	}
	var already *Failure
	if errors.As(err, &already) {
		return already
	}
	s, ok := status.FromError(err)
	if !ok {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return &Failure{Code: codes.DeadlineExceeded, Text: "no answer in time"}
		case errors.Is(err, context.Canceled):
			return &Failure{Code: codes.Canceled, Text: "interrupted"}
		}
		return nil
	}
	f := &Failure{Code: s.Code(), Text: s.Message()}
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			f.Reason, f.CallID = d.GetReason(), d.GetMetadata()["call_id"]
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				f.Violations = append(f.Violations, Violation{v.GetField(), v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			f.Retry = d.GetRetryDelay().AsDuration()
		}
	}
	if f.Reason == "" {
		f.plain()
	}
	return f
}

// plain rewrites what grpc itself says.
func (f *Failure) plain() {
	switch f.Code {
	case codes.DeadlineExceeded:
		f.Text = "no answer in time"
	case codes.Canceled:
		f.Text = "interrupted"
	case codes.Unavailable:
		f.Broken = !strings.Contains(strings.ToLower(f.Text), "error while dialing")
		f.Text = "the sidecar does not answer: " + f.Text
	default:
		f.Text = fmt.Sprintf("%s: %s", f.Code, f.Text)
	}
}
