package convert

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	applying "github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// only refuses a resource to create that says more than a call takes: somebody else fills in the rest, or another call changes it.
func only(field string, m protoreflect.Message, taken ...protoreflect.Name) error {
	unexpected := ""
	m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		for _, name := range taken {
			if fd.Name() == name {
				return true
			}
		}
		unexpected = string(fd.Name())
		return false
	})
	if unexpected != "" {
		return errs.Field(field+"."+unexpected, "FIELD_UNEXPECTED", "is not taken here: leave it out")
	}
	return nil
}

// resourceChange is what requests that change a resource have in common.
type resourceChange interface {
	request
	GetRequestId() string
	GetReason() string
}

// change converts what such requests have in common: what a request does not have is left empty.
func (c *Converter) change(r resourceChange) (applying.ResourceChange, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return applying.ResourceChange{}, err
	}
	in := applying.ResourceChange{RequestID: r.GetRequestId(), Reason: r.GetReason()}
	if m, ok := r.(interface{ GetValidateOnly() bool }); ok {
		in.ValidateOnly = m.GetValidateOnly()
	}
	if m, ok := r.(interface{ GetEtag() string }); ok {
		in.Etag = m.GetEtag()
	}
	if m, ok := r.(interface{ GetForce() bool }); ok {
		in.Force = m.GetForce()
	}
	var err error
	if m, ok := r.(interface{ GetAdminEmail() string }); ok {
		in.Admin, err = admin(m.GetAdminEmail())
	}
	return in, err
}

// organizationFields are the fields of an organization that its own calls change.
var organizationFields = append([]string{applying.FieldDisplayName, applying.FieldDisabled, applying.FieldSandbox, applying.FieldRetention,
	applying.FieldSignInDays, applying.FieldAdministrationDays, applying.FieldActivityDays, applying.FieldHold, applying.FieldHoldReason}, privacyFields...)

// privacyFields are the fields of what the record of an organization or a site keeps of people.
var privacyFields = []string{applying.FieldPrivacy, applying.FieldPrivacyEmail, applying.FieldPrivacyIP, applying.FieldPrivacyUserContent}

// CreateOrganization converts an organization to make.
func (c *Converter) CreateOrganization(r *posternv1.CreateOrganizationRequest) (applying.OrganizationInput, error) {
	change, err := c.change(r)
	if err != nil {
		return applying.OrganizationInput{}, err
	}
	if r.GetOrganizationId() == "" {
		return applying.OrganizationInput{}, required("organization_id")
	}
	o := r.GetOrganization()
	if err := only("organization", o.ProtoReflect(), applying.FieldDisplayName, applying.FieldDisabled, applying.FieldSandbox, applying.FieldRetention,
		applying.FieldPrivacy); err != nil {
		return applying.OrganizationInput{}, err
	}
	change.Organization = r.GetOrganizationId()
	return organizationOf(change, o), nil
}

// UpdateOrganization converts a change of an organization.
func (c *Converter) UpdateOrganization(r *posternv1.UpdateOrganizationRequest) (applying.OrganizationInput, error) {
	change, err := c.change(r)
	if err != nil {
		return applying.OrganizationInput{}, err
	}
	o := r.GetOrganization()
	if change.Organization, err = names.Organization("organization.name", o.GetName()); err != nil {
		return applying.OrganizationInput{}, err
	}
	in := organizationOf(change, o)
	if in.Etag == "" {
		in.Etag = o.GetEtag()
	}
	in.Fields, err = paths("update_mask", r.GetUpdateMask(), organizationFields...)
	return in, err
}

// DeleteOrganization converts a request to delete an organization.
func (c *Converter) DeleteOrganization(r *posternv1.DeleteOrganizationRequest) (applying.DeletionInput, error) {
	change, err := c.change(r)
	if err != nil {
		return applying.DeletionInput{}, err
	}
	in := applying.DeletionInput{Etag: change.Etag, RequestID: change.RequestID, Reason: change.Reason}
	if in.Organization, err = names.Organization("name", r.GetName()); err != nil {
		return in, err
	}
	switch {
	case in.Etag == "":
		return in, required("etag")
	case in.Reason == "":
		return in, required("reason")
	}
	return in, nil
}

