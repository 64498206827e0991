package orgevents_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/server/rest/orgevents"
)

func TestAPathThatIsWrittenInAnotherWayLeadsNowhere(t *testing.T) {
	r := newRig(t)
	e := r.archive.add(uidA, administration(1)...)[0]
	for _, path := range []string{
		"", "/", "/acme", "/acme/", "//acme/events", "/acme//events", "/acme/events/", "/acme/events//", "/./acme/events", "/acme/./events",
		"/globex/../acme/events", "/acme/%65vents", "/acme%2fevents", "/%61cme/events", "/acme/events%00", "/acme/events;a=b", "/ACME/events",
		"/acme/Events", "/acme/events/" + strings.ToUpper(e.ID), "/acme/events/" + e.ID + "/", "/acme/events/%2e%2e", "/acme/events/..",
		"/acme/events/" + strings.Repeat("a", 600), "/acme/events-stream/x", "/acme/events/" + e.ID[:35], "/acme/events/" + strings.ReplaceAll(e.ID, "-", "0"),
		"/acme\\events", "/openapi.json/", "/acme/openapi.json", "/-acme/events",
	} {
		r.fails(path, "flows", 404, "ADMIN-404-1")
	}
	if l := r.get("/acme/events/"+e.ID, "flows"); l.status != 200 || !strings.HasPrefix(string(l.body), `{"data":{"type":"events"`) {
		t.Errorf("%d %s", l.status, l.body)
	}
}

