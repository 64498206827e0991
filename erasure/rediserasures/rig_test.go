package rediserasures_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/erasure"
	"github.com/postern-audit/postern/erasure/rediserasures"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const partitions = 4

// world is the use cases and a worker on one Redis, with an archive and a clock of the test's own.
type world struct {
	*testing.T
	client  redis.UniversalClient
	names   *redisx.Keys
	codec   *codec.Codec
	sets    *seal.Keysets
	store   *rediserasures.Store
	cases   *erasure.Erasures
	worker  *erasure.Worker
	archive *archive
	uids    map[string]string
	onHold  string // uid of the organization whose record is on hold
	now     time.Time
}

// archive has events that an erasure finds, three at a time, and fails when it is told to.
type archive struct {
	mu       sync.Mutex
	left     map[string]int // by organization uid
	archived time.Time
	fails    func() error
	asked    []audit.Erasure
}

func (a *archive) Erase(_ context.Context, e audit.Erasure) (int, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.fails(); err != nil {
		return 0, false, err
	}
	a.asked = append(a.asked, e)
	n := min(3, a.left[e.OrganizationUID])
	a.left[e.OrganizationUID] -= n
	return n, a.left[e.OrganizationUID] > 0, nil
}
func (a *archive) Forget(context.Context, string) error { return nil }
func (a *archive) Position(context.Context, string) (int64, time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return 77, time.Time{}, a.fails()
}
func (a *archive) ArchivedUntil(context.Context, string) (time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.archived, a.fails()
}
func (a *archive) Events(context.Context, audit.Query) ([]audit.Event, error) {
	return make([]audit.Event, 5), nil
}

// directory knows the organizations of a world.
type directory struct {
	policy.Directory
	w *world
}

func (d directory) Resolve(_ context.Context, id string) (string, error) {
	if uid := d.w.uids[id]; uid != "" {
		return uid, nil
	}
	return "", errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
}

func (d directory) Organization(_ context.Context, uid string) (*policy.Organization, error) {
	return &policy.Organization{UID: uid, Retention: policy.Retention{Retention: audit.Retention{Hold: uid == d.w.onHold}}}, nil
}

// each runs a test on the embedded store and on a real Redis.
func each(t *testing.T, run func(w *world)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		s, err := embedded.Open(t.Context(), embedded.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Kill)
		run(newWorld(t, s.Client(-1)))
	})
	t.Run("Redis", func(t *testing.T) {
		server := redistest.Start(t)
		c, err := redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{"unix:" + server.Socket()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		run(newWorld(t, c))
	})
}

func newWorld(t *testing.T, client redis.UniversalClient) *world {
	t.Helper()
	sets, err := seal.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	names, err := redisx.NewKeys(partitions)
	if err != nil {
		t.Fatal(err)
	}
	keyring := sets.Keyring(0)
	w := &world{T: t, client: client, names: names, codec: codec.New(keyring), sets: sets, uids: map[string]string{},
		now:     time.Date(2027, 1, 2, 8, 30, 0, 0, time.UTC),
		archive: &archive{left: map[string]int{}, fails: func() error { return nil }}}
	for _, id := range []string{"acme", "globex"} {
		uid := uuid.Must(uuid.NewV7()).String()
		k, err := keyring.Mint(uid)
		if err == nil {
			err = keyring.Add(k)
		}
		if err != nil {
			t.Fatal(err)
		}
		w.uids[id] = uid
	}
	if w.store, err = rediserasures.New(rediserasures.Config{Client: client, Reader: client, Partitions: partitions, Codec: w.codec}); err != nil {
		t.Fatal(err)
	}
	w.cases = &erasure.Erasures{Store: w.store, Live: w.store, Events: w.archive, Directory: directory{w: w}, Namer: naming.New(sets.Namer()), Sealer: keyring,
		NewID: newID, Now: func() time.Time { return w.now }, Wake: func() {}}
	w.worker = w.newWorker(w.store)
	return w
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (w *world) newWorker(store erasure.Store) *erasure.Worker {
	w.Helper()
	k, err := erasure.NewWorker(erasure.WorkerConfig{Store: store, Live: w.store, Archive: w.archive, Archived: w.archive, Directory: directory{w: w},
		Partitions: partitions, NewID: newID, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler), Broken: func(err error) { w.Error(err) }})
	if err != nil {
		w.Fatal(err)
	}
	return k
}

func (w *world) account(organization, id string) policy.AccountKey {
	return naming.New(w.sets.Namer()).AccountKey(w.uids[organization], id)
}

