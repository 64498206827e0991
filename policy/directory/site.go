package directory

import (
	"context"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// Why a site cannot be made, found or removed.
const (
	ReasonSiteExists   = "SITE_EXISTS"
	ReasonSiteNotFound = "SITE_NOT_FOUND"
	ReasonSiteInUse    = "SITE_IN_USE"
)

// Fields of a site that a change may name, besides display_name and disabled.
const (
	FieldHostnames          = "hostnames"
	FieldTrustsAccountEmail = "trusts_account_email"
)

// SiteInput is a site as it is to be.
type SiteInput struct {
	ResourceChange
	Site   policy.Site // its id, display name, hostnames and switches
	Fields []string    // of an update: what of the above counts
}

func (in *SiteInput) signature() []byte {
	s := &in.Site
	return fields(s.ID, s.DisplayName, written(s.Disabled), written(s.TrustsAccountEmail), string(fields(s.Hostnames...)), string(fields(in.Fields...)),
		hidden(s.Privacy), s.Region)
}

// as is what a site's fields are called in requests.
func (in *SiteInput) as() names {
	return names{"": "organization", "sites[" + in.Site.ID + "]": "site", "sites[" + in.Site.ID + "].id": "site_id", "sites": "sites"}
}

func siteAt(o *policy.Organization, id string) (int, error) {
	i := slices.IndexFunc(o.Sites, func(s policy.Site) bool { return s.ID == id })
	if i < 0 {
		return 0, errs.New(errs.NotFound, ReasonSiteNotFound, "there is no such site in this organization")
	}
	return i, nil
}

// CreateSite adds a site. It returns the organization with it.
func (r *Resources) CreateSite(ctx context.Context, caller string, in SiteInput) (*policy.Organization, error) {
	e := r.edit(caller, methodCreateSite, in.ResourceChange, in.signature())
	e.plan = func(_ context.Context, a *apply) (*document.Plan, error) {
		if _, err := siteAt(a.current, in.Site.ID); err == nil {
			return nil, errs.New(errs.AlreadyExists, ReasonSiteExists, "the organization has a site with this id already")
		}
		site := in.Site
		site.Origin = audit.OriginAPI
		if !in.ValidateOnly {
			site.UID = r.NewID()
		}
		next := *a.current
		next.Sites = append(slices.Clone(a.current.Sites), site)
		return changed(a.current, &next, in.as())
	}
	return r.made(e.run(ctx))(&e)
}

// UpdateSite changes what of a site the fields name. One that a document maintains is the API's from then on.
func (r *Resources) UpdateSite(ctx context.Context, caller string, in SiteInput) (*policy.Organization, error) {
	e := r.edit(caller, methodUpdateSite, in.ResourceChange, in.signature())
	e.plan = func(_ context.Context, a *apply) (*document.Plan, error) {
		i, err := siteAt(a.current, in.Site.ID)
		if err != nil {
			return nil, err
		}
		next := *a.current
		next.Sites = slices.Clone(a.current.Sites)
		site := &next.Sites[i]
		site.Origin = audit.OriginAPI
		for _, f := range in.Fields {
			switch f {
			case FieldDisplayName:
				site.DisplayName = in.Site.DisplayName
			case FieldHostnames:
				site.Hostnames = in.Site.Hostnames
			case FieldDisabled:
				site.Disabled = in.Site.Disabled
			case FieldTrustsAccountEmail:
				site.TrustsAccountEmail = in.Site.TrustsAccountEmail
			case FieldRegion:
				site.Region = in.Site.Region
			default:
				setPrivacy(&site.Privacy, in.Site.Privacy, f)
			}
		}
		return changed(a.current, &next, in.as())
	}
	return r.made(e.run(ctx))(&e)
}

// DeleteSite removes a site that no rule names. Its flows end denied, and its record stays.
func (r *Resources) DeleteSite(ctx context.Context, caller string, in SiteInput) error {
	e := r.edit(caller, methodDeleteSite, in.ResourceChange, fields(in.Site.ID))
	e.plan = func(_ context.Context, a *apply) (*document.Plan, error) {
		i, err := siteAt(a.current, in.Site.ID)
		if err != nil {
			return nil, err
		}
		next := *a.current
		next.Sites = slices.Delete(slices.Clone(a.current.Sites), i, i+1)
		return removed(a.current, &next, in.as(), ReasonSiteInUse)
	}
	_, _, err := e.run(ctx)
	return err
}
