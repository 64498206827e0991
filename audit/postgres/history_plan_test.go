package postgres_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
)

// commits appends n commits of organization "org", each with a record and 20 claims.
func commits(t *testing.T, a backend, n int) {
	t.Helper()
	epoch, err := a.Take(t.Context(), 1, "commits")
	if err != nil {
		t.Fatal(err)
	}
	b := audit.Batch{Partition: 1, Epoch: epoch}
	for i := range n {
		at := clock().Add(-time.Hour).Add(time.Duration(i) * time.Second)
		e := audit.Event{ID: eventID(at, 4, i), Type: audit.TypePolicyUpdated, Time: at, Organization: "acme", OrganizationUID: "org", Revision: int64(i + 1),
			Directory: &audit.DirectoryWrite{Organization: []byte("record")}}
		if i%10 == 9 {
			e.Directory.BackTo = int64(i - 3)
		}
		for k := range 20 {
			e.Directory.Items = append(e.Directory.Items, audit.DirectoryItem{Key: audit.ClaimKey(fmt.Append(nil, (i*20+k)*7919%1009)), Record: []byte("record")})
		}
		raw, err := codec.New(nil).Encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		b.Entries = append(b.Entries, audit.Entry{OutboxID: "1-0", RecordedTime: at, Event: e, Raw: raw})
	}
	if _, err := a.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// known runs fn before the server knows anything of its tables, and after.
func known(t *testing.T, a backend, fn func(when string)) {
	t.Helper()
	fn("before ANALYZE")
	if err := a.Exec(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	fn("after ANALYZE")
}

// sought reports whether a plan is nothing but walks along an index from where its conditions say.
func sought(plan, want string) bool {
	for _, bad := range []string{"Seq Scan", "Bitmap", "Sort", "Hash", "Merge"} {
		if strings.Contains(plan, bad) {
			return false
		}
	}
	return regexp.MustCompile(want).MatchString(plan)
}

// TestReadsOfTheHistoryAreSeeks holds every read of the history to its index: no scan, no sort, whatever else there is.
func TestReadsOfTheHistoryAreSeeks(t *testing.T) {
	a := open(t, postgres.Options{URL: pgtest.Start(t, "fsync=off", "autovacuum=off").Schema()})
	commits(t, a, 400)
	known(t, a, func(when string) {
		plans, err := a.HistoryPlans(t.Context(), "org")
		if err != nil {
			t.Fatal(err)
		}
		for what, want := range map[string]string{
			"commit":           `Backward using history_moment .*\n.*Index Cond: .*recorded <=`,
			"organization":     `Backward using history_organization_pkey .*\n.*Index Cond: .*sequence > .*sequence <=`,
			"item":             `Backward using history_item_pkey .*\n.*Index Cond: .*key = .*sequence > .*sequence <=`,
			"set back":         `Backward using history_set_back .*\n.*Index Cond: .*sequence <=`,
			"before":           `Backward using history_revision .*\n.*Index Cond: .*revision <= .*sequence <`,
			"versions":         `Backward using history_organization_revision .*\n.*Index Cond: .*revision <`,
			"policies":         `Backward using history_organization_policy .*\n.*Index Cond: .*revision <`,
			"dump of commits":  `using history_commit_pkey .*\n.*Index Cond: .*sequence > .*sequence <=`,
			"dump of versions": `using history_organization_pkey .*\n.*Index Cond: .*sequence > .*sequence <=`,
			"dump of items":    `using history_item_pkey .*\n.*Index Cond: .*ROW\(`,
		} {
			if plan := plans[what]; !sought(plan, want) {
				t.Errorf("%s, %s:\n%s\nwant %s", what, when, plan, want)
			}
		}
	})
}

// TestScansWalkAnIndexInOrder: going through flows reads no more than the page.
func TestScansWalkAnIndexInOrder(t *testing.T) {
	a := open(t, postgres.Options{URL: pgtest.Start(t, "fsync=off", "autovacuum=off").Schema()})
	fill(t, a, 2000)
	place := clock().Add(-24 * time.Hour)
	known(t, a, func(when string) {
		for _, c := range []struct {
			s    audit.FlowScan
			want string
		}{
			{audit.FlowScan{}, `using flow_\d+_started .*\n.*Index Cond: .*organization = `},
			{audit.FlowScan{AfterTime: place, AfterID: "x", Start: place, End: clock()}, `using flow_\d+_started .*\n.*Index Cond: .*organization = .*ROW\(`},
			{audit.FlowScan{Sites: []string{"site-1", "site-2"}, AfterTime: place}, `using flow_\d+_site .*\n.*Index Cond: .*site = .*ROW\(`},
		} {
			c.s.OrganizationUID, c.s.Limit = "org", 50
			flows, events, err := a.ScanPlans(t.Context(), c.s)
			if err != nil || len(flows) == 0 || len(events) == 0 {
				t.Fatalf("%+v: %v, %v, %v", c.s, flows, events, err)
			}
			for i, plan := range append(flows, events...) {
				want := c.want
				if i >= len(flows) {
					want = `using event_\d+_flow .*\n.*Index Cond: .*flow = ANY.*`
				}
				if !sought(plan, want) {
					t.Errorf("%+v, %s:\n%s\nwant %s", c.s, when, plan, want)
				}
			}
		}
	})
}
