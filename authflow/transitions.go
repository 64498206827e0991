package authflow

import "github.com/postern-audit/postern/audit"

// Move is what an input wants to do, once its type is known.
type Move uint8

// The moves.
const (
	MoveStart        Move = iota // StartFlow
	MoveNote                     // *.started of a binding family
	MoveReject                   // *.rejected of a binding family
	MoveProve                    // *.verified of a binding family, session.reused
	MoveFactorNote               // mfa.challenged, mfa.locked
	MoveFactorReject             // mfa.rejected
	MoveFactorProve              // mfa.verified
	MoveComplete                 // FinishFlow(COMPLETE)
	MoveRefuse                   // FinishFlow(REFUSE)
	MoveCancel                   // FinishFlow(CANCEL)
	MoveTick                     // the sweeper looks
	MoveName                     // LinkAccount
	moveCount
)

// Effect is what a move does once the gates have let it through.
type Effect uint8

// The effects.
const (
	EffectNoFlow   Effect = iota // refused NotFound FLOW_NOT_FOUND
	EffectExists                 // refused FailedPrecondition FLOW_EXISTS
	EffectEnded                  // refused FailedPrecondition FLOW_ENDED
	EffectNotBound               // refused FailedPrecondition NOT_BOUND
	EffectOpen                   // the flow begins with sign_in.started
	EffectRecord                 // the step is recorded and nothing else changes
	EffectReject                 // the step is recorded and counts as a rejection; the tenth ends the flow FAILED
	EffectBind                   // the subject is bound, class, rule and demands are frozen
	EffectShow                   // the step shows something; with another subject it is recorded as SUBJECT_MISMATCH
	EffectJudge                  // COMPLETE: FAILED, DENIED or SUCCEEDED
	EffectDeny                   // the login service refuses: DENIED with its reason
	EffectCancel                 // CANCELLED
	EffectNone                   // nothing happens
	EffectName                   // the bound identity is given its account
	effectCount
)

// Gate is what an input of a live flow meets before its effect.
type Gate uint8

// The gates, in their order. Each ends the flow when it closes.
const (
	GateDeadline Gate = 1 << iota // the deadline has come: ABANDONED, the input is not recorded
	GateMark                      // a newer flow took its place: SUPERSEDED, the input is not recorded
	GateStop                      // a stop bites: DENIED; a step that happened is recorded first
)

// Transition is one row of the machine.
type Transition struct {
	Phase  Phase
	Move   Move
	Gates  Gate
	Effect Effect
}

// effects is the machine: what a move does in a phase.
var effects = [PhaseEnded + 1][moveCount]Effect{
	PhaseNone: {MoveStart: EffectOpen}, // everything else: EffectNoFlow
	PhaseOpen: {
		MoveStart: EffectExists, MoveNote: EffectRecord, MoveReject: EffectReject, MoveProve: EffectBind,
		MoveFactorNote: EffectNotBound, MoveFactorReject: EffectNotBound, MoveFactorProve: EffectNotBound,
		MoveComplete: EffectJudge, MoveRefuse: EffectDeny, MoveCancel: EffectCancel, MoveTick: EffectNone, MoveName: EffectNotBound,
	},
	PhaseBound:   bound,
	PhaseGranted: bound,
	PhaseEnded: {
		EffectEnded, EffectEnded, EffectEnded, EffectEnded, EffectEnded, EffectEnded, EffectEnded, EffectEnded, EffectEnded,
		EffectEnded, EffectEnded, EffectEnded,
	},
}

// bound is what moves do once somebody is bound. GRANTED differs in nothing but what gates write: NOT_CONFIRMED.
var bound = [moveCount]Effect{
	MoveStart: EffectExists, MoveNote: EffectRecord, MoveReject: EffectReject, MoveProve: EffectShow,
	MoveFactorNote: EffectRecord, MoveFactorReject: EffectReject, MoveFactorProve: EffectShow,
	MoveComplete: EffectJudge, MoveRefuse: EffectDeny, MoveCancel: EffectCancel, MoveTick: EffectNone, MoveName: EffectName,
}

// gatesOf returns which gates a move of a live flow passes. A refusal or a call-off of the login service is taken as it is,
// stop or not; the sweeper is no call, so that it finds no stops.
func gatesOf(p Phase, m Move) Gate {
	switch {
	case p == PhaseNone && m == MoveStart:
		return GateStop
	case p == PhaseNone || p >= PhaseEnded || m == MoveStart:
		return 0
	case m == MoveRefuse || m == MoveCancel || m == MoveTick:
		return GateDeadline | GateMark
	}
	return GateDeadline | GateMark | GateStop
}

