package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/redisx"
)

// Forget removes a live flow that is older here than in the archive: the store was set back. It is for recovery alone, before
// anything is served; the archive then gets the flow's ending.
func (s *Store) Forget(ctx context.Context, organizationUID string, flow authflow.FlowID, supportCode string) error {
	space := s.keys.Of(organizationUID)
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRem(ctx, space.Deadlines(), redisx.Member(organizationUID, flow.String()))
		p.Del(ctx, space.Flow(flow.String()))
		p.Del(ctx, space.Code(organizationUID, supportCode))
		return nil
	})
	return redisx.Classify(err, true)
}
