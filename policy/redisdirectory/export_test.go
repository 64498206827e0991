package redisdirectory

import (
	"slices"

	"github.com/postern-audit/postern/policy"
)

func claimKeys(records []policy.ClaimRecord) []policy.AccountKey {
	keys := make([]policy.AccountKey, len(records))
	for i := range records {
		keys[i] = records[i].Key
	}
	return keys
}

// Touched names every key that a change writes or compares.
func (d *Directory) Touched(c policy.Change) []string {
	space, uid := d.keys.Of(c.Organization.UID), c.Organization.UID
	names := []string{space.Organization(uid), space.Outbox(), space.Domains(uid), d.once(uid, c.Request)}
	for _, r := range c.AddDomains {
		names = append(names, space.Domain(uid, r.Domain.String()))
	}
	for _, r := range c.AddClaims {
		names = append(names, space.Claim(uid, r.Key))
	}
	for _, dom := range c.DropDomains {
		names = append(names, space.Domain(uid, dom.String()))
	}
	for _, key := range c.DropClaims {
		names = append(names, space.Claim(uid, key))
	}
	for _, key := range slices.Concat(claimKeys(c.AddClaims), c.DropClaims) {
		if name := space.Claims(uid, key[0]); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i, ch := range c.Challenges {
		if i == 0 {
			names = append(names, space.Challenges(uid), space.Checks())
		}
		names = append(names, space.Challenge(uid, ch.Domain().String()))
	}
	if c.Revises() >= 0 {
		names = append(names, space.PolicyHistory(uid), space.PolicyRevisions(uid))
	}
	return names
}

// Outbox names the outbox of an organization.
func (d *Directory) Outbox(uid string) string { return d.keys.Of(uid).Outbox() }

// Partition is where an organization lives.
func (d *Directory) Partition(uid string) int { return d.keys.Partition(uid) }
