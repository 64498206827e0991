package federation

import (
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Fit holds an identity to what its connection is for, and returns the e-mail that may be used of it and whether that e-mail
// may be relied on. An e-mail counts as verified when the provider says so, or when the connection speaks for its domain. A
// connection with domains takes nobody whose e-mail cannot be relied on or lies elsewhere; one without domains takes anybody,
// and an e-mail that is no usable address is then as good as none.
func Fit(c *policy.Connection, id *Identity) (policy.Address, bool, *Refusal) {
	address, err := policy.ParseAddress(id.Email)
	usable := err == nil
	within := usable && covers(c.Domains, address.Domain())
	verified := usable && (id.EmailVerified || c.TrustsEmail && len(c.Domains) > 0 && within)
	switch {
	case len(c.Domains) == 0 && !usable:
		return policy.Address{}, false, nil
	case len(c.Domains) == 0:
		return address, verified, nil
	case !usable:
		return policy.Address{}, false, Refuse(audit.ReasonEmailDomainNotAllowed, "the connection wants an e-mail of its domains, and the provider gave none that is usable")
	case !within:
		return policy.Address{}, false, Refuse(audit.ReasonEmailDomainNotAllowed, "the connection does not speak for %s", address.Domain())
	case !verified:
		return policy.Address{}, false, Refuse(audit.ReasonEmailUnverified, "the provider does not say that it has verified the e-mail")
	}
	return address, true, nil
}

func covers(list []policy.DomainMatch, d policy.Domain) bool {
	return slices.ContainsFunc(list, func(m policy.DomainMatch) bool { return m.Covers(d) })
}
