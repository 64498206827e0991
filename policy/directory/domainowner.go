package directory

import (
	"context"
	"time"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

const (
	// leftAlone is how long a domain that was taken is nobody else's although its organization does not have it yet: longer than the
	// commit that follows may take.
	leftAlone = 2 * time.Minute
	// maxSwaps bounds how often somebody else may be faster.
	maxSwaps = 16
)

// take makes an organization the one that has a domain, until it is confirmed or found not to have it, or answers DOMAIN_TAKEN.
// Whoever is named there but neither has the domain nor took it just now has given it up, or never came to have it. anew takes it
// again although the organization has it: then nobody who is giving it up at this moment can.
func (d *Domains) take(ctx context.Context, domain policy.Domain, uid string, anew bool) (policy.DomainOwner, error) {
	for range maxSwaps {
		have, err := d.Owners.DomainOwner(ctx, domain)
		if err != nil {
			return have, err
		}
		if have.OrganizationUID == uid && have.Confirmed && !anew {
			return have, nil
		}
		if have.OrganizationUID != "" && have.OrganizationUID != uid {
			holds, err := d.holds(ctx, domain, have)
			if err != nil {
				return have, err
			}
			if holds {
				return have, policy.DomainTaken()
			}
		}
		mine, ok, err := d.Owners.SwapDomainOwner(ctx, domain, have, policy.DomainOwner{OrganizationUID: uid, Taken: d.Now()})
		if err != nil || ok {
			return mine, err
		}
	}
	return policy.DomainOwner{}, changing()
}

// holds reports whether an organization that is named as a domain's owner has it, or may be about to.
func (d *Domains) holds(ctx context.Context, domain policy.Domain, owner policy.DomainOwner) (bool, error) {
	if !owner.Confirmed && d.Now().Sub(owner.Taken) < leftAlone {
		return true, nil
	}
	records, err := d.Writer.ListsDomains(ctx, owner.OrganizationUID, []policy.Domain{domain})
	if err != nil {
		return false, err
	}
	r, ok := records[domain]
	return ok && r.VerifiedBy == policy.VerifiedByDNS, nil
}

// confirm says that the organization's own commit has happened. DOMAIN_TAKEN: another one has the domain by now.
func (d *Domains) confirm(ctx context.Context, domain policy.Domain, uid string, mine policy.DomainOwner) error {
	for range maxSwaps {
		if mine.Confirmed {
			return nil
		}
		next := mine
		next.Confirmed = true
		if _, ok, err := d.Owners.SwapDomainOwner(ctx, domain, mine, next); err != nil || ok {
			return err
		}
		var err error
		if mine, err = d.Owners.DomainOwner(ctx, domain); err != nil {
			return err
		}
		if mine.OrganizationUID != uid {
			if mine.OrganizationUID != "" {
				return policy.DomainTaken()
			}
			mine = policy.DomainOwner{OrganizationUID: uid, Taken: d.Now()} // it was given up meanwhile: the next look takes it again
		}
	}
	return changing()
}

// release gives a domain up, if it is the organization's. A domain it has got back meanwhile stays its own.
func (d *Domains) release(ctx context.Context, domain policy.Domain, uid string) error {
	for range maxSwaps {
		have, err := d.Owners.DomainOwner(ctx, domain)
		if err != nil || have.OrganizationUID != uid || !have.Confirmed {
			return err
		}
		records, err := d.Writer.ListsDomains(ctx, uid, []policy.Domain{domain})
		if err != nil {
			return err
		}
		if r, ok := records[domain]; ok && r.VerifiedBy == policy.VerifiedByDNS {
			return nil
		}
		if _, ok, err := d.Owners.SwapDomainOwner(ctx, domain, have, policy.DomainOwner{}); err != nil || ok {
			return err
		}
	}
	return errs.New(errs.Conflict, "ETAG_MISMATCH", "the domain keeps changing; try again")
}
