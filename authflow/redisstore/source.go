package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
)

// Source implements audit.Source on a store. It has a client of its own, so that an archiver that fetches much never waits
// for, or holds up, a sign-in's connection.
//
// There is no consumer group: what is archived is trimmed at once, so the head of a stream is the list of what is pending.
// Reads then write nothing, and a second reader only reads the same again; the epoch in the archive decides who may store it.
type Source struct {
	s      *Store
	client redis.UniversalClient
}

var _ audit.Source = (*Source)(nil)

// Source returns the archiver's side of the outboxes, on client (redisx.NewReader).
func (s *Store) Source(client redis.UniversalClient) *Source { return &Source{s, client} }

// Read implements audit.Source. A script looks at sizes where the entries are; like Lease's it goes as text.
func (o *Source) Read(ctx context.Context, partitions []int, limit, size int) (map[int][]audit.RawEntry, error) {
	cmds := make([]*redis.Cmd, len(partitions))
	_, _ = o.client.Pipelined(ctx, func(p redis.Pipeliner) error { // every command has its error
		for i, n := range partitions {
			cmds[i] = p.Eval(ctx, outboxHeadText, []string{o.s.keys.At(n).Outbox()}, limit, size)
		}
		return nil
	})
	out := make(map[int][]audit.RawEntry, len(partitions))
	var failed error
	for i, c := range cmds {
		entries, err := rawEntries(c)
		if err != nil {
			failed = redisx.ReadFailed(err)
			continue
		}
		if len(entries) > 0 {
			out[partitions[i]] = entries
		}
	}
	return out, failed
}

// rawEntries reads the script's answer. An entry without the field "e" is an empty record: the archiver keeps it as unreadable
// and goes on.
func rawEntries(c *redis.Cmd) ([]audit.RawEntry, error) {
	flat, err := c.StringSlice()
	if err != nil {
		return nil, err
	}
	entries := make([]audit.RawEntry, len(flat)/2)
	for i := range entries {
		entries[i].ID = flat[2*i]
		if data := flat[2*i+1]; data != "" {
			entries[i].Data = []byte(data)
		}
	}
	return entries, nil
}

// flowsPerCall bounds one run of done.lua.
const flowsPerCall = 500

// Done implements audit.Source: flows first, so that what is trimmed has had its flow looked after.
func (o *Source) Done(ctx context.Context, partition int, upTo string, ended []audit.EndedFlow) error {
	after, err := following(upTo)
	if err != nil {
		return err
	}
	for len(ended) > flowsPerCall {
		if err := o.done(ctx, partition, "", ended[:flowsPerCall]); err != nil {
			return err
		}
		ended = ended[flowsPerCall:]
	}
	return o.done(ctx, partition, after, ended)
}

func (o *Source) done(ctx context.Context, partition int, after string, ended []audit.EndedFlow) error {
	space := o.s.keys.At(partition)
	call := redisx.NewCall(4 + 2*len(ended))
	call.Key(space.Outbox(), space.Deadlines())
	for _, f := range ended {
		call.Key(space.Flow(f.Flow))
	}
	call.Arg(after, endedFor.Milliseconds())
	for _, f := range ended {
		call.Arg(redisx.Member(f.OrganizationUID, f.Flow))
	}
	_, err := o.s.scripts.done.Run(ctx, o.client, call)
	return err
}

// following is the stream id right after id.
func following(id string) (string, error) {
	ms, n, ok := strings.Cut(id, "-")
	number, err := strconv.ParseUint(n, 10, 64)
	if _, badTime := strconv.ParseUint(ms, 10, 64); !ok || err != nil || badTime != nil || number+1 == 0 {
		return "", errs.New(errs.Internal, "OUTBOX_ID", "not a stream id")
	}
	return fmt.Sprintf("%s-%d", ms, number+1), nil
}

// WrappedKey implements audit.Source.
func (o *Source) WrappedKey(ctx context.Context, organizationUID string) (audit.OrganizationKey, error) {
	return o.s.wrappedKey(ctx, organizationUID)
}

// Backlog implements audit.Source.
func (o *Source) Backlog(ctx context.Context, partitions []int) (int64, time.Time, error) {
	lengths := make([]*redis.IntCmd, len(partitions))
	heads := make([]*redis.XMessageSliceCmd, len(partitions))
	_, err := o.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, n := range partitions {
			outbox := o.s.keys.At(n).Outbox()
			lengths[i], heads[i] = p.XLen(ctx, outbox), p.XRangeN(ctx, outbox, "-", "+", 1)
		}
		return nil
	})
	if err != nil {
		return 0, time.Time{}, redisx.ReadFailed(err)
	}
	var count int64
	var oldest time.Time
	for i := range partitions {
		count += lengths[i].Val()
		if m := heads[i].Val(); len(m) > 0 {
			if t := recordedTime(m[0].ID); oldest.IsZero() || t.Before(oldest) {
				oldest = t
			}
		}
	}
	return count, oldest, nil
}

// ArchivedUntil implements audit.Source. The clock is read before the head: when the outbox is empty then, everything
// recorded before that moment has left it.
func (o *Source) ArchivedUntil(ctx context.Context, organizationUID string) (time.Time, error) {
	call := redisx.NewCall(1)
	call.Key(o.s.keys.Of(organizationUID).Outbox())
	reply, err := o.s.scripts.head.Run(ctx, o.client, call)
	if err != nil {
		return time.Time{}, redisx.ReadAgain(err)
	}
	r := redisx.NewReply(reply)
	at := recordedTime(r.Text(0))
	return at, r.Err()
}
