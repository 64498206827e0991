package authflow

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Config is what use cases need from outside. Every field is needed unless it says otherwise.
type Config struct {
	Store     Store
	Directory policy.Directory
	Namer     Namer
	Archive   Archived  // may be nil: then sessions start only on flows still in Redis
	Verifier  Verifier  // may be nil: then no codes are checked here, and VerifyTotp and VerifyRecoveryCode are refused
	Providers Providers // may be nil: then no sign-in elsewhere is verified here, and its calls are refused
	Now       func() time.Time
	NewID     func() string // UUIDv7
	NewCode   func() string // support code: XXXXX-XXXXX in Crockford base32, see FormatSupportCode
	Log       *slog.Logger
	// Region is where this installation keeps the record; "": nowhere in particular. Nobody signs in at a site of another one here.
	Region    string
	CacheSize int // flows kept in memory; 0: 10,000
	// MinLifetime is the shortest lifetime a flow may be given, for demonstrations; 0: MinLifetime.
	MinLifetime time.Duration
	// CommitTimeout bounds a commit once it has begun, whether or not the caller still waits; 0: 5 s.
	CommitTimeout time.Duration
	// ExchangeTimeout bounds the exchange of a code with a provider; 0: 5 s.
	ExchangeTimeout time.Duration
}

// Flows are the use cases of a sign-in. Safe for concurrent use. Each call is one commit; what is answered was committed.
// A call whose request id was answered before gets the first answer again and changes nothing.
type Flows struct {
	c          Config
	known      *cache
	access     *accessCache
	uses       *uses
	owners     *owners
	bound      commitBound
	superseded chan DueFlow
	dropped    atomic.Int64
}

// New returns the use cases, or an error that names the missing part.
func New(c Config) (*Flows, error) {
	for name, missing := range map[string]bool{
		"Store": c.Store == nil, "Directory": c.Directory == nil, "Namer": c.Namer == nil, "Now": c.Now == nil,
		"NewID": c.NewID == nil, "NewCode": c.NewCode == nil, "Log": c.Log == nil,
	} {
		if missing {
			return nil, errs.Newf(errs.Internal, "CONFIG_INCOMPLETE", "authflow.Config: %s is missing", name)
		}
	}
	if c.CacheSize <= 0 {
		c.CacheSize = 10_000
	}
	if c.CommitTimeout <= 0 {
		c.CommitTimeout = 5 * time.Second
	}
	if c.ExchangeTimeout <= 0 {
		c.ExchangeTimeout = 5 * time.Second
	}
	return &Flows{c: c, known: newCache(c.CacheSize), access: newAccessCache(c.CacheSize), uses: newUses(), owners: newOwners(c.CacheSize),
		bound: commitBound{longest: c.CommitTimeout}, superseded: make(chan DueFlow, 1024)}, nil
}

// Start opens a flow, with the steps and the finish the input carries, in one commit. Two round trips.
func (f *Flows) Start(ctx context.Context, who Caller, in StartInput) (Answer, error) {
	if len(in.Steps) > MaxSteps-2 {
		return Answer{}, invalid("steps", ErrTooManyReported)
	}
	a, err := f.start(ctx, who, in)
	if errs.Is(err, reasonNoOrganization) { // this process may have taken a deleted one for it; by now it knows better
		if _, gone := f.c.Directory.Resolve(ctx, in.Organization); gone == nil {
			return f.start(ctx, who, in)
		}
	}
	return a, err
}

func (f *Flows) start(ctx context.Context, who Caller, in StartInput) (Answer, error) {
	org, site, err := f.site(ctx, in.Organization, in.Site)
	if org == nil {
		return Answer{}, err
	}
	s := starting{f: f, who: who, in: in, org: org, site: site,
		key:    f.c.Namer.CommitKey(who.Principal, "StartFlow", org.UID+"/"+in.Site, in.RequestID),
		digest: f.c.Namer.Digest(in.canonical())}
	if err != nil {
		return f.first(ctx, org, s.key, s.digest, err)
	}
	return s.run(ctx)
}

