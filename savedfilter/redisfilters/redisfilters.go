// Package redisfilters keeps saved filters in Redis: it implements savedfilter.Store.
//
// Purpose: one hash of an organization's filters by id, in the organization's partition. Invariant: a change and its event are one script,
// which checks everything before it writes anything. It must never write what a filter says other than sealed with the organization's
// key, nor judge what it means. First file to read: this one, then filter.lua.
package redisfilters

import (
	"cmp"
	"context"
	"crypto/subtle"
	_ "embed" // the script
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	"github.com/postern-audit/postern/savedfilter"
)

//go:embed filter.lua
var filterText string

// answeredFor is how long a call is remembered.
const answeredFor = 24 * time.Hour

// Encoder writes events as the outbox takes them. codec.Codec is one.
type Encoder interface {
	Encode(e *audit.Event) ([]byte, error)
}

// Sealer encrypts with an organization's key. seal.Keyring is one.
type Sealer interface {
	EncryptSecret(organizationUID, recordID string, plain []byte) ([]byte, error)
	DecryptSecret(organizationUID, recordID string, sealed []byte) ([]byte, error)
}

// Config is what a store needs. Every field is needed.
type Config struct {
	Client     redis.UniversalClient // for scripts: redisx.NewScripts
	Reader     redis.UniversalClient // for reads: redisx.NewReader
	Partitions int
	Codec      Encoder
	Sealer     Sealer
}

// Store implements savedfilter.Store. Safe for concurrent use.
type Store struct {
	client, reader redis.UniversalClient
	keys           *redisx.Keys
	codec          Encoder
	sealer         Sealer
	commit         *redisx.Script
}

var _ savedfilter.Store = (*Store)(nil)

// New returns a store, or an error that names the missing part.
func New(c Config) (*Store, error) {
	if c.Client == nil || c.Reader == nil || c.Codec == nil || c.Sealer == nil {
		return nil, errs.New(errs.Internal, "STORE_CONFIG", "redisfilters: a part is missing")
	}
	keys, err := redisx.NewKeys(c.Partitions)
	if err != nil {
		return nil, err
	}
	return &Store{client: c.Client, reader: c.Reader, keys: keys, codec: c.Codec, sealer: c.Sealer, commit: redisx.NewScript(filterText)}, nil
}

// Commit implements savedfilter.Store.
func (s *Store) Commit(ctx context.Context, c savedfilter.Change) (bool, error) {
	if c.ID == "" || c.Event.OrganizationUID != c.OrganizationUID || c.Before == nil && c.After == nil {
		return false, errs.New(errs.Internal, "SAVED_FILTER_CHANGE", "redisfilters: the change does not hold together")
	}
	var before string
	var record []byte
	var err error
	if c.Before != nil {
		before = c.Before.Version
	}
	if c.After != nil {
		if record, err = s.encode(c.OrganizationUID, c.ID, c.After); err != nil {
			return false, err
		}
	}
	event, err := s.codec.Encode(&c.Event)
	if err != nil {
		return false, err
	}
	kept, err := redisx.Marshal(&storev1.SavedFilterAnswerRecord{Request: c.Request.Digest[:]})
	if err != nil {
		return false, err
	}
	space := s.keys.Of(c.OrganizationUID)
	call := redisx.NewCall(10)
	call.Key(space.SavedFilters(c.OrganizationUID), space.Outbox(), space.Once(c.Request.Key))
	call.Arg(c.ID, before, record, event, kept, answeredFor.Milliseconds(), savedfilter.MaxFilters)
	reply, err := s.commit.Run(ctx, s.client, call)
	if err != nil {
		return false, err
	}
	return committed(redisx.NewReply(reply), c.Request)
}

