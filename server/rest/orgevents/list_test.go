package orgevents_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
)

// byTime is the order of /events.
func byTime(events []audit.Event) []string {
	out := slices.Clone(events)
	slices.SortFunc(out, func(a, b audit.Event) int {
		return cmp.Or(cmp.Compare(b.Time.UnixMilli(), a.Time.UnixMilli()), cmp.Compare(b.Sequence, a.Sequence))
	})
	return idsOf(out)
}

func TestEventsComeNewestFirstWhateverTheirOrderInTheRecord(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		events := administration(rapid.IntRange(0, 50).Draw(rt, "events"))
		unit := []time.Duration{time.Microsecond * 300, time.Millisecond, time.Second, time.Hour, 24 * time.Hour}[rapid.IntRange(0, 4).Draw(rt, "unit")]
		for i := range events {
			events[i].Time = noon.Add(-time.Duration(rapid.IntRange(0, 60).Draw(rt, "ago")) * unit)
		}
		events = r.archive.add(uidA, events...)
		limit := rapid.IntRange(1, 20).Draw(rt, "limit")
		if have, want := r.all("/acme/events", fmt.Sprintf("?limit=%d", limit), "flows"), byTime(events); !slices.Equal(have, want) {
			rt.Fatalf("%d of %d rows in order, limit %d", len(have), len(want), limit)
		}
	})
}

func TestTheStreamGivesEachRowOnceWhileMoreAreWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		query := fmt.Sprintf("?from=0&limit=%d", rapid.IntRange(1, 9).Draw(rt, "limit"))
		var want, have []string
		path := "/acme/events-stream" + query
		for range rapid.IntRange(1, 30).Draw(rt, "polls") {
			add := administration(rapid.IntRange(0, 6).Draw(rt, "more"))
			want = append(want, idsOf(r.archive.add(uidA, add...))...)
			r.archive.add(uidA, audit.Event{Type: audit.TypePasswordVerified, Step: 2}) // not shown
			l := r.list(path, "flows")
			for _, row := range l.Data {
				have = append(have, row.ID)
			}
			if l.Meta.Next != nil {
				path = "/acme/events-stream?cursor=" + *l.Meta.Next
			}
		}
		for l := r.list(path, "flows"); len(l.Data) > 0; l = r.list(path, "flows") {
			for _, row := range l.Data {
				have = append(have, row.ID)
			}
			path = "/acme/events-stream?cursor=" + *l.Meta.Next
		}
		if !slices.Equal(have, want) {
			rt.Fatalf("have %d rows, want %d", len(have), len(want))
		}
	})
}

func TestFiltersNarrowAndTheirCursorsGoOn(t *testing.T) {
	r := newRig(t)
	person := func(account, email, ip, site string) audit.Event {
		return audit.Event{Type: audit.TypeSignInSucceeded, Flow: "01a1f978-9437-79a1-9c85-dce7e8e2197e", Step: 2, Site: site,
			Personal: audit.Personal{AccountID: account, Email: email, IP: ip}}
	}
	e := r.archive.add(uidA, person("acct-1", "Mia@partner.com", "198.51.100.7", "wiki"), person("acct-1", "mia@partner.com", "198.51.100.8", "jira"),
		person("712020:9f", "bo@gmail.com", "2001:db8::1", "jira"), audit.Event{Type: audit.TypeSignInDenied, Flow: "01a1f978-9437-79a1-9c85-dce7e8e2197f", Step: 2},
		audit.Event{Type: audit.TypePolicyUpdated, Caller: "unix:0"})
	for query, want := range map[string][]int{
		"actor=acct-1": {0, 1}, "actor=account:acct-1": {0, 1}, "actor[]=acct-1&actor[]=712020:9f": {0, 1, 2}, "actor=acct-1,712020:9f": {0, 1, 2},
		"actor=email:MIA@partner.com": {0, 1}, "actor=mia@partner.com": {0, 1}, "actor=nobody": {}, "actor=@@": {}, "actor=": {0, 1, 2, 3, 4},
		"ip=198.51.100.7": {0}, "ip=198.51.100.0/24": {0, 1}, "ip=2001:db8::1,198.51.100.8": {1, 2}, "ip=::ffff:198.51.100.7": {0},
		"product=jira": {1, 2}, "product=JIRA&product=wiki": {0, 1, 2}, "product=bitbucket": {}, "product=%25": {},
		"action=user_login": {0, 1, 2}, "action=USER_LOGIN_FAILED_DENIED": {3}, "action=login_started": {}, "action=no_such": {},
		"q=external_user_policy_update": {4}, "q=acct-1": {0, 1}, "q=bo@gmail.com": {2}, "q=2001:db8::1": {2}, "q=198.51.100.9": {},
		"q=01a1f978-9437-79a1-9c85-dce7e8e2197f": {3}, "q=acct-1&actor=712020:9f": {}, "q=acct-1&actor=acct-1,712020:9f": {0, 1},
		"q=user_login&action=user_login_failed_denied": {}, "q=user_login&action=user_login": {0, 1, 2}, "q=%20": {0, 1, 2, 3, 4},
		`location=[{"city":"Oslo"}]`: {}, "location=[]": {0, 1, 2, 3, 4}, "actor=acct-1&product=jira&ip=198.51.100.8&action=user_login": {1},
		"actor=acct-1&ip=2001:db8::1": {},
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, i := range want {
			ids = append(ids, e[i].ID)
		}
		for _, limit := range []string{"1", "500"} {
			values.Set("limit", limit)
			if have := r.all("/acme/events", "?"+values.Encode(), "flows"); !slices.Equal(reversed(have), ids) && len(have)+len(ids) > 0 {
				t.Errorf("%s, limit %s: %d rows, want %d", query, limit, len(have), len(ids))
			}
		}
	}
}

