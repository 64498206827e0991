package authflow

import (
	"context"
	"log/slog"
	"time"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Config is what use cases need from outside. Every field is needed unless it says otherwise.
type Config struct {
	Store     Store
	Directory policy.Directory
	Namer     Namer
	Archive   Archived // may be nil: then sessions start only on flows still in Redis
	Now       func() time.Time
	NewID     func() string // UUIDv7
	NewCode   func() string // support code: XXXXX-XXXXX in Crockford base32, see FormatSupportCode
	Log       *slog.Logger
	CacheSize int // flows kept in memory; 0: 10,000
	// CommitTimeout bounds a commit once it has begun, whatever becomes of the caller; 0: 5 s.
	CommitTimeout time.Duration
}

// Flows are the use cases of a sign-in. Safe for concurrent use.
type Flows struct {
	c Config
}

// New returns the use cases, or an error that names the missing part.
func New(c Config) (*Flows, error) {
	return &Flows{c: c}, nil
}

// Start opens a flow, with the steps and the finish the input carries, in one commit.
func (f *Flows) Start(ctx context.Context, who Caller, in StartInput) (Answer, error) {
	return Answer{}, errs.New(errs.Internal, "INTERNAL", "not there yet")
}

// Step records one step of a flow.
func (f *Flows) Step(ctx context.Context, who Caller, in StepInput) (Answer, error) {
	return Answer{}, errs.New(errs.Internal, "INTERNAL", "not there yet")
}

// Finish ends a flow.
func (f *Flows) Finish(ctx context.Context, who Caller, in FinishInput) (Answer, error) {
	return Answer{}, errs.New(errs.Internal, "INTERNAL", "not there yet")
}

// RecordSession joins a session of the site's own to the flow that let it in. The answer's Flow, Session, Recorded and
// AgainstVerdict are set; it has no decision.
func (f *Flows) RecordSession(ctx context.Context, who Caller, in SessionInput) (Answer, error) {
	return Answer{}, errs.New(errs.Internal, "INTERNAL", "not there yet")
}

// View is a live flow as readers see it.
type View struct {
	Flow     *Loaded // State must not be changed
	Outcome  Outcome // verdict, decision with conditions, next
	Archived bool    // always false here
}

// Get returns the state of a flow that is still in Redis, by flow id or support code, or NotFound FLOW_NOT_FOUND.
func (f *Flows) Get(ctx context.Context, organizationUID, idOrCode string) (View, error) {
	return View{}, errs.New(errs.Internal, "INTERNAL", "not there yet")
}
