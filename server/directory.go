package server

import (
	"context"

	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/policypb"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/names"
	"github.com/postern-audit/postern/server/token"
)

// directoryService keeps organizations.
type directoryService struct {
	posternv1.UnsafeDirectoryServiceServer
	query
}

// listedDomains is how many domains GetOrganization shows.
const listedDomains = 1000

// ApplyOrganization makes an organization match a document.
func (s *directoryService) ApplyOrganization(ctx context.Context, r *posternv1.ApplyOrganizationRequest) (*posternv1.ApplyOrganizationResponse, error) {
	in, err := s.in.ApplyOrganization(r)
	if err != nil {
		return nil, err
	}
	done, err := s.Apply.Apply(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	out := &posternv1.ApplyOrganizationResponse{Warnings: convert.Warnings(done.Warnings), Changes: convert.Planned(done.Changes)}
	for _, c := range done.Commits {
		out.Commits = append(out.Commits, &posternv1.AppliedCommit{Kind: c.Kind, Count: int64(c.Count), Revision: c.Revision, Events: c.Events})
	}
	if done.Organization == nil {
		return out, nil
	}
	out.Organization, err = s.full(ctx, done.Organization)
	return out, err
}

// ExportOrganization returns an organization as a document.
func (s *directoryService) ExportOrganization(ctx context.Context, r *posternv1.ExportOrganizationRequest) (*posternv1.ExportOrganizationResponse, error) {
	id, err := s.in.ExportOrganization(r)
	if err != nil {
		return nil, err
	}
	e, err := s.Apply.Export(ctx, id)
	if err != nil {
		return nil, err
	}
	return &posternv1.ExportOrganizationResponse{Document: e.Text, Etag: policypb.Etag(e.Organization.Stamp), LeftOut: e.LeftOut}, nil
}

// GetOrganization returns one organization.
func (s *directoryService) GetOrganization(ctx context.Context, r *posternv1.GetOrganizationRequest) (*posternv1.Organization, error) {
	id, err := s.in.GetOrganization(r)
	if err != nil {
		return nil, err
	}
	o, err := s.organization(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.full(ctx, o)
}

// organization reads an organization by its id.
func (s *directoryService) organization(ctx context.Context, id string) (*policy.Organization, error) {
	uid, err := s.access.Resolve(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.access.directory.Organization(ctx, uid)
}

// full shows an organization with its domains.
func (s *directoryService) full(ctx context.Context, o *policy.Organization) (*posternv1.Organization, error) {
	page, err := s.access.directory.Domains(ctx, o.UID, policy.Domain{}, listedDomains)
	if err != nil {
		return nil, err
	}
	return s.FullOrganization(o, page), nil
}

// ListOrganizations returns a page of organizations, by id.
func (s *directoryService) ListOrganizations(ctx context.Context, r *posternv1.ListOrganizationsRequest) (*posternv1.ListOrganizationsResponse, error) {
	if err := s.in.Check(r); err != nil {
		return nil, err
	}
	bound := [][]byte{[]byte("organizations"), []byte(caller.From(ctx).Principal)}
	after := ""
	if r.GetPageToken() != "" {
		position, err := s.tokens.Open("page_token", token.Page, r.GetPageToken(), bound...)
		if err != nil {
			return nil, err
		}
		if after = string(position); !names.IsID(after) {
			return nil, badToken("page_token")
		}
	}
	size := convert.PageSize(r.GetPageSize())
	list, err := s.access.directory.Organizations(ctx, after, size+1)
	if err != nil {
		return nil, err
	}
	out := &posternv1.ListOrganizationsResponse{}
	if len(list) > size {
		list = list[:size]
		out.NextPageToken = s.tokens.Seal(token.Page, []byte(list[size-1].ID), bound...)
	}
	for i := range list {
		out.Organizations = append(out.Organizations, s.ListedOrganization(&list[i]))
	}
	return out, nil
}
