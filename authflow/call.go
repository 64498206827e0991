package authflow

import (
	"context"
	"errors"
	"time"

	"github.com/postern-audit/postern/policy"
)

// How many lost races in a row end a call. Codes of one subject meet in its authenticator, whatever flows they belong to; it
// moves at most as often as a lock takes guesses, and then stands still.
const (
	maxConflicts        = 3
	maxSubjectConflicts = 16
)

// call is one call on a flow that exists.
type call struct {
	f       *Flows
	who     Caller
	uid     string
	flow    FlowID
	key     CommitKey
	digest  Digest
	org     *policy.Organization
	proves  bool              // the input may prove something, which is then remembered
	only    bool              // what it records cannot be found out again: it does not give up for others that came first
	binder  policy.LookupKeys // of the step's subject, when the step may bind
	records policy.Records    // of binder, once read
	subject *SubjectRecords   // of binder's account, once read
	looked  bool              // records were read
	handle  [32]byte          // of the session that is said to be reused
	session *Session          // of handle, once read; nil: there is none
	joined  bool              // handle was looked up
	naming  policy.AccountKey // of the account that is named, or proven, where the flow is bound to an identity that has none
	// Of an identity elsewhere: the account it is linked to, nil when to none, once it was read; and what it uses up.
	identity IdentityKey
	link     *Link
	linkRead bool
	claims   []Claim
	last     *State                // as this call committed it
	taken    func(*Conflict) error // one of claims is taken: the next try knows it
	input    func(flow *Loaded, now time.Time) (Input, error)
}

func (f *Flows) call(ctx context.Context, who Caller, method, organization string, flow FlowID, requestID string, canonical []byte) (*call, error) {
	uid, err := f.c.Directory.Resolve(ctx, organization)
	if err != nil {
		return nil, err
	}
	org, err := f.c.Directory.Cached(ctx, uid)
	if err != nil {
		return nil, err
	}
	return &call{f: f, who: who, uid: uid, flow: flow, org: org,
		key: f.c.Namer.CommitKey(who.Principal, method, uid+"/"+flow.String(), requestID), digest: f.c.Namer.Digest(canonical)}, nil
}

// run advances the flow and commits, again after each lost race. What this process remembers is enough to move a flow, the
// store compares; it is never enough to refuse a call.
func (c *call) run(ctx context.Context) (Answer, error) {
	flow := c.f.known.get(c.uid, c.flow)
	checked := false // flow and request id were looked at in the store
	for lost := (races{}); ; {
		for flow == nil || c.lacks(flow) {
			read, first, err := c.read(ctx, flow)
			if err != nil || first != nil {
				return c.first(first), err
			}
			flow, checked = read, true
		}
		moved, err := c.advance(flow)
		if err != nil && !checked {
			flow = nil
			continue
		}
		if err != nil {
			return Answer{}, err
		}
		a, err := c.commit(ctx, flow, &moved)
		var conflict *Conflict
		if !errors.As(err, &conflict) {
			return a, err
		}
		if lost.tooMany(conflict, c.only) {
			return Answer{}, refuse(ErrConflict)
		}
		if err := c.moved(conflict); err != nil {
			return Answer{}, err
		}
		if flow, err = c.lost(conflict, flow); err != nil {
			return Answer{}, err
		}
		checked = true
	}
}

// races counts the races a call has lost.
type races struct{ all, subject int }

// tooMany reports whether that was the last one. Where nothing but the subject's records moved, somebody else's call on
// another flow came first.
func (r *races) tooMany(c *Conflict, only bool) bool {
	if c.Subject != nil && c.Flow == nil && c.Organization == nil {
		r.subject++
		return r.subject == maxSubjectConflicts
	}
	r.all++
	if only {
		return r.all == MaxSteps // a flow has no more to come first with
	}
	return r.all == maxConflicts
}