// DestroyOrganizationKey converts a request to destroy an organization's key.
func (c *Converter) DestroyOrganizationKey(r *posternv1.DestroyOrganizationKeyRequest) (applying.KeyDestruction, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return applying.KeyDestruction{}, err
	}
	organization, err := names.Organization("name", r.GetName())
	switch {
	case err != nil:
		return applying.KeyDestruction{}, err
	case r.GetConfirm() != organization:
		return applying.KeyDestruction{}, wrong("confirm", "must be the organization's id: this cannot be undone")
	}
	return applying.KeyDestruction{Organization: organization, Etag: r.GetEtag(), RequestID: r.GetRequestId()}, nil
}

// siteFields are the fields of a site that calls change.
var siteFields = append([]string{applying.FieldDisplayName, applying.FieldHostnames, applying.FieldDisabled, applying.FieldTrustsAccountEmail,
	applying.FieldRegion}, privacyFields...)

func siteOf(m *posternv1.Site) policy.Site {
	return policy.Site{DisplayName: m.GetDisplayName(), Hostnames: m.GetHostnames(), Disabled: m.GetDisabled(), TrustsAccountEmail: m.GetTrustsAccountEmail(),
		Privacy: privacyOf(m.GetPrivacy()), Region: m.GetRegion()}
}

// CreateSite converts a site to make.
func (c *Converter) CreateSite(r *posternv1.CreateSiteRequest) (applying.SiteInput, error) {
	change, err := c.change(r)
	if err != nil {
		return applying.SiteInput{}, err
	}
	if change.Organization, err = names.Organization("parent", r.GetParent()); err != nil {
		return applying.SiteInput{}, err
	}
	if r.GetSiteId() == "" {
		return applying.SiteInput{}, required("site_id")
	}
	if err := only("site", r.GetSite().ProtoReflect(), applying.FieldDisplayName, applying.FieldHostnames, applying.FieldDisabled,
		applying.FieldTrustsAccountEmail, applying.FieldPrivacy, applying.FieldRegion); err != nil {
		return applying.SiteInput{}, err
	}
	in := applying.SiteInput{ResourceChange: change, Site: siteOf(r.GetSite())}
	in.Site.ID = r.GetSiteId()
	return in, nil
}

// UpdateSite converts a change of a site.
func (c *Converter) UpdateSite(r *posternv1.UpdateSiteRequest) (applying.SiteInput, error) {
	change, err := c.change(r)
	if err != nil {
		return applying.SiteInput{}, err
	}
	in := applying.SiteInput{ResourceChange: change, Site: siteOf(r.GetSite())}
	if in.Organization, in.Site.ID, err = names.Site("site.name", r.GetSite().GetName()); err != nil {
		return in, err
	}
	if in.Etag == "" {
		in.Etag = r.GetSite().GetEtag()
	}
	in.Fields, err = paths("update_mask", r.GetUpdateMask(), siteFields...)
	return in, err
}

// DeleteSite converts a request to remove a site.
func (c *Converter) DeleteSite(r *posternv1.DeleteSiteRequest) (applying.SiteInput, error) {
	change, err := c.change(r)
	if err != nil {
		return applying.SiteInput{}, err
	}
	in := applying.SiteInput{ResourceChange: change}
	in.Organization, in.Site.ID, err = names.Site("name", r.GetName())
	return in, err
}

// GetSite converts a request for one site to the ids of organization and site.
func (c *Converter) GetSite(r *posternv1.GetSiteRequest) (organization, site string, err error) {
	if err := c.Check(r); err != nil {
		return "", "", err
	}
	return names.Site("name", r.GetName())
}

// SiteOf converts a site that was asked for by itself: with its name and the version of its organization.
func (f Forms) SiteOf(o *policy.Organization, i int) *posternv1.Site {
	short := *o
	short.Sites, short.Connections = o.Sites[i:i+1], nil
	m := f.Organization(&short)
	out := m.GetSites()[0]
	out.Name, out.Etag = names.FormatSite(o.ID, out.GetId()), m.GetEtag()
	return out
}
