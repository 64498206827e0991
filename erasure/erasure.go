package erasure

import (
	"encoding/hex"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// State says how far an erasure is. Stored: never renumber.
type State uint8

// The states.
const (
	StateRunning State = 1 // what there is goes
	StateWaiting State = 2 // sign-ins that were under way at the first look have not ended
	StateDone    State = 3
)

// KeptFor is how long an erasure is listed after it was done.
const KeptFor = 400 * 24 * time.Hour

// Erasure is the removal of one person from one organization.
type Erasure struct {
	ID              string // UUIDv7: that of the event that asked for it
	OrganizationUID string
	Organization    string // id
	State           State
	Caller          string
	Requested       time.Time
	Due             time.Time // when it is looked at next; zero when it is done
	Finished        time.Time // zero before
	Until           time.Time // sign-ins that were under way at the first look end before this; zero before the first look
	Quiet           time.Time // when the last of them was seen to have ended; zero before
	Subjects        []audit.Index
	Account         policy.AccountKey // zero when only an address was named
	Found           Found
	Version         string // as stored
}

// Found counts what an erasure has taken away, or would.
type Found struct {
	Events         int64 // erased in the archive; after a crash in the middle a batch may be missing
	Sessions       int64 // sessions and tokens
	Identities     int64 // links of identities elsewhere
	Authenticators int64
	Memories       int64 // records of what was proven before
}

// Subject names the person in events: a keyed hash of the account, or of the address when only that is known.
func (e *Erasure) Subject() string {
	if e.Account != (policy.AccountKey{}) {
		return hex.EncodeToString(e.Account[:])
	}
	return hex.EncodeToString(e.Subjects[0].Value)
}

// Kind is what kind of thing a live store keeps of an account.
type Kind uint8

// The kinds.
const (
	KindSession Kind = iota + 1
	KindIdentity
	KindAuthenticator
	KindMemory
)

// Item is one thing that a live store keeps of an account, named as the store does.
type Item struct {
	Kind          Kind
	Key           string
	Expect        string    // what stands there; "" whatever it is
	Index, Member string    // the list it stands in; "" none
	Began         time.Time // of a session: when it started
	Used          bool      // of a session: it was used, and uses of it may be counted in the memory of some process
}

// count adds items to what was found.
func (f *Found) count(items []Item) {
	for i := range items {
		switch items[i].Kind {
		case KindSession:
			f.Sessions++
		case KindIdentity:
			f.Identities++
		case KindAuthenticator:
			f.Authenticators++
		case KindMemory:
			f.Memories++
		}
	}
}
