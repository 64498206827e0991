package redisstore

import (
	"context"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/redisx"
)

// Forget takes a flow out of the live store without an event: for recovery alone, when the archive knows more of the flow
// than a store that was set back. Forgetting a flow that is not there does nothing.
func (s *Store) Forget(ctx context.Context, organizationUID string, flow authflow.FlowID, supportCode string) error {
	space := s.keys.Of(organizationUID)
	call := redisx.NewCall(5)
	call.Key(space.Flow(flow.String()), space.Deadlines(), space.Code(organizationUID, supportCode))
	call.Arg(redisx.Member(organizationUID, flow.String()), flow.String())
	_, err := s.scripts.forget.Run(ctx, s.client, call)
	return err
}
