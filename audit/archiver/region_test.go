package archiver_test

import (
	"slices"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/archiver"
	"github.com/postern-audit/postern/internal/errs"
)

// at makes an event of a site bound to a region.
func at(region string) func(*audit.Event) {
	return func(e *audit.Event) {
		e.Site, e.SiteUID, e.Region = "wiki", "01930000-0000-7000-8000-0000000000aa", region
		e.Type, e.Flow, e.Step = audit.TypeSignInFailed, "flow-"+e.ID, 1
	}
}

func TestAnEventOfASiteOfAnotherRegionWaitsForItsArchive(t *testing.T) {
	for _, region := range []string{"", "us"} {
		o, s := newOutbox(), newStore(t)
		o.event(t, 0, at(""))
		o.event(t, 0, at(region))
		foreign := o.event(t, 0, at("eu"))
		o.raw(0, []byte("garbage behind it"))
		o.event(t, 0, at(""))
		o.event(t, 1, at(""))
		a, j := newArchiver(t, o, s, func(c *archiver.Config) { c.Region = region })
		for range 2 {
			if err := a.Flush(t.Context()); !errs.Is(err, "REGION_MISMATCH") {
				t.Fatalf("region %q: %v", region, err)
			}
		}
		if last, _, err := s.Position(t.Context(), orgA); err != nil || last != 3 || o.waiting() != 3 {
			t.Errorf("region %q: %d archived and %d waiting, %v: want what is in front of it and the other partition", region, last, o.waiting(), err)
		}
		if len(o.ended) != 3 || slices.ContainsFunc(o.ended, func(f audit.EndedFlow) bool { return f.Flow == foreign.Flow }) {
			t.Errorf("region %q: flows let go: %v", region, o.ended)
		}
		if !slices.Contains(j.failed, archiver.FailedRegion) || slices.Contains(j.failed, archiver.FailedUnreadable) || a.State().Trouble != archiver.FailedRegion {
			t.Errorf("region %q: failed %v, state %+v", region, j.failed, a.State())
		}
		if _, err := s.Event(t.Context(), orgA, foreign.ID); errs.KindOf(err) != errs.NotFound {
			t.Errorf("region %q: it is in the archive: %v", region, err)
		}
		home := newStore(t)
		b, _ := newArchiver(t, o, home, func(c *archiver.Config) { c.Region = "eu" })
		if err := b.Flush(t.Context()); err != nil || o.waiting() != 0 {
			t.Errorf("its own archive leaves %d waiting, %v", o.waiting(), err)
		}
		if _, err := home.Event(t.Context(), orgA, foreign.ID); err != nil {
			t.Errorf("its own archive does not have it: %v", err)
		}
	}
}

func TestWhoeverCarriesSettingsIsToldOfDirectoriesEvenWhenTheEventWasThere(t *testing.T) {
	o, s := newOutbox(), newStore(t)
	o.event(t, 0, func(e *audit.Event) { e.Directory = &audit.DirectoryWrite{Organization: []byte{1}} })
	o.event(t, 0)
	o.event(t, 1, ofB)
	var told []string
	tell := func(c *archiver.Config) { c.Written = func(uid string) { told = append(told, uid) } }
	o.fail = func(op string) error {
		if op == "done" {
			return errs.New(errs.Unavailable, "STORE_UNAVAILABLE", "it died before it let go")
		}
		return nil
	}
	first, _ := newArchiver(t, o, s)
	_ = first.Flush(t.Context()) // stored, and nobody told
	o.fail = func(string) error { return nil }
	second, _ := newArchiver(t, o, s, tell)
	if err := second.Flush(t.Context()); err != nil || !slices.Equal(told, []string{orgA}) {
		t.Errorf("told of %v, %v", told, err)
	}
}
