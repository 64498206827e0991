package recovery_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/naming"
)

// programs are the use cases around API keys of the process that runs.
func (w *world) programs() *apikey.Keys {
	return &apikey.Keys{Store: w.apiKeys, Directory: w.directory, Namer: naming.New(w.sets.Namer()), Sealer: w.keyring, NewID: newID, Now: time.Now,
		Random: func(b []byte) { _, _ = rand.Read(b) }, Noted: func(string, apikey.ID, time.Time) {}}
}

func (w *world) newAPIKey() apikey.Made {
	w.t.Helper()
	made, err := w.programs().Create(w.t.Context(), "test", apikey.NewKey{
		Organization: "acme", DisplayName: "poller", Role: apikey.RoleAuditor, Expires: time.Now().Add(time.Hour), RequestID: newID()})
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

func TestAKeyThatWasRevokedIsNotGoodAgainWithAnOlderStore(t *testing.T) {
	w := newWorld(t)
	w.apply("organization: acme\ndisplay_name: Acme\nsites: [{id: wiki}]\n")
	kept, stolen := w.newAPIKey(), w.newAPIKey()
	w.save()
	lost := w.newAPIKey()
	for _, id := range []apikey.ID{stolen.Key.ID, lost.Key.ID} {
		if _, err := w.programs().Revoke(t.Context(), "test", apikey.Revocation{Organization: "acme", ID: id, RequestID: newID()}); err != nil {
			t.Fatal(err)
		}
	}
	w.flush()
	if report := w.killed(); report.Revoked != 1 {
		t.Errorf("%+v", report)
	}
	for token, reason := range map[string]string{kept.Token: "", stolen.Token: "API_KEY_REVOKED", lost.Token: "API_KEY_INVALID"} {
		if _, err := w.programs().Authenticate(t.Context(), token); (err == nil) != (reason == "") || err != nil && !errs.Is(err, reason) {
			t.Errorf("want %q: %v", reason, err)
		}
	}
	w.save()
	if again := w.killed(); again.Revoked != 0 {
		t.Errorf("a second time: %+v", again)
	}
}

func TestADestroyedKeyDoesNotComeBackWithAnOlderStore(t *testing.T) {
	w := newWorld(t)
	w.apply("organization: acme\ndisplay_name: Acme\nsites: [{id: wiki}]\n")
	w.flush()
	w.save()
	uid, err := w.directory.Resolve(t.Context(), "acme")
	if err == nil {
		err = w.archive.Forget(t.Context(), uid)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.killed()
	if o, err := w.directory.Organization(t.Context(), uid); err != nil || !o.Key.Destroyed() {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := w.keyring.SealBytes(uid, "record", []byte("x")); !errs.Is(err, "KEY_DESTROYED") {
		t.Errorf("sealing: %v", err)
	}
}
