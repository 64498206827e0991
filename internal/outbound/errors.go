package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/postern-audit/postern/internal/printable"
)

// Kind says why a request came to nothing.
type Kind uint8

// The kinds.
const (
	Unreachable Kind = iota // no name, no connection, no TLS, or it broke off
	Refused                 // the URL or the address is not allowed; nothing was sent
	TooLarge                // the answer is longer than allowed
	Redirected              // the answer sends elsewhere; nobody followed
	Timeout                 // it took longer than allowed, or the caller gave up
)

// String is the kind in a word.
func (k Kind) String() string {
	switch k {
	case Refused:
		return "refused"
	case TooLarge:
		return "too large"
	case Redirected:
		return "redirected"
	case Timeout:
		return "timeout"
	default:
		return "unreachable"
	}
}

// Error is why a request came to nothing. Its text may be shown to administrators: it names a host or an address at most.
type Error struct {
	Kind   Kind
	Detail string
	// Sent says that a connection stood, so that the request may have arrived.
	Sent bool
	Err  error // the cause, if there is one
}

// maxText is the longest detail in bytes.
const maxText = 256

// Error implements error.
func (e *Error) Error() string { return "outbound: " + e.Kind.String() + ": " + e.Detail }

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

func refuse(format string, args ...any) *Error { return failed(Refused, nil, format, args...) }

func failed(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: shown(fmt.Sprintf(format, args...)), Err: cause}
}

// shown escapes and cuts what others wrote.
func shown(s string) string {
	return strings.ToValidUTF8(printable.Escape(s[:min(len(s), maxText)]), "")
}

// classify makes an Error of what the transport said, and says whether the request may have arrived.
func classify(err error, sent bool) *Error {
	if e := As(err); e != nil {
		c := *e
		c.Sent = sent
		return &c
	}
	e := failed(Unreachable, err, "%s", plain(err))
	if timedOut(err) {
		e = failed(Timeout, err, "no answer in time")
	}
	e.Sent = sent
	return e
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, os.ErrDeadlineExceeded) ||
		(errors.As(err, &n) && n.Timeout())
}

// plain is what went wrong without the addresses of this machine.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err.Error()
	}
	return err.Error()
}
