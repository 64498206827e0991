package serve

import (
	"context"

	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/server"
	"github.com/postern-audit/postern/server/convert"
)

// applier gives the server the use case of applying documents.
type applier struct{ deps directory.Deps }

func (p *process) applier() applier {
	s := &p.stores
	return applier{directory.Deps{Directory: s.directory, Writer: s.directory, Namer: s.namer, Keys: s.keyring, Owners: s.directory, Sealer: s.keyring, NewID: newID, Now: p.clock.Now,
		Metadata: ReadMetadata(p.clock.Now), Region: p.c.Archive.Region}}
}

// Apply implements server.Applier.
func (a applier) Apply(ctx context.Context, principal string, in convert.Apply) (server.Applied, error) {
	done, err := directory.Apply(ctx, a.deps, principal, directory.ApplyInput{
		Organization: in.Organization, Document: in.Document, Etag: in.Etag, RequestID: in.RequestID, ValidateOnly: in.ValidateOnly, Reason: in.Reason, Force: in.Force, Admin: in.Admin})
	return server.Applied{Organization: done.Organization, Commits: done.Commits, Warnings: done.Warnings, Changes: done.Changes}, err
}

// Export implements server.Applier.
func (a applier) Export(ctx context.Context, organization string) (directory.ExportResult, error) {
	return directory.Export(ctx, a.deps, organization)
}
