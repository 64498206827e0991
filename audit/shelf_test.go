package audit_test

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
)

var shelved = time.Date(2026, 3, 29, 1, 30, 0, 123456789, time.UTC) // a night in which clocks are put forward somewhere

func TestShelvesFollowEachOtherWithoutGapOrOverlap(t *testing.T) {
	for keep, window := range map[int]time.Duration{1: 24 * time.Hour, 31: 24 * time.Hour, 32: 168 * time.Hour, 400: 168 * time.Hour, 401: 720 * time.Hour, 3650: 720 * time.Hour} {
		s := audit.ShelfOf(keep, shelved)
		if s.End.Sub(s.Start) != window || s.Start.After(shelved) || !s.End.After(shelved) || s.Start.UnixMilli()%window.Milliseconds() != 0 {
			t.Errorf("%d days: %v to %v", keep, s.Start, s.End)
		}
		if next := audit.ShelfOf(keep, s.End); !next.Start.Equal(s.End) {
			t.Errorf("%d days: after %v comes %v", keep, s, next)
		}
		if last := audit.ShelfOf(keep, s.End.Add(-1)); last != s {
			t.Errorf("%d days: the last nanosecond of %v is on %v", keep, s, last)
		}
		elsewhere := shelved.In(time.FixedZone("east", 14*3600))
		if other := audit.ShelfOf(keep, elsewhere); other != s || other.String() != s.String() {
			t.Errorf("%d days: %v in another zone is %v", keep, s, other)
		}
		for _, far := range []time.Time{{}, time.Unix(0, -1), time.Unix(0, 0)} {
			if first := audit.ShelfOf(keep, far); first.Start.UnixMilli() != 0 {
				t.Errorf("%d days: %v is on %v", keep, far, first)
			}
		}
	}
}

// TestAShelfGoesWhenItsLastMomentIsPastItsEdge holds the two sides of retention together.
func TestAShelfGoesWhenItsLastMomentIsPastItsEdge(t *testing.T) {
	for _, c := range []audit.Category{audit.CategorySignIn, audit.CategoryAdministration, audit.CategoryActivity, "later"} {
		r := audit.Retention{SignIn: 3, Administration: 200, Activity: 500}
		s := audit.ShelfOf(r.Days(c), shelved)
		goes := s.End.Add(time.Duration(r.Days(c)) * 24 * time.Hour)
		for off := -3 * time.Millisecond; off <= 3*time.Millisecond; off += time.Millisecond / 2 {
			now := goes.Add(off)
			last := s.End.Add(-time.Millisecond)
			if passed, shown := s.Passed(r, c, now), !last.Before(r.Edge(c, now)); passed && shown {
				t.Errorf("%s at %v after: goes while its last event is shown", c, off)
			}
			if s.Passed(r, c, now) != (off >= 0) {
				t.Errorf("%s at %v: passed %v", c, off, off < 0)
			}
		}
		r.Hold = true
		if s.Passed(r, c, goes.AddDate(100, 0, 0)) || !r.Edge(c, goes).IsZero() {
			t.Errorf("%s goes although on hold", c)
		}
	}
}

func TestOnlyAUUIDv7NearItsRecordedTimeTellsItsMoment(t *testing.T) {
	const good = "019d3723-4567-7abc-89ab-0123456789ab"
	at := time.UnixMilli(0x019d37234567).UTC()
	if got, own := audit.Moment(good, at.AddDate(1, 0, 0)); !own || !got.Equal(at) {
		t.Errorf("%v, %v", got, own)
	}
	if id := audit.FirstID(at); id != good[:13] {
		t.Errorf("first id %s", id)
	}
	for _, bad := range []string{"", "x", "019D3723-4567-7abc-89ab-0123456789ab", "019d3723-4567-8abc-89ab-0123456789ab", "019d3723-4567-7abc-c9ab-0123456789ab",
		"019d3723-4567-7abc-89ab-0123456789a", "019d3723-4567-7abc-89ab-0123456789abc", "019d372345677abc89ab0123456789ab0000", "019d3723-4567-7abc-89ab-0123456789g\x00", "\x0019d3723-4567-7abc-89ab-0123456789ab"} {
		if _, ok := audit.IDMoment(bad); ok {
			t.Errorf("%q tells a moment", bad)
		}
		if got, own := audit.Moment(bad, shelved); own || !got.Equal(shelved.Truncate(time.Millisecond)) {
			t.Errorf("%q: %v, %v", bad, got, own)
		}
	}
	const tolerance = 400 * 24 * time.Hour
	for off, want := range map[time.Duration]bool{tolerance: true, -tolerance: true, tolerance + 1: false, -tolerance - 1: false} {
		if _, own := audit.Moment(good, at.Add(off)); own != want {
			t.Errorf("recorded %v later: believed %v", off, own)
		}
	}
	for _, far := range []time.Time{{}, time.Unix(1<<40, 0)} {
		if got, own := audit.Moment("none", far); own || got.UnixMilli() < 0 || got.UnixMilli() >= 1<<48 {
			t.Errorf("%v, %v", got, own)
		}
	}
}

