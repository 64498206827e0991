package authflow

import (
	"slices"

	"github.com/postern-audit/postern/audit"
)

// event begins the next event of the flow.
func (r *run) event(id string, t audit.Type) *audit.Event {
	s := &r.s
	r.made = &[1]audit.Event{{
		ID: id, Type: t, Time: r.at, Organization: s.Organization, OrganizationUID: s.OrganizationUID, Site: s.Site, SiteUID: s.SiteUID,
		Flow: s.ID.String(), Step: len(s.Steps) + 1, SupportCode: s.SupportCode, CorrelationID: s.CorrelationID, Caller: r.caller,
		Class: s.Class, Provisional: s.Bound == nil, Outcome: audit.OutcomeOf(t), Late: r.late(), Client: r.ctx.Client,
		SubjectKind: s.Claimed.Kind,
	}}
	e := &r.made[0]
	r.marks(e)
	if s.Bound != nil {
		e.SubjectKind = s.Bound.Kind
	}
	if r.ctx.IP.IsValid() {
		e.Personal.IP = r.ctx.IP.String()
	}
	e.Personal.UserAgent, e.Personal.DeviceID = r.ctx.UserAgent, r.ctx.DeviceID
	return e
}

// marks writes on an event what the organization says of its events. What is kept of people only ever becomes less within a flow, so
// that a site that was removed meanwhile still counts.
func (r *run) marks(e *audit.Event) {
	if n := len(r.s.Steps); n > 0 {
		e.Privacy, e.Region = r.s.Steps[n-1].Event.Privacy, r.s.Steps[n-1].Event.Region
	}
	if r.in.Organization != nil {
		r.in.Organization.Marks(e)
	}
}

// reported begins the event of the reported step; who it is about is added by what the step does.
func (r *run) reported() *audit.Event {
	rep := r.in.Step
	e := r.event(r.in.IDs.Step, rep.Type)
	_, e.Method = family(rep.Type)
	if rep.Method != "" {
		e.Method = rep.Method
	}
	if c := connection(r.in.Organization, rep.Connection); c != nil {
		e.Connection, e.ConnectionUID = c.ID, c.UID
	}
	e.Factor, e.Reason, e.Evidence = rep.Factor, rep.Reason, rep.Evidence
	e.Checks = slices.Clone(rep.Checks)
	e.AuthenticatedAt, e.IdentifierHash, e.UserVerified = rep.AuthenticatedAt, rep.IdentifierHash, rep.UserVerified
	e.Personal.Detail, e.Personal.AMR, e.Personal.ACR = rep.Detail, slices.Clone(rep.AMR), rep.ACR
	e.Personal.DisplayName = rep.Subject.DisplayName
	e.Session, e.Expectations, e.SessionExpires = rep.Session, rep.Expectations, rep.SessionEnds
	e.Personal.Issuer, e.Personal.SubjectID = rep.Issuer, rep.SubjectID
	if a := rep.Attempt; a != nil {
		e.Authenticator = a.Next.Active.UID
		if a.Outcome.Accepted {
			e.Enrolment = enrolmentOf(&a.Next.Active)
		}
	}
	return e
}

// append makes e the flow's next step.
func (r *run) append(e *audit.Event) { r.s.Steps = append(r.s.Steps, Step{Event: e}) }

// claim adds who the person claims to be.
func (r *run) claim(p *audit.Personal) {
	c := &r.s.Claimed
	p.TypedAddress, p.ClaimedAccountID = c.Address.String(), c.AccountID
	if p.DisplayName == "" && r.s.Bound == nil {
		p.DisplayName = c.DisplayName
	}
}

// person adds who is bound; nothing while nobody is.
func (r *run) person(p *audit.Personal) {
	b := r.s.Bound
	if b == nil {
		return
	}
	p.AccountID = b.AccountID
	if !b.Email.IsZero() {
		verified := b.EmailVerified
		p.Email, p.EmailVerified = b.Email.String(), &verified
	}
	if p.DisplayName == "" && b.Step >= 1 && b.Step <= len(r.s.Steps) {
		p.DisplayName = r.s.Steps[b.Step-1].Event.Personal.DisplayName
	}
}

// about adds whom a step that proved nothing is about: what it claims itself, else the bound subject, else the claimed one.
func (r *run) about(p *audit.Personal) {
	sub, b := &r.in.Step.Subject, r.s.Bound
	switch {
	case b != nil && (sub.AccountID == "" || sub.AccountID == b.AccountID):
		r.person(p)
		p.TypedAddress = sub.Address.String()
	case b != nil:
		r.person(p)
		p.PresentedAccountID, p.TypedAddress = sub.AccountID, sub.Address.String()
	case sub.AccountID == "" && sub.Address.IsZero():
		r.claim(p)
	default:
		p.ClaimedAccountID, p.TypedAddress = sub.AccountID, sub.Address.String()
	}
}
