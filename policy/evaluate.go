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
// is empty unless the verdict is CONTINUE. Stops are Stopped's. A zero Frozen denies. Of in, the rules and the subject are not
// looked at: they were frozen.
//
// Remembered proofs count, as far as Usable lets them, for demands with an age and for nothing else:
//   - MFA with max_age: the newest proof of a factor that is taken, with enough evidence. Without max_age only the steps of
//     this flow count.
//   - Re-verification: the newest credential of a method the rule allows, or factor. A session or token is none.
//   - SSO and its evidence, where the rule demands re-verification: single sign-on through that connection within that time
//     backs a session or token that is used now. A password or another method is not made up for by memory.
//   - Session length: of a session it is counted from when the person gave a credential, and memory does not prolong it; a
//     token has no such time, so the newest proof says.
//
// What this flow has shown itself comes first; a demand met by memory names the proof (MetByProof) and no step.
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
		m.add(measureFresh(DemandReverification, d.Reverify, d, in))
	}
	if d.SessionLength > 0 {
		m.add(measureFresh(DemandSessionLength, d.SessionLength, d, in))
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

// binds reports whether a step is of a kind that proves somebody: factors alone do not.
func (s *Shown) binds() bool { return s.Method != "" }

// continues reports whether a step goes on from an earlier sign-in instead of showing a credential.
func (s *Shown) continues() bool {
	return s.Method == audit.MethodSession || s.Method == audit.MethodToken
}

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

// rememberedSSO returns the newest proof of the demanded single sign-on, with at least that evidence, that backs a session or
// token; nil without one. Only a rule that says how old it may be is content with memory.
func (d *Demands) rememberedSSO(in *Input, least audit.Evidence) *Proof {
	if d.Reverify <= 0 || !slices.ContainsFunc(in.Shown, func(s Shown) bool { return s.continues() }) {
		return nil
	}
	return in.newest(d.Reverify, func(s *Shown) bool { return d.demandedSSO(s) && s.Evidence >= least })
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
		case enough && d.SSOConnection != "" && !d.demandedSSO(s) && (!s.continues() || d.rememberedSSO(in, audit.EvidenceUnspecified) == nil):
			// Each step stands for itself: one that is allowed and another that is the demanded sign-on do not add up. A
			// session or token that is allowed stands for the sign-on that is remembered.
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
	weak := false
	for i := range in.Shown {
		if s := &in.Shown[i]; d.demandedSSO(s) {
			demand.Met, demand.MetByStep, demand.Reason = true, s.Step, ""
			if s.Evidence >= d.ssoEvidence() {
				return demand
			}
			weak = true
		}
	}
	p := d.rememberedSSO(in, d.ssoEvidence())
	if p == nil && !weak {
		p = d.rememberedSSO(in, audit.EvidenceUnspecified)
	}
	return metByProof(demand, p)
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
	return metByProof(demand, d.rememberedSSO(in, d.ssoEvidence()))
}

// metByProof notes the proof that met a demand; without one the demand stays as it is.
func metByProof(demand audit.Demand, p *Proof) audit.Demand {
	if p != nil {
		demand.Met, demand.MetByStep, demand.Reason, demand.MetByProof = true, 0, "", p.ref()
	}
	return demand
}

// measureFresh looks for the newest credential that is not too old: a step of this flow, else a proof.
func measureFresh(kind string, most time.Duration, d *Demands, in *Input) audit.Demand {
	demand := audit.Demand{Kind: kind, MaxAge: most, Reason: audit.ReasonReverificationRequired}
	length, session := kind == DemandSessionLength, false
	var newest *Shown
	for i := range in.Shown {
		s := &in.Shown[i]
		if s.Method == audit.MethodSession {
			session = true
		}
		// A session goes back to a credential of before: what is revoked does not keep it alive.
		if s.continues() && (!length || s.Method == audit.MethodToken || in.revoked(s.At)) || !fresh(s.At, most, in.Now) {
			continue
		}
		if newest == nil || s.At.After(newest.At) {
			newest = s
		}
	}
	if newest != nil {
		demand.Met, demand.MetByStep, demand.Reason = true, newest.Step, ""
		return demand
	}
	if length && session {
		return demand
	}
	return metByProof(demand, in.newest(most, d.credential))
}

// credential reports whether something remembered is a credential the rule would take today. The evidence is no matter.
func (d *Demands) credential(s *Shown) bool {
	if s.continues() {
		return false
	}
	listed, _ := d.allows(s)
	return s.Method == "" || listed
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
// for. A step that does not count is still recorded as what happened. Age and memory are no matter here. A session or token
// counts as a method and for nothing else: under an SSO demand it does not count, unless the rule says how old that sign-on
// may be (re-verification) and the session can stand for it.
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
	if d.SSOConnection != "" && (d.Reverify <= 0 || !shown.continues()) {
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
