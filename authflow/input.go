package authflow

import (
	"net/netip"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Caller is who made a call, as the server established it.
type Caller struct {
	Principal string // for example unix:1000 or key:local
}

// Subject is who a call is about: claimed at the start and on rejected steps, proven on verified ones.
type Subject struct {
	AccountID string
	// Address is set when the e-mail given is a usable address, Identifier when it is anything else. Identifier is hashed
	// before anything is decided and goes nowhere: people type passwords there.
	Address       policy.Address
	Identifier    string
	EmailVerified *bool // nil: not said, which means false
	Kind          audit.SubjectKind
	DisplayName   string
}

// Context is where a call came from, as the login service asserts it.
type Context struct {
	IP        netip.Addr
	UserAgent string
	DeviceID  string
	Client    audit.Client
}

// StepReport is one thing the login service did or saw.
type StepReport struct {
	Type            audit.Type
	Method          string // passkey, magic_link or email_code; only with passwordless.*
	Connection      string // connection id; only with social.* and sso.*
	Factor          string // only with mfa.*
	Reason          string // exactly with *.rejected and mfa.locked
	Detail          string
	Subject         Subject
	UserVerified    *bool     // only with passkey
	AuthenticatedAt time.Time // mandatory on session.reused, only there
	Context         *Context  // nil: as in the step before
	OccurredAt      time.Time // zero: now
	AMR             []string
	ACR             string
	SessionHandle   []byte // only on session.reused: of the session that was reused; hashed at once, never kept
}

// Action says which way the login service ends a flow. Numbers equal posternv1.Finish_Action.
type Action uint8

// The actions.
const (
	ActionComplete Action = 1
	ActionRefuse   Action = 2
	ActionCancel   Action = 3
)

// Finish ends a flow.
type Finish struct {
	Action     Action
	Reason     string // exactly with ActionRefuse: one of audit.Refusals
	Detail     string
	OccurredAt time.Time // zero: now
}

// StartInput opens a flow, and may carry a whole sign-in. Steps after one that ends the flow (the tenth rejection, a stop)
// are not applied: the answer's Step says how far it came.
type StartInput struct {
	Organization  string // id
	Site          string // id
	RequestID     string
	Subject       Subject
	Context       Context
	CorrelationID string
	Lifetime      time.Duration // 0: DefaultLifetime
	Steps         []StepReport  // at most MaxSteps-2
	Finish        *Finish
	OccurredAt    time.Time // zero: now
}

// StepInput reports one step of a flow.
type StepInput struct {
	Organization string // id
	Flow         FlowID
	RequestID    string
	Step         StepReport
}

// FinishInput ends a flow.
type FinishInput struct {
	Organization string // id
	Flow         FlowID
	RequestID    string
	Finish       Finish
}

// SessionEvent says what happened to a session. Numbers equal posternv1.RecordSessionRequest_Event.
type SessionEvent uint8

// What happens to sessions.
const (
	SessionStarted SessionEvent = 1
	SessionEnded   SessionEvent = 2
)

// Limits of a session's own times.
const (
	DefaultSession = 30 * 24 * time.Hour
	MaxSession     = 400 * 24 * time.Hour
)

// What a handle is of.
const (
	KindOfSession = "SESSION"
	KindOfToken   = "TOKEN"
)

// Why a session or token ended.
const (
	EndLogout  = "LOGOUT"
	EndExpired = "EXPIRED"
	EndRevoked = "REVOKED"
)

// SessionInput reports a session or token of the site's own.
type SessionInput struct {
	Organization string // id
	Site         string // id
	RequestID    string
	Event        SessionEvent
	Handle       []byte // hashed at once, never kept
	Flow         FlowID // exactly with SessionStarted
	OccurredAt   time.Time
	ExpiresAt    time.Time // zero: DefaultSession after it started
	Context      Context
	Kind         string // KindOfSession (also when empty) or KindOfToken
	EndCause     string // only with SessionEnded: EndLogout (also when empty), EndExpired or EndRevoked
}

// Answer is what every use case returns: the outcome, as it was the first time, with texts rendered now.
type Answer struct {
	Outcome
	Organization    string // id
	OrganizationUID string
	Message         UserMessage
	Repeated        bool // given before, to the same request id
}

// UserMessage is what to show the person: a stable key with its English text, and what the deciding rule says itself.
type UserMessage struct {
	Key         string
	Text        string
	RuleMessage string
	HelpURL     string
}
