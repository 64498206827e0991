package export_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/audit/export/format"
	"github.com/postern-audit/postern/audit/export/redisjobs"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/internal/blob"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/seal"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

const partitions = 2

// names are keyed names over a keyset.
type names struct{ n *seal.Namer }

func (n names) ExportRequest(caller, method, parent, requestID string, canonical []byte) export.Request {
	return export.Request{Key: n.n.NameStrings("call", caller, method, parent, requestID), Digest: n.n.Name("asks", canonical)}
}

func (n names) ExportLink(parts ...[]byte) [32]byte { return n.n.Name("link", parts...) }

// base is what a process has of an installation in a directory.
type base struct {
	dir     string
	client  redis.UniversalClient
	sets    *seal.Keysets
	keyring *seal.Keyring
	codec   *codec.Codec
	archive *sqlite.Archive
	jobs    *export.Jobs
	files   *blob.Disk
	ahead   atomic.Int64 // of the clock
	log     lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (b *base) now() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())).UTC() }

func openBase(ctx context.Context, dir string, client redis.UniversalClient) (*base, error) {
	b := &base{dir: dir, client: client}
	var err error
	if b.sets, err = seal.LoadOrCreate(dir); err != nil {
		return nil, err
	}
	b.keyring = b.sets.Keyring(0)
	b.codec = codec.New(b.keyring)
	if b.archive, err = sqlite.Open(ctx, filepath.Join(dir, "archive.db"), b.now); err != nil {
		return nil, err
	}
	store, err := redisjobs.New(redisjobs.Config{Client: client, Reader: client, Partitions: partitions, Codec: b.codec})
	if err != nil {
		return nil, err
	}
	if b.files, err = blob.NewDisk(filepath.Join(dir, "files")); err != nil {
		return nil, err
	}
	b.jobs = &export.Jobs{
		Store: store, Reader: b.archive, Namer: names{b.sets.Namer()}, Sealer: b.keyring, NewID: func() string { return uuid.Must(uuid.NewV7()).String() },
		Random: func(p []byte) { _, _ = rand.Read(p) }, Now: b.now, Keep: 7 * 24 * time.Hour,
		Ready: func(context.Context, string) error { return nil },
	}
	return b, nil
}

// config is that of a worker.
func (b *base) config(holder string) export.WorkerConfig {
	return export.WorkerConfig{
		Jobs: b.jobs, Files: b.files, Directory: filepath.Join(b.dir, "making"),
		Query: func(filter []byte, uid string) (audit.Query, error) {
			f, err := convert.ReadExportFilter(filter)
			if err != nil {
				return audit.Query{}, err
			}
			return convert.Events(f, uid, b.keyring)
		},
		Open: b.codec.Open, Encoder: format.New, Schema: format.Schema, SettleAt: 32 << 10, Holder: holder, Log: slog.New(slog.NewTextHandler(&b.log, nil)),
		Broken: func(err error) { panic(err) },
		Manifest: export.Manifest{Version: "test", History: b.archive, Policy: func([]byte, int64) ([]byte, error) { return []byte(`{}`), nil },
			Filter: format.FilterJSON, Event: format.EventJSON},
	}
}

// rig is a base in a test.
type rig struct {
	*base
	t     testing.TB
	epoch map[int]audit.Epoch
	count int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := embedded.Open(t.Context(), embedded.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return rigOn(t, s.Client(-1))
}

func rigOn(t testing.TB, client redis.UniversalClient) *rig {
	t.Helper()
	b, err := openBase(t.Context(), t.TempDir(), client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.archive.Close() })
	return &rig{base: b, t: t, epoch: map[int]audit.Epoch{}}
}

// organization mints one.
func (r *rig) organization() string {
	r.t.Helper()
	uid := r.jobs.NewID()
	k, err := r.keyring.Mint(uid)
	if err == nil {
		err = r.keyring.Add(k)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	key, err := json.Marshal(k)
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, "key-"+uid), key, 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return uid
}

