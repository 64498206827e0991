package policy

import (
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// ValidUntil returns the first moment after in.Now at which the present decision changes by time alone: a proof, a session
// or a step of the flow becomes too old for a demand, an enrolment grace ends, a rule starts or ends, or an account leaves a
// list, and another rule would decide, for would_be too. Zero when it never does. Before that moment verdict, reason and the demands met stay as they are,
// as long as nothing but the clock moves. f is what Bind made of in.
func ValidUntil(f Frozen, in Input) time.Time {
	if f.Decision.Source == "" {
		return time.Time{}
	}
	now := standing(&f, &in)
	for _, at := range turns(&f, &in) {
		then := in
		then.Now = at
		if next := standing(&f, &then); !next.equal(&now) {
			return at
		}
	}
	return time.Time{}
}

// stand is how things stand at a moment, as far as time moves it.
type stand struct {
	found, would measured
	rule, trial  *Rule
	hasReport    bool
	suspended    bool
}

func standing(f *Frozen, in *Input) stand {
	s := stand{found: measure(&f.Demands, f.GraceUntil, in)}
	if f.HasWouldBe {
		s.would = measure(&f.WouldBe, f.WouldGrace, in)
	}
	if org := in.Organization; f.SubjectClass == audit.ClassExternal && org != nil && in.Site != nil && !org.Unreadable {
		facts := factsOf(in)
		p := facts.pick(org.Policy.Rules, in.Now)
		s.rule, s.trial, s.hasReport, s.suspended = p.rule, p.would, p.hasReport, org.Suspended(in.Now)
	}
	return s
}

func (s *stand) equal(o *stand) bool {
	return s.rule == o.rule && s.trial == o.trial && s.hasReport == o.hasReport && s.suspended == o.suspended && s.found.equal(&o.found) && s.would.equal(&o.would)
}

// equal compares two measurements of the same demands.
func (m *measured) equal(o *measured) bool {
	return m.verdict == o.verdict && m.reason == o.reason && m.grace == o.grace &&
		slices.EqualFunc(m.list[:m.n], o.list[:o.n], func(a, b audit.Demand) bool { return a.Met == b.Met && a.Reason == b.Reason })
}

// turns lists the moments after in.Now at which anything may change, in order, each once.
func turns(f *Frozen, in *Input) []time.Time {
	var list []time.Time
	add := func(at time.Time) {
		if at.After(in.Now) {
			list = append(list, at)
		}
	}
	add(f.GraceUntil)
	add(f.WouldGrace)
	if in.Organization != nil {
		add(in.Organization.SuspendedUntil)
		for i := range in.Organization.Policy.Rules {
			r := &in.Organization.Policy.Rules[i]
			add(r.EnforceFrom)
			add(r.ExpiresAt)
		}
		facts := factsOf(in)
		for i := range facts.lists {
			for _, k := range [...]AccountKey{facts.accountKey, facts.addressKey} {
				add(facts.lists[i].Expires(k))
			}
		}
	}
	ages := append(f.Demands.ages(), f.WouldBe.ages()...)
	aged := func(at time.Time) {
		if at.IsZero() || len(ages) == 0 {
			return
		}
		add(at.Add(-skew)) // until then it lies in the future
		for _, age := range ages {
			add(at.Add(age + 1)) // at exactly the age it still counts
		}
	}
	for i := range in.Shown {
		aged(in.Shown[i].At)
	}
	for i := range in.Proofs {
		aged(in.Proofs[i].At)
	}
	slices.SortFunc(list, time.Time.Compare)
	return slices.CompactFunc(list, time.Time.Equal)
}

// ages lists how old things may be for d.
func (d *Demands) ages() []time.Duration {
	var list []time.Duration
	if d.MFA != nil && d.MFA.MaxAge > 0 {
		list = append(list, d.MFA.MaxAge)
	}
	if d.Reverify > 0 {
		list = append(list, d.Reverify)
	}
	if d.SessionLength > 0 {
		list = append(list, d.SessionLength)
	}
	return list
}
