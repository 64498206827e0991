package archiver_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/archiver"
	"github.com/postern-audit/postern/internal/errs"
)

func ofB(e *audit.Event) { e.Organization, e.OrganizationUID = "bolt", orgB }

func TestEverythingWaitingIsCarriedOnce(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	for n := range 1200 {
		o.event(t, n%4, func(e *audit.Event) {
			if n%4 == 1 {
				ofB(e)
			}
		})
	}
	a, j := newArchiver(t, o, s)
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, o, s, orgB)
	if j.archived != 1200 || len(j.failed) != 0 {
		t.Errorf("archived %d, failed %v", j.archived, j.failed)
	}
	keys, err := s.Keys(t.Context(), "", 10)
	if want := []audit.OrganizationKey{{OrganizationUID: orgA, Wrapped: []byte("a")}, {OrganizationUID: orgB, Wrapped: []byte("b")}}; err != nil || !reflect.DeepEqual(keys, want) {
		t.Errorf("keys %v, %v", keys, err)
	}
	if o.asked[orgA] > 3 || o.asked[orgB] != 1 { // once per partition of the first trip, then known
		t.Errorf("keys asked for: %v", o.asked)
	}
	e, err := s.Events(t.Context(), audit.Query{OrganizationUID: orgA, Limit: 1})
	if err != nil || e[0].RecordedTime.UnixMilli() != 1_700_000_000_001 || e[0].Sealed == nil {
		t.Errorf("event %+v, %v", e, err)
	}
}

func TestManySmallPartitionsShareOneTransactionAndLargeOnesAreSplit(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	var partitions []int
	for p := range 64 {
		partitions = append(partitions, p)
		o.event(t, p)
	}
	a, _ := newArchiver(t, o, s, func(c *archiver.Config) { c.Partitions = partitions })
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.sizes) != 1 || len(s.sizes[0]) != 64 {
		t.Errorf("transactions %v, want one of 64 batches", s.sizes)
	}
	s.sizes = nil
	for n := range 3000 {
		o.event(t, n%7)
	}
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, sizes := range s.sizes {
		if sum := 0; slices.ContainsFunc(sizes, func(n int) bool { sum += n; return sum > 500 }) {
			t.Errorf("a transaction of %v entries", sizes)
		}
	}
	check(t, o, s)
}

// single hides AppendAll.
type single struct{ audit.Archive }

func TestAnArchiveThatTakesOneBatchAtATime(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	for n := range 40 {
		o.event(t, n%4)
	}
	a, _ := newArchiver(t, o, single{s.Archive})
	if _, err := s.Take(t.Context(), 9, "nobody"); err != nil {
		t.Fatal(err)
	}
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, o, s)
	o.event(t, 2)
	if _, err := s.Take(t.Context(), 2, "other"); err != nil {
		t.Fatal(err)
	}
	o.event(t, 3)
	if err := a.Flush(t.Context()); err != nil || o.waiting() != 1 {
		t.Errorf("%v, %d waiting, want the fenced partition's alone", err, o.waiting())
	}
}

func TestFlowsWhoseEndingIsArchivedAreLetGo(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	var want []audit.EndedFlow
	for n, typ := range []audit.Type{audit.TypeSignInStarted, audit.TypeSignInSucceeded, audit.TypeSignInDenied, audit.TypeSignInFailed, audit.TypePasswordRejected,
		audit.TypeSignInCancelled, audit.TypeSignInAbandoned, audit.TypeSignInSuperseded, audit.TypeSessionEnded} {
		e := o.event(t, 0, func(e *audit.Event) { e.Type, e.Flow, e.Step = typ, "flow-"+string(rune('a'+n)), 1 })
		if audit.EndingOf(typ) != audit.EndingNone {
			want = append(want, audit.EndedFlow{OrganizationUID: orgA, Flow: e.Flow})
		}
	}
	a, _ := newArchiver(t, o, s)
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(want) != 6 || !reflect.DeepEqual(o.ended, want) {
		t.Errorf("ended %v, want %v", o.ended, want)
	}
}

func TestDyingBetweenArchivingAndLettingGoDoublesNothing(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	for n := range 30 {
		o.event(t, n%2, func(e *audit.Event) {
			e.Type, e.Flow, e.Step = audit.TypeSignInFailed, "flow-"+e.ID, 1
		})
	}
	dead := errors.New("the process died here")
	o.fail = func(op string) error {
		if op == "done" {
			return dead
		}
		return nil
	}
	first, _ := newArchiver(t, o, s)
	if err := first.Flush(t.Context()); !errors.Is(err, dead) {
		t.Fatalf("flush: %v", err)
	}
	if last, _, err := s.Position(t.Context(), orgA); err != nil || last != 30 || o.waiting() != 30 || len(o.ended) != 0 {
		t.Fatalf("position %d, %v; %d waiting, %d ended: the first archiver did not stop in between", last, err, o.waiting(), len(o.ended))
	}
	o.fail = func(string) error { return nil }
	second, j := newArchiver(t, o, s)
	if err := second.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, o, s)
	if j.archived != 0 || len(o.ended) != 30 {
		t.Errorf("the second archived %d and let %d flows go", j.archived, len(o.ended))
	}
}

