package authflow

import (
	"testing"

	"github.com/postern-audit/postern/audit"
)

func TestNobodyIsToldWhatFallsShortBeforeAnybodyIsProven(t *testing.T) {
	for reason, want := range map[string]string{
		audit.ReasonReverificationRequired: messageContinue,
		audit.ReasonMethodNotAllowed:       messageContinue,
		audit.ReasonMFARequired:            messageContinue,
		audit.ReasonSSORequired:            messageSSO, // this one the person can act on at once
	} {
		o := Outcome{Verdict: audit.VerdictContinue, Decision: audit.Decision{Advisory: true, Reason: reason}}
		if got := messageFor(&o); got != want {
			t.Errorf("unbound, %s: %s, want %s", reason, got, want)
		}
		o.Decision.Advisory = false
		if got := messageFor(&o); got == messageContinue {
			t.Errorf("bound, %s: the person is told nothing of it", reason)
		}
	}
}
