package factor

import (
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// What can be enrolled.
const (
	MinDigits = 6
	MaxDigits = 8
	MinPeriod = 15 * time.Second
	MaxPeriod = 120 * time.Second

	maxSealed = 1024 // bytes of ciphertext; secrets are far smaller
)

// State is where an authenticator stands.
type State uint8

// The states. None is the zero value: never enrolled, or reset.
const (
	None State = iota
	Pending
	Active
	Disabled
)

var stateNames = []string{"NONE", "PENDING", "ACTIVE", "DISABLED"}

// String returns the documented name, such as ACTIVE.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "UNKNOWN"
}

// ParseState is the reverse of State.String.
func ParseState(s string) (State, error) {
	if i := slices.Index(stateNames, s); i >= 0 {
		return State(i), nil //nolint:gosec // an index of a list of four
	}
	return None, errs.New(errs.Invalid, "ENUM_UNKNOWN", "not a state of an authenticator; known are NONE, PENDING, ACTIVE, DISABLED")
}

// Algorithm is the hash of the HMAC that makes the codes. The zero value is none of them.
type Algorithm uint8

// The algorithms of RFC 6238.
const (
	SHA1 Algorithm = iota + 1
	SHA256
	SHA512
)

var algorithmNames = []string{"UNSPECIFIED", "SHA1", "SHA256", "SHA512"}

// String returns the name as otpauth URIs spell it.
func (a Algorithm) String() string {
	if int(a) < len(algorithmNames) {
		return algorithmNames[a]
	}
	return "UNKNOWN"
}

// ParseAlgorithm accepts exactly SHA1, SHA256 and SHA512.
func ParseAlgorithm(s string) (Algorithm, error) {
	if i := slices.Index(algorithmNames, s); i > 0 {
		return Algorithm(i), nil //nolint:gosec // an index of a list of four
	}
	return 0, errs.New(errs.Invalid, "ENUM_UNKNOWN", "not an algorithm of TOTP; known are SHA1, SHA256, SHA512")
}

// Known says whether it is one of the three.
func (a Algorithm) Known() bool { return a >= SHA1 && a <= SHA512 }

// CheckCodeForm says whether codes of this form can be enrolled: 6 to 8 digits, a new one every 15 to 120 whole seconds.
func CheckCodeForm(a Algorithm, digits int, period time.Duration) error {
	switch {
	case !a.Known():
		return errs.Field("algorithm", "FIELD_INVALID", "one of SHA1, SHA256, SHA512")
	case digits < MinDigits || digits > MaxDigits:
		return errs.Field("digits", "FIELD_INVALID", "6 to 8")
	case period < MinPeriod || period > MaxPeriod || period%time.Second != 0:
		return errs.Field("period", "FIELD_INVALID", "15 to 120 whole seconds")
	}
	return nil
}

// Basis is the proof behind an enrolment: what the person had shown in that flow when the secret was handed out. It is zero
// for an import and for what the help desk enrolled.
type Basis struct {
	Method     string
	Connection string // uid, for social and SSO
	Evidence   audit.Evidence
}

// Credential is one shared secret, how its codes are made, and how it came to be there.
type Credential struct {
	UID       string // UUIDv7; part of what the ciphertext is bound to
	Sealed    []byte // the secret as ciphertext; shared, never changed
	Algorithm Algorithm
	Digits    int
	Period    time.Duration

	Enrolled  time.Time
	By        string // the principal that asked for it
	Flow      string // the flow it was asked in; empty for imports and the help desk
	After     Basis
	Confirmed time.Time // zero until a code of it was right
}

// IsZero says whether there is no secret here.
func (c Credential) IsZero() bool { return c.UID == "" && len(c.Sealed) == 0 }

// check refuses what could not be used later.
func (c Credential) check() error {
	switch {
	case c.UID == "":
		return errs.New(errs.Internal, "AUTHENTICATOR_INVALID", "an authenticator needs a uid")
	case len(c.Sealed) == 0 || len(c.Sealed) > maxSealed:
		return errs.New(errs.Internal, "AUTHENTICATOR_INVALID", "an authenticator needs a sealed secret of reasonable size")
	}
	return CheckCodeForm(c.Algorithm, c.Digits, c.Period)
}

// Hash is the keyed hash of a recovery code.
type Hash [16]byte

// Authenticator is the second factor of one subject in one organization. It is a value: functions of this package return the
// next one and leave the given one, its slices included, as it was. The zero value is a subject without a factor.
type Authenticator struct {
	State     State
	AccountID string     // personal: sealed where it is stored
	Active    Credential // zero before the first confirmation
	Pending   Credential // handed out, not confirmed yet: the first one, or the one to follow Active

	LastStep  int64     // highest time step accepted of Active; lower ones and this one are spent
	Failures  int       // in a row
	Locks     int       // in a row: how often failures have locked it
	LockUntil time.Time // zero: never locked since the last success
	Disabled  time.Time // when the last failure allowed was used up

	Recovery       []Hash // recovery codes that can still be used
	RecoveryUsed   []Hash // those used, so that a second use is told from a wrong code
	RecoveryIssued int    // how many there were
	RecoveryMade   time.Time
}

// Check says whether a, as read from a store, is whole. Nothing that fails it may be tried.
func (a Authenticator) Check() error {
	bad := func(why string) error { return errs.New(errs.Internal, "AUTHENTICATOR_INVALID", why) }
	active, pending := !a.Active.IsZero(), !a.Pending.IsZero()
	switch {
	case a.State > Disabled:
		return bad("an authenticator in an unknown state")
	case a.State == None && (active || pending):
		return bad("a secret without an authenticator")
	case a.State == Pending && (active || !pending):
		return bad("a pending authenticator must have a pending secret and no other")
	case (a.State == Active || a.State == Disabled) && !active:
		return bad("an authenticator without a secret")
	case a.LastStep < 0 || a.Failures < 0 || a.Locks < 0:
		return bad("a negative count")
	case len(a.Recovery)+len(a.RecoveryUsed) > a.RecoveryIssued:
		return bad("more recovery codes than were issued")
	}
	for _, c := range []Credential{a.Active, a.Pending} {
		if c.IsZero() {
			continue
		}
		if err := c.check(); err != nil {
			return errs.Wrap(err, errs.Internal, "AUTHENTICATOR_INVALID", "an authenticator with an unusable secret")
		}
	}
	return nil
}

// Usable says whether there is a confirmed factor, locked or not.
func (a *Authenticator) Usable() bool { return a != nil && (a.State == Active || a.State == Disabled) }

// Locked says whether codes are refused unseen at this time, and until when; the zero time means for good.
func (a *Authenticator) Locked(now time.Time) (bool, time.Time) {
	switch {
	case a == nil:
		return false, time.Time{}
	case a.State == Disabled || a.Failures >= FailuresToDisable:
		return true, time.Time{}
	case now.Before(a.LockUntil):
		return true, a.LockUntil
	}
	return false, time.Time{}
}
