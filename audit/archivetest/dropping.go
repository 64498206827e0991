package archivetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// expired lists the shelves that may go, by name.
func (w *world) expired(now time.Time) []string {
	w.Helper()
	var out []string
	for _, s := range must(w.Expired(w.Context(), now))(w) {
		out = append(out, s.String())
	}
	return out
}

// dropped drops a shelf and returns what went; it must go.
func (w *world) dropped(s audit.Shelf, now time.Time) []audit.Pruned {
	w.Helper()
	gone, ok, err := w.Drop(w.Context(), s, now)
	if err != nil || !ok {
		w.Fatalf("dropping %v at %v: %v, %v", s, now, ok, err)
	}
	return gone
}

// stays fails if the shelf goes at now.
func (w *world) stays(s audit.Shelf, now time.Time) {
	w.Helper()
	if got := w.expired(now); slices.Contains(got, s.String()) {
		w.Errorf("%v may go at %v", s, now)
	}
	if gone, ok, err := w.Drop(w.Context(), s, now); err != nil || ok || gone != nil {
		w.Errorf("%v went at %v: %+v, %v", s, now, gone, err)
	}
}

// reclaimed lets an archive that gives space back do so to the end.
func (w *world) reclaimed() {
	w.Helper()
	r, ok := w.Backend.(audit.Reclaimer)
	if !ok {
		return
	}
	for n := 0; ; n++ {
		if more := must(r.Reclaim(w.Context()))(w); !more {
			return
		}
		if n == 100_000 {
			w.Fatal("reclaiming does not end")
		}
	}
}

var dropCases = []testCase{
	{"a shelf may go when its end is as many days ago as its organizations keep things, not a millisecond before", func(w *world) {
		for _, keep := range []int{1, 31, 32, 180, 400, 401, 3650} {
			w.retain(orgA, days(keep))
			s := audit.ShelfOf(keep, began.Add(time.Duration(keep)*day))
			w.add(w.event(dated(s.Start)))
			goes := s.End.Add(time.Duration(keep) * day)
			w.stays(s, goes.Add(-time.Millisecond))
			if got := w.expired(goes); !slices.Contains(got, s.String()) {
				w.Errorf("%d days: expired %v", keep, got)
			}
			if gone := w.dropped(s, goes); len(gone) != 1 || gone[0].Parts[0].Events != 1 {
				w.Errorf("%d days: gone %+v", keep, gone)
			}
		}
	}},
	{"an empty shelf may go when it is over", func(w *world) {
		if err := w.Ahead(w.Context(), began); err != nil {
			w.Fatal(err)
		}
		s := audit.ShelfOf(180, began)
		w.stays(s, s.End.Add(-time.Millisecond))
		if gone := w.dropped(s, s.End); len(gone) != 0 {
			w.Errorf("gone %+v", gone)
		}
		w.stays(s, s.End)
	}},
	{"whoever keeps something longer, or is on hold, keeps the shelf for all", func(w *world) {
		s := audit.ShelfOf(180, began)
		w.add(w.event(), w.event(ofB), w.event(ofB, func(e *audit.Event) { e.Type = audit.TypeTokenUsed }))
		goes := s.End.Add(180 * day)
		for _, r := range []audit.Retention{days(181), {SignIn: 1, Administration: 1, Activity: 181}, {SignIn: 1, Administration: 1, Activity: 1, Hold: true}} {
			w.retain(orgB, r)
			w.stays(s, goes)
		}
		w.retain(orgB, audit.Retention{SignIn: 3650, Administration: 1, Activity: 1}) // of sign-ins it has nothing there
		w.retain(orgA, days(10))
		w.stays(s, s.End.Add(10*day-time.Millisecond))
		w.dropped(s, s.End.Add(10*day))
	}},
	{"what goes is said, and nothing else goes", whatGoes},
	{"a shelf that came back and goes again is told again", func(w *world) {
		s := audit.ShelfOf(180, began)
		goes := s.End.Add(180 * day)
		e := w.event()
		w.add(e)
		first := w.dropped(s, goes)
		w.add(e) // its id is not known any more
		second := w.dropped(s, goes)
		if len(first) != 1 || len(second) != 1 || first[0].EventID == second[0].EventID || second[0].Parts[0].FirstSequence != 2 {
			w.Errorf("first %+v\nsecond %+v", first, second)
		}
		w.reclaimed()
		if got := must(w.Pruned(w.Context(), orgA))(w); !reflect.DeepEqual(got, append(first, second...)) {
			w.Errorf("pruned %+v", got)
		}
	}},
	{"what came between looking and dropping keeps the shelf", func(w *world) {
		s := audit.ShelfOf(180, began)
		w.add(w.event())
		goes := s.End.Add(180 * day)
		if got := w.expired(goes); !slices.Contains(got, s.String()) {
			w.Fatalf("expired %v", got)
		}
		w.retain(orgB, audit.Retention{SignIn: 180, Administration: 180, Activity: 180, Hold: true})
		w.add(w.event(ofB))
		w.stays(s, goes)
		w.gapless(orgA, 1)
	}},
	{"a cancelled drop does nothing", func(w *world) {
		s := audit.ShelfOf(180, began)
		w.add(w.event())
		gone, cancel := context.WithCancel(w.Context())
		cancel()
		if _, ok, err := w.Drop(gone, s, s.End.Add(180*day)); errs.KindOf(err) != errs.Canceled || ok {
			w.Errorf("%v, %v", ok, err)
		}
		w.gapless(orgA, 1)
		w.dropped(s, s.End.Add(180*day))
	}},
}