// Transitions returns the whole machine, every phase with every move, in order.
func Transitions() []Transition {
	out := make([]Transition, 0, int(PhaseEnded+1)*int(moveCount))
	for p := PhaseNone; p <= PhaseEnded; p++ {
		for m := range moveCount {
			out = append(out, Transition{Phase: p, Move: m, Gates: gatesOf(p, m), Effect: effects[p][m]})
		}
	}
	return out
}

// stepMove returns the move of a reportable step type, false for every other type.
func stepMove(t audit.Type) (Move, bool) {
	switch t {
	case audit.TypePasswordlessStarted, audit.TypeSocialStarted, audit.TypeSSOStarted:
		return MoveNote, true
	case audit.TypePasswordRejected, audit.TypePasswordlessRejected, audit.TypeSocialRejected, audit.TypeSSORejected,
		audit.TypeSessionRejected:
		return MoveReject, true
	case audit.TypePasswordVerified, audit.TypePasswordlessVerified, audit.TypeSocialVerified, audit.TypeSSOVerified,
		audit.TypeSessionReused:
		return MoveProve, true
	case audit.TypeMFAChallenged, audit.TypeMFALocked:
		return MoveFactorNote, true
	case audit.TypeMFARejected:
		return MoveFactorReject, true
	case audit.TypeMFAVerified:
		return MoveFactorProve, true
	default:
		return 0, false
	}
}

// family returns the family of a step type and the method token its events carry when the type alone decides it.
func family(t audit.Type) (f audit.Family, method string) {
	switch t {
	case audit.TypePasswordVerified, audit.TypePasswordRejected:
		return audit.FamilyPassword, audit.MethodPassword
	case audit.TypePasswordlessStarted, audit.TypePasswordlessVerified, audit.TypePasswordlessRejected:
		return audit.FamilyPasswordless, ""
	case audit.TypeSocialStarted, audit.TypeSocialVerified, audit.TypeSocialRejected:
		return audit.FamilySocial, audit.MethodSocial
	case audit.TypeSSOStarted, audit.TypeSSOVerified, audit.TypeSSORejected:
		return audit.FamilySSO, audit.MethodSSO
	case audit.TypeMFAChallenged, audit.TypeMFAVerified, audit.TypeMFARejected, audit.TypeMFALocked:
		return audit.FamilyMFA, ""
	case audit.TypeSessionReused, audit.TypeSessionRejected:
		return audit.FamilySession, audit.MethodSession
	default:
		return audit.FamilyNone, ""
	}
}

// rejection returns the type under which a proof of another subject is recorded.
func rejection(t audit.Type) audit.Type {
	switch t {
	case audit.TypePasswordVerified:
		return audit.TypePasswordRejected
	case audit.TypePasswordlessVerified:
		return audit.TypePasswordlessRejected
	case audit.TypeSocialVerified:
		return audit.TypeSocialRejected
	case audit.TypeSSOVerified:
		return audit.TypeSSORejected
	case audit.TypeMFAVerified:
		return audit.TypeMFARejected
	case audit.TypeSessionReused:
		return audit.TypeSessionRejected
	default:
		return t
	}
}

// String returns the documented name, such as OPEN; NONE before the start.
func (p Phase) String() string {
	return name(p, "NONE", "OPEN", "BOUND", "GRANTED", "ENDED")
}

// String returns the move's name, such as PROVE.
func (m Move) String() string {
	return name(m, "START", "NOTE", "REJECT", "PROVE", "FACTOR_NOTE", "FACTOR_REJECT", "FACTOR_PROVE", "COMPLETE", "REFUSE", "CANCEL", "TICK", "NAME")
}

// String returns the effect's name, such as BIND.
func (e Effect) String() string {
	return name(e, "NO_FLOW", "EXISTS", "ENDED", "NOT_BOUND", "OPEN", "RECORD", "REJECT", "BIND", "SHOW", "JUDGE", "DENY", "CANCEL", "NONE", "NAME")
}

func name[T ~uint8](n T, names ...string) string {
	if int(n) < len(names) {
		return names[n]
	}
	return "UNKNOWN"
}
