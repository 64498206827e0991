// Package archivetest says by tests what audit.Archive, audit.Reader, audit.Recovery, audit.Keeper, audit.Shelves and audit.Counter promise.
//
// Purpose: every archive runs the same suite (Run), so that whatever is built on one works on the next.
// Invariant: each case gets a fresh archive; no case knows which database is behind it or reads an error's text.
// It must never reach the binary: tests alone import it.
// Read Run first.
package archivetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
)

// Backend is one open archive.
type Backend interface {
	audit.Archive
	audit.Reader
	audit.Recovery
	audit.Keeper
	audit.Shelves
	audit.Counter
	// Another opens the same data once more, as another process would. The caller closes it.
	Another(t testing.TB) Backend
}

// Run runs the suite. open returns a fresh, empty archive with the given clock, which those that Another opens share; its
// clean-up must bear that the test closed it already. Archives that also implement audit.BatchArchive or audit.Reclaimer are
// held to that contract as well.
func Run(t *testing.T, open func(t testing.TB, now func() time.Time) Backend) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"store", storeCases}, {"order", orderCases}, {"fencing", fencingCases}, {"batches", batchCases},
		{"flows", flowCases}, {"flow queries", flowQueryCases}, {"flow filters", flowFilterCases}, {"queries", queryCases}, {"paging", pagingCases}, {"filters", filterCases}, {"counts", countCases}, {"groups", groupCases},
		{"durability", durabilityCases}, {"unreadable", unreadableCases}, {"hostile", hostileCases}, {"sandbox", sandboxCases},
		{"history", historyCases}, {"scans", scanCases}, {"people", subjectCases}, {"dumping people", dumpPeopleCases},
		{"erasing", erasureCases}, {"erasing sign-ins", erasureFlowCases}, {"destroyed keys", forgetCases},
		{"shelves", shelfCases}, {"edges", edgeCases}, {"dropping", dropCases}, {"dropping under load", dropLoadCases}, {"dumping", dumpCases}, {"dumping history", dumpHistoryCases},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					w := &world{T: t, epochs: map[int]audit.Epoch{}}
					w.clock.Store(at(3600).UnixNano())
					w.Backend = open(t, w.now)
					c.run(w)
				})
			}
		})
	}
}

type testCase struct {
	name string
	run  func(w *world)
}

// world is an archive with helpers. Times start at a fixed moment; ids count up.
type world struct {
	*testing.T
	Backend
	epochs map[int]audit.Epoch
	count  int
	clock  atomic.Int64
}

func (w *world) now() time.Time { return time.Unix(0, w.clock.Load()).UTC() }

func (w *world) set(now time.Time) { w.clock.Store(now.UnixNano()) }

// Organizations of the tests, and a moment to count from.
const (
	orgA = "0192f000-0000-7000-8000-00000000000a"
	orgB = "0192f000-0000-7000-8000-00000000000b"
)

var began = time.Date(2026, 11, 20, 8, 0, 0, 123456789, time.UTC)

func at(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }

// id makes a UUIDv7 of the n-th second that sorts by n.
func id(kind string, n int) string { return idAt(at(n), kind) }

// idAt makes a UUIDv7 of a moment, always the same for the same kind.
func idAt(moment time.Time, kind string) string {
	sum := sha256.Sum256([]byte(kind))
	return fmt.Sprintf("%s-7000-8000-%x", audit.FirstID(moment), sum[:6])
}

// event makes an event of organization A, with a sealed part.
func (w *world) event(change ...func(*audit.Event)) audit.Event {
	w.count++
	e := audit.Event{ID: id("event", w.count), Type: audit.TypePolicyUpdated, Time: at(w.count), Organization: "acme",
		OrganizationUID: orgA, Outcome: audit.OutcomeInfo, Sealed: sealed(fmt.Sprint(w.count))}
	for _, c := range change {
		c(&e)
	}
	return e
}

func sealed(seed string) *audit.Sealed {
	sum := sha256.Sum256([]byte(seed))
	return &audit.Sealed{Salt: sum[:16], Data: append([]byte("sealed "), sum[:]...), Digest: sum[:]}
}

func index(p audit.Purpose, seed string) audit.Index {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%s", p, seed))
	return audit.Index{Purpose: p, Value: append([]byte{1}, sum[:16]...)}
}

func ofB(e *audit.Event) { e.Organization, e.OrganizationUID = "bolt", orgB }

// entry puts an event on its way. Its recorded time is a second after its time.
func (w *world) entry(e audit.Event) audit.Entry {
	w.Helper()
	raw, err := codec.New(nil).Encode(&e)
	if err != nil {
		w.Fatalf("encode: %v", err)
	}
	recorded := e.Time.Truncate(time.Millisecond).Add(time.Second)
	return audit.Entry{OutboxID: fmt.Sprintf("%d-%d", recorded.UnixMilli(), w.count), RecordedTime: recorded, Event: e, Raw: raw}
}

// batch makes a batch of a partition, which it takes when it has not yet.
func (w *world) batch(partition int, events ...audit.Event) audit.Batch {
	w.Helper()
	if _, ok := w.epochs[partition]; !ok {
		w.epochs[partition] = must(w.Take(w.Context(), partition, "test"))(w)
	}
	b := audit.Batch{Partition: partition, Epoch: w.epochs[partition]}
	for _, e := range events {
		b.Entries = append(b.Entries, w.entry(e))
	}
	return b
}

// add appends events to partition 0 and expects them to be new.
func (w *world) add(events ...audit.Event) {
	w.Helper()
	done := must(w.Append(w.Context(), w.batch(0, events...)))(w)
	if done.Inserted != len(events) || done.Duplicates != 0 {
		w.Fatalf("appended %+v, want %d inserted", done, len(events))
	}
}

// must unwraps a call that has to work.
func must[T any](v T, err error) func(*world) T {
	return func(w *world) T {
		w.Helper()
		if err != nil {
			w.Fatalf("unexpected error: %v", err)
		}
		return v
	}
}

// all returns an organization's whole record.
func (w *world) all(organizationUID string) []audit.Event {
	w.Helper()
	return must(w.Events(w.Context(), audit.Query{OrganizationUID: organizationUID, Limit: 100000}))(w)
}

// gapless fails unless the record's sequence numbers are 1, 2, 3 … and Position agrees.
func (w *world) gapless(organizationUID string, want int) []audit.Event {
	w.Helper()
	events := w.all(organizationUID)
	if len(events) != want {
		w.Fatalf("%d events stored, want %d", len(events), want)
	}
	for i := range events {
		if events[i].Sequence != int64(i+1) {
			w.Fatalf("event %d has sequence %d", i+1, events[i].Sequence)
		}
	}
	if last, _ := w.position(organizationUID); last != int64(want) {
		w.Fatalf("position %d, want %d", last, want)
	}
	return events
}

func (w *world) position(organizationUID string) (int64, time.Time) {
	w.Helper()
	last, recorded, err := w.Position(w.Context(), organizationUID)
	if err != nil {
		w.Fatalf("position: %v", err)
	}
	return last, recorded
}

// ids returns the ids of events in their order.
func ids(events []audit.Event) []string {
	out := make([]string, 0, len(events))
	for i := range events {
		out = append(out, events[i].ID)
	}
	return out
}

func equalIndexes(a, b []audit.Index) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Purpose != b[i].Purpose || !bytes.Equal(a[i].Value, b[i].Value) {
			return false
		}
	}
	return true
}
