package directory

import (
	"context"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/policypb"
)

// ReasonNotDisabled refuses to delete an organization that people can still sign in to.
const ReasonNotDisabled = "ORGANIZATION_NOT_DISABLED"

// ReasonOnHold refuses to delete an organization whose record is on hold: nobody could lift it any more.
const ReasonOnHold = "ORGANIZATION_ON_HOLD"

// DeletionInput names an organization to delete.
type DeletionInput struct {
	Organization string // id
	Etag         string // of the version the deletion is based on
	RequestID    string
	Reason       string
}

// DeleteOrganization ends an organization that is disabled, in commits: what it has of domains and claims, part by part, then all the rest at
// once, then its name. Its record stays under its uid, and nothing but its key and its counters with it. The same request id with the
// same input carries on where an earlier call stopped, and once all is done changes nothing.
func (r *Resources) DeleteOrganization(ctx context.Context, caller string, in DeletionInput) error {
	if err := reserved(in.Organization); err != nil {
		return err
	}
	x := deletion{r: r, caller: caller, in: in,
		key: r.Namer.ApplyKey(caller, methodDeleteOrganization, in.Organization, in.RequestID, fields(in.Etag, in.Reason))}
	if done, err := r.Deletions.Freed(ctx, x.key); err != nil || done {
		return err
	}
	o, err := r.Deletions.Named(ctx, in.Organization)
	if err != nil {
		return err
	}
	x.uid = o.UID
	p, err := r.Writer.Progress(ctx, o.UID, x.key)
	if err != nil {
		return err
	}
	switch {
	case p != nil:
	case o.Gone():
		return noOrganization()
	default:
		if err := based(o, in.Etag); err != nil {
			return err
		}
		if o.Retention.Hold {
			return errs.New(errs.FailedPrecondition, ReasonOnHold, "the organization's record is on legal hold: lift that first")
		}
		x.stamp = o.Stamp
	}
	if p == nil || !p.Done {
		if err := x.run(ctx); err != nil {
			return err
		}
	}
	if err := r.Deletions.Free(ctx, in.Organization, x.uid, x.key); err != nil {
		return err
	}
	_, _ = r.Directory.Organization(ctx, x.uid) // from here on this process knows that it is gone
	return nil
}

// based refuses a change that is based on another version than the one that stands.
func based(o *policy.Organization, etag string) error {
	stamp, err := policypb.ParseEtag(etag)
	switch {
	case err != nil:
		return errs.Field("etag", "ETAG_INVALID", "an etag is what a read or a change answered: 32 lower-case hex digits")
	case stamp != o.Stamp:
		return errs.New(errs.Conflict, "ETAG_MISMATCH", "the organization has changed since the version given; read it again")
	}
	return nil
}

// deletion is one call that deletes an organization.
type deletion struct {
	r      *Resources
	caller string
	in     DeletionInput
	key    policy.ApplyKey
	uid    string
	stamp  policy.Stamp // the first commit is based on; zero: it happened
	after  policy.AccountKey
}

// run makes commits until nothing is left. Once the first of them happened the organization may change beside, as long as it stays
// disabled: what came to it meanwhile goes as well.
func (x *deletion) run(ctx context.Context) error {
	for lost := 0; lost < maxChangeTries; {
		o, err := x.r.Directory.Organization(ctx, x.uid)
		if err != nil {
			return err
		}
		switch {
		case !x.stamp.IsZero() && x.stamp != o.Stamp:
			return errs.New(errs.Conflict, "ETAG_MISMATCH", "the organization has changed since the version given; read it again")
		case !o.Disabled:
			return errs.New(errs.FailedPrecondition, ReasonNotDisabled, "people can sign in to this organization: disable it first")
		}
		change, after, err := x.next(ctx, o)
		if err != nil {
			return err
		}
		change.Request = x.key // with the last commit alone: all that matters is that there was one
		_, _, err = x.r.Writer.Commit(ctx, change)
		switch {
		case again(err) && x.stamp.IsZero():
			lost++
			continue
		case err != nil:
			return err
		}
		x.stamp = policy.Stamp{}
		if err := after(ctx); err != nil || change.Done {
			return err
		}
	}
	return changing()
}

// atOnce is how many domains one commit of a deletion takes away: each may come with its challenge.
const atOnce = maxKeys / 2

