package sqlite

import (
	"context"
	"database/sql"

	"github.com/postern-audit/postern/audit"
)

// ScanPlans is Plans for what goes through flows: the rows of each branch, then the events.
func (a *Archive) ScanPlans(ctx context.Context, s audit.FlowScan) (plans []string, err error) {
	err = a.inRead(ctx, func(tx *sql.Tx) error {
		number, err := numberOf(ctx, tx, s.OrganizationUID)
		if err != nil {
			return err
		}
		c := scanConditions(&s)
		for _, b := range scanPath(number, &s) {
			plan, err := explain(ctx, tx, scanText(b, c), append(append(b.args, c.args...), s.Limit))
			if err != nil {
				return err
			}
			plans = append(plans, plan)
		}
		var events clause
		in(&events, "e.flow", []string{"a", "b"})
		plan, err := explain(ctx, tx, flowEventsText(events), append(events.args, position(number, 0), position(number+1, 0)))
		plans = append(plans, plan)
		return err
	})
	return plans, err
}
