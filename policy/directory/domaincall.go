package directory

import (
	"context"
	"errors"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/domaincheck"
)

// domainCall is one call, or one look of the worker, at one domain of one organization.
type domainCall struct {
	d            *Domains
	caller       string
	organization string // id
	domain       policy.Domain
	reason       string
	key          policy.ApplyKey // zero: not remembered
	admin        policy.Address  // of who makes the change; zero: nobody in particular
	force        bool
}

// guard refuses an admin's change of a domain that locks people out: after is its record as it will be, nil when it goes. What it
// answers belongs on the event.
func (c *domainCall) guard(ctx context.Context, o *policy.Organization, now *Domain, after *policy.DomainRecord) ([]audit.Change, error) {
	t := Threat{Before: o, Admin: c.admin, Force: c.force}
	switch {
	case now.Record == nil:
		return nil, nil // it counts for nothing
	case after == nil:
		t.DropDomains = []policy.Domain{c.domain}
	default:
		t.AddDomains = []policy.DomainRecord{*after}
	}
	return Guard{Writer: c.d.Writer, Namer: c.d.Namer, Now: c.d.Now}.Check(ctx, t)
}

// based refuses a change of a domain that is none of the API's, or that was based on another version.
func (c *domainCall) based(now *Domain, etag string) error {
	switch {
	case now.Record == nil && now.Challenge == nil:
		return notThere()
	case now.Challenge == nil:
		return byOperator()
	case etag != "" && etag != now.Etag():
		return errs.New(errs.Conflict, "ETAG_MISMATCH", "the domain has changed since the version given; read it again")
	}
	return nil
}

// run makes one change in one commit, again when the organization changed meanwhile, and returns the domain as it is now. A key that
// was used for the same request changes nothing; nor does a change that is nil.
func (c *domainCall) run(ctx context.Context, change func(context.Context, *policy.Organization, Domain) (*policy.Change, error)) (Domain, error) {
	if c.organization == audit.SystemID {
		return Domain{}, errs.New(errs.PermissionDenied, "ORGANIZATION_RESERVED", "the organization "+audit.SystemID+" belongs to the sidecar itself")
	}
	uid, err := c.d.Directory.Resolve(ctx, c.organization)
	if err != nil {
		return Domain{}, err
	}
	for range maxChangeTries {
		o, err := c.d.Directory.Organization(ctx, uid)
		if err != nil {
			return Domain{}, err
		}
		// In this order: the same call, if it is committed after this look at its key, moves the stamp that was read before.
		if c.key.Key != [32]byte{} {
			p, err := c.d.Writer.Progress(ctx, uid, c.key)
			if err != nil {
				return Domain{}, err
			}
			if p != nil {
				return c.now(ctx, uid)
			}
		}
		now, err := c.now(ctx, uid)
		if err != nil {
			return Domain{}, err
		}
		next, err := change(ctx, o, now)
		if err != nil {
			return Domain{}, err
		}
		if next == nil {
			return now, c.remember(ctx, o)
		}
		if _, _, err = c.d.Writer.Commit(ctx, *next); err == nil {
			return c.now(ctx, uid)
		}
		if !errs.Is(err, "ETAG_MISMATCH") {
			return Domain{}, err
		}
	}
	return Domain{}, changing()
}

// now is the domain as it is, both parts nil when there is none.
func (c *domainCall) now(ctx context.Context, uid string) (Domain, error) {
	now, err := c.d.get(ctx, c.organization, uid, c.domain)
	if errs.Is(err, "DOMAIN_NOT_FOUND") {
		return Domain{OrganizationID: c.organization, OrganizationUID: uid}, nil
	}
	return now, err
}

// change is the commit that moves a challenge on, with the record that follows and one event.
func (c *domainCall) change(o *policy.Organization, before, after *policy.DomainChallenge, t audit.Type, more []audit.Change) *policy.Change {
	same := *o
	out := &policy.Change{Organization: &same, Challenges: []policy.ChallengeChange{{Before: before, After: after}}, Request: c.key, Done: true}
	switch {
	case after != nil && after.State.Counts():
		out.AddDomains = []policy.DomainRecord{after.Record()}
	case before != nil && before.State.Counts():
		out.DropDomains = []policy.Domain{before.Domain}
	}
	e := audit.Event{
		ID: c.d.NewID(), Type: t, Time: c.d.Now(), Organization: o.ID, OrganizationUID: o.UID, Caller: c.caller, Outcome: audit.OutcomeOf(t),
		Origin: audit.OriginAPI, Target: &audit.Target{Type: "domain", Count: 1}, Changes: append(stateChange(before, after), more...),
		Personal: audit.Personal{Items: []string{c.domain.String()}, Detail: c.reason},
	}
	out.Events = []audit.Event{e}
	return out
}

