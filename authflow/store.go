package authflow

import (
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/policy"
)

// CommitKey is the keyed hash of caller, method, parent and request id; zero means "none" (sweeps).
type CommitKey [32]byte

// Digest is the keyed hash of a canonical request.
type Digest [32]byte

// Loaded is a flow as Redis has it. State is shared and must not be changed.
type Loaded struct {
	State        *State
	Stamp        policy.Stamp
	SupersededBy FlowID          // zero unless marked
	Subject      *SubjectRecords // of the bound subject, as this process last saw them; stores leave it nil
	Kept         any             // what the store gave with the commit that wrote State; nil when State was read
	subjectKnown bool            // Subject was found to be the bound subject's: see subjectOf
}

// Outcome is the answer a repeated request id gets: at most 1 KiB encoded, no texts, no secrets.
type Outcome struct {
	Flow           FlowID
	SupportCode    string
	Step           int
	Phase          Phase
	Verdict        audit.Verdict
	Reason         string
	Ending         audit.Ending
	Counts         *bool
	Decision       audit.Decision // Conditions, Message and HelpURL left out when stored
	Next           []policy.Next
	Deadline       time.Time
	Recorded       bool
	Session        string
	AgainstVerdict bool
	Sealed         []byte // what only the repeated answer of an administrative call needs: a hash or ciphertext, never a secret
}

// Read asks for everything a call needs before it can decide, in one round trip. Zero fields are not read.
type Read struct {
	OrganizationUID string
	Flow            FlowID
	SupportCode     string              // resolve to a flow id (the flow itself is not loaded)
	Key             CommitKey           // with Flow: the outcome stored with the flow; without: the once-key of StartFlow and sessions
	Request         Digest              // compared with the stored request: a difference is REQUEST_ID_REUSED
	Organization    bool                // the policy record, carried only if the cached one is stale
	Lookups         []policy.LookupKeys // directory records; Reading.Records has the same length
	Last            *LastKey            // supersession index
	Session         [32]byte            // keyed hash of a session handle
	Subject         *policy.AccountKey  // authenticator and person of a subject
	Identity        IdentityKey         // account an identity elsewhere is linked to
}

// IdentityKey is the keyed hash of connection uid, issuer and subject id of an identity elsewhere; zero means "none".
type IdentityKey [32]byte

// LastKey names a place in the supersession index: site uid, then subject key and device id hashed by the store.
type LastKey struct {
	SiteUID  string
	Subject  policy.AccountKey
	DeviceID string // never empty
}

// Reading is what Read found.
type Reading struct {
	Flow         *Loaded  // nil when there is none (never started, or expired after its ending was archived)
	FlowID       FlowID   // of SupportCode
	Outcome      *Outcome // of Key
	Organization *policy.Organization
	Records      []policy.Records
	Last         FlowID
	Session      *Session
	Subject      *SubjectRecords // of Subject: never nil when it was asked for
	Link         *Link           // of Identity: nil when it is linked to no account
}

// Link joins an identity elsewhere to an account here. Stored sealed. Shared: never changed.
type Link struct {
	Identity      IdentityKey
	AccountID     string
	AccountKey    policy.AccountKey
	Issuer        string
	SubjectID     string
	Email         string // as the provider last gave it
	ConnectionUID string
	Connection    string // its id, which Identities.List adds; "" when it is gone. Not stored
	Linked        time.Time
	By            string // LinkedNew, LinkedByProof or LinkedByEmail
	Flow          string
	Stored        string // the record as it is stored: opaque, what LinkWrite.From compares
}

// How an identity came to be linked.
const (
	LinkedNew     = "NEW_ACCOUNT"
	LinkedByProof = "PROOF"
	LinkedByEmail = "VERIFIED_EMAIL"
)

// SubjectRecords are the two records kept of one subject of one organization, with the stamps they had. Shared: never changed.
type SubjectRecords struct {
	Key                policy.AccountKey
	Authenticator      *factor.Authenticator // nil: there is none
	AuthenticatorStamp policy.Stamp
	Person             *Person // nil: there is none
	PersonStamp        policy.Stamp
}

// Person is what an organization remembers of a subject: at most MaxProofs proofs, newest of each method or factor,
// connection and device, and a bound before which none counts.
type Person struct {
	Proofs    []policy.Proof
	NotBefore time.Time
}

// Bounds of a person record.
const (
	MaxProofs   = policy.MaxProofs
	MaxProofAge = 400 * 24 * time.Hour // no demand looks further back
)

