package authflow

import (
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Kind says what is put into the machine.
type Kind uint8

// The kinds of input.
const (
	KindStart  Kind = 1 // Input.Start
	KindStep   Kind = 2 // Input.Step
	KindFinish Kind = 3 // Input.Finish
	KindTick   Kind = 4 // nothing: only the deadline and the mark are looked at
	KindName   Kind = 5 // Input.Name
)

// IDs are the ids of the events one input can make, minted by the caller: its step's, the ending's, and that of a lock a
// code looked at here may begin or that of an identity's account. UUIDv7.
type IDs struct {
	Step   string
	Ending string
	Lock   string // only with Reported.Attempt
	Link   string // of what becomes of an identity's link; needed where there may be one
}

// Input is one thing put into the machine: values that are already parsed.
type Input struct {
	Kind         Kind
	Organization *policy.Organization // as it is now
	Site         *policy.Site         // the flow's site by uid; nil when the organization has it no more, which is a stop
	Caller       string
	IDs          IDs
	Marked       bool              // a newer flow took this one's place
	Claimed      policy.LookupKeys // keys of the claimed subject; needed while nobody is bound
	Named        policy.LookupKeys // keys of a bound identity with the account that the input names; needed while it has none
	// Subject is what is kept of the bound subject, or of the one the step would bind. Nil: nothing is known, nothing counts.
	Subject *SubjectRecords
	// Device makes the keyed hash under which a device is remembered; nil: devices are not told apart.
	Device func(deviceID string) [16]byte
	Start  *Opening  // with KindStart
	Step   *Reported // with KindStep
	Finish *Finish   // with KindFinish
	Name   *Naming   // with KindName
}

// Opening is what a flow begins with.
type Opening struct {
	Flow          FlowID
	SupportCode   string
	CorrelationID string
	Claimed       Claimed // Records read already
	Context       Context
	Lifetime      time.Duration // 0: DefaultLifetime
	MinLifetime   time.Duration // shortest Lifetime taken; 0: MinLifetime
	OccurredAt    time.Time     // zero: now
	InitiatedBy   string        // audit.InitiatedByIDP, or ""
}

// Reported is a step with what this process knows about it.
type Reported struct {
	StepReport                       // Subject.Identifier is not looked at
	IdentifierHash string            // keyed hash of Subject.Identifier
	Evidence       audit.Evidence    // on whose word it rests
	Checks         []string          // what was checked, with EvidenceVerified
	IdentityKey    []byte            // of a verified federated identity
	Keys           policy.LookupKeys // keys of Subject; needed on the step that binds
	Records        policy.Records    // directory records of Subject; needed on the step that binds
	Attempt        *Attempt          // a code that was looked at here; only with mfa.verified and mfa.rejected
	Session        string            // keyed hash of SessionHandle, in hex
	// Of a sign-in elsewhere that runs or was judged here.
	Begins       *Pending  // only with *.started: what was begun
	UsesUp       bool      // what was begun is used up by this step
	Links        bool      // an identity without account is linked to the bound one
	Issuer       string    // who vouches for the identity; with IdentityKey
	SubjectID    string    // its id there; with IdentityKey
	SessionEnds  time.Time // when the provider wants sessions to end; zero: not said
	Expectations string    // audit.ExpectationsCaller, or ""
	Linked       *Link     // of the identity, as it was read; nil: it has no account
}

// Attempt is a code that was looked at here: what it came to, and the authenticator as it leaves it.
type Attempt struct {
	Outcome factor.Outcome
	Next    factor.Authenticator
}

// Moved is what an input did.
type Moved struct {
	State    State
	Changed  bool          // false only on a tick that found nothing
	Events   []audit.Event // of this commit, in step order
	Verdict  audit.Verdict
	Decision audit.Decision
	Next     []policy.Next // empty once allowed, denied or ended
	Counts   *bool         // whether the step just reported counts; nil when none was or nobody is bound
	Reason   string        // why that step was rejected or does not count, or why the flow ended
	Step     int           // number of the flow's last step
	Tallies  []Tally
	// What is kept of the subject from now on; nil: as before. Both are written with the events or not at all.
	Person        *Person
	Authenticator *factor.Authenticator
	looked        bool // a code was looked at, so that the authenticator must be as it was
	// Link is what becomes of the link of the bound identity: made or kept up to date, with its event. Nil: as it was.
	Link *Link
}

// Advance is the machine: pure and total. It returns what the input does to the flow at that moment, or an error that
// refuses the call and leaves the flow as it was: an error is never an event of the flow. s is not changed and shares no
// slice that is written later. The policy is asked about now: a live flow gets in on what is fresh at this moment, whatever
// time the login service gives its steps. Only a flow that was reported after the fact (State.Late), and one that nobody
// brought to its end, is judged as of when the event happened.
func Advance(s State, in Input, now time.Time) (Moved, error) {
	move, err := in.move()
	if err != nil {
		return Moved{}, err
	}
	if s.Phase > PhaseEnded {
		return Moved{}, errs.New(errs.Internal, "STATE_UNKNOWN", "the flow is in a phase this version does not know")
	}
	var r run
	r.begin(s, in, now)
	gates, effect := gatesOf(s.Phase, move), effects[s.Phase][move]
	switch {
	case gates&GateDeadline != 0 && !now.Before(s.Deadline):
		return r.lapse(audit.EndingAbandoned), nil
	case gates&GateMark != 0 && in.Marked:
		return r.lapse(audit.EndingSuperseded), nil
	}
	switch effect {
	case EffectNoFlow:
		return Moved{}, refuse(ErrFlowNotFound)
	case EffectExists:
		return Moved{}, refuse(ErrFlowExists)
	case EffectEnded:
		return Moved{}, refuse(ErrFlowEnded)
	case EffectOpen:
		return r.open()
	case EffectNotBound:
		if in.Step == nil {
			return r.unbound()
		}
		return r.step(move, effect)
	case EffectRecord, EffectReject, EffectBind, EffectShow:
		return r.step(move, effect)
	case EffectJudge, EffectDeny, EffectCancel:
		return r.finish(effect)
	case EffectName:
		return r.name()
	default: // EffectNone
		return Moved{State: s, Step: len(s.Steps)}, nil
	}
}

// move says which row of the table the input is, or refuses what is no input at all.
func (in *Input) move() (Move, error) {
	switch {
	case in.Organization == nil:
		return 0, errs.New(errs.Internal, "ORGANIZATION_MISSING", "an input needs its organization")
	case in.Kind == KindStart && in.Start != nil:
		return MoveStart, nil
	case in.Kind == KindStep && in.Step != nil:
		m, ok := stepMove(in.Step.Type)
		if !ok {
			return 0, invalid("step.type", ErrStepType)
		}
		return m, nil
	case in.Kind == KindFinish && in.Finish != nil:
		switch in.Finish.Action {
		case ActionComplete:
			return MoveComplete, nil
		case ActionRefuse:
			return MoveRefuse, nil
		case ActionCancel:
			return MoveCancel, nil
		default:
			return 0, invalid("finish.action", ErrAction)
		}
	case in.Kind == KindName && in.Name != nil:
		return MoveName, nil
	case in.Kind == KindTick:
		return MoveTick, nil
	}
	return 0, errs.New(errs.Internal, "INPUT_UNKNOWN", "the machine does not know this input")
}

// run is one call of Advance on its working copy of the flow.
type run struct {
	s        State
	in       Input
	now      time.Time
	at       time.Time // when the event being made happened
	lapsed   bool      // nobody made it
	ctx      Context
	caller   string
	counts   *bool
	reason   string
	decision audit.Decision
	next     []policy.Next
	made     *[1]audit.Event // the event begun last

	known         *Person               // as it was
	remembered    *Person               // as it will be; nil: as it was
	authenticator *factor.Authenticator // as it will be; nil: as it was
	locked        bool                  // the code began a lock
	link          *Link                 // what becomes of the identity's link
	beside        []audit.Event         // events that are no steps
}

func (r *run) begin(s State, in Input, now time.Time) {
	r.s, r.in, r.now, r.caller = s, in, now, in.Caller
	r.s.Steps = make([]Step, len(s.Steps), len(s.Steps)+2)
	copy(r.s.Steps, s.Steps)
	r.at = later(now, r.lastTime())
	r.ctx = r.lastContext()
	if in.Subject != nil {
		r.known = in.Subject.Person
	}
	if in.Site == nil {
		r.in.Site = &policy.Site{ID: s.Site, UID: s.SiteUID, Disabled: true}
	}
}

// lapse ends a flow that nobody brought to its end: its time is up, or a newer one took its place.
func (r *run) lapse(e audit.Ending) Moved {
	reason := ""
	if r.s.Phase == PhaseGranted {
		reason = audit.ReasonNotConfirmed
	}
	r.lapsed = true
	if e == audit.EndingAbandoned {
		r.at = later(r.s.Deadline, r.lastTime())
	}
	r.caller = ""
	r.judge()
	return r.end(e, reason, "")
}

// judged is the moment the policy is asked about: see Advance.
func (r *run) judged() time.Time {
	if r.s.Late || r.lapsed {
		return r.at
	}
	return later(r.now, r.at) // asserted clocks may be a little ahead
}

// lastTime is when the flow's last step happened; the zero time before the first.
func (r *run) lastTime() time.Time {
	if n := len(r.s.Steps); n > 0 {
		return r.s.Steps[n-1].Event.Time
	}
	return time.Time{}
}

// when checks an asserted time against now and the step in front. The zero time means now.
func (r *run) when(field string, occurred time.Time) error {
	last := r.lastTime()
	switch {
	case occurred.IsZero():
		r.at = later(r.now, last)
		return nil
	case occurred.After(r.now.Add(MaxAhead)):
		return invalid(field, ErrOccurredAtAhead)
	case occurred.Before(r.now.Add(-MaxPast)):
		return invalid(field, ErrOccurredAtTooOld)
	case occurred.Before(last):
		return invalid(field, ErrOccurredAtOrder)
	}
	r.at = occurred
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
