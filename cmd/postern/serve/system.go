package serve

import (
	"context"
	"crypto/rand"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// ensureSystem makes the reserved organization, which takes what belongs to no tenant, when it is not there.
func (p *process) ensureSystem(ctx context.Context) error {
	d := p.stores.directory
	for {
		_, err := d.Organization(ctx, audit.SystemUID)
		if err == nil || errs.KindOf(err) != errs.NotFound {
			return err
		}
		if err := p.makeSystem(ctx); err != nil && errs.KindOf(err) != errs.Conflict {
			return err // a conflict: another process was faster
		}
	}
}

func (p *process) makeSystem(ctx context.Context) error {
	d := p.stores.directory
	key, err := p.systemKey(ctx)
	if err != nil {
		return err
	}
	if _, err := d.Reserve(ctx, audit.SystemID, audit.SystemUID); err != nil {
		return err
	}
	now := p.clock.Now()
	o := &policy.Organization{UID: audit.SystemUID, ID: audit.SystemID, DisplayName: "What belongs to no organization", Created: now, Updated: now, Key: key}
	event := audit.Event{
		ID: newID(), Type: audit.TypeOrganizationCreated, Time: now, Organization: o.ID, OrganizationUID: o.UID, Caller: "process",
		Outcome: audit.OutcomeSuccess, Origin: audit.OriginAPI, Target: &audit.Target{Type: "organization", ID: o.ID, UID: o.UID, Count: 1},
	}
	change := policy.Change{Organization: o, WritePolicy: true, Events: []audit.Event{event}, Done: true}
	_, _ = rand.Read(change.Request.Key[:]) // nobody repeats this call under its key
	_, _, err = d.Commit(ctx, change)
	return err
}

// systemKey is the key under which the archive knows the reserved organization, when an embedded store was killed before its
// first snapshot; else a new one.
func (p *process) systemKey(ctx context.Context) (audit.OrganizationKey, error) {
	keys, err := p.stores.archive.Keys(ctx, "", 1) // its uid comes before all others
	if err != nil {
		return audit.OrganizationKey{}, err
	}
	if len(keys) == 1 && keys[0].OrganizationUID == audit.SystemUID {
		return keys[0], nil
	}
	return p.stores.keyring.Mint(audit.SystemUID)
}
