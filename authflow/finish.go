package authflow

import (
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// finish ends the flow as the login service says, or judges it.
func (r *run) finish(effect Effect) (Moved, error) {
	f := r.in.Finish
	if (effect == EffectDeny) != audit.ValidRefusal(f.Reason) || effect != EffectDeny && f.Reason != "" {
		return Moved{}, invalid("finish.reason", ErrReason)
	}
	if err := r.when("finish.occurred_at", f.OccurredAt); err != nil {
		return Moved{}, err
	}
	r.judge()
	switch effect {
	case EffectDeny:
		return r.end(audit.EndingDenied, f.Reason, f.Detail), nil
	case EffectCancel:
		return r.end(audit.EndingCancelled, "", f.Detail), nil
	default: // EffectJudge
		if st := r.stop(); st != nil {
			return r.stopped(st), nil
		}
		ending, reason := r.verdict()
		return r.end(ending, reason, f.Detail), nil
	}
}

// verdict judges a completed flow: the first of these that holds. What would still have been missing would have been denied.
func (r *run) verdict() (audit.Ending, string) {
	if w := r.decision.WouldBe; w != nil && w.Verdict != audit.VerdictAllow {
		would := *w
		would.Verdict = audit.VerdictDeny
		r.decision.WouldBe = &would
	}
	switch {
	case !r.s.Proven || r.s.Bound == nil:
		if r.s.LastRejection != "" {
			return audit.EndingFailed, r.s.LastRejection
		}
		return audit.EndingFailed, audit.ReasonNothingProven
	case r.s.Bound.AccountID == "":
		r.refuseBy(audit.ReasonNoSubject)
		return audit.EndingDenied, audit.ReasonNoSubject
	case r.decision.Verdict != audit.VerdictAllow:
		r.refuseBy(r.decision.Reason)
		return audit.EndingDenied, r.decision.Reason
	case r.decision.Source == policy.SourceUnreadable:
		return audit.EndingSucceeded, audit.ReasonPolicyUnreadable
	}
	return audit.EndingSucceeded, ""
}

// stopped ends the flow because a stop bites.
func (r *run) stopped(st *policy.Stop) Moved {
	r.decision = policy.Halt(r.decision, *st)
	return r.end(audit.EndingDenied, st.Reason, "")
}

// refuseBy turns the decision into the refusal it has become.
func (r *run) refuseBy(reason string) {
	r.decision.Verdict, r.decision.Reason = audit.VerdictDeny, reason
}

// end gives the flow its one ending: the last step, which lists all the others.
func (r *run) end(ending audit.Ending, reason, detail string) Moved {
	e := r.event(r.in.IDs.Ending, audit.EndingType(ending))
	d := r.decision
	e.Ending, e.Reason, e.Decision, e.Revision = ending, reason, &d, d.PolicyRevision
	e.IdentifierHash = r.s.Claimed.IdentifierHash
	e.Steps = summaries(r.s.Steps)
	r.person(&e.Personal)
	r.claim(&e.Personal)
	e.Personal.Detail = detail
	r.append(e)
	r.s.Phase, r.s.Ending, r.s.Reason, r.s.Ended = PhaseEnded, ending, reason, r.at
	r.reason = reason
	m := r.moved()
	m.Verdict = audit.VerdictDeny
	if ending == audit.EndingSucceeded {
		m.Verdict = audit.VerdictAllow
	}
	m.Next = nil
	m.Tallies = append(m.Tallies, Tally{SiteUID: r.s.SiteUID, Site: r.s.Site, Hour: r.s.Hour,
		Field: TallyField(r.s.Class, ending, r.s.Recorded)})
	return m
}

// summaries lists steps in order, as the ending event carries them.
func summaries(steps []Step) []audit.StepSummary {
	out := make([]audit.StepSummary, len(steps))
	for i := range steps {
		e := steps[i].Event
		out[i] = audit.StepSummary{Step: e.Step, Event: e.ID, Type: e.Type, Time: e.Time, Method: e.Method,
			Connection: e.Connection, Factor: e.Factor, Evidence: e.Evidence, Reason: e.Reason, Counts: e.Counts}
	}
	return out
}

// settle is the end of a move that leaves the flow live: what is met, what comes next, and whether ALLOW is said now.
func (r *run) settle() Moved {
	r.judge()
	if r.unite() {
		r.judge()
	}
	if r.decision.Verdict == audit.VerdictAllow && r.s.Bound != nil {
		r.s.Phase = PhaseGranted
	}
	m := r.moved()
	m.Verdict = r.decision.Verdict
	if m.Verdict != audit.VerdictContinue {
		m.Next = nil
	}
	return m
}

// moved collects what the run did. The flow goes on the record here, and takes every held step with it.
func (r *run) moved() Moved {
	ended := r.s.Phase == PhaseEnded
	if r.onRecord(r.s.Class) || ended && r.s.Class == audit.ClassUndetermined {
		r.s.Recorded = true
	}
	r.s.PolicyRevision = r.decision.PolicyRevision
	m := Moved{Changed: true, Decision: r.decision, Next: r.next, Counts: r.counts, Reason: r.reason, Step: len(r.s.Steps)}
	if r.s.Recorded {
		m.Events = r.release()
	}
	m.Events, m.Link = append(m.Events, r.beside...), r.link
	if r.in.Kind == KindStart {
		m.Tallies = []Tally{{SiteUID: r.s.SiteUID, Site: r.s.Site, Hour: r.s.Hour, Field: TallyOpened}}
	}
	m.State = r.s
	m.Person, m.Authenticator = r.remembered, r.authenticator
	if r.in.Step != nil && r.in.Step.Attempt != nil {
		m.looked = true
		r.withhold(&m)
	}
	return m
}

// onRecord reports whether flows of a class are on the record of this organization.
func (r *run) onRecord(c audit.Class) bool {
	return c == audit.ClassExternal || c != audit.ClassUnspecified && slices.Contains(r.in.Organization.Policy.RecordClasses, c)
}

// release returns the events not written yet, which are those of the last steps, in their order, and marks them written. A single one
// that was just made, as most are, is not copied: it is the step's own.
func (r *run) release() []audit.Event {
	steps := r.s.Steps
	if n := len(steps); n > 0 && r.made != nil && steps[n-1].Event == &r.made[0] && (n == 1 || steps[n-2].Released) {
		steps[n-1].Released = true
		return r.made[:]
	}
	var out []audit.Event
	for i := range steps {
		if st := &steps[i]; !st.Released {
			st.Released = true
			out = append(out, *st.Event)
			r.marks(&out[len(out)-1])
		}
	}
	return out
}