// lacks reports whether something that the input may need was not read yet.
func (c *call) lacks(flow *Loaded) bool {
	if c.handle != [32]byte{} && !c.joined {
		return true
	}
	if c.identity != (IdentityKey{}) && !c.linkRead {
		return true
	}
	if flow.State.Bound == nil {
		return c.binder != policy.LookupKeys{} && !c.looked
	}
	if flow.State.Bound.AccountID == "" {
		return c.naming != policy.AccountKey{} && c.subject == nil
	}
	return c.needsSubject(flow.State) && c.f.subjectOf(flow) == nil
}

// needsSubject reports whether what is kept of the bound subject matters to this call.
func (c *call) needsSubject(s *State) bool {
	person, authenticator := bearing(s.Frozen)
	return s.Bound.AccountID != "" && (c.proves || person || authenticator)
}

// bearing says which records of the subject the frozen demands look at.
func bearing(f *policy.Frozen) (person, authenticator bool) {
	if f == nil {
		return false, false
	}
	for _, d := range [2]*policy.Demands{&f.Demands, &f.WouldBe} {
		authenticator = authenticator || d.MFA != nil
		person = person || d.MFA != nil && d.MFA.MaxAge > 0 || d.Reverify > 0 || d.SessionLength > 0
	}
	return person, authenticator
}

// subjectOf returns what this process knows of the bound subject of a flow, nil when it has to be read.
func (f *Flows) subjectOf(flow *Loaded) *SubjectRecords {
	s := flow.State
	if flow.Subject == nil || s.Bound == nil {
		return nil
	}
	if flow.subjectKnown || flow.Subject.Key == f.c.Namer.AccountKey(s.OrganizationUID, s.Bound.AccountID) {
		return flow.Subject
	}
	return nil
}

