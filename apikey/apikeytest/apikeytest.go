// Package apikeytest is what every apikey.Store has to pass.
//
// Purpose: one suite for stores, run on each of them. Invariant: every case has a store of its own, and speaks through the contract
// alone. It must never know which store it runs on. First file to read: this one.
package apikeytest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Harness is a store with a look behind it.
type Harness struct {
	Store  apikey.Store
	Second apikey.Store // another process on the same data
	// Organization makes an organization and returns its uid.
	Organization func(t *testing.T, id string) string
	// Events returns what waits in an organization's outbox, opened.
	Events func(t *testing.T, uid string) []audit.Event
	// Dump returns everything stored, for a search for what must not be there.
	Dump func(t *testing.T) string
}

// Run runs the suite.
func Run(t *testing.T, open func(t *testing.T) *Harness) {
	t.Helper()
	for name, f := range map[string]func(*testing.T, *Harness){
		"a key is read as it was written":                readBack,
		"a repeated call writes nothing":                 repeated,
		"a request id is good for one request":           reused,
		"of two changes of one version one counts":       raced,
		"an id is given once":                            taken,
		"a new secret goes with use, revocation, time":   secrets,
		"there is a bound, and ended keys make room":     bounded,
		"organizations are apart":                        apart,
		"an event alone is written":                      eventAlone,
		"a use of a key that is not there leaves naught": usedNothing,
	} {
		t.Run(name, func(t *testing.T) { f(t, open(t)) })
	}
}

var began = time.UnixMilli(1_800_000_000_123).UTC()

func event(uid string, kind audit.Type) audit.Event {
	return audit.Event{
		ID: uuid.Must(uuid.NewV7()).String(), Type: kind, Time: began, Organization: "acme", OrganizationUID: uid, Caller: "unix:0",
		Outcome: audit.OutcomeOf(kind),
	}
}

func request(n byte) policy.ApplyKey {
	return policy.ApplyKey{Key: [32]byte{n}, Digest: [32]byte{n, n}}
}

// create is a change that makes a key.
func create(uid string, n byte) apikey.Change {
	return apikey.Change{
		OrganizationUID: uid, Event: event(uid, audit.TypeKeyCreated), Request: request(n), Secret: []byte{n, 0, 0xff},
		After: &apikey.Key{
			OrganizationUID: uid, ID: apikey.ID{n}, DisplayName: "collector", Role: apikey.RoleAuditor, Detail: apikey.DetailSteps, Sandbox: true, Created: began,
			Expires: began.Add(time.Hour), Creator: "unix:0", Hash: [32]byte{n, 7},
		},
	}
}

