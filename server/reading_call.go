package server

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/interceptor"
)

// answered notes that a call read an organization's record. A flow that is still under way is what its login service works with;
// it is read once it has ended.
func (s *Server) answered(ctx context.Context, call *interceptor.Call, answer any) bool {
	if flow, ok := answer.(*posternv1.Flow); ok && flow.GetPhase() != posternv1.Phase_PHASE_ENDED {
		return false
	}
	in := Reading{
		Organization: call.Organization(), Caller: call.Identity.String(), Call: strings.TrimPrefix(call.Method, "/postern.v1."),
		Text: lookedFor(call.Request()),
	}
	var err error
	if in.OrganizationUID, err = s.uidOf(ctx, in.Organization); err != nil {
		s.readings.lose(1)
		s.log.LogAttrs(ctx, slog.LevelWarn, "read of the record not recorded", slog.String("method", call.Method), slog.String("cause", err.Error()))
		return true
	}
	in.Subjects = s.people(in.OrganizationUID, call.Request())
	s.readings.Note(in)
	return true
}

// people are the indexes of whom a request names, wherever in it.
func (s *Server) people(organizationUID string, request proto.Message) []audit.Index {
	var out []audit.Index
	add := func(purpose audit.Purpose, value string) {
		if found, err := s.indexer.Indexes(organizationUID, purpose, value); err == nil { // else nothing of it was looked for, either
			out = append(out, found...)
		}
	}
	named(request.ProtoReflect(), func(field protoreflect.Name, value string) {
		switch field {
		case "account_id", "account_ids":
			add(audit.IndexAccount, value)
		case "email", "emails":
			if a, err := policy.ParseUsableAddress(value); err == nil {
				add(audit.IndexEmail, a.String())
			}
		}
	})
	return out
}

// named calls see for every text in a message and the messages within it.
func named(m protoreflect.Message, see func(field protoreflect.Name, value string)) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		one := func(v protoreflect.Value) {
			switch fd.Kind() { //nolint:exhaustive // nothing else names people
			case protoreflect.StringKind:
				see(fd.Name(), v.String())
			case protoreflect.MessageKind:
				named(v.Message(), see)
			}
		}
		switch {
		case fd.IsMap():
		case fd.IsList():
			for i := range v.List().Len() {
				one(v.List().Get(i))
			}
		default:
			one(v)
		}
		return true
	})
}

// uidOf finds the organization of a call that was answered: its handler has just found it, so nothing is waited for.
func (s *Server) uidOf(ctx context.Context, organization string) (string, error) {
	if organization == audit.SystemID {
		return audit.SystemUID, nil
	}
	return s.access.directory.Resolve(ctx, organization) //nolint:wrapcheck // an errs.Error of the directory
}

// Readings takes reads of the record that are no calls: those of the events API.
func (s *Server) Readings() *Readings { return s.readings }

// asides are the fields of a request that say where and how much, not what was looked for.
var asides = []protoreflect.Name{"parent", "page_size", "page_token", "cursor", "request_id"}

// lookedFor is what a request asks for, as JSON; "" when it asks for everything.
func lookedFor(request proto.Message) string {
	if request == nil {
		return ""
	}
	rest := proto.Clone(request)
	m := rest.ProtoReflect()
	for _, name := range asides {
		if fd := m.Descriptor().Fields().ByName(name); fd != nil {
			m.Clear(fd)
		}
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(rest)
	if err != nil {
		return ""
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil || compact.String() == "{}" {
		return ""
	}
	return compact.String()
}
