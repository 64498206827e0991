package authflow

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

func TestEveryReportableTypeIsAMove(t *testing.T) {
	for _, info := range audit.Types() {
		m, ok := stepMove(info.Type)
		if ok != info.Reportable {
			t.Errorf("%s: reportable %v, but a move %v", info.Type, info.Reportable, ok)
		}
		if ok && (m == MoveProve) != info.Binds {
			t.Errorf("%s: binds %v, but its move is %v", info.Type, info.Binds, m)
		}
		if f, _ := family(info.Type); ok && f != info.Family {
			t.Errorf("%s: family %q, the catalogue says %q", info.Type, f, info.Family)
		}
	}
}

func TestTransitionsCoverEveryPhaseAndMove(t *testing.T) {
	rows := Transitions()
	if len(rows) != 5*int(moveCount) {
		t.Fatalf("%d rows", len(rows))
	}
	for _, r := range rows {
		live := r.Phase == PhaseOpen || r.Phase == PhaseBound || r.Phase == PhaseGranted
		switch {
		case r.Effect >= effectCount || r.Effect.String() == "UNKNOWN" || r.Move.String() == "UNKNOWN" || r.Phase.String() == "UNKNOWN":
			t.Errorf("%+v has no name", r)
		case r.Phase == PhaseEnded && (r.Effect != EffectEnded || r.Gates != 0):
			t.Errorf("an ended flow moves: %v %v", r.Move, r.Effect)
		case live && r.Move != MoveStart && r.Gates&(GateDeadline|GateMark) != GateDeadline|GateMark:
			t.Errorf("%v %v is let past the deadline or the mark", r.Phase, r.Move)
		case r.Effect == EffectBind && r.Phase != PhaseOpen:
			t.Errorf("%v binds in %v", r.Move, r.Phase)
		}
	}
}

// probe is one cell of the exhaustive test.
type probe struct {
	phase    Phase
	in       string // a step type, or start, complete, refuse, cancel, tick
	evidence audit.Evidence
	other    bool // the step names somebody else
	late     bool // at the deadline
	marked   bool
	stop     string
}

// expected is what the design says about a probe, in its own words rather than the table's.
type expected struct {
	err    string
	ending audit.Ending
	reason string
	phase  Phase
	steps  int // how many more
}

var stops = map[string]func(*policy.Organization){
	"":             func(*policy.Organization) {},
	"organization": func(o *policy.Organization) { o.Disabled = true },
	"site":         func(o *policy.Organization) { o.Sites[0].Disabled = true },
	"site gone":    func(o *policy.Organization) { o.Sites = nil },
	"network": func(o *policy.Organization) {
		o.Policy.Stops.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	},
	"connection": func(o *policy.Organization) { o.Connections[0].Disabled = true },
	"external":   func(o *policy.Organization) { o.Policy.Stops.External = true },
}

var stopReasons = map[string]string{
	"organization": audit.ReasonSiteDisabled, "site": audit.ReasonSiteDisabled, "site gone": audit.ReasonSiteDisabled,
	"network": audit.ReasonNetworkBlocked, "connection": audit.ReasonConnectionDisabled, "external": audit.ReasonOrganizationBlocksExternal,
}

func (p probe) want() expected {
	live := p.phase == PhaseOpen || p.phase == PhaseBound || p.phase == PhaseGranted
	move, isStep := stepMove(audit.Type(p.in))
	switch {
	case p.phase == PhaseNone && p.in != "start":
		return expected{err: ErrFlowNotFound}
	case p.phase == PhaseEnded:
		return expected{err: ErrFlowEnded}
	case p.in == "start" && live:
		return expected{err: ErrFlowExists}
	case p.in == "start" && p.bites(false):
		return expected{ending: audit.EndingDenied, reason: stopReasons[p.stop], phase: PhaseEnded, steps: 2}
	case p.in == "start":
		return expected{phase: PhaseOpen, steps: 1}
	case p.late:
		return p.lapsed(audit.EndingAbandoned)
	case p.marked:
		return p.lapsed(audit.EndingSuperseded)
	case p.in == "tick":
		return expected{phase: p.phase}
	case p.in == "name" && p.bites(p.phase != PhaseOpen):
		return expected{ending: audit.EndingDenied, reason: stopReasons[p.stop], phase: PhaseEnded, steps: 1}
	case p.in == "name" && p.phase == PhaseOpen:
		return expected{err: ErrNotBound}
	case p.in == "name":
		return expected{err: ErrAccountKnown}
	case p.in == "cancel":
		return expected{ending: audit.EndingCancelled, phase: PhaseEnded, steps: 1}
	case p.in == "refuse":
		return expected{ending: audit.EndingDenied, reason: audit.ReasonNotInvited, phase: PhaseEnded, steps: 1}
	case p.in == string(audit.TypeSessionReused) && p.evidence == audit.EvidenceVerified:
		return expected{err: ErrEvidence}
	}
	if !isStep { // complete
		return p.completed()
	}
	mfa := move == MoveFactorNote || move == MoveFactorReject || move == MoveFactorProve
	if mfa && p.phase == PhaseOpen {
		if p.bites(false) {
			return expected{ending: audit.EndingDenied, reason: stopReasons[p.stop], phase: PhaseEnded, steps: 1}
		}
		return expected{err: ErrNotBound}
	}
	if p.bites(p.phase != PhaseOpen || move == MoveProve) {
		return expected{ending: audit.EndingDenied, reason: stopReasons[p.stop], phase: PhaseEnded, steps: 2}
	}
	after := expected{phase: p.phase, steps: 1}
	switch {
	case move == MoveProve && p.phase == PhaseOpen:
		after.phase = PhaseBound
	case move == MoveFactorProve && p.phase == PhaseBound && !p.other:
		after.phase = PhaseGranted
	}
	return after
}

