package policy

import (
	"encoding/binary"
	"time"

	"github.com/postern-audit/postern/audit"
)

// Counter returns the counting half of a stamp. For a policy stamp it is the revision that last changed the policy.
func (s Stamp) Counter() int64 { return int64(binary.BigEndian.Uint64(s[:8])) } //nolint:gosec // counted up from 0 by the store

// Bind decides class, rule and demands for a subject that was just proven, once: what it returns is frozen for the flow. The
// subject is never taken as typed. Decision is Evaluate's answer at this moment.
func Bind(in Input) Frozen {
	in.Subject.Typed = false
	f := freeze(&in)
	f.Decision, _ = Evaluate(f, in)
	return f
}

// Advise decides for a flow that nobody is bound to. The verdict is CONTINUE, whatever is demanded: the decision shows what
// the typed subject would have to prove, and next the methods that would do. A subject that nothing names is UNDETERMINED:
// no rule runs for it. What is remembered of a subject or enrolled by it is not looked at: whoever types a name learns nothing
// of its owner. Stops are Stopped's.
func Advise(in Input) (audit.Decision, []Next) {
	if in.Subject.AccountID == "" && in.Subject.Address.IsZero() {
		in.Subject.Typed = true
	}
	in.Shown, in.Proofs, in.Enrolment = nil, nil, Enrolment{}
	f := freeze(&in)
	d, next := Evaluate(f, in)
	d.Advisory, d.Verdict = true, audit.VerdictContinue
	if d.WouldBe != nil {
		d.WouldBe.Verdict = audit.VerdictContinue
	}
	return d, next
}

// freeze classifies and picks the rule. It always returns a Frozen that Evaluate takes; one that denies when the policy
// cannot be read or the input lacks what every decision needs.
func freeze(in *Input) Frozen {
	if in.Organization == nil || in.Site == nil || in.Now.IsZero() {
		return unreadable(Frozen{SubjectClass: audit.ClassUndetermined, Decision: audit.Decision{Class: audit.ClassUndetermined,
			Basis: audit.ClassBasis{By: ByNothing}}}, "organization, site or time is missing", false)
	}
	org := in.Organization
	class, basis, conditions := Classify(org, in.Site, in.Subject, in.Records)
	f := Frozen{PolicyStamp: org.PolicyStamp, SubjectClass: class, Decision: audit.Decision{
		Class: class, Basis: basis, Conditions: conditions, PolicyRevision: org.PolicyStamp.Counter()}}
	switch {
	case org.Unreadable:
		return unreadable(f, "the policy cannot be read", org.AllowUnreadable)
	case class == audit.ClassExternal:
		return external(f, in)
	case class == audit.ClassUndetermined:
		f.Decision.Source = SourceDefault
	default:
		f.Decision.Source = SourceInternal
	}
	return f
}

// unreadable denies everybody, managed users too: what stops them cannot be read either. An organization may choose to
// allow instead.
func unreadable(f Frozen, detail string, allow bool) Frozen {
	f.Decision.Source = SourceUnreadable
	f.Decision.Conditions = append(f.Decision.Conditions, audit.Condition{Name: "policy_readable", Detail: detail})
	f.Demands.Block = !allow
	return f
}

// external runs both passes over the rules.
func external(f Frozen, in *Input) Frozen {
	facts := factsOf(in)
	policy := &in.Organization.Policy
	p := facts.pick(policy.Rules, in.Now)
	f.Decision.Conditions = append(f.Decision.Conditions, p.passed...)
	if in.Organization.Suspended(in.Now) {
		return suspended(f, in.Organization, p)
	}
	f.Decision.Source, f.Demands = SourceDefault, policy.Default
	if p.rule != nil {
		f.Decision.Source, f.Decision.Rule = SourceRule, p.rule.ID
		f.Decision.Message, f.Decision.HelpURL = p.rule.Message, p.rule.HelpURL
		f.Decision.Conditions = append(f.Decision.Conditions, facts.met(&p.rule.Match)...)
		f.Demands, f.GraceUntil = p.rule.Demands, p.rule.graceUntil()
	}
	f.Decision.AllowedMethods = f.Demands.allowed()
	if p.hasReport {
		f.HasWouldBe, f.WouldBe = true, policy.Default
		if p.would != nil {
			f.WouldBeRule, f.WouldBe, f.WouldGrace = p.would.ID, p.would.Demands, p.would.graceUntil()
		}
	}
	return f
}

// suspended demands nothing, and keeps what the rules would have demanded as what would be.
func suspended(f Frozen, o *Organization, p picked) Frozen {
	f.Decision.Source = SourceSuspended
	f.Decision.Conditions = append(f.Decision.Conditions, audit.Condition{Name: "suspended", Met: true,
		Detail: "no rule is enforced until " + o.SuspendedUntil.UTC().Format(time.RFC3339)})
	f.HasWouldBe, f.WouldBe = true, o.Policy.Default
	if p.rule != nil {
		f.WouldBeRule, f.WouldBe, f.WouldGrace = p.rule.ID, p.rule.Demands, p.rule.graceUntil()
	}
	return f
}

// Suspended reports whether the organization's policy is suspended at a moment.
func (o *Organization) Suspended(at time.Time) bool { return at.Before(o.SuspendedUntil) }

// allowed returns the methods that can lead to ALLOW, nil for all.
func (d *Demands) allowed() []string {
	if d.Methods == nil && d.SSOConnection != "" {
		return []string{audit.MethodSSO + ":" + d.SSOConnection}
	}
	return d.Methods
}

// graceUntil is the end of a rule's enrolment grace, zero without one. Grace runs from enforce_from.
func (r *Rule) graceUntil() time.Time {
	if r.EnrolmentGrace <= 0 || r.EnforceFrom.IsZero() {
		return time.Time{}
	}
	return r.EnforceFrom.Add(r.EnrolmentGrace)
}

// Result is everything Decide found.
type Result struct {
	Decision audit.Decision
	Next     []Next
	Frozen   Frozen // zero for an unbound subject
	Stop     *Stop
}

// Decide is the whole decision at once: what Explain shows and what the corpus tests. The subject is taken as bound when
// in.Context.Method or in.Shown is given, else the decision is advisory. A method without anything shown is taken as shown
// now on the login service's word (ASSERTED), by the connection of the context.
func Decide(in Input) Result {
	bound := in.Context.Method != "" || len(in.Shown) > 0
	var r Result
	if bound {
		in.Subject.Typed = false
		if len(in.Shown) == 0 {
			in.Shown = []Shown{{Method: in.Context.Method, Connection: in.Context.Connection, Evidence: audit.EvidenceAsserted, At: in.Now}}
		}
		r.Frozen = freeze(&in)
		r.Decision, r.Next = Evaluate(r.Frozen, in)
		r.Frozen.Decision = r.Decision
	} else {
		r.Decision, r.Next = Advise(in)
	}
	if r.Stop = Stopped(in, bound, r.Decision.Class); r.Stop != nil {
		r.Decision, r.Next = Halt(r.Decision, *r.Stop), nil
	}
	return r
}
