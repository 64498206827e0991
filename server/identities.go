package server

import (
	"context"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/caller"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/token"
)

// Identities is what IdentityService needs.
type Identities struct {
	Keeper IdentityKeeper
	MAC    token.MAC // of page tokens; see Query
}

// IdentityKeeper are the use cases around links of identities to accounts. *authflow.Identities implements it.
type IdentityKeeper interface {
	// List returns up to limit links of an organization, of one account only unless accountID is "", beyond the place after.
	// next is the place to go on from, "" when there are no more.
	List(ctx context.Context, who authflow.Caller, organization, accountID, after string, limit int) (links []authflow.Link, next string, err error)
	Unlink(ctx context.Context, who authflow.Caller, in authflow.UnlinkInput) error
}

// identityService keeps which identities elsewhere belong to which accounts.
type identityService struct {
	posternv1.UnsafeIdentityServiceServer
	keeper IdentityKeeper
	in     *convert.Converter
	tokens *token.Tokens
}

// ListIdentities returns a page of links.
func (s *identityService) ListIdentities(ctx context.Context, r *posternv1.ListIdentitiesRequest) (*posternv1.ListIdentitiesResponse, error) {
	in, err := s.in.ListIdentities(r)
	if err != nil {
		return nil, err
	}
	bound := [][]byte{[]byte("identities"), []byte(caller.From(ctx).Principal), []byte(in.Organization), []byte(in.AccountID)}
	var after []byte
	if r.GetPageToken() != "" {
		if after, err = s.tokens.Open("page_token", token.Page, r.GetPageToken(), bound...); err != nil {
			return nil, err
		}
	}
	links, next, err := s.keeper.List(ctx, who(ctx), in.Organization, in.AccountID, string(after), in.Limit)
	if err != nil {
		return nil, err
	}
	out := &posternv1.ListIdentitiesResponse{Identities: convert.Identities(in.Organization, links)}
	if next != "" {
		out.NextPageToken = s.tokens.Seal(token.Page, []byte(next), bound...)
	}
	return out, nil
}

// UnlinkIdentity takes an identity from its account.
func (s *identityService) UnlinkIdentity(ctx context.Context, r *posternv1.UnlinkIdentityRequest) (*posternv1.UnlinkIdentityResponse, error) {
	in, err := s.in.UnlinkIdentity(r)
	if err != nil {
		return nil, err
	}
	if err := s.keeper.Unlink(ctx, who(ctx), in); err != nil {
		return nil, err
	}
	return &posternv1.UnlinkIdentityResponse{}, nil
}
