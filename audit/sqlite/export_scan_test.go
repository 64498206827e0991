package sqlite

import (
	"context"
	"database/sql"
	"slices"

	"github.com/postern-audit/postern/audit"
)

// ScanPlans is Plans for what goes through flows: on each shelf the rows of each branch, then the events.
func (a *Archive) ScanPlans(ctx context.Context, s audit.FlowScan) (flows, events []string, err error) {
	err = a.inRead(ctx, func(tx *sql.Tx) error {
		v, err := a.loaded(ctx, tx, s.OrganizationUID)
		if err != nil {
			return err
		}
		for _, p := range v.scanParts(&s) {
			c := v.scanConditions(&s, p.shelf)
			for _, b := range scanPath(v.number, &s) {
				plan, err := explain(ctx, tx, p.text(scanText(b, c)), slices.Concat(b.args, c.args, []any{s.Limit}))
				if err != nil {
					return err
				}
				flows = append(flows, plan)
			}
			var some clause
			in(&some, "e.flow", []string{"a", "b"})
			plan, err := explain(ctx, tx, p.text(flowEventsText(some)), append(some.args, position(v.number, 0), position(v.number+1, 0)))
			if err != nil {
				return err
			}
			events = append(events, plan)
		}
		return nil
	})
	return flows, events, err
}
