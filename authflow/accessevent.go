package authflow

import (
	"context"
	"slices"

	"github.com/postern-audit/postern/audit"
)

// begin begins the event of a use.
func (c *checking) begin(t audit.Type) audit.Event {
	e := audit.Event{
		ID: c.f.c.NewID(), Type: t, Time: c.now, Organization: c.org.ID, OrganizationUID: c.org.UID, Site: c.site.ID, SiteUID: c.site.UID,
		Caller: c.who.Principal, Outcome: audit.OutcomeOf(t), Evidence: audit.EvidenceVerified, Client: c.in.Context.Client,
		Session: hexHandle(c.handle), Checks: []string{"session_recorded"},
	}
	if ip := c.in.Context.IP; ip.IsValid() {
		e.Personal.IP = ip.String()
	}
	e.Personal.UserAgent, e.Personal.DeviceID = c.in.Context.UserAgent, c.in.Context.DeviceID
	return e
}

// event is the event of a use of a known session or token, with what was decided.
func (c *checking) event(d *audit.Decision) audit.Event {
	s := c.session
	allowed := d.Verdict == audit.VerdictAllow
	t := audit.TypeSessionRejected
	switch token := s.Kind == KindOfToken; {
	case token && allowed:
		t = audit.TypeTokenUsed
	case token:
		t = audit.TypeTokenBlocked
	case allowed:
		t = audit.TypeSessionReused
	}
	e := c.begin(t)
	e.Method, e.Flow, e.Class, e.SubjectKind = s.method(), s.Flow.String(), d.Class, s.Subject.Kind
	e.Reason, e.Decision, e.Revision, e.AgainstVerdict = d.Reason, d, d.PolicyRevision, s.AgainstVerdict
	if t == audit.TypeSessionReused {
		e.AuthenticatedAt = s.Authenticated
	}
	s.Subject.personal(&e.Personal)
	return e
}

// use is what later alike uses are folded into. What the organization says of its events is noted now: when they are written the site
// may be gone.
func (c *checking) use(e audit.Event) *use {
	if !c.recorded(e.Class) {
		return nil
	}
	c.org.Marks(&e)
	return &use{event: e, key: useKey{organization: c.org.UID, site: c.site.UID, handle: c.handle, typ: e.Type, reason: e.Reason,
		ip: c.in.Context.IP, client: c.in.Context.Client}}
}

// recorded reports whether uses of the session are on the record: its flow is, or its subject is of a class that is.
func (c *checking) recorded(class audit.Class) bool {
	return c.session.Recorded || class == audit.ClassExternal || slices.Contains(c.org.Policy.RecordClasses, class)
}

// record writes the event of a use that is news: the first one, and a change of address or verdict. Others are folded. What
// was decided stands only while the policy and the session are as they were read.
func (c *checking) record(ctx context.Context, f *found) error {
	s := *c.session
	if f.use == nil {
		return nil
	}
	ip := [16]byte{}
	if c.in.Context.IP.IsValid() {
		ip = c.f.named("address", c.org.UID, c.in.Context.IP.Unmap().String())
	}
	if !s.LastUse.IsZero() && s.LastIP == ip && s.LastVerdict == f.answer.Verdict {
		c.f.uses.add(f.use, c.now)
		return nil
	}
	s.LastUse, s.LastIP, s.LastVerdict = c.now, ip, f.answer.Verdict
	_, err := c.f.commit(ctx, &Commit{OrganizationUID: c.org.UID, PolicyStamp: c.org.PolicyStamp,
		Session: &SessionWrite{Handle: c.handle, Session: s, From: c.session.Stored}, Events: []audit.Event{f.event}})
	return err
}
