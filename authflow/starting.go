package authflow

import (
	"context"
	"errors"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// maxCodes is how many support codes in a row may be taken before something is wrong with their making.
const maxCodes = 5

// starting is one StartFlow.
type starting struct {
	f       *Flows
	who     Caller
	in      StartInput
	org     *policy.Organization
	site    *policy.Site
	key     CommitKey
	digest  Digest
	claimed policy.LookupKeys
	binder  policy.LookupKeys // of the first step that proves somebody
	records [2]policy.Records // of claimed and binder
	last    FlowID            // the flow this one takes the place of
	subject *SubjectRecords   // of binder's account
	handle  [32]byte          // of the session that is said to be reused
	session *Session          // of handle; nil: there is none
	joined  bool              // handle was looked up
	arrival *arrival          // a response nobody asked for; nil: none
	made    *State            // as this call committed it
}

func (s *starting) run(ctx context.Context) (Answer, error) {
	s.claimed = s.f.lookup(s.org.UID, &s.in.Subject)
	if err := s.prepare(); err != nil {
		return Answer{}, err
	}
	code, codes := s.f.c.NewCode(), 1
	readAgain := true
	for lost := (races{}); ; {
		for readAgain {
			first, err := s.read(ctx)
			if err != nil {
				return Answer{}, err
			}
			if first != nil {
				return s.f.answer(*first, s.org, true), nil
			}
			readAgain = s.joins() || s.owned()
		}
		moved, err := s.advance(code)
		if err != nil {
			return Answer{}, err
		}
		a, err := s.commit(ctx, &moved)
		var conflict *Conflict
		if !errors.As(err, &conflict) {
			return a, err
		}
		if conflict.Claimed != nil && conflict.Claimed.Kind == claimEvidence {
			s.arrival.replayed = true
			continue
		}
		if conflict.Claimed != nil {
			if codes++; codes > maxCodes {
				return Answer{}, errs.Wrap(err, errs.Internal, "SUPPORT_CODE_TAKEN", "internal error")
			}
			code = s.f.c.NewCode()
		}
		if conflict.Organization == nil && !conflict.LastMoved && conflict.Subject == nil && conflict.Claimed != nil {
			continue // nothing but the code was in the way
		}
		if lost.tooMany(conflict, false) {
			return Answer{}, refuse(ErrConflict)
		}
		if readAgain, err = s.lost(conflict); err != nil {
			return Answer{}, err
		}
	}
}

// read asks for everything in one trip: the first answer to this request id, the policy, directory records of the claimed
// and the proven subject, and the flow this one takes the place of.
func (s *starting) read(ctx context.Context) (*Outcome, error) {
	r := Read{OrganizationUID: s.org.UID, Key: s.key, Request: s.digest, Organization: true, Last: s.lastKey()}
	at := [2]int{-1, -1}
	for i, k := range [2]policy.LookupKeys{s.claimed, s.binder} {
		switch {
		case k == policy.LookupKeys{}:
		case i == 1 && k == s.claimed:
			at[1] = at[0]
		default:
			at[i] = len(r.Lookups)
			r.Lookups = append(r.Lookups, k)
		}
	}
	if s.binder.Account != (policy.AccountKey{}) {
		r.Subject = &s.binder.Account
	}
	if !s.joined {
		r.Session = s.handle
	}
	if s.arrival != nil && !s.arrival.linkRead {
		r.Identity = s.arrival.identity
	}
	reading, err := s.f.read(ctx, r)
	if err != nil {
		return nil, err
	}
	err = s.organization(reading.Organization)
	if reading.Outcome != nil {
		return reading.Outcome, nil // the first answer stands, whatever has become of the site since
	}
	if err != nil {
		return nil, err
	}
	for i, n := range at {
		if n >= 0 && n < len(reading.Records) {
			s.records[i] = reading.Records[n]
		}
	}
	s.last, s.subject = reading.Last, reading.Subject
	if r.Subject != nil && s.subject == nil {
		s.subject = &SubjectRecords{Key: s.binder.Account}
	}
	if !s.joined {
		s.session = reading.Session
	}
	if r.Identity != (IdentityKey{}) {
		s.arrival.link = reading.Link
	}
	return nil, nil //nolint:nilnil // a new request
}

// organization takes a newer policy record; the site must still be in it.
func (s *starting) organization(org *policy.Organization) error {
	if org == nil {
		return nil
	}
	site := siteByUID(org, s.site.UID)
	if site == nil {
		return refuse(ErrSiteNotFound)
	}
	if err := site.InRegion(s.f.c.Region); err != nil {
		return err
	}
	s.org, s.site = org, site
	if s.arrival != nil && s.arrival.stale(org) {
		return errJudgeAgain
	}
	return nil
}

// lastKey is where the supersession index keeps this person's last flow: nil without a device or without a claimed subject.
func (s *starting) lastKey() *LastKey {
	subject := s.claimed.Account
	if s.in.Subject.AccountID == "" {
		subject = s.claimed.Address
	}
	if s.in.Context.DeviceID == "" || s.in.Subject.AccountID == "" && s.in.Subject.Address.IsZero() {
		return nil
	}
	return &LastKey{SiteUID: s.site.UID, Subject: subject, DeviceID: s.in.Context.DeviceID}
}

// advance runs the whole input through the machine: the start, its steps and its finish, until the flow has ended.
func (s *starting) advance(code string) (Moved, error) {
	f, in := s.f, &s.in
	id, err := ParseFlowID(f.c.NewID())
	if err != nil {
		return Moved{}, errs.Wrap(err, errs.Internal, "FLOW_ID_INVALID", "internal error")
	}
	now := f.c.Now()
	opening := &Opening{Flow: id, SupportCode: code, CorrelationID: in.CorrelationID, Context: in.Context, Lifetime: in.Lifetime,
		MinLifetime: f.c.MinLifetime, OccurredAt: in.OccurredAt, Claimed: Claimed{
			AccountID: in.Subject.AccountID, Address: in.Subject.Address, IdentifierHash: f.identifier(s.org.UID, &in.Subject),
			DisplayName: in.Subject.DisplayName, Kind: in.Subject.Kind, Records: s.records[0]}}
	inputs := make([]Input, 0, len(in.Steps)+2)
	inputs = append(inputs, Input{Kind: KindStart, Start: opening})
	for i := range in.Steps {
		inputs = append(inputs, Input{Kind: KindStep, Step: f.reported(s.org.UID, in.Steps[i], s.join(&in.Steps[i]), now, s.binder, s.records[1])})
	}
	if s.arrival != nil {
		opening.InitiatedBy = audit.InitiatedByIDP
		inputs = append(inputs, s.arrival.inputs(s.binder, s.records[1], now)...)
	}
	if in.Finish != nil {
		inputs = append(inputs, Input{Kind: KindFinish, Finish: in.Finish})
	}
	var all Moved
	subject := s.subject
	for _, next := range inputs {
		next.Organization, next.Site, next.Caller, next.Claimed = s.org, s.site, s.who.Principal, s.claimed
		next.IDs = IDs{Step: f.c.NewID(), Ending: f.c.NewID(), Link: f.c.NewID()}
		next.Subject, next.Device = subject, f.device(s.org.UID)
		m, err := Advance(all.State, next, now)
		if err != nil {
			return Moved{}, err
		}
		m.Events, m.Tallies = slices.Concat(all.Events, m.Events), slices.Concat(all.Tallies, m.Tallies)
		if m.Person == nil {
			m.Person = all.Person
		}
		if m.Link == nil {
			m.Link = all.Link
		}
		subject = subject.remembering(m.Person)
		if all = m; m.State.Phase == PhaseEnded {
			break
		}
	}
	return all, nil
}

// commit writes the flow, its code, and the mark on the flow whose place it takes.
func (s *starting) commit(ctx context.Context, m *Moved) (Answer, error) {
	st, o := m.State, m.outcome()
	c := &Commit{OrganizationUID: st.OrganizationUID, PolicyStamp: s.org.PolicyStamp, Key: s.key, Request: s.digest, Outcome: &o, OwnKey: true,
		Flow: &FlowWrite{State: &st}, Tallies: m.Tallies, Events: m.Events,
		Claims: []Claim{{Kind: "code", Name: st.SupportCode, Value: st.ID.String(), Until: st.Deadline.Add(MaxPast)}}}
	s.f.keep(c, s.subject, m)
	if s.arrival != nil {
		c.Claims = append(c.Claims, s.arrival.uses(s.key)...)
		c.Link = s.f.linkWrite(s.org.UID, s.arrival.identity, s.arrival.link, m)
	}
	marks := FlowID{}
	if key := s.lastKey(); key != nil && !st.Late {
		c.Last = &LastWrite{Key: *key, Expect: s.last, Next: st.ID, Until: st.Deadline}
		marks = s.last
	}
	done, err := s.f.commit(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	if done.Repeated != nil {
		return s.f.answer(*done.Repeated, s.org, true), nil
	}
	s.made = &st
	known := &Loaded{State: &st, Stamp: done.Stamp, Kept: done.Kept}
	if st.Bound != nil {
		known.Subject = s.subject.after(c, done)
		known.subjectKnown = s.f.subjectOf(known) != nil
	}
	s.f.known.put(known)
	if !marks.IsZero() {
		s.f.known.drop(marks)
		s.f.handOver(DueFlow{OrganizationUID: st.OrganizationUID, Flow: marks})
	}
	return s.f.answer(o, s.org, false), nil
}

// lost takes what a conflict carries. The index is not in it: that needs another look.
func (s *starting) lost(conflict *Conflict) (readAgain bool, err error) {
	if err := s.organization(conflict.Organization); err != nil {
		return false, err
	}
	if conflict.Subject != nil {
		s.subject = conflict.Subject
	}
	if conflict.LinkMoved && s.arrival != nil {
		s.arrival.linkRead = false
	}
	return conflict.LastMoved || conflict.LinkMoved, nil
}
