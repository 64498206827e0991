package redisstore

import (
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// Touched names every key that a commit writes or compares.
func (s *Store) Touched(c *authflow.Commit) []string {
	space, uid := s.keys.Of(c.OrganizationUID), c.OrganizationUID
	names := []string{space.Organization(uid), space.Outbox()}
	if w := c.Flow; w != nil {
		names = append(names, space.Flow(w.State.ID.String()))
		if deadline, _ := flowTimes(w); deadline != 0 {
			names = append(names, space.Deadlines())
		}
	}
	if c.OwnKey {
		names = append(names, space.Once(c.Key))
	}
	if c.Last != nil {
		names = append(names, space.Last(s.lastName(uid, c.Last.Key)))
		if !c.Last.Expect.IsZero() {
			names = append(names, space.Flow(c.Last.Expect.String()))
		}
	}
	if c.Session != nil {
		names = append(names, space.Session(c.Session.Handle))
	}
	if w := c.Authenticator; w != nil {
		names = append(names, space.Authenticator(w.Subject))
		if w.From.IsZero() && w.Next != nil {
			names = append(names, space.Authenticators(uid))
		}
	}
	if c.Person != nil {
		names = append(names, space.Person(c.Person.Subject))
	}
	if w := c.Link; w != nil {
		names = append(names, space.Identity(w.Identity))
		if w.Next != nil || w.Remove {
			names = append(names, space.Identities(uid))
		}
	}
	for i := range c.Claims {
		names = append(names, s.claimKey(space, uid, &c.Claims[i]))
	}
	if len(c.Tallies) > 0 {
		names = append(names, space.Tallies())
	}
	for _, t := range c.Tallies {
		names = append(names, space.Tally(uid, t.SiteUID, t.Hour))
	}
	return names
}

// FlowKey names a flow's hash.
func (s *Store) FlowKey(organizationUID, id string) string {
	return s.keys.Of(organizationUID).Flow(id)
}

// PersonKey names what is remembered of a subject.
func (s *Store) PersonKey(organizationUID string, key policy.AccountKey) string {
	return s.keys.Of(organizationUID).Person(key)
}

// SessionKey names a session.
func (s *Store) SessionKey(organizationUID string, handle [32]byte) string {
	return s.keys.Of(organizationUID).Session(handle)
}

// IdentityKey names the link of an identity.
func (s *Store) IdentityKey(organizationUID string, key authflow.IdentityKey) string {
	return s.keys.Of(organizationUID).Identity(key)
}

// AuthenticatorKey names the authenticator of a subject.
func (s *Store) AuthenticatorKey(organizationUID string, key policy.AccountKey) string {
	return s.keys.Of(organizationUID).Authenticator(key)
}
