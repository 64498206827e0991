package orgevents_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
)

// The rules below are those a poller of this kind of API relies on, one test each; the numbers are those of docs/siem.md.

func TestRule1DataContextAndContainerAreArraysAndLinksAnObject(t *testing.T) {
	r := newRig(t)
	r.archive.add(uidA, audit.Event{Type: audit.TypeUnreadable}, audit.Event{Type: audit.TypeLogTested})
	r.archive.add(uidA, signIn(1)...)
	for _, path := range []string{"/acme/events", "/acme/events-stream", "/acme/events?action=nothing", "/globex/events"} {
		key := "steps"
		if strings.HasPrefix(path, "/globex") {
			key = "other"
		}
		var raw struct {
			Data  json.RawMessage
			Links json.RawMessage
			Meta  map[string]json.RawMessage
		}
		if err := json.Unmarshal(r.get(path, key).body, &raw); err != nil || raw.Data[0] != '[' || raw.Links[0] != '{' {
			t.Errorf("%s: data %.10s links %.10s %v", path, raw.Data, raw.Links, err)
		}
		var rows []struct {
			Links      json.RawMessage
			Attributes struct {
				Context, Container json.RawMessage
				Actor              *struct{ ID string }
			}
		}
		if err := json.Unmarshal(raw.Data, &rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			a := row.Attributes
			if len(a.Context) == 0 || a.Context[0] != '[' || len(a.Container) == 0 || a.Container[0] != '[' || row.Links[0] != '{' || a.Actor == nil || a.Actor.ID == "" {
				t.Errorf("%s: context %.10s container %.10s actor %v", path, a.Context, a.Container, a.Actor)
			}
		}
		if string(raw.Meta["attributes"]) != "null" || raw.Meta["page_size"] == nil || raw.Meta["total"] == nil {
			t.Errorf("%s: meta %s", path, raw.Meta)
		}
	}
}

var stampForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

func TestRule2TheStreamSaysWhenItProcessedAndNeverGoesBack(t *testing.T) {
	r := newRig(t)
	served := r.archive.add(uidA, administration(5)...)
	late := audit.Event{Type: audit.TypePolicyUpdated, Time: noon.Add(-48 * time.Hour)} // reported late: its time says so, its place does not
	back := audit.Event{Type: audit.TypePolicyUpdated, RecordedTime: noon.Add(-2 * time.Hour)}
	first := r.list("/acme/events-stream?limit=3", "flows")
	served = append(served, r.archive.add(uidA, late, back)...)
	var ids []string
	last := ""
	for l := first; ; l = r.list("/acme/events-stream?cursor="+*l.Meta.Next, "flows") {
		for _, row := range l.Data {
			at := row.Attributes.ProcessedAt
			if !stampForm.MatchString(at) || at < last || !stampForm.MatchString(row.Attributes.Time) {
				t.Errorf("processed %s after %s, at %s", at, last, row.Attributes.Time)
			}
			last = at
			ids = append(ids, row.ID)
		}
		if l.Meta.Next == nil {
			break
		}
	}
	if !slices.Equal(ids, idsOf(served)) {
		t.Errorf("have %v\nwant %v", ids, idsOf(served))
	}
	for _, row := range r.list("/acme/events", "flows").Data {
		if row.Attributes.ProcessedAt != "" {
			t.Error("/events says when it processed")
		}
	}
}

