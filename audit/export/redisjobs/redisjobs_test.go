package redisjobs_test

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/audit/export/redisjobs"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/testkit/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const partitions = 4

var now = time.UnixMilli(1_800_000_000_000).UTC()

// rig is a store on one Redis.
type rig struct {
	*testing.T
	store  *redisjobs.Store
	client redis.UniversalClient
	keys   *redisx.Keys
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func newRig(t *testing.T, client redis.UniversalClient) *rig {
	t.Helper()
	s, err := redisjobs.New(redisjobs.Config{Client: client, Reader: client, Partitions: partitions, Codec: codec.New(nil)})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := redisx.NewKeys(partitions)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, s, client, keys}
}

// both runs a test on the embedded store and on Redis.
func both(t *testing.T, run func(r *rig)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		s, err := embedded.Open(t.Context(), embedded.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Kill)
		run(newRig(t, s.Client(-1)))
	})
	t.Run("Redis", func(t *testing.T) {
		c, err := redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{"unix:" + redistest.Start(t).Socket()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		run(newRig(t, c))
	})
}

func job(uid string) *export.Job {
	return &export.Job{OrganizationUID: uid, Organization: "acme", ID: newID(), Format: export.FormatCSV, State: export.StateQueued, Question: []byte{1, 2}, Creator: "unix:0", Created: now, Through: 9}
}

func request(n byte) *export.Request {
	return &export.Request{Key: [32]byte{n}, Digest: [32]byte{n, n}}
}

func (r *rig) event(uid string) *audit.Event {
	return &audit.Event{ID: newID(), Type: audit.TypeExportCreated, Time: now, Organization: "acme", OrganizationUID: uid}
}

func (r *rig) commit(c export.Change) string {
	r.Helper()
	c.Now = now
	repeated, err := r.store.Commit(r.Context(), c)
	if err != nil {
		r.Fatal(err)
	}
	return repeated
}

func (r *rig) refused(c export.Change, reason string) {
	r.Helper()
	before := r.dump()
	if c.Now.IsZero() {
		c.Now = now
	}
	if _, err := r.store.Commit(r.Context(), c); !errs.Is(err, reason) {
		r.Errorf("%v, want %s", err, reason)
	}
	if r.dump() != before {
		r.Errorf("%s wrote something", reason)
	}
}

