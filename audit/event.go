package audit

import "time"

// Class says who a subject is to the organization that owns the site.
type Class uint8

// The classes. The zero value means "not given".
const (
	ClassUnspecified Class = iota
	ClassUndetermined
	ClassExternal
	ClassManaged
	ClassClaimed
)

// Evidence says on whose word a step rests.
type Evidence uint8

// The kinds of evidence.
const (
	EvidenceUnspecified Evidence = iota
	EvidenceAsserted
	EvidenceVerified
)

// Verdict is what the login service should do next.
type Verdict uint8

// The verdicts.
const (
	VerdictUnspecified Verdict = iota
	VerdictContinue
	VerdictAllow
	VerdictDeny
)

// Ending is how a flow ended; EndingNone while it is live.
type Ending uint8

// The endings.
const (
	EndingNone Ending = iota
	EndingSucceeded
	EndingDenied
	EndingFailed
	EndingCancelled
	EndingAbandoned
	EndingSuperseded
)

// Outcome sorts events for filters.
type Outcome uint8

// The outcomes.
const (
	OutcomeUnspecified Outcome = iota
	OutcomeInfo
	OutcomeSuccess
	OutcomeFailure
)

// Client is the kind of program the person signs in with.
type Client uint8

// The kinds of program.
const (
	ClientUnspecified Client = iota
	ClientWeb
	ClientMobile
	ClientCLI
	ClientAPI
)

// SubjectKind is the kind of actor.
type SubjectKind uint8

// The kinds of actor. Unspecified is treated as Person.
const (
	SubjectUnspecified SubjectKind = iota
	SubjectPerson
	SubjectService
	SubjectApp
)

// Origin says who maintains an object of the directory.
type Origin uint8

// The origins.
const (
	OriginUnspecified Origin = iota
	OriginDocument
	OriginAPI
)

// The numbers of all enums above equal those of package postern.v1, so converting is a cast; codec's tests hold them together.

// Event is one immutable record. Fields that do not apply are zero. Personal is sealed before the event leaves the process.
type Event struct {
	ID              string // UUIDv7
	Type            Type
	Time            time.Time
	RecordedTime    time.Time // given by Redis
	Sequence        int64     // given by the archive
	Organization    string
	OrganizationUID string
	Site            string
	SiteUID         string
	Flow            string
	Step            int
	SupportCode     string
	CorrelationID   string
	Caller          string
	Class           Class
	Provisional     bool
	Outcome         Outcome
	Evidence        Evidence
	Checks          []string
	Method          string
	Connection      string
	ConnectionUID   string
	Factor          string
	Reason          string
	Counts          *bool
	Late            bool
	Forked          bool
	Client          Client
	AuthenticatedAt time.Time
	Decision        *Decision
	Ending          Ending
	Steps           []StepSummary
	Session         string // keyed hash of the handle
	AgainstVerdict  bool
	Target          *Target
	Changes         []Change
	Revision        int64
	Tally           map[string]int64
	TallyHour       time.Time
	Denial          *Denial
	SubjectKind     SubjectKind
	Origin          Origin
	IdentifierHash  string
	UserVerified    *bool
	Enrolment       *Enrolment // how the factor used was enrolled
	EndCause        string     // LOGOUT, EXPIRED or REVOKED, when a session or token ended
	Uses            int64      // how many alike uses the event stands for; 0 means one
	Authenticator   string     // uid of the authenticator's secret the event is about
	InitiatedBy     string     // IDP when the identity provider began the sign-in, unasked; "" otherwise
	SessionExpires  time.Time  // when the identity provider wants sessions to end; zero: not said
	Expectations    string     // CALLER when the login service said what federated evidence had to fit; "" otherwise
	Sandbox         bool       // the organization is for trying things out
	Privacy         Privacy    // what was not kept of people; zero: all was
	Region          string     // region the site was bound to when the event was made; "" for none
	PersonalState   string     // "", ERASED or UNREADABLE; set by readers

	// Directory is what the event's commit wrote to the directory, on one event of each such commit; nil on events that are read.
	Directory *DirectoryWrite

	Personal Personal
	Sealed   *Sealed // the personal part as stored; when set, encoders use it as it is
	Indexes  []Index // blind indexes that go with Sealed
	// Sought are indexes that go with the others: of whom a search was for. Made by Sought; not set by Decode.
	Sought []Index
	// Named says of a sealed part that it has an AccountID, whose index is the first of IndexAccount; set by Decode. Others of that
	// purpose are of accounts that somebody only claimed to be.
	Named bool
}