func TestRule3TheCursorIsAStringOrNullAndNullOnAnEmptyPage(t *testing.T) {
	r := newRig(t)
	next := func(path string) string {
		var raw struct {
			Meta map[string]json.RawMessage
		}
		if err := json.Unmarshal(r.get(path, "flows").body, &raw); err != nil {
			t.Fatal(err)
		}
		return string(raw.Meta["next"])
	}
	for _, path := range []string{"/acme/events", "/acme/events-stream", "/acme/events-stream?sortOrder=desc", "/acme/events?from=99999999999999"} {
		if got := next(path); got != "null" {
			t.Errorf("%s of an empty record: next %s", path, got)
		}
	}
	r.archive.add(uidA, administration(3)...)
	for path, leads := range map[string]bool{
		"/acme/events?limit=2": true, "/acme/events?limit=3": false, "/acme/events-stream?limit=2": true, "/acme/events-stream?limit=3": true,
		"/acme/events-stream?sortOrder=desc&limit=2": true, "/acme/events-stream?sortOrder=desc&limit=3": false,
		"/acme/events-stream?to=" + millis(noon.Add(-time.Minute)): false,
	} {
		if got := next(path); (got != "null") != leads || got == `""` {
			t.Errorf("%s: next %s", path, got)
		}
	}
	l := r.list("/acme/events-stream", "flows")
	if tail := r.list("/acme/events-stream?cursor="+*l.Meta.Next, "flows"); len(tail.Data) != 0 || tail.Meta.Next != nil || tail.Links.Next != "" {
		t.Errorf("behind the last row: %+v", tail)
	}
	r.archive.add(uidA, administration(1)...)
	if tail := r.list("/acme/events-stream?cursor="+*l.Meta.Next, "flows"); len(tail.Data) != 1 {
		t.Errorf("the cursor of the last page leads to %d rows", len(tail.Data))
	}
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func TestRule4ACursorHoldsItsQueryWinsAndOutlivesARestart(t *testing.T) {
	r := newRig(t)
	events := r.archive.add(uidA, administration(9)...)
	window := "?from=" + millis(events[2].RecordedTime) + "&to=" + millis(events[7].RecordedTime) + "&limit=2"
	for path, tt := range map[string]struct {
		query string
		want  []string
	}{
		"/acme/events-stream":                {window, idsOf(events[2:8])},
		"/acme/events-stream?sortOrder=desc": {strings.Replace(window, "?", "&", 1), reversed(idsOf(events[2:8]))},
	} {
		l := r.list(path+tt.query, "flows")
		var ids []string
		for {
			for _, row := range l.Data {
				ids = append(ids, row.ID)
			}
			if l.Meta.Next == nil {
				break
			}
			r.restart()
			// What pollers send beside a cursor is not looked at, also where it would be an error by itself.
			l = r.list("/acme/events-stream?from=1&to=2&limit=x&sortOrder=up&cursor="+*l.Meta.Next, "flows")
		}
		if !slices.Equal(ids, tt.want) {
			t.Errorf("%s: have %v\nwant %v", path, ids, tt.want)
		}
	}
	next := *r.list("/acme/events-stream?limit=2", "flows").Meta.Next
	if l := r.list("/acme/events-stream?cursor="+next, "steps"); len(l.Data) != 2 {
		t.Error("another key of the organization cannot go on")
	}
	r.fails("/acme/events?cursor="+next, "flows", 400, "ADMIN-400-1")
	r.fails("/globex/events-stream?cursor="+next, "other", 400, "ADMIN-400-1")
	r.fails("/acme/events-stream?cursor="+next+"&cursor="+next, "flows", 400, "ADMIN-400-1")
	for i := range next {
		c := "A"
		if next[i] == 'A' {
			c = "B"
		}
		r.fails("/acme/events-stream?cursor="+next[:i]+c+next[i+1:], "flows", 400, "ADMIN-400-1")
	}
	for _, bad := range []string{"x", strings.Repeat("A", 5000), next + "A", next[:len(next)-1], "%00", "%ff", next + "%0a"} {
		r.fails("/acme/events-stream?cursor="+bad, "flows", 400, "ADMIN-400-1")
	}
}

func reversed(s []string) []string {
	out := slices.Clone(s)
	slices.Reverse(out)
	return out
}

func TestRule5FromIsInclusiveInMillisecondsAndLimitsAreClamped(t *testing.T) {
	r := newRig(t)
	events := r.archive.add(uidA, administration(600)...)
	e := events[300]
	for path, at := range map[string]time.Time{"/acme/events-stream": e.RecordedTime, "/acme/events": e.Time} {
		for shift, want := range map[int64]bool{-1: true, 0: true, 1: false} {
			ids := r.all(path, fmt.Sprintf("?limit=500&from=%d", at.UnixMilli()+shift), "flows")
			if slices.Contains(ids, e.ID) != want || len(ids) < 299 {
				t.Errorf("%s from %+d ms: %t, %d rows", path, shift, !want, len(ids))
			}
		}
		for shift, want := range map[int64]bool{-1: false, 0: true, 1: true} {
			if ids := r.all(path, fmt.Sprintf("?limit=500&to=%d", at.UnixMilli()+shift), "flows"); slices.Contains(ids, e.ID) != want || len(ids) < 300 {
				t.Errorf("%s to %+d ms: %t, %d rows", path, shift, !want, len(ids))
			}
		}
		for limit, rows := range map[string]int{"1": 1, "500": 500, "501": 500, "99999": 500} {
			if l := r.list(path+"?limit="+limit, "flows"); len(l.Data) != rows || l.Meta.Total != 0 && l.Meta.Total != rows {
				t.Errorf("%s limit %s: %d rows", path, limit, len(l.Data))
			}
		}
		for _, bad := range []string{"0", "-1", "x", "1.5", "9999999999999999999999", "1&limit=2", "%00"} {
			r.fails(path+"?limit="+bad, "flows", 400, "ADMIN-400-4")
		}
		for _, bad := range []string{"2026-11-20T12:00:00Z", "-1", "1e3", "9999999999999999999", "253402300800000", "1&from=2", "1%00", "%2B1"} {
			r.fails(path+"?from="+bad, "flows", 400, "ADMIN-400-3")
			r.fails(path+"?to="+strings.ReplaceAll(bad, "from", "to"), "flows", 400, "ADMIN-400-3")
		}
		r.fails(path+"?from=5&to=4", "flows", 400, "ADMIN-400-3")
	}
	if n := len(r.list("/acme/events-stream", "flows").Data); n != 200 {
		t.Errorf("%d rows without a limit", n)
	}
	if n := len(r.list("/acme/events", "flows").Data); n != 100 {
		t.Errorf("%d rows without a limit", n)
	}
	for _, action := range []string{"external_user_policy_update", "EXTERNAL_USER_POLICY_UPDATE"} {
		if n := len(r.list("/acme/events?limit=5&action="+action, "flows").Data); n != 5 {
			t.Errorf("%s: %d rows", action, n)
		}
	}
}

func TestRule6LinksBeginWithTheConfiguredAddressWhateverTheHostHeaderSays(t *testing.T) {
	r := newRig(t)
	events := r.archive.add(uidA, administration(3)...)
	a := r.get("/acme/events-stream?limit=2", "flows", func(q *http.Request) {
		q.Host = "evil.example"
		q.Header.Set("X-Forwarded-Host", "evil.example")
		q.Header.Set("Forwarded", "host=evil.example")
	})
	if strings.Contains(string(a.body), "evil") {
		t.Errorf("%s", a.body)
	}
	var l list
	if err := json.Unmarshal(a.body, &l); err != nil {
		t.Fatal(err)
	}
	base := public + prefix + "/acme/"
	if l.Links.Next != base+"events-stream?cursor="+*l.Meta.Next || l.Links.Self != base+"events-stream?limit=2" || l.Data[0].Links.Self != base+"events/"+events[0].ID {
		t.Errorf("%+v", l.Links)
	}
	one := r.list(strings.TrimPrefix(l.Links.Next, public+prefix), "flows")
	if len(one.Data) != 1 || one.Data[0].ID != events[2].ID {
		t.Errorf("%+v", one)
	}
}

func TestRule7ARequestTooManyIsToldWhenToComeBack(t *testing.T) {
	r := newRig(t)
	r.limit = 3
	r.restart()
	for i := range 3 {
		a := r.get("/acme/events", "flows")
		if a.status != 200 || a.header.Get("X-RateLimit-Limit") != "3" || a.header.Get("X-RateLimit-Remaining") != strconv.Itoa(2-i) {
			t.Errorf("%d %v", a.status, a.header)
		}
	}
	a := r.fails("/acme/events", "flows", 429, "ADMIN-429-1")
	reset, err := time.Parse("2006-01-02T15:04Z07:00", a.header.Get("X-RateLimit-Reset"))
	if err != nil || !reset.After(r.now) || reset.Sub(r.now) > 180*time.Second {
		t.Errorf("reset %q, %v", a.header.Get("X-RateLimit-Reset"), err)
	}
	retry, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || retry < 1 || retry > 180 || a.header.Get("X-RateLimit-Remaining") != "0" || a.header.Get("X-RateLimit-Limit") != "3" {
		t.Errorf("%v, %v", a.header, err)
	}
	for path, key := range map[string]string{"/acme/events-stream": "flows", "/acme/events": "steps", "/globex/events": "other", "/acme/event-actions": "flows"} {
		if a := r.get(path, key); a.status != 200 {
			t.Errorf("%s of %s is counted with another one: %d", path, key, a.status)
		}
	}
	r.now = r.now.Add(time.Duration(retry) * time.Second)
	if a := r.get("/acme/events", "flows"); a.status != 200 {
		t.Errorf("after the time that was told: %d", a.status)
	}
}

func TestRule8RefusalsSpeakTheEnvelopeAndAnOrganizationOfOthersIsNone(t *testing.T) {
	r := newRig(t)
	e := r.archive.add(uidB, administration(1)...)[0]
	r.fails("/acme/events", "", 401, "ADMIN-401-1")
	r.fails("/acme/events", "nonsense", 401, "ADMIN-401-1")
	r.fails("/acme/events", "expired", 401, "ADMIN-401-1")
	r.fails("/acme/events", "weak", 403, "ADMIN-403-3")
	r.fails("/globex/events", "flows", 404, "ADMIN-404-2")
	r.fails("/nobody/events", "flows", 404, "ADMIN-404-2")
	r.fails("/globex/events/"+e.ID, "flows", 404, "ADMIN-404-2")
	r.fails("/acme/events/"+e.ID, "flows", 404, "ADMIN-404-4")
	r.fails("/acme/users", "flows", 404, "ADMIN-404-1")
	if a := r.fails("/acme/events", "", 401, "ADMIN-401-1"); a.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("%v", a.header)
	}
	want := []struct{ reason, principal, organization string }{
		{"CREDENTIALS_MISSING", "none", "acme"}, {"API_KEY_INVALID", "none", "acme"}, {"API_KEY_EXPIRED", "apikey:0100000000000000", "acme"},
		{"ADMIN_403_3", "apikey:0400000000000000", "acme"}, {"ADMIN_404_2", "apikey:0100000000000000", "globex"},
	}
	for i, w := range want {
		f := r.refused[i]
		if f.Reason != w.reason || f.Identity.String() != w.principal || f.Organization != w.organization || f.CallID == "" || f.Identity.Operator {
			t.Errorf("%d: %+v", i, f)
		}
	}
	if !strings.Contains(string(r.get("/acme/events/"+e.ID, "flows").body), r.refused[len(r.refused)-1].CallID) {
		t.Error("the id of the error is not the one on the record")
	}
}
