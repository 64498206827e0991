package redisdirectory_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	"github.com/postern-audit/postern/policy/directorytest"
	"github.com/postern-audit/postern/policy/redisdirectory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEmbeddedDirectoryConforms(t *testing.T) {
	directorytest.Run(t, func(t *testing.T) *directorytest.Harness {
		s, err := embedded.Open(t.Context(), embedded.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Kill)
		return newRig(t, s.Client(-1)).harness(t)
	})
}

func TestDirectoryOnRealRedisConforms(t *testing.T) {
	server := redistest.Start(t)
	c, err := redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{"unix:" + server.Socket()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	directorytest.Run(t, func(t *testing.T) *directorytest.Harness {
		if err := c.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return newRig(t, c).harness(t)
	})
}

type rig struct {
	client    redis.UniversalClient
	sets      *seal.Keysets
	directory *redisdirectory.Directory
	keyring   *seal.Keyring
}

func newRig(t *testing.T, client redis.UniversalClient) *rig {
	t.Helper()
	sets, err := seal.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{client: client, sets: sets}
	r.directory, r.keyring = r.process(t)
	return r
}

func (r *rig) process(t *testing.T) (*redisdirectory.Directory, *seal.Keyring) {
	t.Helper()
	keyring := r.sets.Keyring(0)
	d, err := redisdirectory.New(redisdirectory.Config{Client: r.client, Reader: r.client, Partitions: 4, Codec: codec.New(keyring),
		Keys: keyring, Cache: redisdirectory.NewCache(keyring), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return d, keyring
}

func (r *rig) harness(t *testing.T) *directorytest.Harness {
	t.Helper()
	second, _ := r.process(t)
	return &directorytest.Harness{
		Directory: r.directory, Second: second, Now: time.Now, Touched: r.directory.Touched, Partition: r.directory.Partition, Events: r.events, Spoil: r.spoil, Dump: r.dump,
		Mint: func(t *testing.T, uid string) audit.OrganizationKey {
			t.Helper()
			k, err := r.keyring.Mint(uid)
			if err != nil {
				t.Fatal(err)
			}
			return k
		},
	}
}

func (r *rig) events(t *testing.T, uid string) []audit.Event {
	t.Helper()
	c := codec.New(r.keyring)
	var out []audit.Event
	for _, m := range r.client.XRange(t.Context(), r.directory.Outbox(uid), "-", "+").Val() {
		raw, _ := m.Values["e"].(string)
		e, err := c.Decode([]byte(raw))
		if err == nil {
			err = c.Open(&e)
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

func (r *rig) spoil(t *testing.T, key string) func() {
	t.Helper()
	ctx := t.Context()
	if err := r.client.Del(ctx, key).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.client.RPush(ctx, key, "not what belongs here").Err(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := r.client.Del(ctx, key).Err(); err != nil {
			t.Error(err)
		}
	}
}

func (r *rig) dump(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	keys, err := r.client.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, k := range keys {
		var v any
		switch r.client.Type(ctx, k).Val() {
		case "string":
			v = r.client.Get(ctx, k).Val()
		case "hash":
			v = r.client.HGetAll(ctx, k).Val()
		case "zset":
			v = r.client.ZRangeWithScores(ctx, k, 0, -1).Val()
		case "stream":
			v = r.client.XRange(ctx, k, "-", "+").Val()
		case "list":
			v = r.client.LRange(ctx, k, 0, -1).Val()
		}
		fmt.Fprintf(&b, "%s %q\n", k, fmt.Sprint(v))
	}
	return b.String()
}
