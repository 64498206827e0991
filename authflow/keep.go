package authflow

import (
	"context"
	"time"

	"github.com/postern-audit/postern/policy"
)

// writing is a commit with what it points to, and next what is remembered of it: one allocation each.
type (
	writing struct {
		Commit
		flow    FlowWrite
		outcome Outcome
	}
	next struct {
		Loaded
		state State
	}
)

// write commits a move of a flow that exists. What was decided from records of the subject holds only while they stand: they
// are compared in the same commit.
func (f *Flows) write(ctx context.Context, flow *Loaded, subject *SubjectRecords, org *policy.Organization, m *Moved, w *writing) (*Committed, error) {
	n := &next{state: m.State}
	w.OrganizationUID, w.PolicyStamp = n.state.OrganizationUID, org.PolicyStamp
	w.flow = FlowWrite{State: &n.state, From: flow.Stamp, Kept: flow.Kept, EndsMarked: !flow.SupersededBy.IsZero()}
	w.Flow, w.Tallies, w.Events = &w.flow, m.Tallies, m.Events
	f.keep(&w.Commit, subject, m)
	done, err := f.commit(ctx, &w.Commit)
	if err == nil && done.Repeated == nil {
		n.Loaded = Loaded{State: &n.state, Stamp: done.Stamp, Kept: done.Kept, Subject: subject.after(&w.Commit, done)}
		n.subjectKnown = n.sameSubject(flow) || f.subjectOf(&n.Loaded) != nil
		f.known.put(&n.Loaded)
	}
	return done, err
}

// keep adds the subject's records to a commit: what changes is replaced, what was looked at is compared.
func (f *Flows) keep(c *Commit, subject *SubjectRecords, m *Moved) {
	if subject == nil || m.State.Bound == nil {
		return
	}
	person, authenticator := bearing(m.State.Frozen)
	if m.Link != nil && m.Link.By == LinkedNew { // the account is new as long as nothing is kept of it
		person, authenticator = true, true
	}
	if person || m.Person != nil {
		c.Person = &PersonWrite{Subject: subject.Key, From: subject.PersonStamp, Next: m.Person}
		if m.Person != nil {
			c.Person.Until = m.Person.until()
		}
	}
	if authenticator || m.attempted() {
		c.Authenticator = &AuthenticatorWrite{Subject: subject.Key, From: subject.AuthenticatorStamp, Next: m.Authenticator}
	}
}

// after is what is known of the subject once c was committed: nil when the store did not tell a new stamp.
func (s *SubjectRecords) after(c *Commit, done *Committed) *SubjectRecords {
	person, authenticator := c.Person != nil && c.Person.Next != nil, c.Authenticator != nil && c.Authenticator.Next != nil
	if s == nil || !person && !authenticator {
		return s
	}
	next := *s
	if person {
		next.Person, next.PersonStamp = c.Person.Next, done.PersonStamp
	}
	if authenticator {
		next.Authenticator, next.AuthenticatorStamp = c.Authenticator.Next, done.AuthenticatorStamp
	}
	if person && done.PersonStamp.IsZero() || authenticator && done.AuthenticatorStamp.IsZero() {
		return nil
	}
	return &next
}

// until is when nothing of it can count any more.
func (p *Person) until() time.Time {
	last := p.NotBefore
	for i := range p.Proofs {
		last = later(last, p.Proofs[i].At)
	}
	return last.Add(MaxProofAge)
}
