// Package redisjobs keeps exports in Redis: it implements export.Store.
//
// Purpose: one hash of an organization's exports by id, who makes them and until when, which are not over, and what is due in the
// partition. Invariant: a change and its event are one script, which checks everything before it writes anything. It must never hold a
// filter in clear, nor decide what an export becomes. First file to read: this one, then job.lua.
package redisjobs

import (
	"cmp"
	"context"
	"crypto/subtle"
	_ "embed" // the script
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

//go:embed job.lua
var jobText string

// answeredFor is how long a call is remembered. A link is good as long.
const answeredFor = export.LinkFor

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

// Store implements export.Store. Safe for concurrent use.
type Store struct {
	client, reader redis.UniversalClient
	keys           *redisx.Keys
	codec          Encoder
	commit         *redisx.Script
}

var _ export.Store = (*Store)(nil)

// New returns a store, or an error that names the missing part.
func New(c Config) (*Store, error) {
	if c.Client == nil || c.Reader == nil || c.Codec == nil {
		return nil, errs.New(errs.Internal, "STORE_CONFIG", "redisjobs: a part is missing")
	}
	keys, err := redisx.NewKeys(c.Partitions)
	if err != nil {
		return nil, err
	}
	return &Store{client: c.Client, reader: c.Reader, keys: keys, codec: c.Codec, commit: redisx.NewScript(jobText)}, nil
}

// write is a change as the script takes it.
type write struct {
	id, before            string
	record, event, answer []byte
	lease, unmade, due    string
	request               [32]byte
}

func (s *Store) write(c *export.Change) (*write, error) {
	if c.Event != nil && c.Event.OrganizationUID != c.OrganizationUID {
		return nil, errs.New(errs.Internal, "EXPORT_CHANGE", "redisjobs: the event is of another organization")
	}
	w := &write{}
	var err error
	if c.Before != nil {
		w.id, w.before = c.Before.ID, c.Before.Version
	}
	if c.After != nil {
		w.id = c.After.ID
		if w.record, err = encode(c.After); err != nil {
			return nil, err
		}
		if !c.After.State.Over() {
			w.unmade = "1"
		}
		c.After.Version = string(w.record)
	}
	if c.Event != nil {
		if w.event, err = s.codec.Encode(c.Event); err != nil {
			return nil, err
		}
	}
	if c.Request != nil {
		w.request = c.Request.Key
		if w.answer, err = redisx.Marshal(&storev1.ExportAnswerRecord{Request: c.Request.Digest[:], Id: c.Answer}); err != nil {
			return nil, err
		}
	}
	if c.Lease == export.LeaseTake {
		w.lease = "1"
	}
	if !c.Due.IsZero() {
		w.due = strconv.FormatInt(c.Due.UnixMilli(), 10)
	}
	return w, nil
}

// Commit implements export.Store.
func (s *Store) Commit(ctx context.Context, c export.Change) (string, error) {
	w, err := s.write(&c)
	if err != nil {
		return "", err
	}
	space, uid := s.keys.Of(c.OrganizationUID), c.OrganizationUID
	call := redisx.NewCall(22)
	call.Key(space.Exports(uid), space.Outbox(), space.Once(w.request), space.ExportLeases(uid), space.ExportsDue(), space.ExportsUnmade(uid))
	call.Arg(w.id, w.before, w.record, w.event, w.answer, answeredFor.Milliseconds(), c.Now.UnixMilli(), w.due, w.lease, export.MaxRunning, export.MaxJobs,
		redisx.Member(uid, w.id), export.MaxUnmade, w.unmade)
	reply, err := s.commit.Run(ctx, s.client, call)
	if err != nil {
		return "", err
	}
	return committed(redisx.NewReply(reply), c.Request)
}

// committed reads what the script answered.
func committed(r *redisx.Reply, request *export.Request) (string, error) {
	switch r.Text(0) {
	case "OK":
		return "", nil
	case "REPEATED":
		if request == nil {
			break
		}
		return answerOf(r.Text(1), *request)
	case "FULL":
		return "", errs.Newf(errs.ResourceExhausted, "EXPORT_LIMIT", "an organization has at most %d exports that are not made yet, and %d in all: wait, or delete some",
			export.MaxUnmade, export.MaxJobs)
	case "BUSY":
		return "", errs.Newf(errs.ResourceExhausted, "EXPORT_BUSY", "at most %d exports of an organization are made at once", export.MaxRunning)
	case "CONFLICT":
		return "", export.Moved()
	}
	return "", cmp.Or(r.Err(), error(errs.New(errs.Internal, "STORE_REPLY", "the store answered in a form this version does not know")))
}

// answerOf reads what a call was answered with, and refuses another request under its id.
func answerOf(text string, request export.Request) (string, error) {
	var m storev1.ExportAnswerRecord
	if err := redisx.Unmarshal([]byte(text), &m); err != nil {
		return "", err
	}
	if subtle.ConstantTimeCompare(m.GetRequest(), request.Digest[:]) != 1 {
		return "", errs.New(errs.AlreadyExists, "REQUEST_ID_REUSED", "this request id was used for another request")
	}
	return m.GetId(), nil
}

// Answered implements export.Store.
func (s *Store) Answered(ctx context.Context, organizationUID string, request export.Request) (string, error) {
	text, err := s.reader.Get(ctx, s.keys.Of(organizationUID).Once(request.Key)).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return "", nil
	case err != nil:
		return "", redisx.ReadFailed(err)
	}
	return answerOf(text, request)
}

// Job implements export.Store.
func (s *Store) Job(ctx context.Context, organizationUID, id string) (*export.Job, error) {
	text, err := s.reader.HGet(ctx, s.keys.Of(organizationUID).Exports(organizationUID), id).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, export.NotFound()
	case err != nil:
		return nil, redisx.ReadFailed(err)
	}
	return decode(organizationUID, id, text)
}

// Jobs implements export.Store.
func (s *Store) Jobs(ctx context.Context, organizationUID string) ([]export.Job, error) {
	all, err := s.reader.HGetAll(ctx, s.keys.Of(organizationUID).Exports(organizationUID)).Result()
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	out := make([]export.Job, 0, len(all))
	for id, text := range all {
		job, err := decode(organizationUID, id, text)
		if err != nil {
			return nil, err
		}
		out = append(out, *job)
	}
	slices.SortFunc(out, func(a, b export.Job) int { return cmp.Compare(b.ID, a.ID) })
	return out, nil
}

// Due implements export.Store.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]export.Due, error) {
	upTo := strconv.FormatInt(now.UnixMilli(), 10)
	found := make([]*redis.ZSliceCmd, s.keys.Partitions())
	_, err := s.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range found {
			found[i] = p.ZRangeByScoreWithScores(ctx, s.keys.At(i).ExportsDue(), &redis.ZRangeBy{Min: "-inf", Max: upTo, Count: int64(limit)})
		}
		return nil
	})
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	var all []redis.Z
	for _, f := range found {
		all = append(all, f.Val()...)
	}
	slices.SortStableFunc(all, func(a, b redis.Z) int { return cmp.Compare(a.Score, b.Score) })
	out := make([]export.Due, 0, len(all))
	for _, z := range all {
		member, _ := z.Member.(string)
		if uid, id, ok := strings.Cut(member, "/"); ok {
			out = append(out, export.Due{OrganizationUID: uid, ID: id})
		}
	}
	return out, nil
}