// stateChange is what an event says of how a challenge moved.
func stateChange(before, after *policy.DomainChallenge) []audit.Change {
	state := audit.Change{Field: "state"}
	if before != nil {
		state.Before = before.State.String()
	}
	if after != nil {
		state.After = after.State.String()
	}
	return []audit.Change{state}
}

// findingChanges are what an event says of the look that moved a challenge.
func findingChanges(f domaincheck.Finding, change domaincheck.Change) []audit.Change {
	out := []audit.Change{{Field: "finding", After: f.Outcome.String() + " " + f.Reason}}
	if change == domaincheck.Verified || change == domaincheck.Recovered {
		out = append(out, audit.Change{Field: "verified_by", After: policy.VerifiedByDNS})
		if f.DNSSEC {
			out = append(out, audit.Change{Field: "dnssec", After: "true"})
		}
	}
	if change == domaincheck.Warned {
		out = append(out, audit.Change{Field: "warning", After: "true"})
	}
	return out
}

// typeOf is the event of a change.
func typeOf(change domaincheck.Change) audit.Type {
	switch change {
	case domaincheck.Verified, domaincheck.Recovered:
		return audit.TypeDomainVerified
	case domaincheck.Failing, domaincheck.Warned:
		return audit.TypeDomainFailing
	case domaincheck.Lapsed:
		return audit.TypeDomainLapsed
	case domaincheck.None:
	}
	return ""
}

// look looks at the zone of a challenge as it was read, and does what follows.
func (c *domainCall) look(ctx context.Context, uid string, asked *policy.DomainChallenge) (Domain, error) {
	at := c.d.Now()
	f := c.d.Checker.Check(ctx, asked, at)
	jitter := c.d.Jitter()
	for range maxChangeTries {
		done, err := c.settle(ctx, uid, asked, f, jitter)
		switch {
		case errs.Is(err, "ETAG_MISMATCH"), errs.Is(err, "CHALLENGE_MOVED"):
			continue
		case err != nil:
			return Domain{}, err
		case done:
			return c.now(ctx, uid)
		}
		return c.d.get(ctx, c.organization, uid, c.domain) // somebody else has just looked
	}
	return Domain{}, changing()
}

// settle does once what follows from a look; what moved meanwhile is an error to try again after. It reports false when somebody
// else has looked since, or the challenge is another one: the same moment must not count twice.
func (c *domainCall) settle(ctx context.Context, uid string, asked *policy.DomainChallenge, f domaincheck.Finding, jitter float64) (bool, error) {
	o, err := c.d.Directory.Organization(ctx, uid)
	if err != nil {
		return false, err
	}
	now, err := c.now(ctx, uid)
	if err != nil {
		return false, err
	}
	before := now.Challenge
	if before == nil || before.Token != asked.Token || !before.Checked.Equal(asked.Checked) || before.State != asked.State {
		return false, nil
	}
	after, change := domaincheck.Advance(*before, f, c.d.Now(), jitter)
	if after.State.Counts() && now.Record != nil && now.Record.Origin != audit.OriginAPI {
		return false, byOperator()
	}
	if f.Outcome == domaincheck.Found {
		return c.found(ctx, o, before, &after, f, change)
	}
	if change == domaincheck.None {
		return true, c.note(ctx, o, before, &after, f)
	}
	if err := c.commit(ctx, o, before, &after, f, change); err != nil {
		return false, err
	}
	if change == domaincheck.Lapsed {
		return true, c.d.release(ctx, c.domain, uid)
	}
	return true, nil
}

