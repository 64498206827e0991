package convert

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/postern-audit/postern/internal/errs"
)

// Limits of a mask.
const (
	maxPaths = 64
	maxPath  = 128
)

// reasonMask is the reason of a mask that names what a call does not change.
const reasonMask = "MASK_INVALID"

func (b *Bound) refuseMask(v protoreflect.Value) string {
	m, ok := v.Message().Interface().(*fieldmaskpb.FieldMask)
	if !ok || len(m.GetPaths()) > b.max {
		return "must have at most 64 paths"
	}
	for _, p := range m.GetPaths() {
		if len(p) > maxPath || !every(p, func(c byte) bool { return alphanumeric(c) || c == '_' || c == '.' || c == '*' }) {
			return "must have paths of at most 128 letters, digits, '_' and '.'"
		}
	}
	return ""
}

// paths reads the mask of an update: the fields it names, sorted, each once. At least one must be named, each must be one of those that
// the call changes, and there is no wildcard: what a later version adds must not be reset by who does not know it.
func paths(field string, m *fieldmaskpb.FieldMask, known ...string) ([]string, error) {
	list := slices.Clone(m.GetPaths())
	if len(list) == 0 {
		return nil, errs.Field(field, "FIELD_REQUIRED", "must name the fields to change: "+strings.Join(known, ", "))
	}
	for _, p := range list {
		switch {
		case p == "*":
			return nil, errs.Field(field, reasonMask, "must name fields, not *: "+strings.Join(known, ", "))
		case !slices.Contains(known, p):
			return nil, errs.Field(field, reasonMask, "names a field that this call does not change; it changes "+strings.Join(known, ", "))
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}
