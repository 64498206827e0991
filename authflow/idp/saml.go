package idp

import (
	"context"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/policy"
)

func (c *Client) request(context.Context, string, *policy.Connection, authflow.Beginning) (authflow.Redirect, error) {
	return authflow.Redirect{}, errProtocol
}

// Response implements authflow.Providers.
func (c *Client) Response(context.Context, string, *policy.Connection, authflow.Response) (federation.Identity, error) {
	return federation.Identity{}, errProtocol
}
