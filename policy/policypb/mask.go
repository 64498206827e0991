package policypb

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// ConnectionPaths lists the fields of a connection that a change may name: those that are set by others than its secret, and what tells
// it from another connection, are not among them.
func ConnectionPaths() []string {
	out := []string{"display_name", "disabled", "preset", "domains", "trusts_email", "links_by_email"}
	fields := (&posternv1.Connection{}).ProtoReflect().Descriptor().Fields()
	for _, part := range []protoreflect.Name{"oidc", "saml"} {
		out = append(out, string(part))
		inner := fields.ByName(part).Message().Fields()
		for i := range inner.Len() {
			out = append(out, string(part)+"."+string(inner.Get(i).Name()))
		}
	}
	slices.Sort(out)
	return out
}

// MergeConnection is a connection with the fields that paths name taken from another one; each must be one of ConnectionPaths. The secret
// is left out.
func MergeConnection(into, from *policy.Connection, paths []string) (policy.Connection, error) {
	to, given := FromConnection("", into), FromConnection("", from)
	for _, path := range paths {
		copyField(to.ProtoReflect(), given.ProtoReflect(), path)
	}
	if to.GetOidc() != nil && to.GetSaml() != nil {
		return policy.Connection{}, errs.Field("connection.oidc", "FIELD_UNEXPECTED", "a connection speaks one protocol: this one would have oidc and saml")
	}
	return toConnection(to)
}

// copyField makes a field of one message that of another; one that is not set there is not set here.
func copyField(to, from protoreflect.Message, path string) {
	first, rest, nested := strings.Cut(path, ".")
	fd := to.Descriptor().Fields().ByName(protoreflect.Name(first))
	if nested {
		copyField(to.Mutable(fd).Message(), from.Get(fd).Message(), rest)
		return
	}
	if !from.Has(fd) {
		to.Clear(fd)
		return
	}
	to.Set(fd, from.Get(fd))
}
