package archivetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

// dumpCases hold archives that give their rows as they are to that contract.
var dumpCases = []testCase{
	{"rows come as they are stored, in order of sequence, past every edge", func(w *world) {
		d, ok := w.Backend.(audit.Dumper)
		if !ok {
			return // this archive cannot be copied
		}
		var written []audit.Event
		for n := range 40 {
			w.retain(orgA, days([]int{7, 180, 1000}[n%3]))
			e := w.dating([]audit.Type{audit.TypeSessionEnded, audit.TypePolicyUpdated}[n%2], n*7%60)
			written = append(written, e)
			w.add(e)
		}
		w.add(w.event(ofB))
		w.retain(orgA, days(1))
		w.set(began.Add(3650 * day))
		for _, size := range []int{1, 7, 100} {
			var got []audit.StoredEvent
			for after := int64(0); ; {
				some := must(d.Dump(w.Context(), orgA, after, size))(w)
				got = append(got, some...)
				if len(some) < size {
					break
				}
				after = some[len(some)-1].Sequence
			}
			for i := range got {
				want := written[i]
				moment, _ := audit.Moment(want.ID, got[i].RecordedTime)
				if got[i].ID != want.ID || got[i].Sequence != int64(i+1) || got[i].Shelf != audit.ShelfOf([]int{7, 180, 1000}[i%3], moment) ||
					!reflect.DeepEqual(got[i].Sealed, want.Sealed) || !equalIndexes(got[i].Indexes, want.Indexes) || len(got[i].Body) == 0 {
					w.Errorf("row %d: %+v", i+1, got[i])
				}
			}
			if len(got) != len(written) {
				w.Errorf("%d rows in pages of %d, want %d", len(got), size, len(written))
			}
		}
		if none := must(d.Dump(w.Context(), "nobody", 0, 9))(w); len(none) != 0 {
			w.Errorf("nobody has %d rows", len(none))
		}
	}},
	{"standings say where records stand, in order of uid", func(w *world) {
		d, ok := w.Backend.(audit.Dumper)
		if !ok {
			return
		}
		w.add(w.event(ofB), w.event(func(e *audit.Event) { e.Revision = 9 }), w.event())
		want := []audit.Standing{
			{OrganizationUID: orgA, Organization: "acme", Last: 2, Recorded: at(3).Truncate(time.Millisecond).Add(time.Second), Revision: 9},
			{OrganizationUID: orgB, Organization: "bolt", Last: 1, Recorded: at(1).Truncate(time.Millisecond).Add(time.Second)},
		}
		if got := must(d.Standings(w.Context(), "", 9))(w); !reflect.DeepEqual(got, want) {
			w.Errorf("got  %+v\nwant %+v", got, want)
		}
		if got := must(d.Standings(w.Context(), orgA, 9))(w); !reflect.DeepEqual(got, want[1:]) {
			w.Errorf("after A %+v", got)
		}
		if got := must(d.Standings(w.Context(), "", 1))(w); !reflect.DeepEqual(got, want[:1]) {
			w.Errorf("one %+v", got)
		}
	}},
	{"flows come with their shelf, moment and partition, and all their events", func(w *world) {
		d, ok := w.Backend.(audit.Dumper)
		if !ok {
			return
		}
		w.retain(orgA, audit.Retention{SignIn: 30, Administration: 365, Activity: 365})
		regular, stray := w.flowAt(1, -20*day, ""), w.flowAt(2, -40*day, "no uuid")
		token := w.event(func(e *audit.Event) { e.Type, e.Flow = audit.TypeTokenUsed, regular })
		w.add(token, w.step(5, 1, audit.TypeSignInStarted, ofB, func(e *audit.Event) { e.Flow = regular }))
		w.retain(orgA, days(1))
		rows := must(d.DumpFlows(w.Context(), orgA, []string{regular, "unknown", stray, id("flow", 77)}))(w)
		slices.SortFunc(rows, func(x, y audit.StoredFlow) int { return strings.Compare(x.ID, y.ID) })
		if len(rows) != 2 || rows[0].ID != regular || rows[1].ID != stray || rows[0].EndEventID == "" {
			w.Fatalf("rows %+v", rows)
		}
		for i := range rows {
			moment, own := audit.IDMoment(rows[i].ID)
			if own && !rows[i].Moment.Equal(moment) || rows[i].Shelf != audit.ShelfOf(30, rows[i].Moment) || rows[i].Partition != 0 {
				w.Errorf("row %+v", rows[i])
			}
		}
		var got []string
		for _, e := range must(d.DumpFlow(w.Context(), orgA, regular))(w) {
			got = append(got, fmt.Sprint(e.Sequence))
		}
		if !slices.Equal(got, []string{"1", "2", "5"}) {
			w.Errorf("events with sequence %v", got)
		}
	}},
}