// Session is a session of a site, by its hashed handle.
type Session struct {
	Flow           FlowID
	SubjectKey     policy.AccountKey
	SiteUID        string
	Verdict        audit.Verdict
	Started        time.Time
	Expires        time.Time
	Ended          time.Time
	Recorded       bool
	AgainstVerdict bool
	Kind           string    // SESSION or TOKEN
	EndCause       string    // LOGOUT, EXPIRED or REVOKED
	Authenticated  time.Time // when the person last gave a fresh credential
	Subject        SessionSubject
	LastIP         [16]byte // keyed hash of the address of the last recorded use
	LastVerdict    audit.Verdict
	LastUse        time.Time // when a use was last recorded; zero: never
	// Shown is what the flow behind it had proven when it started, oldest first, at most MaxProofs: a session goes on as what
	// let it in. A later proof of the same person belongs to another session.
	Shown  []policy.Proof
	Stored string // the record as it is stored: opaque, what SessionWrite.From compares
}

// SessionSubject is who a session or token is of, as the flow was bound. Stored sealed.
type SessionSubject struct {
	AccountID     string
	Email         policy.Address
	EmailVerified bool
	Kind          audit.SubjectKind
	Class         audit.Class
}

// Commit is one change: all of it happens or nothing. Zero fields do not take part.
type Commit struct {
	OrganizationUID string
	PolicyStamp     policy.Stamp // compared with the organization's
	Key             CommitKey
	Request         Digest
	Outcome         *Outcome // stored under Key: a field of the flow's hash, or a key of its own (24 h) when OwnKey
	OwnKey          bool
	KeepKey         time.Duration // with OwnKey: how long the outcome is kept; 0: 24 h
	Flow            *FlowWrite
	Last            *LastWrite
	Session         *SessionWrite
	Authenticator   *AuthenticatorWrite
	Person          *PersonWrite
	Link            *LinkWrite
	Claims          []Claim
	Tallies         []Tally
	Events          []audit.Event
}

// FlowWrite replaces a flow's state.
type FlowWrite struct {
	State *State
	From  policy.Stamp // zero: the flow must not exist
	Kept  any          // Loaded.Kept of the flow as it was, which saves work and decides nothing
	// EndsMarked says this is the ending of a superseded flow. A marked flow takes no other commit, and an unmarked one not this.
	EndsMarked bool
}

// LastWrite overwrites the supersession index and marks the flow it named: superseded_by set and deadline now.
type LastWrite struct {
	Key    LastKey
	Expect FlowID // as read; zero: the index was empty
	Next   FlowID
	Until  time.Time // when the index entry may go
}

// SessionWrite stores a session.
type SessionWrite struct {
	Handle  [32]byte
	Session Session
	IsNew   bool   // it must not exist
	From    string // Session.Stored of what is replaced; compared unless IsNew
}

// AuthenticatorWrite replaces, or with a nil Next only compares, the authenticator of a subject.
type AuthenticatorWrite struct {
	Subject policy.AccountKey
	From    policy.Stamp // zero: it must not exist
	Next    *factor.Authenticator
}

// PersonWrite replaces, or with a nil Next only compares, what is remembered of a subject. The record expires with its last proof.
type PersonWrite struct {
	Subject policy.AccountKey
	From    policy.Stamp // zero: it must not exist
	Next    *Person
	Until   time.Time // when it may go
}

// LinkWrite makes, replaces or removes the link of an identity, or with neither Next nor Remove only compares it.
type LinkWrite struct {
	Identity IdentityKey
	From     string // Link.Stored of what was read; "": there must be none
	Next     *Link
	Remove   bool
	Account  policy.AccountKey // of the account it is listed under: Next's, or with Remove the one it was linked to
}

// Claim is a name that can be taken once: a support code, and later codes, assertions and tokens.
type Claim struct {
	Kind  string // "code"
	Name  string // hashed by the store unless Kind is "code"
	Value string // who takes it; the same value may take it again
	Until time.Time
}

// Tally raises one counter of a site's hour.
type Tally struct {
	SiteUID string
	Site    string
	Hour    time.Time
	Field   string // "opened" or "<class>:<ending>:<recorded>"
}

