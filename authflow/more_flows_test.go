package authflow

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

func TestGetShowsAFlowAsItStands(t *testing.T) {
	w := newWorld(t, acme(demandsMFA))
	started := w.start("s")
	get := func(ref string) View {
		t.Helper()
		v, err := w.flows.Get(t.Context(), orgUID, ref)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := get(started.Flow.String()); v.Outcome.Verdict != audit.VerdictContinue || !v.Outcome.Decision.Advisory || len(v.Outcome.Next) == 0 || v.Flow.State.ID != started.Flow {
		t.Fatalf("%+v", v.Outcome)
	}
	w.step(started.Flow, "1", reports(audit.TypePasswordVerified, alice))
	if v := get(strings.ToLower(started.SupportCode)); v.Outcome.Phase != PhaseBound || v.Outcome.Decision.Reason != audit.ReasonMFARequired || len(v.Outcome.Decision.Conditions) == 0 {
		t.Fatalf("%+v", v.Outcome)
	}
	trips := w.tripsOf(func() { get(started.Flow.String()) })
	_, _ = w.finish(started.Flow, "2", ActionComplete)
	v := get(started.Flow.String())
	if v.Outcome.Ending != audit.EndingDenied || v.Outcome.Verdict != audit.VerdictDeny || v.Outcome.Decision.Reason != audit.ReasonMFARequired || trips != 2 { // the flow, and what its MFA demand looks at
		t.Fatalf("%+v, %d trips", v.Outcome, trips)
	}
	_, err := w.flows.Get(t.Context(), "another-organization", started.Flow.String())
	wantReason(t, err, ErrFlowNotFound)
	_, err = w.flows.Get(t.Context(), orgUID, "no such thing")
	wantReason(t, err, ErrFlowNotFound)
}

func TestAStartIsDecidedOnThePolicyItCommitsUnder(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	moved := changed(acme(demandsMFA), func(o *policy.Organization) { o.PolicyStamp = stampOf(9) })
	w.store.before = func(*Commit) error { w.store.org = moved; return nil } // between reading and committing
	in := w.startInput("s")
	in.Steps = []StepReport{reports(audit.TypePasswordVerified, alice).Step.StepReport}
	a, err := w.flows.Start(t.Context(), caller, in)
	if err != nil || a.Verdict != audit.VerdictContinue || a.Decision.Reason != audit.ReasonMFARequired {
		t.Fatalf("%+v %v", a, err)
	}
	if len(w.store.flows) != 1 {
		t.Fatalf("%d flows", len(w.store.flows))
	}
}

func TestAStartThatLosesTheRaceForTheIndexLooksAgain(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	in := w.startInput("s")
	in.Context.DeviceID = "dev"
	rival := in
	rival.RequestID = "rival"
	other, _ := w.process()
	raced := false
	w.store.before = func(*Commit) error {
		if raced {
			return nil
		}
		raced = true
		w.store.mu.Unlock()
		defer w.store.mu.Lock()
		_, err := other.Start(t.Context(), caller, rival)
		return err
	}
	a, err := w.flows.Start(t.Context(), caller, in)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := other.Start(t.Context(), caller, rival)
	if l := w.store.flows[first.Flow].l; !first.Repeated || l.SupersededBy != a.Flow {
		t.Fatalf("the rival is marked by %v", l.SupersededBy)
	}
}

func TestAStartAtASiteThatVanishesMeanwhileIsNotFound(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	w.store.org = changed(w.store.org, func(o *policy.Organization) { o.Sites, o.PolicyStamp = nil, stampOf(3) })
	_, err := w.flows.Start(t.Context(), caller, w.startInput("s"))
	wantReason(t, err, ErrSiteNotFound)
}

func TestASiteAddedElsewhereIsFound(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	w.store.org = changed(w.store.org, func(o *policy.Organization) {
		o.Sites, o.PolicyStamp = append(o.Sites, policy.Site{ID: "shop", UID: "uid-shop"}), stampOf(3)
	})
	in := w.startInput("s")
	in.Site = "shop"
	if a, err := w.flows.Start(t.Context(), caller, in); err != nil || a.Phase != PhaseOpen {
		t.Fatalf("%+v %v", a, err)
	}
}

func TestAReportAfterTheFactStopsWhereTheFlowEnded(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	in := w.startInput("s")
	for range MaxRejections + 5 {
		in.Steps = append(in.Steps, reports(audit.TypePasswordRejected, "").Step.StepReport)
	}
	in.Finish = &Finish{Action: ActionComplete}
	a, err := w.flows.Start(t.Context(), caller, in)
	if err != nil || a.Ending != audit.EndingFailed || a.Step != MaxRejections+2 || a.Reason != audit.ReasonBadCredentials {
		t.Fatalf("%+v %v", a, err)
	}
	if problem := w.store.recordProblem(); problem != "" {
		t.Fatal(problem)
	}
	in.RequestID = "t"
	in.Steps = make([]StepReport, MaxSteps-1)
	_, err = w.flows.Start(t.Context(), caller, in)
	wantReason(t, err, ErrTooManyReported)
}

func TestAReportOfYesterdayIsLateAndInOrder(t *testing.T) {
	w := newWorld(t, acme(demandsMFA))
	then := noon.Add(-24 * time.Hour)
	in := w.startInput("s")
	in.OccurredAt = then
	for i, typ := range []audit.Type{audit.TypePasswordVerified, audit.TypeMFAVerified} {
		s := reports(typ, alice).Step.StepReport
		s.OccurredAt = then.Add(time.Duration(i+1) * time.Second)
		in.Steps = append(in.Steps, s)
	}
	in.Finish = &Finish{Action: ActionComplete, OccurredAt: then.Add(3 * time.Second)}
	a, err := w.flows.Start(t.Context(), caller, in)
	if err != nil || a.Ending != audit.EndingSucceeded {
		t.Fatalf("%+v %v", a, err)
	}
	for i, e := range w.store.ordered(a.Flow) {
		if !e.Late || !e.Time.Equal(then.Add(time.Duration(i)*time.Second)) {
			t.Fatalf("step %d at %v, late %v", e.Step, e.Time, e.Late)
		}
	}
	in.RequestID, in.Steps[1].OccurredAt = "t", then
	_, err = w.flows.Start(t.Context(), caller, in)
	wantReason(t, err, ErrOccurredAtOrder)
}

func TestATypedPasswordReachesNothingTheStoreKeeps(t *testing.T) {
	const typed = "hunter2 is my password"
	w := newWorld(t, acme(noDemands))
	in := w.startInput("s")
	in.Subject = Subject{Identifier: typed}
	a, err := w.flows.Start(t.Context(), caller, in)
	if err != nil {
		t.Fatal(err)
	}
	w.step(a.Flow, "1", with(reports(audit.TypePasswordRejected, ""), func(r *Reported) { r.Subject.Identifier = typed }))
	_, _ = w.finish(a.Flow, "2", ActionComplete)
	hash := hashNamer{}.Identifier(orgUID, typed)
	events := w.store.ordered(a.Flow)
	if len(events) != 3 || events[0].IdentifierHash != hash || events[1].IdentifierHash != hash {
		t.Fatalf("%+v", events)
	}
	if all := fmt.Sprintf("%+v %+v %+v %+v", w.store.outbox, *w.store.flows[a.Flow].l.State, w.store.once, w.store.claims); strings.Contains(all, typed) {
		t.Fatal("the typed text was kept")
	}
}

func TestTheRulesOwnWordsAreRenderedNow(t *testing.T) {
	rule := policy.Rule{ID: "r", Mode: policy.ModeEnforce, Demands: demandsMFA.Default, Message: "first", HelpURL: "https://help.example.com"}
	w := newWorld(t, acme(policy.Policy{Rules: []policy.Rule{rule}}))
	flow := w.start("s").Flow
	a := w.step(flow, "1", reports(audit.TypePasswordVerified, alice))
	if a.Message.RuleMessage != "first" || a.Message.HelpURL != rule.HelpURL || a.Message.Key != messageMFA || a.Decision.Message != "first" {
		t.Fatalf("%+v", a.Message)
	}
	if stored := w.store.flows[flow].outcomes; len(stored) != 1 {
		t.Fatal(len(stored))
	} else {
		for _, o := range stored {
			if o.o.Decision.Message != "" || o.o.Decision.HelpURL != "" || o.o.Decision.Conditions != nil {
				t.Fatalf("texts are stored: %+v", o.o.Decision)
			}
		}
	}
	rule.Message = "second"
	w.dir.known = acme(policy.Policy{Rules: []policy.Rule{rule}})
	w.store.org = w.dir.known
	w.flows.known.drop(flow)
	if a = w.step(flow, "1", reports(audit.TypePasswordVerified, alice)); !a.Repeated || a.Message.RuleMessage != "second" {
		t.Fatalf("%+v", a.Message)
	}
}

func TestACallAtTheDeadlineShowsTheEndingAndIsAnsweredAgain(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	flow := w.start("s").Flow
	w.setNow(noon.Add(DefaultLifetime))
	for i := range 2 {
		a := w.step(flow, "1", reports(audit.TypePasswordVerified, alice))
		if a.Ending != audit.EndingAbandoned || a.Verdict != audit.VerdictDeny || a.Repeated != (i == 1) || a.Step != 2 {
			t.Fatalf("%+v", a)
		}
	}
}

func TestASweepThatLosesARaceLeavesTheFlowToTheWinner(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	flow := w.start("s").Flow
	w.setNow(noon.Add(DefaultLifetime))
	other, _ := w.process()
	w.store.before = func(*Commit) error {
		w.store.before = nil
		w.store.mu.Unlock()
		defer w.store.mu.Lock()
		_, err := other.Finish(t.Context(), caller, FinishInput{Organization: "acme", Flow: flow, RequestID: "f", Finish: Finish{Action: ActionCancel}})
		return err
	}
	ended, err := w.flows.lapse(t.Context(), DueFlow{orgUID, flow})
	if err != nil || ended || len(w.store.ordered(flow)) != 2 {
		t.Fatalf("%v %v, %d events", ended, err, len(w.store.ordered(flow)))
	}
	if ended, err = w.flows.lapse(t.Context(), DueFlow{orgUID, flowID(t, 404)}); ended || err != nil {
		t.Fatalf("%v %v", ended, err)
	}
	w.store.before = func(c *Commit) error { return &Conflict{Gone: true} }
	young := w.startless(t)
	if ended, err = w.flows.lapse(t.Context(), DueFlow{orgUID, young}); ended || err != nil {
		t.Fatalf("%v %v", ended, err)
	}
}

// startless puts a flow that is due into the store.
func (w *world) startless(t *testing.T) FlowID {
	t.Helper()
	before := w.store.before
	w.store.before = nil
	defer func() { w.store.before = before }()
	flow := w.start("young").Flow
	w.setNow(w.clock().Add(DefaultLifetime))
	return flow
}

func TestATallyThatMovesIsClosedInALaterRound(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	w.start("1")
	due, err := w.store.DueTallies(t.Context(), []int{0}, noon.Add(time.Hour), 10)
	if err != nil || len(due) != 1 {
		t.Fatal(err)
	}
	w.start("2")
	if err := w.flows.closeTally(t.Context(), due[0]); !isConflict(err) || errs.As(err) != nil {
		t.Fatal(err)
	}
}

func TestAMissingPartIsNamed(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	full := w.flows.c
	for i := range reflect.TypeFor[Config]().NumField() {
		c := full
		f := reflect.ValueOf(&c).Elem().Field(i)
		name := reflect.TypeFor[Config]().Field(i).Name
		f.SetZero()
		_, err := New(c)
		optional := name == "Archive" || name == "Verifier" || name == "CacheSize" || name == "CommitTimeout" || name == "MinLifetime" ||
			name == "Providers" || name == "ExchangeTimeout" || name == "Region"
		if (err == nil) != optional || !optional && !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	for _, c := range []SweeperConfig{{}, {Flows: w.flows, Partitions: 1, Log: log}, {Flows: w.flows, Holder: "h", Log: log}} {
		if _, err := NewSweeper(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	s, err := NewSweeper(SweeperConfig{Flows: w.flows, Partitions: 1, Holder: "h", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.Stop() // never started
}

func TestAFullQueueNeverHoldsUpAnAnswer(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	for range cap(w.flows.superseded) + 3 {
		w.flows.handOver(DueFlow{orgUID, flowID(t, 404)})
	}
	dropped := 0
	s, _, _ := sweeps(t, w.flows, "one", time.Second)
	s.c.Metrics.Dropped = func() { dropped++ }
	s.round(t.Context())
	s.round(t.Context())
	if dropped != 3 {
		t.Fatalf("%d were dropped", dropped)
	}
}

func TestBindingReadsTheRecordsOfWhomItBinds(t *testing.T) {
	yes := true
	proof := func(verified *bool) StepReport {
		s := reports(audit.TypePasswordVerified, alice).Step.StepReport
		s.Subject.Address, s.Subject.EmailVerified = address(t, "alice@acme.example.net"), verified
		return s
	}
	for name, c := range map[string]struct {
		verified *bool
		cold     bool
		class    audit.Class
	}{
		"a verified e-mail of the organization's own": {&yes, false, audit.ClassManaged},
		"the same on another process":                 {&yes, true, audit.ClassManaged},
		"one that is not verified":                    {nil, false, audit.ClassExternal},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, acme(demandsMFA))
			w.store.records[w.flows.keys(orgUID, alice, address(t, "alice@acme.example.net"))] = acmeDomain(t)
			flow := w.start("s").Flow
			if c.cold {
				w.flows, _ = w.process()
			}
			a, err := w.flows.Step(t.Context(), caller, StepInput{Organization: "acme", Flow: flow, RequestID: "1", Step: proof(c.verified)})
			if err != nil || a.Decision.Class != c.class {
				t.Fatalf("%v %v", a.Decision.Class, err)
			}
			in := w.startInput("whole")
			in.Steps = []StepReport{proof(c.verified)}
			if a, err = w.flows.Start(t.Context(), caller, in); err != nil || a.Decision.Class != c.class {
				t.Fatalf("in one call: %v %v", a.Decision.Class, err)
			}
		})
	}
}