// first is the first answer to a request id, whatever has become of its site since; refused when there is none.
func (f *Flows) first(ctx context.Context, org *policy.Organization, key CommitKey, request Digest, refused error) (Answer, error) {
	reading, err := f.read(ctx, Read{OrganizationUID: org.UID, Key: key, Request: request, Organization: true})
	switch {
	case err != nil:
		return Answer{}, err
	case reading.Outcome == nil:
		return Answer{}, refused
	}
	return f.answer(*reading.Outcome, org, true), nil
}

// Step records one step of a flow. One round trip on a flow this process knows, two for the step that binds.
func (f *Flows) Step(ctx context.Context, who Caller, in StepInput) (Answer, error) {
	c, err := f.call(ctx, who, "ReportStep", in.Organization, in.Flow, in.RequestID, in.canonical())
	if err != nil {
		return Answer{}, err
	}
	move, ok := stepMove(in.Step.Type)
	c.proves = ok && (move == MoveProve || move == MoveFactorProve)
	if ok && move == MoveProve {
		c.binder = f.lookup(c.uid, &in.Step.Subject)
		c.naming = c.binder.Account
	}
	if in.Step.Type == audit.TypeSessionReused && len(in.Step.SessionHandle) > 0 {
		c.handle = f.c.Namer.SessionHandle(c.uid, in.Step.SessionHandle)
	}
	c.input = func(_ *Loaded, now time.Time) (Input, error) {
		return Input{Kind: KindStep, Step: f.reported(c.uid, in.Step, c.join(), now, c.binder, c.records)}, nil
	}
	return c.run(ctx)
}

// Finish ends a flow. One round trip on a flow this process knows.
func (f *Flows) Finish(ctx context.Context, who Caller, in FinishInput) (Answer, error) {
	c, err := f.call(ctx, who, "FinishFlow", in.Organization, in.Flow, in.RequestID, in.canonical())
	if err != nil {
		return Answer{}, err
	}
	c.input = func(*Loaded, time.Time) (Input, error) { return Input{Kind: KindFinish, Finish: &in.Finish}, nil }
	return c.run(ctx)
}

// site resolves a site as this process last saw the organization, and looks again before it says there is none, or that it is bound to
// another region. The organization comes with that error: a request id may have been answered when the site was still there.
func (f *Flows) site(ctx context.Context, organization, id string) (*policy.Organization, *policy.Site, error) {
	uid, err := f.c.Directory.Resolve(ctx, organization)
	if err != nil {
		return nil, nil, err
	}
	org, err := f.c.Directory.Cached(ctx, uid)
	if err != nil {
		return nil, nil, err
	}
	if s := siteByID(org, id); s != nil && s.InRegion(f.c.Region) == nil {
		return org, s, nil
	}
	if org, err = f.c.Directory.Organization(ctx, uid); err != nil {
		return nil, nil, err
	}
	s := siteByID(org, id)
	if s == nil {
		return org, nil, refuse(ErrSiteNotFound)
	}
	if err := s.InRegion(f.c.Region); err != nil {
		return org, nil, err
	}
	return org, s, nil
}

// reported is a step with what this process knows about it. The login service is its only witness, but for a session that
// was recorded here.
func (f *Flows) reported(uid string, s StepReport, j *joined, now time.Time, keys policy.LookupKeys, records policy.Records) *Reported {
	r := &Reported{StepReport: s, Evidence: audit.EvidenceAsserted, Keys: keys, Records: records, IdentifierHash: f.identifier(uid, &s.Subject)}
	r.Subject.Identifier = ""
	if j != nil {
		r.reuse(j, now)
	}
	return r
}

// identifier hashes what was typed and is no address; "" when nothing was.
func (f *Flows) identifier(uid string, s *Subject) string {
	if s.Identifier == "" || !s.Address.IsZero() {
		return ""
	}
	return f.c.Namer.Identifier(uid, s.Identifier)
}

