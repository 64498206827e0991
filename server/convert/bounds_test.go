package convert_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/convert"
)

// hostile is a value no field may hold, with what it is.
type hostile struct {
	name  string
	value func(m protoreflect.Message, fd protoreflect.FieldDescriptor) protoreflect.Value
}

// scalars returns hostile values for one value of a field.
func scalars(fd protoreflect.FieldDescriptor) []hostile {
	fixed := func(name string, v protoreflect.Value) hostile {
		return hostile{name, func(protoreflect.Message, protoreflect.FieldDescriptor) protoreflect.Value { return v }}
	}
	switch fd.Kind() { //nolint:exhaustive // a field of another kind has no bound, and New refuses it
	case protoreflect.StringKind:
		text := func(name, s string) hostile { return fixed(name, protoreflect.ValueOfString(s)) }
		return []hostile{
			text("2 MiB", strings.Repeat("a", 2<<20)), text("NUL", "a\x00b"), text("ESC", "a\x1bb"), text("DEL", "a\x7fb"),
			text("C1", "a\u0085b"), text("not UTF-8", "a\xffb"), text("only NUL", "\x00"),
		}
	case protoreflect.BytesKind:
		return []hostile{
			fixed("2 MiB", protoreflect.ValueOfBytes(make([]byte, 2<<20))), fixed("one byte", protoreflect.ValueOfBytes([]byte{1})),
		}
	case protoreflect.EnumKind:
		return []hostile{fixed("unknown number", protoreflect.ValueOfEnum(1<<20)), fixed("negative number", protoreflect.ValueOfEnum(-1))}
	case protoreflect.Int32Kind:
		return []hostile{fixed("negative", protoreflect.ValueOfInt32(-1))}
	case protoreflect.MessageKind:
		switch fd.Message().FullName() {
		case "google.protobuf.Timestamp":
			return []hostile{
				fixed("year 10000", protoreflect.ValueOfMessage((&timestamppb.Timestamp{Seconds: 1 << 50}).ProtoReflect())),
				fixed("bad nanos", protoreflect.ValueOfMessage((&timestamppb.Timestamp{Nanos: -5}).ProtoReflect())),
			}
		case "google.protobuf.Duration":
			return []hostile{
				fixed("too long", protoreflect.ValueOfMessage(durationpb.New(3650*24*time.Hour+1).ProtoReflect())),
				fixed("zero", protoreflect.ValueOfMessage(durationpb.New(0).ProtoReflect())),
				fixed("negative", protoreflect.ValueOfMessage(durationpb.New(-time.Second).ProtoReflect())),
				fixed("invalid", protoreflect.ValueOfMessage((&durationpb.Duration{Seconds: 1, Nanos: -1}).ProtoReflect())),
			}
		}
	}
	return nil
}

// TestEveryRequestFieldHasABoundThatBites walks every field of every request message, however deep, and puts values there
// that nothing may hold.
func TestEveryRequestFieldHasABoundThatBites(t *testing.T) {
	c, err := convert.New()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, md := range convert.Requests() {
		walk(md, nil, func(path []protoreflect.FieldDescriptor) {
			fd := path[len(path)-1]
			for _, h := range scalars(fd) {
				tried++
				m := build(md, path, h)
				where := string(md.Name()) + "." + pathName(path) + " " + h.name
				err := c.Check(m.Interface())
				e := errs.As(err)
				if e == nil || e.Kind != errs.Invalid || len(e.Violations) != 1 {
					t.Errorf("%s: got %v", where, err)
					continue
				}
				if got := e.Violations[0].Field; got != pathName(path) && !unread(e, pathName(path)) {
					t.Errorf("%s: the error names %q", where, got)
				}
				if len(e.Public) > 300 {
					t.Errorf("%s: the error quotes the value", where)
				}
			}
		})
	}
	if tried < 300 {
		t.Fatalf("only %d values tried: this test looked in the wrong place", tried)
	}
}

func TestEveryListIsBounded(t *testing.T) {
	c, err := convert.New()
	if err != nil {
		t.Fatal(err)
	}
	lists := 0
	for _, md := range convert.Requests() {
		walk(md, nil, func(path []protoreflect.FieldDescriptor) {
			fd := path[len(path)-1]
			if !fd.IsList() {
				return
			}
			lists++
			m := dynamicpb.NewMessage(md)
			inner := descend(m, path)
			l := inner.Mutable(fd).List()
			for range max(convert.MaxImport, audit.MaxBounds) + 1 { // more than any
				l.Append(l.NewElement())
			}
			if e := errs.As(c.Check(m)); e == nil || e.Violations[0].Field != listName(path) && !unread(e, listName(path)) {
				t.Errorf("%s.%s takes any number of values: %v", md.Name(), pathName(path), e)
			}
		})
	}
	if lists < 15 {
		t.Fatalf("only %d lists found", lists)
	}
}

// unread reports whether a path lies in something that is refused as a whole, whatever it holds.
func unread(e *errs.Error, path string) bool {
	v := e.Violations[0]
	rest, within := strings.CutPrefix(path, v.Field)
	return within && rest != "" && strings.ContainsAny(rest[:1], ".[") && v.Description == "is not taken here: leave it out"
}

// walk visits every field of a message and of the messages in it.
func walk(md protoreflect.MessageDescriptor, path []protoreflect.FieldDescriptor, visit func([]protoreflect.FieldDescriptor)) {
	for i := range md.Fields().Len() {
		here := append(append([]protoreflect.FieldDescriptor(nil), path...), md.Fields().Get(i))
		visit(here)
		if fd := md.Fields().Get(i); fd.Message() != nil && fd.Message().ParentFile().Package() == "postern.v1" {
			walk(fd.Message(), here, visit)
		}
	}
}

// build makes a message with a hostile value at the end of the path.
func build(md protoreflect.MessageDescriptor, path []protoreflect.FieldDescriptor, h hostile) protoreflect.Message {
	m := dynamicpb.NewMessage(md)
	inner, fd := descend(m, path), path[len(path)-1]
	v := h.value(inner, fd)
	if fd.IsList() {
		inner.Mutable(fd).List().Append(v)
	} else {
		inner.Set(fd, v)
	}
	return m
}

// descend makes the messages on the way to the last field of the path.
func descend(m protoreflect.Message, path []protoreflect.FieldDescriptor) protoreflect.Message {
	for _, fd := range path[:len(path)-1] {
		if fd.IsList() {
			l := m.Mutable(fd).List()
			l.Append(l.NewElement())
			m = l.Get(0).Message()
		} else {
			m = m.Mutable(fd).Message()
		}
	}
	return m
}

func pathName(path []protoreflect.FieldDescriptor) string {
	var b strings.Builder
	for i, fd := range path {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(fd.TextName())
		if fd.IsList() {
			b.WriteString("[0]")
		}
	}
	return b.String()
}

func listName(path []protoreflect.FieldDescriptor) string {
	return strings.TrimSuffix(pathName(path), "[0]")
}
