package server

import (
	"context"
	"time"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/names"
	"github.com/postern-audit/postern/server/token"
)

// APIKeys is what KeyService and EmitTestEvent need.
type APIKeys struct {
	Keeper KeyKeeper
	MAC    token.MAC // of page tokens; see Query
}

// KeyKeeper are the use cases around API keys. *apikey.Keys implements it.
type KeyKeeper interface {
	Create(ctx context.Context, caller string, in apikey.NewKey) (apikey.Made, error)
	Get(ctx context.Context, organization string, id apikey.ID) (apikey.Key, error)
	List(ctx context.Context, organization string, after *apikey.ID, limit int) ([]apikey.Key, error)
	Revoke(ctx context.Context, caller string, in apikey.Revocation) (apikey.Key, error)
	Test(ctx context.Context, caller string, in apikey.TestEvent) (string, error)
}

// keyService keeps API keys.
type keyService struct {
	posternv1.UnsafeKeyServiceServer
	keeper KeyKeeper
	in     *convert.Converter
	tokens *token.Tokens
	now    func() time.Time
}

// CreateKey makes a key.
func (s *keyService) CreateKey(ctx context.Context, r *posternv1.CreateKeyRequest) (*posternv1.CreateKeyResponse, error) {
	in, err := s.in.CreateKey(r)
	if err != nil {
		return nil, err
	}
	made, err := s.keeper.Create(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return &posternv1.CreateKeyResponse{Key: convert.Key(in.Organization, &made.Key, s.now()), Secret: made.Token}, nil
}

// GetKey returns one key.
func (s *keyService) GetKey(ctx context.Context, r *posternv1.GetKeyRequest) (*posternv1.Key, error) {
	organization, id, err := s.in.GetKey(r)
	if err != nil {
		return nil, err
	}
	key, err := s.keeper.Get(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	return convert.Key(organization, &key, s.now()), nil
}

// ListKeys returns a page of an organization's keys, by id.
func (s *keyService) ListKeys(ctx context.Context, r *posternv1.ListKeysRequest) (*posternv1.ListKeysResponse, error) {
	organization, err := s.in.Parent(r)
	if err != nil {
		return nil, err
	}
	bound := [][]byte{[]byte("keys"), []byte(caller.From(ctx).Principal), []byte(organization)}
	var after *apikey.ID
	if r.GetPageToken() != "" {
		position, err := s.tokens.Open("page_token", token.Page, r.GetPageToken(), bound...)
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error
		}
		if len(position) != len(apikey.ID{}) {
			return nil, badToken("page_token")
		}
		after = new(apikey.ID)
		copy(after[:], position)
	}
	size := convert.PageSize(r.GetPageSize())
	list, err := s.keeper.List(ctx, organization, after, size+1)
	if err != nil {
		return nil, err
	}
	out := &posternv1.ListKeysResponse{}
	if len(list) > size {
		list = list[:size]
		out.NextPageToken = s.tokens.Seal(token.Page, list[size-1].ID[:], bound...)
	}
	now := s.now()
	for i := range list {
		out.Keys = append(out.Keys, convert.Key(organization, &list[i], now))
	}
	return out, nil
}

// RevokeKey ends a key.
func (s *keyService) RevokeKey(ctx context.Context, r *posternv1.RevokeKeyRequest) (*posternv1.Key, error) {
	in, err := s.in.RevokeKey(r)
	if err != nil {
		return nil, err
	}
	key, err := s.keeper.Revoke(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return convert.Key(in.Organization, &key, s.now()), nil
}

// EmitTestEvent writes an event that means nothing.
func (s *eventService) EmitTestEvent(ctx context.Context, r *posternv1.EmitTestEventRequest) (*posternv1.EmitTestEventResponse, error) {
	in, err := s.in.EmitTestEvent(r)
	if err != nil {
		return nil, err
	}
	if s.keys == nil {
		return nil, errs.New(errs.Unimplemented, "METHOD_UNKNOWN_HERE", "this process emits no test events")
	}
	id, err := s.keys.Keeper.Test(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return &posternv1.EmitTestEventResponse{Name: names.FormatEvent(in.Organization, id)}, nil
}
