package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
)

// awaitEnd is a use case that gives up when its context ends, as one does that waits for a store.
func awaitEnd(ctx context.Context, _ authflow.StepInput) (authflow.Answer, error) {
	<-ctx.Done()
	return authflow.Answer{}, errs.Wrap(ctx.Err(), errs.Unavailable, "OUTCOME_UNKNOWN", "the answer never came")
}

func TestALongDeadlineOfTheCallerDoesNotWin(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.CallTimeout = 50 * time.Millisecond })
	w.flows.step = awaitEnd
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	_, err := posternv1.NewSignInServiceClient(w.dial(t)).ReportStep(ctx, stepRequest())
	failed(t, err, "UNAVAILABLE", "OUTCOME_UNKNOWN")
}

// TestTheAnswerComesBeforeTheCallersDeadline: a caller must hear whether to repeat the call, not only that time is up.
func TestTheAnswerComesBeforeTheCallersDeadline(t *testing.T) {
	w := newWorld(t, nil)
	w.flows.step = awaitEnd
	client := posternv1.NewSignInServiceClient(w.dial(t))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := client.ReportStep(ctx, stepRequest())
	failed(t, err, "UNAVAILABLE", "OUTCOME_UNKNOWN")
}
