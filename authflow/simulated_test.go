package authflow

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/simulate"
)

// filed is what a world's events make of its flows, as an archive would keep them, and what a simulation asks beside.
type filed struct {
	w     *world
	seen  int
	times []time.Time // when each event of the outbox was recorded
}

// note gives events that have come since the last time their moment.
func (f *filed) note() {
	for range len(f.w.store.outbox) - f.seen {
		f.times = append(f.times, f.w.clock().Truncate(time.Millisecond))
	}
	f.seen = len(f.w.store.outbox)
}

func (f *filed) records() []audit.FlowRecord {
	byID := map[string]*audit.FlowRecord{}
	var order []string
	for i := range f.w.store.outbox {
		e := f.w.store.outbox[i]
		if e.Flow == "" {
			continue
		}
		e.Sequence, e.RecordedTime = int64(i+1), f.times[i]
		r := byID[e.Flow]
		if r == nil {
			r = &audit.FlowRecord{}
			byID[e.Flow] = r
			order = append(order, e.Flow)
		}
		r.Apply(&e)
		r.Events = append(r.Events, e)
	}
	var out []audit.FlowRecord
	for _, id := range order {
		if r := byID[id]; r.EndEventID != "" {
			out = append(out, *r)
		}
	}
	return out
}

func (f *filed) ScanFlows(_ context.Context, s audit.FlowScan) ([]audit.FlowRecord, error) {
	var out []audit.FlowRecord
	all := f.records()
	slices.SortFunc(all, func(x, y audit.FlowRecord) int {
		if c := x.Started.Compare(y.Started); c != 0 {
			return c
		}
		return cmpText(x.ID, y.ID)
	})
	for _, r := range all {
		after := r.Started.After(s.AfterTime) || r.Started.Equal(s.AfterTime) && r.ID > s.AfterID
		if (s.AfterTime.IsZero() || after) && len(out) < s.Limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (f *filed) CountFlows(context.Context, audit.FlowScan) (int64, error) {
	return int64(len(f.records())), nil
}

func (f *filed) Steps(_ context.Context, _ string, steps []audit.StepRef) ([]audit.Event, error) {
	var out []audit.Event
	for i := range f.w.store.outbox {
		if e := &f.w.store.outbox[i]; slices.Contains(steps, audit.StepRef{Flow: e.Flow, Step: e.Step}) {
			out = append(out, *e)
		}
	}
	return out, nil
}

func (f *filed) Lookup(_ context.Context, _ string, keys []policy.LookupKeys) ([]policy.Records, error) {
	out := make([]policy.Records, len(keys))
	for i, k := range keys {
		out[i] = f.w.store.records[k]
	}
	return out, nil
}

func (f *filed) Holdings(_ context.Context, _ string, accounts []policy.AccountKey) ([]simulate.Holding, error) {
	out := make([]simulate.Holding, len(accounts))
	for i, k := range accounts {
		s := f.w.store.subject(k)
		out[i].Enrolment = s.enrolment()
		if s.Person != nil {
			out[i].Proofs = s.Person.Proofs
		}
	}
	return out, nil
}

func (f *filed) simulate(d simulate.Draft) (*simulate.Result, error) {
	s := simulate.New(simulate.Deps{Flows: f, Open: func(*audit.Event) error { return nil }, Namer: hashNamer{}, Records: f, Holders: f, Now: f.w.clock})
	return s.Simulate(context.Background(), d, simulate.Query{Samples: 5}, func(int64, int64) error { return nil })
}

// another is the organization with the same policy at another revision: what was decided before says nothing about it.
func another(o *policy.Organization) *policy.Organization {
	return changed(o, func(c *policy.Organization) { c.PolicyStamp[0]++ })
}

// tryOut tries a draft on a life that is over.
func tryOut(rt *rapid.T, l *life, d simulate.Draft) *simulate.Result {
	r, err := l.simulate(d)
	if err != nil {
		rt.Fatal(err)
	}
	changed := int64(0)
	for _, c := range r.Changes {
		changed += c.Flows
	}
	if r.Unchanged+r.Undecided+r.Unreadable+changed != r.Flows || r.Flows != int64(len(l.records())) {
		rt.Fatalf("flows are missing or counted twice: %+v", r)
	}
	return r
}

func lived(t *testing.T, rt *rapid.T) *life {
	l := newLife(t, rt)
	l.live(rapid.IntRange(5, 60).Draw(rt, "calls"))
	l.over()
	return l
}

// tell writes down the first flow that would have changed.
func (l *life) tell(r *simulate.Result) {
	for _, f := range l.records() {
		if f.ID != r.Changes[0].Samples[0] {
			continue
		}
		for _, e := range f.Events {
			l.rt.Logf("%d %s %s%s %s %v, at %v, recorded %v, account %q, issuer %q, decision %+v", e.Step, e.Type, e.Method, e.Factor, e.Connection,
				e.Evidence, e.Time, e.RecordedTime, e.Personal.AccountID, e.Personal.Issuer, e.Decision)
		}
	}
	l.rt.Fatalf("it changes something: %+v", r)
}

// Whatever the machine decided comes out as it did when the policy that decided it is tried: under the same revision by what the
// record says, under another one by going through every step again.
func TestTryingTheLivePolicyChangesNothing(t *testing.T) {
	var flows, unreadable int64
	rapid.Check(t, func(rt *rapid.T) {
		l := lived(t, rt)
		org, other := l.store.org, another(l.store.org)
		for _, d := range []simulate.Draft{{Now: org, Organization: org}, {Now: other, Organization: other}, {Now: org, Organization: other}} {
			r := tryOut(rt, l, d)
			if len(r.Changes) > 0 {
				l.tell(r)
			}
			if d.Now == other {
				flows, unreadable = flows+r.Flows-r.Undecided, unreadable+r.Unreadable
			}
		}
	})
	if unreadable*20 > flows {
		t.Errorf("of %d flows, the record cannot tell %d", flows, unreadable)
	}
}

// everywhere makes a draft of the organization in which each rule, and the default, demands something else.
func everywhere(o *policy.Organization, f func(*policy.Demands)) simulate.Draft {
	next := another(o)
	next.Policy.Rules = slices.Clone(o.Policy.Rules)
	for i := range next.Policy.Rules {
		f(&next.Policy.Rules[i].Demands)
	}
	f(&next.Policy.Default)
	return simulate.Draft{Now: o, Organization: next}
}

func TestADemandMoreLetsNobodyIn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := lived(t, rt)
		more := drawnDemands(rt)
		r := tryOut(rt, l, everywhere(l.store.org, func(d *policy.Demands) {
			if d.MFA == nil {
				d.MFA = more.MFA
			}
			if more.Reverify > 0 && (d.Reverify == 0 || d.Reverify > more.Reverify) && d.SSOConnection == "" {
				d.Reverify = more.Reverify
			}
			if more.SessionLength > 0 && (d.SessionLength == 0 || d.SessionLength > more.SessionLength) {
				d.SessionLength = more.SessionLength
			}
			d.Block = d.Block || more.Block
		}))
		for _, c := range r.Changes {
			if c.Allowed || c.ClassChanges {
				l.tell(r)
			}
		}
	})
}