func (p probe) lapsed(e audit.Ending) expected {
	if p.phase == PhaseGranted {
		return expected{ending: e, reason: audit.ReasonNotConfirmed, phase: PhaseEnded, steps: 1}
	}
	return expected{ending: e, phase: PhaseEnded, steps: 1}
}

func (p probe) completed() expected {
	end := func(e audit.Ending, reason string) expected {
		return expected{ending: e, reason: reason, phase: PhaseEnded, steps: 1}
	}
	switch {
	case p.bites(p.phase != PhaseOpen):
		return end(audit.EndingDenied, stopReasons[p.stop])
	case p.phase == PhaseOpen:
		return end(audit.EndingFailed, audit.ReasonNothingProven)
	case p.phase == PhaseBound:
		return end(audit.EndingDenied, audit.ReasonMFARequired)
	}
	return end(audit.EndingSucceeded, "")
}

// bites says whether the stop ends the flow on this input, for a subject that is bound or not.
func (p probe) bites(bound bool) bool {
	switch p.stop {
	case "":
		return false
	case "connection":
		f, _ := family(audit.Type(p.in))
		return f == audit.FamilySSO // alice is bound by password
	case "external":
		return bound
	}
	return true
}

func (p probe) input(t *testing.T) Input {
	switch p.in {
	case "start":
		return starts(t, external(t))
	case "complete":
		return finishes(ActionComplete)
	case "refuse":
		return finishes(ActionRefuse)
	case "cancel":
		return finishes(ActionCancel)
	case "tick":
		return Input{Kind: KindTick}
	case "name":
		return Input{Kind: KindName, Name: &Naming{AccountID: alice, NewAccount: true}}
	}
	account := alice
	if p.other {
		account = mallory
	}
	in := reports(audit.Type(p.in), account)
	in.Step.Evidence = p.evidence
	if p.evidence == audit.EvidenceVerified {
		in.Step.Checks = []string{"signature"}
	}
	return in
}

func TestEveryInputInEveryPhaseDoesWhatTheDesignSays(t *testing.T) {
	inputs := []string{"start", "complete", "refuse", "cancel", "tick", "name"}
	for _, typ := range stepTypes() {
		inputs = append(inputs, string(typ))
	}
	count := 0
	for phase := PhaseNone; phase <= PhaseEnded; phase++ {
		for _, in := range inputs {
			for stop := range stops {
				for bits := range 16 {
					p := probe{phase: phase, in: in, stop: stop, other: bits&1 > 0, late: bits&2 > 0, marked: bits&4 > 0,
						evidence: audit.EvidenceAsserted}
					if bits&8 > 0 {
						p.evidence = audit.EvidenceVerified
					}
					count++
					tryProbe(t, p)
				}
			}
		}
	}
	if count < 5*20*7*16 {
		t.Fatalf("only %d probes", count)
	}
}

