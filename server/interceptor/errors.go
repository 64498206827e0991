package interceptor

import (
	"context"
	"fmt"
	"log/slog"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/status"
)

// Errors is the layer that turns errors into answers and logs causes, once.
type Errors struct{ Log *slog.Logger }

func (l *Errors) around(next handler) handler {
	return func(ctx context.Context, call *Call) error {
		err := next(ctx, call)
		if err == nil {
			return nil
		}
		e := status.Normal(err)
		call.Code, call.Reason = status.Code(e.Kind), e.Reason
		l.log(ctx, call, e)
		return status.Error(e, caller.CallID(ctx))
	}
}

func (l *Errors) log(ctx context.Context, call *Call, e *errs.Error) {
	level := slog.LevelDebug
	switch {
	case e.Kind == errs.Internal:
		level = slog.LevelError
	case e.Kind == errs.Unavailable, e.Kind == errs.ResourceExhausted:
		level = slog.LevelWarn
	case e.Err != nil && e.Kind != errs.Canceled:
		level = slog.LevelInfo
	}
	if !l.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("call_id", caller.CallID(ctx)), slog.String("method", call.Method), slog.String("caller", call.Identity.String()),
		slog.String("code", status.CodeName(call.Code)), slog.String("reason", e.Reason),
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("cause", e.Err.Error()))
	}
	l.Log.LogAttrs(ctx, level, "call failed", attrs...)
}

// recovery turns a panic of a handler into an error: one bad call must not end a shared process.
func recovery(next handler) handler {
	return func(ctx context.Context, call *Call) (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = errs.Wrap(panicked(v), errs.Internal, "PANIC", "the handler failed")
			}
		}()
		return next(ctx, call)
	}
}

// panicked describes a panic for the log: what the runtime says, else only the type, because a value may quote a request.
func panicked(v any) error {
	p := errs.Recovered(v)
	return fmt.Errorf("%w\n%s", p, p.Stack)
}

// received translates what grpc says when it could not read a request; it has no reason of its own for any of that.
func received(err error) error {
	switch grpcstatus.Code(err) { //nolint:exhaustive // the rest is as Normal reads it
	case codes.ResourceExhausted:
		return errs.Newf(errs.ResourceExhausted, "MESSAGE_TOO_LARGE", "no request may have more than %d bytes", MaxMessage)
	case codes.Internal, codes.Unimplemented:
		return errs.Wrap(err, errs.Invalid, "REQUEST_MALFORMED", "the request is not one complete message")
	}
	return err
}
