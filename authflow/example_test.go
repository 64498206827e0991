package authflow_test

import (
	"fmt"

	"github.com/postern-audit/postern/authflow"
)

// What an open flow does with each move once the gates have let it through.
func ExampleTransitions() {
	for _, t := range authflow.Transitions() {
		if t.Phase == authflow.PhaseOpen {
			fmt.Println(t.Move, t.Effect)
		}
	}
	// Output:
	// START EXISTS
	// NOTE RECORD
	// REJECT REJECT
	// PROVE BIND
	// FACTOR_NOTE NOT_BOUND
	// FACTOR_REJECT NOT_BOUND
	// FACTOR_PROVE NOT_BOUND
	// COMPLETE JUDGE
	// REFUSE DENY
	// CANCEL CANCEL
	// TICK NONE
	// NAME NOT_BOUND
}