// read gets the flow as the store has it, with the first answer to this request id if there is one, and what the input needs.
// known is the flow as it was read before, nil when it was not.
func (c *call) read(ctx context.Context, known *Loaded) (*Loaded, *Outcome, error) {
	r := Read{OrganizationUID: c.uid, Flow: c.flow, Key: c.key, Request: c.digest, Organization: true}
	look := c.binder != policy.LookupKeys{} && !c.looked
	if look {
		r.Lookups = []policy.LookupKeys{c.binder}
	}
	join := c.handle != [32]byte{} && !c.joined
	if join {
		r.Session = c.handle
	}
	if !c.linkRead {
		r.Identity = c.identity
	}
	if key := c.account(known); key != (policy.AccountKey{}) {
		r.Subject = &key
	}
	reading, err := c.f.read(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	if reading.Organization != nil {
		c.org = reading.Organization
	}
	if reading.Outcome != nil {
		return nil, reading.Outcome, nil
	}
	if reading.Flow == nil || reading.Flow.State.OrganizationUID != c.uid {
		c.f.known.drop(c.flow)
		return nil, nil, refuse(ErrFlowNotFound)
	}
	flow := reading.Flow
	if r.Subject != nil {
		flow = c.holds(flow, reading.Subject, *r.Subject)
	}
	if look && len(reading.Records) == 1 {
		c.records, c.looked = reading.Records[0], true
	}
	if join {
		c.joins(reading.Session)
	}
	if r.Identity != (IdentityKey{}) {
		c.owned(reading.Link)
	}
	c.f.known.put(flow)
	return flow, nil, nil
}

// account is whose records to read: the bound subject's, else those of whom the step would bind.
func (c *call) account(known *Loaded) policy.AccountKey {
	if known == nil || known.State.Bound == nil {
		return c.binder.Account
	}
	if known.State.Bound.AccountID == "" {
		return c.naming
	}
	return c.f.c.Namer.AccountKey(c.uid, known.State.Bound.AccountID)
}

// holds keeps what was read of a subject: for the flow, when it is bound to it, else for the step that binds.
func (c *call) holds(flow *Loaded, s *SubjectRecords, key policy.AccountKey) *Loaded {
	if s == nil {
		s = &SubjectRecords{Key: key}
	}
	if key == c.binder.Account || key == c.naming {
		c.subject = s
	}
	return flow.about(s)
}

// joins takes the session that is said to be reused. Whose it is says the record; what was looked up for somebody else is
// looked up again.
func (c *call) joins(s *Session) {
	c.session, c.joined = s, true
	if s == nil || s.Subject.AccountID == "" {
		return
	}
	if keys := c.f.keys(c.uid, s.Subject.AccountID, s.Subject.Email); keys != c.binder {
		c.binder, c.naming, c.looked = keys, keys.Account, false
		if c.subject != nil && c.subject.Key != keys.Account {
			c.subject = nil
		}
	}
}

// advance puts the call's input into the machine.
func (c *call) advance(flow *Loaded) (Moved, error) {
	now := c.f.c.Now()
	in, err := c.input(flow, now)
	if err != nil {
		return Moved{}, err
	}
	in.Caller = c.who.Principal
	in.Subject = c.concerned(flow)
	return c.f.advance(flow, c.org, in, now)
}

// concerned returns the records of the bound subject, or of whom the step would bind.
func (c *call) concerned(flow *Loaded) *SubjectRecords {
	if flow.State.Bound == nil || flow.State.Bound.AccountID == "" && c.naming != (policy.AccountKey{}) {
		return c.subject
	}
	return c.f.subjectOf(flow)
}

// advance completes an input with what every input carries.
func (f *Flows) advance(flow *Loaded, org *policy.Organization, in Input, now time.Time) (Moved, error) {
	s := flow.State
	in.Organization, in.Site = org, siteByUID(org, s.SiteUID)
	in.Marked = !flow.SupersededBy.IsZero()
	in.IDs = IDs{Step: f.c.NewID(), Ending: f.c.NewID()}
	if in.Name != nil || s.Bound != nil && (s.Bound.AccountID == "" || s.Bound.Unlinked) || in.Step != nil && len(in.Step.IdentityKey) > 0 {
		in.IDs.Link = f.c.NewID()
	}
	if in.Step != nil && in.Step.Attempt != nil {
		in.IDs.Lock = f.c.NewID()
	}
	in.Device = f.device(s.OrganizationUID)
	if s.Bound == nil {
		in.Claimed = f.keys(s.OrganizationUID, s.Claimed.AccountID, s.Claimed.Address)
	} else if s.Bound.AccountID == "" {
		in.Named = f.keys(s.OrganizationUID, in.names(), s.Bound.Email)
	}
	return Advance(*s, in, now)
}

// commit writes what the input did and remembers the flow.
func (c *call) commit(ctx context.Context, flow *Loaded, m *Moved) (Answer, error) {
	w := &writing{Commit: Commit{Key: c.key, Request: c.digest, Claims: c.claims, Link: c.linkWrite(m)}, outcome: m.outcome()}
	w.Outcome = &w.outcome
	done, err := c.f.write(ctx, flow, c.concerned(flow), c.org, m, w)
	if err != nil {
		return Answer{}, err
	}
	if done.Repeated != nil {
		return c.first(done.Repeated), nil
	}
	c.last = w.flow.State
	return c.f.answer(w.outcome, c.org, false), nil
}

// lost takes the current records a conflict carries.
func (c *call) lost(conflict *Conflict, flow *Loaded) (*Loaded, error) {
	if conflict.Organization != nil {
		c.org = conflict.Organization
	}
	if conflict.Gone {
		c.f.known.drop(c.flow)
		return nil, refuse(ErrFlowNotFound)
	}
	next := flow
	if conflict.Flow != nil {
		next = conflict.Flow.about(flow.Subject) // the same person's, or subjectOf will not take it
	}
	if s := conflict.Subject; s != nil {
		next = next.about(s)
		if s.Key == c.binder.Account || s.Key == c.naming {
			c.subject = s
		}
	}
	c.f.known.put(next)
	return next, nil
}

// first makes the answer a repeated request id gets; the zero answer when there is none.
func (c *call) first(o *Outcome) Answer {
	if o == nil {
		return Answer{}
	}
	return c.f.answer(*o, c.org, true)
}
