package archivetest

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// historian is the archive as one that keeps the history of directories: every one must.
func (w *world) historian(b Backend) audit.HistoryReader {
	w.Helper()
	h, ok := b.(audit.HistoryReader)
	if !ok {
		w.Fatal("the archive keeps no history of directories: it must implement audit.HistoryReader")
	}
	return h
}

// commit makes the event of a directory commit. A record of "" is not written.
func (w *world) commit(kind audit.Type, revision int64, record string, items ...audit.DirectoryItem) audit.Event {
	return w.event(func(e *audit.Event) {
		e.Type, e.Revision, e.Directory = kind, revision, &audit.DirectoryWrite{Items: items}
		if record != "" {
			e.Directory.Organization = []byte(record)
		}
	})
}

func has(name, record string) audit.DirectoryItem {
	return audit.DirectoryItem{Key: audit.DomainKey(name), Record: []byte(record)}
}

func lacks(name string) audit.DirectoryItem { return audit.DirectoryItem{Key: audit.DomainKey(name)} }

// then returns the revision, the record and the items of organization A at a moment: "-" before anything is known.
func (w *world) then(h audit.HistoryReader, at time.Time, names ...string) string {
	w.Helper()
	c, err := h.CommitAt(w.Context(), orgA, at)
	if err != nil {
		w.notFound(err, audit.HistoryUnknown)
		return "-"
	}
	v := must(h.OrganizationAt(w.Context(), orgA, c))(w)
	keys := make([]audit.DirectoryKey, len(names))
	for i, n := range names {
		keys[i] = audit.DomainKey(n)
	}
	items := must(h.ItemsAt(w.Context(), orgA, c, keys))(w)
	out := fmt.Sprintf("%d %s", c.Revision, v.Record)
	for i, k := range keys {
		if r, ok := items[k]; ok {
			out += " " + names[i] + "=" + string(r)
		}
	}
	return out
}

// numbers are the revisions a query finds.
func (w *world) numbers(h audit.HistoryReader, q audit.VersionQuery) (all []int64) {
	w.Helper()
	if q.OrganizationUID == "" {
		q.OrganizationUID = orgA
	}
	for _, v := range must(h.Versions(w.Context(), q))(w) {
		all = append(all, v.Revision)
	}
	return all
}

// past is a history of organization A in partition 0: five commits, one in each second, and other events between them.
func (w *world) past() {
	w.Helper()
	claim := audit.DirectoryItem{Key: audit.ClaimKey([]byte{'d', 0, 0xff}), Record: []byte{0}}
	w.add(
		w.commit(audit.TypeOrganizationCreated, 1, "one"),
		w.commit(audit.TypeDomainVerified, 2, "", has("a.example", "a2"), has("b.example", "b2"), claim),
		w.event(func(e *audit.Event) { e.Revision = 2 }),
		w.commit(audit.TypeSiteCreated, 3, "three"),
	)
	w.add(
		w.commit(audit.TypeDomainRemoved, 4, "", lacks("a.example"), has("c.example", "c4")),
		w.event(ofB, func(e *audit.Event) {
			e.Revision, e.Directory = 9, &audit.DirectoryWrite{Organization: []byte("bolt's")}
		}),
		w.commit(audit.TypePolicyUpdated, 5, "five", has("a.example", "a5")),
	)
}

// recorded is when the test's event n was recorded.
func (w *world) recorded(n int) time.Time { return at(n).Truncate(time.Millisecond).Add(time.Second) }

