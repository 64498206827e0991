package show

import (
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// FilterHeader names the columns of FilterRow.
func FilterHeader() []string { return []string{"FILTER", "NAME", "CHANGED", "CREATED", "BY"} }

// FilterRow is a saved filter in a list.
func FilterRow(f *posternv1.SavedFilter) []string {
	name := f.GetDisplayName()
	if f.GetUnreadable() {
		name = "(cannot be opened)"
	}
	return []string{last(f.GetName()), name, Time(f.GetUpdateTime()), Time(f.GetCreateTime()), f.GetCreator()}
}

// Filter returns what there is to know of a saved filter as rows of field and value. Fields that are not set are left out.
func Filter(f *posternv1.SavedFilter) [][]string {
	r := &rows{}
	r.add("name", f.GetName())
	r.add("for", f.GetDisplayName())
	says(r, "", f.GetFilter().ProtoReflect())
	if f.GetUnreadable() {
		r.add("state", "cannot be opened any more: update or delete it")
	}
	r.add("created", Time(f.GetCreateTime()))
	r.add("by", f.GetCreator())
	r.add("changed", Time(f.GetUpdateTime()))
	r.add("etag", f.GetEtag())
	return r.all
}

// says adds a row for each field of a filter that is set, in the order of the API.
func says(r *rows, prefix string, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			continue
		}
		name := prefix + strings.ReplaceAll(string(fd.Name()), "_", " ")
		v := m.Get(fd)
		switch {
		case fd.IsList():
			texts := make([]string, v.List().Len())
			for j := range texts {
				texts[j] = said(fd, v.List().Get(j))
			}
			r.add(name, strings.Join(texts, ", "))
		case fd.Message() != nil && fd.Message().FullName() == "postern.v1.EventMatch":
			says(r, name+" ", v.Message())
		default:
			r.add(name, said(fd, v))
		}
	}
}

func said(fd protoreflect.FieldDescriptor, v protoreflect.Value) string {
	if fd.Enum() != nil {
		if d := fd.Enum().Values().ByNumber(v.Enum()); d != nil {
			return strings.TrimPrefix(string(d.Name()), strings.ToUpper(string(fd.Enum().Name()))+"_")
		}
		return ""
	}
	if fd.Message() == nil {
		return v.String()
	}
	switch m := v.Message().Interface().(type) {
	case interface{ AsDuration() time.Duration }:
		return m.AsDuration().String()
	case interface{ AsTime() time.Time }:
		return m.AsTime().Format(time.RFC3339Nano)
	}
	return ""
}
