package policy

import "github.com/postern-audit/postern/audit"

// Classify says who the subject is to org.
func Classify(org *Organization, site *Site, subject Subject, records Records) (audit.Class, audit.ClassBasis, []audit.Condition) {
	return audit.ClassUndetermined, audit.ClassBasis{By: "NOTHING"}, nil
}

// Bind decides class, rule and demands for a subject that has just been bound.
func Bind(in Input) Frozen { return Frozen{} }

// Advise decides for a flow that nobody is bound to: the verdict is always CONTINUE.
func Advise(in Input) (audit.Decision, []Next) {
	return audit.Decision{Verdict: audit.VerdictContinue}, nil
}

// Evaluate measures frozen demands against what in.Shown holds.
func Evaluate(f Frozen, in Input) (audit.Decision, []Next) {
	return audit.Decision{Verdict: audit.VerdictDeny}, nil
}

// Counts reports whether a proven step counts towards the frozen demands, and if not why.
func Counts(f Frozen, shown Shown) (bool, string) { return false, "METHOD_NOT_ALLOWED" }

// Stopped returns the stop that bites, nil when none does. (Stops, the type, is the section of the policy.)
func Stopped(in Input, bound bool, class audit.Class) *Stop { return nil }

// Result is everything Decide found.
type Result struct {
	Decision audit.Decision
	Next     []Next
	Frozen   Frozen // zero for an unbound subject
	Stop     *Stop
}

// Decide is the whole decision at once: bound when in.Context.Method or in.Shown is given, advisory otherwise.
func Decide(in Input) Result { return Result{} }
