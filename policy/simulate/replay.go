package simulate

import (
	"reflect"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// outcome is what a flow comes to under a draft.
type outcome struct {
	class   audit.Class
	allowed bool
	reason  string // why it is denied
	source  string // what decided: a rule, the default, a stop …
	rule    string
	demands policy.Demands // of whatever decided, stop or not
}

// replay goes through a flow as the machine of sign-ins does.
type replay struct {
	t     *trial
	f     *facts
	in    policy.Input
	trust bool // what cannot be told is taken as the person would like it
	doubt bool // something could not be told

	frozen   policy.Frozen
	binding  *move
	granted  bool
	account  string
	identity bool // an identity elsewhere is bound
	unlinked bool // identity and account are not linked: what the identity shows counts for nothing
	named    int  // step that named the account of an identity that was bound without
	shown    []showing
	proofs   []known // of other flows, and what this one adds
	verdict  audit.Verdict
	reason   string
}

// showing is one thing that was shown.
type showing struct {
	policy.Shown
	identity bool
	at       time.Time
}

// known is something remembered, as from when.
type known struct {
	policy.Proof
	later bool // only at the end
}

// decide says what becomes of a flow under a draft, with the directory records of its subject as they would be. False: the record
// cannot tell. live is what the flow would meet today, and the records of today: nil when it is the same as the draft.
func (t *trial) decide(f *facts, records policy.Records, live *trial, liveRecords policy.Records) (outcome, bool) {
	same := t.same(f, records, live, liveRecords)
	r := t.run(f, records, true, same)
	found := r.outcome(same)
	if !r.doubt || same {
		return found, true
	}
	worse := t.run(f, records, false, false).outcome(false)
	if f.vague() && !worse.allowed && worse.remembers() {
		return found, false
	}
	return found, found.allowed == worse.allowed && found.reason == worse.reason
}

// vague reports whether something is remembered of which too little is known to say whether it counts.
func (f *facts) vague() bool {
	return slices.ContainsFunc(f.proofs, func(p proof) bool { return p.vague })
}

// remembers reports whether something remembered might have changed the outcome.
func (o *outcome) remembers() bool {
	d := &o.demands
	return o.source != policy.SourceStop && o.reason != audit.ReasonNoSubject && !d.Block && (d.Reverify > 0 || d.SessionLength > 0 || d.MFA != nil && d.MFA.MaxAge > 0)
}

// same reports whether the flow was decided under the revision that is in force now and would be under the draft as it was: then
// the record says what became of it, also where it does not say why.
func (t *trial) same(f *facts, records policy.Records, live *trial, liveRecords policy.Records) bool {
	if live.org.PolicyStamp.Counter() != f.bound.PolicyRevision || f.subject.AccountID == "" || f.ended.Source == policy.SourceStop {
		return false
	}
	i := slices.IndexFunc(f.moves, func(m move) bool { return m.kind == prove })
	would := t.input(f, &f.moves[i])
	would.Records = records
	is := live.input(f, &f.moves[i])
	is.Records = liveRecords
	if would.Site == nil || is.Site == nil {
		return false
	}
	a, b := policy.Bind(would), policy.Bind(is)
	return a.SubjectClass == f.class && b.SubjectClass == f.class && a.Decision.Source == b.Decision.Source &&
		a.GraceUntil.Equal(b.GraceUntil) && reflect.DeepEqual(a.Demands, b.Demands)
}

// input is what the policy looks at when a step binds the subject.
func (t *trial) input(f *facts, m *move) policy.Input {
	in := policy.Input{Organization: t.organization(m.judged, f.bound.Source == policy.SourceSuspended), Site: t.site(f.siteUID, m.judged), Now: m.judged,
		Subject: f.subject, Context: policy.Context{SiteID: f.site, IP: m.ip}}
	in.Context.Method, in.Context.Connection = m.shown.Method, m.connection
	return in
}

// run goes through a flow. With same only stops are looked at.
func (t *trial) run(f *facts, records policy.Records, trust, same bool) *replay {
	r := &replay{t: t, f: f, trust: trust, doubt: f.unexplained()}
	for i := range f.proofs {
		p := &f.proofs[i]
		r.doubt = r.doubt || p.vague || p.later
		if !p.vague {
			r.proofs = append(r.proofs, known{p.Proof, p.later && !trust})
		}
	}
	for i := range f.moves {
		m := &f.moves[i]
		r.stand(m)
		switch {
		case m.kind == prove && r.binding == nil:
			r.bind(m, records)
		case m.kind == prove && (m.connection == "" || t.has(m.connection, m.connectionUID)):
			r.prove(m)
		case m.kind == name:
			r.name(m)
		case m.kind == join && r.unlinked: // by what no decision names, or by what the draft does not take
			r.doubt = true
			r.unlinked = !r.trust
		}
		if st := r.stop(m); st != nil {
			r.verdict, r.reason, r.frozen.Decision.Source = audit.VerdictDeny, st.Reason, policy.SourceStop
			return r
		}
		if r.binding != nil && !same {
			r.settle(m)
		}
	}
	return r
}

// outcome is what it came to.
func (r *replay) outcome(same bool) outcome {
	d := &r.frozen.Decision
	o := outcome{class: r.frozen.SubjectClass, reason: r.reason, source: d.Source, rule: d.Rule, demands: r.frozen.Demands}
	if r.binding == nil {
		o.class = r.f.class // a stop came first: nobody was looked at
	}
	switch {
	case d.Source == policy.SourceStop:
		o.rule = ""
	case same:
		o.allowed, o.reason = r.f.came()
	case r.account == "":
		o.reason = audit.ReasonNoSubject
	case r.verdict == audit.VerdictAllow, !r.f.judged() && (r.granted || r.trust && r.f.unexplained()):
		o.allowed, o.reason = true, ""
	case o.reason == "":
		o.reason = audit.ReasonPolicyUnreadable
	}
	return o
}

// stand is where the flow is when a step comes.
func (r *replay) stand(m *move) {
	in := &r.in
	in.Organization = r.t.organization(m.judged, r.f.bound.Source == policy.SourceSuspended)
	in.Site, in.Now = r.t.site(r.f.siteUID, m.judged), m.judged
	in.Context.SiteID, in.Context.IP = r.f.site, m.ip
}

func (r *replay) bind(m *move, records policy.Records) {
	in := r.t.input(r.f, m)
	in.Records = records
	r.in.Subject, r.in.Context = in.Subject, in.Context
	r.frozen = policy.Bind(in)
	r.binding, r.account, r.identity = m, m.account, m.identity
	r.show(m)
}

// prove takes a proof of the bound subject. Identity and account may come together by it.
func (r *replay) prove(m *move) {
	switch {
	case r.account == "" && m.account != "":
		r.account, r.named = m.account, m.shown.Step
		r.unlinked = r.identity && !m.identity
		r.repick(m)
	case m.identity && (!r.identity || r.unlinked):
		// Whether it was linked to the account before is not on record, unless it was linked by this very flow.
		known := r.f.united
		r.doubt = r.doubt || !known
		r.unlinked = known || !r.trust
		r.identity = true
	}
	r.show(m)
}

// name gives the bound identity its account.
func (r *replay) name(m *move) {
	if r.binding == nil || r.account != "" {
		return
	}
	r.account = m.account
	r.repick(m)
	for i := range r.shown {
		r.remember(&r.shown[i])
	}
}

// repick picks the rules anew for an identity that has its account now: they may name it. The class stays.
func (r *replay) repick(m *move) {
	r.in.Subject.AccountID, r.in.Subject.AccountKey = m.account, m.key
	if r.frozen.SubjectClass != audit.ClassExternal {
		return
	}
	in := r.in
	in.Records = policy.Records{}
	r.frozen = policy.Bind(in)
}

func (r *replay) show(m *move) {
	r.shown = append(r.shown, showing{m.shown, m.identity, m.at})
	s := &r.shown[len(r.shown)-1]
	if r.own(s) {
		r.remember(s)
	}
}

// own reports whether something shown may count for an account whose identity is not linked.
func (r *replay) own(s *showing) bool { return !r.unlinked || !s.identity && s.Step >= r.named }

// remember makes a proof of what was shown: demands with an age count it like those of other flows.
func (r *replay) remember(s *showing) {
	if r.frozen.SubjectClass != audit.ClassExternal || r.account == "" || s.Method == audit.MethodSession || s.Method == audit.MethodToken {
		return
	}
	r.proofs = append(r.proofs, known{Proof: policy.Proof{Method: s.Method, Factor: s.Factor, Connection: s.Connection, At: policy.ProvenAt(r.in.Now, s.At),
		Evidence: s.Evidence, UserVerified: s.UserVerified, PartnerAMR: s.PartnerAMR, PartnerACR: s.PartnerACR, Flow: r.f.flow, Step: s.Step}})
}

// stop returns the stop that bites at a step: on the connection that is used, or on the one that bound. What the login service
// refused or called off, and what nobody brought to its end, is not held against stops at its end.
func (r *replay) stop(m *move) *policy.Stop {
	bound := r.binding != nil
	if m.kind == end && !r.f.judged() {
		return nil
	}
	if bound && r.binding.connection != "" && !r.t.has(r.binding.connection, r.binding.connectionUID) {
		return &policy.Stop{Reason: audit.ReasonConnectionDisabled}
	}
	in := r.in
	if m.connection != "" && (!bound || m.connection != r.binding.connection) {
		in.Context.Connection = m.connection
		if st := policy.Stopped(in, bound, r.frozen.SubjectClass); st != nil {
			return st
		}
		in = r.in
	}
	return policy.Stopped(in, bound, r.frozen.SubjectClass)
}

// settle measures what the flow has shown so far. What was granted stays granted.
func (r *replay) settle(m *move) {
	r.measure(m)
	if r.verdict == audit.VerdictAllow && r.unlinked && r.unites() {
		r.unlinked = false
		r.measure(m)
	}
	if r.verdict == audit.VerdictAllow && r.account != "" {
		r.granted = true
	}
}

func (r *replay) measure(m *move) {
	in, own := r.in, make([]policy.Shown, 0, len(r.shown))
	at := make([]time.Time, 0, len(r.shown))
	for i := range r.shown {
		if s := &r.shown[i]; r.own(s) {
			own, at = append(own, s.Shown), append(at, s.at)
		}
	}
	in.Shown, in.Proofs, in.Enrolment = own, r.remembered(m), r.enrolment(m)
	d, _ := policy.Evaluate(r.frozen, in)
	r.verdict, r.reason = d.Verdict, d.Reason
	for i := range own {
		if !r.granted || r.verdict == audit.VerdictAllow {
			return
		}
		then := in
		then.Shown, then.Now = own[:i+1], at[i]
		if d, _ = policy.Evaluate(r.frozen, then); d.Verdict == audit.VerdictAllow {
			r.verdict, r.reason = d.Verdict, ""
		}
	}
}

// remembered are the proofs known at a step.
func (r *replay) remembered(m *move) []policy.Proof {
	out := make([]policy.Proof, 0, len(r.proofs))
	for i := range r.proofs {
		if p := &r.proofs[i]; !p.At.After(m.told) && (!p.later || m.kind == end) {
			out = append(out, p.Proof)
		}
	}
	return out
}

// unites reports whether what was shown of the account alone, a fresh credential among it, links the identity to it.
func (r *replay) unites() bool {
	identity, fresh := false, false
	for i := range r.shown {
		s := &r.shown[i]
		if s.Method == "" {
			continue
		}
		identity = identity || s.identity
		counts, _ := policy.Counts(r.frozen, s.Shown)
		fresh = fresh || r.own(s) && s.Method != audit.MethodSession && counts
	}
	return identity && fresh
}
