package directory

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// Bounds of a suspension.
const (
	ShortestSuspension = time.Minute
	LongestSuspension  = 24 * time.Hour
)

// Reasons of refused changes of a policy.
const (
	ReasonRollBack   = "ROLL_BACK_IMPOSSIBLE"
	ReasonUnreadable = "POLICY_UNREADABLE"
)

// Methods, as they stand in the keys of calls.
const (
	methodUpdatePolicy   = "UpdatePolicy"
	methodRollBackPolicy = "RollBackPolicy"
	methodSuspendPolicy  = "SuspendPolicy"
	methodResumePolicy   = "ResumePolicy"
)

// Policies are the use cases around the policies of organizations. Deps and History are needed, Deps as documented there.
type Policies struct {
	Deps
	// History is what the live store keeps: what a change answers never waits for the archive.
	History policy.History
	// Whole is History with what the archive has beyond it. May be nil: then History is all there is.
	Whole policy.History
	// Past reads policies of moments. It is needed only when one is asked for.
	Past policy.Past
}

// PolicyInput is one change of a policy.
type PolicyInput struct {
	Organization string        // id
	Document     []byte        // the policy, for Update
	Revision     int64         // to go back to, for RollBack
	For          time.Duration // of a suspension, 1m to 24h, for Suspend
	Etag         string        // version the change is based on; only Update needs it
	RequestID    string
	ValidateOnly bool // not of Suspend and Resume
	Reason       string
	Force        bool
	Admin        policy.Address // whose way in must not be lost; zero: nobody's in particular
}

// PolicyState is a policy at a revision.
type PolicyState struct {
	Organization *policy.Organization // with the policy as it was then; sites, connections and etag are those of now
	Revision     int64                // that wrote it; 0 when nothing is kept of that
	Written      time.Time
	Past         bool // a revision or a moment was asked for
	Document     string
	// Of a moment: which one, and the change that wrote the policy. Sites, connections and switches are of then as well.
	At     time.Time
	Change *policy.Revision
}

// PolicyResult is what a change came to.
type PolicyResult struct {
	State    PolicyState
	Events   []string // ids; none when nothing changed
	Warnings document.Problems
	Changes  []audit.Change // validation only
}

// Get returns the policy as it is, or as it was.
func (p *Policies) Get(ctx context.Context, organization string, as AsOf) (PolicyState, error) {
	uid, err := p.Directory.Resolve(ctx, organization)
	if err != nil {
		return PolicyState{}, err
	}
	o, err := p.Directory.Organization(ctx, uid)
	if err != nil {
		return PolicyState{}, err
	}
	switch {
	case !as.Time.IsZero():
		return p.then(ctx, uid, as.Time)
	case as.Revision == 0:
		return p.state(ctx, o)
	}
	r, err := p.whole().PolicyRevision(ctx, uid, as.Revision)
	if err != nil {
		return PolicyState{}, err
	}
	s := stateOf(o.At(r))
	s.Revision, s.Written, s.Past = r.Number, r.Event.Time, true
	return s, nil
}

// state is the policy as it is, with the revision that wrote it.
func (p *Policies) state(ctx context.Context, o *policy.Organization) (PolicyState, error) {
	s := stateOf(o)
	newest, err := p.History.PolicyRevisions(ctx, o.UID, o.Revision+1, 1)
	if err != nil {
		return PolicyState{}, err
	}
	if len(newest) > 0 {
		s.Revision, s.Written = newest[0].Number, newest[0].Event.Time
	}
	return s, nil
}

func stateOf(o *policy.Organization) PolicyState {
	return PolicyState{Organization: o, Document: document.ExportPolicy(o)}
}

// Revisions returns up to limit revisions before the given one, or with 0 from the newest on, newest first.
func (p *Policies) Revisions(ctx context.Context, organization string, before int64, limit int) ([]policy.Revision, error) {
	o, err := find(ctx, p.Directory, organization)
	if err != nil {
		return nil, err
	}
	return p.whole().PolicyRevisions(ctx, o.UID, before, limit)
}

// Revision returns the policy in force at a revision.
func (p *Policies) Revision(ctx context.Context, organizationUID string, at int64) (*policy.Revision, error) {
	return p.whole().PolicyRevision(ctx, organizationUID, at)
}

// Update replaces the policy as a whole.
func (p *Policies) Update(ctx context.Context, caller string, in PolicyInput) (PolicyResult, error) {
	doc, problems := document.ParsePolicy(in.Organization, in.Document)
	if err := problems.Err(); err != nil {
		return PolicyResult{}, err
	}
	c := policyCall{p: p, method: methodUpdatePolicy, caller: caller, in: in, doc: doc, signature: in.Document, needsEtag: true}
	c.plan = func(_ context.Context, a *apply) (*document.Plan, error) {
		plan, problems := document.PlanOf(doc, document.Current{Organization: a.current, UID: a.uid}, p.Namer, p.NewID)
		return plan, problems.Err()
	}
	return c.run(ctx)
}

