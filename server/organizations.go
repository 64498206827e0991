package server

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Organizations are the use cases around organizations as resources. *directory.Resources implements it.
type Organizations interface {
	CreateOrganization(ctx context.Context, principal string, in directory.OrganizationInput) (*policy.Organization, error)
	UpdateOrganization(ctx context.Context, principal string, in directory.OrganizationInput) (*policy.Organization, error)
	DeleteOrganization(ctx context.Context, principal string, in directory.DeletionInput) error
	DestroyKey(ctx context.Context, principal string, in directory.KeyDestruction) error
}

// CreateOrganization makes an organization.
func (s *directoryService) CreateOrganization(ctx context.Context, r *posternv1.CreateOrganizationRequest) (*posternv1.Organization, error) {
	in, err := s.in.CreateOrganization(r)
	if err != nil {
		return nil, err
	}
	o, err := s.Organizations.CreateOrganization(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	if in.ValidateOnly {
		o.UID = "" // nothing has it yet
		return s.FullOrganization(o, policy.DomainPage{}), nil
	}
	return s.full(ctx, o)
}

// UpdateOrganization changes an organization.
func (s *directoryService) UpdateOrganization(ctx context.Context, r *posternv1.UpdateOrganizationRequest) (*posternv1.Organization, error) {
	in, err := s.in.UpdateOrganization(r)
	if err != nil {
		return nil, err
	}
	o, err := s.Organizations.UpdateOrganization(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return s.full(ctx, o)
}

// DeleteOrganization ends an organization.
func (s *directoryService) DeleteOrganization(ctx context.Context, r *posternv1.DeleteOrganizationRequest) (*emptypb.Empty, error) {
	in, err := s.in.DeleteOrganization(r)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.Organizations.DeleteOrganization(ctx, caller.From(ctx).Principal, in)
}

// DestroyOrganizationKey makes everything personal of an organization unreadable for good.
func (s *directoryService) DestroyOrganizationKey(ctx context.Context, r *posternv1.DestroyOrganizationKeyRequest) (*emptypb.Empty, error) {
	in, err := s.in.DestroyOrganizationKey(r)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.Organizations.DestroyKey(ctx, caller.From(ctx).Principal, in)
}
