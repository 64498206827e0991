package server

import (
	"cmp"
	"context"
	"slices"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/names"
	"github.com/postern-audit/postern/server/token"
)

// Sites are the use cases around sites. They answer with the organization that has the site. *directory.Resources implements it.
type Sites interface {
	CreateSite(ctx context.Context, principal string, in directory.SiteInput) (*policy.Organization, error)
	UpdateSite(ctx context.Context, principal string, in directory.SiteInput) (*policy.Organization, error)
	DeleteSite(ctx context.Context, principal string, in directory.SiteInput) error
}

// siteOf shows the site of an organization that a call is about.
func (s *directoryService) siteOf(o *policy.Organization, id string) (*posternv1.Site, error) {
	i := slices.IndexFunc(o.Sites, func(site policy.Site) bool { return site.ID == id })
	if i < 0 {
		return nil, errs.New(errs.NotFound, authflow.ErrSiteNotFound, "the organization has no such site")
	}
	return s.SiteOf(o, i), nil
}

// CreateSite adds a site.
func (s *directoryService) CreateSite(ctx context.Context, r *posternv1.CreateSiteRequest) (*posternv1.Site, error) {
	in, err := s.in.CreateSite(r)
	if err != nil {
		return nil, err
	}
	o, err := s.Sites.CreateSite(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return s.siteOf(o, in.Site.ID)
}

// GetSite returns one site.
func (s *directoryService) GetSite(ctx context.Context, r *posternv1.GetSiteRequest) (*posternv1.Site, error) {
	organization, id, err := s.in.GetSite(r)
	if err != nil {
		return nil, err
	}
	o, err := s.organization(ctx, organization)
	if err != nil {
		return nil, err
	}
	return s.siteOf(o, id)
}

// ListSites returns a page of an organization's sites, by id.
func (s *directoryService) ListSites(ctx context.Context, r *posternv1.ListSitesRequest) (*posternv1.ListSitesResponse, error) {
	organization, err := s.in.Parent(r)
	if err != nil {
		return nil, err
	}
	o, err := s.organization(ctx, organization)
	if err != nil {
		return nil, err
	}
	bound := [][]byte{[]byte("sites"), []byte(caller.From(ctx).Principal), []byte(o.UID)}
	after := ""
	if r.GetPageToken() != "" {
		position, err := s.tokens.Open("page_token", token.Page, r.GetPageToken(), bound...)
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error
		}
		if after = string(position); !names.IsID(after) {
			return nil, badToken("page_token")
		}
	}
	sorted := *o
	sorted.Sites = slices.SortedFunc(slices.Values(o.Sites), func(a, b policy.Site) int { return cmp.Compare(a.ID, b.ID) })
	size := convert.PageSize(r.GetPageSize())
	out := &posternv1.ListSitesResponse{}
	for i := range sorted.Sites {
		switch id := sorted.Sites[i].ID; {
		case id <= after:
		case len(out.GetSites()) == size:
			out.NextPageToken = s.tokens.Seal(token.Page, []byte(sorted.Sites[i-1].ID), bound...)
			return out, nil
		default:
			out.Sites = append(out.Sites, s.SiteOf(&sorted, i))
		}
	}
	return out, nil
}

// UpdateSite changes a site.
func (s *directoryService) UpdateSite(ctx context.Context, r *posternv1.UpdateSiteRequest) (*posternv1.Site, error) {
	in, err := s.in.UpdateSite(r)
	if err != nil {
		return nil, err
	}
	o, err := s.Sites.UpdateSite(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return s.siteOf(o, in.Site.ID)
}

// DeleteSite removes a site.
func (s *directoryService) DeleteSite(ctx context.Context, r *posternv1.DeleteSiteRequest) (*emptypb.Empty, error) {
	in, err := s.in.DeleteSite(r)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.Sites.DeleteSite(ctx, caller.From(ctx).Principal, in)
}
