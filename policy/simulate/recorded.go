package simulate

import (
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// came is what the policy said of the flow in the end: whether it was let in, or might have been, and else why not. A flow that was
// not judged counts as let in when any answer in it said so.
func (f *facts) came() (allowed bool, reason string) {
	switch {
	case f.ending == audit.EndingSucceeded:
		return true, ""
	case f.ended.Source == policy.SourceStop:
		return false, f.ended.Reason
	case f.holder == (policy.AccountKey{}):
		return false, audit.ReasonNoSubject
	case f.ended.Verdict == audit.VerdictAllow, !f.judged() && (f.bound.Verdict == audit.VerdictAllow || f.reason == audit.ReasonNotConfirmed):
		return true, ""
	}
	return false, f.ended.Reason
}

// unexplained reports whether some answer let the flow in by what no decision on record names: remembered proofs that had aged when it
// was given up.
func (f *facts) unexplained() bool {
	return f.reason == audit.ReasonNotConfirmed && f.bound.Verdict != audit.VerdictAllow && f.ended.Verdict != audit.VerdictAllow
}

// refused reports whether the login service refused the flow, for reasons of its own.
func (f *facts) refused() bool { return f.ending == audit.EndingDenied && audit.ValidRefusal(f.reason) }

// judged reports whether the flow was brought to its end and judged by the policy.
func (f *facts) judged() bool {
	return f.ending == audit.EndingSucceeded || f.ending == audit.EndingDenied && !f.refused()
}

// changes reports whether the flow would not have come out as it did. What the login service refused stays refused. Who was not let
// in for another reason than the policy's (too many wrong codes, given up) is not let in either when the policy has another reason.
func (f *facts) changes(o *outcome) bool {
	if o.class != f.class {
		return true
	}
	if f.refused() {
		return false
	}
	allowed, reason := f.came()
	if allowed || o.allowed {
		return allowed != o.allowed
	}
	return f.ending == audit.EndingDenied && reason != o.reason && !(o.reason == audit.ReasonMFARequired && f.weak())
}

// weak reports whether the flow was denied because the second factor that was had did not weigh enough. When that one was remembered no
// decision names it, so that a replay finds none at all: for the person it is the same.
func (f *facts) weak() bool {
	return f.ended.Reason == audit.ReasonEvidenceTooWeak && slices.ContainsFunc(f.ended.Demands, func(d audit.Demand) bool {
		return d.Kind == policy.DemandMFA && !d.Met && d.Reason == audit.ReasonEvidenceTooWeak
	})
}

// checked are the factors that are enrolled here; of the others nobody knows who has them.
var checked = []string{audit.FactorTOTP, audit.FactorRecoveryCode}

// enrolment is which factors the person had, as far as it bears on a grace for those who have none: what the flow shows of them, or
// its decision. What neither tells is doubtful.
func (r *replay) enrolment(m *move) policy.Enrolment {
	mfa := r.frozen.Demands.MFA
	known := policy.Enrolment{Known: true}
	if mfa == nil || !r.in.Now.Before(r.frozen.GraceUntil) {
		return known
	}
	var asked []string
	for _, c := range checked {
		if mfa.Factors == nil || slices.Contains(mfa.Factors, c) {
			asked = append(asked, c)
		}
	}
	for i := range r.shown {
		if f := r.shown[i].Factor; slices.Contains(asked, f) {
			known.Factors = append(known.Factors, f)
		}
	}
	if len(asked) == 0 || len(known.Factors) > 0 || r.f.excused(m, asked) {
		return known
	}
	r.doubt = true
	if !r.trust {
		known.Factors = asked
	}
	return known
}

// excused reports whether a decision excused the account at a step for having none of these factors: that of the end, which holds for
// what was before, or at the binding its own, where the account was known by then. Who was excused first and not in the end may have
// enrolled at any step in between.
func (f *facts) excused(at *move, factors []string) bool {
	return excuses(f.ended, factors) || at.shown.Step == f.boundBy && f.subject.AccountID != "" && excuses(f.bound, factors)
}

func excuses(d *audit.Decision, factors []string) bool {
	return !d.GraceUntil.IsZero() && slices.ContainsFunc(d.Demands, func(m audit.Demand) bool {
		return m.Kind == policy.DemandMFA && (len(m.Factors) == 0 || !slices.ContainsFunc(factors, func(x string) bool { return !slices.Contains(m.Factors, x) }))
	})
}

// byRule reports whether a rule or the default decided.
func (o *outcome) byRule() bool {
	return o.source == policy.SourceRule || o.source == policy.SourceDefault
}
