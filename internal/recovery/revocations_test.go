package recovery_test

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/authflow/verify/vault"
	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/policy"
)

// desk is the help desk of the process that runs.
func (w *world) desk() *authflow.Authenticators {
	w.t.Helper()
	v := vault.New(w.keyring, w.sets.Namer())
	a, err := authflow.NewAuthenticators(authflow.AuthenticatorsConfig{Flows: w.flows, Subjects: w.live, Secrets: v, Verifier: v, Bounds: w.directory})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) enrol(accounts ...string) {
	w.t.Helper()
	in := authflow.ImportInput{Organization: "acme", RequestID: newID(), Reason: "moved"}
	for _, a := range accounts {
		in.Rows = append(in.Rows, authflow.ImportRow{AccountID: a, Secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", Algorithm: factor.SHA1, Digits: 6, Period: 30 * time.Second})
	}
	if done, err := w.desk().Import(w.t.Context(), caller, in); err != nil || done.Imported != len(accounts) {
		w.t.Fatalf("%+v, %v", done, err)
	}
}

func (w *world) key(o *policy.Organization, account string) policy.AccountKey {
	return naming.New(w.sets.Namer()).AccountKey(o.UID, account)
}

func (w *world) reset(o *policy.Organization, account string) {
	w.t.Helper()
	if _, err := w.desk().Reset(w.t.Context(), caller, authflow.MendInput{Organization: "acme", RequestID: newID(), Subject: w.key(o, account), Reason: "a lost phone"}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) revoke(in authflow.RevokeInput) {
	w.t.Helper()
	in.Organization, in.RequestID, in.Reason = "acme", newID(), "a lost phone"
	if _, err := w.desk().RevokeProofs(w.t.Context(), caller, in); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) subject(o *policy.Organization, account string) *authflow.SubjectRecords {
	w.t.Helper()
	key := w.key(o, account)
	got, err := w.live.Read(w.t.Context(), authflow.Read{OrganizationUID: o.UID, Subject: &key})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.Subject
}

// session records that a session or token began, or ended.
func (w *world) session(in authflow.SessionInput, handle string) {
	w.t.Helper()
	in.Organization, in.Site, in.RequestID, in.Handle = "acme", "wiki", newID(), []byte(handle)
	if _, err := w.flows.RecordSession(w.t.Context(), caller, in); err != nil {
		w.t.Fatal(err)
	}
}

func TestWhatWasTakenAwayDoesNotComeBackWithAnOlderStore(t *testing.T) {
	w := newWorld(t)
	o := w.apply("organization: acme\ndisplay_name: Acme\nsites: [{id: wiki}, {id: tracker}]\n")
	w.enrol("stolen", "enrolled again", "kept")
	proof := policy.Proof{Factor: audit.FactorTOTP, At: time.Now().Add(-time.Hour), Evidence: audit.EvidenceVerified}
	for _, account := range []string{"revoked", "kept"} {
		_, err := w.live.Commit(t.Context(), &authflow.Commit{OrganizationUID: o.UID, Person: &authflow.PersonWrite{
			Subject: w.key(o, account), Next: &authflow.Person{Proofs: []policy.Proof{proof}}, Until: time.Now().Add(time.Hour)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	flow := w.open("ada@guest.example.org")
	for _, handle := range []string{"ended", "token", "live"} {
		w.session(authflow.SessionInput{Flow: flow, Event: authflow.SessionStarted, Kind: map[bool]string{true: authflow.KindOfToken}[handle == "token"]}, handle)
	}
	w.reset(o, "enrolled again")
	w.enrol("enrolled again")
	w.save()
	w.reset(o, "stolen")
	w.revoke(authflow.RevokeInput{AccountID: "revoked"})
	w.revoke(authflow.RevokeInput{Site: "tracker"})
	w.revoke(authflow.RevokeInput{Whole: true})
	w.session(authflow.SessionInput{Event: authflow.SessionEnded, EndCause: authflow.EndRevoked}, "ended")
	w.session(authflow.SessionInput{Event: authflow.SessionEnded, EndCause: authflow.EndRevoked, Kind: authflow.KindOfToken}, "token")
	w.flush()
	want, err := w.directory.Organization(t.Context(), o.UID)
	if err != nil {
		t.Fatal(err)
	}
	report := w.killed()
	if report.Revoked != 6 {
		t.Errorf("%+v", report)
	}
	for account, usable := range map[string]bool{"stolen": false, "enrolled again": true, "kept": true} {
		if a := w.subject(o, account).Authenticator; a.Usable() != usable {
			t.Errorf("%s: %+v", account, a)
		}
	}
	if p := w.subject(o, "revoked").Person; p == nil || len(p.Proofs) != 0 || time.Since(p.NotBefore) > time.Minute {
		t.Errorf("a revoked proof: %+v", p)
	}
	if p := w.subject(o, "kept").Person; p == nil || len(p.Proofs) != 1 {
		t.Errorf("a proof that nobody revoked: %+v", p)
	}
	got, err := w.directory.Organization(t.Context(), o.UID)
	if err != nil {
		t.Fatal(err)
	}
	if !got.ProofsNotBefore.Equal(want.ProofsNotBefore) || len(got.Sites) != 2 || got.Revision <= want.Revision {
		t.Errorf("bound %v, want %v; revision %d after %d", got.ProofsNotBefore, want.ProofsNotBefore, got.Revision, want.Revision)
	}
	for i := range got.Sites {
		if !got.Sites[i].ProofsNotBefore.Equal(want.Sites[i].ProofsNotBefore) {
			t.Errorf("bound of %s: %v, want %v", got.Sites[i].ID, got.Sites[i].ProofsNotBefore, want.Sites[i].ProofsNotBefore)
		}
	}
	for handle, live := range map[string]bool{"ended": false, "token": false, "live": true} {
		r, err := w.live.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Session: naming.New(w.sets.Namer()).SessionHandle(o.UID, []byte(handle))})
		if err != nil || r.Session == nil || r.Session.Ended.IsZero() != live || !live && r.Session.EndCause != authflow.EndRevoked {
			t.Errorf("%s: %+v, %v", handle, r.Session, err)
		}
	}
	w.save()
	if again := w.killed(); again.Revoked != 0 {
		t.Errorf("a second time: %+v", again)
	}
}
