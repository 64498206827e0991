package past_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/archiver"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/redisstore"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/past"
	"github.com/postern-audit/postern/policy/redisdirectory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fataler is what *testing.T and *rapid.T share.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// world is a directory on a real Redis with its archive.
type world struct {
	ctx       context.Context
	sets      *seal.Keysets
	keyring   *seal.Keyring
	client    redis.UniversalClient
	directory *redisdirectory.Directory
	flows     *redisstore.Store
	archive   *sqlite.Archive
	archiver  *archiver.Archiver
	past      *past.Past
	file      string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{ctx: t.Context(), file: filepath.Join(t.TempDir(), "archive.db")}
	var err error
	check := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w.client, err = redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{"unix:" + redistest.Start(t, redistest.NoPersistence()).Socket()}})
	check()
	t.Cleanup(func() { _ = w.client.Close() })
	w.sets, err = seal.LoadOrCreate(t.TempDir())
	check()
	w.archive, err = sqlite.Open(w.ctx, w.file, time.Now)
	check()
	t.Cleanup(func() { _ = w.archive.Close() })
	w.process(t)
	return w
}

// process makes what a process has in memory anew.
func (w *world) process(t *testing.T) {
	t.Helper()
	w.keyring = w.sets.Keyring(0)
	c, cache := codec.New(w.keyring), redisdirectory.NewCache(w.keyring)
	var err error
	check := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w.directory, err = redisdirectory.New(redisdirectory.Config{Client: w.client, Reader: w.client, Partitions: 2, Codec: c, Keys: w.keyring, Cache: cache, Now: time.Now})
	check()
	w.flows, err = redisstore.New(redisstore.Config{Client: w.client, Reader: w.client, Partitions: 2, Codec: c, Keyring: w.keyring, Namer: w.sets.Namer(), Cache: cache, Now: time.Now})
	check()
	source := w.flows.Source(w.client)
	w.archiver, err = archiver.New(archiver.Config{Source: source, Archive: w.archive, Codec: c, Keys: w.keyring, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Partitions: []int{0, 1}, Holder: "test"})
	check()
	w.past, err = past.New(past.Config{Archive: w.archive, Archived: source, Opener: c, Directory: w.directory, Recent: w.directory})
	check()
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func event(o *policy.Organization, typ audit.Type) audit.Event {
	return audit.Event{ID: newID(), Type: typ, Organization: o.ID, OrganizationUID: o.UID, Time: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC),
		Caller: "unix:7"}
}

// create makes an organization with one site.
func (w *world) create(t fataler, id string) *policy.Organization {
	t.Helper()
	o := &policy.Organization{ID: id, UID: newID(), DisplayName: id, Sites: []policy.Site{{ID: "wiki", UID: newID()}}}
	var err error
	if o.Key, err = w.keyring.Mint(o.UID); err != nil {
		t.Fatal(err)
	}
	w.commit(t, policy.Change{Organization: o, WritePolicy: true, Events: []audit.Event{event(o, audit.TypeOrganizationCreated)}})
	return w.current(t, o.UID)
}

func (w *world) commit(t fataler, c policy.Change) int64 {
	t.Helper()
	a, _, err := w.directory.Commit(w.ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return a.Revision
}

func (w *world) current(t fataler, uid string) *policy.Organization {
	t.Helper()
	o, err := w.directory.Organization(w.ctx, uid)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// revise commits another policy, for a reason.
func (w *world) revise(t fataler, o *policy.Organization, why string, change func(*policy.Organization)) *policy.Organization {
	t.Helper()
	next := *o
	change(&next)
	e := event(o, audit.TypePolicyUpdated)
	e.Personal.Detail = why
	w.commit(t, policy.Change{Organization: &next, WritePolicy: true, Events: []audit.Event{event(o, audit.TypeSiteUpdated), e}})
	return w.current(t, o.UID)
}

func (w *world) flush(t fataler) {
	t.Helper()
	if err := w.archiver.Flush(w.ctx); err != nil {
		t.Fatal(err)
	}
}

// moment is the time as Redis has it, after everything so far and before everything that follows.
func (w *world) moment(t fataler) time.Time {
	t.Helper()
	now := func() time.Time {
		at, err := w.client.Time(w.ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		return at.Truncate(time.Millisecond).UTC()
	}
	at := now()
	for !now().After(at) && w.ctx.Err() == nil { // a millisecond, by the clock that counts
	}
	return at
}

// read is what the live store says of a subject.
func (w *world) read(t fataler, uid string, keys policy.LookupKeys) policy.Records {
	t.Helper()
	r, err := w.flows.Read(w.ctx, authflow.Read{OrganizationUID: uid, Lookups: []policy.LookupKeys{keys}})
	if err != nil || len(r.Records) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	return r.Records[0]
}

func domain(t fataler, s string) policy.Domain {
	t.Helper()
	d, err := policy.ParseDomain(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
