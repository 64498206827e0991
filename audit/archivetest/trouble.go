package archivetest

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

var durabilityCases = []testCase{
	{"everything is there after closing and opening again", func(w *world) {
		if err := w.SetInstallation(w.Context(), audit.Installation{ID: "i", Partitions: 8, Created: began}); err != nil {
			w.Fatal(err)
		}
		b := w.batch(0, w.step(1, 1, audit.TypeSignInStarted), w.step(1, 2, audit.TypeSignInDenied), w.event(func(e *audit.Event) { e.Revision = 4 }))
		b.Keys = []audit.OrganizationKey{{OrganizationUID: orgA, Wrapped: []byte("k")}}
		must(w.Append(w.Context(), b))(w)
		before := snapshot(w, w.Backend)
		again := w.Another(w)
		if err := w.Close(); err != nil {
			w.Fatal(err)
		}
		if got := snapshot(w, again); !reflect.DeepEqual(got, before) {
			w.Errorf("got  %+v\nwant %+v", got, before)
		}
		third := again.Another(w)
		if err := again.Close(); err != nil {
			w.Fatal(err)
		}
		defer third.Close()
		if got := snapshot(w, third); !reflect.DeepEqual(got, before) {
			w.Errorf("got  %+v\nwant %+v", got, before)
		}
		if e := must(third.Take(w.Context(), 0, "later"))(w); e <= b.Epoch {
			w.Errorf("epoch %d after %d", e, b.Epoch)
		}
	}},
	{"another handle sees what is acknowledged, at once", func(w *world) {
		other := w.Another(w)
		defer other.Close()
		for n := range 5 {
			e := w.event()
			w.add(e)
			if got := must(other.Event(w.Context(), orgA, e.ID))(w); got.Sequence != int64(n+1) {
				w.Errorf("sequence %d", got.Sequence)
			}
		}
	}},
	{"a cancelled call does nothing and harms nothing", func(w *world) {
		e := w.event()
		b := w.batch(0, e)
		gone, cancel := context.WithCancel(w.Context())
		cancel()
		if _, err := w.Append(gone, b); errs.KindOf(err) != errs.Canceled {
			w.Errorf("append: %v", err)
		}
		if _, err := w.Events(gone, audit.Query{OrganizationUID: orgA, Limit: 1}); errs.KindOf(err) != errs.Canceled {
			w.Errorf("events: %v", err)
		}
		if !must(w.Empty(w.Context()))(w) {
			w.Error("a cancelled append left an event")
		}
		w.add(e)
		w.gapless(orgA, 1)
	}},
	{"after closing every call fails as unavailable", func(w *world) {
		b := w.batch(0, w.event())
		if err := w.Close(); err != nil {
			w.Fatal(err)
		}
		_, appendErr := w.Append(w.Context(), b)
		_, queryErr := w.Events(w.Context(), audit.Query{OrganizationUID: orgA, Limit: 1})
		_, takeErr := w.Take(w.Context(), 0, "x")
		for _, err := range []error{appendErr, queryErr, takeErr} {
			if errs.KindOf(err) != errs.Unavailable || !errs.Is(err, "ARCHIVE_UNAVAILABLE") {
				w.Errorf("got %v", err)
			}
		}
	}},
}

type state struct {
	Events       []audit.Event
	Flow         audit.FlowRow
	Flows        []audit.FlowRow
	Keys         []audit.OrganizationKey
	Installation *audit.Installation
	Revisions    map[string]int64
	Position     int64
}

func snapshot(w *world, b Backend) state {
	w.Helper()
	var s state
	s.Events = must(b.Events(w.Context(), audit.Query{OrganizationUID: orgA, Limit: 100}))(w)
	s.Flows = must(b.Flows(w.Context(), audit.FlowQuery{OrganizationUID: orgA, Limit: 100}))(w)
	s.Keys = must(b.Keys(w.Context(), "", 100))(w)
	s.Installation = must(b.Installation(w.Context()))(w)
	s.Revisions = must(b.Revisions(w.Context()))(w)
	var err error
	if s.Flow, _, err = b.Flow(w.Context(), orgA, code(1)); err != nil {
		w.Fatal(err)
	}
	if s.Position, _, err = b.Position(w.Context(), orgA); err != nil {
		w.Fatal(err)
	}
	return s
}

