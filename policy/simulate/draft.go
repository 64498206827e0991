package simulate

import (
	"time"

	"github.com/postern-audit/postern/policy"
)

// Draft is an organization as it would be, beside what it is.
type Draft struct {
	Now          *policy.Organization // as it is
	Organization *policy.Organization // as it would be; Now itself: nothing is tried
	// What the draft adds to the organization's domains and claims, and takes away.
	AddDomains  []policy.DomainRecord
	DropDomains []policy.Domain
	AddClaims   []policy.ClaimRecord
}

// overlay is what a draft makes of directory records.
type overlay struct {
	domains map[policy.Domain]policy.DomainRecord
	dropped map[policy.Domain]bool
	claims  map[policy.AccountKey]policy.ClaimRecord
}

func overlayOf(d *Draft) overlay {
	o := overlay{}
	if len(d.AddDomains) > 0 {
		o.domains = make(map[policy.Domain]policy.DomainRecord, len(d.AddDomains))
		for _, r := range d.AddDomains {
			o.domains[r.Domain] = r
		}
	}
	if len(d.DropDomains) > 0 {
		o.dropped = make(map[policy.Domain]bool, len(d.DropDomains))
		for _, name := range d.DropDomains {
			o.dropped[name] = true
		}
	}
	if len(d.AddClaims) > 0 {
		o.claims = make(map[policy.AccountKey]policy.ClaimRecord, len(d.AddClaims))
		for _, r := range d.AddClaims {
			o.claims[r.Key] = r
		}
	}
	return o
}

// behind returns the domain to look for when the record that was found is dropped by the draft, or is a parent's that does not reach
// down to d. False when there is nothing to look for.
func (o *overlay) behind(r *policy.DomainRecord, d policy.Domain) (policy.Domain, bool) {
	if r == nil || !o.dropped[r.Domain] && r.Covers(d) {
		return policy.Domain{}, false
	}
	parent := r.Domain.Parent()
	return parent, !parent.IsZero()
}

// apply returns the records of a subject as they would be.
func (o *overlay) apply(keys policy.LookupKeys, r policy.Records) policy.Records {
	claim := func(have *policy.ClaimRecord, key policy.AccountKey) *policy.ClaimRecord {
		if added, ok := o.claims[key]; ok && have == nil && key != (policy.AccountKey{}) {
			return &added
		}
		return have
	}
	r.AccountClaim, r.AddressClaim = claim(r.AccountClaim, keys.Account), claim(r.AddressClaim, keys.Address)
	if len(o.domains) == 0 && len(o.dropped) == 0 {
		return r
	}
	var found []policy.DomainRecord
	if r.Domain != nil && !o.dropped[r.Domain.Domain] {
		if _, replaced := o.domains[r.Domain.Domain]; !replaced {
			found = append(found, *r.Domain)
		}
	}
	for d := keys.Domain; !d.IsZero(); d = d.Parent() {
		if added, ok := o.domains[d]; ok {
			found = append(found, added)
		}
	}
	r.Domain = policy.MostSpecific(found, keys.Domain)
	return r
}

// trial is an organization that flows are decided under, prepared once for all of them.
type trial struct {
	org    *policy.Organization
	bounds [2][2]*policy.Organization // by whether proofs are bound by time, then by whether the policy is suspended
	sites  map[string]*policy.Site    // by uid
}

// forever ends no suspension that a flow was decided in.
var forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func newTrial(o *policy.Organization) *trial {
	t := &trial{org: o, sites: make(map[string]*policy.Site, len(o.Sites))}
	for i := range o.Sites {
		t.sites[o.Sites[i].UID] = &o.Sites[i]
	}
	for bound := range t.bounds {
		for suspended := range t.bounds[bound] {
			c := *o
			c.SuspendedUntil = time.Time{}
			if suspended == 1 {
				c.SuspendedUntil = forever
			}
			if bound == 0 {
				c.ProofsNotBefore = time.Time{}
			}
			t.bounds[bound][suspended] = &c
		}
	}
	return t
}

// organization is the organization as a flow met it at a moment: proofs that were revoked later counted, and whether the policy was
// suspended says the flow's own decision.
func (t *trial) organization(at time.Time, suspended bool) *policy.Organization {
	bound, s := 0, 0
	if !t.org.ProofsNotBefore.After(at) {
		bound = 1
	}
	if suspended {
		s = 1
	}
	return t.bounds[bound][s]
}

// site is a site as a flow met it at a moment, nil when there is none with this uid.
func (t *trial) site(uid string, at time.Time) *policy.Site {
	s := t.sites[uid]
	if s == nil || !s.ProofsNotBefore.After(at) {
		return s
	}
	c := *s
	c.ProofsNotBefore = time.Time{}
	return &c
}

// has reports whether the organization has this very connection.
func (t *trial) has(id, uid string) bool {
	for i := range t.org.Connections {
		if c := &t.org.Connections[i]; c.ID == id {
			return uid == "" || c.UID == uid
		}
	}
	return false
}
