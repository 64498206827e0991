package authflow

import (
	"net/netip"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// judge sets the decision and what comes next: advice while nobody is bound, the frozen demands measured afterwards.
func (r *run) judge() {
	in := r.policyInput()
	switch {
	case r.s.Bound == nil:
		r.decision, r.next = policy.Advise(in)
		r.decision.Verdict = audit.VerdictContinue
	case r.s.Frozen == nil: // a state no commit of ours leaves behind: never allow on it
		r.decision, r.next = audit.Decision{Class: r.s.Class, Source: policy.SourceUnreadable}, nil
		r.decision.Verdict, r.decision.Reason = audit.VerdictDeny, audit.ReasonPolicyUnreadable
	default:
		r.measure(in)
	}
}

// measure evaluates the frozen demands at the moment that is judged. What has been granted stays granted: when a
// proof has aged since, the demands are shown as they were met.
func (r *run) measure(in policy.Input) {
	in.Shown = allShown(r.s.Steps, r.s.Bound)
	r.decision, r.next = policy.Evaluate(*r.s.Frozen, in)
	if r.s.Phase == PhaseGranted && r.decision.Verdict != audit.VerdictAllow {
		for i := range in.Shown {
			then := in
			then.Shown, then.Now = in.Shown[:i+1], r.s.Steps[in.Shown[i].Step-1].Event.Time
			if d, next := policy.Evaluate(*r.s.Frozen, then); d.Verdict == audit.VerdictAllow {
				r.decision, r.next = d, next
				break
			}
		}
	}
	if r.s.Bound.AccountID == "" && r.decision.Verdict == audit.VerdictAllow {
		r.decision.Verdict, r.decision.Reason = audit.VerdictContinue, audit.ReasonNoSubject
	}
	if r.decision.Verdict != audit.VerdictAllow && r.decision.Reason == "" {
		r.decision.Reason = audit.ReasonPolicyUnreadable // never a refusal without a reason
	}
}

// policyInput is what the policy looks at, for the subject as far as it is known.
func (r *run) policyInput() policy.Input {
	in := policy.Input{Organization: r.in.Organization, Site: r.in.Site, Now: r.judged(),
		Context: policy.Context{SiteID: r.s.Site, IP: r.ctx.IP}}
	r.recall(&in)
	if b := r.s.Bound; b != nil {
		in.Subject = policy.Subject{AccountID: b.AccountID, Address: b.Email, EmailVerified: b.EmailVerified, Kind: b.Kind}
		if b.Step >= 1 && b.Step <= len(r.s.Steps) {
			e := r.s.Steps[b.Step-1].Event
			in.Context.Method, in.Context.Connection = e.Method, e.Connection
		}
		return in
	}
	in.Subject = r.claimedSubject()
	in.Records = r.s.Claimed.Records
	return in
}

// claimedSubject is the provisional subject: what was typed, taken as it is.
func (r *run) claimedSubject() policy.Subject {
	c := &r.s.Claimed
	return policy.Subject{AccountID: c.AccountID, AccountKey: r.in.Claimed.Account, Address: c.Address, AddressKey: r.in.Claimed.Address,
		Kind: c.Kind, Typed: true}
}

// stop returns the stop that bites now: on the connection being used, or on the one that bound.
func (r *run) stop() *policy.Stop {
	in, bound := r.policyInput(), r.s.Bound != nil
	if rep := r.in.Step; rep != nil {
		used := in
		_, used.Context.Method = family(rep.Type)
		if rep.Method != "" {
			used.Context.Method = rep.Method
		}
		used.Context.Connection = rep.Connection
		if st := policy.Stopped(used, bound, r.s.Class); st != nil {
			return st
		}
		if in.Context.Connection == "" || in.Context.Connection == rep.Connection && !r.removed() {
			return nil
		}
	}
	if r.removed() {
		return &policy.Stop{Reason: audit.ReasonConnectionDisabled, Detail: "the connection was removed"}
	}
	return policy.Stopped(in, bound, r.s.Class)
}

// removed reports whether the connection that bound is no more. Another one of its name is not that one.
func (r *run) removed() bool {
	if r.s.Bound == nil || r.s.Bound.Step < 1 || r.s.Bound.Step > len(r.s.Steps) {
		return false
	}
	e := r.bindingEvent()
	c := connection(r.in.Organization, e.Connection)
	return e.Connection != "" && (c == nil || e.ConnectionUID != "" && c.UID != e.ConnectionUID)
}

// allShown lists everything the flow has proven of whom it is bound to, in order.
func allShown(steps []Step, b *Bound) []policy.Shown {
	out := make([]policy.Shown, 0, 2) // few flows prove more
	for i := range steps {
		if m, ok := stepMove(steps[i].Event.Type); ok && (m == MoveProve || m == MoveFactorProve) && b.own(steps[i].Event) {
			out = append(out, shown(steps[i].Event))
		}
	}
	return out
}

// shown is what one proof counts as. A time that was asserted can only make it older.
func shown(e *audit.Event) policy.Shown {
	at := e.Time
	if !e.AuthenticatedAt.IsZero() && e.AuthenticatedAt.Before(at) {
		at = e.AuthenticatedAt
	}
	return policy.Shown{Step: e.Step, Method: e.Method, Connection: e.Connection, Factor: e.Factor, Evidence: e.Evidence, At: at,
		UserVerified: e.UserVerified != nil && *e.UserVerified, PartnerAMR: e.Personal.AMR, PartnerACR: e.Personal.ACR}
}

// late reports whether the event being made is reported long after it happened.
func (r *run) late() bool { return r.at.Before(r.now.Add(-LateAfter)) }

// lastContext is where the step before came from.
func (r *run) lastContext() Context {
	n := len(r.s.Steps)
	if n == 0 {
		return Context{}
	}
	e := r.s.Steps[n-1].Event
	ip, err := netip.ParseAddr(e.Personal.IP)
	if err != nil {
		ip = netip.Addr{}
	}
	return Context{IP: ip, UserAgent: e.Personal.UserAgent, DeviceID: e.Personal.DeviceID, Client: e.Client}
}

// TallyOpened is the field every flow raises when it starts.
const TallyOpened = "opened"

// TallyField is the field a flow raises when it ends: "EXTERNAL:SUCCEEDED:true", with whether it is on the record.
func TallyField(c audit.Class, e audit.Ending, recorded bool) string {
	if recorded {
		return c.String() + ":" + e.String() + ":true"
	}
	return c.String() + ":" + e.String() + ":false"
}