func TestTheLongestFilterFitsIntoItsCursor(t *testing.T) {
	r := newRig(t)
	values := url.Values{"limit": {"1"}}
	for i := range 20 {
		account, ip, site := fmt.Sprintf("acct-%d", i), fmt.Sprintf("192.0.2.%d", i), fmt.Sprintf("%063d", i)
		values["actor"], values["ip"], values["product"] = append(values["actor"], account), append(values["ip"], ip), append(values["product"], site)
		for range 2 {
			r.archive.add(uidA, audit.Event{Type: audit.TypeSignInSucceeded, Flow: "01a1f978-9437-79a1-9c85-dce7e8e2197e", Step: 2, Site: site,
				Personal: audit.Personal{AccountID: account, IP: ip}})
		}
	}
	if ids := r.all("/acme/events", "?"+values.Encode(), "flows"); len(ids) != 40 {
		t.Errorf("%d rows", len(ids))
	}
	values.Add("actor", "one too many")
	r.fails("/acme/events?"+values.Encode(), "flows", 400, "ADMIN-400-4")
}

func TestAPageOfLargeRowsEndsEarlyAndGoesOn(t *testing.T) {
	r := newRig(t)
	events := administration(60)
	for i := range events {
		for range 100 { // of 1 KB each
			events[i].Changes = append(events[i].Changes, audit.Change{Field: "rule", Before: strings.Repeat("x", 1000)})
		}
	}
	events = r.archive.add(uidA, events...)
	for path, want := range map[string][]string{"/acme/events": byTime(events), "/acme/events-stream": idsOf(events)} {
		l := r.list(path+"?limit=500", "flows")
		if len(l.Data) == 60 || l.Meta.Next == nil {
			t.Errorf("%s: %d rows on the first page", path, len(l.Data))
		}
		if have := r.all(path, "?limit=500", "flows"); !slices.Equal(have, want) {
			t.Errorf("%s: %d rows", path, len(have))
		}
	}
}

func TestAPageTakesFewTripsHoweverTheRowsLieInTime(t *testing.T) {
	for name, gap := range map[string]time.Duration{"all at once": 0, "dense": time.Millisecond, "sparse": 30 * time.Hour, "years of silence": 20000 * time.Hour} {
		r := newRig(t)
		events := administration(600)
		for i := range events {
			events[i].Time = noon.Add(-time.Duration(i%500) * gap)
		}
		if gap == 20000*time.Hour {
			events = events[:20]
		}
		r.archive.add(uidA, events...)
		for _, query := range []string{"?limit=1", "?limit=100", "?limit=500", "?action=user_login"} {
			r.archive.trips = 0
			r.list("/acme/events"+query, "flows")
			if r.archive.trips > 40 {
				t.Errorf("%s %s: %d trips", name, query, r.archive.trips)
			}
		}
		r.archive.trips = 0
		r.list("/acme/events-stream?from="+millis(noon.Add(-time.Hour)), "flows")
		if r.archive.trips > 12 { // halving 600 rows, and one for the page
			t.Errorf("%s, the stream: %d trips", name, r.archive.trips)
		}
	}
}

func TestOneEventIsShownWhereAListWouldShowIt(t *testing.T) {
	r := newRig(t)
	events := r.archive.add(uidA, signIn(1)...)
	ending, step := events[len(events)-1], events[2]
	for key, shown := range map[string][]audit.Event{"flows": {ending}, "steps": {ending, step}} {
		for _, e := range []audit.Event{ending, step} {
			want := 404
			if slices.ContainsFunc(shown, func(x audit.Event) bool { return x.ID == e.ID }) {
				want = 200
			}
			if a := r.get("/acme/events/"+e.ID, key); a.status != want || want == 200 && !strings.Contains(string(a.body), e.ID) {
				t.Errorf("%s to %s: %d", e.Type, key, a.status)
			}
		}
	}
}

// TestWhatIsForTryingThingsOutIsShownOnlyToKeysThatAskForIt: events of a sandbox are left out of every way to read, unless the key was
// made for them.
func TestWhatIsForTryingThingsOutIsShownOnlyToKeysThatAskForIt(t *testing.T) {
	r := newRig(t)
	trial := r.archive.add(uidA, audit.Event{Type: audit.TypeSignInSucceeded, Flow: "f1", Sandbox: true})[0]
	earnest := r.archive.add(uidA, audit.Event{Type: audit.TypeSignInSucceeded, Flow: "f2"})[0]
	tester := *r.keys["steps"]
	tester.Sandbox = true
	r.keys["tester"] = &tester
	for key, want := range map[string]int{"flows": 1, "steps": 1, "tester": 2} {
		for _, path := range []string{"/acme/events", "/acme/events-stream"} {
			var page struct{ Data []struct{ ID string } }
			a := r.get(path, key)
			if err := json.Unmarshal(a.body, &page); err != nil || a.status != 200 || len(page.Data) != want {
				t.Errorf("%s with key %s: %d, %v: %s", path, key, a.status, err, a.body)
			}
		}
		if got := r.get("/acme/events/"+earnest.ID, key).status; got != 200 {
			t.Errorf("a real one with key %s: %d", key, got)
		}
		if got := r.get("/acme/events/"+trial.ID, key).status; got != map[int]int{1: 404, 2: 200}[want] {
			t.Errorf("a trial with key %s: %d", key, got)
		}
	}
}