// lookup says which directory records bear on a subject.
func (f *Flows) lookup(uid string, s *Subject) policy.LookupKeys {
	return f.keys(uid, s.AccountID, s.Address)
}

func (f *Flows) keys(uid, accountID string, address policy.Address) policy.LookupKeys {
	var k policy.LookupKeys
	if accountID != "" {
		k.Account = f.c.Namer.AccountKey(uid, accountID)
	}
	if !address.IsZero() {
		k.Address, k.Domain = f.c.Namer.AddressKey(uid, address), address.Domain()
	}
	return k
}

// answer renders an outcome with today's texts.
func (f *Flows) answer(o Outcome, org *policy.Organization, repeated bool) Answer {
	a := Answer{Outcome: o, Organization: org.ID, OrganizationUID: org.UID, Repeated: repeated}
	a.Decision.Conditions = nil
	a.Message = render(&o, org)
	a.Decision.Message, a.Decision.HelpURL = a.Message.RuleMessage, a.Message.HelpURL
	return a
}

// outcome is what is stored for a repeated request id: no conditions and no texts.
func (m *Moved) outcome() Outcome {
	d := m.Decision
	d.Conditions, d.Message, d.HelpURL = nil, "", ""
	return Outcome{Flow: m.State.ID, SupportCode: m.State.SupportCode, Step: m.Step, Phase: m.State.Phase, Verdict: m.Verdict,
		Reason: m.Reason, Ending: m.State.Ending, Counts: m.Counts, Decision: d, Next: m.Next, Deadline: m.State.Deadline,
		Recorded: m.State.Recorded}
}

// handOver tells the sweeper of a flow that was just marked. It never waits: the deadline index has the flow as well.
func (f *Flows) handOver(d DueFlow) {
	select {
	case f.superseded <- d:
	default:
		f.dropped.Add(1)
	}
}

// commit writes, whatever becomes of the caller: once begun it is not given up when the caller goes away, only when its
// deadline or the commit's own bound comes.
func (f *Flows) commit(ctx context.Context, c *Commit) (*Committed, error) {
	if err := ctx.Err(); err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "NOT_RECORDED", "the call was over before anything was recorded")
	}
	if err := f.mark(ctx, c); err != nil {
		return nil, err
	}
	bounded, free := f.bound.over(ctx)
	defer free()
	done, err := f.c.Store.Commit(bounded, c)
	var moved *Conflict
	if c.Key != (CommitKey{}) && errors.As(err, &moved) && moved.Organization.Gone() {
		return nil, noOrganization() // what nobody asked for, such as an ending that is due, is still written
	}
	return done, err
}

// mark writes on the events of a commit what their organization says of its events, whoever made them: nothing is recorded that
// must not be kept because somebody forgot to ask.
func (f *Flows) mark(ctx context.Context, c *Commit) error {
	if len(c.Events) == 0 {
		return nil
	}
	org, err := f.c.Directory.Cached(ctx, c.OrganizationUID)
	if err != nil {
		return err
	}
	for i := range c.Events {
		org.Marks(&c.Events[i])
	}
	return nil
}

// read reads what a call needs. Nothing is answered to calls on an organization that was deleted.
func (f *Flows) read(ctx context.Context, r Read) (*Reading, error) {
	reading, err := f.c.Store.Read(ctx, r)
	if err == nil && reading.Organization.Gone() {
		return nil, noOrganization()
	}
	return reading, err
}

func noOrganization() error {
	return errs.New(errs.NotFound, reasonNoOrganization, "there is no such organization")
}

const reasonNoOrganization = "ORGANIZATION_NOT_FOUND"

func siteByID(org *policy.Organization, id string) *policy.Site {
	for i := range org.Sites {
		if org.Sites[i].ID == id {
			return &org.Sites[i]
		}
	}
	return nil
}

func siteByUID(org *policy.Organization, uid string) *policy.Site {
	for i := range org.Sites {
		if org.Sites[i].UID == uid {
			return &org.Sites[i]
		}
	}
	return nil
}
