package keeping_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/audit/pruner"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/keeping"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// archive is what both engines are here.
type archive interface {
	keeping.Archive
	audit.Archive
	audit.Reader
}

// engines runs a test on an archive of each engine, with a clock.
func engines(t *testing.T, run func(t *testing.T, a archive, clock *clock)) {
	t.Helper()
	server := pgtest.Start(t)
	for name, open := range map[string]func(t *testing.T, now func() time.Time) (archive, error){
		"SQLite": func(t *testing.T, now func() time.Time) (archive, error) {
			return sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "archive.db"), now)
		},
		"PostgreSQL": func(t *testing.T, now func() time.Time) (archive, error) {
			return postgres.Open(t.Context(), postgres.Options{URL: server.Database(), Connections: 4, Now: now})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &clock{now: time.Date(2031, 6, 1, 12, 0, 0, 0, time.UTC)}
			a, err := open(t, c.get)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			run(t, a, c)
		})
	}
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) get() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// directory holds organizations as they stand.
type directory struct {
	mu   sync.Mutex
	all  map[string]policy.Organization // by uid
	gone map[string]bool
	read func(uid string) error // asked before each read
}

func newDirectory(n int) *directory {
	d := &directory{all: map[string]policy.Organization{}, gone: map[string]bool{}}
	for i := range n {
		o := policy.Organization{ID: fmt.Sprintf("org-%04d", i), UID: fmt.Sprintf("01930000-0000-7000-8000-%012d", i)}
		d.all[o.UID] = o
	}
	return d
}

func uidOf(n int) string { return fmt.Sprintf("01930000-0000-7000-8000-%012d", n) }

// says sets for how long the record of an organization is to be kept.
func (d *directory) says(n, signIn int, hold bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.all[uidOf(n)]
	o.Retention = policy.Retention{Retention: audit.Retention{SignIn: signIn, Hold: hold}}
	d.all[o.UID] = o
}

func (d *directory) Organization(_ context.Context, uid string) (*policy.Organization, error) {
	d.mu.Lock()
	read := d.read
	o, ok := d.all[uid]
	ok = ok && !d.gone[uid]
	d.mu.Unlock()
	if read != nil {
		if err := read(uid); err != nil {
			return nil, err
		}
	}
	if !ok {
		return nil, errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
	}
	return &o, nil
}

func (d *directory) Cached(_ context.Context, uid string) (*policy.Organization, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o, ok := d.all[uid]; ok {
		return &o, nil
	}
	return nil, errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
}

func (d *directory) Organizations(_ context.Context, after string, limit int) (out []policy.Organization, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for uid, o := range d.all {
		if o.ID > after && !d.gone[uid] {
			out = append(out, policy.Organization{ID: o.ID, UID: o.UID}) // as a list has them
		}
	}
	slices.SortFunc(out, func(a, b policy.Organization) int { return strings.Compare(a.ID, b.ID) })
	return out[:min(limit, len(out))], nil
}

