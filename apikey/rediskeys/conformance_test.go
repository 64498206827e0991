package rediskeys_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/apikey/apikeytest"
	"github.com/postern-audit/postern/apikey/rediskeys"
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/internal/testkit/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEmbeddedStoreConforms(t *testing.T) {
	apikeytest.Run(t, func(t *testing.T) *apikeytest.Harness {
		s, err := embedded.Open(t.Context(), embedded.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Kill)
		return newRig(t, s.Client(-1)).harness()
	})
}

func TestStoreOnRealRedisConforms(t *testing.T) {
	server := redistest.Start(t)
	c := scripts(t, server)
	apikeytest.Run(t, func(t *testing.T) *apikeytest.Harness {
		if err := c.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return newRig(t, c).harness()
	})
}

func scripts(t *testing.T, server *redistest.Server) redis.UniversalClient {
	t.Helper()
	c, err := redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{"unix:" + server.Socket()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// rig is a store on one Redis, with the keys of its organizations.
type rig struct {
	client  redis.UniversalClient
	sets    *seal.Keysets
	keyring *seal.Keyring
	codec   *codec.Codec
	names   *redisx.Keys
	store   *rediskeys.Store
	t       *testing.T
}

const partitions = 4

func newRig(t *testing.T, client redis.UniversalClient) *rig {
	t.Helper()
	sets, err := seal.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	names, err := redisx.NewKeys(partitions)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{client: client, sets: sets, keyring: sets.Keyring(0), names: names, t: t}
	r.codec = codec.New(r.keyring)
	r.store = r.open()
	return r
}

func (r *rig) open() *rediskeys.Store {
	r.t.Helper()
	s, err := rediskeys.New(rediskeys.Config{Client: r.client, Reader: r.client, Partitions: partitions, Codec: r.codec})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) harness() *apikeytest.Harness {
	return &apikeytest.Harness{Store: r.store, Second: r.open(), Organization: r.organization, Events: r.events, Dump: r.dump}
}

func (r *rig) organization(t *testing.T, _ string) string {
	t.Helper()
	uid := uuid.Must(uuid.NewV7()).String()
	k, err := r.keyring.Mint(uid)
	if err == nil {
		err = r.keyring.Add(k)
	}
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

func (r *rig) events(t *testing.T, uid string) []audit.Event {
	t.Helper()
	var out []audit.Event
	for _, m := range r.client.XRange(t.Context(), r.names.Of(uid).Outbox(), "-", "+").Val() {
		raw, _ := m.Values["e"].(string)
		e, err := r.codec.Decode([]byte(raw))
		if err == nil {
			err = r.codec.Open(&e)
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.OrganizationUID == uid {
			out = append(out, e)
		}
	}
	return out
}

// dump is everything there is, whatever its type.
func (r *rig) dump(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, key := range r.client.Keys(t.Context(), "*").Val() {
		var v any
		switch r.client.Type(t.Context(), key).Val() {
		case "hash":
			v = r.client.HGetAll(t.Context(), key).Val()
		case "stream":
			v = r.client.XRange(t.Context(), key, "-", "+").Val()
		case "string":
			v = r.client.Get(t.Context(), key).Val()
		}
		fmt.Fprintf(&out, "%s %v\n", key, v)
	}
	return out.String()
}
