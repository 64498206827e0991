package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// Who vouches for somebody, and how they are called there: as secret as their account.
const (
	theirIssuer  = "https://accounts.nobody-elses-business.example"
	theirSubject = "subject-that-only-the-provider-knows"
	theirSeed    = "a seed that states and nonces are made of"
)

// linkApart leaves out what a store alone can know.
var linkApart = cmpopts.IgnoreFields(authflow.Link{}, "Stored")

// link is one of an identity and an account that no other test has, with something in every field.
func link(h *Harness) authflow.Link {
	return authflow.Link{
		Identity: random32(), AccountID: somebody, AccountKey: subjectKey(), Issuer: theirIssuer, SubjectID: theirSubject, Email: theirMail,
		ConnectionUID: newID(), Linked: instant(h), By: authflow.LinkedByProof, Flow: newID(),
	}
}

// linking adds to a commit that next takes the place of was, which is nil when there is no link.
func linking(c *authflow.Commit, was *authflow.Link, next authflow.Link) *authflow.Commit {
	c.Link = &authflow.LinkWrite{Identity: next.Identity, Next: &next, Account: next.AccountKey}
	if was != nil {
		c.Link.From = was.Stored
	}
	return c
}

// unlinking adds to a commit that a link goes.
func unlinking(c *authflow.Commit, was *authflow.Link) *authflow.Commit {
	c.Link = &authflow.LinkWrite{Identity: was.Identity, From: was.Stored, Remove: true, Account: was.AccountKey}
	return c
}

// looking adds to a commit that a link is as it was.
func looking(c *authflow.Commit, was *authflow.Link) *authflow.Commit {
	c.Link = &authflow.LinkWrite{Identity: was.Identity, From: was.Stored}
	return c
}

// apart is a commit without a flow that does nothing but record an event, yet.
func apart(h *Harness, o *policy.Organization) *authflow.Commit {
	e := audit.Event{ID: newID(), Type: audit.TypeAccessDenied, Time: h.Now(), Organization: o.ID, OrganizationUID: o.UID}
	return &authflow.Commit{OrganizationUID: o.UID, PolicyStamp: o.PolicyStamp, Key: random32(), Request: random32(), OwnKey: true,
		Outcome: &authflow.Outcome{Sealed: []byte{7}}, Events: []audit.Event{e}}
}

// inFlow is the next step of a flow that has just begun.
func inFlow(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
	t.Helper()
	return stepped(h, o, must(t, h.Store, opened(t, h, o)))
}

// linkOf is what an identity is linked to, nil for nothing.
func linkOf(t *testing.T, s authflow.Store, o *policy.Organization, identity authflow.IdentityKey) *authflow.Link {
	t.Helper()
	return read(t, s, authflow.Read{OrganizationUID: o.UID, Identity: identity}).Link
}

// joined is an identity that is linked, as it is read.
func joined(t *testing.T, h *Harness, o *policy.Organization, l authflow.Link) *authflow.Link {
	t.Helper()
	must(t, h.Store, linking(apart(h, o), nil, l))
	got := linkOf(t, h.Store, o, l.Identity)
	if got == nil || got.Stored == "" {
		t.Fatalf("a link that was made is read as %+v", got)
	}
	return got
}

// linkKinds are all kinds of commits with a link.
var linkKinds = map[string]func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit{
	"first use": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		return linking(inFlow(t, h, o), nil, link(h))
	},
	"address followed": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		was := joined(t, h, o, link(h))
		next := *was
		next.Email = "ada.lovelace@guest.example.org"
		return linking(inFlow(t, h, o), was, next)
	},
	"another account": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		was := joined(t, h, o, link(h))
		next := link(h)
		next.Identity = was.Identity
		return linking(apart(h, o), was, next)
	},
	"step that only looked": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		return looking(inFlow(t, h, o), joined(t, h, o, link(h)))
	},
	"step that found none": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		return looking(inFlow(t, h, o), &authflow.Link{Identity: random32()})
	},
	"unlinking": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		return unlinking(apart(h, o), joined(t, h, o, link(h)))
	},
	"together with everything else": func(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
		_, c := superseding(t, h, o)
		c.Session = &authflow.SessionWrite{Handle: random32(), IsNew: true, Session: authflow.Session{Flow: c.Flow.State.ID, SiteUID: siteUID,
			Started: h.Now(), Expires: h.Now().Add(time.Hour)}}
		c.Tallies = append(c.Tallies, authflow.Tally{SiteUID: newID(), Site: "tracker", Hour: c.Tallies[0].Hour, Field: "opened"})
		c.Claims = append(c.Claims, authflow.Claim{Kind: "assertion", Name: newID(), Value: c.Flow.State.ID.String(), Until: h.Now().Add(time.Hour)})
		about(h, c, &authflow.SubjectRecords{Key: subjectKey()}, true, true)
		return linking(c, nil, link(h))
	},
}
