package rediskeys_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/policy"
)

// world is the use cases on a store, with a clock of its own.
type world struct {
	*rig
	keys  *apikey.Keys
	uids  map[string]string
	gone  map[string]string // by the uid of a deleted organization: which one has its id now, unknown to Resolve so far
	now   time.Time
	noted int
}

// directory knows the organizations of a world.
type directory struct {
	policy.Directory
	w *world
}

func (d directory) Resolve(_ context.Context, id string) (string, error) {
	if uid := d.w.uids[id]; uid != "" {
		return uid, nil
	}
	return "", errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
}

// Organization knows of organizations that were deleted elsewhere, which Resolve learns from it.
func (d directory) Organization(_ context.Context, uid string) (*policy.Organization, error) {
	if next, gone := d.w.gone[uid]; gone {
		d.w.uids["acme"] = next
		return nil, errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
	}
	return &policy.Organization{UID: uid}, nil
}

func (d directory) Cached(_ context.Context, uid string) (*policy.Organization, error) {
	return &policy.Organization{UID: uid}, nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := embedded.Open(t.Context(), embedded.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	w := &world{rig: newRig(t, s.Client(-1)), uids: map[string]string{}, now: time.UnixMilli(1_800_000_000_000).UTC()}
	for _, id := range []string{"acme", "globex"} {
		w.uids[id] = w.organization(t, id)
	}
	w.keys = &apikey.Keys{
		Store: w.store, Directory: directory{w: w}, Namer: naming.New(w.sets.Namer()), Sealer: w.keyring,
		NewID:  func() string { return uuid.Must(uuid.NewV7()).String() },
		Random: func(b []byte) { _, _ = rand.Read(b) }, Now: func() time.Time { return w.now },
		Noted: func(string, apikey.ID, time.Time) { w.noted++ },
	}
	return w
}

func (w *world) in(id string) apikey.NewKey {
	return apikey.NewKey{Organization: "acme", DisplayName: "collector", Role: apikey.RoleAuditor, Expires: w.now.Add(time.Hour), RequestID: id}
}

func (w *world) create(t *testing.T, in apikey.NewKey) apikey.Made {
	t.Helper()
	made, err := w.keys.Create(t.Context(), "unix:0", in)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (w *world) good(t *testing.T, token string) *apikey.Key {
	t.Helper()
	k, err := w.keys.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAKeyIsRecognisedUntilItEnds(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, w.in("1"))
	k := w.good(t, made.Token)
	if k.OrganizationUID != w.uids["acme"] || k.ID != made.Key.ID || k.Detail != apikey.DetailFlows || w.noted != 1 {
		t.Errorf("%+v, noted %d", k, w.noted)
	}
	w.now = w.now.Add(time.Hour - 1)
	w.good(t, made.Token)
	w.now = w.now.Add(1)
	if k, err := w.keys.Authenticate(t.Context(), made.Token); !errs.Is(err, "API_KEY_EXPIRED") || k == nil {
		t.Errorf("at its end: %v, %v", k, err)
	}
	other := w.create(t, w.in("2"))
	if _, err := w.keys.Revoke(t.Context(), "unix:0", apikey.Revocation{Organization: "acme", ID: other.Key.ID, RequestID: "3", Reason: "moved"}); err != nil {
		t.Fatal(err)
	}
	if k, err := w.keys.Authenticate(t.Context(), other.Token); !errs.Is(err, "API_KEY_REVOKED") || k == nil {
		t.Errorf("revoked: %v, %v", k, err)
	}
	if w.noted != 2 {
		t.Errorf("%d uses noted", w.noted)
	}
}

func TestATokenThatIsNotOneOfOursTellsNothing(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, w.in("1"))
	token, err := apikey.ParseToken(made.Token)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*apikey.Token){
		"another secret": func(t *apikey.Token) { t.Secret[31]++ }, "another id": func(t *apikey.Token) { t.ID[0]++ },
		"another organization":  func(t *apikey.Token) { t.OrganizationUID = w.uids["globex"] },
		"an organization's end": func(t *apikey.Token) { t.OrganizationUID = uuid.NewString() },
	} {
		other := token
		change(&other)
		text, err := other.Text()
		if err != nil {
			t.Fatal(err)
		}
		k, err := w.keys.Authenticate(t.Context(), text)
		if !errs.Is(err, "API_KEY_INVALID") || k != nil {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
	if k, err := w.keys.Authenticate(t.Context(), "pst_nonsense"); !errs.Is(err, "API_KEY_INVALID") || k != nil {
		t.Errorf("nonsense: %v, %v", k, err)
	}
}

func TestARepeatedCreateAnswersTheSecretUntilItIsUsed(t *testing.T) {
	w := newWorld(t)
	in := w.in("1")
	made := w.create(t, in)
	if again := w.create(t, in); again.Token != made.Token || again.Key.ID != made.Key.ID {
		t.Error("a repeated call was answered otherwise")
	}
	w.now = w.now.Add(2 * time.Hour) // its expiry is in the past by now: the answer is the first one all the same
	if again := w.create(t, in); again.Token != made.Token {
		t.Error("a call that was repeated late was answered otherwise")
	}
	if err := w.store.Used(t.Context(), w.uids["acme"], made.Key.ID, w.now); err != nil {
		t.Fatal(err)
	}
	if again := w.create(t, in); again.Token != "" || again.Key.ID != made.Key.ID {
		t.Error("the secret was answered after its first use")
	}
	other := in
	other.DisplayName = "another"
	if _, err := w.keys.Create(t.Context(), "unix:0", other); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("another request: %v", err)
	}
	if n := len(w.events(t, w.uids["acme"])); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestASecretIsNowhereInClear(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, w.in("1"))
	token, err := apikey.ParseToken(made.Token)
	if err != nil {
		t.Fatal(err)
	}
	dump := w.dump(t)
	for _, e := range w.events(t, w.uids["acme"]) {
		dump += e.Personal.Detail + strings.Join(e.Personal.Items, " ")
		for _, c := range e.Changes {
			dump += c.Before + c.After
		}
	}
	for _, canary := range []string{made.Token, made.Token[4:], made.Token[40:60], string(token.Secret[:8]), hex.EncodeToString(token.Secret[:8])} {
		if strings.Contains(dump, canary) {
			t.Error("a secret is kept in clear")
		}
	}
}

func TestWhatMayNotBeAKeyIsNone(t *testing.T) {
	w := newWorld(t)
	for name, tt := range map[string]struct {
		change func(*apikey.NewKey)
		reason string
	}{
		"now":             {func(n *apikey.NewKey) { n.Expires = w.now }, "FIELD_INVALID"},
		"too long":        {func(n *apikey.NewKey) { n.Expires = w.now.Add(apikey.MaxLifetime + 1) }, "FIELD_INVALID"},
		"never":           {func(n *apikey.NewKey) { n.Expires = time.Time{} }, "FIELD_INVALID"},
		"no role":         {func(n *apikey.NewKey) { n.Role = 0 }, "FIELD_INVALID"},
		"another role":    {func(n *apikey.NewKey) { n.Role = 7 }, "FIELD_INVALID"},
		"no name":         {func(n *apikey.NewKey) { n.DisplayName = "" }, "FIELD_INVALID"},
		"a long name":     {func(n *apikey.NewKey) { n.DisplayName = strings.Repeat("n", 129) }, "FIELD_INVALID"},
		"the reserved":    {func(n *apikey.NewKey) { n.Organization = audit.SystemID }, "ORGANIZATION_RESERVED"},
		"no organization": {func(n *apikey.NewKey) { n.Organization = "nobody" }, "ORGANIZATION_NOT_FOUND"},
	} {
		in := w.in(name)
		tt.change(&in)
		if _, err := w.keys.Create(t.Context(), "unix:0", in); !errs.Is(err, tt.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
	last := w.in("last")
	last.Expires = w.now.Add(apikey.MaxLifetime)
	w.create(t, last)
}

func TestRevokingTwiceIsOneEvent(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, w.in("1"))
	in := apikey.Revocation{Organization: "acme", ID: made.Key.ID, RequestID: "2", Reason: "left"}
	for _, id := range []string{"2", "2", "3"} {
		in.RequestID = id
		k, err := w.keys.Revoke(t.Context(), "unix:0", in)
		if err != nil || k.State(w.now) != apikey.StateRevoked {
			t.Errorf("%+v, %v", k, err)
		}
	}
	events := w.events(t, w.uids["acme"])
	if len(events) != 2 || events[1].Type != audit.TypeKeyRevoked || events[1].Personal.Detail != "left" || events[1].Target.ID != made.Key.ID.String() {
		t.Errorf("%+v", events)
	}
	in.Organization, in.RequestID = "globex", "4"
	if _, err := w.keys.Revoke(t.Context(), "unix:0", in); !errs.Is(err, "API_KEY_NOT_FOUND") {
		t.Errorf("another organization's key: %v", err)
	}
}

func TestEndedKeysAreForgottenAfterTheirTime(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, w.in("1"))
	w.now = made.Key.Expires.Add(apikey.KeepEnded)
	if list, err := w.keys.List(t.Context(), "acme", nil, 10); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	w.now = w.now.Add(time.Second)
	if list, err := w.keys.List(t.Context(), "acme", nil, 10); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := w.keys.Get(t.Context(), "acme", made.Key.ID); !errs.Is(err, "API_KEY_NOT_FOUND") {
		t.Error(err)
	}
	w.create(t, w.in("2"))
	if all, err := w.store.Keys(t.Context(), w.uids["acme"]); err != nil || len(all) != 1 {
		t.Errorf("still stored: %v, %v", all, err)
	}
}

func TestATestEventIsWrittenOnce(t *testing.T) {
	w := newWorld(t)
	in := apikey.TestEvent{Organization: "acme", RequestID: "1", Note: "new collector"}
	id, err := w.keys.Test(t.Context(), "unix:0", in)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.keys.Test(t.Context(), "unix:0", in); err != nil || again != id {
		t.Errorf("%s, %v", again, err)
	}
	events := w.events(t, w.uids["acme"])
	if len(events) != 1 || events[0].ID != id || events[0].Type != audit.TypeLogTested || events[0].Personal.Detail != "new collector" {
		t.Errorf("%+v", events)
	}
}

func TestUsesAreWrittenOnceAMinute(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, w.in("1"))
	uid, id := w.uids["acme"], made.Key.ID
	uses := apikey.NewUses(w.store, slog.New(slog.DiscardHandler), func(err error) { t.Error(err) })
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { uses.Note(uid, id, w.now) })
	}
	all.Wait()
	uses.Note(uid, id, w.now.Add(59*time.Second))
	uses.Stop()
	if k, err := w.keys.Get(t.Context(), "acme", id); err != nil || !k.Used.Equal(w.now) {
		t.Errorf("%v, %v", k.Used, err)
	}
	again := apikey.NewUses(w.store, slog.New(slog.DiscardHandler), func(err error) { t.Error(err) })
	again.Note(uid, id, w.now)
	again.Note(uid, id, w.now.Add(time.Minute))
	again.Note(uid, apikey.ID{9}, w.now) // a key that is not there does no harm
	again.Stop()
	if k, err := w.keys.Get(t.Context(), "acme", id); err != nil || !k.Used.Equal(w.now.Add(time.Minute)) {
		t.Errorf("%v, %v", k.Used, err)
	}
}

