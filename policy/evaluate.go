package policy

import (
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// skew is how far in this process's future a step may lie and still be fresh: clocks of two processes differ a little.
const skew = 2 * time.Minute

// measured is what became of a set of demands.
type measured struct {
	list    [7]audit.Demand
	n       int
	verdict audit.Verdict
	reason  string
	grace   bool // an unmet MFA demand is excused
}

// Evaluate measures the frozen demands against in.Shown and says what is still missing. The verdict is DENY for a block,
// ALLOW when somebody was proven and every demand is met (or excused by enrolment grace), else CONTINUE with the first unmet
// demand's reason in the order method, SSO, evidence, MFA, re-verification; next names moves that meet what is missing and
// is empty unless the verdict is CONTINUE. It looks at in.Shown, in.Enrolment, in.Now and the connections of in.Organization
// only; stops are Stopped's. A zero Frozen denies.
func Evaluate(f Frozen, in Input) (audit.Decision, []Next) {
	d := f.Decision
	d.Advisory, d.GraceUntil, d.WouldBe = false, time.Time{}, nil
	d.Verdict, d.Reason, d.Demands = audit.VerdictDeny, audit.ReasonPolicyUnreadable, nil
	if d.Source == "" {
		d.Source = SourceUnreadable
		return d, nil
	}
	m := measure(&f.Demands, f.GraceUntil, &in)
	d.Verdict, d.Reason, d.Demands = m.verdict, m.reason, m.demands()
	if d.Source == SourceUnreadable && m.verdict == audit.VerdictDeny {
		d.Reason = audit.ReasonPolicyUnreadable
		for i := range d.Demands {
			d.Demands[i].Reason = audit.ReasonPolicyUnreadable
		}
	}
	if m.grace {
		d.GraceUntil = f.GraceUntil
	}
	if f.HasWouldBe {
		w := measure(&f.WouldBe, f.WouldGrace, &in)
		d.WouldBe = &audit.WouldBe{Verdict: w.verdict, Rule: f.WouldBeRule, Reason: w.reason}
	}
	if d.Verdict != audit.VerdictContinue {
		return d, nil
	}
	return d, missing(&m, &f.Demands, &in)
}

func (m *measured) demands() []audit.Demand {
	if m.n == 0 {
		return nil
	}
	return slices.Clone(m.list[:m.n])
}

// add notes a demand; an unmet one with a reason holds the verdict back.
func (m *measured) add(d audit.Demand) {
	m.list[m.n] = d
	m.n++
}

func measure(d *Demands, graceUntil time.Time, in *Input) measured {
	var m measured
	if d.Block {
		m.add(audit.Demand{Kind: DemandBlock, Reason: audit.ReasonOrganizationBlocksExternal})
		m.verdict, m.reason = audit.VerdictDeny, audit.ReasonOrganizationBlocksExternal
		return m
	}
	if d.Methods != nil {
		m.add(measureMethod(d, in))
	}
	if d.SSOConnection != "" {
		m.add(measureSSO(d, in))
		m.add(measureEvidence(d, in))
	}
	if d.MFA != nil {
		m.add(measureMFA(d, in))
		m.grace = !m.list[m.n-1].Met && in.Now.Before(graceUntil) && !in.Now.IsZero() && !enrolled(d.MFA, in.Enrolment)
	}
	if d.Reverify > 0 {
		m.add(measureFresh(DemandReverification, d.Reverify, in, false))
	}
	if d.SessionLength > 0 {
		m.add(measureFresh(DemandSessionLength, d.SessionLength, in, true))
	}
	m.conclude(proven(in.Shown))
	return m
}

// conclude finds the first unmet demand that nothing excuses.
func (m *measured) conclude(proven bool) {
	m.verdict = audit.VerdictAllow
	if !proven {
		m.verdict = audit.VerdictContinue
	}
	best := rank("")
	for i := range m.n {
		d := &m.list[i]
		if d.Met || d.Kind == DemandMFA && m.grace {
			continue
		}
		m.verdict = audit.VerdictContinue
		if r := rank(d.Reason); r < best {
			best, m.reason = r, d.Reason
		}
	}
}

// binds reports whether a method is of a kind that proves somebody: factors alone do not.
func (s *Shown) binds() bool { return s.Method != "" && s.Method != audit.MethodToken }

func proven(shown []Shown) bool {
	return slices.ContainsFunc(shown, func(s Shown) bool { return s.binds() })
}

// allows reports whether the methods of d take this step, and whether its evidence is enough for the entry that takes it.
func (d *Demands) allows(s *Shown) (listed, enough bool) {
	if d.Methods == nil {
		return true, true
	}
	for _, token := range d.Methods {
		method, connection := splitToken(token)
		if method != s.Method || connection != "" && connection != s.Connection {
			continue
		}
		listed = true
		if method != audit.MethodSSO || connection == "" || s.Evidence >= d.ssoEvidence() {
			return true, true
		}
	}
	return listed, false
}

// splitToken splits "sso:NAME". Tokens were validated when the policy was written.
func splitToken(token string) (method, connection string) {
	for i := range len(token) {
		if token[i] == ':' {
			return token[:i], token[i+1:]
		}
	}
	return token, ""
}

// demandedSSO reports whether a step is single sign-on through the demanded connection.
func (d *Demands) demandedSSO(s *Shown) bool {
	return s.Method == audit.MethodSSO && s.Connection == d.SSOConnection
}

func (d *Demands) ssoEvidence() audit.Evidence {
	if d.SSOEvidence == audit.EvidenceUnspecified {
		return audit.EvidenceVerified
	}
	return d.SSOEvidence
}

func measureMethod(d *Demands, in *Input) audit.Demand {
	demand := audit.Demand{Kind: DemandMethod}
	for i := range in.Shown {
		s := &in.Shown[i]
		if !s.binds() {
			continue
		}
		listed, enough := d.allows(s)
		switch {
		case enough && d.SSOConnection != "" && !d.demandedSSO(s):
			// Each step stands for itself: one that is allowed and another that is the demanded sign-on do not add up.
			demand.Reason = audit.ReasonSSORequired
		case enough:
			return audit.Demand{Kind: DemandMethod, Met: true, MetByStep: s.Step}
		case listed:
			demand.Reason = audit.ReasonEvidenceTooWeak
		case demand.Reason == "":
			demand.Reason = audit.ReasonMethodNotAllowed
		}
	}
	return demand
}

func measureSSO(d *Demands, in *Input) audit.Demand {
	demand := audit.Demand{Kind: DemandSSO, Connection: d.SSOConnection, Reason: audit.ReasonSSORequired}
	for i := range in.Shown {
		if s := &in.Shown[i]; d.demandedSSO(s) {
			demand.Met, demand.MetByStep, demand.Reason = true, s.Step, ""
			if s.Evidence >= d.ssoEvidence() {
				return demand
			}
		}
	}
	return demand
}

func measureEvidence(d *Demands, in *Input) audit.Demand {
	demand := audit.Demand{Kind: DemandEvidence, Connection: d.SSOConnection, Evidence: d.ssoEvidence(), Reason: audit.ReasonEvidenceTooWeak}
	for i := range in.Shown {
		s := &in.Shown[i]
		if d.demandedSSO(s) && s.Evidence >= d.ssoEvidence() {
			demand.Met, demand.MetByStep, demand.Reason = true, s.Step, ""
			return demand
		}
	}
	return demand
}

// measureFresh looks for the newest credential. A session is none for re-verification; for the length of a session it
// counts with the time somebody last signed in, which is its At.
func measureFresh(kind string, most time.Duration, in *Input, sessions bool) audit.Demand {
	demand := audit.Demand{Kind: kind, MaxAge: most, Reason: audit.ReasonReverificationRequired}
	var newest *Shown
	for i := range in.Shown {
		s := &in.Shown[i]
		if s.Method == audit.MethodToken || s.Method == audit.MethodSession && !sessions {
			continue
		}
		if newest == nil || s.At.After(newest.At) {
			newest = s
		}
	}
	if newest != nil && fresh(newest.At, most, in.Now) {
		demand.Met, demand.MetByStep, demand.Reason = true, newest.Step, ""
	}
	return demand
}

// fresh reports whether something at the given moment is at most that old. Unknown times are not fresh.
func fresh(at time.Time, most time.Duration, now time.Time) bool {
	if at.IsZero() || now.IsZero() {
		return false
	}
	age := now.Sub(at)
	return age <= most && age >= -skew
}

// Counts reports whether a proven step counts towards the frozen demands, and if not why: ORGANIZATION_BLOCKS_EXTERNAL,
// POLICY_UNREADABLE, METHOD_NOT_ALLOWED, SSO_REQUIRED, EVIDENCE_TOO_WEAK, or MFA_REQUIRED for a factor that is not asked
// for. A step that does not count is still recorded as what happened. Age is no matter here. A session counts as a method
// and for nothing else, so under an SSO demand it does not count.
func Counts(f Frozen, shown Shown) (bool, string) {
	d := &f.Demands
	switch {
	case f.Decision.Source == "" || f.Decision.Source == SourceUnreadable && d.Block:
		return false, audit.ReasonPolicyUnreadable
	case d.Block:
		return false, audit.ReasonOrganizationBlocksExternal
	case shown.Method == "":
		return d.countsFactor(&shown)
	}
	if taken, enough := d.secondFactor(&shown); taken && enough {
		return true, "" // a method that may not open the door may still be the second factor
	}
	listed, enough := d.allows(&shown)
	if !listed {
		return false, audit.ReasonMethodNotAllowed
	}
	if d.SSOConnection != "" {
		if !d.demandedSSO(&shown) {
			return false, audit.ReasonSSORequired
		}
		enough = enough && shown.Evidence >= d.ssoEvidence()
	}
	if !enough {
		return false, audit.ReasonEvidenceTooWeak
	}
	return true, ""
}
