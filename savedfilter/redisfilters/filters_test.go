package redisfilters_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/savedfilter"
)

const operator = "unix:0"

func input(o savedfilter.Organization, id, request string) savedfilter.Input {
	return savedfilter.Input{Organization: o, ID: id, DisplayName: "about " + id, Content: []byte("canary-" + id), RequestID: request}
}

func (r *rig) create(in savedfilter.Input) savedfilter.Filter {
	r.t.Helper()
	f, err := r.filters.Create(r.t.Context(), operator, in)
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

func TestAFilterIsReadAsItWasWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		o := r.organization("acme")
		made := r.create(input(o, "one", "r-1"))
		if made.DisplayName != "about one" || string(made.Content) != "canary-one" || !made.Created.Equal(r.now) || made.Creator != operator || made.Unreadable {
			t.Errorf("%+v", made)
		}
		r.now = r.now.Add(time.Minute)
		changed := input(o, "one", "r-2")
		changed.Content, changed.Etag = []byte("other"), made.Etag()
		f, err := r.filters.Update(t.Context(), "unix:7", changed)
		if err != nil || string(f.Content) != "other" || !f.Created.Equal(made.Created) || !f.Updated.Equal(r.now) || f.Creator != operator || f.Etag() == made.Etag() {
			t.Errorf("%+v, %v", f, err)
		}
		if err = r.filters.Delete(t.Context(), operator, savedfilter.Removal{Organization: o, ID: "one", RequestID: "r-3"}); err != nil {
			t.Fatal(err)
		}
		if _, err = r.filters.Get(t.Context(), o.UID, "one"); !errs.Is(err, "SAVED_FILTER_NOT_FOUND") {
			t.Errorf("deleted: %v", err)
		}
		events := r.events(o.UID)
		if len(events) != 3 || events[0].Type != audit.TypeFilterSaved || events[1].Type != audit.TypeFilterSaved || events[2].Type != audit.TypeFilterDeleted {
			t.Fatalf("%+v", events)
		}
		e := events[1]
		if e.Caller != "unix:7" || e.Target.Type != "filter" || e.Target.ID != "one" || e.Personal.Detail != "about one" || e.Organization != "acme" ||
			!slices.Equal(e.Changes, []audit.Change{{Field: "length", Before: "10", After: "5"}}) {
			t.Errorf("%+v", e)
		}
		if c := events[2].Changes; !slices.Equal(c, []audit.Change{{Field: "length", Before: "5"}}) {
			t.Errorf("deletion says %+v", c)
		}
	})
}

func TestNothingAFilterSaysIsInTheClear(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		o := r.organization("acme")
		r.create(input(o, "one", "r-1"))
		if dump := r.dump(); strings.Contains(dump, "canary") || strings.Contains(dump, "about one") {
			t.Errorf("in the clear: %s", dump)
		}
	})
}

func TestARepeatedCallWritesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		o := r.organization("acme")
		in := input(o, "one", "r-1")
		first := r.create(in)
		r.now = r.now.Add(time.Minute)
		if again := r.create(in); again.Etag() != first.Etag() || !again.Created.Equal(first.Created) {
			t.Errorf("%+v", again)
		}
		other := in
		other.DisplayName = "something else"
		if _, err := r.filters.Create(t.Context(), operator, other); !errs.Is(err, "REQUEST_ID_REUSED") {
			t.Errorf("another request of that id: %v", err)
		}
		removal := savedfilter.Removal{Organization: o, ID: "one", RequestID: "r-2"}
		for range 2 {
			if err := r.filters.Delete(t.Context(), operator, removal); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(r.events(o.UID)); n != 2 {
			t.Errorf("%d events", n)
		}
	})
}

func TestAFilterThatSaysTheSameStaysAsItIs(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		o := r.organization("acme")
		made := r.create(input(o, "one", "r-1"))
		same, err := r.filters.Update(t.Context(), operator, input(o, "one", "r-2"))
		if err != nil || same.Etag() != made.Etag() || len(r.events(o.UID)) != 1 {
			t.Errorf("%+v, %v, %d events", same, err, len(r.events(o.UID)))
		}
	})
}

