package pruner_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/pruner"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/internal/errs"
)

const (
	orgA = "0192f000-0000-7000-8000-00000000000a"
	orgB = "0192f000-0000-7000-8000-00000000000b"
)

var began = time.Date(2026, 4, 7, 9, 0, 0, 0, time.UTC)

// outbox takes events, and refuses when told to.
type outbox struct {
	mu      sync.Mutex
	events  []audit.Event
	refuses map[string]error // by organization; "" for all
}

func (o *outbox) Append(_ context.Context, uid string, events ...audit.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := errors.Join(o.refuses[""], o.refuses[uid]); err != nil {
		return err
	}
	for i := range events {
		if events[i].OrganizationUID != uid {
			return errors.New("another organization's outbox")
		}
	}
	o.events = append(o.events, events...)
	return nil
}

type counts struct {
	events, flows int64
	failed        []string
}

func (c *counts) Pruned(events, flows int64) { c.events += events; c.flows += flows }
func (c *counts) PruneFailed(step string)    { c.failed = append(c.failed, step) }

type world struct {
	*sqlite.Archive
	t       *testing.T
	outbox  *outbox
	counts  *counts
	now     time.Time
	mine    bool
	refused error // of the lease
	count   int
}

func newWorld(t *testing.T) *world { return newWorldAt(t, filepath.Join(t.TempDir(), "postern.db")) }

func newWorldAt(t *testing.T, path string) *world {
	w := &world{t: t, outbox: &outbox{refuses: map[string]error{}}, counts: &counts{}, now: began, mine: true}
	var err error
	if w.Archive, err = sqlite.Open(t.Context(), path, func() time.Time { return w.now }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() }) //nolint:errcheck // a test may have closed it
	return w
}

func (w *world) pruner() *pruner.Pruner {
	w.t.Helper()
	p, err := pruner.New(pruner.Config{Archive: w.Archive, Outbox: w.outbox, Metrics: w.counts, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now },
		Rest: 1, Lease: func(context.Context) (bool, error) { return w.mine, w.refused }})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// add stores an event of each of the organizations at a moment.
