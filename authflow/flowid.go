package authflow

import "github.com/postern-audit/postern/internal/errs"

// FlowID is a flow's id: a UUIDv7 in lower-case text form. The zero value is "none"; outsiders cannot forge one.
type FlowID struct{ s string }

// ParseFlowID accepts exactly 36 characters: lower-case hex in 8-4-4-4-12 groups with version 7 and an RFC 9562 variant.
func ParseFlowID(s string) (FlowID, error) {
	if len(s) != 36 {
		return FlowID{}, errs.New(errs.Invalid, "FLOW_ID_INVALID", "a flow id is a UUIDv7 of 36 characters")
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return FlowID{}, errs.New(errs.Invalid, "FLOW_ID_INVALID", "a flow id is a UUIDv7 in 8-4-4-4-12 form")
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return FlowID{}, errs.New(errs.Invalid, "FLOW_ID_INVALID", "a flow id has lower-case hex digits only")
			}
		}
	}
	if s[14] != '7' || (s[19] != '8' && s[19] != '9' && s[19] != 'a' && s[19] != 'b') {
		return FlowID{}, errs.New(errs.Invalid, "FLOW_ID_INVALID", "a flow id is a UUID of version 7")
	}
	return FlowID{s}, nil
}

// String returns the text form, empty for "none".
func (f FlowID) String() string { return f.s }

// IsZero reports whether f is "none".
func (f FlowID) IsZero() bool { return f.s == "" }
