package authflow

import (
	"context"

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