func TestTheEventOfAPruningFollowsFromIt(t *testing.T) {
	pruned := func(change func(*audit.Pruned)) *audit.Pruned {
		p := &audit.Pruned{Shelf: audit.ShelfOf(180, shelved), OrganizationUID: "uid", Organization: "acme", Dropped: shelved.AddDate(1, 0, 0), Parts: []audit.PrunedPart{
			{Category: audit.CategorySignIn, Events: 5, Flows: 2, FirstSequence: 3, LastSequence: 9, FirstTime: shelved, LastTime: shelved.Add(time.Hour)},
			{Category: audit.CategoryActivity, Flows: 0, Events: 1, FirstSequence: 4, LastSequence: 4, FirstTime: shelved, LastTime: shelved}}}
		change(p)
		p.EventID = audit.PrunedID(p)
		return p
	}
	p := pruned(func(*audit.Pruned) {})
	e := p.Event()
	if info, ok := audit.Lookup(e.Type); !ok || info.Category != audit.CategoryAdministration || e.Outcome != audit.OutcomeInfo {
		t.Errorf("%+v", e)
	}
	if e.ID != p.EventID || e.OrganizationUID != "uid" || e.Organization != "acme" || !e.Time.Equal(p.Dropped) || e.Target.ID != "180d-2026-03-26" || e.Target.Count != 6 {
		t.Errorf("%+v, target %+v", e, e.Target)
	}
	if e.Tally["SIGN_IN:events"] != 5 || e.Tally["SIGN_IN:flows"] != 2 || e.Tally["ACTIVITY:events"] != 1 || len(e.Tally) != 3 || len(e.Changes) != 4 ||
		e.Changes[0] != (audit.Change{Field: "SIGN_IN.sequence", Before: "3", After: "9"}) {
		t.Errorf("tally %v, changes %v", e.Tally, e.Changes)
	}
	if at, ok := audit.IDMoment(e.ID); !ok || !at.Equal(p.Dropped.Truncate(time.Millisecond)) {
		t.Errorf("id %s of %v", e.ID, at)
	}
	ids := map[string]string{p.EventID: "itself"}
	for name, change := range map[string]func(*audit.Pruned){
		"organization": func(p *audit.Pruned) { p.OrganizationUID = "other" }, "days": func(p *audit.Pruned) { p.Shelf.Keep++ },
		"start": func(p *audit.Pruned) { p.Shelf.Start = p.Shelf.End }, "time": func(p *audit.Pruned) { p.Dropped = p.Dropped.Add(time.Second) },
		"sequence": func(p *audit.Pruned) { p.Parts[1].LastSequence++ }, "category": func(p *audit.Pruned) { p.Parts[1].Category = audit.CategoryAdministration },
		"nothing": func(p *audit.Pruned) { p.Parts = nil },
	} {
		other := pruned(change)
		if have, ok := ids[other.EventID]; ok {
			t.Errorf("%s and %s share an id", name, have)
		}
		ids[other.EventID] = name
	}
	if again := pruned(func(*audit.Pruned) {}); again.EventID != p.EventID {
		t.Errorf("another id: %s", again.EventID)
	}
}
