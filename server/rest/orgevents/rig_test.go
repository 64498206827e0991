package orgevents_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/interceptor"
	"github.com/postern-audit/postern/server/rest/orgevents"
)

const (
	prefix = "/admin/v1/orgs"
	public = "https://audit.example.com"
	uidA   = "01a1f976-b9f5-7b27-9dd0-b6273a8d3ee0"
	uidB   = "01a1f976-b9f5-7b27-9dd0-b6273a8d3ee1"
)

var noon = time.Date(2026, 11, 20, 12, 0, 30, 0, time.UTC)

// rig is the API on an archive in memory, with a clock of its own.
type rig struct {
	t       *testing.T
	h       *orgevents.Handler
	archive *archive
	keys    map[string]*apikey.Key
	reading sync.Mutex
	reads   []orgevents.Read
	refused []interceptor.Refusal
	log     bytes.Buffer
	now     time.Time
	limit   int
}

func (r *rig) read(f orgevents.Read) {
	r.reading.Lock()
	defer r.reading.Unlock()
	r.reads = append(r.reads, f)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, archive: &archive{}, now: noon, limit: 10000, keys: map[string]*apikey.Key{
		"flows": {OrganizationUID: uidA, ID: apikey.ID{1}, Role: apikey.RoleAuditor, Detail: apikey.DetailFlows},
		"steps": {OrganizationUID: uidA, ID: apikey.ID{2}, Role: apikey.RoleAuditor, Detail: apikey.DetailSteps},
		"other": {OrganizationUID: uidB, ID: apikey.ID{3}, Role: apikey.RoleAuditor, Detail: apikey.DetailSteps},
		"weak":  {OrganizationUID: uidA, ID: apikey.ID{4}},
	}}
	r.restart()
	return r
}

