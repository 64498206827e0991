package rest

import (
	"errors"
	"net/url"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const unknownParameter = "unknown query parameter "

// strictQuery is the gateway's parser of query parameters, which ignores names it does not know, behind a check that refuses
// them: a filter with a typing error in its name must not match everything.
type strictQuery struct{ runtime.DefaultQueryParser }

// Parse fills the request from the query.
func (p strictQuery) Parse(m proto.Message, values url.Values, filter *utilities.DoubleArray) error {
	for name := range values {
		if !isField(m.ProtoReflect().Descriptor(), strings.Split(name, ".")) {
			if len(name) > 60 {
				name = name[:60]
			}
			return errors.New(unknownParameter + strings.ToValidUTF8(name, "?"))
		}
	}
	return p.DefaultQueryParser.Parse(m, values, filter)
}

// isField reports whether a path of proto or JSON names leads to a field.
func isField(md protoreflect.MessageDescriptor, path []string) bool {
	for i, name := range path {
		fd := md.Fields().ByName(protoreflect.Name(name))
		if fd == nil {
			fd = md.Fields().ByJSONName(name)
		}
		if fd == nil {
			return false
		}
		if i == len(path)-1 {
			return true
		}
		if fd.Message() == nil || fd.IsList() || fd.IsMap() {
			return false
		}
		md = fd.Message()
	}
	return false
}
