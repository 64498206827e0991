package policy

import "github.com/postern-audit/postern/audit"

// Classify says who the subject is to org, what decided that, and which conditions were looked at.
//
// A claimed account comes first, then a claimed address, then the most specific verified domain. An address counts when it
// is Typed (nobody is bound: it is taken as it is), when EmailVerified, or when the site trusts account e-mail; otherwise
// it is ignored, for claims and domains alike, and an unmet condition says so. UNDETERMINED is only answered while nothing
// names the subject of an unbound flow: whoever is bound is EXTERNAL at worst. Records must be those of this subject; a
// domain record that does not cover the address is ignored.
func Classify(org *Organization, site *Site, subject Subject, records Records) (audit.Class, audit.ClassBasis, []audit.Condition) {
	if subject.Typed && subject.AccountID == "" && subject.Address.IsZero() {
		return audit.ClassUndetermined, audit.ClassBasis{By: ByNothing}, nil
	}
	address, condition := counted(site, subject)
	conditions := []audit.Condition{condition}
	if claim := records.AccountClaim; claim != nil && subject.AccountID != "" {
		return audit.ClassClaimed, audit.ClassBasis{By: ByClaimedAccount, Revision: claim.Revision},
			append(conditions, audit.Condition{Name: "claimed_account", Met: true, Detail: "the account is claimed by " + name(org)})
	}
	if address.IsZero() {
		if subject.Typed {
			return audit.ClassExternal, audit.ClassBasis{By: ByNoMatch}, conditions
		}
		return audit.ClassExternal, audit.ClassBasis{By: ByNoVerifiedEmail}, conditions
	}
	if claim := records.AddressClaim; claim != nil {
		return audit.ClassClaimed, audit.ClassBasis{By: ByClaimedAddress, Revision: claim.Revision},
			append(conditions, audit.Condition{Name: "claimed_address", Met: true, Detail: "the address is claimed by " + name(org)})
	}
	if d := records.Domain; d != nil && d.Covers(address.domain) {
		basis := audit.ClassBasis{By: ByVerifiedDomain, Domain: d.Domain.s, VerifiedBy: d.VerifiedBy, Revision: d.Revision, Stale: d.Stale}
		return audit.ClassManaged, basis,
			append(conditions, audit.Condition{Name: "verified_domain", Met: true, Detail: describeDomain(DomainMatch{d.Domain, d.Subdomains})})
	}
	return audit.ClassExternal, audit.ClassBasis{By: ByNoMatch},
		append(conditions, audit.Condition{Name: "verified_domain", Detail: "the e-mail's domain is not verified by " + name(org)})
}

// counted returns the address that counts for classes, rules and stops, zero when none does, and the condition that says why.
func counted(site *Site, subject Subject) (Address, audit.Condition) {
	const name = "email_verified"
	switch {
	case subject.Address.IsZero() && subject.Typed:
		return Address{}, audit.Condition{Name: name, Detail: "no usable address was typed"}
	case subject.Address.IsZero():
		return Address{}, audit.Condition{Name: name, Detail: "no usable e-mail came with the step that binds"}
	case subject.EmailVerified:
		return subject.Address, audit.Condition{Name: name, Met: true, Detail: "the login service marked the e-mail verified"}
	case subject.Typed:
		return subject.Address, audit.Condition{Name: name, Met: true, Detail: "nobody is bound yet: the typed address is taken as it is"}
	case site != nil && site.TrustsAccountEmail:
		return subject.Address, audit.Condition{Name: name, Met: true, Detail: "the site trusts account e-mail"}
	}
	return Address{}, audit.Condition{Name: name,
		Detail: "the e-mail is not marked verified and the site does not trust account e-mail: it is ignored"}
}

func name(org *Organization) string {
	if org == nil || org.ID == "" {
		return "the organization"
	}
	return org.ID
}