func newKeeping(t *testing.T, d *directory, a keeping.Archive) *keeping.Keeping {
	t.Helper()
	k, err := keeping.New(keeping.Config{Directory: d, Archive: a, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// add archives one sign-in event of each organization, made now.
func add(t *testing.T, a archive, now time.Time, organizations ...int) {
	t.Helper()
	epoch, err := a.Take(t.Context(), 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	b := audit.Batch{Partition: 0, Epoch: epoch}
	for _, n := range organizations {
		id := uuid.Must(uuid.NewV7())
		ms := now.UnixMilli()
		for i := range 6 {
			id[i] = byte(ms >> (8 * (5 - i)))
		}
		e := audit.Event{ID: id.String(), Type: audit.TypeSessionEnded, Time: now, RecordedTime: now, Organization: fmt.Sprintf("org-%04d", n), OrganizationUID: uidOf(n)}
		raw, err := codec.New(nil).Encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		b.Entries = append(b.Entries, audit.Entry{OutboxID: fmt.Sprintf("%d-%d", ms, n), RecordedTime: now, Event: e, Raw: raw})
	}
	if _, err := a.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func shown(t *testing.T, a archive, organization int) int {
	t.Helper()
	events, err := a.Events(t.Context(), audit.Query{OrganizationUID: uidOf(organization), Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return len(events)
}

func TestAShorterRetentionBindsReadersAMomentLater(t *testing.T) {
	engines(t, func(t *testing.T, a archive, c *clock) {
		d := newDirectory(2)
		add(t, a, c.get().Add(-48*time.Hour), 0, 1)
		add(t, a, c.get(), 0, 1)
		k := newKeeping(t, d, a)
		running, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(running) }()
		if n := shown(t, a, 0); n != 2 {
			t.Fatalf("%d events are shown before", n)
		}
		d.says(0, 1, false)
		k.Changed(uidOf(0))
		for deadline := time.Now().Add(20 * time.Second); shown(t, a, 0) != 1; {
			if time.Now().After(deadline) {
				t.Fatal("a retention of a day shows what is two days old")
			}
		}
		if n := shown(t, a, 1); n != 2 {
			t.Errorf("another organization is shown %d events", n)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestEveryRetentionIsCarriedAtTheStart(t *testing.T) {
	engines(t, func(t *testing.T, a archive, _ *clock) {
		const many = 520
		d := newDirectory(many)
		for n := range many {
			d.says(n, 1+n%300, n%7 == 0)
		}
		d.read = func(uid string) error {
			if uid == uidOf(3) {
				return errs.New(errs.Internal, "RECORD_MALFORMED", "it cannot be read")
			}
			return nil
		}
		if err := newKeeping(t, d, a).All(t.Context()); !errs.Is(err, "RECORD_MALFORMED") {
			t.Errorf("trouble with one is not told: %v", err)
		}
		for _, n := range []int{0, 2, 3, 499, 500, 501, many - 1} {
			want := audit.Retention{SignIn: 1 + n%300, Administration: 180, Activity: 180, Hold: n%7 == 0}
			if n == 3 {
				want = audit.StandardRetention()
			}
			if got, err := a.Retention(t.Context(), uidOf(n)); err != nil || got != want {
				t.Errorf("organization %d: %+v, want %+v, %v", n, got, want, err)
			}
		}
	})
}

// racing sets a retention in the directory each time one is stored.
type racing struct {
	archive
	set func()
}

func (r *racing) SetRetention(ctx context.Context, uid string, x audit.Retention) error {
	r.set()
	return r.archive.SetRetention(ctx, uid, x)
}

func TestWhatIsCarriedLastIsWhatTheDirectorySays(t *testing.T) {
	a, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "archive.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	d := newDirectory(1)
	d.says(0, 90, false)
	left := 2
	k := newKeeping(t, d, &racing{a, func() {
		if left--; left >= 0 {
			d.says(0, 30+left%100, false) // somebody changes it while it is carried
		}
	}})
	if err := k.One(t.Context(), uidOf(0)); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Retention(t.Context(), uidOf(0)); err != nil || got.SignIn != 30 {
		t.Errorf("%+v, %v", got, err)
	}
	left = 1 << 20
	d.says(0, 90, false)
	if err := k.One(t.Context(), uidOf(0)); errs.KindOf(err) != errs.Conflict {
		t.Errorf("one that never rests: %v", err)
	}
}

func TestADeletedOrganizationKeepsItsRetentionAndAnUnknownOneIsLeftAlone(t *testing.T) {
	a, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "archive.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	d := newDirectory(1)
	d.says(0, 30, false)
	d.gone[uidOf(0)] = true
	k := newKeeping(t, d, a)
	if err := k.One(t.Context(), uidOf(0)); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Retention(t.Context(), uidOf(0)); err != nil || got.SignIn != 30 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := k.One(t.Context(), uidOf(9)); err != nil {
		t.Error(err)
	}
}

// taken is an outbox that takes everything.
type taken struct{}

func (taken) Append(context.Context, string, ...audit.Event) error { return nil }

func TestAHoldSetAMomentBeforeKeepsThePrunerAway(t *testing.T) {
	engines(t, func(t *testing.T, a archive, c *clock) {
		d := newDirectory(1)
		d.says(0, 1, false)
		k := newKeeping(t, d, a)
		if err := k.All(t.Context()); err != nil {
			t.Fatal(err)
		}
		add(t, a, c.get(), 0)
		c.add(10 * 24 * time.Hour)
		p, err := pruner.New(pruner.Config{Archive: k.Keeper(), Outbox: taken{}, Log: slog.New(slog.DiscardHandler), Now: c.get})
		if err != nil {
			t.Fatal(err)
		}
		rounds := func() {
			t.Helper()
			for range 3 {
				if err := p.Round(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := p.Round(t.Context()); err != nil { // the first look
			t.Fatal(err)
		}
		d.says(0, 1, true) // nobody has told the archive
		rounds()
		if n := shown(t, a, 0); n != 1 {
			t.Fatalf("the hold came too late: %d events", n)
		}
		d.read = func(string) error { return errs.New(errs.Unavailable, "STORE_UNAVAILABLE", "away") }
		d.says(0, 1, false)
		if err := a.SetRetention(t.Context(), uidOf(0), audit.Retention{SignIn: 1, Administration: 1, Activity: 1}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_ = p.Round(t.Context()) // it cannot find out, and says so
		}
		if pruned, err := a.Pruned(t.Context(), uidOf(0)); err != nil || len(pruned) != 0 {
			t.Errorf("let go without having asked: %+v, %v", pruned, err)
		}
		d.read = nil
		rounds()
		if pruned, err := a.Pruned(t.Context(), uidOf(0)); err != nil || len(pruned) != 1 {
			t.Errorf("it does not end: %+v, %v", pruned, err)
		}
	})
}

func TestAMissingPartIsNamed(t *testing.T) {
	if _, err := keeping.New(keeping.Config{}); err == nil {
		t.Error("nothing is enough")
	}
}
