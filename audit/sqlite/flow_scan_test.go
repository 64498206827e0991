package sqlite_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
)

// Going through flows reads no more than the page: no full scan, no sort of what may be the whole record.
func TestScansWalkAnIndexInOrder(t *testing.T) {
	a := open(t, filepath.Join(t.TempDir(), "postern.db"))
	fill(t, a, 500)
	place := time.UnixMilli(1_700_000_001_000)
	for _, c := range []struct {
		s    audit.FlowScan
		want string
	}{
		{audit.FlowScan{}, "flow_started (organization=?"},
		{audit.FlowScan{AfterTime: place, AfterID: "x", Start: time.UnixMilli(1), End: time.UnixMilli(1_900_000_000_000)}, "flow_started (organization=? AND (started,id)>(?,?) AND started<?)"},
		{audit.FlowScan{Sites: []string{"site-1", "site-2"}, AfterTime: place}, "flow_site (organization=? AND site=? AND (started,id)>(?,?))"},
	} {
		c.s.OrganizationUID, c.s.Limit = "org", 50
		flows, events, err := a.ScanPlans(t.Context(), c.s)
		if err != nil || len(flows) == 0 || len(events) == 0 {
			t.Fatalf("%+v: %v, %v, %v", c.s, flows, events, err)
		}
		for i, plan := range append(flows, events...) {
			want := c.want
			if i >= len(flows) {
				want = "event_flow (flow=?)"
			}
			if plan = onShelf.ReplaceAllString(plan, "$1 ("); strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") || !strings.Contains(plan, want) {
				t.Errorf("%+v:\n%s\nwant %s", c.s, plan, want)
			}
		}
	}
}

// onShelf is an index with its shelf's number.
var onShelf = regexp.MustCompile(`(flow_started|flow_site|event_flow)_\d+ \(`)