// Personal holds every field of an event that identifies a person.
type Personal struct {
	Email              string
	EmailVerified      *bool
	AccountID          string
	TypedAddress       string
	ClaimedAccountID   string
	PresentedAccountID string
	DisplayName        string
	IP                 string
	UserAgent          string
	DeviceID           string
	Detail             string
	AMR                []string
	ACR                string
	Items              []string
	Issuer             string // who vouches for a federated identity: OIDC iss, or the entity id of a SAML provider
	SubjectID          string // its id there: OIDC sub, or the NameID
	PreviousEmail      string // of account.email_changed
}

// Values of Event.InitiatedBy and Event.Expectations.
const (
	InitiatedByIDP     = "IDP"
	ExpectationsCaller = "CALLER"
)

// StepSummary is one line of the ordered step list on an ending event.
type StepSummary struct {
	Step       int
	Event      string
	Type       Type
	Time       time.Time
	Method     string
	Connection string
	Factor     string
	Evidence   Evidence
	Reason     string
	Counts     *bool
}

// Target names the object of an administrative event.
type Target struct {
	Type  string
	ID    string
	UID   string
	Count int64
}

// Change is one field before and after. Secrets never appear.
type Change struct {
	Field  string
	Before string
	After  string
}

// Denial says which call was refused.
type Denial struct {
	Method string
	Code   string
	Reason string
	Count  int64
	CallID string
}

// Decision is a policy decision as it is recorded and answered. Package policy makes it.
type Decision struct {
	Class          Class
	Advisory       bool
	Basis          ClassBasis
	Rule           string
	Source         string // RULE, DEFAULT, INTERNAL, STOP, UNREADABLE
	Conditions     []Condition
	AllowedMethods []string // nil: all
	Demands        []Demand
	PolicyRevision int64
	Verdict        Verdict
	Reason         string
	WouldBe        *WouldBe
	Message        string
	HelpURL        string
	GraceUntil     time.Time
}

// ClassBasis says what decided the class.
type ClassBasis struct {
	By         string // NOTHING, CLAIMED_ACCOUNT, CLAIMED_ADDRESS, VERIFIED_DOMAIN, NO_VERIFIED_EMAIL, NO_MATCH
	Domain     string
	VerifiedBy string // OPERATOR or DNS
	Revision   int64
	Stale      bool // the domain's zone does not show the record any more that it was verified by
}

// Condition is one condition looked at. Detail never holds personal data.
type Condition struct {
	Name   string
	Met    bool
	Detail string
}

// Demand is one thing the deciding rule asks for, with what met it.
type Demand struct {
	Kind          string // METHOD, SSO, EVIDENCE, MFA, REVERIFICATION, SESSION_LENGTH, BLOCK
	Connection    string
	Factors       []string
	MaxAge        time.Duration
	Evidence      Evidence
	AcceptPartner bool
	Met           bool
	MetByStep     int
	MetByProof    *ProofRef // remembered from an earlier flow
	Reason        string
}

// ProofRef names a remembered proof.
type ProofRef struct {
	Flow     string
	Step     int
	Time     time.Time
	SiteUID  string
	Proven   string // method token or factor
	Evidence Evidence
}

// Enrolment says who enrolled a factor, when, and after which proof.
type Enrolment struct {
	Time     time.Time
	Caller   string
	Flow     string
	Method   string
	Evidence Evidence
	Imported bool
}

// WouldBe is the verdict with report-only rules enforced.
type WouldBe struct {
	Verdict Verdict
	Rule    string
	Reason  string
}
