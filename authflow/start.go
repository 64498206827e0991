package authflow

import (
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// open begins the flow. A stop that bites at once ends it in the same commit.
func (r *run) open() (Moved, error) {
	o := r.in.Start
	lifetime := o.Lifetime
	if lifetime == 0 {
		lifetime = DefaultLifetime
	}
	least := o.MinLifetime
	if least == 0 {
		least = MinLifetime
	}
	if lifetime < least || lifetime > MaxLifetime {
		return Moved{}, invalid("lifetime", ErrLifetime)
	}
	if err := r.when("occurred_at", o.OccurredAt); err != nil {
		return Moved{}, err
	}
	r.ctx = o.Context
	org, site := r.in.Organization, r.in.Site
	r.s = State{
		ID: o.Flow, Organization: org.ID, OrganizationUID: org.UID, Site: site.ID, SiteUID: site.UID,
		SupportCode: o.SupportCode, CorrelationID: o.CorrelationID, Caller: r.caller,
		Phase: PhaseOpen, Started: r.at, Deadline: r.now.Add(lifetime), Hour: r.now.UTC().Truncate(time.Hour),
		Late: r.late(), Claimed: o.Claimed, DeviceID: o.Context.DeviceID, Steps: make([]Step, 0, 2),
	}
	r.s.Class, _, _ = policy.Classify(org, site, r.claimedSubject(), o.Claimed.Records)
	r.judge()
	e := r.event(r.in.IDs.Step, audit.TypeSignInStarted)
	e.IdentifierHash, e.InitiatedBy = o.Claimed.IdentifierHash, o.InitiatedBy
	r.claim(&e.Personal)
	r.append(e)
	if st := r.stop(); st != nil {
		return r.stopped(st), nil
	}
	return r.settle(), nil
}
