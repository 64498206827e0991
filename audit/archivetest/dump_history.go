package archivetest

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

// everything is a page of all there is.
func everything() audit.HistoryPage {
	return audit.HistoryPage{After: math.MinInt64, UpTo: math.MaxInt64, Limit: 1000}
}

func (w *world) historyDumper() audit.HistoryDumper {
	w.Helper()
	d, ok := w.Backend.(audit.HistoryDumper)
	if !ok {
		w.Fatal("the archive does not give its history of directories: it must implement audit.HistoryDumper")
	}
	return d
}

// items reads all items in pages of a size, as "key sequence record", and fails when one has no commit.
func (w *world) items(d audit.HistoryDumper, p audit.HistoryPage, size int) (out []string) {
	w.Helper()
	for p.Limit = size; ; {
		some := must(d.DumpItems(w.Context(), orgA, p))(w)
		for _, i := range some {
			record := string(i.Record)
			if i.Record == nil {
				record = "gone"
			}
			if !i.Committed {
				w.Errorf("item %+v has no commit", i)
			}
			out = append(out, fmt.Sprintf("%s %d %s", i.Key, i.Sequence, record))
		}
		if len(some) < size {
			return out
		}
		p.Behind = &some[size-1].DirectoryPlace
	}
}

// dumpHistoryCases hold archives to what they say of their history's rows.
var dumpHistoryCases = []testCase{
	{"rows of the history come as they are stored", func(w *world) {
		w.past()
		d, events := w.historyDumper(), must(w.Backend.(audit.Dumper).Dump(w.Context(), orgA, 0, 100))(w)
		var commits []string
		for _, c := range must(d.DumpCommits(w.Context(), orgA, everything()))(w) {
			if !c.RecordedTime.Equal(events[c.Sequence-1].RecordedTime) {
				w.Errorf("commit %+v", c)
			}
			commits = append(commits, fmt.Sprint(c.Sequence, c.Revision, c.BackTo))
		}
		if got := strings.Join(commits, ", "); got != "1 1 0, 2 2 0, 4 3 0, 5 4 0, 6 5 0" {
			w.Errorf("commits %s", got)
		}
		versions := must(d.DumpVersions(w.Context(), orgA, everything()))(w)
		for i, want := range []struct {
			event  int
			record string
			policy bool
		}{{0, "one", true}, {3, "three", false}, {5, "five", true}} {
			v, e := versions[i], events[want.event]
			if v.Sequence != e.Sequence || v.Revision != e.Revision || !v.RecordedTime.Equal(e.RecordedTime) || v.Policy != want.policy ||
				string(v.Record) != want.record || !bytes.Equal(v.Body, e.Body) || !reflect.DeepEqual(v.Sealed, e.Sealed) {
				w.Errorf("version %+v of %+v", v, e)
			}
		}
		if len(versions) != 3 {
			w.Errorf("%d versions", len(versions))
		}
		want := []string{"cd\x00\xff 2 \x00", "da.example 2 a2", "da.example 5 gone", "da.example 6 a5", "db.example 2 b2", "dc.example 5 c4"}
		if got := w.items(d, everything(), 100); !reflect.DeepEqual(got, want) {
			w.Errorf("items %q", got)
		}
	}},
	{"pages of the history are parts of it", func(w *world) {
		w.past()
		d := w.historyDumper()
		all := w.items(d, everything(), 100)
		for size := 1; size <= 6; size++ {
			if got := w.items(d, everything(), size); !reflect.DeepEqual(got, all) {
				w.Errorf("in pages of %d: %q", size, got)
			}
		}
		if got := w.items(d, audit.HistoryPage{After: 2, UpTo: 5}, 1); !reflect.DeepEqual(got, []string{"da.example 5 gone", "dc.example 5 c4"}) {
			w.Errorf("items of 3 to 5: %q", got)
		}
		var sequences []int64
		for _, p := range []audit.HistoryPage{{After: 1, UpTo: 6, Limit: 2}, {After: 4, UpTo: 5, Limit: 9}, {After: 6, UpTo: 99, Limit: 9}, {UpTo: 99}} {
			for _, c := range must(d.DumpCommits(w.Context(), orgA, p))(w) {
				sequences = append(sequences, c.Sequence)
			}
			for _, v := range must(d.DumpVersions(w.Context(), orgA, p))(w) {
				sequences = append(sequences, -v.Sequence)
			}
		}
		if !reflect.DeepEqual(sequences, []int64{2, 4, -4, -6, 5}) {
			w.Errorf("sequences %v", sequences)
		}
		if c := must(d.DumpCommits(w.Context(), "nobody", everything()))(w); len(c) != 0 {
			w.Errorf("commits of nobody: %+v", c)
		}
	}},
	{"a standing says which commit is the newest", func(w *world) {
		w.past()
		w.add(w.event())
		var got []int64
		for _, s := range must(w.Backend.(audit.Dumper).Standings(w.Context(), "", 9))(w) {
			got = append(got, s.Last, s.Commit)
		}
		if !reflect.DeepEqual(got, []int64{7, 6, 1, 1}) {
			w.Errorf("standings %v", got)
		}
	}},
	{"a record of no bytes is not the same as none, and a store set back says to where", func(w *world) {
		e := w.commit(audit.TypeOrganizationSetBack, 7, "x", audit.DirectoryItem{Key: audit.DomainKey("empty"), Record: []byte{}}, lacks("gone"))
		e.Directory.BackTo, e.Sealed = 3, nil
		w.add(e)
		d := w.historyDumper()
		if got := w.items(d, everything(), 9); !reflect.DeepEqual(got, []string{"dempty 1 ", "dgone 1 gone"}) {
			w.Errorf("items %q", got)
		}
		c, v := must(d.DumpCommits(w.Context(), orgA, everything()))(w), must(d.DumpVersions(w.Context(), orgA, everything()))(w)
		if len(c) != 1 || c[0].BackTo != 3 || len(v) != 1 || v[0].Sealed != nil {
			w.Errorf("commits %+v, versions %+v", c, v)
		}
	}},
	{"a key longer than any name is found, and stands there by its hash", func(w *world) {
		long := strings.Repeat("x", 70_000)
		w.add(w.commit(audit.TypeOrganizationCreated, 1, "one", has(long, "long"), has(long+"y", "other")))
		if got := w.then(w.historian(w.Backend), at(99), long, long+"y", long+"z"); !strings.HasSuffix(got, "=long "+long+"y=other") {
			w.Errorf("got %d bytes", len(got))
		}
		for _, i := range must(w.historyDumper().DumpItems(w.Context(), orgA, everything()))(w) {
			if len(i.Key) > 300 {
				w.Errorf("a key of %d bytes", len(i.Key))
			}
		}
	}},
	{"the history stays when its events are pruned", func(w *world) {
		w.retain(orgA, days(1))
		w.past()
		d := w.historyDumper()
		commits, items := must(d.DumpCommits(w.Context(), orgA, everything()))(w), w.items(d, everything(), 100)
		versions := must(d.DumpVersions(w.Context(), orgA, everything()))(w)
		later := began.Add(3650 * day)
		w.set(later)
		for _, s := range must(w.Expired(w.Context(), later))(w) {
			if _, _, err := w.Drop(w.Context(), s, later.Add(time.Second)); err != nil {
				w.Fatal(err)
			}
		}
		if left := must(w.Backend.(audit.Dumper).Dump(w.Context(), orgA, 0, 9))(w); len(left) != 0 {
			w.Errorf("%d events left", len(left))
		}
		if c := must(d.DumpCommits(w.Context(), orgA, everything()))(w); !reflect.DeepEqual(c, commits) || len(c) == 0 {
			w.Errorf("commits %+v", c)
		}
		if v := must(d.DumpVersions(w.Context(), orgA, everything()))(w); !reflect.DeepEqual(v, versions) || !reflect.DeepEqual(w.items(d, everything(), 100), items) {
			w.Errorf("versions %+v", v)
		}
	}},
}
