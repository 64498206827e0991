package postgres_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
)

// TestBrokenWhileABlockBecomesWhole breaks appends that give the last number of a block, at every moment there is: what was counted
// ahead is what is there, each time.
func TestBrokenWhileABlockBecomesWhole(t *testing.T) {
	const size = 10
	server := pgtest.Start(t, "fsync=off")
	var at breaker
	a, err := postgres.OpenTraced(t.Context(), postgres.Options{URL: server.Database(), Now: clock}, &at)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	epoch, err := a.Take(t.Context(), 0, "one")
	if err != nil {
		t.Fatal(err)
	}
	breaks := 0
	for n := 0; ; n++ {
		b := audit.Batch{Epoch: epoch, Entries: entries(t, n*size, size)}
		at.arm(n+1, func(c *pgx.Conn) {
			breaks++
			_ = c.PgConn().Conn().Close()
		})
		if _, err := a.Append(t.Context(), b); err == nil && !at.fired() {
			counted(t, a, (n+1)*size)
			break
		}
		at.arm(0, nil)
		untilStored(t, a, b)
		counted(t, a, (n+1)*size)
		// As if the rest of the block had gone with shelves: the next append ends the block in which these events lie.
		if err := a.Exec(t.Context(), `UPDATE organization SET last_sequence = last_sequence / 1024 * 1024 + 1018`); err != nil {
			t.Fatal(err)
		}
	}
	if breaks < 20 {
		t.Errorf("broken %d times", breaks)
	}
}

// counted holds what is answered from counts, and a filter that skips blocks, to the events that are there.
func counted(t *testing.T, a *postgres.Archive, want int) {
	t.Helper()
	types := map[string]int64{}
	events, err := a.Events(t.Context(), audit.Query{OrganizationUID: "org", Limit: 1 << 20})
	if err != nil || len(events) != want {
		t.Fatalf("%d events, want %d, %v", len(events), want, err)
	}
	for i := range events {
		types[string(events[i].Type)]++
	}
	f, err := a.Facets(t.Context(), audit.Query{OrganizationUID: "org"}, []audit.Field{audit.FieldType}, 100)
	if err != nil || f.Total != int64(want) {
		t.Fatalf("%+v, %v, want %d events", f, err, want)
	}
	for _, v := range f.Fields[0].Values {
		if types[v.Value] != v.Count {
			t.Errorf("%s: %d counted, %d are there", v.Value, v.Count, types[v.Value])
		}
		delete(types, v.Value)
	}
	if len(types) > 0 {
		t.Errorf("not counted: %v", types)
	}
	found, err := a.Events(t.Context(), audit.Query{OrganizationUID: "org", Limit: 1 << 20, Match: audit.Match{Methods: []string{"password"}}})
	if err != nil || len(found) != want {
		t.Errorf("the filter finds %d events, want %d, %v", len(found), want, err)
	}
}

// TestACopyCountsAsItsSource imports a record in pieces that end anywhere, and where it stands when its youngest events are gone.
func TestACopyCountsAsItsSource(t *testing.T) {
	server := pgtest.Start(t, "fsync=off")
	from := open(t, postgres.Options{URL: server.Schema()})
	to := open(t, postgres.Options{URL: server.Schema()})
	fill(t, from, 2600)
	appendOdd(t, from)
	for at := int64(0); ; {
		events, err := from.Dump(t.Context(), "org", at, 700)
		if err != nil {
			t.Fatal(err)
		}
		standing := audit.Standing{OrganizationUID: "org", Organization: "acme", Last: 3080, Recorded: clock()}
		if err := to.Import(t.Context(), standing, events, nil); err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		at = events[len(events)-1].Sequence
	}
	if last, _, err := to.Position(t.Context(), "org"); err != nil || last != 3080 {
		t.Fatalf("the copy stands at %d, %v", last, err)
	}
	want := answers(t, from)
	for name, got := range answers(t, to) {
		if !reflect.DeepEqual(got, want[name]) {
			t.Errorf("%s:\n%+v\nwant\n%+v", name, got, want[name])
		}
	}
}

// TestHistogramOfHoursThatAreCut counts hours in which bounds lie from their events.
func TestHistogramOfHoursThatAreCut(t *testing.T) {
	a := open(t, postgres.Options{URL: pgtest.Start(t, "fsync=off").Schema()})
	fill(t, a, 3000) // one every 10 ms
	began := clock().Add(-24 * time.Hour)
	bounds := []time.Time{began.Add(-30 * time.Minute), began.Add(5 * time.Second), began.Add(5*time.Second + 1), began.Add(20 * time.Second), began.Add(90 * time.Minute)}
	h, err := a.Histogram(t.Context(), audit.Query{OrganizationUID: "org"}, bounds)
	if err != nil || !h.Complete || !reflect.DeepEqual(h.Counts, []int64{500, 1, 1499, 1000}) {
		t.Errorf("%+v, %v", h, err)
	}
}

// TestACountThatIsTooLongSaysHowFarItWent looks at no more events than it may, the newest first.
func TestACountThatIsTooLongSaysHowFarItWent(t *testing.T) {
	const all, methods = 1500, 1200 // events, and those that the filter leaves
	a := open(t, postgres.Options{URL: pgtest.Start(t, "fsync=off").Schema()})
	fill(t, a, all)
	q := audit.Query{OrganizationUID: "org", Exclude: audit.Match{Types: []string{"mfa.*"}}}
	for budget, complete := range map[int]bool{1: false, 1000: false, methods - 1: false, methods: true, methods + 1: true} {
		f, err := a.FacetsWithin(t.Context(), q, budget)
		if err != nil || f.Complete != complete || f.Total != int64(min(budget, methods)) {
			t.Errorf("budget %d: %+v, %v", budget, f, err)
			continue
		}
		down := q
		down.After, down.Limit = f.From-1, all
		if found, err := a.Events(t.Context(), down); err != nil || !complete && len(found) != int(f.Total) {
			t.Errorf("budget %d: %d events from %d on, %d were counted, %v", budget, len(found), f.From, f.Total, err)
		}
	}
	q.Limit = all
	seen, pages := int64(0), 0
	for {
		g, err := a.GroupsWithin(t.Context(), q, 500)
		if err != nil {
			t.Fatal(err)
		}
		for i := range g.Groups {
			seen += g.Groups[i].Count
		}
		if pages++; g.Next == 0 {
			break
		}
		q.After = g.Next
	}
	if seen != methods || pages != 3 {
		t.Errorf("%d events in groups on %d pages", seen, pages)
	}
}
