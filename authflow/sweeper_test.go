package authflow

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sweeps makes a sweeper and the number of flows it has ended and hours it has closed.
func sweeps(t *testing.T, f *Flows, holder string, every time.Duration) (*Sweeper, *atomic.Int64, *atomic.Int64) {
	t.Helper()
	swept, closed := &atomic.Int64{}, &atomic.Int64{}
	s, err := NewSweeper(SweeperConfig{Flows: f, Partitions: 1, Holder: holder, Interval: every, Log: slog.New(slog.DiscardHandler),
		Metrics: SweeperMetrics{Swept: func(n int) { swept.Add(int64(n)) }, Tallied: func(n int) { closed.Add(int64(n)) }}})
	if err != nil {
		t.Fatal(err)
	}
	return s, swept, closed
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

func TestTheSweeperEndsWhatNobodyTouches(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	left, granted := w.start("1").Flow, w.start("2").Flow
	w.step(granted, "g", reports(audit.TypePasswordVerified, alice))
	s, swept, _ := sweeps(t, w.flows, "one", time.Second)
	if s.round(t.Context()); swept.Load() != 0 {
		t.Fatal("a live flow was swept")
	}
	w.setNow(noon.Add(DefaultLifetime))
	young := w.start("3").Flow
	if s.round(t.Context()); swept.Load() != 2 {
		t.Fatalf("%d flows were swept", swept.Load())
	}
	s.round(t.Context())
	for id, reason := range map[FlowID]string{left: "", granted: audit.ReasonNotConfirmed} {
		events := w.store.ordered(id)
		end := events[len(events)-1]
		if end.Type != audit.TypeSignInAbandoned || end.Reason != reason || end.Caller != "" || !end.Time.Equal(noon.Add(DefaultLifetime)) {
			t.Fatalf("%+v", end)
		}
	}
	if st := w.store.flows[young].l.State; st.Phase != PhaseOpen {
		t.Fatalf("%v", st.Phase)
	}
	if problem := w.store.recordProblem(); problem != "" {
		t.Fatal(problem)
	}
}

func TestOnlyTheHolderOfTheLeaseSweeps(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	w.start("1")
	w.setNow(noon.Add(time.Hour))
	first, _, _ := sweeps(t, w.flows, "one", time.Second)
	w.store.leases[0] = "one"
	other, swept, _ := sweeps(t, w.flows, "two", time.Second)
	if other.round(t.Context()); swept.Load() != 0 {
		t.Fatal("swept without the lease")
	}
	if first.round(t.Context()); w.store.outbox[len(w.store.outbox)-1].Ending != audit.EndingAbandoned {
		t.Fatal("the holder did not sweep")
	}
}

func TestANewerFlowTakesThePlaceOfTheOneBefore(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	s, swept, _ := sweeps(t, w.flows, "one", time.Hour) // no round comes: flows are handed over
	s.Start()
	defer s.Stop()
	begin := func(request, device, email string) Answer {
		in := w.startInput(request)
		in.Context.DeviceID, in.Subject.Address = device, address(t, email)
		a, err := w.flows.Start(t.Context(), caller, in)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	first := begin("1", "dev", "alice@partner.example.com")
	elsewhere := begin("2", "dev-2", "alice@partner.example.com")
	nobody := begin("3", "", "alice@partner.example.com")
	someone := begin("4", "dev", "bob@partner.example.com")
	second := begin("5", "dev", "ALICE@partner.example.com")
	eventually(t, "the first flow is superseded", func() bool { return swept.Load() == 1 })
	for id, want := range map[FlowID]audit.Ending{first.Flow: audit.EndingSuperseded, elsewhere.Flow: 0, nobody.Flow: 0, someone.Flow: 0, second.Flow: 0} {
		w.store.mu.Lock()
		got := w.store.flows[id].l.State.Ending
		w.store.mu.Unlock()
		if got != want {
			t.Errorf("%v ended %v, want %v", id, got, want)
		}
	}
	_, err := w.finish(first.Flow, "f", ActionComplete)
	wantReason(t, err, ErrFlowEnded)
	if problem := w.store.recordProblem(); problem != "" {
		t.Fatal(problem)
	}
}

func TestAMarkedFlowAcceptsNothingButItsEnding(t *testing.T) {
	w := newWorld(t, acme(noDemands)) // no sweeper is running
	in := w.startInput("1")
	in.Context.DeviceID = "dev"
	first, err := w.flows.Start(t.Context(), caller, in)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := w.process()
	if _, err := other.Step(t.Context(), caller, stepInput(first.Flow, "0", reports(audit.TypePasswordRejected, ""))); err != nil {
		t.Fatal(err)
	}
	in.RequestID = "2"
	if _, err = w.flows.Start(t.Context(), caller, in); err != nil {
		t.Fatal(err)
	}
	a, err := other.Step(t.Context(), caller, stepInput(first.Flow, "1", reports(audit.TypePasswordVerified, alice)))
	if err != nil || a.Ending != audit.EndingSuperseded || a.Verdict != audit.VerdictDeny || a.Message.Key != messageSuperseded {
		t.Fatalf("%+v %v", a, err)
	}
	if events := w.store.ordered(first.Flow); len(events) != 3 {
		t.Fatalf("%d events", len(events))
	}
}

func TestALateReportTakesNobodysPlace(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	in := w.startInput("1")
	in.Context.DeviceID = "dev"
	first, err := w.flows.Start(t.Context(), caller, in)
	if err != nil {
		t.Fatal(err)
	}
	in.RequestID, in.OccurredAt = "2", noon.Add(-time.Hour)
	if _, err := w.flows.Start(t.Context(), caller, in); err != nil {
		t.Fatal(err)
	}
	if !w.store.flows[first.Flow].l.SupersededBy.IsZero() {
		t.Fatal("a report of the past superseded a live flow")
	}
}

func TestTalliesOfAnHourBecomeOneEventTwoHoursLater(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	w.start("1")
	_, _ = w.finish(w.start("2").Flow, "f", ActionCancel)
	s, _, closed := sweeps(t, w.flows, "one", time.Second)
	hour := noon.Truncate(time.Hour)
	w.setNow(hour.Add(3*time.Hour - 1))
	s.round(t.Context())
	if closed.Load() != 0 {
		t.Fatal("closed too early")
	}
	w.setNow(hour.Add(3 * time.Hour))
	s.round(t.Context())
	s.round(t.Context())
	e := w.store.outbox[len(w.store.outbox)-1]
	if closed.Load() != 1 || e.Type != audit.TypeSiteTallied || e.Organization != "acme" || e.Site != "portal" || !e.TallyHour.Equal(hour) {
		t.Fatalf("closed %d, %+v", closed.Load(), e)
	}
	if e.Tally[TallyOpened] != 2 || e.Tally["EXTERNAL:ABANDONED:true"] != 1 || e.Tally["EXTERNAL:CANCELLED:true"] != 1 {
		t.Fatalf("%v", e.Tally)
	}
}

func TestTheSweeperOutlivesAStoreThatIsAway(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	w.start("1")
	w.setNow(noon.Add(time.Hour))
	var failed atomic.Int64
	s, swept, _ := sweeps(t, w.flows, "one", time.Millisecond)
	s.c.Metrics.Failed = func() { failed.Add(1) }
	w.store.mu.Lock()
	w.store.down = errs.New(errs.Unavailable, "NOT_RECORDED", "away")
	w.store.mu.Unlock()
	s.Start()
	defer s.Stop()
	eventually(t, "rounds fail", func() bool { return failed.Load() >= 2 })
	w.store.mu.Lock()
	w.store.down = nil
	w.store.mu.Unlock()
	eventually(t, "the flow is swept", func() bool { return swept.Load() == 1 })
}