// whatGoes drops one of two shelves with everything an organization can have on them.
func whatGoes(w *world) {
	s := audit.ShelfOf(180, began.Add(-30*day))
	flow := w.flowAt(1, -30*day, "")
	other := w.dating(audit.TypePolicyUpdated, 30)
	theirs := w.dating(audit.TypeTokenUsed, 30)
	ofB(&theirs)
	young := w.event()
	w.add(other, theirs, young)
	now := s.End.Add(180 * day)
	w.set(now)
	gone := w.dropped(s, now)
	steps := began.Add(-30 * day).Truncate(time.Millisecond).Add(time.Minute)
	want := []audit.Pruned{
		{Shelf: s, OrganizationUID: orgA, Organization: "acme", Dropped: now, Parts: []audit.PrunedPart{
			{Category: audit.CategorySignIn, Events: 2, Flows: 1, FirstSequence: 1, LastSequence: 2, FirstTime: steps, LastTime: steps},
			{Category: audit.CategoryAdministration, Events: 1, FirstSequence: 3, LastSequence: 3, FirstTime: other.Time, LastTime: other.Time}}},
		{Shelf: s, OrganizationUID: orgB, Organization: "bolt", Dropped: now, Parts: []audit.PrunedPart{
			{Category: audit.CategoryActivity, Events: 1, FirstSequence: 1, LastSequence: 1, FirstTime: theirs.Time, LastTime: theirs.Time}}},
	}
	for i := range want {
		want[i].EventID = audit.PrunedID(&want[i])
	}
	if !reflect.DeepEqual(gone, want) {
		w.Fatalf("gone %+v\nwant %+v", gone, want)
	}
	checkLeft(w, young, flow, other, theirs)
	checkTold(w, want)
	w.reclaimed()
	checkLeft(w, young, flow, other, theirs)
	next := w.event()
	w.add(next)
	if got := must(w.Event(w.Context(), orgA, next.ID))(w); got.Sequence != 5 {
		w.Errorf("the next event has sequence %d", got.Sequence)
	}
}

// checkLeft looks for what must be left after the drop, and for what must not, past every edge.
func checkLeft(w *world, young audit.Event, flow string, gone ...audit.Event) {
	w.Helper()
	for _, uid := range []string{orgA, orgB} {
		w.retain(uid, audit.Retention{SignIn: 1, Administration: 1, Activity: 1, Hold: true})
	}
	if got := w.seen(orgA, nil); !slices.Equal(got, []string{young.ID}) {
		w.Errorf("A sees %v", got)
	}
	if got := w.seen(orgB, nil); len(got) != 0 {
		w.Errorf("B sees %v", got)
	}
	for i := range gone {
		_, err := w.Event(w.Context(), gone[i].OrganizationUID, gone[i].ID)
		w.notFound(err, "EVENT_NOT_FOUND")
	}
	_, _, err := w.Flow(w.Context(), orgA, flow)
	w.notFound(err, "FLOW_NOT_FOUND")
	if last, _ := w.position(orgA); last < 4 || must(w.Empty(w.Context()))(w) {
		w.Errorf("position %d", last)
	}
}

