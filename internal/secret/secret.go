// Package secret holds values that must not be shown: tokens, keys, passwords of other systems.
//
// Purpose: let configuration and clients carry secrets through structs that get logged, printed or encoded by accident.
// Invariant: every way of turning a String or Bytes into text yields the same fixed mark; only Reveal yields the secret.
// The text sits behind a pointer, so fmt cannot reach it through an unexported field of somebody else's struct.
// It must never gain another way out. Read this file; it is all there is.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what stands in the place of a secret. It does not tell an empty one from a long one.
const redacted = "[secret]"

// String is a secret text. The zero value is the empty secret.
type String struct{ p *string }

// NewString wraps s.
func NewString(s string) String { return String{&s} }

// Reveal returns the text. Its callers are few and reviewed.
func (s String) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// IsZero reports whether the secret is empty.
func (s String) IsZero() bool { return s.p == nil || *s.p == "" }

// String returns the mark.
func (String) String() string { return redacted }

// GoString returns the mark.
func (String) GoString() string { return redacted }

// Format writes the mark, whatever the verb.
func (String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns the mark.
func (String) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns the mark, for JSON, YAML and the like.
func (String) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes the secret in.
func (s *String) UnmarshalText(b []byte) error {
	*s = NewString(string(b))
	return nil
}

// Bytes is secret bytes. The zero value is the empty secret. It points to a string, not to a slice: fmt follows pointers to
// slices even in unexported fields.
type Bytes struct{ p *string }

// NewBytes wraps a copy of b.
func NewBytes(b []byte) Bytes {
	s := string(b)
	return Bytes{&s}
}

// Reveal returns a copy of the bytes. Its callers are few and reviewed.
func (b Bytes) Reveal() []byte {
	if b.p == nil {
		return nil
	}
	return []byte(*b.p)
}

// IsZero reports whether the secret is empty.
func (b Bytes) IsZero() bool { return b.p == nil || *b.p == "" }

// String returns the mark.
func (Bytes) String() string { return redacted }

// GoString returns the mark.
func (Bytes) GoString() string { return redacted }

// Format writes the mark, whatever the verb.
func (Bytes) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns the mark.
func (Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns the mark, for JSON, YAML and the like.
func (Bytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }
