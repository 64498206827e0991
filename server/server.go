// Package server is the API: it serves package postern.v1 over gRPC and, through server/rest, as JSON over HTTP.
//
// Purpose: handlers that parse, ask one use case and convert its answer; the chain around them (server/interceptor); start and
// stop. Each file holds one service.
// Invariant: every registered method has a rule and passes the chain; nothing starts with a hole in either.
// It must never import an adapter: what it needs from one is an interface or a function in Config, wired by cmd/postern.
// First file to read: this one, then signin.go.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/document"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/interceptor"
	"github.com/postern-audit/postern/server/token"
)

// Config is what the server needs. Every field is needed unless it says otherwise; which services are served follows from
// SignIn, Factors, Identities, APIKeys and Query.
type Config struct {
	SignIn     *SignIn     // nil: SignInService is not served
	Factors    *Factors    // nil: AuthenticatorService is not served
	Identities *Identities // nil: IdentityService is not served
	APIKeys    *APIKeys    // nil: KeyService and EmitTestEvent are not served
	Query      *Query      // nil: the other services are not served

	Outbox    audit.Outbox // takes refusals
	Directory policy.Directory
	Live      LiveFlows
	Forms     convert.Forms

	UIDs  []uint32 // users let in over a unix socket
	Now   func() time.Time
	NewID func() string // UUIDv7
	Log   *slog.Logger
	// Observe hears of every finished call: full method (or "unknown"), code name, whether unary, duration. May be nil.
	Observe func(method, code string, unary bool, took time.Duration)

	CallTimeout time.Duration // of unary calls without a deadline; 0: 10 s
	MaxCalls    int64         // unary calls in flight; 0: 1024
	MaxStreams  int64         // open streams; 0: 256
	// Unrecorded hears of reads of the record that could not be recorded. May be nil.
	Unrecorded func(reads int64)
	Reflection bool // for development
}

// SignIn is what SignInService needs.
type SignIn struct {
	Flows SignIns
	// Federation verifies sign-ins elsewhere. May be nil: then those calls are answered as not served here.
	Federation Federations
}

// Query is what the services that read and administer need.
type Query struct {
	Reader audit.Reader
	// Counter counts and folds the record.
	Counter audit.Counter
	// People lists who is on record.
	People audit.SubjectReader
	// Filters keeps saved filters.
	Filters SavedFilters
	// Erasures forgets people. May be nil: then it is not served.
	Erasures Erasures
	Opener   Opener
	Indexer  convert.Indexer
	Keys     Keys
	Records  Records
	Archived Archived
	Apply    Applier
	// Connections changes the secrets of connections.
	Connections Connections
	// Tester tests connections. May be nil: then TestConnection is not served.
	Tester ConnectionTester
	// Policies keeps policies and their history.
	Policies Policies
	// Simulations goes through flows on record. May be nil: then Simulate and GetPolicyImpact are not served.
	Simulations Simulations
	// Past reads directories as they were.
	Past policy.Past
	// Retentions and LiveTallies help to say why a list is empty.
	Retentions  Retentions
	LiveTallies LiveTallies
	// Organizations, Sites and ConnectionChanges change these one by one.
	Organizations     Organizations
	Sites             Sites
	ConnectionChanges ConnectionChanges
	// Domains verifies domains.
	Domains Domains
	// Accounts claims accounts, Imports many of them.
	Accounts Accounts
	Imports  Imports
	// Exports makes files of the record. ExportURL says how the links to them begin, which the link itself follows; "" where there is no HTTP.
	Exports   Exports
	ExportURL func() string
	Namer     policy.Namer
	MAC       token.MAC // of tokens and cursors; the same in all processes and after a restart
	// Wake returns a channel that gets a value after the archive took events of the organization, and a function that ends the
	// subscription. May be nil: then watchers only poll.
	Wake func(organizationUID string) (<-chan struct{}, func())
	// Heartbeat and Poll are the intervals of streams; 0: 15 s and 500 ms.
	Heartbeat, Poll time.Duration
}

// SignIns are the use cases of a sign-in. *authflow.Flows implements it.
type SignIns interface {
	Start(ctx context.Context, who authflow.Caller, in authflow.StartInput) (authflow.Answer, error)
	Step(ctx context.Context, who authflow.Caller, in authflow.StepInput) (authflow.Answer, error)
	Finish(ctx context.Context, who authflow.Caller, in authflow.FinishInput) (authflow.Answer, error)
	RecordSession(ctx context.Context, who authflow.Caller, in authflow.SessionInput) (authflow.Answer, error)
	VerifyTotp(ctx context.Context, who authflow.Caller, in authflow.TotpInput) (authflow.Answer, error)
	VerifyRecoveryCode(ctx context.Context, who authflow.Caller, in authflow.RecoveryInput) (authflow.Answer, error)
	CheckAccess(ctx context.Context, who authflow.Caller, in authflow.AccessInput) (authflow.Access, error)
}

