// Package rediskeys keeps API keys in Redis: it implements apikey.Store.
//
// Purpose: one hash of an organization's keys by id, one of their last uses, and for a short while the sealed secret of a new key,
// all in the organization's partition. Invariant: a change and its event are one script, which checks everything before it writes
// anything. It must never hold a secret in clear, nor judge whether a key is good. First file to read: this one, then key.lua.
package rediskeys

import (
	"cmp"
	"context"
	"crypto/subtle"
	_ "embed" // the scripts
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

var (
	//go:embed key.lua
	keyText string
	//go:embed used.lua
	usedText string
	//go:embed again.lua
	againText string
)

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

// Store implements apikey.Store. Safe for concurrent use.
type Store struct {
	client, reader redis.UniversalClient
	keys           *redisx.Keys
	codec          Encoder
	commit, used   *redisx.Script
	again          *redisx.Script
}

var _ apikey.Store = (*Store)(nil)

// New returns a store, or an error that names the missing part.
func New(c Config) (*Store, error) {
	if c.Client == nil || c.Reader == nil || c.Codec == nil {
		return nil, errs.New(errs.Internal, "STORE_CONFIG", "rediskeys: a part is missing")
	}
	keys, err := redisx.NewKeys(c.Partitions)
	if err != nil {
		return nil, err
	}
	return &Store{client: c.Client, reader: c.Reader, keys: keys, codec: c.Codec, commit: redisx.NewScript(keyText), used: redisx.NewScript(usedText),
		again: redisx.NewScript(againText)}, nil
}

// Commit implements apikey.Store.
func (s *Store) Commit(ctx context.Context, c apikey.Change) (string, error) {
	if c.Event.OrganizationUID != c.OrganizationUID || c.Before != nil && c.After == nil {
		return "", errs.New(errs.Internal, "API_KEY_CHANGE", "rediskeys: the change does not hold together")
	}
	var id, before, answer string
	var record []byte
	var err error
	if c.After != nil {
		id = c.After.ID.String()
		if record, err = encode(c.After); err != nil {
			return "", err
		}
	}
	if c.Before != nil {
		before = c.Before.Version
	}
	event, err := s.codec.Encode(&c.Event)
	if err != nil {
		return "", err
	}
	if answer = id; id == "" {
		answer = c.Event.ID
	}
	kept, err := redisx.Marshal(&storev1.KeyAnswerRecord{Request: c.Request.Digest[:], Id: answer})
	if err != nil {
		return "", err
	}
	space := s.keys.Of(c.OrganizationUID)
	call := redisx.NewCall(15 + len(c.Drop))
	call.Key(space.APIKeys(c.OrganizationUID), space.Outbox(), space.Once(c.Request.Key), space.APIKeyUses(c.OrganizationUID),
		space.APIKeySecret(c.OrganizationUID, id))
	call.Arg(id, before, record, event, kept, answeredFor.Milliseconds(), c.Secret, apikey.SecretFor.Milliseconds(), apikey.MaxKeys, len(c.Drop))
	for _, d := range c.Drop {
		call.Arg(d.String())
	}
	reply, err := s.commit.Run(ctx, s.client, call)
	if err != nil {
		return "", err
	}
	return committed(redisx.NewReply(reply), c.Request)
}

// committed reads what the script answered.
func committed(r *redisx.Reply, request policy.ApplyKey) (string, error) {
	switch r.Text(0) {
	case "OK":
		return "", nil
	case "REPEATED":
		return answerOf(r.Text(1), request)
	case "FULL":
		return "", errs.Newf(errs.ResourceExhausted, "API_KEY_LIMIT",
			"an organization has at most %d API keys, those that ended in the last 90 days included", apikey.MaxKeys)
	case "CONFLICT":
		return "", errs.New(errs.Conflict, "API_KEY_MOVED", "the API key has changed meanwhile; read it again")
	}
	return "", cmp.Or(r.Err(), error(errs.New(errs.Internal, "STORE_REPLY", "the store answered in a form this version does not know")))
}

// answerOf reads what a call was answered with, and refuses another request under its id.
func answerOf(text string, request policy.ApplyKey) (string, error) {
	var m storev1.KeyAnswerRecord
	if err := redisx.Unmarshal([]byte(text), &m); err != nil {
		return "", err
	}
	if subtle.ConstantTimeCompare(m.GetRequest(), request.Digest[:]) != 1 {
		return "", errs.New(errs.AlreadyExists, "REQUEST_ID_REUSED", "this request id was used for another request")
	}
	return m.GetId(), nil
}

// Answered implements apikey.Store.
func (s *Store) Answered(ctx context.Context, organizationUID string, request policy.ApplyKey) (string, error) {
	text, err := s.reader.Get(ctx, s.keys.Of(organizationUID).Once(request.Key)).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return "", nil
	case err != nil:
		return "", redisx.ReadFailed(err)
	}
	return answerOf(text, request)
}