func TestKeysOfAnIdThatWasGivenAwayAgainAreThoseOfTheNewOrganization(t *testing.T) {
	for name, do := range map[string]func(w *world, old apikey.Made) (uid string, err error){
		"making one": func(w *world, _ apikey.Made) (string, error) {
			made, err := w.keys.Create(t.Context(), "unix:0", w.in("second"))
			return made.Key.OrganizationUID, err
		},
		"listing": func(w *world, _ apikey.Made) (string, error) {
			list, err := w.keys.List(t.Context(), "acme", nil, 10)
			if len(list) > 0 {
				return list[0].OrganizationUID, err
			}
			return w.uids["acme"], err
		},
		"revoking": func(w *world, old apikey.Made) (string, error) {
			_, err := w.keys.Revoke(t.Context(), "unix:0", apikey.Revocation{Organization: "acme", ID: old.Key.ID, RequestID: "r"})
			if errs.Is(err, "API_KEY_NOT_FOUND") {
				return w.uids["acme"], nil
			}
			return old.Key.OrganizationUID, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			old := w.create(t, w.in("first"))
			w.gone = map[string]string{old.Key.OrganizationUID: w.organization(t, "acme2")}
			if uid, err := do(w, old); err != nil || uid != w.gone[old.Key.OrganizationUID] {
				t.Errorf("it was about %s, %v", uid, err)
			}
		})
	}
}
