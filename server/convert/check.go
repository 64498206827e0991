package convert

import (
	"fmt"
	"strconv"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Converter holds requests against the table of bounds and converts them.
type Converter struct {
	plans      map[protoreflect.FullName]*plan
	reportable map[audit.Type]bool // step types a login service may report
}

// request is a request message.
type request = proto.Message

// plan is what the walker does with one message: its fields in the order of their descriptors.
type plan struct{ fields []field }

type field struct {
	fd    protoreflect.FieldDescriptor
	bound Bound
	child *plan // of messages the table has bounds for
}

// New compiles the table. A request field without a bound, a bound that does not fit its field, or a bound of a field that
// does not exist is an error.
func New() (*Converter, error) { return compile(Bounds(), Requests()) }

// Requests lists the request messages of all services of package postern.v1.
func Requests() []protoreflect.MessageDescriptor {
	var out []protoreflect.MessageDescriptor
	for _, file := range []protoreflect.FileDescriptor{
		posternv1.File_postern_v1_sign_in_proto, posternv1.File_postern_v1_flow_proto, posternv1.File_postern_v1_event_service_proto,
		posternv1.File_postern_v1_directory_proto, posternv1.File_postern_v1_policy_proto, posternv1.File_postern_v1_authenticator_proto,
		posternv1.File_postern_v1_identity_proto, posternv1.File_postern_v1_key_proto,
	} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				out = append(out, methods.Get(j).Input())
			}
		}
	}
	return out
}

func compile(bounds map[protoreflect.FullName]Bound, requests []protoreflect.MessageDescriptor) (*Converter, error) {
	c := &Converter{plans: map[protoreflect.FullName]*plan{}, reportable: map[audit.Type]bool{}}
	for _, t := range audit.Types() {
		c.reportable[t.Type] = t.Reportable
	}
	used := map[protoreflect.FullName]bool{}
	for _, md := range requests {
		if _, err := c.plan(md, bounds, used); err != nil {
			return nil, err
		}
	}
	for name := range bounds {
		if !used[name] {
			return nil, fmt.Errorf("convert: a bound for %s, which is no request field", name)
		}
	}
	return c, nil
}

func (c *Converter) plan(md protoreflect.MessageDescriptor, bounds map[protoreflect.FullName]Bound, used map[protoreflect.FullName]bool) (*plan, error) {
	if p, ok := c.plans[md.FullName()]; ok {
		return p, nil
	}
	p := &plan{}
	c.plans[md.FullName()] = p
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		b, ok := bounds[fd.FullName()]
		if !ok || !b.fits(fd) {
			return nil, fmt.Errorf("convert: request field %s has no bound that fits it", fd.FullName())
		}
		used[fd.FullName()] = true
		f := field{fd: fd, bound: b}
		if b.kind == kindMessage || b.kind == kindList && b.element.kind == kindMessage {
			child, err := c.plan(fd.Message(), bounds, used)
			if err != nil {
				return nil, err
			}
			f.child = child
		}
		p.fields = append(p.fields, f)
	}
	return p, nil
}

// Check holds a request against the bounds of its fields, all levels down. The error names the first field that is out of
// bounds by its path.
func (c *Converter) Check(m proto.Message) error {
	r := m.ProtoReflect()
	p, ok := c.plans[r.Descriptor().FullName()]
	if !ok {
		return errs.New(errs.Internal, "INTERNAL", "a message without bounds")
	}
	if path, what := p.check(r); what != "" {
		return errs.Field(path, "FIELD_INVALID", what)
	}
	return nil
}

// check returns the path of the first field out of bounds and what is wrong with it, or "" twice.
func (p *plan) check(m protoreflect.Message) (path, what string) {
	w, ok := walks.Get().(*walk)
	if !ok {
		w = &walk{}
		w.each = w.see
	}
	w.plan, w.first = p, len(p.fields)
	m.Range(w.each)
	path, what = w.path, w.what
	*w = walk{each: w.each}
	walks.Put(w)
	return path, what
}

// walk is the look at one message, whose fields come in any order.
type walk struct {
	plan       *plan
	first      int // field out of bounds so far
	path, what string
	each       func(protoreflect.FieldDescriptor, protoreflect.Value) bool // see
}

// walks keeps walks that are over: they hold on to nothing.
var walks sync.Pool

func (w *walk) see(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	i := fd.Index()
	if i > w.first {
		return true
	}
	if path, what := w.plan.fields[i].check(v); what != "" {
		w.first, w.path, w.what = i, fd.TextName()+path, what
	}
	return true
}

func (f *field) check(v protoreflect.Value) (path, what string) {
	if f.bound.kind == kindList {
		return f.checkList(v.List())
	}
	if what = f.bound.refuse(f.fd, v); what == "" && f.child != nil {
		if path, what = f.child.check(v.Message()); what != "" {
			path = "." + path
		}
	}
	return path, what
}

func (f *field) checkList(l protoreflect.List) (path, what string) {
	if l.Len() > f.bound.max {
		return "", fmt.Sprintf("must have at most %d values", f.bound.max)
	}
	for i := range l.Len() {
		if what = f.bound.element.refuse(f.fd, l.Get(i)); what == "" && f.child != nil {
			if path, what = f.child.check(l.Get(i).Message()); what != "" {
				path = "." + path
			}
		}
		if what != "" {
			return "[" + strconv.Itoa(i) + "]" + path, what
		}
	}
	return "", ""
}

func required(field string) error { return errs.Field(field, "FIELD_REQUIRED", "must be given") }

func wrong(field, what string) error { return errs.Field(field, "FIELD_INVALID", what) }
