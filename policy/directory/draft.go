package directory

import (
	"context"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy/document"
	"github.com/postern-audit/postern/policy/simulate"
)

// DraftInput names an organization and what to try on it: a policy, or a whole document. Nothing given, nothing is tried.
type DraftInput struct {
	Organization string // id
	Policy       []byte
	Document     []byte
}

// Draft works out what an organization would be with a draft, as Apply or Policies.Update would make it, and writes nothing. What
// would be refused for what it does to people (a lock-out) or because of other organizations (a domain that is taken) is no problem
// here: whoever tries a draft wants to see what comes of it.
func Draft(ctx context.Context, d Deps, in DraftInput) (simulate.Draft, error) {
	if in.Organization == audit.SystemID {
		return simulate.Draft{}, errs.New(errs.PermissionDenied, "ORGANIZATION_RESERVED",
			"the organization "+audit.SystemID+" belongs to the sidecar itself")
	}
	a := &apply{d: d, now: d.Now(), in: ApplyInput{Organization: in.Organization, ValidateOnly: true}}
	if err := a.look(ctx); err != nil {
		return simulate.Draft{}, err
	}
	if a.current == nil {
		return simulate.Draft{}, errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
	}
	out := simulate.Draft{Now: a.current, Organization: a.current}
	var problems document.Problems
	switch {
	case len(in.Policy) > 0:
		a.doc, problems = document.ParsePolicy(in.Organization, in.Policy)
	case len(in.Document) > 0:
		a.doc, problems = document.ParseWith(in.Document, d.Metadata)
	default:
		return out, nil
	}
	if err := problems.Err(); err != nil {
		return out, err
	}
	if a.doc.ID != in.Organization {
		return out, errs.Field("organization_document", "ORGANIZATION_DIFFERS", "it is for organization "+a.doc.ID+"; try it on that one, or change its first line")
	}
	plan, err := a.ofDocument(ctx)
	if err != nil {
		return out, err
	}
	out.Organization, out.AddDomains = plan.Organization, plan.AddDomains
	for _, r := range plan.DropDomains {
		out.DropDomains = append(out.DropDomains, r.Domain)
	}
	for _, c := range plan.AddClaims {
		out.AddClaims = append(out.AddClaims, c.Record)
	}
	return out, nil
}
