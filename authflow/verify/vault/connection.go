package vault

import (
	"context"

	"github.com/postern-audit/postern/internal/errs"
)

// recordConnection is what the secret of a connection is sealed for. Stored: never change it.
const recordConnection = "connection\x00"

// Connections seals and opens the secrets that connections prove themselves with. Safe for concurrent use.
type Connections struct{ cipher Cipher }

// NewConnections returns a vault for the secrets of connections.
func NewConnections(c Cipher) *Connections { return &Connections{c} }

// Seal seals a secret for one connection of one organization. It opens for no other.
func (v *Connections) Seal(_ context.Context, organizationUID, connectionUID string, plain []byte) ([]byte, error) {
	if organizationUID == "" || connectionUID == "" || len(plain) == 0 {
		return nil, errs.New(errs.Internal, "SEAL_FAILED", "a secret is sealed for a connection of an organization")
	}
	return v.cipher.EncryptSecret(organizationUID, recordConnection+connectionUID, plain)
}

// Open is the reverse of Seal. The caller wipes what it gets; nothing keeps it here.
func (v *Connections) Open(_ context.Context, organizationUID, connectionUID string, sealed []byte) ([]byte, error) {
	return v.cipher.DecryptSecret(organizationUID, recordConnection+connectionUID, sealed)
}
