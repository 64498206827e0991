package redisfilters_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	"github.com/postern-audit/postern/savedfilter"
	"github.com/postern-audit/postern/savedfilter/redisfilters"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// onBoth runs a case on the embedded store and on a real Redis.
func onBoth(t *testing.T, f func(*testing.T, *rig)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		s, err := embedded.Open(t.Context(), embedded.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Kill)
		f(t, newRig(t, s.Client(-1)))
	})
	t.Run("redis", func(t *testing.T) {
		server := redistest.Start(t)
		c, err := redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{"unix:" + server.Socket()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		f(t, newRig(t, c))
	})
}

// rig is the use cases on one Redis, with the keys of its organizations.
type rig struct {
	t       *testing.T
	client  redis.UniversalClient
	sets    *seal.Keysets
	keyring *seal.Keyring
	codec   *codec.Codec
	names   *redisx.Keys
	store   *redisfilters.Store
	filters *savedfilter.Filters
	now     time.Time
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
	r := &rig{t: t, client: client, sets: sets, keyring: sets.Keyring(0), names: names, now: time.UnixMilli(1_800_000_000_123).UTC()}
	r.codec = codec.New(r.keyring)
	r.store, err = redisfilters.New(redisfilters.Config{Client: client, Reader: client, Partitions: partitions, Codec: r.codec, Sealer: r.keyring})
	if err != nil {
		t.Fatal(err)
	}
	r.filters = &savedfilter.Filters{
		Store: r.store, Namer: naming.New(sets.Namer()), NewID: func() string { return uuid.Must(uuid.NewV7()).String() },
		Now:      func() time.Time { return r.now },
		Describe: func(content []byte) map[string]string { return map[string]string{"length": fmt.Sprint(len(content))} },
	}
	return r
}

// organization makes an organization whose key this process has.
func (r *rig) organization(id string) savedfilter.Organization {
	r.t.Helper()
	uid := uuid.Must(uuid.NewV7()).String()
	k, err := r.keyring.Mint(uid)
	if err == nil {
		err = r.keyring.Add(k)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return savedfilter.Organization{ID: id, UID: uid}
}

// events returns what waits in an organization's outbox, opened.
func (r *rig) events(uid string) []audit.Event {
	r.t.Helper()
	var out []audit.Event
	for _, m := range r.client.XRange(r.t.Context(), r.names.Of(uid).Outbox(), "-", "+").Val() {
		raw, _ := m.Values["e"].(string)
		e, err := r.codec.Decode([]byte(raw))
		if err == nil {
			err = r.codec.Open(&e)
		}
		if err != nil {
			r.t.Fatal(err)
		}
		if e.OrganizationUID == uid {
			out = append(out, e)
		}
	}
	return out
}

// dump is everything there is, whatever its type.
func (r *rig) dump() string {
	r.t.Helper()
	var out strings.Builder
	for _, key := range r.client.Keys(r.t.Context(), "*").Val() {
		var v any
		switch r.client.Type(r.t.Context(), key).Val() {
		case "hash":
			v = r.client.HGetAll(r.t.Context(), key).Val()
		case "stream":
			v = r.client.XRange(r.t.Context(), key, "-", "+").Val()
		case "string":
			v = r.client.Get(r.t.Context(), key).Val()
		}
		fmt.Fprintf(&out, "%s %v\n", key, v)
	}
	return out.String()
}
