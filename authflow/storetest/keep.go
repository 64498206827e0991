package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/policy"
)

// Somebody whom no store may know by name, and things that no store may keep as they are.
const (
	somebody   = "acct-who-is-nobody-elses-business"
	theirMail  = "ada@guest.example.org"
	sealedOnce = "ciphertext of a secret, as it comes"
)

// subjectKey is a key that no other test has: records of a subject are the partition's, by their key.
func subjectKey() policy.AccountKey {
	r := random32()
	return policy.AccountKey(r[:16])
}

func instant(h *Harness) time.Time { return h.Now().UTC().Truncate(time.Nanosecond) }

// enrolled is an authenticator with something in every field.
func enrolled(h *Harness) *factor.Authenticator {
	at := instant(h)
	c := factor.Credential{
		UID: newID(), Sealed: []byte(sealedOnce), Algorithm: factor.SHA256, Digits: 8, Period: time.Minute, Enrolled: at, By: "unix:0",
		Flow: newID(), After: factor.Basis{Method: "social", Connection: newID(), Evidence: audit.EvidenceVerified}, Confirmed: at.Add(time.Second),
	}
	next := factor.Credential{UID: newID(), Sealed: []byte{0, 255, 1}, Algorithm: factor.SHA1, Digits: 6, Period: 30 * time.Second, Enrolled: at, By: "help"}
	return &factor.Authenticator{
		State: factor.Active, AccountID: somebody, Active: c, Pending: next, LastStep: 58000001, Failures: 4, Locks: 2, LockUntil: at.Add(time.Minute),
		Recovery: []factor.Hash{{1}, {2}}, RecoveryUsed: []factor.Hash{{3}}, RecoveryIssued: 3, RecoveryMade: at.Add(-time.Hour),
	}
}

// remembered is a person with something in every field.
func remembered(h *Harness) *authflow.Person {
	at := instant(h)
	return &authflow.Person{NotBefore: at.Add(-time.Hour), Proofs: []policy.Proof{
		{Method: "sso", Connection: "okta", ConnectionUID: newID(), Device: [16]byte{7}, At: at, Evidence: audit.EvidenceVerified,
			PartnerAMR: []string{"pwd", "otp"}, PartnerACR: "urn:example:mfa", Flow: newID(), Step: 3, SiteUID: siteUID},
		{Factor: "TOTP", At: at.Add(time.Millisecond), Evidence: audit.EvidenceAsserted, UserVerified: true, Flow: newID(), Step: 4, SiteUID: siteUID},
	}}
}

// kept is a commit that writes both records of a subject and nothing else but its event.
func kept(h *Harness, o *policy.Organization, was *authflow.SubjectRecords) *authflow.Commit {
	p := remembered(h)
	e := audit.Event{ID: newID(), Type: audit.TypeAccessDenied, Time: h.Now(), Organization: o.ID, OrganizationUID: o.UID}
	return &authflow.Commit{
		OrganizationUID: o.UID, PolicyStamp: o.PolicyStamp, Key: random32(), Request: random32(), OwnKey: true, Outcome: &authflow.Outcome{Sealed: []byte{1, 2, 0, 255}},
		Authenticator: &authflow.AuthenticatorWrite{Subject: was.Key, From: was.AuthenticatorStamp, Next: enrolled(h)},
		Person:        &authflow.PersonWrite{Subject: was.Key, From: was.PersonStamp, Next: p, Until: h.Now().Add(time.Hour)},
		Events:        []audit.Event{e},
	}
}

// keep commits and returns the subject as it now is.
func keep(t *testing.T, s authflow.Store, c *authflow.Commit) *authflow.SubjectRecords {
	t.Helper()
	done, err := s.Commit(t.Context(), c)
	if err != nil || done.Repeated != nil {
		t.Fatalf("%+v, %v", done, err)
	}
	out := &authflow.SubjectRecords{}
	if w := c.Authenticator; w != nil {
		out.Key, out.Authenticator, out.AuthenticatorStamp = w.Subject, w.Next, done.AuthenticatorStamp
		if w.Next == nil != done.AuthenticatorStamp.IsZero() {
			t.Fatalf("an authenticator's new stamp is %x", done.AuthenticatorStamp)
		}
	}
	if w := c.Person; w != nil {
		out.Key, out.Person, out.PersonStamp = w.Subject, w.Next, done.PersonStamp
		if w.Next == nil != done.PersonStamp.IsZero() {
			t.Fatalf("a person's new stamp is %x", done.PersonStamp)
		}
	}
	return out
}

// fresh is a subject that both records are kept of.
func fresh(t *testing.T, h *Harness, o *policy.Organization) *authflow.SubjectRecords {
	t.Helper()
	return keep(t, h.Store, kept(h, o, &authflow.SubjectRecords{Key: subjectKey()}))
}

func subject(t *testing.T, s authflow.Store, o *policy.Organization, key policy.AccountKey) *authflow.SubjectRecords {
	t.Helper()
	got := read(t, s, authflow.Read{OrganizationUID: o.UID, Subject: &key}).Subject
	if got == nil || got.Key != key {
		t.Fatalf("asked for %x: %+v", key, got)
	}
	return got
}

// about adds both records of a subject to a step of a flow, each replaced or only compared.
func about(h *Harness, c *authflow.Commit, was *authflow.SubjectRecords, authenticator, person bool) *authflow.Commit {
	c.Authenticator = &authflow.AuthenticatorWrite{Subject: was.Key, From: was.AuthenticatorStamp}
	c.Person = &authflow.PersonWrite{Subject: was.Key, From: was.PersonStamp}
	if authenticator {
		c.Authenticator.Next = enrolled(h)
	}
	if person {
		c.Person.Next, c.Person.Until = remembered(h), h.Now().Add(time.Hour)
	}
	return c
}

// subjectKinds are all kinds of commits with records of a subject.
var subjectKinds = map[string]func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit{
	"enrolment": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		return kept(h, o, &authflow.SubjectRecords{Key: subjectKey()})
	},
	"step with an attempt": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		return about(h, stepped(h, o, must(t, h.Store, opened(t, h, o))), fresh(t, h, o), true, true)
	},
	"step that only looked": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		return about(h, stepped(h, o, must(t, h.Store, opened(t, h, o))), fresh(t, h, o), false, false)
	},
	"step that is remembered": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		c := about(h, stepped(h, o, must(t, h.Store, opened(t, h, o))), fresh(t, h, o), false, true)
		c.Authenticator = nil
		return c
	},
	"mending": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		c := kept(h, o, fresh(t, h, o))
		c.Person = nil
		return c
	},
}

// refused makes a commit that must be refused, with a conflict as wanted, and leave everything as it is.
func refused(t *testing.T, h *Harness, name string, c *authflow.Commit, want func(*authflow.Conflict) bool) {
	t.Helper()
	before := h.Dump(t)
	var conflict *authflow.Conflict
	if _, err := h.Second.Commit(t.Context(), c); !errors.As(err, &conflict) || !want(conflict) {
		t.Errorf("%s: %v: %+v", name, err, conflict)
	}
	if after := h.Dump(t); after != before {
		t.Errorf("%s: something was written\nbefore\n%s\nafter\n%s", name, before, after)
	}
}