// committed reads what the script answered.
func committed(r *redisx.Reply, request policy.ApplyKey) (bool, error) {
	switch r.Text(0) {
	case "OK":
		return false, nil
	case "REPEATED":
		return true, same(r.Text(1), request)
	case "TAKEN":
		return false, errs.New(errs.AlreadyExists, "SAVED_FILTER_EXISTS", "the organization has a saved filter of this id")
	case "FULL":
		return false, errs.Newf(errs.ResourceExhausted, "SAVED_FILTER_LIMIT", "an organization has at most %d saved filters", savedfilter.MaxFilters)
	case "CONFLICT":
		return false, errs.New(errs.Conflict, "SAVED_FILTER_MOVED", "the saved filter has changed meanwhile; read it again")
	}
	return false, cmp.Or(r.Err(), error(errs.New(errs.Internal, "STORE_REPLY", "the store answered in a form this version does not know")))
}

// same refuses another request under the id of one that was answered.
func same(text string, request policy.ApplyKey) error {
	var m storev1.SavedFilterAnswerRecord
	if err := redisx.Unmarshal([]byte(text), &m); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(m.GetRequest(), request.Digest[:]) != 1 {
		return errs.New(errs.AlreadyExists, "REQUEST_ID_REUSED", "this request id was used for another request")
	}
	return nil
}

// Answered implements savedfilter.Store.
func (s *Store) Answered(ctx context.Context, organizationUID string, request policy.ApplyKey) (bool, error) {
	text, err := s.reader.Get(ctx, s.keys.Of(organizationUID).Once(request.Key)).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return false, nil
	case err != nil:
		return false, redisx.ReadFailed(err)
	}
	return true, same(text, request)
}

// Filter implements savedfilter.Store.
func (s *Store) Filter(ctx context.Context, organizationUID, id string) (*savedfilter.Filter, error) {
	text, err := s.reader.HGet(ctx, s.keys.Of(organizationUID).SavedFilters(organizationUID), id).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, errs.New(errs.NotFound, "SAVED_FILTER_NOT_FOUND", "the organization has no such saved filter")
	case err != nil:
		return nil, redisx.ReadFailed(err)
	}
	return s.decode(organizationUID, id, text)
}

// Filters implements savedfilter.Store.
func (s *Store) Filters(ctx context.Context, organizationUID string) ([]savedfilter.Filter, error) {
	records, err := s.reader.HGetAll(ctx, s.keys.Of(organizationUID).SavedFilters(organizationUID)).Result()
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	out := make([]savedfilter.Filter, 0, len(records))
	for id, text := range records {
		f, err := s.decode(organizationUID, id, text)
		if err != nil {
			return nil, err
		}
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b savedfilter.Filter) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// recordOf is what a sealed filter is bound to.
func recordOf(id string) string { return "saved-filter:" + id }

func (s *Store) encode(organizationUID, id string, f *savedfilter.Filter) ([]byte, error) {
	plain, err := redisx.Marshal(&storev1.SavedFilterContent{DisplayName: f.DisplayName, Filter: f.Content})
	if err != nil {
		return nil, err
	}
	sealed, err := s.sealer.EncryptSecret(organizationUID, recordOf(id), plain)
	if err != nil {
		return nil, err
	}
	return redisx.Marshal(&storev1.SavedFilterRecord{
		Sealed: sealed, Created: timestamppb.New(f.Created), Updated: timestamppb.New(f.Updated), Creator: f.Creator,
	})
}

// decode reads a record. One whose seal cannot be opened is still a filter: somebody has to see it in order to remove it.
func (s *Store) decode(organizationUID, id, text string) (*savedfilter.Filter, error) {
	var m storev1.SavedFilterRecord
	if err := redisx.Unmarshal([]byte(text), &m); err != nil {
		return nil, err
	}
	f := &savedfilter.Filter{
		OrganizationUID: organizationUID, ID: id, Created: m.GetCreated().AsTime(), Updated: m.GetUpdated().AsTime(), Creator: m.GetCreator(), Version: text,
	}
	plain, err := s.sealer.DecryptSecret(organizationUID, recordOf(id), m.GetSealed())
	if errs.Is(err, "KEY_UNKNOWN") {
		return nil, err
	}
	if err != nil {
		f.Unreadable = true
		return f, nil //nolint:nilerr // that is the answer
	}
	var content storev1.SavedFilterContent
	if err := redisx.Unmarshal(plain, &content); err != nil {
		return nil, err
	}
	f.DisplayName, f.Content = content.GetDisplayName(), content.GetFilter()
	return f, nil
}
