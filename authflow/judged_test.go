package authflow

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// What decides is the moment of the call: a login service that dates its report back makes nothing fresher.
func TestALiveFlowIsJudgedNowWhateverTimeItsReportsHave(t *testing.T) {
	demands := map[string]policy.Demands{
		"a second factor": {MFA: &policy.MFADemand{Evidence: audit.EvidenceAsserted, MaxAge: 2 * time.Minute}},
		"the credential":  {Reverify: 2 * time.Minute, MFA: &policy.MFADemand{Evidence: audit.EvidenceAsserted}},
	}
	proves := func(d *driver, at time.Time) {
		d.put(with(reports(audit.TypePasswordVerified, alice), func(r *Reported) { r.OccurredAt = at }))
		d.put(with(reports(audit.TypeMFAVerified, ""), func(r *Reported) { r.OccurredAt = at }))
	}
	completes := func(d *driver, at time.Time) audit.Ending {
		in := finishes(ActionComplete)
		in.Finish.OccurredAt = at
		return d.put(in).State.Ending
	}
	for name, demand := range demands {
		p := policy.Policy{Default: demand}
		d := newDriver(t, acme(p))
		d.put(starts(t, external(t)))
		d.now = noon.Add(10 * time.Minute)
		proves(d, noon.Add(time.Second)) // reported ten minutes later
		if got := completes(d, noon.Add(2*time.Second)); got != audit.EndingDenied {
			t.Errorf("%s of ten minutes ago, with an ending of ten minutes ago: %v", name, got)
		}
		d = newDriver(t, acme(p))
		d.put(starts(t, external(t)))
		proves(d, noon.Add(3*time.Second)) // by a clock that is a little ahead
		if got := completes(d, noon.Add(3*time.Second)); got != audit.EndingSucceeded {
			t.Errorf("%s of now: %v", name, got)
		}
		d = newDriver(t, acme(p))
		then := noon.Add(-3 * 24 * time.Hour)
		start := starts(t, external(t))
		start.Start.OccurredAt = then
		d.put(start)
		proves(d, then.Add(time.Second))
		if got := completes(d, then.Add(2*time.Second)); got != audit.EndingSucceeded || !d.s.Late {
			t.Errorf("%s of a sign-in that is reported after the fact: %v", name, got)
		}
	}
}
