package server

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/token"
)

// Domains are the use cases around the domains of organizations.
type Domains interface {
	Create(ctx context.Context, principal string, in convert.NewDomain) (*posternv1.Domain, error)
	Get(ctx context.Context, organization string, d policy.Domain) (*posternv1.Domain, error)
	// List returns up to limit domains after the given one, by name.
	List(ctx context.Context, organization string, after policy.Domain, limit int) ([]*posternv1.Domain, error)
	// Update changes what was chosen about a domain.
	Update(ctx context.Context, principal string, in convert.DomainUpdate) (*posternv1.Domain, error)
	// Verify looks at the domain's zone. It may take as long as name servers take.
	Verify(ctx context.Context, principal string, in convert.DomainChange) (*posternv1.Domain, error)
	ConfirmRemoval(ctx context.Context, principal string, in convert.DomainChange) (*posternv1.Domain, error)
	Delete(ctx context.Context, principal string, in convert.DomainChange) error
}

// CreateDomain begins the verification of a domain.
func (s *directoryService) CreateDomain(ctx context.Context, r *posternv1.CreateDomainRequest) (*posternv1.Domain, error) {
	in, err := s.in.CreateDomain(r)
	if err != nil {
		return nil, err
	}
	return s.Domains.Create(ctx, caller.From(ctx).Principal, in)
}

// GetDomain returns one domain.
func (s *directoryService) GetDomain(ctx context.Context, r *posternv1.GetDomainRequest) (*posternv1.Domain, error) {
	organization, d, err := s.in.GetDomain(r)
	if err != nil {
		return nil, err
	}
	return s.Domains.Get(ctx, organization, d)
}

// ListDomains returns a page of an organization's domains, by name.
func (s *directoryService) ListDomains(ctx context.Context, r *posternv1.ListDomainsRequest) (*posternv1.ListDomainsResponse, error) {
	organization, err := s.in.ListDomains(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.Resolve(ctx, organization)
	if err != nil {
		return nil, err
	}
	bound := [][]byte{[]byte("domains"), []byte(caller.From(ctx).Principal), []byte(uid), {byte(r.GetState())}} //nolint:gosec // checked against the enum
	var after policy.Domain
	if r.GetPageToken() != "" {
		position, err := s.tokens.Open("page_token", token.Page, r.GetPageToken(), bound...)
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error
		}
		if after, err = policy.ParseDomain(string(position)); err != nil {
			return nil, badToken("page_token")
		}
	}
	size := convert.PageSize(r.GetPageSize())
	list, err := s.Domains.List(ctx, organization, after, size+1)
	if err != nil {
		return nil, err
	}
	out := &posternv1.ListDomainsResponse{}
	if len(list) > size {
		list = list[:size]
		out.NextPageToken = s.tokens.Seal(token.Page, []byte(list[size-1].GetDomain()), bound...)
	}
	for _, d := range list {
		if r.GetState() == posternv1.Domain_STATE_UNSPECIFIED || d.GetState() == r.GetState() {
			out.Domains = append(out.Domains, d)
		}
	}
	return out, nil
}

// UpdateDomain changes what was chosen about a domain.
func (s *directoryService) UpdateDomain(ctx context.Context, r *posternv1.UpdateDomainRequest) (*posternv1.Domain, error) {
	in, err := s.in.UpdateDomain(r)
	if err != nil {
		return nil, err
	}
	return s.Domains.Update(ctx, caller.From(ctx).Principal, in)
}

// VerifyDomain looks at a domain's zone now.
func (s *directoryService) VerifyDomain(ctx context.Context, r *posternv1.VerifyDomainRequest) (*posternv1.Domain, error) {
	in, err := s.in.VerifyDomain(r)
	if err != nil {
		return nil, err
	}
	return s.Domains.Verify(ctx, caller.From(ctx).Principal, in)
}

// ConfirmDomainRemoval ends a domain that fails.
func (s *directoryService) ConfirmDomainRemoval(ctx context.Context, r *posternv1.ConfirmDomainRemovalRequest) (*posternv1.Domain, error) {
	in, err := s.in.ConfirmDomainRemoval(r)
	if err != nil {
		return nil, err
	}
	return s.Domains.ConfirmRemoval(ctx, caller.From(ctx).Principal, in)
}

// DeleteDomain removes a domain.
func (s *directoryService) DeleteDomain(ctx context.Context, r *posternv1.DeleteDomainRequest) (*emptypb.Empty, error) {
	in, err := s.in.DeleteDomain(r)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.Domains.Delete(ctx, caller.From(ctx).Principal, in)
}
