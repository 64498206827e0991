package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

// How far tallies are looked at.
const (
	tallySpan   = 31 * 24 * time.Hour // hours before the end of the time asked about
	tallyOpen   = 7 * 24 * time.Hour  // when it has no beginning
	tallyLate   = 7 * 24 * time.Hour  // how long after its hour a tally may be archived, and is still found
	tallyLive   = 6                   // hours before now that may not be archived yet
	tallySites  = 50                  // sites whose live counters are read
	tallyEvents = 5000                // tallies of one answer
	tallyPage   = 1000
)

// hourOf is one hour of one site.
type hourOf struct {
	siteUID string
	hour    time.Time
}

// counted is what a site's hour came to.
type counted struct {
	site   string
	counts map[string]int64
}

// tallies adds up the hours of the time asked about. Live counters are read before archived ones, so that an hour that is archived
// in between is met at least once; the archived one counts.
func (e *emptiness) tallies(ctx context.Context) error {
	from, to, whole := e.hours()
	if !from.Before(to) {
		return nil
	}
	hours := map[hourOf]counted{}
	if err := e.liveTallies(ctx, from, to, hours); err != nil {
		return err
	}
	all, err := e.archivedTallies(ctx, from, to, hours)
	if err != nil {
		return err
	}
	e.out.Tallies = &posternv1.Tallies{
		StartTime: convert.Timestamp(from), EndTime: convert.Timestamp(to), Incomplete: !whole || !all, Sites: summed(hours),
	}
	return nil
}

// hours are the whole hours asked about, as far as they are looked at.
func (e *emptiness) hours() (from, to time.Time, whole bool) {
	to = e.now
	if !e.end.IsZero() && e.end.Before(to) {
		to = e.end
	}
	from, whole = e.start, true
	switch {
	case from.IsZero():
		from, whole = to.Add(-tallyOpen), false
	case to.Sub(from) > tallySpan:
		from, whole = to.Add(-tallySpan), false
	}
	return from.UTC().Truncate(time.Hour), to.UTC().Add(time.Hour - 1).Truncate(time.Hour), whole
}

func (e *emptiness) liveTallies(ctx context.Context, from, to time.Time, into map[hourOf]counted) error {
	if e.present == nil {
		return nil
	}
	first := e.now.Truncate(time.Hour).Add(-tallyLive * time.Hour)
	if from.After(first) {
		first = from
	}
	var hours []time.Time
	for h := first; h.Before(to); h = h.Add(time.Hour) {
		hours = append(hours, h)
	}
	var sites []string
	for _, s := range e.present.Sites {
		if (len(e.sites) == 0 || slices.Contains(e.sites, s.ID)) && len(sites) < tallySites {
			sites = append(sites, s.UID)
		}
	}
	if len(hours) == 0 || len(sites) == 0 {
		return nil
	}
	found, err := e.LiveTallies.Tallies(ctx, e.organizationUID, sites, hours)
	if err != nil {
		return err //nolint:wrapcheck // an errs.Error of the store
	}
	for _, t := range found {
		into[hourOf{t.SiteUID, t.Hour.UTC()}] = counted{t.Site, t.Counts}
	}
	return nil
}

// archivedTallies reports whether it saw everything.
func (e *emptiness) archivedTallies(ctx context.Context, from, to time.Time, into map[hourOf]counted) (bool, error) {
	q := audit.Query{
		OrganizationUID: e.organizationUID, Start: from.Add(time.Hour), End: to.Add(tallyLate), Limit: tallyPage,
		Match: audit.Match{Types: []string{string(audit.TypeSiteTallied)}, Sites: e.sites},
	}
	for range tallyEvents / tallyPage {
		events, err := e.Reader.Events(ctx, q)
		if err != nil {
			return false, err //nolint:wrapcheck // an errs.Error of the archive
		}
		for i := range events {
			if v := &events[i]; !v.TallyHour.Before(from) && v.TallyHour.Before(to) {
				into[hourOf{v.SiteUID, v.TallyHour.UTC()}] = counted{v.Site, v.Tally}
			}
		}
		if len(events) < tallyPage {
			return true, nil
		}
		q.After = events[len(events)-1].Sequence
	}
	return false, nil
}

// summed adds hours up by site, and each site's counts by class and ending.
func summed(hours map[hourOf]counted) []*posternv1.SiteTally {
	sites := map[string]map[string]int64{}
	for _, c := range hours {
		if sites[c.site] == nil {
			sites[c.site] = map[string]int64{}
		}
		for field, n := range c.counts {
			sites[c.site][field] += n
		}
	}
	var out []*posternv1.SiteTally
	for site, fields := range sites {
		t := &posternv1.SiteTally{Site: site}
		for field, n := range fields {
			if field == authflow.TallyOpened {
				t.Opened = n
			} else if ended := endedTally(field); ended != nil {
				ended.Count = n
				t.Ended = append(t.Ended, ended)
			}
		}
		slices.SortFunc(t.Ended, func(a, b *posternv1.EndedTally) int {
			return strings.Compare(a.GetClass().String()+a.GetEnding().String()+recordedWord(a), b.GetClass().String()+b.GetEnding().String()+recordedWord(b))
		})
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *posternv1.SiteTally) int { return strings.Compare(a.GetSite(), b.GetSite()) })
	return out
}

func recordedWord(t *posternv1.EndedTally) string {
	if t.GetRecorded() {
		return "true"
	}
	return "false"
}

// endedTally reads a counter's name: authflow.TallyField. A name this version does not know is nil.
func endedTally(field string) *posternv1.EndedTally {
	parts := strings.Split(field, ":")
	if len(parts) != 3 {
		return nil
	}
	class, okClass := posternv1.Class_value["CLASS_"+parts[0]]
	ending, okEnding := posternv1.Ending_value["ENDING_"+parts[1]]
	if !okClass || !okEnding {
		return nil
	}
	return &posternv1.EndedTally{Class: posternv1.Class(class), Ending: posternv1.Ending(ending), Recorded: parts[2] == "true"}
}
