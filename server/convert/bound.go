package convert

import (
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Bound says what a field may hold. The zero Bound is none: a request field must have one.
type Bound struct {
	kind     kind
	min, max int
	shortest time.Duration
	longest  time.Duration
	element  *Bound // of a list
	shape    func(s string) bool
	says     string // what the shape is
}

type kind uint8

const (
	kindNone kind = iota
	kindText
	kindBytes
	kindEnum
	kindTime
	kindDuration
	kindFlag
	kindCount // a number from 0; converters coerce it where the API says so
	kindMessage
	kindList
	kindMask
	kindUnread // answered only: whoever sends it is told
)

// Texts are counted in bytes. A text that is not given is not held against its bound: converters say what is required.
func text(most int) Bound {
	return Bound{kind: kindText, max: most, says: "without control characters", shape: noControls}
}

func lines(most int) Bound {
	return Bound{kind: kindText, max: most, says: "without control characters other than tabs and line breaks", shape: onlyLineControls}
}

func token(most int, says string, shape func(string) bool) Bound {
	return Bound{kind: kindText, max: most, says: says, shape: shape}
}

func octets(least, most int) Bound { return Bound{kind: kindBytes, min: least, max: most} }

func enum() Bound { return Bound{kind: kindEnum} }

func moment() Bound { return Bound{kind: kindTime} }

func span(shortest, longest time.Duration) Bound {
	return Bound{kind: kindDuration, shortest: shortest, longest: longest}
}

func flag() Bound { return Bound{kind: kindFlag} }

func count() Bound { return Bound{kind: kindCount} }

func message() Bound { return Bound{kind: kindMessage} }

// mask names fields by their paths: which ones a call takes is for its converter to say.
func mask() Bound { return Bound{kind: kindMask, max: maxPaths} }

// unread is a field of a resource that is changed by calls of its own, or by nobody.
func unread() Bound { return Bound{kind: kindUnread} }

func list(most int, element Bound) Bound { return Bound{kind: kindList, max: most, element: &element} }

// fits reports whether a field can have this bound at all.
func (b *Bound) fits(fd protoreflect.FieldDescriptor) bool {
	if b.kind == kindUnread {
		return true
	}
	if fd.IsMap() || fd.IsList() != (b.kind == kindList) {
		return false
	}
	if b.kind == kindList {
		b = b.element
	}
	switch fd.Kind() { //nolint:exhaustive // other kinds have no bound yet
	case protoreflect.StringKind:
		return b.kind == kindText
	case protoreflect.BytesKind:
		return b.kind == kindBytes
	case protoreflect.EnumKind:
		return b.kind == kindEnum
	case protoreflect.BoolKind:
		return b.kind == kindFlag
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return b.kind == kindCount
	case protoreflect.MessageKind:
		switch fd.Message().FullName() {
		case "google.protobuf.Timestamp":
			return b.kind == kindTime
		case "google.protobuf.Duration":
			return b.kind == kindDuration
		case "google.protobuf.FieldMask":
			return b.kind == kindMask
		}
		return b.kind == kindMessage
	}
	return false
}

// refuse says what is wrong with one value, "" when nothing is.
func (b *Bound) refuse(fd protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch b.kind {
	case kindText:
		return b.refuseText(v.String())
	case kindBytes:
		if n := len(v.Bytes()); n < b.min || n > b.max {
			return fmt.Sprintf("must have %d to %d bytes", b.min, b.max)
		}
	case kindEnum:
		if fd.Enum().Values().ByNumber(v.Enum()) == nil {
			return "is not one of the documented values"
		}
	case kindTime:
		if t, ok := v.Message().Interface().(*timestamppb.Timestamp); !ok || !t.IsValid() {
			return "is not a valid time"
		}
	case kindDuration:
		return b.refuseDuration(v)
	case kindCount:
		if v.Int() < 0 {
			return "must not be negative"
		}
	case kindMask:
		return b.refuseMask(v)
	case kindUnread:
		return "is not taken here: leave it out"
	case kindFlag, kindMessage, kindList:
	case kindNone:
		return "is not taken"
	}
	return ""
}

func (b *Bound) refuseText(s string) string {
	switch {
	case len(s) > b.max:
		return fmt.Sprintf("must have at most %d bytes", b.max)
	case !utf8.ValidString(s):
		return "must be UTF-8"
	case s != "" && !b.shape(s):
		return "must be " + b.says
	}
	return ""
}

func (b *Bound) refuseDuration(v protoreflect.Value) string {
	d, ok := v.Message().Interface().(*durationpb.Duration)
	if !ok || !d.IsValid() || d.AsDuration() < b.shortest || d.AsDuration() > b.longest {
		return fmt.Sprintf("must be from %s to %s", b.shortest, b.longest)
	}
	return ""
}

// noControls reports whether s has no C0, DEL or C1 control character.
func noControls(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == 0x7f || c == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0 {
			return false
		}
	}
	return true
}

// onlyLineControls is noControls but for tab, line feed and carriage return.
func onlyLineControls(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c == '\t' || c == '\n' || c == '\r' {
			continue
		}
		if c < 0x20 || c == 0x7f || c == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0 {
			return false
		}
	}
	return true
}

// every reports whether each byte of s passes.
func every(s string, pass func(c byte) bool) bool {
	for i := range len(s) {
		if !pass(s[i]) {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