// Factors is what AuthenticatorService needs.
type Factors struct {
	Holders FactorHolders
	Many    FactorsOfMany
	MAC     token.MAC // of page tokens; see Query
}

// FactorHolders are the use cases around one account's second factor. *authflow.Authenticators implements it.
type FactorHolders interface {
	Enrol(ctx context.Context, who authflow.Caller, in authflow.EnrolInput) (authflow.Enrolled, error)
	Confirm(ctx context.Context, who authflow.Caller, in authflow.ConfirmInput) (authflow.SubjectFactor, error)
	Get(ctx context.Context, organization string, subject policy.AccountKey) (authflow.SubjectFactor, error)
	List(ctx context.Context, in authflow.ListInput) ([]authflow.SubjectFactor, policy.AccountKey, error)
	Unlock(ctx context.Context, who authflow.Caller, in authflow.MendInput) (authflow.SubjectFactor, error)
	Reset(ctx context.Context, who authflow.Caller, in authflow.MendInput) (authflow.SubjectFactor, error)
	GenerateRecoveryCodes(ctx context.Context, who authflow.Caller, in authflow.RecoveryCodesInput) (authflow.RecoveryCodes, error)
}

// FactorsOfMany are the use cases around the factors and proofs of many accounts. *authflow.Authenticators implements it.
type FactorsOfMany interface {
	Import(ctx context.Context, who authflow.Caller, in authflow.ImportInput) (authflow.Imported, error)
	RevokeProofs(ctx context.Context, who authflow.Caller, in authflow.RevokeInput) (authflow.Revoked, error)
}

// LiveFlows reads flows that are still in Redis. *authflow.Flows implements it.
type LiveFlows interface {
	// Get returns a flow by id or support code, or a NotFound error.
	Get(ctx context.Context, organizationUID, idOrCode string) (authflow.View, error)
}

// Opener opens the personal part of events. audit.Codec implements it.
type Opener interface {
	Open(e *audit.Event) error
}

// Keys makes organization keys usable in this process. audit.Keys implements it.
type Keys interface {
	Add(key audit.OrganizationKey) error
	Has(organizationUID string) bool
}

// Records reads the policy record and directory records in one trip. authflow.Store implements it.
type Records interface {
	Read(ctx context.Context, r authflow.Read) (*authflow.Reading, error)
}

// Archived says how far the archive is. audit.Source implements it.
type Archived interface {
	ArchivedUntil(ctx context.Context, organizationUID string) (time.Time, error)
}

// Applier applies documents.
type Applier interface {
	// Apply makes an organization match a document and returns the commits it took. The same request id resumes or repeats.
	Apply(ctx context.Context, principal string, in convert.Apply) (Applied, error)
	// Export returns an organization as a document that changes nothing when it is applied.
	Export(ctx context.Context, organization string) (directory.ExportResult, error)
}

// Applied is what an apply did.
type Applied struct {
	Organization *policy.Organization // nil when it does not exist (validation only)
	Commits      []policy.Applied
	Warnings     document.Problems
	Changes      []directory.Planned // validation only
}

// Server serves the API. Make it with New, hand it listeners with Serve, end it with Shutdown.
type Server struct {
	grpc     *grpc.Server
	health   *health.Server
	recorder *interceptor.Recorder
	readings *Readings
	indexer  convert.Indexer // nil without queries: then nobody reads the record
	log      *slog.Logger
	refusals *interceptor.Refusals
	access   *access
	services []string
	stopping chan struct{}
	stopOnce sync.Once
}

// New assembles a server. A registered method without a rule, a rule without a method, a request field without a bound, or a
// missing part of c is an error: nothing starts with a hole in it.
func New(c Config) (*Server, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	checked, err := convert.New()
	if err != nil {
		return nil, err
	}
	s := &Server{health: health.NewServer(), stopping: make(chan struct{}), log: c.Log}
	access := &access{directory: c.Directory, live: c.Live}
	if c.Query != nil {
		access.keys, access.record = c.Query.Keys, c.Query.Reader
		s.indexer = c.Query.Indexer
	}
	s.access = access
	s.recorder = interceptor.NewRecorder(c.Outbox, access, c.Now, c.NewID, c.Log)
	s.readings = newReadings(c.Outbox, c.Now, c.NewID, c.Unrecorded, c.Log)
	s.refusals = &interceptor.Refusals{Recorder: s.recorder, Organizations: access, Flows: access, Log: c.Log}
	chain := interceptor.NewChain(interceptor.Parts{
		Refusals: s.refusals, Errors: &interceptor.Errors{Log: c.Log}, Deadlines: interceptor.Deadlines{Call: c.CallTimeout},
		Callers: interceptor.Callers{UIDs: c.UIDs}, Limits: &interceptor.Limits{Calls: c.MaxCalls, Streams: c.MaxStreams},
		Observe: c.Observe, Now: c.Now, Answered: s.answered,
	})
	s.grpc = grpc.NewServer(s.options(chain)...)
	if err := s.register(chain, c, checked, access); err != nil {
		return nil, errors.Join(err, s.recorder.Close(context.Background()), s.readings.Close(context.Background()))
	}
	return s, nil
}

// options are who may connect, how messages are read, and the transport's limits.
func (s *Server) options(chain *interceptor.Chain) []grpc.ServerOption {
	return append(TransportLimits(),
		grpc.Creds(interceptor.Credentials()),
		grpc.ForceServerCodecV2(interceptor.Codec()),
		grpc.UnknownServiceHandler(chain.Unknown),
		grpc.WaitForHandlers(true),
	)
}

// TransportLimits are what a connection may ask for at most (GRPC-4). The benchmark's floor runs under the same.
func TransportLimits() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(interceptor.MaxMessage),
		grpc.MaxSendMsgSize(maxAnswer),
		grpc.MaxConcurrentStreams(250),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.ConnectionTimeout(10 * time.Second),
		// Goroutines that have grown their stacks serve one call after another; what comes beyond them gets one of its own.
		grpc.NumStreamWorkers(streamWorkers),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 30 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Minute, Timeout: 20 * time.Second}),
	}
}

const streamWorkers = 64

// maxAnswer bounds what one message of an answer may hold; lists stop well before it.
const maxAnswer = 16 << 20

// register wraps every service in the chain. Each one comes with the table of its rules.
func (s *Server) register(chain *interceptor.Chain, c Config, checked *convert.Converter, access *access) error {
	add := func(desc *grpc.ServiceDesc, impl any, rules map[string]interceptor.Rule) error {
		wrapped, err := chain.Wrap(desc, rules)
		if err != nil {
			return fmt.Errorf("server: %w", err)
		}
		s.grpc.RegisterService(wrapped, impl)
		s.services = append(s.services, desc.ServiceName)
		return nil
	}
	var problems []error
	if c.SignIn != nil {
		impl := &signInService{flows: c.SignIn.Flows, elsewhere: c.SignIn.Federation, in: checked, forms: c.Forms}
		problems = append(problems, add(&posternv1.SignInService_ServiceDesc, impl, signInRules()))
	}
	if f := c.Factors; f != nil {
		impl := &authenticatorService{Factors: f, in: checked, tokens: token.New(f.MAC), now: c.Now}
		problems = append(problems, add(&posternv1.AuthenticatorService_ServiceDesc, impl, authenticatorRules()))
	}
	if i := c.Identities; i != nil {
		impl := &identityService{keeper: i.Keeper, in: checked, tokens: token.New(i.MAC)}
		problems = append(problems, add(&posternv1.IdentityService_ServiceDesc, impl, identityRules()))
	}
	if k := c.APIKeys; k != nil {
		impl := &keyService{keeper: k.Keeper, in: checked, tokens: token.New(k.MAC), now: c.Now}
		problems = append(problems, add(&posternv1.KeyService_ServiceDesc, impl, keyRules()))
	}
	if q := c.Query; q != nil {
		base := query{
			Query: q, Forms: c.Forms, access: access, in: checked, tokens: token.New(q.MAC), log: c.Log, now: c.Now, stopping: s.stopping,
		}
		problems = append(problems,
			add(&posternv1.FlowService_ServiceDesc, &flowService{query: base}, flowRules()),
			add(&posternv1.EventService_ServiceDesc, &eventService{query: base, keys: c.APIKeys}, eventRules()),
			add(&posternv1.DirectoryService_ServiceDesc, &directoryService{query: base}, directoryRules()),
			add(&posternv1.PolicyService_ServiceDesc, &policyService{query: base}, policyRules()))
	}
	problems = append(problems, add(&healthv1.Health_ServiceDesc, healthService{s.health, s.stopping}, healthRules()))
	if c.Reflection {
		impl := reflection.NewServerV1(reflection.ServerOptions{Services: s.grpc})
		problems = append(problems, add(&reflectionv1.ServerReflection_ServiceDesc, impl, reflectionRules()))
	}
	return errors.Join(problems...)
}

// Services returns the names of the registered services, for health and documentation.
func (s *Server) Services() []string { return slices.Clone(s.services) }

// Refusals records refusals that never become calls: those of the HTTP gateway.
func (s *Server) Refusals() *interceptor.Refusals { return s.refusals }

// OpenRecord resolves an organization whose record is about to be read past this server, and makes its key usable in this process.
func (s *Server) OpenRecord(ctx context.Context, organization string) (uid string, err error) {
	return s.access.open(ctx, organization)
}
