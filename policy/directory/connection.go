package directory

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
	"github.com/postern-audit/postern/policy/policypb"
)

// Sealer seals the secrets of connections. vault.Connections is one.
type Sealer interface {
	// Seal seals a secret for one connection of one organization, whose key is known to the process.
	Seal(ctx context.Context, organizationUID, connectionUID string, secret []byte) ([]byte, error)
}

// ConnectionDeps is what changing connections works with. Every field is needed.
type ConnectionDeps struct {
	Directory policy.Directory
	Writer    policy.DirectoryWriter
	Namer     Namer
	Sealer    Sealer
	NewID     func() string // UUIDv7
	Now       func() time.Time
}

// SecretInput is a secret for a connection.
type SecretInput struct {
	Organization string // id
	Connection   string // id
	RequestID    string
	Etag         string            // version the change is based on; empty: whatever there is
	Secret       secret.Bytes      // kept nowhere in the clear
	Kind         policy.SecretKind // SecretClient, or SecretPrivateKey for any private key; ignored by ClearSecret
}

// Methods, as they stand in the keys of calls.
const (
	methodSetSecret   = "SetConnectionSecret"
	methodClearSecret = "ClearConnectionSecret"
)

// SetSecret gives a connection a secret: sealed, with its event, in one commit. The same request id with the same input changes
// nothing more. It returns the organization as it is now.
func SetSecret(ctx context.Context, d ConnectionDeps, caller string, in SecretInput) (*policy.Organization, error) {
	return secretChange(ctx, d, caller, methodSetSecret, in, func(o *policy.Organization, c *policy.Connection) (policy.Connection, error) {
		takes := c.Takes()
		if takes != policy.SecretNone && (takes == policy.SecretClient) != (in.Kind == policy.SecretClient) {
			return *c, errs.New(errs.FailedPrecondition, "CONNECTION_SECRET_KIND", "this connection takes "+kindName(takes))
		}
		if err := takes.CheckSecret(in.Secret.Reveal()); err != nil {
			return *c, err
		}
		sealed, err := d.Sealer.Seal(ctx, o.UID, c.UID, in.Secret.Reveal())
		if err != nil {
			return *c, err
		}
		return c.WithSecret(sealed, d.Now()), nil
	})
}

func kindName(k policy.SecretKind) string {
	switch k {
	case policy.SecretClient:
		return "a client secret"
	case policy.SecretPrivateKey:
		return "a private key"
	case policy.SecretSAMLKey:
		return "a private key with its certificate"
	case policy.SecretNone:
	}
	return "no secret"
}

// ClearSecret takes a connection's secret away. A connection without one stays as it is, and no event is written.
func ClearSecret(ctx context.Context, d ConnectionDeps, caller string, in SecretInput) (*policy.Organization, error) {
	in.Secret = secret.Bytes{}
	return secretChange(ctx, d, caller, methodClearSecret, in, func(_ *policy.Organization, c *policy.Connection) (policy.Connection, error) {
		return c.WithSecret(nil, time.Time{}), nil
	})
}

func secretChange(ctx context.Context, d ConnectionDeps, caller, method string, in SecretInput,
	change func(*policy.Organization, *policy.Connection) (policy.Connection, error),
) (*policy.Organization, error) {
	if in.Organization == audit.SystemID {
		return nil, errs.New(errs.PermissionDenied, "ORGANIZATION_RESERVED", "the organization "+audit.SystemID+" belongs to the sidecar itself")
	}
	based, err := policypb.ParseEtag(in.Etag)
	if err != nil {
		return nil, errs.Field("etag", "ETAG_INVALID", "an etag is what a read or a change answered: 32 lower-case hex digits")
	}
	return ChangeConnection(ctx, d, ConnectionChange{
		Organization: in.Organization, Connection: in.Connection, Based: based, Change: change,
		Key:   d.Namer.ApplyKey(caller, method, in.Organization, in.RequestID, in.canonical()),
		Event: audit.Event{Type: audit.TypeConnectionUpdated, Caller: caller, Origin: audit.OriginAPI},
	})
}

// canonical is the input as length-prefixed fields in field-number order, absent ones left out. It is hashed with a key and kept
// nowhere else.
func (in *SecretInput) canonical() []byte {
	var b []byte
	add := func(number byte, v []byte) {
		if len(v) > 0 {
			b = append(binary.AppendUvarint(append(b, number), uint64(len(v))), v...)
		}
	}
	add(1, []byte(in.Connection))
	add(3, []byte(in.Etag))
	switch in.Kind {
	case policy.SecretClient:
		add(4, in.Secret.Reveal())
	case policy.SecretPrivateKey, policy.SecretSAMLKey, policy.SecretNone:
		add(5, in.Secret.Reveal())
	}
	return b
}