// RollBack writes the policy of a revision again. What that rests on must still be there.
func (p *Policies) RollBack(ctx context.Context, caller string, in PolicyInput) (PolicyResult, error) {
	c := policyCall{p: p, method: methodRollBackPolicy, caller: caller, in: in, signature: strconv.AppendInt(nil, in.Revision, 10)}
	c.plan = func(ctx context.Context, a *apply) (*document.Plan, error) {
		r, err := p.whole().PolicyRevision(ctx, a.uid, in.Revision)
		if err != nil {
			return nil, err
		}
		next := *a.current
		next.Policy, next.AllowUnreadable, next.Unreadable = r.Policy, r.AllowUnreadable, false
		plan, problems := document.PlanChange(a.current, &next)
		if plan == nil {
			return nil, errs.New(errs.FailedPrecondition, ReasonRollBack, "revision "+strconv.FormatInt(r.Number, 10)+
				" does not fit the organization as it is now: "+firstError(problems))
		}
		note(plan, audit.Change{Field: "rolled_back_to", After: strconv.FormatInt(r.Number, 10)})
		return plan, nil
	}
	return c.run(ctx)
}

func firstError(problems document.Problems) string {
	i := slices.IndexFunc(problems, func(p document.Problem) bool { return !p.Warning })
	if i < 0 {
		return "it is not valid"
	}
	return problems[i].String()
}

// note puts something ahead of what the event of the policy says.
func note(plan *document.Plan, c audit.Change) {
	for i := range plan.Objects {
		if o := &plan.Objects[i]; o.Target.Type == "policy" {
			o.Changes = append([]audit.Change{c}, o.Changes...)
		}
	}
}

// Suspend stops enforcing the policy for a while, from now. Stops still bite. It ends by itself; nothing is written then.
func (p *Policies) Suspend(ctx context.Context, caller string, in PolicyInput) (PolicyResult, error) {
	if in.For < ShortestSuspension || in.For > LongestSuspension {
		return PolicyResult{}, errs.Field("duration", "FIELD_INVALID", "must be from 1m to 24h")
	}
	c := policyCall{p: p, method: methodSuspendPolicy, caller: caller, in: in, signature: []byte(in.For.String())}
	c.plan = p.until(audit.TypePolicySuspended, func(a *apply) time.Time { return a.now.Add(in.For).UTC().Truncate(time.Second) })
	return c.run(ctx)
}

// Resume ends a suspension. When there is none, or it has ended by itself, nothing changes.
func (p *Policies) Resume(ctx context.Context, caller string, in PolicyInput) (PolicyResult, error) {
	c := policyCall{p: p, method: methodResumePolicy, caller: caller, in: in}
	c.plan = p.until(audit.TypePolicyResumed, func(a *apply) time.Time {
		if a.current.Suspended(a.now) {
			return time.Time{}
		}
		return a.current.SuspendedUntil
	})
	return c.run(ctx)
}

// until plans another end of the suspension, with an event of that type.
func (p *Policies) until(t audit.Type, end func(a *apply) time.Time) func(context.Context, *apply) (*document.Plan, error) {
	return func(_ context.Context, a *apply) (*document.Plan, error) {
		if a.current.Unreadable {
			return nil, errs.New(errs.FailedPrecondition, ReasonUnreadable, "the stored policy cannot be read: write it anew first")
		}
		next := *a.current
		next.SuspendedUntil = end(a)
		plan, problems := document.PlanChange(a.current, &next)
		if err := problems.Err(); err != nil {
			return nil, err
		}
		for i := range plan.Objects {
			plan.Objects[i].Type = t
		}
		return plan, nil
	}
}

// policyCall is one call that changes a policy.
type policyCall struct {
	p         *Policies
	method    string
	caller    string
	in        PolicyInput
	signature []byte // what was asked for beside etag, reason, force and admin
	doc       *document.Document
	needsEtag bool
	plan      func(ctx context.Context, a *apply) (*document.Plan, error)
}

func (c *policyCall) run(ctx context.Context) (PolicyResult, error) {
	in := c.in
	e := edit{d: c.p.Deps, method: c.method, caller: c.caller, needsEtag: c.needsEtag, plan: c.plan, in: ApplyInput{
		Organization: in.Organization, Document: c.signature, Etag: in.Etag, RequestID: in.RequestID, ValidateOnly: in.ValidateOnly, Reason: in.Reason,
		Force: in.Force, Admin: in.Admin}}
	a, done, err := e.run(ctx)
	if err != nil {
		return PolicyResult{}, err
	}
	return c.result(ctx, a, e.shown(a, done), done)
}

func (c *policyCall) result(ctx context.Context, a *apply, shown *policy.Organization, done ApplyResult) (PolicyResult, error) {
	doc := c.doc
	if doc == nil {
		doc = &document.Document{}
	}
	r := PolicyResult{Warnings: doc.Lint(shown, a.now)}
	for _, commit := range done.Commits {
		r.Events = append(r.Events, commit.Events...)
	}
	for _, planned := range done.Changes {
		r.Changes = append(r.Changes, planned.Changes...)
	}
	var err error
	r.State, err = c.p.state(ctx, done.Organization)
	return r, err
}
