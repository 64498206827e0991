package redisstore

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
)

var _ authflow.LinkStore = (*Store)(nil)

// maxLinks bounds one page of links.
const maxLinks = 1000

// linkName is how the list of an organization's links names one: by account, then by identity.
func linkName(account policy.AccountKey, identity authflow.IdentityKey) string {
	return hex.EncodeToString(account[:]) + ":" + hex.EncodeToString(identity[:])
}

// parseLinkName is the reverse of linkName.
func parseLinkName(name string) (account policy.AccountKey, identity authflow.IdentityKey, ok bool) {
	a, i, _ := strings.Cut(name, ":")
	if len(a) != hex.EncodedLen(len(account)) || len(i) != hex.EncodedLen(len(identity)) {
		return account, identity, false
	}
	_, errA := hex.Decode(account[:], []byte(a))
	_, errI := hex.Decode(identity[:], []byte(i))
	return account, identity, errA == nil && errI == nil
}

// Links implements authflow.LinkStore: one trip for the names, one for the records. A name whose record has gone, or is of
// another account by now, is passed over.
func (s *Store) Links(ctx context.Context, organizationUID string, account policy.AccountKey, after string, limit int) ([]authflow.Link, string, error) {
	start, stop, err := linkRange(account, after)
	if err != nil {
		return nil, "", err
	}
	limit = min(limit, maxLinks)
	var out []authflow.Link
	for len(out) < limit {
		want := limit - len(out)
		names, err := s.reader.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: s.keys.Of(organizationUID).Identities(organizationUID), ByLex: true, Start: start, Stop: stop, Count: int64(want) + 1,
		}).Result()
		if err != nil {
			return nil, "", redisx.ReadFailed(err)
		}
		more := len(names) > want
		names = names[:min(want, len(names))]
		if out, err = s.linked(ctx, organizationUID, names, out); err != nil || !more {
			return out, "", err
		}
		after = names[want-1]
		start = "(" + after
	}
	return out, after, nil
}

// linkRange is the part of the list that is asked for. A colon comes right before a semicolon.
func linkRange(account policy.AccountKey, after string) (start, stop string, err error) {
	start, stop = "-", "+"
	if account != (policy.AccountKey{}) {
		name := hex.EncodeToString(account[:])
		start, stop = "["+name+":", "("+name+";"
	}
	if after == "" {
		return start, stop, nil
	}
	of, _, ok := parseLinkName(after)
	if !ok || account != (policy.AccountKey{}) && of != account {
		return "", "", errs.New(errs.Internal, "LINK_PLACE", "that is no place in the list of links")
	}
	return "(" + after, stop, nil
}

// linked appends the links with these names to out.
func (s *Store) linked(ctx context.Context, organizationUID string, names []string, out []authflow.Link) ([]authflow.Link, error) {
	if len(names) == 0 {
		return out, nil
	}
	space := s.keys.Of(organizationUID)
	cmds := make([]*redis.StringCmd, len(names))
	accounts, identities := make([]policy.AccountKey, len(names)), make([]authflow.IdentityKey, len(names))
	for i, n := range names {
		var ok bool
		if accounts[i], identities[i], ok = parseLinkName(n); !ok {
			return nil, malformedLink(nil, "the list of links names no identity")
		}
	}
	_, _ = s.reader.Pipelined(ctx, func(p redis.Pipeliner) error { // every command has its error
		for i := range identities {
			cmds[i] = p.Get(ctx, space.Identity(identities[i]))
		}
		return nil
	})
	for i, c := range cmds {
		stored, err := c.Result()
		switch {
		case err == redis.Nil: //nolint:errorlint // the sentinel of go-redis, never wrapped
			continue
		case err != nil:
			return nil, redisx.ReadFailed(err)
		}
		l, err := s.decodeLink(ctx, organizationUID, identities[i], stored)
		if err != nil {
			return nil, err
		}
		if l != nil && l.AccountKey == accounts[i] {
			out = append(out, *l)
		}
	}
	return out, nil
}
