package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
)

// HistoryPlans returns how PostgreSQL would answer the reads of the history, by what is read.
func (a *Archive) HistoryPlans(ctx context.Context, organizationUID string) (map[string]string, error) {
	all := audit.VersionQuery{Limit: 50}
	policies := audit.VersionQuery{Limit: 50, PolicyOnly: true, WithRecords: true}
	plans := map[string]string{}
	err := a.ofNumber(ctx, organizationUID, func(tx pgx.Tx, n int32) error {
		for _, q := range []struct {
			what, text string
			args       []any
		}{
			{"commit", commitAt, []any{n, 1}}, {"organization", organizationAt, []any{n, 0, 50}}, {"item", itemAt, []any{n, []byte("k"), 0, 50}},
			{"set back", setBackAt, []any{n, 50}}, {"before", commitBefore, []any{n, 50, 50}},
			{"versions", versionsText(&all), []any{n, 50, 50}}, {"policies", versionsText(&policies), []any{n, 50, 50}},
			{"dump of commits", dumpCommits, []any{n, 0, 50, 50}}, {"dump of versions", dumpVersions, []any{n, 0, 50, 50}},
			{"dump of items", dumpItems, []any{n, 0, 50, 50, []byte("k"), 0}},
		} {
			var t text
			t.add(q.text)
			t.args = q.args
			plan, err := explain(ctx, tx, &t)
			if err != nil {
				return err
			}
			plans[q.what] = plan
		}
		return nil
	})
	return plans, err
}

// ScanPlans is Plans for what goes through flows: on each shelf the rows, then the events.
func (a *Archive) ScanPlans(ctx context.Context, s audit.FlowScan) (flows, events []string, err error) {
	err = a.inRead(ctx, func(tx pgx.Tx) error {
		v, err := see(ctx, tx, s.OrganizationUID, a.now())
		if err != nil {
			return err
		}
		for _, on := range v.scanShelves(&s) {
			for _, t := range scanStatements(on, &s, flowColumns, scanOrder, s.Limit) {
				plan, err := explain(ctx, tx, t)
				if err != nil {
					return err
				}
				flows = append(flows, plan)
			}
			plan, err := explain(ctx, tx, v.eventsText(on, [][]byte{idKey("a"), idKey("b")}))
			if err != nil {
				return err
			}
			events = append(events, plan)
		}
		return nil
	})
	return flows, events, err
}
