package redisstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/redisstore"
	"github.com/postern-audit/postern/authflow/storetest"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/internal/testkit/faultproxy"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/redisdirectory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEmbeddedStoreConforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storetest.Harness { return newRig(t, embeddedServer(t)).harness(t) })
}

func TestRealRedisConforms(t *testing.T) {
	server := redistest.Start(t)
	storetest.Run(t, func(t *testing.T) *storetest.Harness {
		if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return newRig(t, realServer(server)).harness(t)
	})
}

// A cluster of one node: it refuses scripts whose keys are not in one slot, and is reached by the cluster client.
func TestRedisClusterConforms(t *testing.T) {
	node := redistest.Start(t, redistest.Set("cluster-enabled", "yes"))
	if err := node.Client().ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	c, err := redisx.NewScripts(redisx.Options{Mode: redisx.Cluster, Addresses: []string{node.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ready, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for c.Set(ready, "postern:{00}:ready", 1, 0).Err() != nil { // until the node calls the cluster whole
		if ready.Err() != nil {
			t.Fatal("the cluster does not come up")
		}
	}
	storetest.Run(t, func(t *testing.T) *storetest.Harness {
		if err := c.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		s := realServer(node)
		s.client = func(testing.TB) redis.UniversalClient { return c }
		return newRig(t, s).harness(t)
	})
}

// server is a Redis under test.
type server struct {
	client func(t testing.TB) redis.UniversalClient // without retries
	dial   func() (net.Conn, error)
}

func embeddedServer(t testing.TB) server {
	s, err := embedded.Open(t.Context(), embedded.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return server{client: func(testing.TB) redis.UniversalClient { return s.Client(-1) }, dial: s.Dial}
}

func realServer(s *redistest.Server) server {
	return server{
		client: func(t testing.TB) redis.UniversalClient { return clientAt(t, s.Addr()) },
		dial:   func() (net.Conn, error) { return net.Dial("tcp", s.Addr()) },
	}
}

func clientAt(t testing.TB, addr string) redis.UniversalClient {
	t.Helper()
	c, err := redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{addr}, PoolSize: 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// rig is a server with the keysets of one installation.
type rig struct {
	server    server
	sets      *seal.Keysets
	client    redis.UniversalClient
	store     *redisstore.Store
	directory *redisdirectory.Directory
	keyring   *seal.Keyring
	codec     *codec.Codec
}

const partitions = 4

func newRig(t testing.TB, s server) *rig {
	t.Helper()
	sets, err := seal.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{server: s, sets: sets, client: s.client(t)}
	r.store, r.directory, r.keyring = r.process(t, r.client)
	r.codec = codec.New(r.keyring)
	return r
}

// process is what one process has: nothing in it is shared but the keysets.
func (r *rig) process(t testing.TB, client redis.UniversalClient) (*redisstore.Store, *redisdirectory.Directory, *seal.Keyring) {
	t.Helper()
	keyring := r.sets.Keyring(0)
	cache := redisdirectory.NewCache(keyring)
	c := codec.New(keyring)
	d, err := redisdirectory.New(redisdirectory.Config{
		Client: client, Reader: client, Partitions: partitions, Codec: c, Keys: keyring, Cache: cache, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := redisstore.New(redisstore.Config{
		Client: client, Reader: client, Partitions: partitions, Codec: c, Keyring: keyring, Namer: r.sets.Namer(), Cache: cache, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, d, keyring
}

func (r *rig) harness(t *testing.T) *storetest.Harness {
	t.Helper()
	second, _, _ := r.process(t, r.client)
	h := &storetest.Harness{
		Store: r.store, Second: second, Outbox: r.store.Outbox(), Source: r.store.Source(r.client), Codec: r.codec, Now: time.Now,
		Partition: r.store.Partition, Touched: r.store.Touched, Organization: func(t *testing.T, id string) *policy.Organization { return r.organization(t, id) }, MovePolicy: r.movePolicy,
		Domain: func(t *testing.T, o *policy.Organization, d policy.DomainRecord) {
			r.change(t, policy.Change{Organization: r.current(t, o), AddDomains: []policy.DomainRecord{d}})
		},
		Claim: func(t *testing.T, o *policy.Organization, c policy.ClaimRecord) {
			r.change(t, policy.Change{Organization: r.current(t, o), AddClaims: []policy.ClaimRecord{c}})
		},
		Spoil: r.spoil, Dump: r.dump, Expires: r.expires, PersonExpires: r.personExpires, CopySession: r.copySession, Lossy: r.lossy, Unreachable: r.unreachable,
	}
	return h
}

func (r *rig) change(t testing.TB, c policy.Change) {
	t.Helper()
	if _, _, err := r.directory.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) current(t testing.TB, o *policy.Organization) *policy.Organization {
	t.Helper()
	now, err := r.directory.Organization(t.Context(), o.UID)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func (r *rig) organization(t testing.TB, id string) *policy.Organization {
	t.Helper()
	o := &policy.Organization{ID: id, UID: uuid.Must(uuid.NewV7()).String(), DisplayName: strings.ToUpper(id)}
	key, err := r.keyring.Mint(o.UID)
	if err != nil {
		t.Fatal(err)
	}
	o.Key = key
	if o.UID, err = r.directory.Reserve(t.Context(), id, o.UID); err != nil {
		t.Fatal(err)
	}
	r.change(t, policy.Change{Organization: o, WritePolicy: true})
	return r.current(t, o)
}

func (r *rig) movePolicy(t *testing.T, o *policy.Organization) *policy.Organization {
	t.Helper()
	next := *r.current(t, o)
	next.Policy.Stops.External = !next.Policy.Stops.External
	r.change(t, policy.Change{Organization: &next, WritePolicy: true})
	// Read by a process of its own, so that the one under test still has the old record.
	_, d, _ := r.process(t, r.client)
	now, err := d.Organization(t.Context(), o.UID)
	if err != nil {
		t.Fatal(err)
	}
	return now
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

// dump writes down every key, whatever its type.
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
		switch kind := r.client.Type(ctx, k).Val(); kind {
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
		default:
			t.Fatalf("a key of type %s", kind)
		}
		fmt.Fprintf(&b, "%s %q expires %t\n", k, fmt.Sprint(v), r.client.PTTL(ctx, k).Val() > 0)
	}
	return b.String()
}

func (r *rig) expires(t *testing.T, uid string, id authflow.FlowID) time.Duration {
	t.Helper()
	d, err := r.client.PTTL(t.Context(), r.store.FlowKey(uid, id.String())).Result()
	if err != nil {
		t.Fatal(err)
	}
	return max(d, 0)
}

func (r *rig) personExpires(t *testing.T, uid string, key policy.AccountKey) time.Duration {
	t.Helper()
	d, err := r.client.PTTL(t.Context(), r.store.PersonKey(uid, key)).Result()
	if err != nil {
		t.Fatal(err)
	}
	return max(d, 0)
}

func (r *rig) copySession(t *testing.T, uid string, from, to [32]byte) {
	t.Helper()
	v, err := r.client.Get(t.Context(), r.store.SessionKey(uid, from)).Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.client.Set(t.Context(), r.store.SessionKey(uid, to), v, 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) lossy(t *testing.T) (authflow.Store, func(bool)) {
	t.Helper()
	p := faultproxy.New(t, r.server.dial)
	c := clientAt(t, p.Addr())
	if err := c.Ping(t.Context()).Err(); err != nil { // connections are made before replies are lost
		t.Fatal(err)
	}
	s, _, keyring := r.process(t, c)
	r.know(t, keyring)
	return s, func(on bool) {
		p.LoseReplies(on)
		if !on && p.Lost() == 0 {
			t.Error("no reply was lost")
		}
	}
}

// know gives a keyring all keys, so that its store has nothing to read before it commits.
func (r *rig) know(t *testing.T, keyring *seal.Keyring) {
	t.Helper()
	all, err := r.directory.Organizations(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		if err := keyring.Add(r.current(t, &o).Key); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) unreachable(t *testing.T) authflow.Store {
	t.Helper()
	p := faultproxy.New(t, func() (net.Conn, error) { return nil, context.Canceled })
	p.Close() // its port is free, and nobody listens there
	s, _, keyring := r.process(t, clientAt(t, p.Addr()))
	r.know(t, keyring)
	return s
}