func TestTheAPIIsKnownHoweverItsPrefixIsWritten(t *testing.T) {
	r := newRig(t)
	for path, want := range map[string]bool{
		prefix: true, prefix + "/acme/events": true, "/admin/v1/%6frgs/acme/events": true, "/admin%2fv1/orgs/acme/events": true, prefix + "x/acme": false,
		"/v1/organizations": false, "/": false, "/admin/v1": false, "//admin/v1/orgs/acme/events": false,
	} {
		if got := r.h.Serves(&http.Request{URL: mustParse(t, "http://h"+path)}); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestOnlyGETIsServed(t *testing.T) {
	r := newRig(t)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "get", "LINK"} {
		a := r.fails("/acme/events", "flows", 405, "ADMIN-405-1", func(q *http.Request) { q.Method = method })
		if a.header.Get("Allow") != "GET" {
			t.Errorf("%s: Allow %q", method, a.header.Get("Allow"))
		}
	}
	for _, name := range []string{"X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"} {
		if a := r.get("/acme/events", "flows", func(q *http.Request) { q.Header.Set(name, "DELETE") }); a.status != 200 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	r.fails("/acme/events", "flows", 400, "ADMIN-400-24", func(q *http.Request) { q.ContentLength = 2 })
	r.fails("/acme/events", "flows", 400, "ADMIN-400-24", func(q *http.Request) { q.ContentLength = -1 })
}

func TestNoAnswerPermitsAnotherOriginOrChangesItsForm(t *testing.T) {
	r := newRig(t)
	r.archive.add(uidA, administration(1)...)
	for name, value := range map[string]string{"Origin": "https://evil.example", "Accept": "text/html", "Accept-Encoding": "gzip", "Accept-Charset": "utf-7"} {
		for _, key := range []string{"flows", "nonsense"} {
			a := r.get("/acme/events", key, func(q *http.Request) { q.Header.Set(name, value) })
			for h := range a.header {
				if strings.HasPrefix(h, "Access-Control-") || h == "Content-Encoding" {
					t.Errorf("%s: %s", name, h)
				}
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %v", name, a.header)
			}
		}
	}
}

func TestACredentialIsOneBearerHeaderAndNothingElse(t *testing.T) {
	r := newRig(t)
	for _, change := range []func(*http.Request){
		func(q *http.Request) { q.Header["Authorization"] = []string{"Bearer flows", "Bearer flows"} },
		func(q *http.Request) { q.Header.Set("Authorization", "Basic Zmxvd3M6") },
		func(q *http.Request) { q.Header.Set("Authorization", "flows") },
		func(q *http.Request) { q.Header.Set("Authorization", "Bearer") },
		func(q *http.Request) { q.Header.Set("Authorization", "Bearer ") },
		func(q *http.Request) { q.Header.Set("Authorization", "Bearer flows, Bearer flows") },
		func(q *http.Request) { q.Header.Set("Authorization", "Bearer flows\x00") },
		func(q *http.Request) {
			q.Header.Del("Authorization")
			q.AddCookie(&http.Cookie{Name: "key", Value: "flows"})
		},
		func(q *http.Request) { q.Header.Del("Authorization"); q.URL.RawQuery = "access_token=flows&key=flows" },
		func(q *http.Request) { q.Header.Del("Authorization"); q.SetBasicAuth("flows", "flows") },
	} {
		r.fails("/acme/events", "flows", 401, "ADMIN-401-1", change)
	}
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER   "} {
		if a := r.get("/acme/events", "", func(q *http.Request) { q.Header.Set("Authorization", scheme+"flows ") }); a.status != 200 {
			t.Errorf("%q: %d", scheme, a.status)
		}
	}
}

func TestAQueryThatIsNoneIsRefused(t *testing.T) {
	r := newRig(t)
	r.archive.add(uidA, administration(3)...)
	long := strings.Repeat("a", 321)
	for _, query := range []string{
		"action=%ff", "action=a%00", "action=a&action=b", "q=%0d%0aX: y", "q=a&q=b", "q=" + long, "actor=" + long, "actor=a%00b", "ip=nonsense",
		"ip=10.0.0.0/9", "ip=fe80::1%25eth0", "location={", "location=[1]", "location=[]&location=[]", "sortOrder=up", "sortOrder=asc&sortOrder=desc",
		"product=" + strings.Repeat("a,", 21) + "a", "a;b", "a=%zz", "x=" + strings.Repeat("y", 9000),
	} {
		path := "/acme/events?"
		if strings.HasPrefix(query, "sortOrder") {
			path = "/acme/events-stream?"
		}
		r.fails(path+strings.ReplaceAll(query, " ", "%20"), "flows", 400, "ADMIN-400-4")
	}
	if n := len(r.list("/acme/events?pageToken=x&cacheBust=1&%20=&events[]=x", "flows").Data); n != 3 {
		t.Errorf("with unknown names: %d rows", n)
	}
}

func TestNothingOfARequestIsInTheLog(t *testing.T) {
	r := newRig(t)
	const canary = "canary-3f9c"
	for _, key := range []string{"flows", "nonsense-" + canary, "broken"} {
		r.get("/acme/events?q="+canary+"&actor="+canary+"@x.example&ip="+canary, key, func(q *http.Request) { q.Header.Set("User-Agent", canary) })
		r.get("/acme/"+canary, key)
		r.get("/acme/events?cursor="+canary, key)
	}
	if strings.Contains(r.log.String(), canary) {
		t.Error(r.log.String())
	}
}

func TestAPanicAndAStoreThatIsAwayAreAnsweredInTheEnvelope(t *testing.T) {
	r := newRig(t)
	r.fails("/acme/events", "panic", 500, "ADMIN-500-1")
	a := r.fails("/acme/events", "broken", 503, "ADMIN-503-1")
	if a.header.Get("Retry-After") == "" || strings.Contains(string(a.body), "driver") {
		t.Errorf("%v %s", a.header, a.body)
	}
	if strings.Contains(r.log.String(), "a secret") {
		t.Error("the value of a panic is in the log")
	}
	w := httptest.NewRecorder()
	r.h.RefuseHost(w, httptest.NewRequest(http.MethodGet, prefix+"/acme/events", nil))
	if e := (answer{w.Code, w.Header(), w.Body.Bytes()}).envelope(t); w.Code != 403 || e.Code != "ADMIN-403-3" {
		t.Errorf("%d %+v", w.Code, e)
	}
	if last := r.refused[len(r.refused)-1]; last.Reason != "HOST_NOT_ALLOWED" || last.Organization != "acme" {
		t.Errorf("%+v", last)
	}
}

func TestOneOrganizationsKeyNeverSeesAnothersRow(t *testing.T) {
	r := newRig(t)
	mine, others := r.archive.add(uidA, administration(4)...), r.archive.add(uidB, administration(4)...)
	others = append(others, r.archive.add(uidB, signIn(1)...)...)
	owner := map[string]string{}
	for _, e := range mine {
		owner[e.ID] = "acme"
	}
	for _, e := range others {
		owner[e.ID] = "globex"
	}
	cursors := []string{""}
	for _, l := range []list{
		r.list("/acme/events?limit=1", "flows"), r.list("/acme/events-stream?limit=1", "flows"), r.list("/globex/events?limit=1", "other"),
		r.list("/globex/events-stream?limit=1", "other"), r.list("/globex/events-stream?limit=1&sortOrder=desc", "other"),
	} {
		cursors = append(cursors, "?cursor="+*l.Meta.Next)
	}
	queries := slices.Concat(cursors, []string{"?actor=acct-mia", "?q=mia@partner.example", "?ip=198.51.100.7", "?from=0", "?product=wiki", "?q=" + others[len(others)-1].Flow})
	for key, k := range r.keys {
		for _, organization := range []string{"acme", "globex", "nobody"} {
			paths := []string{}
			for _, q := range queries {
				paths = append(paths, "/events"+q, "/events-stream"+q)
			}
			for id := range owner {
				paths = append(paths, "/events/"+id)
			}
			for _, path := range paths {
				a := r.get("/"+organization+path, key)
				allowed := k.Role == apikey.RoleAuditor && map[string]string{uidA: "acme", uidB: "globex"}[k.OrganizationUID] == organization
				if !allowed && a.status == 200 {
					t.Fatalf("%s was let in at %s", key, organization+path)
				}
				for id, o := range owner {
					if o != organization && strings.Contains(string(a.body), id) {
						t.Fatalf("%s shows a row of %s to %s", organization+path, o, key)
					}
				}
			}
		}
	}
}

func TestAConfigurationWithAHoleIsRefused(t *testing.T) {
	if _, err := orgevents.New(orgevents.Config{Prefix: prefix}); err == nil {
		t.Error("nothing but a prefix")
	}
	for _, bad := range []string{"", "admin", "/admin/"} {
		r := newRig(t)
		c := orgevents.Config{
			Prefix: bad, EventsPerMinute: 1, StreamPerMinute: 1, Timeout: 1, Keys: r, Reader: r.archive, Opener: r.archive, Indexer: indexer{}, MAC: mac{},
			OpenRecord: r.open, Record: nil, Now: nil, Log: nil,
		}
		if _, err := orgevents.New(c); err == nil {
			t.Errorf("prefix %q", bad)
		}
	}
}

func TestAnAddressThatIsNoneIsNoLocation(t *testing.T) {
	r := newRig(t)
	for _, ip := range []string{"", "nonsense", "1.2.3", "::1%eth0", "2001:db8::1", "192.0.2.1"} {
		r.archive.add(uidA, audit.Event{Type: audit.TypeSignInSucceeded, Flow: "01a1f978-9437-79a1-9c85-dce7e8e2197e", Step: 2, Personal: audit.Personal{IP: ip}})
	}
	var have []string
	for _, row := range r.list("/acme/events-stream", "flows").Data {
		if row.Attributes.Location == nil {
			have = append(have, "none")
			continue
		}
		have = append(have, row.Attributes.Location.IP)
	}
	if got := strings.Join(have, " "); got != "none none none ::1 2001:db8::1 192.0.2.1" {
		t.Error(got)
	}
}
