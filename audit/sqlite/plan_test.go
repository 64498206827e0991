package sqlite_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
)

// fill appends n events of one organization, in batches, as 10 sites, 5 types, 1000 subjects and flows of 5 events give them.
func fill(t testing.TB, a backend, n int) {
	t.Helper()
	epoch, err := a.Take(t.Context(), 0, "fill")
	if err != nil {
		t.Fatal(err)
	}
	for from := 0; from < n; from += 500 {
		if _, err := a.Append(t.Context(), audit.Batch{Epoch: epoch, Entries: entries(t, from, min(500, n-from))}); err != nil {
			t.Fatal(err)
		}
	}
}

func entries(t testing.TB, from, n int) []audit.Entry {
	t.Helper()
	types := []audit.Type{audit.TypeSignInStarted, audit.TypePasswordRejected, audit.TypePasswordVerified, audit.TypeMFAVerified, audit.TypeSignInSucceeded}
	out := make([]audit.Entry, n)
	for k := range out {
		i := from + k
		at := time.UnixMilli(1_700_000_000_000 + int64(i)*5000).UTC()
		subject := fmt.Sprintf("%017d", i/5%1000)
		e := audit.Event{ID: fmt.Sprintf("%s-7000-8000-%012d", audit.FirstID(at), i), Type: types[i%5], Time: at, Organization: "acme", OrganizationUID: "org",
			Site: fmt.Sprint("site-", i/5%10), SiteUID: fmt.Sprintf("01930000-0001-7000-8000-%012d", i/5%10), Flow: fmt.Sprintf("%s-7002-8000-%012d", audit.FirstID(time.UnixMilli(1_700_000_000_000+int64(i/5)*25000)), i/5),
			Step: i%5 + 1, SupportCode: fmt.Sprintf("%05d-%05d", i/5/100000, i/5%100000), Caller: "unix:1000", Class: audit.ClassExternal,
			Outcome: audit.OutcomeOf(types[i%5]), Evidence: audit.EvidenceAsserted, Method: "password", Client: audit.ClientWeb,
			Sealed: &audit.Sealed{Salt: make([]byte, 16), Data: make([]byte, 180), Digest: make([]byte, 32)}}
		for p := audit.IndexAccount; p <= audit.IndexNetwork16; p++ {
			e.Indexes = append(e.Indexes, audit.Index{Purpose: p, Value: []byte(subject)})
		}
		raw, err := codec.New(nil).Encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		out[k] = audit.Entry{OutboxID: "1-0", RecordedTime: at, Event: e, Raw: raw}
	}
	return out
}

