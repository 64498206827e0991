package authflow

import (
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Phase is where a flow stands. Numbers equal posternv1.Phase.
type Phase uint8

// The phases, in the only order a flow passes them.
const (
	PhaseNone    Phase = iota // not started
	PhaseOpen                 // nobody is bound
	PhaseBound                // a subject is bound; class, rule and demands are frozen
	PhaseGranted              // an answer has said ALLOW
	PhaseEnded                // the one ending is set; nothing more is accepted
)

// Limits of a flow.
const (
	MaxSteps        = 64 // the last number is reserved for the ending
	MaxRejections   = 10
	DefaultLifetime = 15 * time.Minute
	MinLifetime     = time.Minute
	MaxLifetime     = time.Hour
	MaxPast         = 7 * 24 * time.Hour // how far back occurred_at may lie
	MaxAhead        = 5 * time.Second
	LateAfter       = time.Minute // a step reported later than this is marked LATE
)

// State is a flow. Advance never changes a State in place: slices of an earlier State are never written to.
type State struct {
	ID              FlowID
	Organization    string
	OrganizationUID string
	Site            string
	SiteUID         string
	SupportCode     string
	CorrelationID   string
	Caller          string
	Phase           Phase
	Started         time.Time // when the sign-in began (occurred_at for late reports)
	Deadline        time.Time
	Hour            time.Time // UTC hour of the StartFlow commit: the tally it counts in
	Late            bool
	Recorded        bool        // one-way
	Class           audit.Class // provisional until bound
	Claimed         Claimed
	Bound           *Bound // nil while nobody is bound
	DeviceID        string
	Rejections      int
	LastRejection   string
	Proven          bool // a step of a binding kind was verified, counted or not
	Frozen          *policy.Frozen
	PolicyRevision  int64
	Pending         *Pending // sign-in elsewhere that was begun last; nil: none ever was
	Steps           []Step
	Ending          audit.Ending
	Reason          string
	Ended           time.Time
}

// Claimed is who the person claims to be. It steers, it never binds.
type Claimed struct {
	AccountID      string
	Address        policy.Address // zero unless what was typed is a usable address
	IdentifierHash string         // keyed hash of a typed identifier that is no usable address
	DisplayName    string
	Kind           audit.SubjectKind
	Records        policy.Records // directory records at StartFlow, for the advisory decision
}

// Bound is who was proven first.
type Bound struct {
	AccountID     string
	IdentityKey   []byte // HMAC(connection uid ‖ issuer ‖ subject id), for verified federated identities
	Email         policy.Address
	EmailVerified bool
	Kind          audit.SubjectKind
	Step          int
	Named         int // step that named the account of an identity that was bound without; 0: none did
	// Unlinked says that identity and account were both proven here and are not linked: until the account's own proofs meet what is
	// demanded of it, nothing the identity shows counts.
	Unlinked bool
}

// Pending is a sign-in elsewhere that a flow has begun. There is one at most: beginning another forgets it.
type Pending struct {
	Connection    string
	ConnectionUID string
	Protocol      policy.Protocol
	Issuer        string        // who must vouch for what comes back: what the flow began with, whatever the connection says later
	CallbackURL   string        // redirect URI or ACS
	MaxAge        time.Duration // oldest credential that will do; 0: any
	Began         time.Time
	Links         bool // an identity that has no account yet is to be linked to the bound one
	// Seed is what state, nonce, code verifier, SAML request id and browser token are made of; nil once it was used up. Stores
	// seal it.
	Seed []byte
	Used [32]byte // SHA-256 of the state, once used up: tells a replay from a state nobody made
}

// Step is one thing that happened, as the event it is or will be. States share events: one that was committed never changes.
type Step struct {
	Event    *audit.Event // never nil; with Personal; Sealed and Indexes once it was written anywhere
	Released bool         // the event has been written to the outbox
}
