package authflow

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

func bindRegion(region string) func(*policy.Organization) {
	return func(o *policy.Organization) { o.Sites[0].Region = region }
}

// move makes the stored organization another one, which no process has seen.
func (w *world) move(f func(*policy.Organization)) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.org = changed(w.store.org, func(o *policy.Organization) {
		f(o)
		o.PolicyStamp, o.Stamp = stampOf(9), stampOf(9)
	})
}

func TestNobodySignsInAtASiteOfAnotherRegion(t *testing.T) {
	for _, region := range []string{"", "us"} {
		w := newWorld(t, changed(acme(noDemands), bindRegion("eu")))
		w.flows.c.Region = region
		before := len(w.store.outbox)
		_, started := w.flows.Start(t.Context(), caller, w.startInput("s"))
		_, recorded := w.flows.RecordSession(t.Context(), caller, SessionInput{Organization: "acme", Site: "portal", RequestID: "r", Event: SessionStarted, Handle: []byte("h")})
		_, used := w.flows.CheckAccess(t.Context(), caller, AccessInput{Organization: "acme", Site: "portal", Kind: KindOfSession, Handle: []byte("h")})
		for what, err := range map[string]error{"StartFlow": started, "RecordSession": recorded, "CheckAccess": used} {
			if !errs.Is(err, policy.ReasonRegionMismatch) || errs.KindOf(err) != errs.FailedPrecondition {
				t.Errorf("a process of %q answers %s with %v", region, what, err)
			}
		}
		if len(w.store.outbox) != before {
			t.Errorf("a process of %q has made events of it", region)
		}
		w.flows.c.Region = "eu"
		if a := w.start("s"); a.Repeated || a.Verdict != audit.VerdictContinue {
			t.Errorf("at home: %+v", a)
		}
	}
}

func TestABindingToARegionHoldsFromTheNextCallOnAndTakesBackNoAnswer(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	w.flows.c.Region = "us"
	first := w.start("s")
	w.move(bindRegion("eu"))
	if _, err := w.flows.Start(t.Context(), caller, w.startInput("another")); !errs.Is(err, policy.ReasonRegionMismatch) {
		t.Errorf("with what it knew before: %v", err)
	}
	if again := w.start("s"); !again.Repeated || again.Flow != first.Flow {
		t.Errorf("the first answer is gone: %+v", again)
	}
	w.move(bindRegion("us"))
	if a := w.start("third"); a.Verdict != audit.VerdictContinue {
		t.Errorf("bound to the region of this process: %+v", a)
	}
}

func TestEveryEventSaysWhatItKeepsAndWhereItMayBeKept(t *testing.T) {
	privacy := audit.Privacy{IP: audit.IPTruncated}
	w := newWorld(t, changed(acme(noDemands), func(o *policy.Organization) { bindRegion("eu")(o); o.Privacy = privacy }))
	w.flows.c.Region = "eu"
	in := w.startInput("whole")
	in.Context = Context{IP: netip.MustParseAddr("192.0.2.7")}
	in.Steps = []StepReport{reports(audit.TypePasswordRejected, "").Step.StepReport, reports(audit.TypePasswordVerified, alice).Step.StepReport}
	in.Finish = &Finish{Action: ActionComplete}
	a, err := w.flows.Start(t.Context(), caller, in)
	if err != nil {
		t.Fatal(err)
	}
	w.move(func(o *policy.Organization) { o.Sites = nil }) // the site is gone: what it said still counts for its flows
	second := newWorld(t, changed(acme(noDemands), func(o *policy.Organization) { bindRegion("eu")(o); o.Sites[0].Privacy = privacy }))
	second.flows.c.Region = "eu"
	open := second.start("open")
	second.move(func(o *policy.Organization) { o.Sites = nil })
	if _, err := second.finish(open.Flow, "f", ActionCancel); err != nil {
		t.Fatal(err)
	}
	events := slices.Concat(w.store.outbox, second.store.outbox)
	if a.Ending != audit.EndingSucceeded || len(events) != 6 {
		t.Fatalf("%+v with %d events", a, len(events))
	}
	for i := range events {
		if e := &events[i]; e.Privacy != privacy || e.Region != "eu" {
			t.Errorf("%s says %+v and %q", e.Type, e.Privacy, e.Region)
		}
	}
}
