package authflow

import (
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
)

// AccessInput asks whether a session or token may be used at a site.
type AccessInput struct {
	Organization string // id
	Site         string // id
	Kind         string // KindOfSession or KindOfToken
	Handle       []byte // hashed at once, never kept
	Context      Context
}

// Access is the answer.
type Access struct {
	Organization    string // id
	OrganizationUID string
	Verdict         audit.Verdict // ALLOW or DENY
	Reason          string        // empty with ALLOW
	Decision        audit.Decision
	ValidUntil      time.Time // the caller need not ask again before
	Session         string    // keyed hash of the handle, in hex
	Flow            FlowID    // where it came from; zero when not known
	Message         UserMessage
}

// CheckAccess holds a session or token to the policy.
func (f *Flows) CheckAccess(ctx context.Context, who Caller, in AccessInput) (Access, error) {
	return Access{}, unfinished()
}

// UseFolder writes folded uses of sessions and tokens: one event for each, hour and answer, with its count. Like a Sweeper it
// is started once and stopped before the process ends; what it holds is written when it stops.
type UseFolder struct{ f *Flows }

// NewUseFolder returns a folder that is not running yet.
func NewUseFolder(f *Flows) *UseFolder { return &UseFolder{f: f} }

// Start begins folding in a goroutine of the folder's own.
func (u *UseFolder) Start() {}

// Stop writes what is held and waits.
func (u *UseFolder) Stop() {}