var historyCases = []testCase{
	{"a directory is found as it was at any moment", func(w *world) {
		w.past()
		h := w.historian(w.Backend)
		names := []string{"c.example", "a.example", "b.example", "x.example", "a.example"}
		for moment, want := range map[time.Time]string{
			w.recorded(1).Add(-1):               "-",
			w.recorded(1):                       "1 one",
			w.recorded(2).Add(-1):               "1 one",
			w.recorded(2):                       "2 one a.example=a2 b.example=b2 a.example=a2",
			w.recorded(3):                       "2 one a.example=a2 b.example=b2 a.example=a2",
			w.recorded(4).Add(time.Microsecond): "3 three a.example=a2 b.example=b2 a.example=a2",
			w.recorded(6):                       "4 three c.example=c4 b.example=b2",
			w.recorded(7):                       "5 five c.example=c4 a.example=a5 b.example=b2 a.example=a5",
			w.recorded(70000):                   "5 five c.example=c4 a.example=a5 b.example=b2 a.example=a5",
			{}:                                  "-",
		} {
			if got := w.then(h, moment, names...); got != want {
				w.Errorf("at %v: %q, want %q", moment, got, want)
			}
		}
		c := must(h.CommitAt(w.Context(), orgA, w.recorded(5)))(w)
		if want := (audit.DirectoryCommit{Sequence: 5, Revision: 4, RecordedTime: w.recorded(5)}); !c.RecordedTime.Equal(want.RecordedTime) || c.Sequence != want.Sequence || c.Revision != want.Revision {
			w.Errorf("commit %+v, want %+v", c, want)
		}
		claim := audit.ClaimKey([]byte{'d', 0, 0xff})
		if items := must(h.ItemsAt(w.Context(), orgA, c, []audit.DirectoryKey{claim, "", "d", audit.DomainKey("\x00\xff")}))(w); !reflect.DeepEqual(items, map[audit.DirectoryKey][]byte{claim: {0}}) {
			w.Errorf("items %v", items)
		}
		if items := must(h.ItemsAt(w.Context(), orgA, c, nil))(w); len(items) != 0 {
			w.Errorf("items of no keys: %v", items)
		}
	}},
	{"versions are listed newest first, with the events that brought them", func(w *world) {
		w.past()
		h := w.historian(w.Backend)
		for _, c := range []struct {
			q    audit.VersionQuery
			want []int64
		}{
			{audit.VersionQuery{Limit: 10}, []int64{5, 3, 1}},
			{audit.VersionQuery{Limit: 10, PolicyOnly: true}, []int64{5, 1}},
			{audit.VersionQuery{Limit: 2}, []int64{5, 3}},
			{audit.VersionQuery{Limit: 1, Before: 5}, []int64{3}},
			{audit.VersionQuery{Limit: 1, Before: 5, PolicyOnly: true}, []int64{1}},
			{audit.VersionQuery{Limit: 5, Before: 1}, nil},
			{audit.VersionQuery{Limit: 0}, nil},
			{audit.VersionQuery{Limit: 5, OrganizationUID: orgB}, []int64{9}},
			{audit.VersionQuery{Limit: 5, OrganizationUID: "nobody"}, nil},
		} {
			if got := w.numbers(h, c.q); !reflect.DeepEqual(got, c.want) {
				w.Errorf("%+v: %v, want %v", c.q, got, c.want)
			}
		}
		all := w.all(orgA)
		list := must(h.Versions(w.Context(), audit.VersionQuery{OrganizationUID: orgA, WithRecords: true, Limit: 10}))(w)
		for i, want := range []struct {
			record string
			event  int
		}{{"five", 5}, {"three", 3}, {"one", 0}} {
			v, e := list[i], all[want.event]
			e.Indexes, v.Event.Indexes = nil, nil
			if string(v.Record) != want.record || !reflect.DeepEqual(v.Event, e) || v.Sequence != e.Sequence || !v.RecordedTime.Equal(e.RecordedTime) {
				w.Errorf("version %d is %+v, its event\n%+v", v.Revision, v, e)
			}
		}
		if list := must(h.Versions(w.Context(), audit.VersionQuery{OrganizationUID: orgA, Limit: 10}))(w); list[0].Record != nil {
			w.Errorf("a list without records has %q", list[0].Record)
		}
	}},
	{"readers of events see nothing of it", func(w *world) {
		w.past()
		for _, e := range w.all(orgA) {
			one := must(w.Event(w.Context(), orgA, e.ID))(w)
			if e.Directory != nil || one.Directory != nil {
				w.Errorf("event %s carries %+v", e.ID, e.Directory)
			}
		}
	}},
	{"an event that is there already brings nothing a second time", func(w *world) {
		first := w.commit(audit.TypeOrganizationCreated, 1, "one", has("a.example", "a1"))
		w.add(first)
		again := first
		again.Directory = &audit.DirectoryWrite{Organization: []byte("other"), Items: []audit.DirectoryItem{lacks("a.example")}}
		for _, e := range []audit.Event{again, first} {
			if done := must(w.Append(w.Context(), w.batch(0, e)))(w); done.Duplicates != 1 {
				w.Errorf("appended %+v", done)
			}
		}
		h := w.historian(w.Backend)
		if got := w.then(h, w.recorded(1), "a.example"); got != "1 one a.example=a1" {
			w.Errorf("got %q", got)
		}
		if got := w.numbers(h, audit.VersionQuery{Limit: 9}); len(got) != 1 {
			w.Errorf("versions %v", got)
		}
	}},
	{"what an archiver that lost its partition sends brings nothing", func(w *world) {
		b := w.batch(0, w.commit(audit.TypeOrganizationCreated, 1, "one"))
		must(w.Take(w.Context(), 0, "other"))(w)
		if _, err := w.Append(w.Context(), b); err == nil {
			w.Error("a fenced append worked")
		}
		if got := w.then(w.historian(w.Backend), at(99)); got != "-" {
			w.Errorf("got %q", got)
		}
	}},
	{"of two writes of one key in a commit the later counts", func(w *world) {
		items := []audit.DirectoryItem{has("a.example", "1"), has("a.example", "2"), has("b.example", "1"), lacks("b.example")}
		for i := range 496 {
			items = append(items, has(fmt.Sprintf("d%d.example", i/2), fmt.Sprint(i)))
		}
		w.add(w.commit(audit.TypeOrganizationCreated, 1, "one", items...))
		if got := w.then(w.historian(w.Backend), at(99), "a.example", "b.example", "d0.example", "d247.example"); got != "1 one a.example=2 d0.example=1 d247.example=495" {
			w.Errorf("got %q", got)
		}
	}},
	{"commits of one millisecond count in their order", func(w *world) {
		var events []audit.Event
		for i := range 5 {
			e := w.commit(audit.TypePolicyUpdated, int64(i+1), fmt.Sprint("v", i+1), has("a.example", fmt.Sprint(i+1)))
			e.Time = at(7)
			events = append(events, e)
		}
		w.add(events...)
		if got := w.then(w.historian(w.Backend), w.recorded(7), "a.example"); got != "5 v5 a.example=5" {
			w.Errorf("got %q", got)
		}
	}},
	{"revisions that a store set back counts again stand beside the first ones", func(w *world) {
		w.add(w.commit(audit.TypeOrganizationCreated, 1, "one"), w.commit(audit.TypePolicyUpdated, 2, "lost", has("a.example", "lost")))
		w.add(w.commit(audit.TypePolicyUpdated, 2, "anew", has("b.example", "anew")))
		h := w.historian(w.Backend)
		if before, after := w.then(h, w.recorded(2)), w.then(h, w.recorded(3)); before != "2 lost" || after != "2 anew" {
			w.Errorf("before %q, after %q", before, after)
		}
		if got := w.numbers(h, audit.VersionQuery{Limit: 9}); !reflect.DeepEqual(got, []int64{2, 2, 1}) {
			w.Errorf("versions %v", got)
		}
	}},
	{"what a store that was set back lost does not count after that", func(w *world) {
		back := func(revision, to int64, record string, items ...audit.DirectoryItem) audit.Event {
			e := w.commit(audit.TypeOrganizationSetBack, revision, record, items...)
			e.Directory.BackTo = to
			return e
		}
		w.add(w.commit(audit.TypeOrganizationCreated, 1, "one", has("a.example", "1"), has("b.example", "1")),
			w.commit(audit.TypeDomainVerified, 2, "", has("c.example", "2"), lacks("b.example")),
			w.commit(audit.TypePolicyUpdated, 3, "three", has("a.example", "3"), lacks("c.example")),
			back(4, 2, "two"), // c is there again, a as at first, b gone
			w.commit(audit.TypeDomainVerified, 5, "", has("d.example", "5")),
			back(6, 1, "", has("e.example", "6")), // the record is not brought: that of revision 1
			w.commit(audit.TypeDomainVerified, 7, "", has("b.example", "7")),
			back(8, 3, "3 again"), // a copy of the state that was lost first
		)
		h := w.historian(w.Backend)
		for n, want := range []string{"1 one a.example=1 b.example=1", "2 one a.example=1 c.example=2", "3 three a.example=3", "4 two a.example=1 c.example=2",
			"5 two a.example=1 c.example=2 d.example=5", "6 one a.example=1 b.example=1 e.example=6", "7 one a.example=1 b.example=7 e.example=6",
			"8 3 again a.example=3"} {
			if got := w.then(h, w.recorded(n+1), "a.example", "b.example", "c.example", "d.example", "e.example"); got != want {
				w.Errorf("after commit %d: %q, want %q", n+1, got, want)
			}
		}
	}},
	{"back to before all that is known is not known", func(w *world) {
		lost, back := w.commit(audit.TypePolicyUpdated, 5, "five", has("a.example", "5")), w.commit(audit.TypeOrganizationSetBack, 7, "")
		back.Directory.BackTo = 3
		w.add(lost, back)
		h := w.historian(w.Backend)
		c := must(h.CommitAt(w.Context(), orgA, at(99)))(w)
		_, err := h.OrganizationAt(w.Context(), orgA, c)
		w.notFound(err, audit.HistoryUnknown)
		if items := must(h.ItemsAt(w.Context(), orgA, c, []audit.DirectoryKey{audit.DomainKey("a.example")}))(w); len(items) != 0 {
			w.Errorf("items %v", items)
		}
	}},
	{"a commit that wrote neither record nor item is a commit", func(w *world) {
		w.add(w.commit(audit.TypeOrganizationCreated, 1, "one"), w.commit(audit.TypeOrganizationUpdated, 2, ""))
		if got := w.then(w.historian(w.Backend), at(99)); got != "2 one" {
			w.Errorf("got %q", got)
		}
	}},
	{"an event about nobody and a record of many bytes", func(w *world) {
		e := w.commit(audit.TypePolicyUpdated, 1, string(bytes.Repeat([]byte{0, 0xff}, 128<<10)))
		e.Sealed = nil
		for i := range 500 {
			e.Directory.Items = append(e.Directory.Items, audit.DirectoryItem{Key: audit.ClaimKey(fmt.Appendf(nil, "%016d", i)), Record: []byte{1}})
		}
		w.add(e)
		v := must(w.historian(w.Backend).OrganizationAt(w.Context(), orgA, audit.DirectoryCommit{Sequence: 1}))(w)
		if !bytes.Equal(v.Record, e.Directory.Organization) || v.Event.ID != e.ID || v.Event.Sealed != nil {
			w.Errorf("%d bytes of event %+v", len(v.Record), v.Event)
		}
	}},
	{"another handle, and one opened later, read the same", func(w *world) {
		other := w.Another(w)
		defer other.Close()
		w.past()
		before := w.then(w.historian(other), at(99), "a.example", "c.example")
		if err := w.Close(); err != nil {
			w.Fatal(err)
		}
		later := other.Another(w)
		defer later.Close()
		if got := w.then(w.historian(later), at(99), "a.example", "c.example"); got != before || got != "5 five a.example=a5 c.example=c4" {
			w.Errorf("%q, before %q", got, before)
		}
	}},
	{"whoever reads while commits are stored sees whole commits", func(w *world) {
		h := w.historian(w.Backend)
		w.add(w.commit(audit.TypeOrganizationCreated, 1, "0", has("a.example", "0"), has("b.example", "0")))
		var batches []audit.Batch
		for i := 1; i <= 50; i++ {
			v := fmt.Sprint(i)
			batches = append(batches, w.batch(0, w.commit(audit.TypePolicyUpdated, int64(i+1), v, has("a.example", v), has("b.example", v))))
		}
		stored := make(chan error, 1)
		go func() {
			var err error
			for i := 0; i < len(batches) && err == nil; i++ {
				_, err = w.Append(w.Context(), batches[i])
			}
			stored <- err
		}()
		for ended := false; !ended; {
			select {
			case err := <-stored:
				if ended = true; err != nil {
					w.Error(err)
				}
			default:
			}
			got := w.then(h, at(99999), "a.example", "b.example")
			var revision, record, a, b int64
			if _, err := fmt.Sscanf(got, "%d %d a.example=%d b.example=%d", &revision, &record, &a, &b); err != nil || record != revision-1 || a != record || b != record {
				w.Errorf("read %q", got)
			}
			if ended && revision != 51 {
				w.Errorf("at the end %q", got)
			}
		}
	}},
	{"a question nobody waits for any more ends", func(w *world) {
		w.past()
		h := w.historian(w.Backend)
		gone, cancel := context.WithCancel(w.Context())
		cancel()
		_, commit := h.CommitAt(gone, orgA, at(99))
		_, organization := h.OrganizationAt(gone, orgA, audit.DirectoryCommit{Sequence: 9})
		_, items := h.ItemsAt(gone, orgA, audit.DirectoryCommit{Sequence: 9}, []audit.DirectoryKey{audit.DomainKey("a.example")})
		_, versions := h.Versions(gone, audit.VersionQuery{OrganizationUID: orgA, Limit: 1})
		for _, err := range []error{commit, organization, items, versions} {
			if errs.KindOf(err) != errs.Canceled {
				w.Errorf("got %v", err)
			}
		}
	}},
}