func TestWithoutDemandsWhoeverIsKnownGetsIn(t *testing.T) {
	changes := 0
	rapid.Check(t, func(rt *rapid.T) {
		l := lived(t, rt)
		d := everywhere(l.store.org, func(d *policy.Demands) { *d = policy.Demands{} })
		d.Organization.Policy.Stops = policy.Stops{}
		r := tryOut(rt, l, d)
		for _, c := range r.Changes {
			if changes++; !c.Allowed && c.WouldBe != audit.ReasonNoSubject || c.Ending == audit.EndingSucceeded {
				l.tell(r)
			}
		}
	})
	if changes == 0 {
		t.Error("nobody was kept out before: this tried nothing")
	}
}

func TestABlockKeepsEverybodyOut(t *testing.T) {
	changes := 0
	rapid.Check(t, func(rt *rapid.T) {
		l := lived(t, rt)
		r := tryOut(rt, l, everywhere(l.store.org, func(d *policy.Demands) { *d = policy.Demands{Block: true} }))
		for _, c := range r.Changes {
			if changes++; c.Allowed {
				l.tell(r)
			}
		}
		succeeded := 0
		for _, f := range l.records() {
			if f.Ending == audit.EndingSucceeded && f.Class == audit.ClassExternal {
				succeeded++
			}
		}
		left := int64(succeeded)
		for _, c := range r.Changes {
			if c.Ending == audit.EndingSucceeded {
				left -= c.Flows
			}
		}
		if left > r.Unreadable {
			rt.Fatalf("%d of %d would still get in: %+v", left, succeeded, r)
		}
	})
	if changes == 0 {
		t.Error("nobody got in before: this tried nothing")
	}
}
