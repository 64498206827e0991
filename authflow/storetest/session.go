package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// storedApart leaves out what a store alone can know.
var storedApart = cmpopts.IgnoreFields(authflow.Session{}, "Stored")

// whole is a commit of a session with something in every field.
func whole(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
	t.Helper()
	c := kinds["session"](t, h, o)
	c.Claims = nil
	s := &c.Session.Session
	at := instant(h)
	s.SubjectKey, s.Verdict, s.Recorded, s.AgainstVerdict = subjectKey(), audit.VerdictDeny, true, true
	s.Started, s.Expires, s.Authenticated, s.LastUse = at, at.Add(time.Hour), at.Add(-time.Minute), at.Add(time.Second)
	s.Kind, s.LastIP, s.LastVerdict = "TOKEN", [16]byte{9}, audit.VerdictAllow
	s.Subject = authflow.SessionSubject{AccountID: somebody, Email: address(t, theirMail), EmailVerified: true, Kind: audit.SubjectApp, Class: audit.ClassExternal}
	s.Shown = remembered(h).Proofs
	return c
}

func session(t *testing.T, s authflow.Store, o *policy.Organization, handle [32]byte) *authflow.Session {
	t.Helper()
	return read(t, s, authflow.Read{OrganizationUID: o.UID, Session: handle}).Session
}

// replaced is a commit that writes next in the place of was.
func replaced(o *policy.Organization, handle [32]byte, was *authflow.Session, next authflow.Session) *authflow.Commit {
	return &authflow.Commit{OrganizationUID: o.UID, Key: random32(), Request: random32(), OwnKey: true, Outcome: &authflow.Outcome{Flow: was.Flow},
		Session: &authflow.SessionWrite{Handle: handle, Session: next, From: was.Stored}}
}

var sessionCases = map[string]func(*testing.T, *Harness){
	"a session comes back as it was committed, of its organization alone": func(t *testing.T, h *Harness) {
		o, other := h.Organization(t, "acme"), h.Organization(t, "zeta")
		bare := kinds["session"](t, h, o)
		bare.Session.Session.Started, bare.Session.Session.Expires = instant(h), instant(h).Add(time.Minute)
		for name, c := range map[string]*authflow.Commit{"whole": whole(t, h, o), "bare": bare} {
			must(t, h.Store, c)
			for process, s := range map[string]authflow.Store{"same": h.Store, "other": h.Second} {
				got := session(t, s, o, c.Session.Handle)
				if d := cmp.Diff(&c.Session.Session, got, same, storedApart); d != "" || got.Stored == "" {
					t.Errorf("%s, %s process (-committed +read):\n%s", name, process, d)
				}
			}
			if session(t, h.Store, other, c.Session.Handle) != nil {
				t.Errorf("%s: read through another organization", name)
			}
		}
	},
	"a handle is taken once": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := whole(t, h, o)
		must(t, h.Store, c)
		again := whole(t, h, o)
		again.Session.Handle = c.Session.Handle
		refused(t, h, "a second session under one handle", again, func(f *authflow.Conflict) bool { return f.SessionTaken })
	},
	"a session is replaced only as it was read": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := whole(t, h, o)
		must(t, h.Store, c)
		was := session(t, h.Store, o, c.Session.Handle)
		used := *was
		used.LastUse = used.LastUse.Add(time.Hour)
		must(t, h.Store, replaced(o, c.Session.Handle, was, used))
		ended := *was
		ended.Ended, ended.EndCause = instant(h), "REVOKED"
		refused(t, h, "one that was used since", replaced(o, c.Session.Handle, was, ended), func(f *authflow.Conflict) bool { return f.SessionTaken })
		now := session(t, h.Second, o, c.Session.Handle)
		ended.LastUse = now.LastUse
		must(t, h.Second, replaced(o, c.Session.Handle, now, ended))
		if got := session(t, h.Store, o, c.Session.Handle); got.EndCause != "REVOKED" || !got.LastUse.Equal(used.LastUse) || got.Ended.IsZero() {
			t.Errorf("%+v", got)
		}
	},
	"a session that is gone is not replaced": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := whole(t, h, o)
		must(t, h.Store, c)
		was := session(t, h.Store, o, c.Session.Handle)
		refused(t, h, "under another handle", replaced(o, random32(), was, *was), func(f *authflow.Conflict) bool { return f.SessionTaken })
	},
	"what is replaced has to be told": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := whole(t, h, o)
		must(t, h.Store, c)
		was := session(t, h.Store, o, c.Session.Handle)
		blind := replaced(o, c.Session.Handle, was, *was)
		blind.Session.From = ""
		if _, err := h.Store.Commit(t.Context(), blind); errs.KindOf(err) != errs.Internal || !errs.Is(err, "SESSION_FROM") {
			t.Errorf("%v", err)
		}
	},
	"what is sealed in one session opens in no other": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := whole(t, h, o)
		must(t, h.Store, c)
		stolen := random32()
		h.CopySession(t, o.UID, c.Session.Handle, stolen)
		if got, err := h.Store.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Session: stolen}); err == nil {
			t.Errorf("a copied record was read: %+v", got.Session)
		}
	},
}
