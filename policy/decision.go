package policy

import (
	"net/netip"
	"time"

	"github.com/postern-audit/postern/audit"
)

// Subject is who a decision is about: values already parsed.
type Subject struct {
	AccountID     string
	AccountKey    AccountKey // of AccountID; zero without one
	Address       Address    // zero when there is none or it is not usable
	AddressKey    AccountKey // of Address
	EmailVerified bool       // only then, or at a site that trusts account e-mail, does Address classify at binding
	Kind          audit.SubjectKind
	// Typed marks the provisional subject of a flow that is not bound: the typed address is taken as it is.
	Typed bool
}

// Context is where a sign-in comes from.
type Context struct {
	SiteID     string
	IP         netip.Addr // zero when unknown
	Method     string     // method token being used or that bound, "" when none
	Connection string     // connection id being used or that bound, "" when none
}

// Shown is one thing this flow has shown: what demands are measured against. Of a session At is when the person last gave a
// credential, of everything else when it was proven; zero when that is unknown.
type Shown struct {
	Step         int
	Method       string // method token; "" for a factor
	Connection   string
	Factor       string // TOTP …; "" for a method
	Evidence     audit.Evidence
	At           time.Time
	UserVerified bool // passkey with user verification: also factor WEBAUTHN
	PartnerAMR   []string
	PartnerACR   string
}

// Proof is what an organization remembers of a subject: one success of one method or factor. Proofs are per organization:
// they are good across its sites and nowhere else.
type Proof struct {
	Method        string // method token; "" for a factor
	Factor        string // "" for a method
	Connection    string
	ConnectionUID string
	Device        [16]byte // keyed hash of the device id; zero without one
	At            time.Time
	Evidence      audit.Evidence
	UserVerified  bool
	PartnerAMR    []string
	PartnerACR    string
	Flow          string
	Step          int
	SiteUID       string
}

// Enrolment says which factors a subject has. Known false: nothing is known.
type Enrolment struct {
	Known   bool
	Factors []string
}

// Input is everything Decide looks at.
type Input struct {
	Organization *Organization
	Site         *Site
	Subject      Subject
	Records      Records
	Context      Context
	Shown        []Shown
	Proofs       []Proof   // remembered, of this subject in this organization; demands with an age count them too
	NotBefore    time.Time // the subject's own bound: older proofs count no more
	Device       [16]byte  // keyed hash of this flow's device id; zero without one
	Enrolment    Enrolment
	Now          time.Time
}

// Next is one move that brings a flow closer to ALLOW.
type Next struct {
	Method     string // method token, or "mfa"
	Connection string
	Factor     string
	Enrolled   *bool
	StepType   audit.Type
}

// Frozen is what binding decides once: class, rule and demands with what decided them.
type Frozen struct {
	Decision     audit.Decision // at binding
	Demands      Demands
	HasWouldBe   bool
	WouldBeRule  string
	WouldBe      Demands
	GraceUntil   time.Time
	WouldGrace   time.Time
	PolicyStamp  Stamp
	SubjectClass audit.Class
}

// Stop is a stop that bites.
type Stop struct {
	Reason string // SITE_DISABLED, CONNECTION_DISABLED, NETWORK_BLOCKED, ORGANIZATION_BLOCKS_EXTERNAL, DOMAIN_BLOCKED
	Detail string // for the record, never personal
}
