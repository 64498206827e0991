package redisstore

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
)

// leaseFor is how long a hint lasts.
const leaseFor = 10 * time.Second

// tallySite is the field of a tally that holds the site's id; counters have no "@" in their names.
const tallySite = "@site"

// Due implements authflow.Store.
func (s *Store) Due(ctx context.Context, partitions []int, now time.Time, limit int) ([]authflow.DueFlow, error) {
	found, failed := s.before(ctx, partitions, redisx.Space.Deadlines, now, limit)
	var due []authflow.DueFlow
	for _, members := range found {
		for _, m := range members {
			uid, flow, _ := strings.Cut(m, "/")
			id, err := authflow.ParseFlowID(flow)
			if err != nil {
				failed = malformed(err, "the deadlines name no flow") // the others are due all the same
				continue
			}
			due = append(due, authflow.DueFlow{OrganizationUID: uid, Flow: id})
		}
	}
	return due, failed
}

// before asks a sorted set of every partition, all at once, for what has a score of at most t.
// A node that cannot be reached is an error; what the others have comes back all the same.
func (s *Store) before(ctx context.Context, partitions []int, key func(redisx.Space) string, t time.Time, limit int) ([][]string, error) {
	if len(partitions) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.StringSliceCmd, len(partitions))
	_, err := s.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, n := range partitions {
			cmds[i] = p.ZRangeArgs(ctx, redis.ZRangeArgs{
				Key: key(s.keys.At(n)), ByScore: true, Start: "-inf", Stop: strconv.FormatInt(t.UnixMilli(), 10), Count: int64(limit),
			})
		}
		return nil
	})
	found := make([][]string, len(cmds))
	for i, c := range cmds {
		found[i] = c.Val()
	}
	return found, redisx.ReadFailed(err)
}

// DueTallies implements authflow.Store. An hour is closed one hour after it began.
func (s *Store) DueTallies(ctx context.Context, partitions []int, closed time.Time, limit int) ([]authflow.DueTally, error) {
	found, failed := s.before(ctx, partitions, redisx.Space.Tallies, closed.Add(-time.Hour), limit)
	var due []authflow.DueTally
	for _, members := range found {
		for _, m := range members {
			if t, err := tallyOf(m); err == nil {
				due = append(due, t)
			} else {
				failed = err
			}
		}
	}
	if len(due) == 0 {
		return nil, failed
	}
	cmds := make([]*redis.MapStringStringCmd, len(due))
	_, err := s.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range due {
			d := &due[i]
			cmds[i] = p.HGetAll(ctx, s.keys.Of(d.OrganizationUID).Tally(d.OrganizationUID, d.SiteUID, d.Hour))
		}
		return nil
	})
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	for i, c := range cmds {
		due[i].Site, due[i].Counts, err = counters(c.Val())
		if err != nil {
			return nil, err
		}
	}
	return due, failed
}

func tallyOf(member string) (authflow.DueTally, error) {
	uid, rest, _ := strings.Cut(member, "/")
	site, at, _ := strings.Cut(rest, "/")
	hour, err := time.Parse(redisx.TallyHour, at)
	if err != nil {
		return authflow.DueTally{}, malformed(err, "the tallies name no hour")
	}
	return authflow.DueTally{OrganizationUID: uid, SiteUID: site, Hour: hour}, nil
}

func counters(fields map[string]string) (site string, counts map[string]int64, err error) {
	counts = make(map[string]int64, len(fields))
	for f, v := range fields {
		if f == tallySite {
			site = v
			continue
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return "", nil, malformed(err, "a tally is no number")
		}
		counts[f] = n
	}
	return site, counts, nil
}

// CloseTally implements authflow.Store.
func (s *Store) CloseTally(ctx context.Context, t authflow.DueTally, e audit.Event) error {
	if err := s.needKey(ctx, t.OrganizationUID); err != nil {
		return err
	}
	encoded, err := s.codec.Encode(&e)
	if err != nil {
		return err
	}
	space := s.keys.Of(t.OrganizationUID)
	call := redisx.NewCall(6 + 2*len(t.Counts))
	call.Key(space.Tally(t.OrganizationUID, t.SiteUID, t.Hour), space.Tallies(), space.Outbox())
	call.Arg(tallyMember(t.OrganizationUID, t.SiteUID, t.Hour.UTC()), encoded, len(t.Counts))
	for f, n := range t.Counts {
		call.Arg(f, strconv.FormatInt(n, 10))
	}
	reply, err := s.scripts.closeTally.Run(ctx, s.client, call)
	switch {
	case err != nil:
		return err
	case reply == "OK":
		return nil
	default:
		return &authflow.Conflict{}
	}
}

// Lease implements authflow.Store. The script goes as text: it is short, and what is not known by name needs no second try.
func (s *Store) Lease(ctx context.Context, partitions []int, what, holder string) ([]bool, error) {
	if what == "" || strings.Contains(what, ":") {
		return nil, errs.New(errs.Internal, "LEASE_NAME", "a lease is named by one word")
	}
	held := make([]bool, len(partitions))
	if len(partitions) == 0 {
		return held, nil
	}
	cmds := make([]*redis.Cmd, len(partitions))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, n := range partitions {
			cmds[i] = p.Eval(ctx, leaseText, []string{s.keys.At(n).Lease(what)}, holder, leaseFor.Milliseconds())
		}
		return nil
	})
	for i, c := range cmds {
		held[i] = c.Val() == int64(1)
	}
	return held, redisx.ReadFailed(err) // a hint that was written without an answer harms nothing
}
