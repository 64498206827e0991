package policy_test

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// suspended is the same question to the organization with its policy suspended until a moment.
func suspended(in policy.Input, until time.Time) policy.Input {
	org := *in.Organization
	org.SuspendedUntil = until
	in.Organization = &org
	return in
}

func TestSuspendingLoosensNoStop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Organization.Policy.Stops = policy.Stops{External: rapid.Bool().Draw(t, "stop external")}
		for _, d := range subset(t, "stopped", someDomains) {
			in.Organization.Policy.Stops.Domains = append(in.Organization.Policy.Stops.Domains, policy.DomainMatch{Domain: mustDomain(d)})
		}
		in.Organization.Disabled = rapid.IntRange(0, 9).Draw(t, "disabled") == 0
		before, during := policy.Decide(in), policy.Decide(suspended(in, now.Add(time.Minute)))
		if !reflect.DeepEqual(before.Stop, during.Stop) {
			t.Fatalf("stopped by %+v, suspended by %+v", before.Stop, during.Stop)
		}
		if before.Stop != nil && (during.Decision.Verdict != audit.VerdictDeny || during.Decision.Reason != before.Decision.Reason) {
			t.Fatalf("stopped with %+v, suspended with %+v", before.Decision, during.Decision)
		}
	})
}

func TestSuspendingOnlyLetsExternalUsersIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		before, during := policy.Decide(in), policy.Decide(suspended(in, now.Add(time.Minute)))
		if before.Stop != nil {
			return // as it was: see above
		}
		if severity(during.Decision.Verdict) > severity(before.Decision.Verdict) {
			t.Fatalf("%v became %v", before.Decision.Verdict, during.Decision.Verdict)
		}
		if during.Decision.Source != policy.SourceSuspended {
			if !reflect.DeepEqual(before, during) {
				t.Fatalf("not suspended, and another decision:\n%+v\n%+v", before, during)
			}
			return
		}
		w := during.Decision.WouldBe
		if during.Decision.Class != audit.ClassExternal || w == nil || len(during.Decision.Demands) != 0 || during.Decision.Rule != "" || during.Decision.Message != "" {
			t.Fatalf("%+v", during.Decision)
		}
		if w.Verdict != before.Decision.Verdict || w.Reason != before.Decision.Reason || w.Rule != before.Decision.Rule {
			t.Fatalf("would be %+v, was %+v", w, before.Decision)
		}
	})
}

func TestASuspensionThatEndedIsNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		ago := time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "ago"))
		before, after := policy.Decide(in), policy.Decide(suspended(in, now.Add(-ago)))
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("before\n%+v\nafter\n%+v", before, after)
		}
	})
}

func TestAFlowBoundBeforeKeepsItsDemands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Subject.Typed = false
		f := policy.Bind(in)
		before, _ := policy.Evaluate(f, in)
		during, _ := policy.Evaluate(f, suspended(in, now.Add(time.Hour)))
		if !reflect.DeepEqual(before, during) {
			t.Fatalf("bound with\n%+v\nsuspended\n%+v", before, during)
		}
	})
}

func TestAnOrganizationAtARevision(t *testing.T) {
	o := &policy.Organization{UID: "u", Revision: 300, Unreadable: true, PolicyStamp: policy.Stamp{7: 9}, Sites: []policy.Site{{ID: "wiki"}}}
	then := o.At(&policy.Revision{Number: 258, Policy: policy.Policy{Default: policy.Demands{Block: true}}, SuspendedUntil: now})
	if then.PolicyStamp.Counter() != 258 || then.Unreadable || !then.Policy.Default.Block || !then.SuspendedUntil.Equal(now) || len(then.Sites) != 1 {
		t.Errorf("%+v", then)
	}
	if o.PolicyStamp.Counter() != 9 || o.Policy.Default.Block || !o.Unreadable {
		t.Errorf("the organization of now was changed: %+v", o)
	}
}