// found is what follows when the zone shows the record: the domain is taken first, so that no other organization has it.
func (c *domainCall) found(ctx context.Context, o *policy.Organization, before, after *policy.DomainChallenge, f domaincheck.Finding, change domaincheck.Change) (bool, error) {
	mine, err := c.d.take(ctx, c.domain, o.UID, change != domaincheck.None)
	if errs.Is(err, policy.ReasonDomainTaken) {
		return c.lost(ctx, o, before, f)
	}
	if err != nil {
		return false, err
	}
	if change == domaincheck.None {
		err = c.note(ctx, o, before, after, f)
	} else {
		err = c.commit(ctx, o, before, after, f, change)
	}
	if err != nil {
		return false, errors.Join(err, c.abandon(ctx, o.UID, mine, err))
	}
	err = c.d.confirm(ctx, c.domain, o.UID, mine)
	if !errs.Is(err, policy.ReasonDomainTaken) {
		return true, err
	}
	// It took so long that another organization was faster: what was just written must not stand.
	now, errNow := c.now(ctx, o.UID)
	if errNow != nil || now.Challenge == nil {
		return true, errNow
	}
	if o, errNow = c.d.Directory.Organization(ctx, o.UID); errNow != nil {
		return false, errNow
	}
	return c.lost(ctx, o, now.Challenge, f)
}

// abandon leaves a domain that was taken in order after a commit that lost a race: when it was lost to another look of the same
// organization, the domain is its own all the same.
func (c *domainCall) abandon(ctx context.Context, uid string, mine policy.DomainOwner, why error) error {
	if errs.KindOf(why) != errs.Conflict {
		return nil
	}
	now, err := c.now(ctx, uid)
	if err != nil || now.Record == nil || now.Record.VerifiedBy != policy.VerifiedByDNS {
		return err
	}
	return c.d.confirm(ctx, c.domain, uid, mine)
}

// lost is what follows when another organization has the domain: a domain that counts lapses, one that waits goes on waiting, and
// the caller is told.
func (c *domainCall) lost(ctx context.Context, o *policy.Organization, before *policy.DomainChallenge, f domaincheck.Finding) (bool, error) {
	var err error
	if before.State.Counts() {
		after := domaincheck.Lose(*before)
		after.Checked, after.Outcome = c.d.Now(), f.Outcome.String()
		change := c.change(o, before, &after, audit.TypeDomainLapsed, []audit.Change{{Field: "finding", After: policy.ReasonDomainTaken}})
		change.Request = policy.ApplyKey{}
		_, _, err = c.d.Writer.Commit(ctx, *change)
	} else {
		after, _ := domaincheck.Advance(*before, domaincheck.Finding{Reason: policy.ReasonDomainTaken}, c.d.Now(), c.d.Jitter())
		after.Outcome = f.Outcome.String()
		err = c.d.Challenges.NoteCheck(ctx, o.UID, before, &after)
	}
	if err != nil {
		return false, err
	}
	c.d.tell(f, domaincheck.None)
	return false, policy.DomainTaken()
}

// note writes down a look that changed no state.
func (c *domainCall) note(ctx context.Context, o *policy.Organization, before, after *policy.DomainChallenge, f domaincheck.Finding) error {
	if err := c.d.Challenges.NoteCheck(ctx, o.UID, before, after); err != nil {
		return err
	}
	c.d.tell(f, domaincheck.None)
	return c.remember(ctx, o)
}

// remember keeps the answer of a call that changed nothing.
func (c *domainCall) remember(ctx context.Context, o *policy.Organization) error {
	if c.key.Key == [32]byte{} {
		return nil
	}
	return c.d.Writer.Answered(ctx, o.UID, c.key, policy.Progress{
		Stamp: o.Stamp, Commits: []policy.Applied{{Kind: kindNothing, Revision: o.Revision}}, Done: true})
}

// commitWithin bounds the commit that follows taking a domain: well below how long what was taken is left alone.
const commitWithin = 20 * time.Second

// commit writes a look that changed the state.
func (c *domainCall) commit(ctx context.Context, o *policy.Organization, before, after *policy.DomainChallenge, f domaincheck.Finding, change domaincheck.Change) error {
	ctx, cancel := context.WithTimeout(ctx, commitWithin)
	defer cancel()
	if _, _, err := c.d.Writer.Commit(ctx, *c.change(o, before, after, typeOf(change), findingChanges(f, change))); err != nil {
		return err
	}
	c.d.tell(f, change)
	return nil
}

func (d *Domains) tell(f domaincheck.Finding, change domaincheck.Change) {
	if d.Checked != nil {
		d.Checked(f, typeOf(change))
	}
}
