// Package telemetry is what operators see of a running process: its log and its metrics.
//
// Invariant: no metric has a label that names an organization, a site or a person, so their number cannot grow with use; a log
// line holds no control characters. It must never decide anything, and a commit or an archive transaction passes through its
// wrappers unchanged. First file to read: metrics.go.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/postern-audit/postern/internal/printable"
)

// NewLogger writes to w in the given format (json or text) from the given level (debug, info, warn, error) on. callID gives the
// id of the call a context belongs to, empty for none; it stands on each line as call_id.
func NewLogger(w io.Writer, format, level string, callID func(context.Context) string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	opts := &slog.HandlerOptions{Level: least, ReplaceAttr: clean}
	var h slog.Handler = slog.NewJSONHandler(w, opts)
	if format == "text" {
		h = slog.NewTextHandler(w, opts)
	}
	return slog.New(handler{h, callID}), nil
}

// clean escapes texts in the places where callers' words end up. Errors are turned into text here for the same reason.
func clean(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Resolve(); v.Kind() { //nolint:exhaustive // the other kinds hold no text
	case slog.KindString:
		a.Value = slog.StringValue(printable.Escape(v.String()))
	case slog.KindAny:
		switch x := v.Any().(type) {
		case error:
			a.Value = slog.StringValue(printable.Escape(x.Error()))
		case fmt.Stringer:
			a.Value = slog.StringValue(printable.Escape(x.String()))
		}
	}
	return a
}

// handler adds the call id.
type handler struct {
	slog.Handler
	callID func(context.Context) string
}

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if h.callID != nil && !names(r, callID) {
		if id := h.callID(ctx); id != "" {
			r = r.Clone()
			r.AddAttrs(slog.String(callID, id))
		}
	}
	return h.Handler.Handle(ctx, r)
}

// callID is the name of the id of the call a line belongs to.
const callID = "call_id"

// names reports whether a line has this attribute already: no name stands twice on it.
func names(r slog.Record, name string) bool {
	found := false
	r.Attrs(func(a slog.Attr) bool {
		found = a.Key == name
		return !found
	})
	return found
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs), h.callID}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.callID}
}
