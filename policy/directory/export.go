package directory

import (
	"context"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// maxExported is how many domains an export reads.
const maxExported = 20_000

// ExportResult is an organization as a document.
type ExportResult struct {
	Organization *policy.Organization
	document.Exported
}

// Export writes an organization as a document that changes nothing when it is applied to the version it shows. That is tried here,
// on what was read: a document that would change something is an error and leaves nobody with it.
func Export(ctx context.Context, d Deps, organization string) (ExportResult, error) {
	uid, err := d.Directory.Resolve(ctx, organization)
	if err != nil {
		return ExportResult{}, err
	}
	s, err := standing(ctx, d.Directory, uid)
	if err != nil {
		return ExportResult{}, err
	}
	e := document.Export(s)
	doc, problems := document.ParseWith([]byte(e.Text), d.Metadata)
	if doc == nil {
		return ExportResult{}, errs.Wrap(problems.Err(), errs.Internal, "EXPORT_DIFFERS", "the export cannot be read back")
	}
	plan, problems := document.PlanOf(doc, document.Current{Organization: s.Organization, UID: uid, Domains: s.Domains}, d.Namer, d.NewID)
	if plan == nil || !plan.Empty() {
		return ExportResult{}, errs.Wrap(problems.Err(), errs.Internal, "EXPORT_DIFFERS", "applying the export would change something")
	}
	return ExportResult{Organization: s.Organization, Exported: e}, nil
}

// standing reads an organization with its domains, up to what is exported, at one version.
func standing(ctx context.Context, d policy.Directory, uid string) (document.Standing, error) {
	for range maxReads {
		before, err := d.Organization(ctx, uid)
		if err != nil {
			return document.Standing{}, err
		}
		s := document.Standing{Organization: before}
		if err := readDomains(ctx, d, uid, &s); err != nil {
			return document.Standing{}, err
		}
		after, err := d.Organization(ctx, uid)
		if err != nil {
			return document.Standing{}, err
		}
		if after.Stamp == before.Stamp {
			return s, nil
		}
	}
	return document.Standing{}, errs.New(errs.Conflict, "ETAG_MISMATCH", "the organization changes faster than it can be read; try again")
}

// maxReads is how often a changing organization is read again.
const maxReads = 3

func readDomains(ctx context.Context, d policy.Directory, uid string, s *document.Standing) error {
	var after policy.Domain
	for {
		page, err := d.Domains(ctx, uid, after, pageSize)
		if err != nil {
			return err
		}
		s.DomainCount, s.ClaimCount = page.DomainCount, page.ClaimCount
		s.Domains = append(s.Domains, page.Domains...)
		if len(page.Domains) < pageSize || len(s.Domains) >= maxExported {
			return nil
		}
		after = page.Domains[len(page.Domains)-1].Domain
	}
}
