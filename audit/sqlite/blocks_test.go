package sqlite_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
)

// rare fills an archive with 5000 events, of which one in the third block has a reason, a target and a word of its own.
func rare(t *testing.T) backend {
	t.Helper()
	a := open(t, filepath.Join(t.TempDir(), "postern.db"))
	epoch, err := a.Take(t.Context(), 0, "fill")
	if err != nil {
		t.Fatal(err)
	}
	for from := 0; from < 5000; from += 500 {
		some := entries(t, from, 500)
		if from == 2500 {
			e := &some[99].Event
			e.Reason, e.Target = "RARE", &audit.Target{Type: "policy", ID: "needle.in-hay"}
			some[99].Raw = encoded(t, e)
		}
		if _, err := a.Append(t.Context(), audit.Batch{Epoch: epoch, Entries: some}); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// TestOnlyBlocksThatHaveTheValueAreLookedAt holds filters on fields without an index to the block that has the value, and to the tail.
func TestOnlyBlocksThatHaveTheValueAreLookedAt(t *testing.T) {
	a := rare(t)
	tail := [2]int64{4 * 1024, 5000}
	block := [2]int64{2 * 1024, 3*1024 - 1}
	at := entries(t, 3000, 1)[0].Event.Time
	for name, c := range map[string]struct {
		q    audit.Query
		want [][2]int64
	}{
		"reason":       {audit.Query{Match: audit.Match{Reasons: []string{"RARE"}}}, [][2]int64{block, tail}},
		"target":       {audit.Query{Match: audit.Match{TargetIDs: []string{"needle.in-hay", "none"}}}, [][2]int64{block, tail}},
		"both":         {audit.Query{Match: audit.Match{Reasons: []string{"RARE"}, TargetTypes: []string{"domain"}}}, [][2]int64{tail}},
		"at a site":    {audit.Query{Match: audit.Match{Reasons: []string{"RARE"}, Sites: []string{"site-1"}}}, [][2]int64{block, tail}},
		"word":         {audit.Query{Text: []string{"hay"}}, [][2]int64{block, tail}},
		"no such word": {audit.Query{Text: []string{"straw"}}, nil},
		"no reason":    {audit.Query{Match: audit.Match{Reasons: []string{"NONE"}}}, [][2]int64{tail}},
		"common":       {audit.Query{Match: audit.Match{Methods: []string{"password"}}}, [][2]int64{{1, 5000}}},
		"moment":       {audit.Query{Start: at, End: at.Add(time.Second)}, [][2]int64{{2 * 1024, 3*1024 - 1}}},
		"short":        {audit.Query{UpTo: 2100, Match: audit.Match{Reasons: []string{"RARE"}}}, [][2]int64{{2048, 2100}}},
	} {
		c.q.OrganizationUID, c.q.Limit = "org", 10
		for _, c.q.Descending = range []bool{false, true} {
			got, err := a.Reaches(t.Context(), c.q)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s, descending %v: %v, %v, want %v", name, c.q.Descending, got, err, c.want)
			}
			slices.Reverse(c.want)
		}
	}
	if got, err := a.Events(t.Context(), audit.Query{OrganizationUID: "org", Text: []string{"needle", "rare"}, Limit: 10}); err != nil || len(got) != 1 || got[0].Sequence != 2600 {
		t.Errorf("%d events, %v", len(got), err)
	}
}

// TestKeptCountsNeedNoEvents takes the events of whole blocks away behind the archive's back: what is answered from kept counts stays as
// it was.
func TestKeptCountsNeedNoEvents(t *testing.T) {
	a := rare(t)
	bounds := []time.Time{someday().Truncate(time.Hour)}
	for range 10 {
		bounds = append(bounds, bounds[len(bounds)-1].Add(75*time.Minute))
	}
	ask := func() []any {
		t.Helper()
		var out []any
		for _, m := range []audit.Match{{}, {Methods: []string{"password"}}, {Reasons: []string{"RARE"}}, {Sites: []string{"site-1", "site-2"}}, {Types: []string{"mfa.*"}, Sites: []string{"site-3"}}} {
			q := audit.Query{OrganizationUID: "org", Match: m}
			h, err := a.Histogram(t.Context(), q, bounds)
			if err != nil || !h.Complete {
				t.Fatalf("%+v: %+v, %v", m, h, err)
			}
			f, err := a.Facets(t.Context(), q, []audit.Field{audit.FieldSite}, 5)
			if err != nil || f.Total == 0 {
				t.Fatalf("%+v: %+v, %v", m, f, err)
			}
			out = append(out, h, f)
		}
		f, err := a.Facets(t.Context(), audit.Query{OrganizationUID: "org"}, []audit.Field{audit.FieldType, audit.FieldReason, audit.FieldMethod, audit.FieldClass}, 5)
		if err != nil || f.Total != 5000 {
			t.Fatalf("%+v, %v", f, err)
		}
		return append(out, f)
	}
	before := ask()
	change(t, a.path, fmt.Sprintf(`DELETE FROM event_1 WHERE position < (1 << 40) + %d`, 4*1024))
	if after := ask(); !reflect.DeepEqual(after, before) {
		t.Errorf("%+v\nwant %+v", after, before)
	}
}

func TestAnAnswerThatHadToStopSaysWhere(t *testing.T) {
	a := rare(t)
	for _, c := range []struct {
		budget, from, found int64
	}{{4000, 1001, 4000}, {3200, 1801, 3200}, {5000, 0, 5000}, {20000, 0, 5000}} {
		counted, found, err := a.ScanWith(t.Context(), audit.Query{OrganizationUID: "org"}, c.budget)
		if want := (audit.Counted{Complete: c.from == 0, From: c.from}); err != nil || counted != want || found != c.found {
			t.Errorf("budget %d: %+v, %d found, %v", c.budget, counted, found, err)
		}
	}
	// What an index leads to costs no more than it finds.
	subject := audit.Index{Purpose: audit.IndexAccount, Value: []byte(fmt.Sprintf("%017d", 7))}
	counted, found, err := a.ScanWith(t.Context(), audit.Query{OrganizationUID: "org", Match: audit.Match{Subjects: []audit.Index{subject}}}, 3500)
	if err != nil || !counted.Complete || found != 5 {
		t.Errorf("by subject: %+v, %d found, %v", counted, found, err)
	}
}
