package rediserasures

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/erasure"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// Held implements erasure.Live. Sessions are listed nowhere by account, so that the partition's node is gone through for them:
// nobody waits for it, and it happens once or twice for an erasure.
func (s *Store) Held(ctx context.Context, organizationUID string, account policy.AccountKey, limit int) ([]erasure.Item, error) {
	space := s.keys.Of(organizationUID)
	out, err := s.records(ctx, space, organizationUID, account)
	if err != nil {
		return nil, err
	}
	if len(out) < limit {
		if out, err = s.identities(ctx, space, organizationUID, account, limit, out); err != nil {
			return nil, err
		}
	}
	if len(out) < limit {
		if out, err = s.sessions(ctx, space, organizationUID, account, limit, out); err != nil {
			return nil, err
		}
	}
	return out[:min(len(out), limit)], nil
}

// records finds the authenticator and what is remembered.
func (s *Store) records(ctx context.Context, space redisx.Space, organizationUID string, account policy.AccountKey) ([]erasure.Item, error) {
	factor, memory := space.Authenticator(account), space.Person(account)
	var found [2]*redis.IntCmd
	var listed *redis.FloatCmd
	_, err := s.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
		found[0], found[1] = p.Exists(ctx, factor), p.Exists(ctx, memory)
		listed = p.ZScore(ctx, space.Authenticators(organizationUID), hex.EncodeToString(account[:]))
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, redisx.ReadFailed(err)
	}
	var out []erasure.Item
	if found[0].Val() > 0 || listed.Err() == nil {
		out = append(out, erasure.Item{Kind: erasure.KindAuthenticator, Key: factor, Index: space.Authenticators(organizationUID), Member: hex.EncodeToString(account[:])})
	}
	if found[1].Val() > 0 {
		out = append(out, erasure.Item{Kind: erasure.KindMemory, Key: memory})
	}
	return out, nil
}

// identities finds links. What stands there is compared when it goes: an identity may be another account's by then.
func (s *Store) identities(ctx context.Context, space redisx.Space, organizationUID string, account policy.AccountKey, limit int, out []erasure.Item) ([]erasure.Item, error) {
	index, prefix := space.Identities(organizationUID), hex.EncodeToString(account[:])
	names, err := s.reader.ZRangeArgs(ctx, redis.ZRangeArgs{Key: index, ByLex: true, Start: "[" + prefix + ":", Stop: "(" + prefix + ";", Count: int64(limit)}).Result()
	if err != nil || len(names) == 0 {
		return out, redisx.ReadFailed(err)
	}
	records := make([]*redis.StringCmd, len(names))
	keys := make([]string, len(names))
	_, err = s.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range names {
			var id [32]byte
			if _, err := hex.Decode(id[:], []byte(name[min(len(prefix)+1, len(name)):])); err != nil {
				return malformed()
			}
			keys[i] = space.Identity(id)
			records[i] = p.Get(ctx, keys[i])
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return out, redisx.ReadFailed(err)
	}
	for i, r := range records {
		var m storev1.LinkRecord
		if r.Err() != nil || redisx.Unmarshal([]byte(r.Val()), &m) != nil || string(m.GetAccountKey()) != string(account[:]) {
			continue // gone, or another account's by now
		}
		out = append(out, erasure.Item{Kind: erasure.KindIdentity, Key: keys[i], Expect: r.Val(), Index: index, Member: names[i]})
	}
	return out, nil
}

// sessions finds sessions and tokens.
func (s *Store) sessions(ctx context.Context, space redisx.Space, organizationUID string, account policy.AccountKey, limit int, out []erasure.Item) ([]erasure.Item, error) {
	node, err := s.node(ctx, space)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{} // a scan may name one twice
	for cursor := uint64(0); ; {
		names, next, err := node.Scan(ctx, cursor, space.Sessions(), scanned).Result()
		if err != nil {
			return nil, redisx.ReadFailed(err)
		}
		records := make([]*redis.StringCmd, len(names))
		if _, err = node.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, name := range names {
				records[i] = p.Get(ctx, name)
			}
			return nil
		}); err != nil && !errors.Is(err, redis.Nil) {
			return nil, redisx.ReadFailed(err)
		}
		for i, r := range records {
			if began, used, mine := sessionOf(r.Val(), organizationUID, account); r.Err() == nil && mine && !seen[names[i]] {
				seen[names[i]] = true
				out = append(out, erasure.Item{Kind: erasure.KindSession, Key: names[i], Began: began, Used: used})
			}
		}
		if cursor = next; cursor == 0 || len(out) >= limit {
			return out, nil
		}
	}
}

const scanned = 1000 // names looked at in one step of a scan

// node is where the partition lies.
func (s *Store) node(ctx context.Context, space redisx.Space) (redis.Cmdable, error) {
	cluster, ok := s.reader.(*redis.ClusterClient)
	if !ok {
		return s.reader, nil
	}
	node, err := cluster.MasterForKey(ctx, space.Erasing())
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	return node, nil
}

// sessionOf reports whether a session is an account's, when it began, and whether it was ever used: the record tells of the first use
// and of those that were news, not of those that were counted since. One that cannot be read is nobody's: it goes by itself.
func sessionOf(record, organizationUID string, account policy.AccountKey) (began time.Time, used, mine bool) {
	var m storev1.SessionRecord
	if redisx.Unmarshal([]byte(record), &m) != nil || m.GetOrganizationUid() != organizationUID || string(m.GetSubjectKey()) != string(account[:]) {
		return time.Time{}, false, false
	}
	return moment(m.GetStarted()), m.GetLastUse() != nil, true
}

// LiveUntil implements erasure.Live.
func (s *Store) LiveUntil(ctx context.Context, organizationUID string, bound time.Time) (time.Time, error) {
	start := "+inf"
	if !bound.IsZero() {
		start = strconv.FormatInt(bound.UnixMilli(), 10)
	}
	prefix := redisx.Member(organizationUID, "")
	for offset := int64(0); ; offset += scanned {
		found, err := s.reader.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: s.keys.Of(organizationUID).Deadlines(), ByScore: true, Rev: true,
			Start: start, Stop: "-inf", Offset: offset, Count: scanned}).Result()
		if err != nil {
			return time.Time{}, redisx.ReadFailed(err)
		}
		for _, z := range found {
			if member, ok := z.Member.(string); ok && strings.HasPrefix(member, prefix) {
				return time.UnixMilli(int64(z.Score)).UTC(), nil
			}
		}
		if len(found) < scanned {
			return time.Time{}, nil
		}
	}
}
