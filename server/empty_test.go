package server

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// emptyWorld is everything an empty list is explained by, by hand. Mia's domain is the organization's since noon of the 28th.
type emptyWorld struct {
	audit.Reader
	now       time.Time
	retention audit.Retention
	org       policy.Organization
	live      []authflow.DueTally
	archived  []audit.Event
	away      bool
	hours     []time.Time // whose live counters were asked for
}

var (
	emptyNow = time.Date(2026, 3, 29, 12, 34, 56, 0, time.UTC)
	claimed  = time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
	created  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

func (w *emptyWorld) trouble() error {
	if w.away {
		return errs.New(errs.Unavailable, "NOT_RECORDED", "away")
	}
	return nil
}

func (w *emptyWorld) Retention(context.Context, string) (audit.Retention, error) {
	return w.retention, w.trouble()
}

func (w *emptyWorld) Tallies(_ context.Context, _ string, _ []string, hours []time.Time) ([]authflow.DueTally, error) {
	w.hours = hours
	return w.live, w.trouble()
}

func (w *emptyWorld) Events(_ context.Context, q audit.Query) ([]audit.Event, error) {
	var out []audit.Event
	for _, e := range w.archived {
		if q.Fits(&e) && e.Sequence > q.After && len(out) < q.Limit {
			out = append(out, e)
		}
	}
	return out, w.trouble()
}

func (w *emptyWorld) ArchivedUntil(context.Context, string) (time.Time, error) {
	return w.now.Add(-time.Minute), w.trouble()
}

func (w *emptyWorld) Position(context.Context, string) (int64, time.Time, error) {
	return 0, time.Time{}, w.trouble()
}

func (w *emptyWorld) Resolve(context.Context, string) (string, error) { return "u-acme", w.trouble() }

func (w *emptyWorld) Organization(context.Context, string) (*policy.Organization, error) {
	return &w.org, w.trouble()
}

func (w *emptyWorld) Cached(ctx context.Context, uid string) (*policy.Organization, error) {
	return w.Organization(ctx, uid)
}

func (w *emptyWorld) Organizations(context.Context, string, int) ([]policy.Organization, error) {
	return nil, nil
}

func (w *emptyWorld) Domains(context.Context, string, policy.Domain, int) (policy.DomainPage, error) {
	return policy.DomainPage{}, nil
}

func (w *emptyWorld) records(at time.Time) policy.Records {
	domain, _ := policy.ParseDomain("acme-postern-demo.com")
	if at.Before(claimed) {
		return policy.Records{}
	}
	return policy.Records{Domain: &policy.DomainRecord{Domain: domain, VerifiedBy: "DNS", Revision: 7}}
}

func (w *emptyWorld) Read(context.Context, authflow.Read) (*authflow.Reading, error) {
	return &authflow.Reading{Organization: &w.org, Records: []policy.Records{w.records(w.now)}}, w.trouble()
}

func (w *emptyWorld) At(_ context.Context, _ string, at time.Time) (policy.Moment, error) {
	if at.Before(created) {
		return policy.Moment{}, audit.ErrHistoryUnknown()
	}
	then := w.org
	then.Sites = []policy.Site{{ID: "wiki", UID: "u-wiki"}, {ID: "old", UID: "u-old"}}
	return policy.Moment{At: at, Organization: &then}, w.trouble()
}

func (w *emptyWorld) Records(_ context.Context, m policy.Moment, _ policy.LookupKeys) (policy.Records, error) {
	return w.records(m.At), w.trouble()
}

func (w *emptyWorld) Written(context.Context, policy.Moment) (*policy.Revision, error) {
	return nil, audit.ErrHistoryUnknown()
}

func (w *emptyWorld) AccountKey(string, string) policy.AccountKey { return policy.AccountKey{1} }

func (w *emptyWorld) AddressKey(string, policy.Address) policy.AccountKey {
	return policy.AccountKey{2}
}

func newEmptyWorld() *emptyWorld {
	return &emptyWorld{now: emptyNow, retention: audit.StandardRetention(), org: policy.Organization{
		UID: "u-acme", ID: "acme", Created: created, Sites: []policy.Site{{ID: "wiki", UID: "u-wiki"}, {ID: "new", UID: "u-new"}},
	}}
}

// ask explains an empty list.
func (w *emptyWorld) ask(t *testing.T, a asked) *posternv1.NothingFound {
	t.Helper()
	a.organizationUID, a.signIns = "u-acme", true
	q := &query{
		Query: &Query{Reader: w, Records: pastRecords{w}, Archived: w, Past: w, Retentions: w, LiveTallies: w, Namer: w}, access: &access{directory: w},
		log: slog.New(slog.DiscardHandler), now: func() time.Time { return w.now },
	}
	return q.nothing(t.Context(), a)
}

// pastRecords keeps Records of the store and of the past apart.
type pastRecords struct{ w *emptyWorld }

func (p pastRecords) Read(ctx context.Context, r authflow.Read) (*authflow.Reading, error) {
	return p.w.Read(ctx, r)
}

func tallied(site string, hour time.Time, counts map[string]int64) audit.Event {
	return audit.Event{Type: audit.TypeSiteTallied, OrganizationUID: "u-acme", Site: site, SiteUID: "u-" + site, TallyHour: hour,
		Time: hour.Add(3 * time.Hour), Tally: counts, Sequence: 1}
}

func TestAnEmptyListSaysWhoThePersonWasAndWhatWasNotRecorded(t *testing.T) {
	w := newEmptyWorld()
	hour := time.Date(2026, 3, 28, 14, 0, 0, 0, time.UTC)
	w.archived = []audit.Event{
		tallied("wiki", hour, map[string]int64{"opened": 4, "MANAGED:SUCCEEDED:false": 3, "EXTERNAL:DENIED:true": 1}),
		tallied("wiki", hour.Add(time.Hour), map[string]int64{"opened": 9}),
	}
	got := w.ask(t, asked{start: hour.Add(10 * time.Minute), end: hour.Add(20 * time.Minute), sites: []string{"wiki"}, email: "mia@acme-postern-demo.com"})
	want := []string{
		"The person was MANAGED to the organization at 2026-03-28 14:10Z, by its verified domain acme-postern-demo.com. Sign-ins of MANAGED people are counted, not recorded.",
		"The person was MANAGED to the organization at 2026-03-28 14:19Z, by its verified domain acme-postern-demo.com. Sign-ins of MANAGED people are counted, not recorded.",
		"The person is MANAGED to the organization now, by its verified domain acme-postern-demo.com. Sign-ins of MANAGED people are counted, not recorded.",
		"3 sign-ins at site wiki in the hour of 2026-03-28 14:00Z were of class MANAGED and are not recorded.",
		"1 sign-in at site wiki in the hour of 2026-03-28 14:00Z is on the record; none fits what was asked.",
	}
	if !slices.Equal(got.GetExplanation(), want) {
		t.Errorf("explained as\n%s\nwant\n%s", strings.Join(got.GetExplanation(), "\n"), strings.Join(want, "\n"))
	}
	if len(w.hours) != 0 {
		t.Errorf("live counters of %v were asked for", w.hours)
	}
	if s := got.GetTallies().GetSites(); len(s) != 1 || s[0].GetOpened() != 4 || len(s[0].GetEnded()) != 2 || got.GetTallies().GetIncomplete() {
		t.Errorf("tallies %v", got.GetTallies())
	}
}

func TestAClassThatChangedIsToldForBothEnds(t *testing.T) {
	w := newEmptyWorld()
	got := w.ask(t, asked{start: claimed.Add(-time.Hour), end: claimed.Add(time.Hour), email: "mia@acme-postern-demo.com"})
	var classes []posternv1.Class
	for _, c := range got.GetClasses() {
		classes = append(classes, c.GetClass())
	}
	const external, managed = posternv1.Class_CLASS_EXTERNAL, posternv1.Class_CLASS_MANAGED
	if !slices.Equal(classes, []posternv1.Class{external, managed, managed}) || got.GetClasses()[2].GetTime() != nil {
		t.Errorf("classes %v", got.GetClasses())
	}
	for name, a := range map[string]asked{"nobody": {}, "no address": {email: "@"}} {
		if got := w.ask(t, a); len(got.GetClasses()) > 0 {
			t.Errorf("%s: classes %v", name, got.GetClasses())
		}
	}
}

func TestLiveCountersCountUntilTheyAreArchived(t *testing.T) {
	w := newEmptyWorld()
	hour := emptyNow.Truncate(time.Hour)
	w.live = []authflow.DueTally{
		{OrganizationUID: "u-acme", SiteUID: "u-wiki", Site: "wiki", Hour: hour, Counts: map[string]int64{"opened": 2, "MANAGED:SUCCEEDED:false": 1}},
		{OrganizationUID: "u-acme", SiteUID: "u-wiki", Site: "wiki", Hour: hour.Add(-4 * time.Hour), Counts: map[string]int64{"opened": 5}},
	}
	w.archived = []audit.Event{tallied("wiki", hour.Add(-4*time.Hour), map[string]int64{"opened": 6, "EXTERNAL:SUCCEEDED:true": 6})}
	got := w.ask(t, asked{start: hour.Add(-5 * time.Hour)})
	if s := got.GetTallies().GetSites(); len(s) != 1 || s[0].GetOpened() != 8 {
		t.Errorf("tallies %v, want those of the archive where both have an hour", got.GetTallies())
	}
	if len(w.hours) != 6 {
		t.Errorf("live counters of %d hours were asked for", len(w.hours))
	}
}

func TestAnEmptyListSaysWhatIsNotShownAnyMore(t *testing.T) {
	says := func(got *posternv1.NothingFound, part string) bool {
		return slices.ContainsFunc(got.GetExplanation(), func(s string) bool { return strings.Contains(s, part) })
	}
	long := emptyNow.Add(-400 * 24 * time.Hour)
	for name, c := range map[string]struct {
		change func(*emptyWorld)
		asked  asked
		want   string
	}{
		"all of it":        {nil, asked{start: long, end: long.Add(time.Hour)}, "All of that time lies before 2025-09-30"},
		"a part":           {nil, asked{start: long}, "What happened before 2025-09-30"},
		"before there was": {nil, asked{start: long, end: long.Add(time.Hour)}, "The organization did not exist then"},
		"a hold":           {func(w *emptyWorld) { w.retention.Hold = true }, asked{}, "legal hold"},
		"the future":       {nil, asked{start: emptyNow.Add(time.Hour)}, "has not come yet"},
		"a new site":       {nil, asked{end: claimed, sites: []string{"new"}}, "Site new did not exist then; it does now."},
		"an old site":      {nil, asked{end: claimed, sites: []string{"old"}}, "Site old existed then and is gone since."},
		"no site":          {nil, asked{sites: []string{"nowhere"}}, "There is no site nowhere."},
		"a late archive":   {nil, asked{}, "What was recorded since 2026-03-29 12:33Z may not be in the archive yet"},
		"no addresses":     {func(w *emptyWorld) { w.org.Privacy.Email = audit.EmailOmitted }, asked{email: "mia@acme-postern-demo.com"}, "keeps no e-mail addresses"},
		"none at a site": {func(w *emptyWorld) { w.org.Sites[0].Privacy.Email = audit.EmailOmitted }, asked{email: "mia@acme-postern-demo.com", sites: []string{"wiki"}},
			"site wiki is recorded without e-mail addresses"},
		"nobody came": {nil, asked{start: claimed, end: claimed.Add(2 * time.Hour), sites: []string{"wiki"}},
			"No sign-in was begun at site wiki from 2026-03-28 12:00Z to 2026-03-28 14:00Z."},
		"by account": {nil, asked{account: "4711"}, "as far as the account id alone tells"},
	} {
		w := newEmptyWorld()
		if c.change != nil {
			c.change(w)
		}
		if got := w.ask(t, c.asked); !says(got, c.want) {
			t.Errorf("%s: %q does not say %q", name, got.GetExplanation(), c.want)
		}
	}
}

func TestAnEmptyListIsAnAnswerWhileNothingCanBeAsked(t *testing.T) {
	w := newEmptyWorld()
	w.away = true
	got := w.ask(t, asked{start: claimed, end: claimed.Add(time.Hour), email: "mia@acme-postern-demo.com"})
	if len(got.GetExplanation()) != 1 || !strings.HasPrefix(got.GetExplanation()[0], "It could not be found out now: ") || got.GetTallies() != nil {
		t.Errorf("explained as %v", got)
	}
}

func TestSpansThatAreTooLongAreCountedFromWhereTheyCanBe(t *testing.T) {
	w := newEmptyWorld()
	for name, a := range map[string]asked{"open": {}, "a year": {start: emptyNow.Add(-365 * 24 * time.Hour)}} {
		got := w.ask(t, a).GetTallies()
		if !got.GetIncomplete() || got.GetEndTime().AsTime() != time.Date(2026, 3, 29, 13, 0, 0, 0, time.UTC) || emptyNow.Sub(got.GetStartTime().AsTime()) > tallySpan+time.Hour {
			t.Errorf("%s: %v", name, got)
		}
	}
}
