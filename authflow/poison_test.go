package authflow

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// poisoned is a store some of whose entries make no sense; of the flows named bad every read fails.
type poisoned struct {
	*memStore
	bad map[FlowID]bool
}

func (p poisoned) Read(ctx context.Context, r Read) (*Reading, error) {
	if p.bad[r.Flow] {
		return nil, errs.New(errs.Unavailable, "NOT_RECORDED", "of another type")
	}
	return p.memStore.Read(ctx, r)
}

func (p poisoned) Due(ctx context.Context, partitions []int, now time.Time, limit int) ([]DueFlow, error) {
	due, err := p.memStore.Due(ctx, partitions, now, limit)
	for id := range p.bad { // the bad ones come first
		for i := range due {
			if due[i].Flow == id {
				due = append([]DueFlow{due[i]}, append(due[:i:i], due[i+1:]...)...)
				break
			}
		}
	}
	if err == nil {
		err = errs.New(errs.Internal, "RECORD_MALFORMED", "an entry names no flow")
	}
	return due, err
}

func TestWhatCannotBeSweptHoldsUpNothingElse(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	bad := map[FlowID]bool{}
	for _, r := range []string{"1", "2", "3", "4"} {
		bad[w.start(r).Flow] = true
	}
	good := []FlowID{w.start("5").Flow, w.start("6").Flow}
	w.flows.c.Store = poisoned{w.store, bad}
	var log bytes.Buffer
	failed := 0
	s, err := NewSweeper(SweeperConfig{Flows: w.flows, Partitions: 1, Holder: "one", Log: slog.New(slog.NewTextHandler(&log, nil)),
		Metrics: SweeperMetrics{Failed: func() { failed++ }}})
	if err != nil {
		t.Fatal(err)
	}
	w.setNow(noon.Add(4 * time.Hour))
	for range 3 {
		s.round(t.Context())
	}
	for _, id := range good {
		if st := w.store.flows[id].l.State; st.Ending != audit.EndingAbandoned {
			t.Errorf("a flow behind %d that cannot be read is %v", len(bad), st.Phase)
		}
	}
	clear(bad)
	s.round(t.Context())
	s.round(t.Context())
	if n := strings.Count(log.String(), "cannot make sense of an entry"); n != 1 || failed < 5 {
		t.Errorf("it complained %d times and counted %d rounds:\n%s", n, failed, log.String())
	}
	w.setNow(noon.Add(4*time.Hour + time.Minute))
	s.round(t.Context())
	if e := w.store.outbox[len(w.store.outbox)-1]; e.Type != audit.TypeSiteTallied {
		t.Errorf("the hour was not closed beside an entry that makes no sense: %s", e.Type)
	}
}
