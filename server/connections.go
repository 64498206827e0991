package server

import (
	"cmp"
	"context"
	"slices"

	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/names"
	"github.com/postern-audit/postern/server/token"
)

// Connections changes the secrets of connections.
type Connections interface {
	// SetSecret gives a connection a secret and returns its organization as it is now. The same request id repeats nothing.
	SetSecret(ctx context.Context, principal string, in convert.ConnectionSecret) (*policy.Organization, error)
	// ClearSecret takes a connection's secret away and returns its organization as it is now.
	ClearSecret(ctx context.Context, principal string, in convert.ConnectionSecret) (*policy.Organization, error)
}

// ConnectionTester looks for what would keep people from signing in through a connection.
type ConnectionTester interface {
	// Test speaks with the provider, sends it nothing of a person, changes nothing, and ends with ctx. No finding holds a secret.
	Test(ctx context.Context, organizationUID string, c *policy.Connection) []policy.Finding
}

// GetConnection returns one connection.
func (s *directoryService) GetConnection(ctx context.Context, r *posternv1.GetConnectionRequest) (*posternv1.Connection, error) {
	organization, id, err := s.in.GetConnection(r)
	if err != nil {
		return nil, err
	}
	o, c, err := s.connection(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	return s.ConnectionOf(o, c), nil
}

// connection reads an organization and finds one of its connections.
func (s *directoryService) connection(ctx context.Context, organization, id string) (*policy.Organization, *policy.Connection, error) {
	o, err := s.organization(ctx, organization)
	if err != nil {
		return nil, nil, err
	}
	c, err := connectionOf(o, id)
	return o, c, err
}

func connectionOf(o *policy.Organization, id string) (*policy.Connection, error) {
	c := o.Connection(id)
	if c == nil {
		return nil, errs.New(errs.NotFound, "CONNECTION_NOT_FOUND", "there is no such connection in this organization")
	}
	return c, nil
}

// ListConnections returns a page of an organization's connections, by id.
func (s *directoryService) ListConnections(ctx context.Context, r *posternv1.ListConnectionsRequest) (*posternv1.ListConnectionsResponse, error) {
	organization, err := s.in.ListConnections(r)
	if err != nil {
		return nil, err
	}
	o, err := s.organization(ctx, organization)
	if err != nil {
		return nil, err
	}
	bound := [][]byte{[]byte("connections"), []byte(caller.From(ctx).Principal), []byte(o.UID)}
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
	page, more := connectionsAfter(o.Connections, after, convert.PageSize(r.GetPageSize()))
	out := &posternv1.ListConnectionsResponse{}
	for i := range page {
		out.Connections = append(out.Connections, s.ConnectionOf(o, &page[i]))
	}
	if more {
		out.NextPageToken = s.tokens.Seal(token.Page, []byte(page[len(page)-1].ID), bound...)
	}
	return out, nil
}

// connectionsAfter are up to size connections with ids behind one, in order, and whether there are more.
func connectionsAfter(all []policy.Connection, after string, size int) ([]policy.Connection, bool) {
	rest := slices.DeleteFunc(slices.Clone(all), func(c policy.Connection) bool { return c.ID <= after })
	slices.SortFunc(rest, func(a, b policy.Connection) int { return cmp.Compare(a.ID, b.ID) })
	if len(rest) > size {
		return rest[:size], true
	}
	return rest, false
}

// SetConnectionSecret gives a connection a secret.
func (s *directoryService) SetConnectionSecret(ctx context.Context, r *posternv1.SetConnectionSecretRequest) (*posternv1.Connection, error) {
	in, err := s.in.SetConnectionSecret(r)
	if err != nil {
		return nil, err
	}
	return s.changed(in.Connection)(s.Connections.SetSecret(ctx, caller.From(ctx).Principal, in))
}

// ClearConnectionSecret takes a connection's secret away.
func (s *directoryService) ClearConnectionSecret(ctx context.Context, r *posternv1.ClearConnectionSecretRequest) (*posternv1.Connection, error) {
	in, err := s.in.ClearConnectionSecret(r)
	if err != nil {
		return nil, err
	}
	return s.changed(in.Connection)(s.Connections.ClearSecret(ctx, caller.From(ctx).Principal, in))
}

// changed shows the connection of an organization that a change answered with.
func (s *directoryService) changed(id string) func(*policy.Organization, error) (*posternv1.Connection, error) {
	return func(o *policy.Organization, err error) (*posternv1.Connection, error) {
		if err != nil {
			return nil, err
		}
		c, err := connectionOf(o, id)
		if err != nil {
			return nil, err
		}
		return s.ConnectionOf(o, c), nil
	}
}

// TestConnection looks for what would keep people from signing in.
func (s *directoryService) TestConnection(ctx context.Context, r *posternv1.TestConnectionRequest) (*posternv1.TestConnectionResponse, error) {
	organization, id, err := s.in.TestConnection(r)
	if err != nil {
		return nil, err
	}
	if s.Tester == nil {
		return nil, errs.New(errs.Unimplemented, "METHOD_UNKNOWN_HERE", "this process speaks with no providers")
	}
	o, c, err := s.connection(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	return convert.Findings(s.Tester.Test(ctx, o.UID, c)), nil
}