// Committed says what a commit did.
type Committed struct {
	Repeated *Outcome     // the key was committed before with the same request: nothing was written now
	Stamp    policy.Stamp // of the flow, when one was written
	Recorded time.Time    // Redis time of the commit
	// New stamps of the records written. Zero when not written, or not told: whoever needs one then reads it again.
	AuthenticatorStamp policy.Stamp
	PersonStamp        policy.Stamp
	Kept               any // the store's own, for whoever remembers the flow: it belongs into its next commit
}

// Conflict is the error of a commit that lost a race: nothing was written, and it carries what is there now.
type Conflict struct {
	Flow         *Loaded              // current flow; nil when the flow was not the trouble or is gone
	Gone         bool                 // the flow does not exist any more
	Organization *policy.Organization // current policy record, when its stamp moved
	LastMoved    bool                 // the supersession index moved
	Claimed      *Claim               // this claim is taken by another value
	Holder       string               // the value that has taken Claimed
	LinkMoved    bool                 // the link is not as it was read (LinkWrite.From)
	SessionTaken bool                 // the session exists already, or is not as it was read (SessionWrite.From)
	Subject      *SubjectRecords      // current records of the subject, when one of them moved
}

// Error implements error.
func (*Conflict) Error() string { return "authflow: the stored records have moved" }

// DueFlow is a flow whose deadline has come.
type DueFlow struct {
	OrganizationUID string
	Flow            FlowID
}

// DueTally is an hour that can be archived.
type DueTally struct {
	OrganizationUID string
	SiteUID         string
	Site            string
	Hour            time.Time
	Counts          map[string]int64
	EventID         string // of the event they become, settled with the first of them; "" where a former version counted
}

// Store keeps flows. Implementations pass storetest.
//
// Commit looks its Key up first: the same key and request returns the first outcome, another request is REQUEST_ID_REUSED.
// Then it reads and compares everything (flow stamp and mark, policy stamp, index, session, claims, types of every key it
// will write), and only then writes. It returns *Conflict when something moved; readers see all of a commit or none.
//
// Commit seals what was never written: it fills Sealed and Indexes of steps in c.Flow.State and of c.Events in place, so that
// state and record hold the same bytes and the State, once committed, can be kept and built on. Where an event's Privacy is not
// full, the state keeps all of its step, without indexes, and the record what the privacy leaves.
//
// When the server answered an error or nothing was sent, the error is Unavailable NOT_RECORDED. When the reply was lost or
// the deadline passed after sending, it is Unavailable OUTCOME_UNKNOWN: the same Key will tell. Commit is never retried inside.
//
// Due, DueTallies and Lease ask every node once for all of its partitions. When some cannot be reached they return the error
// together with what the others answered. What they cannot make sense of they skip, and return an Internal error together with
// the rest.
type Store interface {
	// Read answers in one round trip.
	Read(ctx context.Context, r Read) (*Reading, error)
	// Commit writes in one round trip.
	Commit(ctx context.Context, c *Commit) (*Committed, error)
	// Due returns, in one round trip, flows whose deadline is at or before now: of each partition up to limit, earliest first.
	Due(ctx context.Context, partitions []int, now time.Time, limit int) ([]DueFlow, error)
	// DueTallies returns hours that closed at or before the given moment, up to limit of each partition: in one round trip when
	// there are none, else in two.
	DueTallies(ctx context.Context, partitions []int, closed time.Time, limit int) ([]DueTally, error)
	// CloseTally writes e and removes the counters, only if they still are as given; a difference is *Conflict.
	CloseTally(ctx context.Context, t DueTally, e audit.Event) error
	// Lease takes or renews, in one round trip, a hint for each partition that lasts 10 s, or what is left of them when that is
	// more than half: one holder sweeps (or archives) it. The answer is as long as the question; false: another one does.
	Lease(ctx context.Context, partitions []int, what, holder string) ([]bool, error)
}

// LinkStore lists identities. A Store of sign-ins implements it too.
type LinkStore interface {
	// Links returns up to limit links of an organization, of one account only unless account is zero, with a place above after,
	// and the place of the last; the empty place begins, and comes back when there are no more.
	Links(ctx context.Context, organizationUID string, account policy.AccountKey, after string, limit int) ([]Link, string, error)
}

// SubjectStore lists what is kept of subjects. A Store of sign-ins implements it too.
type SubjectStore interface {
	// Authenticators returns up to limit subjects of an organization that have an authenticator record, with a key above after,
	// in order of their keys; the zero key begins. Person records are not read: Person and PersonStamp are zero.
	Authenticators(ctx context.Context, organizationUID string, after policy.AccountKey, limit int) ([]SubjectRecords, error)
}
