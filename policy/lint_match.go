package policy

import (
	"net/netip"
	"slices"

	"github.com/postern-audit/postern/audit"
)

// covers reports whether a matches whoever b matches. False when that is not certain.
func (o *Organization) covers(a, b *Match) bool {
	return among(a.Sites, b.Sites) && (everyKind(a.Kinds) || among(a.Kinds, b.Kinds)) && among(a.Connections, b.Connections) &&
		o.coversAccounts(a, b) &&
		alternatives(a.Domains, b.Domains, DomainMatch.coversAll) && alternatives(a.Networks, b.Networks, holds)
}

// among is alternatives for values that cover only themselves.
func among[T comparable](a, b []T) bool {
	return alternatives(a, b, func(x, y T) bool { return x == y })
}

// alternatives reports whether each alternative of b is covered by one of a. Without alternatives a condition is not given.
func alternatives[T any](a, b []T, covers func(a, b T) bool) bool {
	if len(a) == 0 {
		return true
	}
	return len(b) > 0 && !slices.ContainsFunc(b, func(y T) bool {
		return !slices.ContainsFunc(a, func(x T) bool { return covers(x, y) })
	})
}

func everyKind(kinds []audit.SubjectKind) bool {
	return slices.Contains(kinds, audit.SubjectPerson) && slices.Contains(kinds, audit.SubjectService) && slices.Contains(kinds, audit.SubjectApp)
}

// coversAccounts compares the two conditions on accounts: those that b names must be among those that a names.
func (o *Organization) coversAccounts(a, b *Match) bool {
	if len(a.Accounts) > 0 && !among(a.Accounts, b.Accounts) {
		return false
	}
	if len(a.AccountLists) == 0 || among(a.AccountLists, b.AccountLists) {
		return true
	}
	listed := o.listed(a.AccountLists)
	return len(b.Accounts) > 0 && !slices.ContainsFunc(b.Accounts, func(k AccountKey) bool { return !listed[k] })
}

func (o *Organization) listed(names []string) map[AccountKey]bool {
	keys := map[AccountKey]bool{}
	for _, l := range o.Policy.AccountLists {
		if slices.Contains(names, l.Name) {
			for _, k := range l.Accounts {
				if l.Expires(k).IsZero() { // else it covers only for a time
					keys[k] = true
				}
			}
		}
	}
	return keys
}

// coversAll reports whether m matches every domain that o matches.
func (m DomainMatch) coversAll(o DomainMatch) bool {
	return m.Covers(o.Domain) && (m.Subdomains || !o.Subdomains)
}

// holds reports whether every address of inner lies in outer.
func holds(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// always reports whether m has no condition that anybody could fail.
func (m *Match) always() bool {
	return len(m.Domains)+len(m.Accounts)+len(m.AccountLists)+len(m.Sites)+len(m.Networks)+len(m.Connections) == 0 &&
		(len(m.Kinds) == 0 || everyKind(m.Kinds))
}

// equal reports whether two sets of demands are the same.
func (d *Demands) equal(o *Demands) bool {
	same := slices.Equal(d.Methods, o.Methods) && (d.Methods == nil) == (o.Methods == nil) && d.SSOConnection == o.SSOConnection &&
		d.Reverify == o.Reverify && d.SessionLength == o.SessionLength && d.Block == o.Block && (d.MFA == nil) == (o.MFA == nil)
	if !same || (d.SSOConnection != "" || d.namesSSO()) && d.ssoEvidence() != o.ssoEvidence() {
		return false
	}
	return d.MFA == nil || d.MFA.equal(o.MFA)
}

func (m *MFADemand) equal(o *MFADemand) bool {
	return slices.Equal(m.Factors, o.Factors) && m.MaxAge == o.MaxAge && m.AcceptPartner == o.AcceptPartner &&
		slices.Equal(m.PartnerACR, o.PartnerACR) && m.Evidence == o.Evidence
}