func TestAPausedArchiverThatWakesUpDoesNothing(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	for range 10 {
		o.event(t, 0)
	}
	hint := &lease{gives: []int{0}}
	asleep, wake := make(chan struct{}), make(chan struct{})
	paused := &store{Archive: s.Archive, before: func([]audit.Batch) error {
		close(asleep)
		<-wake
		return nil
	}}
	a, j := newArchiver(t, o, paused, func(c *archiver.Config) { c.Lease = hint })
	flushed := make(chan error, 1)
	go func() { flushed <- a.Flush(context.Background()) }()
	<-asleep // it has read ten entries and is about to store them
	hint.set(nil, nil)
	b, _ := newArchiver(t, o, s)
	for range 5 {
		o.event(t, 0)
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, o, s)
	close(wake)
	if err := <-flushed; err != nil {
		t.Fatal(err)
	}
	check(t, o, s)
	if j.archived != 0 || !slices.Equal(j.failed, []string{archiver.FailedFenced}) || a.State().Partitions != 0 {
		t.Errorf("the paused one archived %d, failed %v, holds %d", j.archived, j.failed, a.State().Partitions)
	}
}

func TestALostPartitionIsTakenAgainOnlyWhenTheLeaseGivesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := newOutbox(), newStore(t)
		hint := &lease{gives: []int{0, 1}}
		a, _ := newArchiver(t, o, s, func(c *archiver.Config) { c.Lease = hint })
		stop := run(t, a)
		synctest.Wait()
		epoch, err := s.Take(t.Context(), 0, "other")
		if err != nil {
			t.Fatal(err)
		}
		o.event(t, 0)
		o.event(t, 1)
		hint.set([]int{1}, nil)
		pass(time.Minute)
		if n := o.waiting(); n != 1 {
			t.Errorf("%d wait, want the lost partition's one", n)
		}
		if again, err := s.Take(t.Context(), 0, "other"); err != nil || again != epoch+1 {
			t.Errorf("epoch %d after %d, %v: somebody else took it", again, epoch, err)
		}
		hint.set([]int{0, 1}, errors.New("redis is away")) // keeps what it has
		o.event(t, 1)
		pass(time.Minute)
		if n := o.waiting(); n != 1 || a.State().Trouble != archiver.FailedLease {
			t.Errorf("%d wait, trouble %q", n, a.State().Trouble)
		}
		hint.set([]int{0, 1}, nil)
		pass(time.Minute)
		stop()
		check(t, o, s)
	})
}

func TestAnArchiveAwayForAWhileHoldsUpAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := newOutbox(), newStore(t)
		var away atomic.Bool
		away.Store(true)
		var tries []time.Duration
		begin := time.Now()
		s.before = func([]audit.Batch) error {
			if !away.Load() {
				return nil
			}
			tries = append(tries, time.Since(begin).Round(time.Millisecond))
			return errs.New(errs.Unavailable, "ARCHIVE_UNAVAILABLE", "the disk is full")
		}
		a, j := newArchiver(t, o, s)
		for n := range 700 {
			o.event(t, n%4)
		}
		stop := run(t, a)
		pass(30 * time.Second)
		ms := time.Millisecond
		want := []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 3100 * ms, 6300 * ms, 11300 * ms, 16300 * ms, 21300 * ms, 26300 * ms}
		tries = slices.Compact(tries) // one trip tries several transactions
		if !slices.Equal(tries, want) {
			t.Errorf("tried at %v, want %v", tries, want)
		}
		if o.waiting() != 700 || a.State().Trouble != archiver.FailedArchive || a.State().Backlog != 700 || a.State().Since.Before(begin) {
			t.Errorf("%d wait, state %+v", o.waiting(), a.State())
		}
		away.Store(false)
		pass(6 * time.Second)
		stop()
		check(t, o, s)
		if n := j.logged("archiving is held up; events wait in the outbox"); n != 1 || j.logged("archiving again") != 1 || a.State().Trouble != "" {
			t.Errorf("logged %v, state %+v", j.logs, a.State())
		}
		if len(j.backlogs) < 5 || j.backlogs[0] != 700 || j.backlogs[len(j.backlogs)-1] != 0 {
			t.Errorf("backlogs %v", j.backlogs)
		}
	})
}

func TestIdleWaitsGrowAndWakeEndsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := newOutbox(), newStore(t)
		a, _ := newArchiver(t, o, s)
		stop := run(t, a)
		pass(1700 * time.Millisecond)
		var waits []time.Duration
		for i := 1; i < len(o.reads); i++ {
			waits = append(waits, o.reads[i].Sub(o.reads[i-1]))
		}
		ms := time.Millisecond
		if want := []time.Duration{5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 500 * ms, 500 * ms}; !slices.Equal(waits, want) {
			t.Errorf("waits %v, want %v", waits, want)
		}
		o.event(t, 1)
		before := time.Now()
		a.Wake()
		a.Wake()
		synctest.Wait()
		if time.Now() != before || o.waiting() != 0 {
			t.Errorf("%d wait after waking", o.waiting())
		}
		stop()
		check(t, o, s)
	})
}

func TestATripTakesABoundedNumberOfBytesFromEveryPartition(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	long := strings.Repeat("x", 1<<20)
	for range 12 {
		o.raw(0, []byte(long)) // unreadable, and archived as bytes
	}
	for p := range 4 {
		o.event(t, p)
	}
	a, _ := newArchiver(t, o, s)
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o.waiting() != 0 || o.largest > 8<<20 || o.largest < 7<<20 {
		t.Errorf("%d wait; a trip asked for %d bytes", o.waiting(), o.largest)
	}
}
