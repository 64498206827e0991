// Package errs is the one error type that crosses package borders in Postern.
//
// Purpose: an error says what kind of trouble it is, which documented reason it has and what a caller may read;
// the cause stays inside. Invariant: Public never holds driver text, personal data or secrets.
// It must never know about gRPC: server/status alone turns a Kind into a code.
package errs

import (
	"errors"
	"fmt"
)

// Kind sorts errors by what the caller can do about them.
type Kind uint8

// The kinds, in the order of the table in server/status.
const (
	Internal Kind = iota // our fault; the text never reaches a caller
	Invalid
	NotFound
	AlreadyExists
	FailedPrecondition
	Conflict // lost a race; the same call may work now
	PermissionDenied
	Unauthenticated
	ResourceExhausted
	Unavailable
	DeadlineExceeded
	Canceled
	Unimplemented // there is no such method
)

// Kinds lists every kind, for tests and documentation.
var Kinds = []Kind{Internal, Invalid, NotFound, AlreadyExists, FailedPrecondition, Conflict, PermissionDenied,
	Unauthenticated, ResourceExhausted, Unavailable, DeadlineExceeded, Canceled, Unimplemented}

// Violation names one field of a request and what is wrong with it.
type Violation struct {
	Field       string
	Description string
}

// Error is what leaves a package when something is refused or fails.
type Error struct {
	Kind       Kind
	Reason     string // UPPER_SNAKE, documented in docs/reference/errors.md
	Public     string // what a caller may read
	Violations []Violation
	Meta       map[string]string // small, public
	Err        error             // the cause; logged once, never sent
}

// New makes an error whose text may be shown.
func New(kind Kind, reason, public string) *Error {
	return &Error{Kind: kind, Reason: reason, Public: public}
}

// Newf is New with a formatted text. The arguments must be fit for callers.
func Newf(kind Kind, reason, format string, args ...any) *Error {
	return &Error{Kind: kind, Reason: reason, Public: fmt.Sprintf(format, args...)}
}

// Wrap hides cause behind a public text.
func Wrap(cause error, kind Kind, reason, public string) *Error {
	return &Error{Kind: kind, Reason: reason, Public: public, Err: cause}
}

// Field makes an Invalid error about one field.
func Field(field, reason, description string) *Error {
	return &Error{Kind: Invalid, Reason: reason, Public: field + ": " + description,
		Violations: []Violation{{Field: field, Description: description}}}
}

// WithMeta returns a copy of e with one more public detail.
func (e *Error) WithMeta(key, value string) *Error {
	c := *e
	c.Meta = make(map[string]string, len(e.Meta)+1)
	for k, v := range e.Meta {
		c.Meta[k] = v
	}
	c.Meta[key] = value
	return &c
}

// Error is for logs: reason, public text and cause.
func (e *Error) Error() string {
	s := e.Reason + ": " + e.Public
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// As returns the Error in err's chain, or nil.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// KindOf returns the kind of err; errors from elsewhere are Internal.
func KindOf(err error) Kind {
	if e := As(err); e != nil {
		return e.Kind
	}
	return Internal
}

// Is reports whether err carries this reason.
func Is(err error, reason string) bool {
	e := As(err)
	return e != nil && e.Reason == reason
}
