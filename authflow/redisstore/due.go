package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
)

// leaseFor is how long a hint lasts.
const leaseFor = 10 * time.Second

// Fields of a tally besides its counters, which have no "@" in their names.
const (
	tallySite  = "@site"  // the site's id
	tallyStamp = "@stamp" // of the flow that counted first: no other tally of this hour ever has it
)

// Due implements authflow.Store.
func (s *Store) Due(ctx context.Context, partitions []int, now time.Time, limit int) ([]authflow.DueFlow, error) {
	var t trouble
	var due []authflow.DueFlow
	for i, members := range s.before(ctx, partitions, redisx.Space.Deadlines, now, limit, &t) {
		for _, m := range members {
			uid, flow, _ := strings.Cut(m, "/")
			id, err := authflow.ParseFlowID(flow)
			if err != nil {
				t.skip(err, "an entry of "+s.keys.At(partitions[i]).Deadlines()+" names no flow")
				continue
			}
			due = append(due, authflow.DueFlow{OrganizationUID: uid, Flow: id})
		}
	}
	return due, t.err()
}

// trouble is what went wrong with some of many: what is broken is skipped, and what is away matters more.
type trouble struct{ away, broken error }

func (t *trouble) skip(cause error, why string) {
	if t.broken == nil {
		t.broken = malformed(cause, why)
	}
}

// read notes the error of one read, and reports whether there was none.
func (t *trouble) read(err error, key string) bool {
	switch {
	case err == nil:
		return true
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		t.skip(err, key+" is of another type")
	case t.away == nil:
		t.away = redisx.ReadFailed(err)
	}
	return false
}

func (t *trouble) err() error {
	if t.away != nil {
		return t.away
	}
	return t.broken
}

// before asks a sorted set of every partition, all at once, for what has a score of at most t.
// A node that cannot be reached is trouble; what the others have comes back all the same.
func (s *Store) before(ctx context.Context, partitions []int, key func(redisx.Space) string, until time.Time, limit int, t *trouble) [][]string {
	if len(partitions) == 0 {
		return nil
	}
	cmds := make([]*redis.StringSliceCmd, len(partitions))
	_, _ = s.reader.Pipelined(ctx, func(p redis.Pipeliner) error { // every command has its error
		for i, n := range partitions {
			cmds[i] = p.ZRangeArgs(ctx, redis.ZRangeArgs{
				Key: key(s.keys.At(n)), ByScore: true, Start: "-inf", Stop: strconv.FormatInt(until.UnixMilli(), 10), Count: int64(limit),
			})
		}
		return nil
	})
	found := make([][]string, len(cmds))
	for i, c := range cmds {
		if t.read(c.Err(), key(s.keys.At(partitions[i]))) {
			found[i] = c.Val()
		}
	}
	return found
}

// DueTallies implements authflow.Store. An hour is closed one hour after it began.
func (s *Store) DueTallies(ctx context.Context, partitions []int, closed time.Time, limit int) ([]authflow.DueTally, error) {
	var t trouble
	var named []authflow.DueTally
	for i, members := range s.before(ctx, partitions, redisx.Space.Tallies, closed.Add(-time.Hour), limit, &t) {
		for _, m := range members {
			d, err := tallyOf(m)
			if err != nil {
				t.skip(err, "an entry of "+s.keys.At(partitions[i]).Tallies()+" names no hour")
				continue
			}
			named = append(named, d)
		}
	}
	if len(named) == 0 {
		return nil, t.err()
	}
	cmds := make([]*redis.MapStringStringCmd, len(named))
	_, _ = s.reader.Pipelined(ctx, func(p redis.Pipeliner) error { // every command has its error
		for i := range named {
			cmds[i] = p.HGetAll(ctx, s.tallyKey(&named[i]))
		}
		return nil
	})
	due := named[:0]
	for i, c := range cmds {
		d := named[i]
		if !t.read(c.Err(), s.tallyKey(&d)) {
			continue
		}
		if err := fill(&d, c.Val()); err != nil {
			t.skip(err, s.tallyKey(&d)+" holds what is no number")
			continue
		}
		due = append(due, d)
	}
	return due, t.err()
}

func (s *Store) tallyKey(d *authflow.DueTally) string {
	return s.keys.Of(d.OrganizationUID).Tally(d.OrganizationUID, d.SiteUID, d.Hour)
}

func tallyOf(member string) (authflow.DueTally, error) {
	uid, rest, _ := strings.Cut(member, "/")
	site, at, _ := strings.Cut(rest, "/")
	hour, err := time.Parse(redisx.TallyHour, at)
	if err != nil {
		return authflow.DueTally{}, err
	}
	return authflow.DueTally{OrganizationUID: uid, SiteUID: site, Hour: hour}, nil
}

// fill takes the fields of a tally.
func fill(d *authflow.DueTally, fields map[string]string) error {
	d.Counts = make(map[string]int64, len(fields))
	for f, v := range fields {
		switch f {
		case tallySite:
			d.Site = v
		case tallyStamp:
			d.EventID = tallyEvent(d, v)
		default:
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return err
			}
			d.Counts[f] = n
		}
	}
	return nil
}

// tallyEvent is the id of the event that a tally becomes: a UUIDv7 of the hour's end whose random part is hashed from what no
// other tally has. However often the same counters are closed, as after a set-back, the archive keeps one event.
func tallyEvent(d *authflow.DueTally, stamp string) string {
	sum := sha256.Sum256([]byte("site.tallied/" + tallyMember(d.OrganizationUID, d.SiteUID, d.Hour) + "/" + stamp))
	var id uuid.UUID
	copy(id[6:], sum[:])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(d.Hour.Add(time.Hour).UnixMilli()))
	copy(id[:6], ms[2:])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id.String()
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
