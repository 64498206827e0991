package authflow

import (
	"context"
	"errors"

	"github.com/postern-audit/postern/policy"
)

// maxConflicts is how many lost races in a row end a call.
const maxConflicts = 3

// call is one call on a flow that exists.
type call struct {
	f       *Flows
	who     Caller
	uid     string
	flow    FlowID
	key     CommitKey
	digest  Digest
	org     *policy.Organization
	binder  policy.LookupKeys // of the step's subject, when the step may bind
	records policy.Records    // of binder, once read
	looked  bool              // records were read
	input   func(Loaded) Input
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
	for conflicts := 0; ; {
		if flow == nil || c.mayBind(flow) {
			read, first, err := c.read(ctx)
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
		if conflicts++; conflicts == maxConflicts {
			return Answer{}, refuse(ErrConflict)
		}
		if flow, err = c.lost(conflict, flow); err != nil {
			return Answer{}, err
		}
		checked = true
	}
}

// mayBind reports whether the step would bind on this state and its subject's records are not read yet.
func (c *call) mayBind(flow *Loaded) bool {
	return c.binder != policy.LookupKeys{} && !c.looked && flow.State.Bound == nil
}

// read gets the flow as the store has it, with the first answer to this request id if there is one, and what binding needs.
func (c *call) read(ctx context.Context) (*Loaded, *Outcome, error) {
	r := Read{OrganizationUID: c.uid, Flow: c.flow, Key: c.key, Request: c.digest, Organization: true}
	look := c.binder != policy.LookupKeys{} && !c.looked
	if look {
		r.Lookups = []policy.LookupKeys{c.binder}
	}
	reading, err := c.f.c.Store.Read(ctx, r)
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
	if look && len(reading.Records) == 1 {
		c.records, c.looked = reading.Records[0], true
	}
	c.f.known.put(reading.Flow)
	return reading.Flow, nil, nil
}

// advance puts the call's input into the machine.
func (c *call) advance(flow *Loaded) (Moved, error) {
	in := c.input(*flow)
	in.Caller = c.who.Principal
	return c.f.advance(flow, c.org, in)
}

// advance completes an input with what every input carries.
func (f *Flows) advance(flow *Loaded, org *policy.Organization, in Input) (Moved, error) {
	s := flow.State
	in.Organization, in.Site = org, siteByUID(org, s.SiteUID)
	in.Marked = !flow.SupersededBy.IsZero()
	in.IDs = IDs{Step: f.c.NewID(), Ending: f.c.NewID()}
	if s.Bound == nil {
		in.Claimed = f.keys(s.OrganizationUID, s.Claimed.AccountID, s.Claimed.Address)
	}
	return Advance(*s, in, f.c.Now())
}

// commit writes what the input did and remembers the flow.
func (c *call) commit(ctx context.Context, flow *Loaded, m *Moved) (Answer, error) {
	o := m.outcome()
	done, err := c.f.write(ctx, flow, c.org, m, &Commit{Key: c.key, Request: c.digest, Outcome: &o})
	if err != nil {
		return Answer{}, err
	}
	if done.Repeated != nil {
		return c.first(done.Repeated), nil
	}
	return c.f.answer(o, c.org, false), nil
}

// write commits a move of a flow that exists.
func (f *Flows) write(ctx context.Context, flow *Loaded, org *policy.Organization, m *Moved, c *Commit) (*Committed, error) {
	s := m.State
	c.OrganizationUID, c.PolicyStamp = s.OrganizationUID, org.PolicyStamp
	c.Flow = &FlowWrite{State: &s, From: flow.Stamp, EndsMarked: !flow.SupersededBy.IsZero()}
	c.Tallies, c.Events = m.Tallies, m.Events
	done, err := f.commit(ctx, c)
	if err == nil && done.Repeated == nil {
		f.known.put(&Loaded{State: &s, Stamp: done.Stamp})
	}
	return done, err
}

// lost takes the current records a conflict carries.
func (c *call) lost(conflict *Conflict, flow *Loaded) (*Loaded, error) {
	if conflict.Organization != nil {
		c.org = conflict.Organization
	}
	switch {
	case conflict.Gone:
		c.f.known.drop(c.flow)
		return nil, refuse(ErrFlowNotFound)
	case conflict.Flow != nil:
		c.f.known.put(conflict.Flow)
		return conflict.Flow, nil
	}
	return flow, nil
}

// first makes the answer a repeated request id gets; the zero answer when there is none.
func (c *call) first(o *Outcome) Answer {
	if o == nil {
		return Answer{}
	}
	return c.f.answer(*o, c.org, true)
}
