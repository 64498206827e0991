package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
)

// Subjects returns what is kept of subjects of an organization, in one pipelined trip and in the order of their keys. A subject of
// which nothing is kept has neither record.
func (s *Store) Subjects(ctx context.Context, organizationUID string, keys []policy.AccountKey) ([]authflow.SubjectRecords, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	space := s.keys.Of(organizationUID)
	cmds := make([]*redis.SliceCmd, 2*len(keys))
	_, err := s.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			cmds[2*i] = p.HMGet(ctx, space.Authenticator(k), "st", "s")
			cmds[2*i+1] = p.HMGet(ctx, space.Person(k), "st", "s")
		}
		return nil
	})
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	out := make([]authflow.SubjectRecords, len(keys))
	for i, k := range keys {
		found, err := s.subject(ctx, organizationUID, k, redisx.NewReply([]any{cmds[2*i].Val(), cmds[2*i+1].Val()}), 0)
		if err != nil {
			return nil, err
		}
		out[i] = *found
	}
	return out, nil
}
