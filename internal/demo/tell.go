package demo

import (
	"context"
	"fmt"

	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// tell prints what happened and what is kept of it, sign-in by sign-in.
func (d *demo) tell(ctx context.Context, flows []*played, events []*posternv1.Event) error {
	byFlow := group(events)
	fmt.Fprintln(d.say, "The organization's own record:")
	if err := show.Steps(d.say, byFlow[""]); err != nil {
		return err
	}
	for i, p := range flows {
		fmt.Fprintf(d.say, "\n%d. %s\n", i+1, p.story.title)
		f, err := d.c.Flows.GetFlow(ctx, &posternv1.GetFlowRequest{Name: p.flow})
		if err != nil {
			return fmt.Errorf("read flow %s: %w", p.id(), failure(err))
		}
		if err := show.Flow(d.say, f); err != nil {
			return err
		}
		if err := show.Steps(d.say, beside(byFlow[p.id()])); err != nil {
			return err
		}
	}
	return nil
}

// beside are the events around a flow that are no steps of it: enrolments, sessions and tokens.
func beside(events []*posternv1.Event) []*posternv1.Event {
	var out []*posternv1.Event
	for _, e := range events {
		if e.GetStep() == 0 {
			out = append(out, e)
		}
	}
	return out
}
