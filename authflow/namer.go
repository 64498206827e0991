package authflow

import (
	"context"
	"encoding/hex"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Namer makes every keyed hash the use cases need. An adapter holds the key; all methods are deterministic and safe for
// concurrent use.
type Namer interface {
	policy.Namer
	// CommitKey hashes caller, method, flow or parent, and request id, unambiguously and never to zero.
	CommitKey(caller, method, parent, requestID string) CommitKey
	// Digest hashes a canonical request.
	Digest(canonical []byte) Digest
	// SessionHandle hashes a site's session handle for one organization.
	SessionHandle(organizationUID string, handle []byte) [32]byte
	// Identity hashes an identity elsewhere.
	Identity(connectionUID, issuer, subjectID string) IdentityKey
	// Identifier hashes a typed identifier that is no usable address, as text fit for an event.
	Identifier(organizationUID, typed string) string
}

// Archived reads flows that have left Redis. audit.Reader implements it.
type Archived interface {
	// Flow returns a flow's row and its events in step order, or a NotFound error.
	Flow(ctx context.Context, organizationUID, idOrCode string) (audit.FlowRow, []audit.Event, error)
}

// device makes the keyed hash under which an organization remembers a device.
func (f *Flows) device(organizationUID string) func(string) [16]byte {
	return func(id string) [16]byte { return f.named("device", organizationUID, id) }
}

// named is a keyed hash for what is only ever compared, apart from every other use of the key: no request begins with field 0.
func (f *Flows) named(what string, parts ...string) [16]byte {
	var c canonical
	c.field(0, []byte(what))
	for _, p := range parts {
		c.field(0, []byte(p))
	}
	d := f.c.Namer.Digest(c.b)
	return [16]byte(d[:16])
}

// hexHandle is a hashed handle as events show it.
func hexHandle(h [32]byte) string { return hex.EncodeToString(h[:]) }