func commit(t *testing.T, s apikey.Store, c apikey.Change) string {
	t.Helper()
	first, err := s.Commit(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return first
}

func must(t *testing.T, h *Harness, uid string, id apikey.ID) apikey.Key {
	t.Helper()
	k, err := h.Second.Key(t.Context(), uid, id)
	if err != nil {
		t.Fatal(err)
	}
	return *k
}

func types(t *testing.T, h *Harness, uid string) []audit.Type {
	t.Helper()
	var out []audit.Type
	for _, e := range h.Events(t, uid) {
		out = append(out, e.Type)
	}
	return out
}

func readBack(t *testing.T, h *Harness) {
	uid := h.Organization(t, "acme")
	c := create(uid, 1)
	if first := commit(t, h.Store, c); first != "" {
		t.Fatalf("new, and answered %q", first)
	}
	got := must(t, h, uid, apikey.ID{1})
	if got.Version == "" {
		t.Error("no version")
	}
	want := *c.After
	want.Version = got.Version
	if got != want {
		t.Errorf("have %+v\nwant %+v", got, want)
	}
	if have := types(t, h, uid); !slices.Equal(have, []audit.Type{audit.TypeKeyCreated}) {
		t.Errorf("events %v", have)
	}
	if err := h.Store.Used(t.Context(), uid, apikey.ID{1}, began.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := h.Store.Used(t.Context(), uid, apikey.ID{1}, began); err != nil { // an older one that came late
		t.Fatal(err)
	}
	all, err := h.Second.Keys(t.Context(), uid)
	if err != nil || len(all) != 1 || !all[0].Used.Equal(began.Add(time.Minute)) {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := h.Store.Key(t.Context(), uid, apikey.ID{2}); !errs.Is(err, "API_KEY_NOT_FOUND") {
		t.Errorf("a key that is not there: %v", err)
	}
}

func repeated(t *testing.T, h *Harness) {
	uid := h.Organization(t, "acme")
	commit(t, h.Store, create(uid, 1))
	again := create(uid, 1)
	again.After.ID, again.After.Hash = apikey.ID{9}, [32]byte{9} // minted anew, for the same request
	if first := commit(t, h.Second, again); first != (apikey.ID{1}).String() {
		t.Errorf("answered %q", first)
	}
	if all, err := h.Store.Keys(t.Context(), uid); err != nil || len(all) != 1 || all[0].ID != (apikey.ID{1}) {
		t.Errorf("%+v, %v", all, err)
	}
	if n := len(h.Events(t, uid)); n != 1 {
		t.Errorf("%d events", n)
	}
	if first, err := h.Second.Answered(t.Context(), uid, request(1)); err != nil || first != (apikey.ID{1}).String() {
		t.Errorf("%q, %v", first, err)
	}
	if first, err := h.Second.Answered(t.Context(), uid, request(2)); err != nil || first != "" {
		t.Errorf("%q, %v", first, err)
	}
}

func reused(t *testing.T, h *Harness) {
	uid := h.Organization(t, "acme")
	commit(t, h.Store, create(uid, 1))
	other := create(uid, 2)
	other.Request.Key = request(1).Key
	if _, err := h.Store.Commit(t.Context(), other); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("Commit: %v", err)
	}
	if _, err := h.Store.Answered(t.Context(), uid, other.Request); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("Answered: %v", err)
	}
	if n := len(h.Events(t, uid)); n != 1 {
		t.Errorf("%d events", n)
	}
}

func revoke(uid string, n byte, before *apikey.Key) apikey.Change {
	after := *before
	after.Revoked = began.Add(time.Minute)
	return apikey.Change{OrganizationUID: uid, Before: before, After: &after, Event: event(uid, audit.TypeKeyRevoked), Request: request(n)}
}

func raced(t *testing.T, h *Harness) {
	uid := h.Organization(t, "acme")
	commit(t, h.Store, create(uid, 1))
	before := must(t, h, uid, apikey.ID{1})
	const racers = 8
	failed := make([]error, racers)
	var all sync.WaitGroup
	for i := range racers {
		all.Go(func() {
			s := h.Store
			if i%2 == 1 {
				s = h.Second
			}
			_, failed[i] = s.Commit(t.Context(), revoke(uid, byte(10+i), &before))
		})
	}
	all.Wait()
	won := 0
	for _, err := range failed {
		if err == nil {
			won++
		} else if errs.KindOf(err) != errs.Conflict {
			t.Error(err)
		}
	}
	if n := len(h.Events(t, uid)); won != 1 || n != 2 {
		t.Errorf("%d won, %d events", won, n)
	}
	if k := must(t, h, uid, apikey.ID{1}); k.State(began) != apikey.StateRevoked {
		t.Errorf("%+v", k)
	}
}

func taken(t *testing.T, h *Harness) {
	uid := h.Organization(t, "acme")
	commit(t, h.Store, create(uid, 1))
	other := create(uid, 1)
	other.Request = request(2)
	if _, err := h.Store.Commit(t.Context(), other); errs.KindOf(err) != errs.Conflict {
		t.Error(err)
	}
}

func secrets(t *testing.T, h *Harness) {
	uid := h.Organization(t, "acme")
	secret := func(n byte) []byte {
		t.Helper()
		b, err := h.Second.Secret(t.Context(), uid, apikey.ID{n})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	commit(t, h.Store, create(uid, 1))
	commit(t, h.Store, create(uid, 2))
	if !slices.Equal(secret(1), []byte{1, 0, 0xff}) || secret(3) != nil {
		t.Errorf("%x, %x", secret(1), secret(3))
	}
	if err := h.Store.Used(t.Context(), uid, apikey.ID{1}, began); err != nil {
		t.Fatal(err)
	}
	before := must(t, h, uid, apikey.ID{2})
	commit(t, h.Store, revoke(uid, 3, &before))
	if secret(1) != nil || secret(2) != nil {
		t.Errorf("kept after use %x, after revocation %x", secret(1), secret(2))
	}
}

func bounded(t *testing.T, h *Harness) {
	uid := h.Organization(t, "acme")
	for i := range apikey.MaxKeys {
		c := create(uid, 1)
		c.After.ID = apikey.ID{1, byte(i)}
		c.Request = policy.ApplyKey{Key: [32]byte{1, byte(i)}}
		commit(t, h.Store, c)
	}
	one := create(uid, 2)
	if _, err := h.Store.Commit(t.Context(), one); !errs.Is(err, "API_KEY_LIMIT") {
		t.Fatalf("one too many: %v", err)
	}
	if err := h.Store.Used(t.Context(), uid, apikey.ID{1, 7}, began); err != nil {
		t.Fatal(err)
	}
	one.Drop = []apikey.ID{{1, 7}, {1, 8}}
	commit(t, h.Store, one)
	all, err := h.Store.Keys(t.Context(), uid)
	if err != nil || len(all) != apikey.MaxKeys-1 {
		t.Errorf("%d keys, %v", len(all), err)
	}
	if !slices.IsSortedFunc(all, func(a, b apikey.Key) int { return slices.Compare(a.ID[:], b.ID[:]) }) {
		t.Error("not in the order of their ids")
	}
	if _, err := h.Store.Key(t.Context(), uid, apikey.ID{1, 7}); !errs.Is(err, "API_KEY_NOT_FOUND") {
		t.Errorf("a key that was forgotten: %v", err)
	}
}

func apart(t *testing.T, h *Harness) {
	a, b := h.Organization(t, "acme"), h.Organization(t, "globex")
	commit(t, h.Store, create(a, 1))
	if _, err := h.Store.Key(t.Context(), b, apikey.ID{1}); !errs.Is(err, "API_KEY_NOT_FOUND") {
		t.Errorf("another organization's key: %v", err)
	}
	if all, err := h.Store.Keys(t.Context(), b); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	wrong := create(a, 2)
	wrong.Event.OrganizationUID = b
	if _, err := h.Store.Commit(t.Context(), wrong); err == nil {
		t.Error("an event of another organization was written")
	}
}

func eventAlone(t *testing.T, h *Harness) {
	uid := h.Organization(t, "acme")
	c := apikey.Change{OrganizationUID: uid, Event: event(uid, audit.TypeLogTested), Request: request(1)}
	if first := commit(t, h.Store, c); first != "" {
		t.Errorf("answered %q", first)
	}
	again := c
	again.Event = event(uid, audit.TypeLogTested)
	if first := commit(t, h.Store, again); first != c.Event.ID {
		t.Errorf("answered %q", first)
	}
	if have := types(t, h, uid); !slices.Equal(have, []audit.Type{audit.TypeLogTested}) {
		t.Errorf("events %v", have)
	}
	if all, err := h.Store.Keys(t.Context(), uid); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func usedNothing(t *testing.T, h *Harness) {
	uid := h.Organization(t, "acme")
	before := h.Dump(t)
	if err := h.Store.Used(t.Context(), uid, apikey.ID{1}, began); err != nil {
		t.Fatal(err)
	}
	if after := h.Dump(t); after != before {
		t.Errorf("left behind: %s", fmt.Sprint(len(after)-len(before)))
	}
}