func TestChangesThatCannotBeAreRefusedAndLeaveNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		o := r.organization("acme")
		r.create(input(o, "one", "r-1"))
		before := r.dump()
		put := func(f func(context.Context, string, savedfilter.Input) (savedfilter.Filter, error), change func(*savedfilter.Input)) error {
			in := input(o, "one", "r-2")
			change(&in)
			_, err := f(t.Context(), operator, in)
			return err
		}
		for name, tt := range map[string]struct {
			err    error
			reason string
		}{
			"taken":       {put(r.filters.Create, func(*savedfilter.Input) {}), "SAVED_FILTER_EXISTS"},
			"not there":   {put(r.filters.Update, func(in *savedfilter.Input) { in.ID = "two" }), "SAVED_FILTER_NOT_FOUND"},
			"old version": {put(r.filters.Update, func(in *savedfilter.Input) { in.Etag = strings.Repeat("0", 32) }), "ETAG_MISMATCH"},
			"no name":     {put(r.filters.Create, func(in *savedfilter.Input) { in.DisplayName = "" }), "FIELD_INVALID"},
			"long name":   {put(r.filters.Create, func(in *savedfilter.Input) { in.DisplayName = strings.Repeat("a", 129) }), "FIELD_INVALID"},
			"the system's": {put(r.filters.Create, func(in *savedfilter.Input) {
				in.Organization = savedfilter.Organization{ID: audit.SystemID, UID: audit.SystemUID}
			}), "ORGANIZATION_RESERVED"},
			"nobody's key": {put(r.filters.Create, func(in *savedfilter.Input) {
				in.ID, in.Organization.UID = "two", "019365a0-0000-7000-8000-000000000099"
			}), "KEY_UNKNOWN"},
			"gone, deleted": {r.filters.Delete(t.Context(), operator, savedfilter.Removal{Organization: o, ID: "two", RequestID: "r-3"}), "SAVED_FILTER_NOT_FOUND"},
			"old, deleted":  {r.filters.Delete(t.Context(), operator, savedfilter.Removal{Organization: o, ID: "one", Etag: "x", RequestID: "r-3"}), "ETAG_MISMATCH"},
		} {
			if !errs.Is(tt.err, tt.reason) {
				t.Errorf("%s: %v", name, tt.err)
			}
		}
		if after := r.dump(); after != before {
			t.Error("something was left behind")
		}
	})
}

func TestOfTwoChangesOfOneVersionOneCounts(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		o := r.organization("acme")
		made := r.create(input(o, "one", "r-0"))
		const racers = 8
		failed := make([]error, racers)
		var all sync.WaitGroup
		for i := range racers {
			all.Go(func() {
				in := input(o, "one", fmt.Sprintf("r-%d", i+1))
				in.Content, in.Etag = fmt.Appendf(nil, "content %d", i), made.Etag()
				_, failed[i] = r.filters.Update(t.Context(), operator, in)
			})
		}
		all.Wait()
		won := 0
		for _, err := range failed {
			if err == nil {
				won++
			} else if !errs.Is(err, "ETAG_MISMATCH") {
				t.Error(err)
			}
		}
		if n := len(r.events(o.UID)); won != 1 || n != 2 {
			t.Errorf("%d won, %d events", won, n)
		}
	})
}

func TestThereIsABoundAndOrganizationsAreApart(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		o, other := r.organization("acme"), r.organization("globex")
		for i := range savedfilter.MaxFilters {
			r.create(input(o, fmt.Sprintf("f%03d", i), fmt.Sprintf("r-%d", i)))
		}
		if _, err := r.filters.Create(t.Context(), operator, input(o, "more", "r")); !errs.Is(err, "SAVED_FILTER_LIMIT") {
			t.Errorf("one too many: %v", err)
		}
		if _, err := r.filters.Update(t.Context(), operator, savedfilter.Input{Organization: o, ID: "f007", DisplayName: "x", RequestID: "u"}); err != nil {
			t.Errorf("a full house can still be changed: %v", err)
		}
		list, err := r.filters.List(t.Context(), o.UID, "f197", 100)
		if err != nil || len(list) != 2 || list[0].ID != "f198" {
			t.Errorf("%d filters, %v", len(list), err)
		}
		if list, err = r.filters.List(t.Context(), o.UID, "f1975", 1); err != nil || len(list) != 1 || list[0].ID != "f198" {
			t.Errorf("behind one that went: %+v, %v", list, err)
		}
		if list, err = r.filters.List(t.Context(), other.UID, "", 100); err != nil || len(list) != 0 {
			t.Errorf("another organization's: %d, %v", len(list), err)
		}
		if _, err = r.filters.Get(t.Context(), other.UID, "f001"); !errs.Is(err, "SAVED_FILTER_NOT_FOUND") {
			t.Errorf("another organization's: %v", err)
		}
	})
}

// What cannot be opened is still listed, and can be replaced or removed.
func TestAFilterThatCannotBeOpenedCanBeReplaced(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		o := r.organization("acme")
		r.create(input(o, "one", "r-1"))
		key := r.names.Of(o.UID).SavedFilters(o.UID)
		record := r.client.HGet(t.Context(), key, "one").Val()
		if err := r.client.HSet(t.Context(), key, "two", record).Err(); err != nil { // sealed for another id
			t.Fatal(err)
		}
		list, err := r.filters.List(t.Context(), o.UID, "", 10)
		if err != nil || len(list) != 2 || list[0].Unreadable || !list[1].Unreadable || list[1].Content != nil || list[1].Etag() == "" {
			t.Fatalf("%+v, %v", list, err)
		}
		f, err := r.filters.Update(t.Context(), operator, input(o, "two", "r-2"))
		if err != nil || f.Unreadable || string(f.Content) != "canary-two" {
			t.Errorf("%+v, %v", f, err)
		}
	})
}
