package serve

import (
	"context"
	"time"

	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/authflow/verify/vault"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/document"
	"github.com/postern-audit/postern/server/convert"
)

// connections gives the server the use cases around the secrets of connections.
type connections struct{ deps directory.ConnectionDeps }

func (p *process) connections() connections { return connections{p.connectionDeps()} }

// connectionDeps is what changing connections works with in this process.
func (p *process) connectionDeps() directory.ConnectionDeps {
	s := &p.stores
	return directory.ConnectionDeps{Directory: s.directory, Writer: s.directory, Namer: s.namer, Sealer: vault.NewConnections(s.keyring),
		NewID: newID, Now: p.clock.Now}
}

// SetSecret implements server.Connections.
func (c connections) SetSecret(ctx context.Context, principal string, in convert.ConnectionSecret) (*policy.Organization, error) {
	return directory.SetSecret(ctx, c.deps, principal, secretInput(in))
}

// ClearSecret implements server.Connections.
func (c connections) ClearSecret(ctx context.Context, principal string, in convert.ConnectionSecret) (*policy.Organization, error) {
	return directory.ClearSecret(ctx, c.deps, principal, secretInput(in))
}

func secretInput(in convert.ConnectionSecret) directory.SecretInput {
	kind := policy.SecretClient
	if in.PrivateKey {
		kind = policy.SecretPrivateKey
	}
	return directory.SecretInput{Organization: in.Organization, Connection: in.Connection, RequestID: in.RequestID, Etag: in.Etag,
		Secret: in.Secret, Kind: kind}
}

// ReadMetadata reads SAML metadata that stands in a document. What is wrong with it is told to whoever wrote the document.
func ReadMetadata(now func() time.Time) document.MetadataReader {
	return func(xml []byte) (document.Metadata, error) {
		p, err := saml.ParseMetadata(xml, now())
		if err != nil {
			return document.Metadata{}, errs.New(errs.Invalid, document.ReasonInvalid, federation.Text(err.Error(), federation.MaxDetail))
		}
		m := document.Metadata{EntityID: p.EntityID, RedirectURL: p.RedirectURL, PostURL: p.PostURL}
		for _, c := range p.Certificates {
			m.Certificates = append(m.Certificates, c.Raw)
		}
		return m, nil
	}
}