// restart is another process on the same archive and keysets.
func (r *rig) restart() {
	r.t.Helper()
	var err error
	r.h, err = orgevents.New(orgevents.Config{
		Prefix: prefix, PublicURL: public, EventsPerMinute: r.limit, StreamPerMinute: r.limit, Timeout: time.Minute, Keys: r, Reader: r.archive,
		Opener: r.archive, Indexer: indexer{}, MAC: mac{}, OpenRecord: r.open, Now: func() time.Time { return r.now },
		Log:    slog.New(slog.NewJSONHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Record: func(_ context.Context, f interceptor.Refusal) error { r.refused = append(r.refused, f); return nil },
		Read:   r.read,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) Authenticate(_ context.Context, token string) (*apikey.Key, error) {
	switch token {
	case "expired":
		return r.keys["flows"], errs.New(errs.Unauthenticated, "API_KEY_EXPIRED", "the API key has expired")
	case "panic":
		panic("a secret " + token)
	case "broken":
		return nil, errs.Wrap(fmt.Errorf("driver text"), errs.Unavailable, "NOT_RECORDED", "away")
	}
	if k := r.keys[token]; k != nil {
		return k, nil
	}
	return nil, errs.New(errs.Unauthenticated, "API_KEY_INVALID", "the bearer token is no API key of this installation")
}

func (r *rig) open(_ context.Context, organization string) (string, error) {
	uid, ok := map[string]string{"acme": uidA, "globex": uidB}[organization]
	if !ok {
		return "", errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
	}
	return uid, nil
}

type mac struct{}

func (mac) Name(purpose string, parts ...[]byte) [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s", len(purpose), purpose)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

type indexer struct{}

func (indexer) Indexes(uid string, purpose audit.Purpose, value string) ([]audit.Index, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", uid, purpose, value))
	return []audit.Index{{Purpose: purpose, Value: append([]byte{1}, sum[:16]...)}}, nil
}

// archive is a record in memory.
type archive struct {
	mu     sync.Mutex
	events []audit.Event
	last   map[string]int64
	fail   error
	trips  int
}

// add archives events: each gets the next sequence number, and is recorded a second after the one before.
func (a *archive) add(uid string, events ...audit.Event) []audit.Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last == nil {
		a.last = map[string]int64{}
	}
	for i := range events {
		e := &events[i]
		a.last[uid]++
		e.OrganizationUID, e.Sequence = uid, a.last[uid]
		if e.Organization = "acme"; uid == uidB {
			e.Organization = "globex"
		}
		if e.ID == "" {
			e.ID = uuid.Must(uuid.NewV7()).String()
		}
		if e.RecordedTime.IsZero() {
			e.RecordedTime = noon.Add(time.Duration(e.Sequence)*time.Second - time.Hour)
		}
		if e.Time.IsZero() {
			e.Time = e.RecordedTime.Add(-100 * time.Millisecond)
		}
		e.Outcome = audit.OutcomeOf(e.Type)
		x := indexer{}
		put := func(p audit.Purpose, v string) {
			if found, err := x.Indexes(uid, p, audit.IndexValue(p, v)); err == nil && v != "" {
				e.Indexes = append(e.Indexes, found...)
			}
		}
		put(audit.IndexAccount, e.Personal.AccountID)
		put(audit.IndexEmail, e.Personal.Email)
		if ip, err := netip.ParseAddr(e.Personal.IP); err == nil {
			for _, term := range audit.NetworkIndexes(ip) {
				put(term.Purpose, term.Value)
			}
		}
		a.events = append(a.events, *e)
	}
	return events
}

func (a *archive) Open(*audit.Event) error { return nil }

func (a *archive) Event(_ context.Context, uid, id string) (audit.Event, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		if e.OrganizationUID == uid && e.ID == id {
			return e, nil
		}
	}
	return audit.Event{}, errs.New(errs.NotFound, "EVENT_NOT_FOUND", "the organization has no such event in its archive")
}

func (a *archive) Position(_ context.Context, uid string) (int64, time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last[uid], time.Time{}, a.fail
}

func (a *archive) Events(_ context.Context, q audit.Query) ([]audit.Event, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trips++
	var out []audit.Event
	for _, e := range a.events {
		if e.OrganizationUID == q.OrganizationUID && matches(&e, &q) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(x, y audit.Event) int {
		if q.Descending {
			x, y = y, x
		}
		return cmp.Compare(x.Sequence, y.Sequence)
	})
	return out[:min(len(out), q.Limit)], a.fail
}

func matches(e *audit.Event, q *audit.Query) bool {
	has := func(want []audit.Index) bool {
		return len(want) == 0 || slices.ContainsFunc(want, func(w audit.Index) bool {
			return slices.ContainsFunc(e.Indexes, func(x audit.Index) bool { return x.Purpose == w.Purpose && bytes.Equal(x.Value, w.Value) })
		})
	}
	one := func(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }
	switch {
	case !q.Descending && e.Sequence <= q.After, q.Descending && q.After > 0 && e.Sequence >= q.After,
		!q.Start.IsZero() && e.Time.Before(q.Start), !q.End.IsZero() && !e.Time.Before(q.End):
		return false
	}
	return (!q.NoSandbox || !e.Sandbox) && has(q.Subjects) && has(q.Networks) && one(q.Types, string(e.Type)) && one(q.Sites, e.Site) && one(q.Flows, e.Flow)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get asks for a path below the prefix, with a key; an empty one sends none.
func (r *rig) get(path, key string, change ...func(*http.Request)) answer {
	r.t.Helper()
	q := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8470"+prefix+path, nil)
	if key != "" {
		q.Header.Set("Authorization", "Bearer "+key)
	}
	for _, f := range change {
		f(q)
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, q)
	a := answer{w.Code, w.Header(), w.Body.Bytes()}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		r.t.Errorf("%s: content type %q", path, got)
	}
	if !json.Valid(a.body) {
		r.t.Errorf("%s: %s", path, a.body)
	}
	if a.status >= 400 {
		a.envelope(r.t)
	}
	return a
}

// fails asks, and wants this refusal.
func (r *rig) fails(path, key string, status int, code string, change ...func(*http.Request)) answer {
	r.t.Helper()
	a := r.get(path, key, change...)
	if e := a.envelope(r.t); a.status != status || e.Code != code {
		r.t.Errorf("%.80s: %d %s", path, a.status, a.body)
	}
	return a
}

type envelopeItem struct{ ID, Status, Code, Title, Detail string }

// envelope reads the one error of an answer.
func (a answer) envelope(t *testing.T) envelopeItem {
	t.Helper()
	var e struct{ Errors []envelopeItem }
	if err := json.Unmarshal(a.body, &e); err != nil || len(e.Errors) != 1 || e.Errors[0].ID == "" || e.Errors[0].Title == "" ||
		e.Errors[0].Status != fmt.Sprint(a.status) {
		t.Fatalf("%d is no errors envelope: %s", a.status, a.body)
	}
	return e.Errors[0]
}

// list is a page, read as a poller reads it.
type list struct {
	Data []struct {
		Type, ID   string
		Attributes struct {
			Time, ProcessedAt, Action string
			Actor                     struct{ ID, Name, Email string }
			Context, Container        []struct {
				ID, Type   string
				Attributes map[string]any
			}
			Location *struct{ IP string }
		}
		Links   struct{ Self string }
		Message struct{ Content, Format string }
	}
	Links struct{ Self, Next string }
	Meta  struct {
		Next            *string
		PageSize, Total int
	}
}

// list asks for a page and reads it.
func (r *rig) list(path, key string) list {
	r.t.Helper()
	return r.page(r.get(path, key))
}

// page reads an answer as a page.
func (r *rig) page(a answer) list {
	r.t.Helper()
	var l list
	if err := json.Unmarshal(a.body, &l); err != nil || a.status != http.StatusOK {
		r.t.Fatalf("%d %s, %v", a.status, a.body, err)
	}
	return l
}

// all follows cursors to the end and returns the ids in order.
func (r *rig) all(path, query, key string) []string {
	r.t.Helper()
	var ids []string
	l := r.list(path+query, key)
	for range 1000 {
		for i := range l.Data {
			ids = append(ids, l.Data[i].ID)
		}
		if l.Meta.Next == nil {
			return ids
		}
		l = r.list(path+"?cursor="+*l.Meta.Next, key)
	}
	r.t.Fatalf("%s has no end", path)
	return nil
}

func idsOf(events []audit.Event) []string {
	out := make([]string, len(events))
	for i := range events {
		out[i] = events[i].ID
	}
	return out
}

// signIn is the events of one sign-in with this many wrong codes.
func signIn(wrong int) []audit.Event {
	flow := uuid.Must(uuid.NewV7()).String()
	person := audit.Personal{AccountID: "acct-mia", Email: "mia@partner.example", IP: "198.51.100.7"}
	kinds := []audit.Type{audit.TypeSignInStarted, audit.TypePasswordVerified}
	for range wrong {
		kinds = append(kinds, audit.TypeMFARejected)
	}
	kinds = append(kinds, audit.TypeMFAVerified, audit.TypeSignInSucceeded)
	var out []audit.Event
	var steps []audit.StepSummary
	for i, kind := range kinds {
		e := audit.Event{Type: kind, Flow: flow, Step: i + 1, Site: "wiki", SiteUID: "site-uid", Personal: person, ID: uuid.Must(uuid.NewV7()).String()}
		if kind == audit.TypeSignInSucceeded {
			e.Steps, e.Ending = steps, audit.EndingSucceeded
		}
		steps = append(steps, audit.StepSummary{Step: i + 1, Event: e.ID, Type: kind, Time: noon})
		out = append(out, e)
	}
	return out
}

// administration is so many changes of policy.
func administration(n int) []audit.Event {
	out := make([]audit.Event, n)
	for i := range out {
		out[i] = audit.Event{Type: audit.TypePolicyUpdated, Caller: "unix:0", Target: &audit.Target{Type: "policy", ID: "acme"},
			Changes: []audit.Change{{Field: "default", Before: "a", After: "b"}}}
	}
	return out
}