func (w *world) add(at time.Time, uids ...string) {
	w.t.Helper()
	epoch, err := w.Take(w.t.Context(), 0, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	b := audit.Batch{Epoch: epoch}
	for _, uid := range uids {
		w.count++
		e := audit.Event{ID: fmt.Sprintf("%s-7000-8000-%012d", audit.FirstID(at), w.count),
			Type: audit.TypePolicyUpdated, Time: at, Organization: "org", OrganizationUID: uid}
		raw, err := codec.New(nil).Encode(&e)
		if err != nil {
			w.t.Fatal(err)
		}
		b.Entries = append(b.Entries, audit.Entry{OutboxID: "1-0", RecordedTime: at, Event: e, Raw: raw})
	}
	if done, err := w.Append(w.t.Context(), b); err != nil || done.Inserted != len(uids) {
		w.t.Fatal(done, err)
	}
}

func (w *world) round(p *pruner.Pruner) {
	w.t.Helper()
	if err := p.Round(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) untold() int {
	w.t.Helper()
	got, err := w.Untold(w.t.Context(), 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(got)
}

// goes is when a shelf of began may go.
func goes() time.Time { return audit.ShelfOf(180, began).End.Add(180 * 24 * time.Hour) }

func TestWhatTwoRoundsFindExpiredGoesAndIsToldOnce(t *testing.T) {
	w := newWorld(t)
	w.add(began, orgA, orgB, orgA)
	w.add(began.Add(100*24*time.Hour), orgA)
	p := w.pruner()
	w.now = goes()
	w.round(p)
	if len(w.outbox.events) != 0 || w.counts.events != 0 {
		t.Fatalf("one look at the clock dropped something: %+v", w.outbox.events)
	}
	for range 3 {
		w.round(p)
	}
	if w.counts.events != 3 || len(w.outbox.events) != 2 || w.untold() != 0 || len(w.counts.failed) != 0 {
		t.Fatalf("%+v, events %+v", w.counts, w.outbox.events)
	}
	for i, n := range []int64{2, 1} {
		if e := w.outbox.events[i]; e.Type != audit.TypeArchivePruned || e.Target.Count != n || e.Tally["ADMINISTRATION:events"] != n || e.Organization != "org" || !e.Time.Equal(w.now) {
			t.Errorf("event %+v", e)
		}
	}
	if left, err := w.Events(t.Context(), audit.Query{OrganizationUID: orgA, Limit: 10}); err != nil || len(left) != 1 {
		t.Errorf("%d left, %v", len(left), err)
	}
	states, err := w.Shelves(t.Context())
	if err != nil || !slices.ContainsFunc(states, func(s audit.ShelfState) bool { return s.Start.After(w.now) }) {
		t.Errorf("nothing was made ahead: %+v, %v", states, err)
	}
}

func TestAClockThatWasWrongForAMomentCostsNothing(t *testing.T) {
	w := newWorld(t)
	w.add(began, orgA)
	p := w.pruner()
	for _, now := range []time.Time{began.AddDate(10, 0, 0), began, began.AddDate(10, 0, 0), began} {
		w.now = now
		w.round(p)
	}
	if w.counts.events != 0 || len(w.outbox.events) != 0 {
		t.Errorf("%+v", w.counts)
	}
}

func TestWithoutTheLeaseNothingIsDone(t *testing.T) {
	w := newWorld(t)
	w.add(began, orgA)
	w.now, w.mine = goes(), false
	p := w.pruner()
	w.round(p)
	w.round(p)
	w.refused = errors.New("no lease")
	if err := p.Round(t.Context()); !errors.Is(err, w.refused) || !slices.Equal(w.counts.failed, []string{pruner.FailedLease}) {
		t.Errorf("%v, %v", err, w.counts.failed)
	}
	if states, err := w.Shelves(t.Context()); err != nil || len(states) != 1 || w.counts.events != 0 {
		t.Errorf("%+v, %v", states, err)
	}
}

func TestAnOutboxThatIsAwayOrRefusesOneOrganization(t *testing.T) {
	w := newWorld(t)
	w.add(began, orgA, orgB)
	w.now = goes()
	p := w.pruner()
	w.round(p)
	for _, c := range []struct {
		uid    string
		err    error
		untold int
	}{
		{"", errs.New(errs.Unavailable, "NOT_RECORDED", "away"), 2},
		{orgA, errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "gone"), 1},
	} {
		w.outbox.refuses = map[string]error{c.uid: c.err}
		if err := p.Round(t.Context()); !errors.Is(err, c.err) {
			t.Errorf("round: %v", err)
		}
		if n := w.untold(); n != c.untold || w.counts.events != 2 {
			t.Errorf("%d untold, want %d; %+v", n, c.untold, w.counts)
		}
	}
	w.outbox.refuses = nil
	w.round(p)
	if len(w.outbox.events) != 2 || w.untold() != 0 || w.counts.events != 2 {
		t.Errorf("%d events, %+v", len(w.outbox.events), w.counts)
	}
}

func TestManyRecordsAreToldThoughTheFirstCannotBe(t *testing.T) {
	w := newWorld(t)
	const organizations, refused = 330, 220
	var uids []string
	for n := range organizations {
		uids = append(uids, fmt.Sprintf("organization-%03d", n))
	}
	w.add(began, uids...)
	w.now = goes()
	p := w.pruner()
	w.round(p)
	for _, uid := range uids[:refused] {
		w.outbox.refuses[uid] = errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "gone")
	}
	if err := p.Round(t.Context()); err == nil || len(w.outbox.events) != organizations-refused || w.untold() != refused {
		t.Errorf("%v, %d told, %d untold", err, len(w.outbox.events), w.untold())
	}
}

func TestRunWorksAtOnceAndStops(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	p := w.pruner()
	go func() { done <- p.Run(ctx) }()
	for {
		if states, err := w.Shelves(t.Context()); err != nil {
			t.Fatal(err)
		} else if len(states) == 2 {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("nothing was made ahead")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