// checkTold takes what was dropped through being told.
func checkTold(w *world, want []audit.Pruned) {
	w.Helper()
	other := w.Another(w)
	defer other.Close()
	if got := must(other.Untold(w.Context(), 10))(w); !reflect.DeepEqual(got, want) {
		w.Errorf("untold %+v\nwant %+v", got, want)
	}
	if got := must(w.Untold(w.Context(), 1))(w); !reflect.DeepEqual(got, want[:1]) {
		w.Errorf("the first untold %+v", got)
	}
	for range 2 {
		if err := w.Told(w.Context(), want[0].EventID, "no such event"); err != nil {
			w.Error(err)
		}
		if got := must(w.Untold(w.Context(), 10))(w); !reflect.DeepEqual(got, want[1:]) {
			w.Errorf("untold %+v", got)
		}
	}
	if err := errors.Join(w.Told(w.Context()), w.Told(w.Context(), want[1].EventID)); err != nil {
		w.Error(err)
	}
	if got := must(w.Untold(w.Context(), 10))(w); len(got) != 0 {
		w.Errorf("untold %+v", got)
	}
	for i, uid := range []string{orgA, orgB} {
		if got := must(w.Pruned(w.Context(), uid))(w); !reflect.DeepEqual(got, want[i:i+1]) {
			w.Errorf("pruned %+v", got)
		}
	}
}

var dropLoadCases = []testCase{
	{"while appends run, two droppers take each shelf once and nothing young is lost", dropUnderLoad},
}

// dropUnderLoad appends events of many days, some to shelves that are being dropped, and compares what is left with what went.
func dropUnderLoad(w *world) {
	const old, batches, size = 12, 30, 20
	w.retain(orgA, days(30))
	for n := range old {
		w.add(w.event(dated(began.Add(-time.Duration(n) * day))))
	}
	other := w.Another(w)
	defer other.Close()
	now := began.Add(31 * day)
	var rows, stop atomic.Int64
	var wg sync.WaitGroup
	problems := make(chan error, 2)
	for _, b := range []Backend{w.Backend, other} {
		wg.Go(func() {
			for last := false; !last; {
				last = stop.Load() != 0 // once more after the last append
				n, err := dropAll(w, b, now)
				rows.Add(n)
				if err != nil {
					problems <- err
					return
				}
			}
		})
	}
	for n := range batches {
		var batch []audit.Event
		for i := range size {
			batch = append(batch, w.event(dated(began.Add(time.Duration(i%5-3)*day)))) // the middle of some falls on shelves that go
		}
		b := w.batch(n%2, batch...)
		if err := patiently(func() error { _, err := w.Append(w.Context(), b); return err }); err != nil {
			w.Error(err)
		}
	}
	stop.Store(1)
	wg.Wait()
	close(problems)
	for err := range problems {
		w.Error(err)
	}
	w.set(began)
	left := w.all(orgA)
	if total := int64(len(left)) + rows.Load(); total != old+batches*size {
		w.Errorf("%d left and %d gone, want %d together", len(left), rows.Load(), old+batches*size)
	}
	var gone int64
	for _, p := range must(w.Pruned(w.Context(), orgA))(w) {
		gone += p.Parts[0].Events
	}
	if gone != rows.Load() {
		w.Errorf("%d gone by the records, %d by the answers", gone, rows.Load())
	}
	if last, _ := w.position(orgA); last != old+batches*size {
		w.Errorf("position %d", last)
	}
	for i := range left {
		if s := audit.ShelfOf(30, left[i].Time); s.Passed(days(30), audit.CategoryAdministration, now) {
			w.Errorf("%s of %v is still there", left[i].ID, left[i].Time)
		}
	}
}

// patiently tries again what an archive is too busy for, as archiver and pruner do.
func patiently(do func() error) (err error) {
	for range 20 {
		if err = do(); errs.KindOf(err) != errs.Unavailable {
			return err
		}
	}
	return err
}

// dropAll drops what may go and gives some space back; it returns how many events went.
func dropAll(w *world, b Backend, now time.Time) (rows int64, err error) {
	shelves, err := b.Expired(w.Context(), now)
	if err != nil {
		return 0, err
	}
	for _, s := range shelves {
		var gone []audit.Pruned
		if err := patiently(func() (err error) { gone, _, err = b.Drop(w.Context(), s, now); return err }); err != nil {
			return rows, fmt.Errorf("dropping %v: %w", s, err)
		}
		for _, g := range gone {
			rows += g.Parts[0].Events
		}
	}
	if r, ok := b.(audit.Reclaimer); ok {
		err = patiently(func() error { _, err := r.Reclaim(w.Context()); return err })
	}
	return rows, err
}