// record puts events of an organization on the record, each changed as asked.
func (r *rig) record(uid string, n int, change func(i int, e *audit.Event)) {
	r.t.Helper()
	keys, err := redisx.NewKeys(partitions)
	if err != nil {
		r.t.Fatal(err)
	}
	p := keys.Partition(uid)
	if r.epoch[p] == 0 {
		if r.epoch[p], err = r.archive.Take(r.t.Context(), p, "test"); err != nil {
			r.t.Fatal(err)
		}
	}
	const batch = 2000
	for from := 0; from < n; from += batch {
		var entries []audit.Entry
		for i := from; i < min(n, from+batch); i++ {
			r.count++
			at := r.now().Truncate(time.Millisecond)
			e := audit.Event{
				ID: r.jobs.NewID(), Type: audit.TypePasswordVerified, Time: at, Organization: "acme", OrganizationUID: uid, Site: "wiki", SiteUID: "site",
				Outcome: audit.OutcomeSuccess, Method: "password", Class: audit.ClassExternal,
				Personal: audit.Personal{Email: fmt.Sprintf("guest%d@example.com", i), IP: "203.0.113.7", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"},
			}
			if change != nil {
				change(i, &e)
			}
			if err := r.codec.SealEvent(&e); err != nil {
				r.t.Fatal(err)
			}
			raw, err := r.codec.Encode(&e)
			if err != nil {
				r.t.Fatal(err)
			}
			entries = append(entries, audit.Entry{OutboxID: fmt.Sprintf("%d-%d", at.UnixMilli(), r.count), RecordedTime: at, Event: e, Raw: raw})
		}
		if _, err := r.archive.Append(r.t.Context(), audit.Batch{Partition: p, Epoch: r.epoch[p], Entries: entries}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// ask asks for an export.
func (r *rig) ask(uid string, f export.Format, filter *posternv1.EventFilter) *export.Job {
	r.t.Helper()
	b, err := proto.Marshal(filter)
	if err != nil {
		r.t.Fatal(err)
	}
	job, err := r.jobs.Create(r.t.Context(), "unix:0", export.NewJob{OrganizationUID: uid, Organization: "acme", Format: f, Asked: b, Filter: b, RequestID: r.jobs.NewID(), Reason: "a canary in the reason"})
	if err != nil {
		r.t.Fatal(err)
	}
	return job
}

// worker starts one; it ends with the test.
func (r *rig) worker(change func(*export.WorkerConfig)) *export.Worker {
	r.t.Helper()
	c := r.config("test/" + r.jobs.NewID())
	if change != nil {
		change(&c)
	}
	w, err := export.NewWorker(c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.jobs.Wake = w.Wake
	w.Start()
	r.t.Cleanup(w.Stop)
	return w
}

// await waits until an export stands as wanted.
func (r *rig) await(job *export.Job, want func(*export.Job) bool) *export.Job {
	r.t.Helper()
	var last *export.Job
	until(r.t, func() bool {
		got, err := r.jobs.Store.Job(r.t.Context(), job.OrganizationUID, job.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		last = got
		return want(got)
	}, func() string { return fmt.Sprintf("export is %+v\n%s", last, r.log.String()) })
	return last
}

func (r *rig) over(job *export.Job) *export.Job {
	r.t.Helper()
	return r.await(job, func(j *export.Job) bool { return j.State.Over() })
}

// until waits for something, with a bound far beyond what it takes.
func until(t testing.TB, ok func() bool, what func() string) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("it did not come: %s", what())
		}
	}
}

// content is what a link leads to.
func (r *rig) content(link string) []byte {
	r.t.Helper()
	f, _, err := r.jobs.Fetch(r.t.Context(), r.files, link)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = f.Content.Close() }()
	b, err := io.ReadAll(f.Content)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// events are those that wait in the organization's outbox, opened.
func (r *rig) events(uid string) []audit.Event {
	r.t.Helper()
	keys, err := redisx.NewKeys(partitions)
	if err != nil {
		r.t.Fatal(err)
	}
	var out []audit.Event
	for _, m := range r.client.XRange(r.t.Context(), keys.Of(uid).Outbox(), "-", "+").Val() {
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

func (r *rig) types(uid string) []audit.Type {
	var out []audit.Type
	for _, e := range r.events(uid) {
		out = append(out, e.Type)
	}
	return out
}

func sum(b []byte) string { return hex.EncodeToString(b) }