var unreadableCases = []testCase{
	{"an entry nobody can read is kept in the middle of its batch", func(w *world) {
		garbage := []byte("\xff\x00garbage")
		b := w.batch(3, w.event(), w.event())
		bad := audit.Entry{OutboxID: "17-0", RecordedTime: at(5), Raw: garbage, Event: audit.NewUnreadable(3, "17-0", garbage, at(5))}
		b.Entries = slices.Insert(b.Entries, 1, bad)
		if done := must(w.Append(w.Context(), b))(w); done != (audit.Appended{Inserted: 3}) {
			w.Errorf("appended %+v", done)
		}
		w.gapless(orgA, 2)
		got := w.gapless(audit.SystemUID, 1)[0]
		want := bad.Event
		want.Sequence, want.Outcome = 1, got.Outcome
		if !reflect.DeepEqual(got, want) {
			w.Errorf("got  %+v\nwant %+v", got, want)
		}
		if again := must(w.Append(w.Context(), b))(w); again != (audit.Appended{Duplicates: 3}) {
			w.Errorf("again %+v", again)
		}
		if e := must(w.Event(w.Context(), audit.SystemUID, bad.Event.ID))(w); e.Type != audit.TypeUnreadable {
			w.Errorf("event %+v", e)
		}
	}},
	{"the same bytes in another entry are another unreadable event", func(w *world) {
		b := w.batch(0)
		for _, outboxID := range []string{"1-0", "1-1", "1-0"} {
			b.Entries = append(b.Entries, audit.Entry{OutboxID: outboxID, Event: audit.NewUnreadable(0, outboxID, nil, at(0))})
		}
		if done := must(w.Append(w.Context(), b))(w); done != (audit.Appended{Inserted: 2, Duplicates: 1}) {
			w.Errorf("appended %+v", done)
		}
	}},
	{"an unreadable entry whose organization is known stays there", func(w *world) {
		e := audit.NewUnreadable(0, "1-0", []byte("x"), at(1))
		e.Organization, e.OrganizationUID = "acme", orgA
		b := w.batch(0)
		b.Entries = []audit.Entry{{OutboxID: "1-0", RecordedTime: at(1), Event: e, Raw: []byte("x")}}
		must(w.Append(w.Context(), b))(w)
		w.gapless(orgA, 1)
		if got := w.pages(audit.Query{OrganizationUID: orgA, Match: audit.Match{Types: []string{"unreadable"}}}, 5); !slices.Equal(got, []string{e.ID}) {
			w.Errorf("listed %v", got)
		}
	}},
	{"an entry that says it is an event and is none is kept as unreadable", func(w *world) {
		good := w.event()
		for name, change := range map[string]func(*audit.Entry){
			"no bytes":        func(e *audit.Entry) { e.Raw = nil },
			"other format":    func(e *audit.Entry) { e.Raw = append([]byte{99}, e.Raw[1:]...) },
			"cut off":         func(e *audit.Entry) { e.Raw = e.Raw[:len(e.Raw)-3] },
			"no id":           func(e *audit.Entry) { e.Event.ID = "" },
			"no organization": func(e *audit.Entry) { e.Event.OrganizationUID = "" },
			"no type":         func(e *audit.Entry) { e.Event.Type = "" },
		} {
			before, _ := w.position(audit.SystemUID)
			b := w.batch(0, good)
			b.Entries[0].OutboxID = name
			change(&b.Entries[0])
			if done := must(w.Append(w.Context(), b))(w); done.Inserted != 1 {
				w.Errorf("%s: %+v", name, done)
			}
			if after, _ := w.position(audit.SystemUID); after != before+1 {
				w.Errorf("%s: system is at %d after %d", name, after, before)
			}
		}
		w.add(good)
		w.gapless(orgA, 1)
	}},
}