// Key implements apikey.Store.
func (s *Store) Key(ctx context.Context, organizationUID string, id apikey.ID) (*apikey.Key, error) {
	space := s.keys.Of(organizationUID)
	var record, used *redis.StringCmd
	_, err := s.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
		record = p.HGet(ctx, space.APIKeys(organizationUID), id.String())
		used = p.HGet(ctx, space.APIKeyUses(organizationUID), id.String())
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, redisx.ReadFailed(err)
	}
	if errors.Is(record.Err(), redis.Nil) {
		return nil, errs.New(errs.NotFound, "API_KEY_NOT_FOUND", "the organization has no such API key")
	}
	key, err := decode(organizationUID, id, record.Val())
	if err != nil {
		return nil, err
	}
	key.Used, err = usedAt(used.Val())
	return key, err
}

// Keys implements apikey.Store.
func (s *Store) Keys(ctx context.Context, organizationUID string) ([]apikey.Key, error) {
	space := s.keys.Of(organizationUID)
	var records, uses *redis.MapStringStringCmd
	_, err := s.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
		records, uses = p.HGetAll(ctx, space.APIKeys(organizationUID)), p.HGetAll(ctx, space.APIKeyUses(organizationUID))
		return nil
	})
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	out := make([]apikey.Key, 0, len(records.Val()))
	for name, record := range records.Val() {
		id, err := apikey.ParseID(name)
		if err != nil {
			return nil, malformed()
		}
		key, err := decode(organizationUID, id, record)
		if err != nil {
			return nil, err
		}
		if key.Used, err = usedAt(uses.Val()[name]); err != nil {
			return nil, err
		}
		out = append(out, *key)
	}
	slices.SortFunc(out, func(a, b apikey.Key) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	return out, nil
}

// Secret implements apikey.Store.
func (s *Store) Secret(ctx context.Context, organizationUID string, id apikey.ID) ([]byte, error) {
	b, err := s.reader.Get(ctx, s.keys.Of(organizationUID).APIKeySecret(organizationUID, id.String())).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, redisx.ReadFailed(err)
	}
	return b, nil
}

// Used implements apikey.Store.
func (s *Store) Used(ctx context.Context, organizationUID string, id apikey.ID, at time.Time) error {
	space := s.keys.Of(organizationUID)
	call := redisx.NewCall(5)
	call.Key(space.APIKeys(organizationUID), space.APIKeyUses(organizationUID), space.APIKeySecret(organizationUID, id.String()))
	call.Arg(id.String(), at.UnixMilli())
	_, err := s.used.Run(ctx, s.client, call)
	return err
}

// RevokeAgain ends a key that the record of events says was revoked, and that an older store has back. It writes no event, and
// reports whether the key was there and good.
func (s *Store) RevokeAgain(ctx context.Context, organizationUID string, id apikey.ID, at time.Time) (bool, error) {
	key, err := s.Key(ctx, organizationUID, id)
	if errs.KindOf(err) == errs.NotFound {
		return false, nil
	}
	if err != nil || !key.Revoked.IsZero() {
		return false, err
	}
	before := key.Version
	key.Revoked = at
	record, err := encode(key)
	if err != nil {
		return false, err
	}
	space := s.keys.Of(organizationUID)
	call := redisx.NewCall(5)
	call.Key(space.APIKeys(organizationUID), space.APIKeySecret(organizationUID, id.String()))
	call.Arg(id.String(), before, record)
	reply, err := s.again.Run(ctx, s.client, call)
	if err == nil && reply != "OK" {
		err = errs.New(errs.Conflict, "API_KEY_MOVED", "the API key has changed meanwhile; read it again")
	}
	return err == nil, err
}

func usedAt(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, malformed()
	}
	return time.UnixMilli(ms).UTC(), nil
}

func malformed() error {
	return errs.New(errs.Internal, "RECORD_MALFORMED", "a stored API key cannot be read")
}

func encode(k *apikey.Key) ([]byte, error) {
	m := &storev1.KeyRecord{
		DisplayName: k.DisplayName, Role: int32(k.Role), Detail: int32(k.Detail), Created: timestamppb.New(k.Created), Expires: timestamppb.New(k.Expires),
		Creator: k.Creator, Hash: k.Hash[:], Sandbox: k.Sandbox,
	}
	if !k.Revoked.IsZero() {
		m.Revoked = timestamppb.New(k.Revoked)
	}
	return redisx.Marshal(m)
}

func decode(organizationUID string, id apikey.ID, text string) (*apikey.Key, error) {
	var m storev1.KeyRecord
	if err := redisx.Unmarshal([]byte(text), &m); err != nil {
		return nil, err
	}
	if len(m.GetHash()) != 32 || m.GetRole() < 0 || m.GetRole() > 255 || m.GetDetail() < 0 || m.GetDetail() > 255 || m.GetExpires() == nil {
		return nil, malformed()
	}
	k := &apikey.Key{
		OrganizationUID: organizationUID, ID: id, DisplayName: m.GetDisplayName(),
		Role: apikey.Role(m.GetRole()), Detail: apikey.Detail(m.GetDetail()), //nolint:gosec // checked
		Created: m.GetCreated().AsTime(), Expires: m.GetExpires().AsTime(), Creator: m.GetCreator(), Hash: [32]byte(m.GetHash()), Version: text,
		Sandbox: m.GetSandbox(),
	}
	if m.GetRevoked() != nil {
		k.Revoked = m.GetRevoked().AsTime()
	}
	return k, nil
}