// TestQueriesWalkAnIndexInOrder holds every query to its path: no full scan of a large table, no sort of what may be the
// whole record.
func TestQueriesWalkAnIndexInOrder(t *testing.T) {
	a := open(t, filepath.Join(t.TempDir(), "postern.db"))
	fill(t, a, 5000)
	subject := audit.Index{Purpose: audit.IndexAccount, Value: []byte(fmt.Sprintf("%017d", 7))}
	for _, c := range []struct {
		q    audit.Query
		want string
	}{
		{audit.Query{}, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		{audit.Query{Match: audit.Match{Sites: []string{"site-1"}}}, "event_site_1 (site=? AND rowid>? AND rowid<?)"},
		{audit.Query{Match: audit.Match{Types: []string{"mfa.*"}}}, "event_type_1 (type=? AND rowid>? AND rowid<?)"},
		{audit.Query{Match: audit.Match{Subjects: []audit.Index{subject}}}, "PRIMARY KEY (purpose=? AND value=? AND position>? AND position<?)"},
		{audit.Query{Match: audit.Match{Networks: []audit.Index{subject}}}, "PRIMARY KEY (purpose=? AND value=? AND position>? AND position<?)"},
		{audit.Query{Match: audit.Match{Sites: []string{"site-1"}, Types: []string{"mfa.verified"}}}, "event_site"},                                      // 500 rows against 1000
		{audit.Query{Match: audit.Match{Sites: []string{"site-1", "site-2", "site-3"}, Types: []string{"mfa.verified"}}}, "event_type"},                  // 1500 against 1000
		{audit.Query{Match: audit.Match{Sites: []string{"site-1"}, Types: []string{"mfa.*", "sign_in.*"}, Subjects: []audit.Index{subject}}}, "i USING"}, // 5 rows
		{audit.Query{Match: audit.Match{Outcomes: []audit.Outcome{audit.OutcomeFailure}, Reasons: []string{"x"}, Connections: []string{"y"}}, Start: time.UnixMilli(1_700_000_000_000)}, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	} {
		c.q.OrganizationUID, c.q.Limit = "org", 50
		for _, c.q.Descending = range []bool{false, true} {
			plans, err := a.Plans(t.Context(), c.q)
			if err != nil || len(plans) == 0 {
				t.Fatalf("%+v: %v, %v", c.q, plans, err)
			}
			for _, plan := range plans {
				if !strings.Contains(plan, c.want) || strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") {
					t.Errorf("%+v:\n%s\nwant %s", c.q, plan, c.want)
				}
			}
		}
	}
}

func TestFlowQueriesWalkAnIndexInOrder(t *testing.T) {
	a := open(t, filepath.Join(t.TempDir(), "postern.db"))
	fill(t, a, 500)
	subject := audit.Index{Purpose: audit.IndexAccount, Value: []byte(fmt.Sprintf("%017d", 7))}
	for _, c := range []struct {
		q      audit.FlowQuery
		want   string
		sorted bool // a subject's or a code's own flows are few
	}{
		{audit.FlowQuery{}, "flow_started_1 (organization=?", false},
		{audit.FlowQuery{BeforeTime: time.UnixMilli(1_700_000_001_000), BeforeID: "x", Start: time.UnixMilli(1)}, "flow_started_1 (organization=? AND started", false},
		{audit.FlowQuery{FlowMatch: audit.FlowMatch{Sites: []string{"site-1", "site-2"}}, BeforeTime: time.UnixMilli(1_700_000_001_000)}, "flow_site_1 (organization=? AND site=? AND (started,id)<(?,?))", false},
		{audit.FlowQuery{FlowMatch: audit.FlowMatch{Subjects: []audit.Index{subject}}}, "x USING PRIMARY KEY (purpose=? AND value=?)", true},
		{audit.FlowQuery{FlowMatch: audit.FlowMatch{SupportCodes: []string{"a"}}}, "flow_code_1 (organization=? AND support_code=?)", true},
	} {
		c.q.OrganizationUID, c.q.Limit = "org", 50
		plans, err := a.FlowPlans(t.Context(), c.q)
		if err != nil || len(plans) == 0 {
			t.Fatalf("%+v: %v, %v", c.q, plans, err)
		}
		for _, plan := range plans {
			if !strings.Contains(plan, c.want) || strings.Contains(plan, "SCAN") || (!c.sorted && strings.Contains(plan, "TEMP B-TREE")) {
				t.Errorf("%+v:\n%s\nwant %s", c.q, plan, c.want)
			}
		}
	}
}

// TestEdgesKeepThePlans looks at a shelf that an edge cuts, and at one of many.
func TestEdgesKeepThePlans(t *testing.T) {
	now := someday().Add(60 * 24 * time.Hour)
	a := openAt(t, filepath.Join(t.TempDir(), "postern.db"), func() time.Time { return now })
	fill(t, a, 1000)
	if err := a.SetRetention(t.Context(), "org", audit.Retention{SignIn: 60, Administration: 30, Activity: 300}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(47 * time.Minute) // the full hour is 2800 seconds after the first event
	for want, q := range map[string]audit.Query{
		"INTEGER PRIMARY KEY (rowid>? AND rowid<?)":             {},
		"event_site_1 (site=? AND rowid>? AND rowid<?)":         {Match: audit.Match{Sites: []string{"site-1"}}},
		"event_type_1 (type=? AND rowid>? AND rowid<?)":         {Match: audit.Match{Types: []string{"mfa.*"}}},
		"(purpose=? AND value=? AND position>? AND position<?)": {Match: audit.Match{Subjects: []audit.Index{{Purpose: audit.IndexAccount, Value: []byte(fmt.Sprintf("%017d", 7))}}}},
	} {
		q.OrganizationUID, q.Limit = "org", 1000
		plans, err := a.Plans(t.Context(), q)
		if err != nil || len(plans) != 1 || !strings.Contains(plans[0], want) || strings.Contains(plans[0], "SCAN") || strings.Contains(plans[0], "TEMP B-TREE") {
			t.Errorf("%+v: %v\n%v", q, err, plans)
		}
	}
	if got, err := a.Events(t.Context(), audit.Query{OrganizationUID: "org", Limit: 1000}); err != nil || len(got) != 440 {
		t.Errorf("%d events shown, %v", len(got), err)
	}
	plans, err := a.FlowPlans(t.Context(), audit.FlowQuery{OrganizationUID: "org", Limit: 10})
	if err != nil || len(plans) != 1 || !strings.Contains(plans[0], "flow_started_1 (organization=?)") || strings.Contains(plans[0], "TEMP B-TREE") {
		t.Errorf("%v\n%v", err, plans)
	}
}

// BenchmarkAppend stores batches of 500 events with seven blind indexes each, steps of flows of five: where all is kept alike,
// and where ids have to be looked for on the shelves of two other retentions.
func BenchmarkAppend(b *testing.B) {
	for name, others := range map[string][]int{"alike": nil, "three": {30, 365}} {
		b.Run(name, func(b *testing.B) {
			a := open(b, filepath.Join(b.TempDir(), "postern.db"))
			for i, days := range others {
				if err := a.SetRetention(b.Context(), fmt.Sprint("other-", i), audit.Retention{SignIn: days, Administration: days, Activity: days}); err != nil {
					b.Fatal(err)
				}
			}
			if err := a.Ahead(b.Context(), someday()); err != nil {
				b.Fatal(err)
			}
			epoch, err := a.Take(b.Context(), 0, "bench")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				b.StopTimer()
				batch := audit.Batch{Epoch: epoch, Entries: entries(b, rows, 500)}
				b.StartTimer()
				if _, err := a.Append(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
				rows += 500
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkEvents reads pages of 100 by site, newest first.
func BenchmarkEvents(b *testing.B) {
	a := open(b, filepath.Join(b.TempDir(), "postern.db"))
	fill(b, a, 20_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Events(b.Context(), audit.Query{OrganizationUID: "org", Match: audit.Match{Sites: []string{"site-3"}}, Descending: true, Limit: 100}); err != nil {
			b.Fatal(err)
		}
	}
}