// ConnectionChange is one change of one connection.
type ConnectionChange struct {
	Organization string          // id
	Connection   string          // id
	Based        policy.Stamp    // version of the organization it is based on; zero: whatever there is
	Key          policy.ApplyKey // zero: the call is not remembered
	// Change returns the connection as it shall be. It must not change the one given, and may be called several times. When
	// nothing differs then, nothing is written.
	Change func(*policy.Organization, *policy.Connection) (policy.Connection, error)
	// Event is written in the same commit; its id, time, organization, target, outcome, changes and revision are filled in.
	Event audit.Event
}

// maxChangeTries bounds how often a change begins anew because the organization changed meanwhile.
const maxChangeTries = 32

// ChangeConnection changes one connection in one commit with one event, and returns the organization as it is now. A key that
// was used for the same request changes nothing.
func ChangeConnection(ctx context.Context, d ConnectionDeps, in ConnectionChange) (*policy.Organization, error) {
	found, err := find(ctx, d.Directory, in.Organization)
	if err != nil {
		return nil, err
	}
	uid := found.UID
	for range maxChangeTries {
		o, err := d.Directory.Organization(ctx, uid)
		if err != nil {
			return nil, err
		}
		// In this order: the same call, if it is committed after this look at its key, moves the stamp that was read before.
		if in.Key.Key != [32]byte{} {
			p, err := d.Writer.Progress(ctx, uid, in.Key)
			if err != nil {
				return nil, err
			}
			if p != nil {
				return d.Directory.Organization(ctx, uid)
			}
		}
		change, err := in.on(d, o)
		if err != nil {
			return nil, err
		}
		if change == nil {
			return o, in.remember(ctx, d, o)
		}
		_, _, err = d.Writer.Commit(ctx, *change)
		if err == nil {
			return d.Directory.Organization(ctx, uid)
		}
		if !errs.Is(err, "ETAG_MISMATCH") || !in.Based.IsZero() {
			return nil, err
		}
	}
	return nil, errs.New(errs.Conflict, "ETAG_MISMATCH", "the organization keeps changing; try again")
}

// on is the commit that makes the change to an organization, nil when there is nothing to change.
func (in *ConnectionChange) on(d ConnectionDeps, o *policy.Organization) (*policy.Change, error) {
	if !in.Based.IsZero() && in.Based != o.Stamp {
		return nil, errs.New(errs.Conflict, "ETAG_MISMATCH", "the organization has changed since the version given; read it again")
	}
	i := slices.IndexFunc(o.Connections, func(c policy.Connection) bool { return c.ID == in.Connection })
	if i < 0 {
		return nil, errs.New(errs.NotFound, "CONNECTION_NOT_FOUND", "there is no such connection in this organization")
	}
	if o.Unreadable {
		return nil, errs.New(errs.FailedPrecondition, "POLICY_UNREADABLE", "the stored policy cannot be read: apply the organization's document first")
	}
	before := &o.Connections[i]
	after, err := in.Change(o, before)
	if err != nil {
		return nil, err
	}
	changes := document.ConnectionChanges(before, &after)
	if len(changes) == 0 {
		return nil, nil //nolint:nilnil // nothing to change
	}
	next := *o
	next.Connections = slices.Clone(o.Connections)
	next.Connections[i] = after
	if err := fits(&next); err != nil {
		return nil, err
	}
	e := in.Event
	e.ID, e.Time, e.Organization, e.OrganizationUID = d.NewID(), d.Now(), o.ID, o.UID
	e.Outcome, e.Changes = audit.OutcomeOf(e.Type), changes
	e.Target = &audit.Target{Type: "connection", ID: after.ID, UID: after.UID}
	return &policy.Change{Organization: &next, WritePolicy: true, Events: []audit.Event{e}, Request: in.Key, Done: true}, nil
}

// remember keeps the answer of a call that changed nothing.
func (in *ConnectionChange) remember(ctx context.Context, d ConnectionDeps, o *policy.Organization) error {
	if in.Key.Key == [32]byte{} {
		return nil
	}
	return d.Writer.Answered(ctx, o.UID, in.Key, policy.Progress{
		Stamp: o.Stamp, Commits: []policy.Applied{{Kind: kindNothing, Revision: o.Revision}}, Done: true})
}
