// Package rediserasures keeps erasures in Redis, and finds what Redis keeps of an account: it implements erasure.Store and
// erasure.Live.
//
// Purpose: one record for each erasure in the organization's partition, a list of them, and what is due. Invariant: a step, what it
// takes away and its event are one script, which checks everything before it writes anything. It must never open a sealed part: an
// account is known by its keyed hash. First file to read: this one, then erasure.lua and held.go.
package rediserasures

import (
	"cmp"
	"context"
	"crypto/subtle"
	_ "embed" // the script
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/erasure"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

//go:embed erasure.lua
var erasureText string

// answeredFor is how long a call is remembered.
const answeredFor = 24 * time.Hour

// Encoder writes events as the outbox takes them. codec.Codec is one.
type Encoder interface {
	Encode(e *audit.Event) ([]byte, error)
}

// Config is what a store needs. Every field is needed.
type Config struct {
	Client     redis.UniversalClient // for scripts: redisx.NewScripts
	Reader     redis.UniversalClient // for reads: redisx.NewReader
	Partitions int
	Codec      Encoder
}

// Store implements erasure.Store and erasure.Live. Safe for concurrent use.
type Store struct {
	client, reader redis.UniversalClient
	keys           *redisx.Keys
	codec          Encoder
	commit         *redisx.Script
}

var (
	_ erasure.Store = (*Store)(nil)
	_ erasure.Live  = (*Store)(nil)
)

// New returns a store, or an error that names the missing part.
func New(c Config) (*Store, error) {
	if c.Client == nil || c.Reader == nil || c.Codec == nil {
		return nil, errs.New(errs.Internal, "STORE_CONFIG", "rediserasures: a part is missing")
	}
	keys, err := redisx.NewKeys(c.Partitions)
	if err != nil {
		return nil, err
	}
	return &Store{client: c.Client, reader: c.Reader, keys: keys, codec: c.Codec, commit: redisx.NewScript(erasureText)}, nil
}

// Commit implements erasure.Store.
func (s *Store) Commit(ctx context.Context, c *erasure.Change) (string, error) {
	e := &c.After
	record, err := encode(e)
	if err != nil {
		return "", err
	}
	var before, due, keep, forgotten string
	var answer, event []byte
	if c.Before != nil {
		before = c.Before.Version
	}
	if !e.Due.IsZero() {
		due = strconv.FormatInt(e.Due.UnixMilli(), 10)
	}
	if e.State == erasure.StateDone {
		keep = strconv.FormatInt(erasure.KeptFor.Milliseconds(), 10)
	}
	if c.Event != nil {
		if event, err = s.codec.Encode(c.Event); err != nil {
			return "", err
		}
	}
	space := s.keys.Of(e.OrganizationUID)
	name := space.Erasure(e.OrganizationUID, e.ID)
	answerKey := name // not used
	if c.Request != nil {
		if answer, err = redisx.Marshal(&storev1.KeyAnswerRecord{Request: c.Request.Digest[:], Id: e.ID}); err != nil {
			return "", err
		}
		answerKey = space.Once(c.Request.Key)
		forgotten = audit.FirstID(e.Requested.Add(-2 * erasure.KeptFor))
	}
	call := redisx.NewCall(16 + 4*len(c.Remove))
	call.Key(name, space.Erasures(e.OrganizationUID), space.Erasing(), space.Outbox(), answerKey)
	for i := range c.Remove {
		call.Key(c.Remove[i].Key, cmp.Or(c.Remove[i].Index, c.Remove[i].Key))
	}
	call.Arg(before, record, e.ID, redisx.Member(e.OrganizationUID, e.ID), due, answer, answeredFor.Milliseconds(), keep, forgotten, event)
	for i := range c.Remove {
		call.Arg(c.Remove[i].Expect, c.Remove[i].Member)
	}
	reply, err := s.commit.Run(ctx, s.client, call)
	if err != nil {
		return "", err
	}
	e.Version = string(record)
	r := redisx.NewReply(reply)
	switch r.Text(0) {
	case "OK":
		return "", nil
	case "REPEATED":
		return answerOf(r.Text(1), c.Request)
	case "CONFLICT":
		return "", errs.New(errs.Conflict, "ERASURE_MOVED", "the erasure has gone on meanwhile; read it again")
	}
	return "", cmp.Or(r.Err(), error(errs.New(errs.Internal, "STORE_REPLY", "the store answered in a form this version does not know")))
}

// answerOf reads what a call was answered with, and refuses another request under its id.
func answerOf(text string, request *policy.ApplyKey) (string, error) {
	var m storev1.KeyAnswerRecord
	if err := redisx.Unmarshal([]byte(text), &m); err != nil {
		return "", err
	}
	if subtle.ConstantTimeCompare(m.GetRequest(), request.Digest[:]) != 1 {
		return "", errs.New(errs.AlreadyExists, "REQUEST_ID_REUSED", "this request id was used for another request")
	}
	return m.GetId(), nil
}

// Erasure implements erasure.Store.
func (s *Store) Erasure(ctx context.Context, p erasure.Place) (*erasure.Erasure, error) {
	text, err := s.reader.Get(ctx, s.keys.Of(p.OrganizationUID).Erasure(p.OrganizationUID, p.ID)).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, errs.New(errs.NotFound, "ERASURE_NOT_FOUND", "the organization has no such erasure")
	case err != nil:
		return nil, redisx.ReadFailed(err)
	}
	return decode(p, text)
}

