package authflow

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

func TestAProvisionalExternalIsOnTheRecordAtOnce(t *testing.T) {
	d := newDriver(t, acme(noDemands))
	m := d.put(starts(t, external(t)))
	e := m.Events[0]
	if len(m.Events) != 1 || e.Type != audit.TypeSignInStarted || !e.Provisional || e.Class != audit.ClassExternal || !m.State.Recorded {
		t.Fatalf("%+v", m.Events)
	}
	if e.Personal.TypedAddress != "alice@partner.example.com" || e.Personal.Email != "" {
		t.Fatalf("%+v", e.Personal)
	}
}

func TestAFlowOnTheRecordStaysOnItWhenItBindsSomebodyManaged(t *testing.T) {
	d := newDriver(t, acme(demandsMFA))
	d.put(starts(t, external(t)))
	m := d.put(managedProof(t))
	if !d.s.Recorded || len(m.Events) != 1 || d.s.Class != audit.ClassManaged || m.Verdict != audit.VerdictAllow || m.Events[0].Provisional {
		t.Fatalf("recorded %v, %d events, %v, %v", d.s.Recorded, len(m.Events), d.s.Class, m.Verdict)
	}
	if m.Decision.Source != policy.SourceInternal {
		t.Fatalf("source %s", m.Decision.Source)
	}
}

func TestAManagedSignInLeavesNoEventButATally(t *testing.T) {
	d := newDriver(t, acme(demandsMFA))
	m := d.put(starts(t, managed(t)))
	if len(m.Events) != 0 || m.State.Recorded || len(m.Tallies) != 1 || m.Tallies[0].Field != TallyOpened {
		t.Fatalf("%+v", m)
	}
	hour := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	d.put(managedProof(t))
	d.now = d.now.Add(40 * time.Minute) // into the next hour, and past the deadline
	m = d.put(Input{Kind: KindTick})
	if len(d.events) != 0 || len(m.Tallies) != 1 || m.Tallies[0].Field != "MANAGED:ABANDONED:false" || !m.Tallies[0].Hour.Equal(hour) {
		t.Fatalf("%d events, %+v", len(d.events), m.Tallies)
	}
	checkFlow(t, d)
}

func TestHeldStepsAreWrittenOnceAndAsTheyWereWhenTheFlowGoesOnTheRecord(t *testing.T) {
	d := newDriver(t, acme(demandsMFA))
	d.put(starts(t, managed(t)))
	d.now = d.now.Add(time.Second)
	d.put(reports(audit.TypePasswordRejected, ""))
	held := append([]Step(nil), d.s.Steps...)
	held[1].Event.Sealed = &audit.Sealed{Salt: []byte("salt")}
	d.s.Steps = held // as the store leaves it: sealed, not released
	if len(d.events) != 0 {
		t.Fatal("a managed flow wrote events")
	}
	d.now = d.now.Add(time.Second)
	m := d.put(reports(audit.TypePasswordVerified, mallory)) // proven to be somebody else, and external
	if len(m.Events) != 3 || !d.s.Recorded || d.s.Class != audit.ClassExternal {
		t.Fatalf("%d events, recorded %v, %v", len(m.Events), d.s.Recorded, d.s.Class)
	}
	for i := range held {
		got, was := m.Events[i], held[i].Event
		if got.ID != was.ID || !got.Time.Equal(was.Time) || got.Class != audit.ClassManaged || !got.Provisional || got.Sealed != was.Sealed {
			t.Fatalf("step %d is not as it was held: %+v", i+1, got)
		}
	}
	checkFlow(t, d)
	if m = d.put(reports(audit.TypeMFAVerified, "")); len(m.Events) != 1 {
		t.Fatalf("%d events for one step", len(m.Events))
	}
}

func TestAFlowThatEndsWithNobodyDeterminedGoesOnTheRecord(t *testing.T) {
	d := newDriver(t, acme(noDemands))
	if m := d.put(starts(t, Claimed{IdentifierHash: "h"})); len(m.Events) != 0 || m.State.Class != audit.ClassUndetermined {
		t.Fatalf("%d events, %v", len(m.Events), m.State.Class)
	}
	d.put(reports(audit.TypePasswordRejected, ""))
	m := d.put(finishes(ActionComplete))
	if len(m.Events) != 3 || m.Tallies[0].Field != "UNDETERMINED:FAILED:true" {
		t.Fatalf("%d events, %+v", len(m.Events), m.Tallies)
	}
	checkFlow(t, d)
}

func TestATypedManagedFlowThatEndsUnboundIsNotRecorded(t *testing.T) {
	d := newDriver(t, acme(noDemands))
	d.put(starts(t, managed(t)))
	if m := d.put(finishes(ActionComplete)); len(m.Events) != 0 || m.State.Recorded || m.Tallies[0].Field != "MANAGED:FAILED:false" {
		t.Fatalf("%d events, %+v", len(m.Events), m.Tallies)
	}
}

