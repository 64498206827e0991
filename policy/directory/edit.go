package directory

import (
	"context"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
	"github.com/postern-audit/postern/policy/policypb"
)

// ReasonOrganizationExists refuses to make an organization whose id is taken.
const ReasonOrganizationExists = "ORGANIZATION_EXISTS"

// edit is one call that changes the policy record of an organization in one commit: its policy, its sites, its connections or what it
// is itself.
type edit struct {
	d      Deps
	method string
	caller string
	// in has what was asked for beside etag, reason, force and admin as its Document.
	in        ApplyInput
	creates   bool // the organization must not exist yet
	needsEtag bool
	plan      func(ctx context.Context, a *apply) (*document.Plan, error)
}

func reserved(id string) error {
	if id != audit.SystemID {
		return nil
	}
	return errs.New(errs.PermissionDenied, "ORGANIZATION_RESERVED", "the organization "+audit.SystemID+" belongs to the sidecar itself")
}

func noOrganization() error {
	return errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
}

// find returns the organization an id leads to. What this process takes for it may have been deleted meanwhile, and the id may be another
// one's: by then it knows better.
func find(ctx context.Context, d policy.Directory, id string) (*policy.Organization, error) {
	var o *policy.Organization
	for range 2 {
		uid, err := d.Resolve(ctx, id)
		if err != nil {
			return nil, err
		}
		if o, err = d.Organization(ctx, uid); err == nil || errs.KindOf(err) != errs.NotFound {
			return o, err
		}
	}
	return nil, noOrganization()
}

// run makes the change on the version given, or without one on whatever there is, beginning anew when that moves.
func (e *edit) run(ctx context.Context) (*apply, ApplyResult, error) {
	if err := reserved(e.in.Organization); err != nil {
		return nil, ApplyResult{}, err
	}
	var a *apply
	var r ApplyResult
	var err error
	for range maxChangeTries {
		if a, r, err = e.once(ctx); !errs.Is(err, "ETAG_MISMATCH") || e.in.Etag != "" {
			return a, r, err
		}
	}
	return a, r, err
}

func (e *edit) once(ctx context.Context) (*apply, ApplyResult, error) {
	a := &apply{d: e.d, caller: e.caller, now: e.d.Now(), method: e.method, origin: audit.OriginAPI, in: e.in}
	a.plans = func(ctx context.Context) (*document.Plan, error) { return e.plan(ctx, a) }
	if err := a.look(ctx); err != nil {
		return nil, ApplyResult{}, err
	}
	switch {
	case a.progress != nil:
		return a, ApplyResult{Organization: a.current, Commits: a.progress.Commits}, nil
	case a.current == nil && !e.creates:
		return nil, ApplyResult{}, noOrganization()
	case a.current != nil && e.creates:
		return nil, ApplyResult{}, errs.New(errs.AlreadyExists, ReasonOrganizationExists, "there is an organization with this id already")
	}
	if e.in.Etag == "" && a.current != nil && !e.needsEtag {
		a.in.Etag = policypb.Etag(a.current.Stamp)
	}
	if err := a.version(); err != nil {
		return nil, ApplyResult{}, err
	}
	if err := a.makePlan(ctx); err != nil {
		return nil, ApplyResult{}, err
	}
	if err := a.reserve(ctx); err != nil {
		return nil, ApplyResult{}, err
	}
	r, err := a.run(ctx)
	return a, r, err
}

// shown is the organization as it is after the call, or with ValidateOnly as it would be.
func (e *edit) shown(a *apply, r ApplyResult) *policy.Organization {
	if e.in.ValidateOnly {
		return a.plan.Organization
	}
	return r.Organization
}