// Erasures implements erasure.Store. Those whose records have gone are passed over.
func (s *Store) Erasures(ctx context.Context, organizationUID, before string, limit int) ([]erasure.Erasure, error) {
	space := s.keys.Of(organizationUID)
	var out []erasure.Erasure
	for len(out) < limit {
		from := "+"
		if before != "" {
			from = "(" + before
		}
		want := limit - len(out)
		ids, err := s.reader.ZRangeArgs(ctx, redis.ZRangeArgs{Key: space.Erasures(organizationUID), ByLex: true, Rev: true, Start: from, Stop: "-", Count: int64(want)}).Result()
		if err != nil {
			return nil, redisx.ReadFailed(err)
		}
		if len(ids) == 0 {
			return out, nil
		}
		records := make([]*redis.StringCmd, len(ids))
		_, err = s.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, id := range ids {
				records[i] = p.Get(ctx, space.Erasure(organizationUID, id))
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, redisx.ReadFailed(err)
		}
		for i, r := range records {
			if errors.Is(r.Err(), redis.Nil) {
				continue
			}
			e, err := decode(erasure.Place{OrganizationUID: organizationUID, ID: ids[i]}, r.Val())
			if err != nil {
				return nil, err
			}
			out = append(out, *e)
		}
		if before = ids[len(ids)-1]; len(ids) < want {
			break
		}
	}
	return out, nil
}

// Due implements erasure.Store.
func (s *Store) Due(ctx context.Context, partitions []int, now time.Time, limit int) ([]erasure.Place, error) {
	cmds := make([]*redis.StringSliceCmd, len(partitions))
	_, _ = s.reader.Pipelined(ctx, func(p redis.Pipeliner) error { // every command has its error
		for i, n := range partitions {
			cmds[i] = p.ZRangeArgs(ctx, redis.ZRangeArgs{Key: s.keys.At(n).Erasing(), ByScore: true, Start: "-inf",
				Stop: strconv.FormatInt(now.UnixMilli(), 10), Count: int64(limit)})
		}
		return nil
	})
	var out []erasure.Place
	var failed error
	for _, c := range cmds {
		if c.Err() != nil {
			failed = redisx.ReadFailed(c.Err())
		}
		for _, member := range c.Val() {
			uid, id, _ := strings.Cut(member, "/")
			out = append(out, erasure.Place{OrganizationUID: uid, ID: id})
		}
	}
	return out, failed
}
