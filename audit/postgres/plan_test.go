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

// eventID is a UUIDv7 of a moment.
func eventID(at time.Time, kind, n int) string {
	return fmt.Sprintf("%s-7%03x-8000-%012x", audit.FirstID(at), kind, n)
}

func entries(t testing.TB, from, n int) []audit.Entry {
	t.Helper()
	types := []audit.Type{audit.TypeSignInStarted, audit.TypePasswordRejected, audit.TypePasswordVerified, audit.TypeMFAVerified, audit.TypeSignInSucceeded}
	out := make([]audit.Entry, n)
	for k := range out {
		i := from + k
		at := clock().Add(-24 * time.Hour).Add(time.Duration(i) * 10 * time.Millisecond)
		subject := fmt.Sprintf("%017d", i/5%1000)
		e := audit.Event{ID: eventID(at, 1, i), Type: types[i%5], Time: at, Organization: "acme", OrganizationUID: "org",
			Site: fmt.Sprint("site-", i/5%10), SiteUID: eventID(clock(), 2, i/5%10), Flow: eventID(at.Add(-time.Duration(i%5)*10*time.Millisecond), 3, i/5),
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

// planCase is a query and what its plan must and must not say.
type planCase struct {
	name, want string
	plans      func() ([]string, error)
	sorted     bool // what is found is little, and sorted
}

// walksInOrder holds plans to one index, walked in order.
func (c *planCase) walksInOrder(t *testing.T) {
	t.Helper()
	plans, err := c.plans()
	if err != nil || len(plans) == 0 {
		t.Fatalf("%s: %v, %v", c.name, plans, err)
	}
	for _, plan := range plans {
		if !regexp.MustCompile(c.want).MatchString(plan) || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Bitmap") ||
			strings.Contains(plan, "Hash Join") || (!c.sorted && strings.Contains(plan, "Sort")) {
			t.Errorf("%s:\n%s\nwant %s", c.name, plan, c.want)
		}
	}
}

// TestQueriesWalkAnIndexInOrder holds every query to its path, before the server knows anything of its tables and after.
func TestQueriesWalkAnIndexInOrder(t *testing.T) {
	server := pgtest.Start(t, "fsync=off", "autovacuum=off")
	a := open(t, postgres.Options{URL: server.Schema()})
	fill(t, a, 5000)
	for _, known := range []bool{false, true} {
		if known {
			if err := a.Exec(t.Context(), "ANALYZE"); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range append(eventPlans(t, a), flowPlans(t, a)...) {
			c.name += fmt.Sprint(", known ", known)
			c.walksInOrder(t)
		}
	}
}

func eventPlans(t *testing.T, a backend) (out []planCase) {
	subject := audit.Index{Purpose: audit.IndexAccount, Value: []byte(fmt.Sprintf("%017d", 7))}
	for _, c := range []struct {
		q    audit.Query
		want string
	}{
		{audit.Query{}, `event_\d+_pkey`},
		{audit.Query{Match: audit.Match{Sites: []string{"site-1"}}}, `event_\d+_site`},
		{audit.Query{Match: audit.Match{Types: []string{"mfa.*"}}}, `event_\d+_type`},
		{audit.Query{Match: audit.Match{Flows: []string{eventID(clock(), 3, 1)}}}, `event_\d+_flow`},
		{audit.Query{Match: audit.Match{Subjects: []audit.Index{subject}}}, `Index Only Scan.* using term_\d+_pkey`},
		{audit.Query{Match: audit.Match{Networks: []audit.Index{subject}}}, `Index Only Scan.* using term_\d+_pkey`},
		{audit.Query{Match: audit.Match{Sites: []string{"site-1"}, Types: []string{"mfa.verified"}}}, `event_\d+_site`},                                        // 500 rows against 1000
		{audit.Query{Match: audit.Match{Sites: []string{"site-1", "site-2", "site-3"}, Types: []string{"mfa.verified"}}}, `event_\d+_type`},                    // 1500 against 1000
		{audit.Query{Match: audit.Match{Sites: []string{"site-1"}, Types: []string{"mfa.*", "sign_in.*"}, Subjects: []audit.Index{subject}}}, `term_\d+_pkey`}, // 5 rows
		{audit.Query{Match: audit.Match{Sites: []string{"site-1"}, Reasons: []string{"x"}, Outcomes: []audit.Outcome{audit.OutcomeFailure}}}, `event_\d+_reason`},
		{audit.Query{Match: audit.Match{SupportCodes: []string{"00000-00007"}, Types: []string{"mfa.*"}}}, `event_\d+_code`},
		{audit.Query{Match: audit.Match{Outcomes: []audit.Outcome{audit.OutcomeFailure}, Methods: []string{"x"}, Connections: []string{"y"}}, Start: clock().Add(-24 * time.Hour)}, `event_\d+_pkey`},
		{audit.Query{Match: audit.Match{Methods: []string{"password"}}, Exclude: audit.Match{Sites: []string{"site-1"}, Types: []string{"mfa.*"}, Networks: []audit.Index{subject}}}, `event_\d+_pkey`},
		{audit.Query{Text: []string{"password", "site"}}, `event_\d+_pkey`},
	} {
		for _, c.q.Descending = range []bool{false, true} {
			c.q.OrganizationUID, c.q.Limit = "org", 50
			q := c.q
			out = append(out, planCase{name: fmt.Sprintf("%+v", q), want: c.want, plans: func() ([]string, error) { return a.Plans(t.Context(), q) }})
		}
	}
	return out
}

func flowPlans(t *testing.T, a backend) (out []planCase) {
	subject := audit.Index{Purpose: audit.IndexAccount, Value: []byte(fmt.Sprintf("%017d", 7))}
	for _, c := range []struct {
		q      audit.FlowQuery
		want   string
		sorted bool // a subject's or a code's own flows are few
	}{
		{audit.FlowQuery{}, `flow_\d+_started`, false},
		{audit.FlowQuery{BeforeTime: clock(), BeforeID: "x", Start: clock().Add(-25 * time.Hour)}, `flow_\d+_started`, false},
		{audit.FlowQuery{FlowMatch: audit.FlowMatch{Sites: []string{"site-1", "site-2"}}, BeforeTime: clock()}, `flow_\d+_site`, false},
		{audit.FlowQuery{FlowMatch: audit.FlowMatch{Endings: []audit.Ending{audit.EndingDenied}}}, `flow_\d+_started`, false},
		{audit.FlowQuery{FlowMatch: audit.FlowMatch{Subjects: []audit.Index{subject}}}, `flow_term_\d+_pkey`, true},
		{audit.FlowQuery{FlowMatch: audit.FlowMatch{SupportCodes: []string{"a"}}}, `flow_\d+_code`, true},
	} {
		c.q.OrganizationUID, c.q.Limit = "org", 50
		out = append(out, planCase{name: fmt.Sprintf("%+v", c.q), want: c.want, sorted: c.sorted, plans: func() ([]string, error) { return a.FlowPlans(t.Context(), c.q) }})
	}
	return out
}

// BenchmarkAppend stores batches of 500 events with seven blind indexes each, steps of flows of five.
func BenchmarkAppend(b *testing.B) {
	a := open(b, postgres.Options{URL: pgtest.Start(b).Schema()})
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
}

// BenchmarkEvents reads pages of 100 by site, newest first.
func BenchmarkEvents(b *testing.B) {
	a := open(b, postgres.Options{URL: pgtest.Start(b, "fsync=off").Schema()})
	fill(b, a, 20_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Events(b.Context(), audit.Query{OrganizationUID: "org", Match: audit.Match{Sites: []string{"site-3"}}, Descending: true, Limit: 100}); err != nil {
			b.Fatal(err)
		}
	}
}
