package redisstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
)

// Tallies returns the counters of an organization's sites and hours that are there, in one trip: those that were closed are in the
// outbox or the archive.
func (s *Store) Tallies(ctx context.Context, organizationUID string, siteUIDs []string, hours []time.Time) ([]authflow.DueTally, error) {
	var named []authflow.DueTally
	for _, site := range siteUIDs {
		for _, hour := range hours {
			named = append(named, authflow.DueTally{OrganizationUID: organizationUID, SiteUID: site, Hour: hour.UTC()})
		}
	}
	if len(named) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.MapStringStringCmd, len(named))
	_, err := s.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range named {
			cmds[i] = p.HGetAll(ctx, s.tallyKey(&named[i]))
		}
		return nil
	})
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	found := named[:0]
	for i, c := range cmds {
		d := named[i]
		if len(c.Val()) == 0 {
			continue
		}
		if err := fill(&d, c.Val()); err != nil {
			return nil, errs.Wrap(err, errs.Internal, "RECORD_MALFORMED", "a tally holds what is no number")
		}
		found = append(found, d)
	}
	return found, nil
}