var hostileCases = []testCase{
	{"text is data, whatever it holds", func(w *world) {
		for _, s := range []string{`'; DROP TABLE event; --`, `" OR 1=1`, "?1 :name @x $1", "a\x00b", "\x00", "%_*[a-z]", "\u202e\u2028\u0000ß𝄞", strings.Repeat("x'\"", 200_000)} {
			e := w.event(func(e *audit.Event) {
				e.Site, e.SiteUID, e.Flow, e.Step, e.SupportCode, e.CorrelationID = s, s, s, 1, s, s
				e.Type, e.Connection, e.Reason, e.Organization = audit.TypeSignInStarted, s, s, s
				e.Indexes = []audit.Index{{Purpose: audit.IndexAccount, Value: []byte(s)}}
			})
			w.add(e)
			q := audit.Query{OrganizationUID: orgA, Match: audit.Match{Sites: []string{s}, Flows: []string{s}, Connections: []string{s}, Reasons: []string{s}, Subjects: []audit.Index{{Purpose: audit.IndexAccount, Value: []byte(s)}}, Types: []string{"sign_in.*"}}, Limit: 10}
			got := must(w.Events(w.Context(), q))(w)
			if len(got) != 1 || got[0].ID != e.ID || got[0].Site != s || got[0].Reason != s {
				w.Errorf("%.20q: found %v", s, ids(got))
			}
			row, events, err := w.Flow(w.Context(), orgA, s)
			if err != nil || row.ID != s || row.Site != s || row.CorrelationID != s || row.Organization != s || len(events) != 1 {
				w.Errorf("%.20q: flow %.100v, %v", s, row, err)
			}
			if rows := must(w.Flows(w.Context(), audit.FlowQuery{OrganizationUID: orgA, Limit: 5, FlowMatch: audit.FlowMatch{Sites: []string{s}, SupportCodes: []string{s}}}))(w); len(rows) != 1 {
				w.Errorf("%.20q: %d flows", s, len(rows))
			}
			for _, t := range []string{s, s + ".*"} {
				if got := must(w.Events(w.Context(), audit.Query{OrganizationUID: orgA, Match: audit.Match{Types: []string{t}}, Limit: 1}))(w); len(got) != 0 {
					w.Errorf("type %.20q found %v", t, ids(got))
				}
			}
		}
		w.gapless(orgA, 8)
	}},
	{"hostile names of organizations and ids", func(w *world) {
		for _, s := range []string{`'; DELETE FROM event`, "a\x00b", "a", strings.Repeat("z", 100_000)} {
			e := w.event(func(e *audit.Event) { e.ID, e.OrganizationUID = s, s })
			w.add(e)
			if got := must(w.Event(w.Context(), s, s))(w); got.ID != s || got.OrganizationUID != s {
				w.Errorf("%.20q: %.100v", s, got)
			}
			w.gapless(s, 1)
		}
	}},
	{"a large sealed part and many indexes", func(w *world) {
		big := w.event(func(e *audit.Event) {
			e.Sealed.Data = bytes.Repeat([]byte{0xa5}, 4<<20)
			for n := range 500 {
				e.Indexes = append(e.Indexes, index(audit.IndexAccount, strings.Repeat("n", n)))
			}
		})
		w.add(w.event(), big, w.event())
		got := must(w.Event(w.Context(), orgA, big.ID))(w)
		if !bytes.Equal(got.Sealed.Data, big.Sealed.Data) || !equalIndexes(got.Indexes, big.Indexes) {
			w.Errorf("%d sealed bytes, %d indexes", len(got.Sealed.Data), len(got.Indexes))
		}
		if found := w.pages(audit.Query{OrganizationUID: orgA, Match: audit.Match{Subjects: big.Indexes[:200]}}, 5); !slices.Equal(found, []string{big.ID}) {
			w.Errorf("found %v", found)
		}
	}},
	{"one event with the same index twice", func(w *world) {
		x := index(audit.IndexEmail, "twice")
		e := w.step(1, 1, audit.TypeSignInStarted, func(e *audit.Event) { e.Indexes = []audit.Index{x, x} })
		w.add(e)
		if found := w.pages(audit.Query{OrganizationUID: orgA, Match: audit.Match{Subjects: []audit.Index{x, x}}}, 1); !slices.Equal(found, []string{e.ID}) {
			w.Errorf("found %v", found)
		}
		if found := w.flowPages(audit.FlowQuery{OrganizationUID: orgA, FlowMatch: audit.FlowMatch{Subjects: []audit.Index{x, x}}}, 1); !slices.Equal(found, []string{e.Flow}) {
			w.Errorf("flows %v", found)
		}
	}},
}
