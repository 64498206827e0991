package authflow

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// suspend is the organization with its policy suspended until a moment, as another process committed it.
func suspend(org *policy.Organization, until time.Time, stamp byte) *policy.Organization {
	return changed(org, func(o *policy.Organization) { o.SuspendedUntil, o.PolicyStamp = until, stampOf(stamp) })
}

func TestASuspensionBindsFromTheNextBindingOnAndStopsStillBite(t *testing.T) {
	w := newWorld(t, acme(demandsMFA))
	before, err := w.flows.Start(t.Context(), caller, w.startInput("before"))
	if err != nil {
		t.Fatal(err)
	}
	w.step(before.Flow, "b", reports(audit.TypePasswordVerified, alice))
	w.store.org = suspend(w.store.org, w.clock().Add(time.Hour), 9) // this process has not seen it yet
	during, err := w.flows.Start(t.Context(), caller, w.startInput("during"))
	if err != nil {
		t.Fatal(err)
	}
	if a := w.step(during.Flow, "d", reports(audit.TypePasswordVerified, alice)); a.Verdict != audit.VerdictAllow || a.Decision.Source != policy.SourceSuspended ||
		a.Decision.WouldBe == nil || a.Decision.WouldBe.Reason != audit.ReasonMFARequired {
		t.Errorf("begun while it lasts: %+v", a.Decision)
	}
	if a, _ := w.finish(before.Flow, "b2", ActionComplete); a.Verdict == audit.VerdictAllow || a.Decision.Reason != audit.ReasonMFARequired {
		t.Errorf("bound before: %+v", a.Decision)
	}
	w.store.org = changed(w.store.org, func(o *policy.Organization) { o.Policy.Stops.External, o.PolicyStamp = true, stampOf(10) })
	if a, _ := w.finish(during.Flow, "d2", ActionComplete); a.Verdict != audit.VerdictDeny || a.Decision.Reason != audit.ReasonOrganizationBlocksExternal {
		t.Errorf("stopped while it lasts: %+v", a.Decision)
	}
}

func TestAFlowBoundWhileSuspendedEndsAsItBegan(t *testing.T) {
	w := newWorld(t, acme(demandsMFA))
	w.store.org = suspend(w.store.org, w.clock().Add(time.Hour), 9)
	a, err := w.flows.Start(t.Context(), caller, w.startInput("s"))
	if err != nil {
		t.Fatal(err)
	}
	w.step(a.Flow, "1", reports(audit.TypePasswordVerified, alice))
	w.store.org = suspend(w.store.org, time.Time{}, 10) // resumed
	if a, _ := w.finish(a.Flow, "2", ActionComplete); a.Verdict != audit.VerdictAllow {
		t.Errorf("bound before it was resumed: %+v", a.Decision)
	}
	next, err := w.flows.Start(t.Context(), caller, w.startInput("t"))
	if err != nil {
		t.Fatal(err)
	}
	if a := w.step(next.Flow, "3", reports(audit.TypePasswordVerified, alice)); a.Verdict != audit.VerdictContinue || a.Decision.Reason != audit.ReasonMFARequired {
		t.Errorf("begun after: %+v", a.Decision)
	}
}