func tryProbe(t *testing.T, p probe) {
	t.Helper()
	d := at(t, p.phase)
	d.org = changed(d.org, stops[p.stop])
	d.marked = p.marked
	if p.late {
		d.now = d.now.Add(DefaultLifetime)
	}
	before, had := d.s, append([]Step(nil), d.s.Steps...)
	err := d.try(p.input(t))
	name := fmt.Sprintf("%+v", p)
	if !reflect.DeepEqual(before.Steps, had) {
		t.Fatalf("%s: the state that was put in has changed", name)
	}
	w := p.want()
	if w.err != "" {
		if !errs.Is(err, w.err) {
			t.Fatalf("%s: want %s, got %v", name, w.err, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("%s: refused: %v", name, err)
	}
	got := expected{ending: d.s.Ending, reason: d.s.Reason, phase: d.s.Phase, steps: len(d.s.Steps) - len(had)}
	if got != w {
		t.Fatalf("%s:\nwant %+v\ngot  %+v", name, w, got)
	}
	if d.last.Changed != (w.steps > 0) {
		t.Fatalf("%s: changed %v with %d steps", name, d.last.Changed, w.steps)
	}
	checkFlow(t, d)
}

// checkFlow fails the test when something is not as it is with every flow at every moment.
func checkFlow(t testing.TB, d *driver) {
	t.Helper()
	if problem := d.wrong(); problem != "" {
		t.Fatalf("%s, %v %v after %d steps", problem, d.s.Phase, d.s.Ending, len(d.s.Steps))
	}
}

// wrong names the first promise that the flow or the last answer on it breaks, "" when none is.
func (d *driver) wrong() string {
	switch m := &d.last; {
	case m.Verdict == audit.VerdictAllow && (d.s.Bound == nil || d.s.Bound.AccountID == ""):
		return "somebody unknown was allowed"
	case m.Verdict == audit.VerdictAllow && d.s.Phase != PhaseGranted && d.s.Ending != audit.EndingSucceeded:
		return "ALLOW was said and not granted"
	case d.s.Phase == PhaseGranted && m.Changed && m.Verdict != audit.VerdictAllow:
		return "granted, and not told ALLOW"
	case m.Verdict != audit.VerdictContinue && len(m.Next) > 0:
		return "something is next although it is decided"
	}
	return wrong(&d.s, d.events)
}

// wrong names the first invariant a flow breaks, "" when it breaks none. events are all that were ever emitted for it.
func wrong(s *State, events []audit.Event) string {
	rejections, emitted := 0, 0
	var before time.Time
	ids := map[string]bool{}
	for i := range s.Steps {
		e := s.Steps[i].Event
		last := i == len(s.Steps)-1
		_, isRejection := map[audit.Type]bool{audit.TypePasswordRejected: true, audit.TypePasswordlessRejected: true,
			audit.TypeSocialRejected: true, audit.TypeSSORejected: true, audit.TypeMFARejected: true, audit.TypeSessionRejected: true}[e.Type]
		if isRejection {
			rejections++
		}
		switch {
		case e.Step != i+1:
			return fmt.Sprintf("step %d stands at place %d", e.Step, i+1)
		case (e.Type == audit.TypeSignInStarted) != (i == 0):
			return fmt.Sprintf("step %d is %s", e.Step, e.Type)
		case (e.Ending != audit.EndingNone) != (last && s.Phase == PhaseEnded):
			return fmt.Sprintf("step %d: ending %v in phase %v", e.Step, e.Ending, s.Phase)
		case e.ID == "" || ids[e.ID]:
			return "an event has no id of its own"
		case e.Time.Before(before):
			return fmt.Sprintf("time runs backwards at step %d", e.Step)
		case e.Outcome != audit.OutcomeOf(e.Type):
			return fmt.Sprintf("%s has outcome %v", e.Type, e.Outcome)
		case s.Steps[i].Released != s.Recorded:
			return fmt.Sprintf("step %d: released %v on a flow recorded %v", e.Step, s.Steps[i].Released, s.Recorded)
		case s.Bound != nil && e.Outcome == audit.OutcomeSuccess && e.Personal.AccountID != "" && e.Personal.AccountID != s.Bound.AccountID:
			return fmt.Sprintf("step %d proves %q", e.Step, e.Personal.AccountID)
		case !reasonFits(e):
			return fmt.Sprintf("%s may not carry %q", e.Type, e.Reason)
		}
		before, ids[e.ID] = e.Time, true
		if s.Recorded {
			if emitted >= len(events) || events[emitted].ID != e.ID || events[emitted].Step != e.Step {
				return fmt.Sprintf("the event of step %d was not emitted in its place", e.Step)
			}
			emitted++
		}
	}
	switch {
	case emitted != len(events):
		return fmt.Sprintf("%d events for %d steps", len(events), emitted)
	case len(s.Steps) > MaxSteps || len(s.Steps) == MaxSteps && s.Phase != PhaseEnded:
		return fmt.Sprintf("%d steps in phase %v", len(s.Steps), s.Phase)
	case rejections != s.Rejections || rejections > MaxRejections || rejections == MaxRejections && s.Phase != PhaseEnded:
		return fmt.Sprintf("%d rejections, %d counted, in phase %v", rejections, s.Rejections, s.Phase)
	case s.Proven != (s.Bound != nil) || (s.Phase == PhaseBound || s.Phase == PhaseGranted) && s.Bound == nil || s.Phase == PhaseOpen && s.Bound != nil:
		return fmt.Sprintf("bound %v, proven %v, in phase %v", s.Bound != nil, s.Proven, s.Phase)
	case s.Phase == PhaseEnded && len(s.Steps[len(s.Steps)-1].Event.Steps) != len(s.Steps)-1:
		return "the ending does not list every step"
	}
	return ""
}

func reasonFits(e *audit.Event) bool {
	what := e.Method
	if e.Factor != "" {
		what = e.Factor
	}
	if e.Ending != audit.EndingNone {
		what = ""
	}
	return audit.ValidReason(e.Type, what, e.Reason, e.Evidence) || e.Ending != audit.EndingNone && audit.ValidReason(e.Type, "", e.Reason, audit.EvidenceAsserted)
}
