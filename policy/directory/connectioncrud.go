package directory

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
	"github.com/postern-audit/postern/policy/policypb"
)

// Why a connection cannot be made or removed.
const (
	ReasonConnectionExists = "CONNECTION_EXISTS"
	ReasonConnectionInUse  = "CONNECTION_IN_USE"
)

// ConnectionInput is a connection as it is to be, without its secret.
type ConnectionInput struct {
	ResourceChange
	Connection policy.Connection
	Fields     []string // of an update: what of it counts, some of policypb.ConnectionPaths
}

func (in *ConnectionInput) signature() []byte {
	m := policypb.FromConnection("", &in.Connection)
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil { // a text that is not UTF-8, which is refused further on
		return fields(m.String(), strings.Join(in.Fields, ","))
	}
	return fields(string(b), strings.Join(in.Fields, ","))
}

// as is what a connection's fields are called in requests.
func (in *ConnectionInput) as() names {
	id := in.Connection.ID
	return names{"": "organization", "connections[" + id + "]": "connection", "connections[" + id + "].id": "connection_id", "connections": "connections"}
}

func connectionAt(o *policy.Organization, id string) (int, error) {
	i := slices.IndexFunc(o.Connections, func(c policy.Connection) bool { return c.ID == id })
	if i < 0 {
		return 0, errs.New(errs.NotFound, "CONNECTION_NOT_FOUND", "there is no such connection in this organization")
	}
	return i, nil
}

// CreateConnection adds a connection. It returns the organization with it.
func (r *Resources) CreateConnection(ctx context.Context, caller string, in ConnectionInput) (*policy.Organization, error) {
	e := r.edit(caller, methodCreateConnection, in.ResourceChange, in.signature())
	e.plan = func(_ context.Context, a *apply) (*document.Plan, error) {
		if _, err := connectionAt(a.current, in.Connection.ID); err == nil {
			return nil, errs.New(errs.AlreadyExists, ReasonConnectionExists, "the organization has a connection with this id already")
		}
		c := in.Connection
		c.Origin = audit.OriginAPI
		if !in.ValidateOnly {
			c.UID = r.NewID()
		}
		next := *a.current
		next.Connections = append(slices.Clone(a.current.Connections), c)
		return changed(a.current, &next, in.as())
	}
	return r.made(e.run(ctx))(&e)
}

// UpdateConnection changes what of a connection the fields name. One that a document maintains is the API's from then on. Its secret stays,
// unless it would go to somebody else then.
func (r *Resources) UpdateConnection(ctx context.Context, caller string, in ConnectionInput) (*policy.Organization, error) {
	e := r.edit(caller, methodUpdateConnection, in.ResourceChange, in.signature())
	e.plan = func(_ context.Context, a *apply) (*document.Plan, error) {
		i, err := connectionAt(a.current, in.Connection.ID)
		if err != nil {
			return nil, err
		}
		was := &a.current.Connections[i]
		is, err := policypb.MergeConnection(was, &in.Connection, in.Fields)
		if err != nil {
			return nil, err
		}
		is.Origin = audit.OriginAPI
		next := *a.current
		next.Connections = slices.Clone(a.current.Connections)
		next.Connections[i] = is.Follow(was)
		return changed(a.current, &next, in.as())
	}
	return r.made(e.run(ctx))(&e)
}

// DeleteConnection removes a connection that the policy does not name, with its secret.
func (r *Resources) DeleteConnection(ctx context.Context, caller string, in ConnectionInput) error {
	e := r.edit(caller, methodDeleteConnection, in.ResourceChange, fields(in.Connection.ID))
	e.plan = func(_ context.Context, a *apply) (*document.Plan, error) {
		i, err := connectionAt(a.current, in.Connection.ID)
		if err != nil {
			return nil, err
		}
		next := *a.current
		next.Connections = slices.Delete(slices.Clone(a.current.Connections), i, i+1)
		return removed(a.current, &next, in.as(), ReasonConnectionInUse)
	}
	_, _, err := e.run(ctx)
	return err
}
