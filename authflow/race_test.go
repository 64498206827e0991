package authflow

import (
	"fmt"
	"sync"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

func TestTwoProcessesRacingOnTwoHundredFlowsKeepEveryPromise(t *testing.T) {
	w := newWorld(t, acme(demandsMFA))
	other, _ := w.process()
	var wg sync.WaitGroup
	for n := range 200 {
		flow := w.start(fmt.Sprint("s", n)).Flow
		for p, f := range []*Flows{w.flows, other} {
			wg.Go(func() { raceOn(t, f, flow, p, n) })
		}
	}
	wg.Wait()
	if problem := w.store.recordProblem(); problem != "" {
		t.Fatal(problem)
	}
	for id, f := range w.store.flows {
		if f.l.State.Phase != PhaseEnded {
			t.Fatalf("%v has not ended: %v", id, f.l.State.Phase)
		}
	}
}

// raceOn reports steps of one flow from one of two processes, and finishes it.
func raceOn(t *testing.T, f *Flows, flow FlowID, process, n int) {
	inputs := []Input{reports(audit.TypePasswordRejected, ""), reports(audit.TypePasswordVerified, alice), reports(audit.TypeMFARejected, ""),
		reports(audit.TypeMFAVerified, ""), reports(audit.TypePasswordVerified, mallory)}
	for i, in := range inputs {
		request := fmt.Sprint(process, "-", i)
		if (n+i)%3 == 0 {
			request = fmt.Sprint("shared-", i) // both processes retry the same call
		}
		for range 50 {
			_, err := f.Step(t.Context(), caller, stepInput(flow, request, in))
			if errs.KindOf(err) != errs.Conflict || err == nil {
				if err != nil && !errs.Is(err, ErrFlowEnded) && !errs.Is(err, ErrNotBound) {
					t.Error(err)
				}
				break
			}
		}
	}
	for range 50 {
		_, err := f.Finish(t.Context(), caller, FinishInput{Organization: "acme", Flow: flow, RequestID: "finish", Finish: Finish{Action: ActionComplete}})
		if err == nil {
			return
		}
		if errs.KindOf(err) != errs.Conflict {
			t.Error(err)
			return
		}
	}
	t.Error("a flow could not be finished")
}
