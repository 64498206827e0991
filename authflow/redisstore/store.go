package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/redisdirectory"
)

// Keyring seals with the key of an organization and learns keys. seal.Keyring is one.
type Keyring interface {
	audit.Keys
	// SealBytes encrypts bytes for the record with this id.
	SealBytes(organizationUID, recordID string, clear []byte) (*audit.Sealed, error)
	// OpenBytes is the reverse of SealBytes.
	OpenBytes(organizationUID, recordID string, s *audit.Sealed) ([]byte, error)
}

// Namer makes keyed names: Redis never sees an account, a device or a handle. seal.Namer is one.
type Namer interface {
	NameStrings(purpose string, parts ...string) [32]byte
}

// Config is what a store needs. Every field is needed unless it says otherwise.
type Config struct {
	Client     redis.UniversalClient // for scripts: redisx.NewScripts
	Reader     redis.UniversalClient // for reads: redisx.NewReader
	Partitions int
	Codec      *codec.Codec
	Keyring    Keyring
	Namer      Namer
	Cache      *redisdirectory.Cache // shared with the directory
	Now        func() time.Time      // estimate of Redis' time: redisx.Clock.Now
}

// Store implements authflow.Store. Safe for concurrent use.
type Store struct {
	client   redis.UniversalClient
	shared   *redisx.Shared // of client, for commits
	reader   redis.UniversalClient
	keys     *redisx.Keys
	codec    *codec.Codec
	keyring  Keyring
	namer    Namer
	cache    *redisdirectory.Cache
	now      func() time.Time
	scripts  scripts
	prepared preparedPool
}

var _ authflow.Store = (*Store)(nil)

// New returns a store, or an error that names the missing part.
func New(c Config) (*Store, error) {
	for name, missing := range map[string]bool{
		"Client": c.Client == nil, "Reader": c.Reader == nil, "Codec": c.Codec == nil, "Keyring": c.Keyring == nil,
		"Namer": c.Namer == nil, "Cache": c.Cache == nil, "Now": c.Now == nil,
	} {
		if missing {
			return nil, errs.New(errs.Internal, "STORE_CONFIG", "redisstore: "+name+" is missing")
		}
	}
	keys, err := redisx.NewKeys(c.Partitions)
	if err != nil {
		return nil, err
	}
	return &Store{
		client: c.Client, shared: redisx.NewShared(c.Client, c.Partitions), reader: c.Reader, keys: keys, codec: c.Codec, keyring: c.Keyring, namer: c.Namer, cache: c.Cache,
		now: c.Now, scripts: newScripts(),
	}, nil
}

// Partition is the partition of an organization.
func (s *Store) Partition(organizationUID string) int { return s.keys.Partition(organizationUID) }

// Partitions is how many there are.
func (s *Store) Partitions() int { return s.keys.Partitions() }

// Drain refuses commits from now on and returns when those under way are back, or ctx ends.
func (s *Store) Drain(ctx context.Context) error { return s.shared.Drain(ctx) }

// needKey makes sure that the organization's key is known to this process, reading it once if it is not.
func (s *Store) needKey(ctx context.Context, organizationUID string) error {
	if s.keyring.Has(organizationUID) {
		return nil
	}
	key, err := s.wrappedKey(ctx, organizationUID)
	if err != nil {
		return err
	}
	return s.keyring.Add(key)
}

func (s *Store) wrappedKey(ctx context.Context, organizationUID string) (audit.OrganizationKey, error) {
	w, err := s.reader.HGet(ctx, s.keys.Of(organizationUID).Organization(organizationUID), "key").Bytes()
	switch {
	case err == redis.Nil: //nolint:errorlint // the sentinel of go-redis, never wrapped
		return audit.OrganizationKey{}, errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
	case err != nil:
		return audit.OrganizationKey{}, redisx.ReadFailed(err)
	}
	return audit.OrganizationKey{OrganizationUID: organizationUID, Wrapped: w}, nil
}

// nextStamp follows a stamp: one more, and eight bytes that nobody can have guessed or will make again.
func nextStamp(from policy.Stamp) (policy.Stamp, error) {
	var next policy.Stamp
	binary.BigEndian.PutUint64(next[:8], binary.BigEndian.Uint64(from[:8])+1)
	if _, err := rand.Read(next[8:]); err != nil {
		return policy.Stamp{}, errs.Wrap(err, errs.Internal, "NO_RANDOMNESS", "no random bytes")
	}
	return next, nil
}

// millis is how long until t, in whole milliseconds and at least one: Redis refuses other expiries.
func (s *Store) millis(t time.Time) int64 { return max(t.Sub(s.now()).Milliseconds(), 1) }