func TestAClassTheOrganizationOptedInIsRecorded(t *testing.T) {
	d := newDriver(t, acme(policy.Policy{RecordClasses: []audit.Class{audit.ClassManaged}}))
	if m := d.put(starts(t, managed(t))); len(m.Events) != 1 {
		t.Fatalf("%d events", len(m.Events))
	}
	d.org = acme(noDemands) // opting out does not take a flow off the record
	if m := d.put(managedProof(t)); len(m.Events) != 1 || !m.State.Recorded {
		t.Fatalf("%d events, recorded %v", len(m.Events), m.State.Recorded)
	}
}

func TestWhatIsBoundIsFrozenAndWhatIsOpenIsDecidedAgain(t *testing.T) {
	d := newDriver(t, acme(demandsMFA))
	m := d.put(starts(t, external(t)))
	if !m.Decision.Advisory || m.Verdict != audit.VerdictContinue || m.Decision.Demands == nil {
		t.Fatalf("%+v", m.Decision)
	}
	d.org = acme(noDemands)
	if m = d.put(reports(audit.TypePasswordRejected, "")); len(m.Decision.Demands) != 0 {
		t.Fatal("an open flow kept a policy that is gone")
	}
	d.org = acme(demandsMFA)
	d.put(reports(audit.TypePasswordVerified, alice))
	d.org = acme(noDemands)
	if m = d.put(reports(audit.TypePasswordRejected, "")); m.Verdict != audit.VerdictContinue || len(m.Decision.Demands) == 0 {
		t.Fatalf("a bound flow lost its demands: %+v", m.Decision)
	}
}

func TestAReportOnlyRuleSaysWhatWouldBeAndDecidesNothing(t *testing.T) {
	p := policy.Policy{Rules: []policy.Rule{{ID: "soon", Mode: policy.ModeReportOnly, Demands: policy.Demands{Block: true}}}}
	d := newDriver(t, acme(p))
	d.put(starts(t, external(t)))
	m := d.put(reports(audit.TypePasswordVerified, alice))
	if m.Verdict != audit.VerdictAllow || m.Decision.WouldBe == nil || m.Decision.WouldBe.Verdict != audit.VerdictDeny || m.Decision.WouldBe.Rule != "soon" {
		t.Fatalf("%v %+v", m.Verdict, m.Decision.WouldBe)
	}
	m = d.put(finishes(ActionComplete))
	if m.State.Ending != audit.EndingSucceeded || m.Events[0].Decision.WouldBe.Verdict != audit.VerdictDeny {
		t.Fatalf("%v %+v", m.State.Ending, m.Events[0].Decision)
	}
}

func TestWhatWouldStillBeMissingAtTheEndWouldBeDenied(t *testing.T) {
	p := policy.Policy{Rules: []policy.Rule{{ID: "soon", Mode: policy.ModeReportOnly, Demands: demandsMFA.Default}}}
	d := newDriver(t, acme(p))
	d.put(starts(t, external(t)))
	d.put(reports(audit.TypePasswordVerified, alice))
	w := d.put(finishes(ActionComplete)).Decision.WouldBe
	if w == nil || w.Verdict != audit.VerdictDeny || w.Reason != audit.ReasonMFARequired || d.s.Ending != audit.EndingSucceeded {
		t.Fatalf("%v %+v", d.s.Ending, w)
	}
}

func TestAnUnreadablePolicyDeniesUnlessTheOrganizationChoseOtherwise(t *testing.T) {
	for _, allow := range []bool{false, true} {
		org := changed(acme(noDemands), func(o *policy.Organization) { o.Unreadable, o.AllowUnreadable = true, allow })
		d := newDriver(t, org)
		d.put(starts(t, external(t)))
		d.put(reports(audit.TypePasswordVerified, alice))
		d.put(finishes(ActionComplete))
		want := audit.EndingDenied
		if allow {
			want = audit.EndingSucceeded
		}
		if d.s.Ending != want || d.s.Reason != audit.ReasonPolicyUnreadable {
			t.Fatalf("allow %v: %v %q", allow, d.s.Ending, d.s.Reason)
		}
		checkFlow(t, d)
	}
}

// managedProof proves alice with an e-mail of the organization's own domain.
func managedProof(t testing.TB) Input {
	yes := true
	return with(reports(audit.TypePasswordVerified, alice), func(r *Reported) {
		r.Subject.Address, r.Subject.EmailVerified, r.Records = address(t, "alice@acme.example.net"), &yes, acmeDomain(t)
	})
}
