package server

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// ConnectionChanges are the use cases that make, change and remove connections. They answer with the organization that has the connection.
// *directory.Resources implements it.
type ConnectionChanges interface {
	CreateConnection(ctx context.Context, principal string, in directory.ConnectionInput) (*policy.Organization, error)
	UpdateConnection(ctx context.Context, principal string, in directory.ConnectionInput) (*policy.Organization, error)
	DeleteConnection(ctx context.Context, principal string, in directory.ConnectionInput) error
}

// CreateConnection adds a connection.
func (s *directoryService) CreateConnection(ctx context.Context, r *posternv1.CreateConnectionRequest) (*posternv1.Connection, error) {
	in, err := s.in.CreateConnection(r)
	if err != nil {
		return nil, err
	}
	return s.changed(in.Connection.ID)(s.ConnectionChanges.CreateConnection(ctx, caller.From(ctx).Principal, in))
}

// UpdateConnection changes a connection.
func (s *directoryService) UpdateConnection(ctx context.Context, r *posternv1.UpdateConnectionRequest) (*posternv1.Connection, error) {
	in, err := s.in.UpdateConnection(r)
	if err != nil {
		return nil, err
	}
	return s.changed(in.Connection.ID)(s.ConnectionChanges.UpdateConnection(ctx, caller.From(ctx).Principal, in))
}

// DeleteConnection removes a connection.
func (s *directoryService) DeleteConnection(ctx context.Context, r *posternv1.DeleteConnectionRequest) (*emptypb.Empty, error) {
	in, err := s.in.DeleteConnection(r)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.ConnectionChanges.DeleteConnection(ctx, caller.From(ctx).Principal, in)
}
