package show

import (
	"strings"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// IdentityHeader names the columns of Identity.
func IdentityHeader() []string {
	return []string{"IDENTITY", "ACCOUNT", "CONNECTION", "ISSUER", "SUBJECT", "EMAIL", "LINKED", "BY", "FLOW"}
}

// Identity is one row about an identity elsewhere: its own part of its name, whose it is, and who vouches for it.
func Identity(m *posternv1.Identity) []string {
	return []string{last(m.GetName()), m.GetAccountId(), m.GetConnection(), m.GetIssuer(), m.GetSubjectId(), m.GetEmail(),
		Time(m.GetLinkTime()), m.GetLinkedBy(), last(m.GetFlow())}
}

// last is what stands behind the last slash of a resource name.
func last(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
