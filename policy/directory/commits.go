package directory

import (
	"context"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// maxKeys bounds the domains or claims of one commit.
const maxKeys = 500

// Kinds of commits, as answered.
const (
	kindAddDomains    = "ADD_DOMAINS"
	kindAddClaims     = "ADD_CLAIMS"
	kindPolicy        = "POLICY"
	kindRemoveDomains = "REMOVE_DOMAINS"
	kindNothing       = "NOTHING"
)

// commit is one part of an apply. Its change is completed with the version it is based on when its turn comes.
type commit struct {
	kind   string
	count  int
	change policy.Change
	claims []claim // what the change claims, to be taken and sealed when its turn comes
}

// commits are the parts in their order: creation, additions, the policy record, removals. A new organization is created
// without sites, so that nobody signs in before its domains and claims are known.
func (a *apply) commits() []commit {
	var all []commit
	objects := a.plan.Objects
	if a.current == nil {
		var created document.ObjectChange
		created, objects = objects[0], objects[1:]
		all = append(all, commit{kind: kindPolicy, count: 1, change: policy.Change{
			Organization: &policy.Organization{ID: a.in.Organization, UID: a.uid, DisplayName: a.plan.Organization.DisplayName,
				Disabled: a.plan.Organization.Disabled, Sandbox: a.plan.Organization.Sandbox, Created: a.d.Now(),
				Retention: a.plan.Organization.Retention, Privacy: a.plan.Organization.Privacy},
			WritePolicy: true, Events: []audit.Event{a.event(created)},
		}})
	}
	for _, part := range chunks(a.plan.AddDomains) {
		e := a.list(audit.TypeDomainVerified, "domain", namesOf(part))
		all = append(all, commit{kind: kindAddDomains, count: len(part), change: policy.Change{AddDomains: part, Events: []audit.Event{e}}})
	}
	for _, part := range chunks(a.claimed()) {
		names := make([]string, len(part))
		for i := range part {
			names[i] = part[i].name()
		}
		e := a.list(audit.TypeAccountClaimed, "account", names)
		all = append(all, commit{kind: kindAddClaims, count: len(part), change: policy.Change{Events: []audit.Event{e}}, claims: part})
	}
	if len(objects) > 0 {
		c := policy.Change{Organization: a.plan.Organization, WritePolicy: true}
		for _, o := range objects {
			e := a.event(o)
			e.Personal.Detail = a.in.Reason
			c.Events = append(c.Events, e)
		}
		all = append(all, commit{kind: kindPolicy, count: len(objects), change: c})
	}
	for i, part := range chunks(a.plan.DropDomains) {
		e := a.list(audit.TypeDomainRemoved, "domain", namesOf(part))
		if i == 0 {
			e.Changes = a.forced
		}
		c := policy.Change{Events: []audit.Event{e}}
		for _, r := range part {
			c.DropDomains = append(c.DropDomains, r.Domain)
		}
		all = append(all, commit{kind: kindRemoveDomains, count: len(part), change: c})
	}
	return all
}

func chunks[T any](all []T) [][]T {
	var out [][]T
	for len(all) > maxKeys {
		out, all = append(out, all[:maxKeys:maxKeys]), all[maxKeys:]
	}
	if len(all) > 0 {
		out = append(out, all)
	}
	return out
}

func namesOf(records []policy.DomainRecord) []string {
	names := make([]string, len(records))
	for i, r := range records {
		names[i] = r.Domain.String()
	}
	return names
}

// event is the administrative event of one changed object.
func (a *apply) event(o document.ObjectChange) audit.Event {
	target := o.Target
	return audit.Event{
		ID: a.d.NewID(), Type: o.Type, Time: a.d.Now(), Organization: a.in.Organization, OrganizationUID: a.uid, Caller: a.caller,
		Outcome: audit.OutcomeOf(o.Type), Origin: a.origin, Target: &target, Changes: o.Changes,
	}
}

// list is the one event of a commit that adds or removes several objects; their names are sealed.
func (a *apply) list(t audit.Type, kind string, names []string) audit.Event {
	e := a.event(document.ObjectChange{Type: t, Target: audit.Target{Type: kind, Count: int64(len(names))}})
	e.Personal = audit.Personal{Items: names, Detail: a.in.Reason}
	return e
}

// run makes the commits one after the other. A failure leaves those before it in place; the same request id carries on.
func (a *apply) run(ctx context.Context) (ApplyResult, error) {
	parts := a.commits()
	if a.in.ValidateOnly {
		return a.wouldBe(parts), nil
	}
	var done []policy.Applied
	if a.progress != nil {
		done = a.progress.Commits
	}
	base := a.current
	for i, p := range parts {
		change, err := a.based(p.change, base)
		if err != nil {
			return ApplyResult{}, err
		}
		change.Request, change.Progress, change.Done = a.key, done, i == len(parts)-1
		if err := a.takeClaims(ctx, &change, p.claims); err != nil {
			return ApplyResult{}, err
		}
		applied, stamp, err := a.d.Writer.Commit(ctx, change)
		if err != nil {
			return ApplyResult{}, err
		}
		done = append(done[:len(done):len(done)], applied)
		next := *change.Organization
		next.Stamp, next.Revision = stamp, applied.Revision
		base = &next
	}
	if len(done) == 0 {
		done = []policy.Applied{{Kind: kindNothing, Revision: a.current.Revision}}
		if err := a.d.Writer.Answered(ctx, a.uid, a.key, policy.Progress{Stamp: a.current.Stamp, Commits: done, Done: true}); err != nil {
			return ApplyResult{}, err
		}
	}
	o, err := a.d.Directory.Organization(ctx, a.uid)
	return ApplyResult{Organization: o, Commits: done}, err
}

// based completes a change with the version it is based on.
func (a *apply) based(c policy.Change, base *policy.Organization) (policy.Change, error) {
	if base == nil { // the creation
		return a.creation(c)
	}
	next := *base
	if c.WritePolicy {
		next = *a.plan.Organization
		next.Created, next.Key = base.Created, base.Key
	}
	next.Stamp, next.Revision = base.Stamp, base.Revision
	c.Organization = &next
	return c, nil
}

// creation completes the commit that creates the organization with a fresh key, and seals why with that key alone: key and event
// are one write, so whoever else creates the organization meanwhile, with another key, stores both or neither as well. The
// keyring learns the key that Redis has.
func (a *apply) creation(c policy.Change) (policy.Change, error) {
	key, err := a.d.Keys.Mint(a.uid)
	if err != nil {
		return c, err
	}
	c.Organization.Key = key
	if a.in.Reason == "" {
		return c, nil
	}
	e := &c.Events[0]
	p := c.Organization.Privacy.Mask(audit.CategoryAdministration, audit.Personal{Detail: a.in.Reason}, nobody)
	e.Sealed, err = a.d.Keys.SealWith(key, e.ID, p)
	return c, err
}

// nobody stands for an address where its keyed hash cannot be made yet.
func nobody(string) string { return "" }

func (a *apply) wouldBe(parts []commit) ApplyResult {
	out := ApplyResult{Organization: a.current, Changes: a.planned()}
	for _, p := range parts {
		out.Commits = append(out.Commits, policy.Applied{Kind: p.kind, Count: p.count})
	}
	if len(parts) == 0 {
		out.Commits = []policy.Applied{{Kind: kindNothing, Revision: a.current.Revision}}
	}
	return out
}