// dump is everything there is.
func (r *rig) dump() string {
	r.Helper()
	var out []string
	for i := range partitions {
		space := r.keys.At(i)
		out = append(out, r.client.ZRange(r.Context(), space.ExportsDue(), 0, -1).Val()...)
		for _, m := range r.client.XRange(r.Context(), space.Outbox(), "-", "+").Val() {
			out = append(out, m.ID)
		}
	}
	for _, key := range r.client.Keys(r.Context(), "*exports:*").Val() {
		for id, v := range r.client.HGetAll(r.Context(), key).Val() {
			out = append(out, id+v)
		}
	}
	out = append(out, r.client.Keys(r.Context(), "*once:*").Val()...)
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func (r *rig) added(uid string) *export.Job {
	r.Helper()
	j := job(uid)
	r.commit(export.Change{OrganizationUID: uid, After: j, Due: now})
	return j
}

func TestAnExportComesBackAsItWasWritten(t *testing.T) {
	both(t, func(r *rig) {
		uid := newID()
		j := job(uid)
		j.State, j.StateReason, j.Finished, j.Expires, j.Holder, j.Attempt, j.Paused = export.StatePaused, "STORAGE_FULL", now.Add(1), now.Add(time.Hour), "me", 3, 2
		j.Progress = export.Progress{Sequence: 5, Rows: 4, Bytes: 3, First: 2, Latest: 1}
		j.SHA256, j.ManifestSHA256 = []byte{7}, []byte{8}
		r.commit(export.Change{OrganizationUID: uid, After: j, Due: now})
		got, err := r.store.Job(r.Context(), uid, j.ID)
		if err != nil {
			r.Fatal(err)
		}
		if got.Version == "" || got.Version != j.Version || string(got.SHA256) != "\x07" || got.Progress != j.Progress || !got.Finished.Equal(j.Finished) || got.Holder != "me" ||
			got.Attempt != 3 || got.Paused != 2 || got.StateReason != "STORAGE_FULL" || got.Through != 9 || !got.Created.Equal(now) || string(got.Question) != "\x01\x02" {
			r.Errorf("%+v", got)
		}
		if _, err := r.store.Job(r.Context(), newID(), j.ID); !errs.Is(err, "EXPORT_NOT_FOUND") {
			r.Errorf("another organization's: %v", err)
		}
	})
}

func TestAChangeItsEventAndItsAnswerAreWrittenTogetherOrNotAtAll(t *testing.T) {
	both(t, func(r *rig) {
		uid := newID()
		j := job(uid)
		c := export.Change{OrganizationUID: uid, After: j, Event: r.event(uid), Request: request(1), Answer: j.ID, Due: now}
		if repeated := r.commit(c); repeated != "" {
			r.Errorf("new, and repeated %q", repeated)
		}
		before := r.dump()
		again := job(uid)
		c.After, c.Event, c.Answer = again, r.event(uid), again.ID
		if repeated := r.commit(c); repeated != j.ID || r.dump() != before {
			r.Errorf("repeated: %q", repeated)
		}
		c.Request = &export.Request{Key: [32]byte{1}, Digest: [32]byte{9}}
		r.refused(c, "REQUEST_ID_REUSED")
		if answer, err := r.store.Answered(r.Context(), uid, *request(1)); err != nil || answer != j.ID {
			r.Errorf("%q, %v", answer, err)
		}
		stale := *j
		stale.Version = "x"
		r.refused(export.Change{OrganizationUID: uid, Before: &stale, After: &stale, Event: r.event(uid), Request: request(2), Answer: "x"}, "EXPORT_MOVED")
		r.refused(export.Change{OrganizationUID: uid, After: j, Event: r.event(uid)}, "EXPORT_MOVED") // there is one of this id
		if n := r.client.XLen(r.Context(), r.keys.Of(uid).Outbox()).Val(); n != 1 {
			r.Errorf("%d events", n)
		}
	})
}

func TestAnOrganizationHasSoManyExportsAndNoMore(t *testing.T) {
	both(t, func(r *rig) {
		uid := newID()
		var last *export.Job
		for range export.MaxUnmade {
			last = r.added(uid)
		}
		r.refused(export.Change{OrganizationUID: uid, After: job(uid), Due: now}, "EXPORT_LIMIT")
		r.added(newID()) // another organization's are not counted
		for n := export.MaxUnmade; n < export.MaxJobs; n++ {
			over := *last
			over.State = export.StateSucceeded
			r.commit(export.Change{OrganizationUID: uid, Before: last, After: &over, Due: now})
			last = r.added(uid)
		}
		over := *last
		over.State = export.StateFailed
		r.commit(export.Change{OrganizationUID: uid, Before: last, After: &over, Due: now})
		r.refused(export.Change{OrganizationUID: uid, After: job(uid), Due: now}, "EXPORT_LIMIT")
		r.commit(export.Change{OrganizationUID: uid, Before: &over}) // forgotten
		r.added(uid)
	})
}

func TestTwoAreMadeAtOnceUntilTheirLeasesAreOver(t *testing.T) {
	both(t, func(r *rig) {
		uid := newID()
		a, b, c := r.added(uid), r.added(uid), r.added(uid)
		take := func(j *export.Job) export.Change {
			after := *j
			after.State, after.Holder = export.StateRunning, "me"
			return export.Change{OrganizationUID: uid, Before: j, After: &after, Due: now.Add(time.Minute), Lease: export.LeaseTake}
		}
		ca, cb := take(a), take(b)
		r.commit(ca)
		r.commit(cb)
		r.refused(take(c), "EXPORT_BUSY")
		kept := take(ca.After)
		r.commit(kept) // one that has it may keep it
		r.refused(take(c), "EXPORT_BUSY")
		put := *cb.After
		put.State = export.StateQueued
		r.commit(export.Change{OrganizationUID: uid, Before: cb.After, After: &put, Due: now})
		cc := take(c)
		r.commit(cc)
		late := take(&put)
		r.refused(late, "EXPORT_BUSY")
		late = take(&put)
		late.Now = now.Add(2 * time.Minute) // both died
		if _, err := r.store.Commit(r.Context(), late); err != nil {
			r.Error(err)
		}
	})
}

func TestWhatIsDueIsFoundInEveryPartitionInOrder(t *testing.T) {
	both(t, func(r *rig) {
		want := map[string]bool{}
		for n := range 20 {
			uid := newID()
			j := job(uid)
			due := now.Add(time.Duration(n-10) * time.Second)
			r.commit(export.Change{OrganizationUID: uid, After: j, Due: due})
			if !due.After(now) {
				want[j.ID] = true
			}
		}
		got, err := r.store.Due(r.Context(), now, 100)
		if err != nil || len(got) != len(want) {
			r.Fatalf("%d due, want %d, %v", len(got), len(want), err)
		}
		for _, d := range got {
			if !want[d.ID] {
				r.Errorf("%s is not due", d.ID)
			}
			j, err := r.store.Job(r.Context(), d.OrganizationUID, d.ID)
			if err != nil {
				r.Fatal(err)
			}
			r.commit(export.Change{OrganizationUID: d.OrganizationUID, Before: j, After: j})
		}
		if got, err := r.store.Due(r.Context(), now.Add(time.Minute), 100); err != nil || len(got) != 9 {
			r.Errorf("%d due, %v", len(got), err)
		}
	})
}

func TestOfManyWhoTakeOneExportAtOnceOneHasIt(t *testing.T) {
	both(t, func(r *rig) {
		uid := newID()
		j := r.added(uid)
		var won atomic.Int64
		var all sync.WaitGroup
		for n := range 16 {
			all.Go(func() {
				after := *j
				after.State, after.Holder = export.StateRunning, string(rune('a'+n))
				_, err := r.store.Commit(r.Context(), export.Change{OrganizationUID: uid, Before: j, After: &after, Event: r.event(uid), Due: now, Lease: export.LeaseTake, Now: now})
				if err == nil {
					won.Add(1)
				} else if !errs.Is(err, "EXPORT_MOVED") {
					r.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 || r.client.XLen(r.Context(), r.keys.Of(uid).Outbox()).Val() != 1 {
			r.Errorf("%d won", won.Load())
		}
	})
}

func TestARecordThatCannotBeReadIsAnError(t *testing.T) {
	both(t, func(r *rig) {
		uid := newID()
		for _, text := range []string{"", "\x00", "\x01", "\x02x", "\x01\xff\xff"} {
			r.client.HSet(r.Context(), r.keys.Of(uid).Exports(uid), "0123456789", text)
			if _, err := r.store.Job(r.Context(), uid, "0123456789"); err == nil {
				r.Errorf("%q was read", text)
			}
			if _, err := r.store.Jobs(r.Context(), uid); err == nil {
				r.Errorf("%q was listed", text)
			}
		}
	})
}

func TestTheEmbeddedStoreKeepsExportsOverARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "snapshot")
	open := func() *embedded.Store {
		s, err := embedded.Open(t.Context(), embedded.Config{File: file, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	r := newRig(t, s.Client(-1))
	uid := newID()
	j := r.added(uid)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = open()
	t.Cleanup(s.Kill)
	r = newRig(t, s.Client(-1))
	if got, err := r.store.Job(t.Context(), uid, j.ID); err != nil || got.Version != j.Version {
		t.Errorf("%+v, %v", got, err)
	}
	if due, err := r.store.Due(t.Context(), now, 10); err != nil || len(due) != 1 {
		t.Errorf("%v, %v", due, err)
	}
}