// put writes a record as Redis has it.
func (w *world) put(key string, m proto.Message) {
	w.Helper()
	b, err := redisx.Marshal(m)
	if err == nil {
		err = w.client.Set(w.Context(), key, b, 0).Err()
	}
	if err != nil {
		w.Fatal(err)
	}
}

// furnish gives an account one of everything, and two sessions.
func (w *world) furnish(organization, id string) {
	w.Helper()
	uid := w.uids[organization]
	space, account := w.names.Of(uid), w.account(organization, id)
	identity := [32]byte(append(account[:], account[:]...))
	w.put(space.Identity(identity), &storev1.LinkRecord{OrganizationUid: uid, AccountKey: account[:]})
	for n := range 2 {
		handle := identity
		handle[0] ^= byte(n + 1)
		w.put(space.Session(handle), &storev1.SessionRecord{OrganizationUid: uid, SubjectKey: account[:]})
	}
	ctx := w.Context()
	for _, err := range []error{
		w.client.HSet(ctx, space.Authenticator(account), "st", "1", "s", "x").Err(), w.client.HSet(ctx, space.Person(account), "st", "1", "s", "x").Err(),
		w.client.ZAdd(ctx, space.Authenticators(uid), redis.Z{Member: hex.EncodeToString(account[:])}).Err(),
		w.client.ZAdd(ctx, space.Identities(uid), redis.Z{Member: hex.EncodeToString(account[:]) + ":" + hex.EncodeToString(identity[:])}).Err(),
	} {
		if err != nil {
			w.Fatal(err)
		}
	}
}

// held counts what is kept of an account.
func (w *world) held(organization, id string) int {
	w.Helper()
	items, err := w.store.Held(w.Context(), w.uids[organization], w.account(organization, id), 100)
	if err != nil {
		w.Fatal(err)
	}
	return len(items)
}

func (w *world) request(n string) erasure.Request {
	w.Helper()
	a, err := policy.ParseUsableAddress("canary.alice@example.com")
	if err != nil {
		w.Fatal(err)
	}
	return erasure.Request{Organization: "acme", AccountID: "canary-alice", Email: a, Reason: "she asked", RequestID: n}
}

func (w *world) ask(n string) erasure.Erasure {
	w.Helper()
	e, err := w.cases.Erase(w.Context(), "unix:0", w.request(n))
	if err != nil {
		w.Fatal(err)
	}
	return e
}

func (w *world) get(id string) erasure.Erasure {
	w.Helper()
	e, err := w.cases.Get(w.Context(), "acme", id)
	if err != nil {
		w.Fatal(err)
	}
	return e
}

func (w *world) round() {
	w.Helper()
	if err := w.worker.Round(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// events are those in the outbox of an organization, opened.
func (w *world) events(organization string) []audit.Event {
	w.Helper()
	var out []audit.Event
	for _, m := range w.client.XRange(w.Context(), w.names.Of(w.uids[organization]).Outbox(), "-", "+").Val() {
		raw, _ := m.Values["e"].(string)
		e, err := w.codec.Decode([]byte(raw))
		if err == nil {
			err = w.codec.Open(&e)
		}
		if err != nil {
			w.Fatal(err)
		}
		if e.OrganizationUID == w.uids[organization] {
			out = append(out, e)
		}
	}
	return out
}

func (w *world) types() []audit.Type {
	var out []audit.Type
	for _, e := range w.events("acme") {
		out = append(out, e.Type)
	}
	return out
}

func (w *world) wantTypes(want ...audit.Type) {
	w.Helper()
	if got := w.types(); !slices.Equal(got, want) {
		w.Errorf("events %v, want %v", got, want)
	}
}

// dump is everything there is, whatever its type.
func (w *world) dump() string {
	var out strings.Builder
	for _, key := range w.client.Keys(w.Context(), "*").Val() {
		var v any
		switch w.client.Type(w.Context(), key).Val() {
		case "hash":
			v = w.client.HGetAll(w.Context(), key).Val()
		case "stream":
			v = w.client.XRange(w.Context(), key, "-", "+").Val()
		case "zset":
			v = w.client.ZRange(w.Context(), key, 0, -1).Val()
		case "string":
			v = w.client.Get(w.Context(), key).Val()
		}
		fmt.Fprintf(&out, "%s %v\n", key, v)
	}
	return out.String()
}

var errInjected = errors.New("injected")

func stamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }
