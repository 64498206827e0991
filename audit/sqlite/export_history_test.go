package sqlite

import (
	"context"

	"github.com/postern-audit/postern/audit"
)

// HistoryPlans returns how SQLite would answer the reads of the history, by what is read.
func (a *Archive) HistoryPlans(ctx context.Context) (map[string]string, error) {
	all := audit.VersionQuery{Limit: 50}
	policies := audit.VersionQuery{Limit: 50, PolicyOnly: true, WithRecords: true}
	plans := map[string]string{}
	for _, q := range []struct {
		what, text string
		args       []any
	}{
		{"commit", commitAt, []any{"org", 1}}, {"organization", organizationAt, []any{"org", 0, 1}}, {"item", itemAt, []any{"org", []byte("k"), 0, 1}},
		{"set back", setBackAt, []any{"org", 1}}, {"before", commitBefore, []any{"org", 1, 1}},
		{"dump of commits", dumpCommits, []any{"org", 0, 1, 9}}, {"dump of versions", dumpVersions, []any{"org", 0, 1, 9}},
		{"dump of items", dumpItems, []any{"org", []byte("k"), 1, 0, 9, 9}},
		{"versions", versionsText(&all), versionsArgs(&all)}, {"policies", versionsText(&policies), versionsArgs(&policies)},
	} {
		plan, err := explain(ctx, a.read, q.text, q.args)
		if err != nil {
			return nil, err
		}
		plans[q.what] = plan
	}
	return plans, nil
}
