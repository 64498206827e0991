package archiver_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/archiver"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/errs"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// broken encodes a record that names an organization and cannot be decoded.
func broken(t *testing.T, organizationUID string) []byte {
	t.Helper()
	b, err := proto.Marshal(&storev1.EventRecord{Event: &posternv1.Event{Id: "x", Type: "y", Organization: "acme", OrganizationUid: organizationUID,
		Time: &timestamppb.Timestamp{Seconds: 1 << 60}}})
	if err != nil {
		t.Fatal(err)
	}
	b = append([]byte{codec.Format}, b...)
	if _, err := codec.New(nil).Decode(b); err == nil {
		t.Fatal("the test's record can be decoded")
	}
	return b
}

func TestUnreadableEntriesAreKeptAndStopNothing(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	o.event(t, 0)
	o.raw(0, []byte("garbage"))
	o.event(t, 0)
	o.raw(0, nil)
	o.raw(0, broken(t, orgA))
	o.raw(0, broken(t, "0192f000-0000-7000-8000-0000000000ff")) // nobody has this uid
	o.event(t, 0)
	a, j := newArchiver(t, o, s)
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o.waiting() != 0 {
		t.Errorf("%d wait", o.waiting())
	}
	types := func(uid string) (out []audit.Type) {
		events, err := s.Events(t.Context(), audit.Query{OrganizationUID: uid, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for i := range events {
			out = append(out, events[i].Type)
			if events[i].RecordedTime.UnixMilli() < 1_700_000_000_000 {
				t.Errorf("recorded time %v", events[i].RecordedTime)
			}
		}
		return out
	}
	p, u := audit.TypePolicyUpdated, audit.TypeUnreadable
	if got := types(orgA); !slices.Equal(got, []audit.Type{p, p, u, p}) {
		t.Errorf("A has %v", got)
	}
	if got := types(audit.SystemUID); !slices.Equal(got, []audit.Type{u, u, u}) {
		t.Errorf("system has %v", got)
	}
	if last, _, err := s.Position(t.Context(), "0192f000-0000-7000-8000-0000000000ff"); err != nil || last != 0 {
		t.Errorf("garbage made an organization: %d, %v", last, err)
	}
	if n := j.logged("an outbox entry cannot be read; its bytes are kept as an event of type unreadable"); n != 4 {
		t.Errorf("complained %d times", n)
	}
}

func TestAnEventTheArchiveRefusesIsKeptAsBytes(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	for n := range 100 {
		o.event(t, n%3)
	}
	refused := []string{o.added[30], o.added[31], o.added[77]}
	s.before = func(batches []audit.Batch) error {
		for _, b := range batches {
			for i := range b.Entries {
				if slices.Contains(refused, b.Entries[i].Event.ID) {
					return errs.New(errs.Invalid, "EVENT_NOT_STORABLE", "too big")
				}
			}
		}
		return nil
	}
	a, _ := newArchiver(t, o, s)
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.added = slices.DeleteFunc(o.added, func(id string) bool { return slices.Contains(refused, id) })
	check(t, o, s)
	if last, _, err := s.Position(t.Context(), audit.SystemUID); err != nil || last != 3 {
		t.Errorf("system is at %d, %v; want the three refused events", last, err)
	}
}

func TestWhatTheArchiveRefusesEvenAsBytesWaits(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	o.event(t, 0)
	s.before = func([]audit.Batch) error { return errs.New(errs.Invalid, "EVENT_NOT_STORABLE", "no") }
	a, _ := newArchiver(t, o, s)
	if err := a.Flush(t.Context()); errs.KindOf(err) != errs.Invalid || o.waiting() != 1 {
		t.Errorf("%v, %d waiting", err, o.waiting())
	}
	s.before = nil
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, o, s)
}

func TestAMissingKeyIsSaidOnceAndAnUnreachableOneHoldsUpItsPartitionOnly(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	delete(o.keys, orgB)
	o.event(t, 1, ofB)
	a, j := newArchiver(t, o, s)
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.event(t, 1, ofB)
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := j.logged("an organization with events has no key"); n != 1 {
		t.Errorf("said %d times", n)
	}
	o.event(t, 0) // A's key is not known yet
	o.event(t, 1, ofB)
	away := errs.New(errs.Unavailable, "STORE_UNAVAILABLE", "redis is away")
	o.fail = func(op string) error {
		if op == "key" {
			return away
		}
		return nil
	}
	if err := a.Flush(t.Context()); !errors.Is(err, away) {
		t.Errorf("flush: %v", err)
	}
	o.keys[orgB] = []byte("late")
	o.fail = func(string) error { return nil }
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, o, s, orgB)
	if keys, err := s.Keys(t.Context(), "", 9); err != nil || len(keys) != 2 {
		t.Errorf("keys %v, %v", keys, err)
	}
}

func TestWatchersAreSignalledWithoutBlocking(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	a, _ := newArchiver(t, o, s)
	mine, cancel := a.Subscribe(orgA)
	second, cancelSecond := a.Subscribe(orgA)
	other, cancelOther := a.Subscribe(orgB)
	defer cancelOther()
	for range 3 { // nobody reads in between
		o.event(t, 0)
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	<-mine
	<-second
	select {
	case <-mine:
		t.Error("signalled twice for what was not read in between")
	case <-other:
		t.Error("another organization was signalled")
	default:
	}
	cancel()
	cancel()
	o.event(t, 0)
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-second
	select {
	case <-mine:
		t.Error("signalled after cancelling")
	default:
	}
	cancelSecond()
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestFlushBesideRun(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	a, _ := newArchiver(t, o, s)
	stop := run(t, a)
	for n := range 200 {
		o.event(t, n%4)
		if n%20 == 19 {
			if err := a.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if o.waiting() != 0 {
				t.Fatal("flush left something")
			}
		}
	}
	stop()
	check(t, o, s)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Flush(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("flush after the end: %v", err)
	}
}

// TestTwoArchiversThroughAllTrouble lets two processes fight over the partitions while reading, storing and letting go fail
// again and again.
func TestTwoArchiversThroughAllTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		path := filepath.Join(t.TempDir(), "postern.db")
		var mu sync.Mutex
		calls := 0
		flaky := func(every int, reason string) error {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls%every == 0 && calls < 4000 {
				return errs.New(errs.Unavailable, reason, "for the test")
			}
			return nil
		}
		o.fail = func(op string) error { return flaky(len(op)+3, "STORE_UNAVAILABLE") }
		var stops []func()
		var last *store
		for range 2 {
			last = openStore(t, path)
			last.before = func([]audit.Batch) error { return flaky(5, "ARCHIVE_UNAVAILABLE") }
			a, _ := newArchiver(t, o, last, func(c *archiver.Config) { c.Lease = nil })
			stops = append(stops, run(t, a))
		}
		for n := range 2000 {
			o.event(t, n%4, func(e *audit.Event) { e.Type, e.Flow, e.Step = audit.TypePasswordRejected, "flow", n })
			if n%50 == 0 {
				pass(100 * time.Millisecond)
			}
		}
		for wait := 0; o.waiting() > 0 && wait < 3600; wait++ {
			pass(time.Second)
		}
		for _, stop := range stops {
			stop()
		}
		check(t, o, last)
	})
}
