package redisdirectory

import (
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
)

// Lookup says which keys hold the records of one subject: up to two claims, then its domain and that domain's parents.
type Lookup struct {
	domain  policy.Domain
	account bool
	address bool
	domains int
}

// NewLookup appends the names of the keys to read to names, and returns what makes records of their values.
func NewLookup(names []string, space redisx.Space, organizationUID string, l policy.LookupKeys) ([]string, Lookup) {
	found := Lookup{domain: l.Domain}
	if l.Account != (policy.AccountKey{}) {
		found.account = true
		names = append(names, space.Claim(organizationUID, l.Account))
	}
	if l.Address != (policy.AccountKey{}) {
		found.address = true
		names = append(names, space.Claim(organizationUID, l.Address))
	}
	for d := l.Domain; !d.IsZero(); d = d.Parent() {
		found.domains++
		names = append(names, space.Domain(organizationUID, d.String()))
	}
	return names, found
}

// Len is how many keys are read.
func (l Lookup) Len() int {
	n := l.domains
	if l.account {
		n++
	}
	if l.address {
		n++
	}
	return n
}

// Records makes records of the values found, which stand in r from element i on.
func (l Lookup) Records(r *redisx.Reply, i int) (policy.Records, error) {
	var out policy.Records
	claim := func() (*policy.ClaimRecord, error) {
		v, ok := r.Find(i)
		i++
		if !ok {
			return nil, nil //nolint:nilnil // not claimed
		}
		c, err := decodeClaim(v)
		return &c, err
	}
	var err error
	if l.account {
		if out.AccountClaim, err = claim(); err != nil {
			return out, err
		}
	}
	if l.address {
		if out.AddressClaim, err = claim(); err != nil {
			return out, err
		}
	}
	var domains []policy.DomainRecord
	for range l.domains {
		if v, ok := r.Find(i); ok {
			d, err := decodeDomain(v)
			if err != nil {
				return out, err
			}
			domains = append(domains, d)
		}
		i++
	}
	out.Domain = policy.MostSpecific(domains, l.domain)
	return out, r.Err()
}
