package redisstore

import "github.com/postern-audit/postern/authflow"

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
