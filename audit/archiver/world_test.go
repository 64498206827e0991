package archiver_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/archiver"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/internal/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const orgA, orgB = "0192f000-0000-7000-8000-00000000000a", "0192f000-0000-7000-8000-00000000000b"

// outbox is audit.Source in memory.
type outbox struct {
	mu      sync.Mutex
	entries map[int][]audit.RawEntry
	keys    map[string][]byte
	ended   []audit.EndedFlow
	reads   []time.Time
	asked   map[string]int
	added   []string              // ids of events, in order
	fail    func(op string) error // asked before each call
	count   int
	largest int // bytes asked for in one trip
}

func newOutbox() *outbox {
	return &outbox{entries: map[int][]audit.RawEntry{}, keys: map[string][]byte{orgA: []byte("a"), orgB: []byte("b")},
		asked: map[string]int{}, fail: func(string) error { return nil }}
}

// raw adds bytes to a partition's outbox and returns the entry's id.
func (o *outbox) raw(partition int, data []byte) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count++
	id := fmt.Sprintf("%d-%d", 1_700_000_000_000+o.count, o.count%3)
	o.entries[partition] = append(o.entries[partition], audit.RawEntry{ID: id, Data: data})
	return id
}

// event adds an event of organization A and returns it.
func (o *outbox) event(t testing.TB, partition int, change ...func(*audit.Event)) audit.Event {
	t.Helper()
	o.mu.Lock()
	n := len(o.added) + 1
	e := audit.Event{ID: fmt.Sprintf("01930000-0000-7000-8000-%012d", n), Type: audit.TypePolicyUpdated, Time: time.UnixMilli(1_700_000_000_000),
		Organization: "acme", OrganizationUID: orgA, Sealed: &audit.Sealed{Salt: []byte("s"), Data: []byte("d"), Digest: []byte("x")}}
	for _, c := range change {
		c(&e)
	}
	o.added = append(o.added, e.ID)
	o.mu.Unlock()
	raw, err := codec.New(nil).Encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	o.raw(partition, raw)
	return e
}

func (o *outbox) Read(ctx context.Context, partitions []int, limit, size int) (map[int][]audit.RawEntry, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reads = append(o.reads, time.Now())
	if err := o.fail("read"); err != nil {
		return nil, err
	}
	out := map[int][]audit.RawEntry{}
	o.largest = max(o.largest, size*len(partitions))
	for _, p := range partitions {
		left := size
		for i, e := range o.entries[p] {
			if left -= len(e.Data); i == limit || i > 0 && left < 0 {
				break
			}
			out[p] = append(out[p], e)
		}
	}
	return out, ctx.Err()
}

func (o *outbox) Done(_ context.Context, partition int, upTo string, ended []audit.EndedFlow) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.fail("done"); err != nil {
		return err
	}
	o.ended = append(o.ended, ended...)
	i := slices.IndexFunc(o.entries[partition], func(e audit.RawEntry) bool { return e.ID == upTo })
	o.entries[partition] = o.entries[partition][i+1:] // unknown: removed already, index -1 removes nothing
	return nil
}

func (o *outbox) WrappedKey(_ context.Context, uid string) (audit.OrganizationKey, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked[uid]++
	if err := o.fail("key"); err != nil {
		return audit.OrganizationKey{}, err
	}
	k, ok := o.keys[uid]
	if !ok {
		return audit.OrganizationKey{}, errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
	}
	return audit.OrganizationKey{OrganizationUID: uid, Wrapped: k}, nil
}

func (o *outbox) Backlog(_ context.Context, partitions []int) (n int64, oldest time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range partitions {
		n += int64(len(o.entries[p]))
	}
	return n, oldest, o.fail("backlog")
}

func (o *outbox) ArchivedUntil(context.Context, string) (time.Time, error) { return time.Time{}, nil }

// waiting counts what is left.
func (o *outbox) waiting() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.entries {
		n += len(e)
	}
	return n
}

// store is the real archive with a hook before each transaction.
type store struct {
	*sqlite.Archive
	before func(batches []audit.Batch) error
	sizes  [][]int // entries per batch, per transaction
}

func (s *store) AppendAll(ctx context.Context, batches []audit.Batch) ([]audit.Appended, error) {
	var sizes []int
	for _, b := range batches {
		sizes = append(sizes, len(b.Entries))
	}
	s.sizes = append(s.sizes, sizes)
	if s.before != nil {
		if err := s.before(batches); err != nil {
			return nil, err
		}
	}
	return s.Archive.AppendAll(ctx, batches)
}

// epoch is a clock by which nothing in these tests is past its retention: their outbox ids count from 1970.
func epoch() time.Time { return time.UnixMilli(0) }

func newStore(t testing.TB) *store {
	t.Helper()
	return openStore(t, filepath.Join(t.TempDir(), "postern.db"))
}

func openStore(t testing.TB, path string) *store {
	t.Helper()
	a, err := sqlite.Open(context.Background(), path, epoch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return &store{Archive: a}
}

// journal keeps what was logged and measured.
type journal struct {
	mu       sync.Mutex
	logs     []string
	failed   []string
	archived int
	backlogs []int64
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *journal) WithGroup(string) slog.Handler            { return j }
func (j *journal) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.logs = append(j.logs, r.Message)
	return nil
}

func (j *journal) Archived(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.archived += n
}

func (j *journal) Backlog(n int64, _ time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.backlogs = append(j.backlogs, n)
}

func (j *journal) Failed(reason string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed = append(j.failed, reason)
}

func (j *journal) logged(message string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.logs {
		if l == message {
			n++
		}
	}
	return n
}

// lease gives what the test says.
type lease struct {
	mu    sync.Mutex
	gives []int
	err   error
}

func (l *lease) Hold(context.Context, []int) ([]int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gives, l.err
}

func (l *lease) set(gives []int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gives, l.err = gives, err
}

func newArchiver(t testing.TB, o *outbox, s audit.Archive, change ...func(*archiver.Config)) (*archiver.Archiver, *journal) {
	t.Helper()
	j := &journal{}
	cfg := archiver.Config{Source: o, Archive: s, Codec: codec.New(nil), Metrics: j, Log: slog.New(j), Now: time.Now,
		Partitions: []int{0, 1, 2, 3}, Holder: "test"}
	for _, c := range change {
		c(&cfg)
	}
	a, err := archiver.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a, j
}

// check fails unless the archive holds exactly what the outbox was given, once, without gaps, and the outbox is empty.
func check(t testing.TB, o *outbox, s audit.Reader, organizations ...string) {
	t.Helper()
	if n := o.waiting(); n != 0 {
		t.Errorf("%d entries still wait", n)
	}
	var got []string
	for _, uid := range append(organizations, orgA) {
		events, err := s.Events(context.Background(), audit.Query{OrganizationUID: uid, Limit: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for i := range events {
			got = append(got, events[i].ID)
			if events[i].Sequence != int64(i+1) {
				t.Fatalf("event %d of %s has sequence %d", i+1, uid, events[i].Sequence)
			}
		}
	}
	want := slices.Clone(o.added)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("archived %d events:\n%v\nwant %d:\n%v", len(got), got, len(want), want)
	}
}

// pass lets time go by inside a synctest bubble and waits until everybody has done what there was to do.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// run runs a until the returned stop is called; stop waits for its end.
func run(t testing.TB, a *archiver.Archiver) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}
