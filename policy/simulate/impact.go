package simulate

import (
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// RuleImpact is what one rule did.
type RuleImpact struct {
	Rule  *policy.Rule // as it is now
	Since time.Time    // since when it was looked at; zero: as far back as the record goes

	Decided, Denied, WouldDecide, WouldDeny int64

	People         People
	NeedsEnrolment People
	Samples        []string // flow ids, newest first
}

// effect counts what one rule did.
type effect struct {
	RuleImpact
	all   group
	needs people
}

// Impact counts, for each rule of an organization's policy, or only those named, what it did to the flows that a query chooses
// since it was added. It rests on the decisions on record alone.
func (s *Scanner) Impact(ctx context.Context, o *policy.Organization, rules []string, q Query, tell Tell) ([]RuleImpact, error) {
	leave, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer leave()
	var spend = budget{maxSlots}
	effects, err := effectsOf(o, rules, q.Samples, &spend)
	if err != nil {
		return nil, err
	}
	added, err := s.added(ctx, o)
	if err != nil {
		return nil, err
	}
	start := time.Time{}
	for i, e := range effects {
		e.Since = added[e.Rule.ID]
		if q.Start.After(e.Since) {
			e.Since = q.Start
		}
		if i == 0 || e.Since.Before(start) {
			start = e.Since
		}
	}
	q.Start = start
	run := &impact{Scanner: s, uid: o.UID, effects: map[string]*effect{}}
	for _, e := range effects {
		run.effects[e.Rule.ID] = e
	}
	if len(effects) > 0 {
		if _, err := s.each(ctx, o.UID, q, tell, func(page []audit.FlowRecord) error { return run.page(ctx, page) }); err != nil {
			return nil, err
		}
	}
	out := make([]RuleImpact, len(effects))
	for i, e := range effects {
		e.People, e.NeedsEnrolment, e.Samples = e.all.people.count(), e.needs.count(), e.all.newest()
		out[i] = e.RuleImpact
	}
	return out, nil
}

// effectsOf are the rules to look at, in the order of the policy.
func effectsOf(o *policy.Organization, rules []string, samples int, spend *budget) ([]*effect, error) {
	wanted := make(map[string]bool, len(rules))
	for _, id := range rules {
		wanted[id] = true
	}
	var out []*effect
	for i := range o.Policy.Rules {
		r := &o.Policy.Rules[i]
		if len(rules) > 0 && !wanted[r.ID] {
			continue
		}
		delete(wanted, r.ID)
		e := &effect{all: group{people: people{spend: spend}, most: samples}, needs: people{spend: spend}}
		e.Rule = r
		out = append(out, e)
	}
	for id := range wanted {
		return nil, errs.Field("rules", "RULE_UNKNOWN", "the policy has no rule "+id+" as it is now")
	}
	return out, nil
}

// maxRevisions is how many revisions of a policy are looked at.
const maxRevisions = 2000

// added says when each rule of the policy was added: with the oldest revision from which on every later one has it. A rule that the
// oldest revision looked at has already, where that did not create the organization, is missing: it is as old as the record.
func (s *Scanner) added(ctx context.Context, o *policy.Organization) (map[string]time.Time, error) {
	out := make(map[string]time.Time, len(o.Policy.Rules))
	open := make(map[string]bool, len(o.Policy.Rules))
	for i := range o.Policy.Rules {
		open[o.Policy.Rules[i].ID] = true
	}
	first := false
	for at, seen := o.Revision, 0; at > 0 && len(open) > 0 && seen < maxRevisions; seen++ {
		r, err := s.History.PolicyRevision(ctx, o.UID, at)
		if errs.Is(err, policy.ReasonRevisionNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		has := make(map[string]bool, len(r.Policy.Rules))
		for i := range r.Policy.Rules {
			has[r.Policy.Rules[i].ID] = true
		}
		for id := range open {
			if !has[id] {
				delete(open, id)
				continue
			}
			out[id] = r.Event.Time
		}
		at, first = r.Number-1, r.Event.Type == audit.TypeOrganizationCreated
	}
	if !first {
		for id := range open {
			delete(out, id)
		}
	}
	return out, nil
}

// impact is one run of Impact.
type impact struct {
	*Scanner
	uid     string
	effects map[string]*effect
	asked   holdings
}

func (r *impact) page(ctx context.Context, page []audit.FlowRecord) error {
	needs := map[need]demanded{}
	for i := range page {
		f := &page[i]
		bound, ended := decisions(f)
		if bound == nil || ended == nil {
			continue
		}
		decides, would := ended.Decision.Rule, ""
		if ended.Decision.Source == policy.SourceStop { // which rule it was says the binding alone
			decides = bound.Decision.Rule
		}
		if w := ended.Decision.WouldBe; w != nil && w.Rule != decides {
			would = w.Rule
		}
		if r.effects[decides] == nil && r.effects[would] == nil {
			continue
		}
		account, person, known, err := r.who(bound, ended)
		if err != nil {
			return err
		}
		for _, id := range []string{decides, would} {
			e := r.effects[id]
			if id == "" || e == nil || f.Started.Before(e.Since) {
				continue
			}
			if e.count(f, ended.Decision, id == decides); known {
				e.all.people.add(person)
			}
			if e.Rule.Demands.MFA != nil && account != (policy.AccountKey{}) {
				needs[need{account, id}] = demanded{person, e.Rule.Demands}
			}
		}
	}
	return r.asked.lacking(ctx, r.Holders, r.uid, needs, func(n need, person uint64) { r.effects[n.rule].needs.add(person) })
}

// count notes a flow that the rule decided, or would have.
func (e *effect) count(f *audit.FlowRecord, d *audit.Decision, decides bool) {
	switch {
	case decides:
		e.Decided++
		if f.Ending == audit.EndingDenied && d.Source == policy.SourceRule && d.Verdict == audit.VerdictDeny {
			e.Denied++
			e.all.sample(f.ID)
		}
	default:
		e.WouldDecide++
		if f.Ending == audit.EndingSucceeded && d.WouldBe.Verdict != audit.VerdictAllow {
			e.WouldDeny++
			e.all.sample(f.ID)
		}
	}
}

// decisions returns the events of a flow that carry its decisions: that which bound, and the ending. Nil while there is none.
func decisions(f *audit.FlowRecord) (bound, ended *audit.Event) {
	for i := range f.Events {
		e := &f.Events[i]
		switch {
		case e.Step == 0 || e.Forked || e.Decision == nil:
		case e.ID == f.BindEventID:
			bound = e
		case e.ID == f.EndEventID:
			ended = e
		}
	}
	return bound, ended
}

// who is the person of a flow, and its account where it has one. The ending knows an account that was named later. Whom nobody can
// read any more is counted with nobody.
func (r *impact) who(bound, ended *audit.Event) (account policy.AccountKey, person uint64, known bool, err error) {
	for _, e := range []*audit.Event{bound, ended} {
		if err := r.Open(e); err != nil {
			return account, 0, false, err
		}
		if e.PersonalState != "" {
			return account, 0, false, nil
		}
		if p := &e.Personal; p.AccountID != "" {
			account = r.Namer.AccountKey(r.uid, p.AccountID)
			return account, personOf(account), true, nil
		}
	}
	if address, err := policy.ParseAddress(bound.Personal.Email); err == nil {
		return account, personOf(r.Namer.AddressKey(r.uid, address)), true, nil
	}
	return account, personOf(r.Namer.AccountKey(r.uid, bound.Flow)), true, nil
}