// next is the commit that comes next, and what gives up behind it what is exclusive between organizations.
func (x *deletion) next(ctx context.Context, o *policy.Organization) (policy.Change, func(context.Context) error, error) {
	same := *o
	page, err := x.r.Directory.Domains(ctx, o.UID, policy.Domain{}, atOnce)
	if err != nil {
		return policy.Change{}, nil, err
	}
	challenges, err := x.r.Domains.Challenges.Challenges(ctx, o.UID, policy.Domain{}, atOnce)
	if err != nil {
		return policy.Change{}, nil, err
	}
	if len(page.Domains)+len(challenges) > 0 {
		change, release := x.domains(page.Domains, challenges)
		change.Organization = &same
		return change, release, nil
	}
	claims, err := x.someClaims(ctx)
	if err != nil {
		return policy.Change{}, nil, err
	}
	if len(claims) > 0 {
		change, release, err := x.claims(ctx, claims)
		change.Organization = &same
		return change, release, err
	}
	last := x.event(audit.TypeOrganizationDeleted, audit.Target{Type: "organization", ID: o.ID, UID: o.UID})
	last.Personal.Detail = x.in.Reason
	return policy.Change{Organization: x.tombstone(o), WritePolicy: true, Events: []audit.Event{last}, Done: true},
		func(context.Context) error { return nil }, nil
}

// someClaims are claims that are left: those behind the ones that went before, else from the beginning, where some may have come anew.
func (x *deletion) someClaims(ctx context.Context) ([]policy.ClaimRecord, error) {
	for {
		page, err := x.r.Accounts.Claims.Claims(ctx, x.uid, x.after, maxKeys)
		if err != nil || len(page.Claims) > 0 || x.after == (policy.AccountKey{}) {
			x.after = page.Next
			return page.Claims, err
		}
		x.after = policy.AccountKey{}
	}
}

// tombstone is what stays of an organization.
func (x *deletion) tombstone(o *policy.Organization) *policy.Organization {
	return &policy.Organization{UID: o.UID, ID: o.ID, Disabled: true, Sandbox: o.Sandbox, Deleted: x.r.Now(), Created: o.Created, Key: o.Key,
		Stamp: o.Stamp, Revision: o.Revision, Retention: o.Retention, Privacy: o.Privacy}
}

// domains takes domains away, with their verifications.
func (x *deletion) domains(records []policy.DomainRecord, challenges []policy.DomainChallenge) (policy.Change, func(context.Context) error) {
	var change policy.Change
	var names []string
	var owned []policy.Domain
	seen := map[policy.Domain]bool{}
	add := func(d policy.Domain) {
		if !seen[d] {
			seen[d] = true
			names = append(names, d.String())
		}
	}
	for i := range records {
		change.DropDomains = append(change.DropDomains, records[i].Domain)
		add(records[i].Domain)
		if records[i].VerifiedBy == policy.VerifiedByDNS {
			owned = append(owned, records[i].Domain)
		}
	}
	for i := range challenges {
		change.Challenges = append(change.Challenges, policy.ChallengeChange{Before: &challenges[i]})
		add(challenges[i].Domain)
	}
	change.Events = []audit.Event{x.list(audit.TypeDomainRemoved, "domain", names)}
	return change, func(ctx context.Context) error {
		for _, d := range owned {
			if err := x.r.Domains.release(ctx, d, x.uid); err != nil {
				return err
			}
		}
		return nil
	}
}

// claims takes claims away.
func (x *deletion) claims(ctx context.Context, records []policy.ClaimRecord) (policy.Change, func(context.Context) error, error) {
	var change policy.Change
	accounts := make([]Account, len(records))
	names := make([]string, len(records))
	for i, c := range records {
		accounts[i] = x.r.Accounts.open(x.in.Organization, x.uid, c)
		names[i] = accounts[i].text()
		change.DropClaims = append(change.DropClaims, c.Key)
	}
	c := claimer{x.r.Accounts.Writer, x.r.Accounts.Owners, x.r.Accounts.Sealer, x.r.Accounts.Namer, x.r.Accounts.Now}
	held, err := c.held(ctx, x.uid, accounts)
	if err != nil {
		return change, nil, err
	}
	change.Events = []audit.Event{x.list(audit.TypeAccountReleased, "account", names)}
	return change, func(ctx context.Context) error {
		c.release(ctx, held)
		return nil
	}, nil
}

func (x *deletion) event(t audit.Type, target audit.Target) audit.Event {
	return audit.Event{ID: x.r.NewID(), Type: t, Time: x.r.Now(), Organization: x.in.Organization, OrganizationUID: x.uid, Caller: x.caller,
		Outcome: audit.OutcomeOf(t), Origin: audit.OriginAPI, Target: &target}
}

// list is the event of a commit that takes several objects away.
func (x *deletion) list(t audit.Type, kind string, names []string) audit.Event {
	e := x.event(t, audit.Target{Type: kind, Count: int64(len(names))})
	e.Personal = audit.Personal{Items: names, Detail: x.in.Reason}
	return e
}
